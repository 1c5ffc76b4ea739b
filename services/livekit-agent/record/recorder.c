/* recorder.c - the recordings of the process, their rows in Postgres and what is told of them.
 *
 * How: a keep outlives its recording until the file is there. Events and rows go through the
 * journal, in one unit. Sending, joining and reaping are in files of their own.
 */
#include "recorder_int.h"

#include <stdlib.h>
#include <string.h>

enum { AGAIN_MIN_MS = 500, AGAIN_MAX_MS = 15000, JOIN_MAX_MS = 60000, ADDRESS_MAX = 2048 };

static const char source[] = "/patchbay/livekit-agent";

static void on_again(void *arg)
{
    struct recorder *r = arg;

    r->held = false;
    recorder_send_next(r);
}

static void on_join_again(void *arg)
{
    recorder_join_next(arg);
}

static void close_now(void *arg)
{
    struct recorder *r = arg;
    pat_loop_fn *closed = r->closed;
    void *closed_arg = r->closed_arg;

    recorder_free(r);
    closed(closed_arg);
}

static void on_close_limit(void *arg)
{
    struct recorder *r = arg;

    pat_log(PAT_WARN, "recorder.left_behind", PAT_I("bytes", (int64_t)r->waiting));
    pat_loop_next_turn(r->o.loop, &r->close_task, close_now, r);
}

static void make_metrics(struct recorder *r)
{
    struct pat_metrics *m = r->o.metrics;

    r->pieces =
        pat_counter(m, "pat_agent_recording_pieces_total", "Pieces of recordings stored", NULL);
    r->dropped = pat_counter(m, "pat_agent_recording_dropped_total",
                             "Pieces of recordings lost for want of room", NULL);
    r->store_errors = pat_counter(m, "pat_agent_recording_store_errors_total",
                                  "Operations of the object store that failed", NULL);
    r->stored =
        pat_counter(m, "pat_agent_recordings_total", "Recordings finished", "result=\"stored\"");
    r->failed =
        pat_counter(m, "pat_agent_recordings_total", "Recordings finished", "result=\"failed\"");
    r->waiting_gauge = pat_gauge(m, "pat_agent_recording_waiting_bytes",
                                 "Pieces of recordings not stored yet", NULL);
}

static int init_timers(struct recorder *r)
{
    int err = pat_timer_init(&r->again, r->o.loop, on_again, r);

    if (!err)
        err = pat_timer_init(&r->join_again, r->o.loop, on_join_again, r);
    if (!err)
        err = pat_timer_init(&r->close_limit, r->o.loop, on_close_limit, r);
    return err;
}

int recorder_new(struct recorder **out, const struct recorder_opts *o)
{
    struct recorder *r = calloc(1, sizeof *r);
    int err;

    if (!r)
        return PAT_ENOMEM;
    r->o = *o;
    r->retry = PAT_RETRY(AGAIN_MIN_MS, AGAIN_MAX_MS);
    r->join_retry = PAT_RETRY(AGAIN_MIN_MS, JOIN_MAX_MS);
    make_metrics(r);
    err = pat_store_new(&r->store, o->http, &o->store);
    if (!err)
        err = init_timers(r);
    if (!err)
        err = recorder_live(r);
    if (err) {
        recorder_free(r);
        return err;
    }
    *out = r;
    return PAT_OK;
}

void recorder_free(struct recorder *r)
{
    if (!r)
        return;
    recorder_die(r);
    recorder_drop_join(r);
    recorder_drop_sending(r);
    pat_store_free(r->store);
    while (r->keeps) {
        struct keep *k = r->keeps;
        r->keeps = k->next;
        free(k);
    }
    pat_timer_fini(&r->again);
    pat_timer_fini(&r->join_again);
    pat_timer_fini(&r->close_limit);
    pat_task_cancel(r->o.loop, &r->close_task);
    free(r);
}

void recorder_close(struct recorder *r, int64_t timeout_ms, pat_loop_fn *closed, void *arg)
{
    r->closing = true;
    r->closed = closed;
    r->closed_arg = arg;
    pat_timer_start(&r->close_limit, timeout_ms);
    recorder_step(r);
}

size_t recorder_waiting(const struct recorder *r)
{
    return r->waiting;
}

void recorder_step(struct recorder *r)
{
    recorder_join_next(r);
    if (r->closing && !r->keeps && !r->first)
        pat_loop_next_turn(r->o.loop, &r->close_task, close_now, r);
}

struct keep *keep_new(struct recorder *r, const struct record_opts *o, int64_t began_ms)
{
    struct keep *k = calloc(1, sizeof *k);

    if (!k)
        return NULL;
    k->r = r;
    k->epoch = o->epoch;
    k->began_ms = began_ms;
    (void)pat_strcpy(k->call_id, sizeof k->call_id, o->call_id);
    (void)pat_strcpy(k->user_id, sizeof k->user_id, o->user_id);
    (void)pat_strcpy(k->name, sizeof k->name, o->name ? o->name : RECORD_NAME);
    k->next = r->keeps;
    r->keeps = k;
    return k;
}

void keep_drop(struct keep *k)
{
    struct keep **at = &k->r->keeps;

    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    free(k);
}

void keep_object(const struct keep *k, char out[RECORD_OBJECT_MAX])
{
    (void)snprintf(out, RECORD_OBJECT_MAX, "%s/%s/%s.ogg", k->user_id, k->call_id, k->name);
}

void keep_folder(const struct keep *k, char out[RECORD_KEY])
{
    (void)snprintf(out, RECORD_KEY, "%s/%s/%s.parts/", k->user_id, k->call_id, k->name);
}

void keep_step(struct keep *k)
{
    struct recorder *r = k->r;

    if (k->over && k->left && !k->sending)
        keep_drop(k);
    recorder_step(r);
}

/* ------------------------------------------------------------------ what is told */

static void set_known(struct pat_json *o, const char *key, int64_t n)
{
    if (n >= 0)
        pat_json_set_int(o, key, n);
    else
        pat_json_set_null(o, key);
}

static struct pat_json *row(const struct keep *k, const struct keep_told *t, const char *object,
                            const char *url)
{
    bool stored = !strcmp(t->state, "stored");
    struct pat_json *o = pat_json_obj();
    char at[PAT_TIME_LEN + 1];

    pat_time_format(k->began_ms, at);
    pat_json_set_str(o, "call_id", k->call_id);
    pat_json_set_str(o, "name", k->name);
    pat_json_set_str(o, "user_id", k->user_id);
    pat_json_set_int(o, "epoch", k->epoch);
    pat_json_set_str(o, "state", stored || !strcmp(t->state, "failed") ? t->state : "recording");
    pat_json_set_str(o, "began_at", at);
    pat_json_set_str(o, "object", object);
    if (stored) {
        pat_json_set_str(o, "url", url);
        set_known(o, "duration_ms", t->duration_ms);
        set_known(o, "filled_ms", t->filled_ms);
        set_known(o, "bytes", t->bytes);
    }
    return o;
}

static struct pat_json *news(const struct keep *k, const struct keep_told *t, const char *object,
                             const char *url)
{
    bool stored = !strcmp(t->state, "stored");
    struct pat_json *o = pat_json_obj();

    pat_json_set_str(o, "call_id", k->call_id);
    pat_json_set_str(o, "user_id", k->user_id);
    pat_json_set_str(o, "name", k->name);
    if (!strncmp(k->name, RECORD_MESSAGE, strlen(RECORD_MESSAGE)))
        pat_json_set_str(o, "message_id", k->name + strlen(RECORD_MESSAGE));
    pat_json_set_str(o, "state", t->state);
    pat_json_set_str(o, "object", stored ? object : NULL);
    pat_json_set_str(o, "url", stored ? url : NULL);
    set_known(o, "duration_ms", t->duration_ms);
    if (stored) {
        set_known(o, "filled_ms", t->filled_ms);
        set_known(o, "bytes", t->bytes);
    }
    return o;
}

static struct pat_id once_id(const struct keep *k, const char *state)
{
    struct pat_buf b;
    uint8_t hash[32] = { 0 };

    pat_buf_init(&b, 256);
    if (!pat_buf_addf(&b, "recording|%s|%s|%s", k->call_id, k->name, state))
        pat_sha256(b.data, b.len, hash);
    pat_buf_fini(&b);
    return pat_id_at(k->began_ms, hash);
}

void keep_tell(const struct keep *k, const struct keep_told *t)
{
    struct pat_event e = { .area = "call",
                           .name = "recording",
                           .user_id = k->user_id,
                           .key = k->call_id,
                           .source = source };
    struct pat_id id = once_id(k, t->state);
    char object[RECORD_OBJECT_MAX];
    struct pat_buf url;
    struct pat_json *facts;
    char *text;
    int err;

    keep_object(k, object);
    pat_buf_init(&url, ADDRESS_MAX);
    pat_store_address(k->r->store, object, &url);
    facts = row(k, t, object, url.data);
    text = pat_json_print(facts);
    const char *params[] = { text };
    const struct pat_db_stmt stmt = { "put_recording", "select patchbay.put_recording($1::jsonb)",
                                      1, params };
    e.id = t->once ? &id : NULL;
    err = text ? pat_journal_add(k->r->o.journal, &e, news(k, t, object, url.data), &stmt, 1)
               : PAT_ENOMEM;
    if (err)
        pat_log(PAT_ERROR, "record.event_lost", PAT_S("call", k->call_id), PAT_S("state", t->state),
                PAT_ERR(err));
    free(text);
    pat_json_free(facts);
    pat_buf_fini(&url);
}
