/* copy.c - see copy.h. One at a time; each attempt is a chain of requests with one deadline each.
 */
#include "copy.h"

#include "api.h"
#include "renew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS       2000
#define DB_TIMEOUT_MS 15000
#define READ_MS       60000
#define WRITE_MS      120000
#define PART          ((size_t)5 << 20)   /* S3's least */
#define WHOLE_MAX     ((size_t)128 << 20) /* of a store that takes no parts */
#define TRIES         8
#define PARTS_MAX     1000

struct job {
    char retell[130], call[PAT_ID_LEN + 1], user[PAT_ID_LEN + 1], name[32], object[200];
    char type[32];
    const char *listen; /* which address that is; a literal */
    char *url;
    int64_t segment, attempts, began_ms, duration_ms;
    struct pat_json *settings;
    bool refused, agreed, renewed;
    size_t at, total; /* bytes read; of how many, 0: not known yet */
    struct pat_buf data;
    char *upload, *tags[PARTS_MAX];
    size_t parts;
};

struct copier {
    struct provider *p;
    struct pat_store *store; /* NULL: none is set */
    struct pat_timer look;
    pat_db_id query;
    pat_http_id http;
    api_id api;
    struct job *job;
    struct pat_counter *stored, *failed, *again;
};

static void read_on(struct copier *c);

static void job_drop(struct copier *c)
{
    struct job *j = c->job;

    c->job = NULL;
    if (!j)
        return;
    pat_store_forget(c->store, c);
    for (size_t i = 0; i < j->parts; i++)
        free(j->tags[i]);
    pat_json_free(j->settings);
    pat_buf_fini(&j->data);
    free(j->upload);
    free(j->url);
    free(j);
}

/* ------------------------------------------------------------------ how it ended */

static void next_job(struct copier *c, int64_t in_ms)
{
    job_drop(c);
    pat_timer_start(&c->look, in_ms);
}

static void on_noted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct copier *c = arg;

    (void)results;
    (void)n;
    c->query = 0;
    if (err)
        pat_log(PAT_WARN, "copy.not_noted", PAT_ERR(err)); /* its claim ends by itself */
    next_job(c, err ? LOOK_MS : 0);
}

static const char note_sql[] = "select patchbay.put_retell_recording($1, $2, $3, $4::bigint * "
                               "interval '1 millisecond', $5, $6)";

static void note(struct copier *c, const char *state, int64_t wait_ms, const char *why)
{
    char wait[24];
    const char *params[] = { c->job->retell, c->p->instance, state, wait, why, c->job->listen };

    snprintf(wait, sizeof wait, "%lld", (long long)wait_ms);
    if (pat_db_run1(c->p->d->db, "put_retell_recording", note_sql, params, 6, DB_TIMEOUT_MS,
                    on_noted, c, &c->query))
        next_job(c, LOOK_MS);
}

static struct pat_json *row_of(const struct job *j, const char *state, const char *url)
{
    struct pat_json *o = pat_json_obj();
    char at[PAT_TIME_LEN + 1];

    pat_time_format(j->began_ms, at);
    pat_json_set_str(o, "call_id", j->call);
    pat_json_set_str(o, "user_id", j->user);
    pat_json_set_str(o, "name", j->name);
    pat_json_set_str(o, "state", state);
    pat_json_set_str(o, "began_at", at);
    if (url) {
        pat_json_set_str(o, "object", j->object);
        pat_json_set_str(o, "url", url);
        pat_json_set_int(o, "bytes", (int64_t)j->at);
        pat_json_set_int(o, "filled_ms", 0);
        if (j->duration_ms >= 0)
            pat_json_set_int(o, "duration_ms", j->duration_ms);
    }
    return o;
}

/* Event, our row, the leg's: together, or again. url NULL: it failed for good. */
static void tell(struct copier *c, const char *state, const char *url, const char *why)
{
    const struct job *j = c->job;
    struct pat_json *data = pat_json_obj();
    PAT_AUTO_JSON row = row_of(j, state, url);
    PAT_AUTO_STR text = pat_json_print(row);
    const char *facts[] = { text };
    const char *leg[] = { j->retell, c->p->instance, state, "0", why, j->listen };
    const struct pat_db_stmt stmts[] = {
        { "put_recording", "select patchbay.put_recording($1::jsonb)", 1, facts },
        { "put_retell_recording", note_sql, 6, leg },
    };
    char once[48];
    struct pat_id id;
    int err;

    snprintf(once, sizeof once, "recording %s", state);
    id = pat_event_id_once(j->retell, once);
    pat_json_set_str(data, "call_id", j->call);
    pat_json_set_str(data, "user_id", j->user);
    pat_json_set_str(data, "name", j->name);
    pat_json_set_str(data, "state", state);
    pat_json_set_str(data, "object", url ? j->object : NULL);
    pat_json_set_str(data, "url", url);
    if (url)
        pat_json_set_int(data, "bytes", (int64_t)j->at);
    if (j->duration_ms >= 0)
        pat_json_set_int(data, "duration_ms", j->duration_ms);
    else
        pat_json_set_null(data, "duration_ms");
    err = pat_journal_add(c->p->journal,
                          &(struct pat_event){ .area = "call",
                                               .name = "recording",
                                               .user_id = j->user,
                                               .key = j->call,
                                               .source = "/patchbay/retell-provider",
                                               .id = &id },
                          data, stmts, text ? 2 : 0);
    if (err)
        pat_log(PAT_WARN, "copy.not_told", PAT_S("call", j->call), PAT_ERR(err));
}

static void try_again(struct copier *c, const char *why)
{
    int64_t wait = 2000;

    for (int64_t i = 1; i < c->job->attempts && wait < 600000; i++)
        wait *= 3;
    note(c, "offered", wait, why);
}

static void fail(struct copier *c, const char *at, int err)
{
    struct job *j = c->job;
    char why[80];

    snprintf(why, sizeof why, "%s: %s", at, pat_err_name(err));
    pat_log(PAT_WARN, "copy.failed", PAT_S("call", j->call), PAT_S("at", at), PAT_ERR(err),
            PAT_I("attempts", j->attempts));
    if (j->attempts >= TRIES || err == PAT_E2BIG || err == PAT_ENOENT) {
        pat_counter_add(c->failed, 1);
        tell(c, "failed", NULL, why);
        next_job(c, LOOK_MS);
        return;
    }
    pat_counter_add(c->again, 1);
    try_again(c, why);
}

static void stored(struct copier *c)
{
    struct pat_buf url;

    pat_buf_init(&url, 2048);
    pat_store_address(c->store, c->job->object, &url);
    pat_counter_add(c->stored, 1);
    pat_log(PAT_INFO, "copy.stored", PAT_S("call", c->job->call), PAT_S("name", c->job->name),
            PAT_I("bytes", (int64_t)c->job->at));
    tell(c, "stored", url.data, NULL);
    pat_buf_fini(&url);
    /* The journal writes the leg's row; until then it is ours. */
    next_job(c, LOOK_MS);
}

/* ------------------------------------------------------------------ writing */

static void on_end(int err, const struct pat_store_res *res, void *arg)
{
    (void)res;
    if (err)
        fail(arg, "write", err);
    else
        stored(arg);
}

static void on_part(int err, const struct pat_store_res *res, void *arg)
{
    struct copier *c = arg;
    struct job *j = c->job;
    char *tag = err ? NULL : strdup(res->data);

    if (!tag || j->parts == PARTS_MAX) {
        free(tag);
        fail(c, "part", err ? err : PAT_E2BIG);
        return;
    }
    j->tags[j->parts++] = tag;
    pat_buf_reset(&j->data);
    if (j->at < j->total) {
        read_on(c);
        return;
    }
    err = pat_store_end(c->store, j->object, j->upload, (const char *const *)j->tags, j->parts,
                        WRITE_MS, on_end, c);
    if (err)
        fail(c, "end", err);
}

static void write_part(struct copier *c)
{
    struct job *j = c->job;
    int err = pat_store_part(c->store, j->object, j->upload, (int)j->parts + 1, j->data.data,
                             j->data.len, WRITE_MS, on_part, c);

    if (err)
        fail(c, "part", err);
}

static void on_upload(int err, const struct pat_store_res *res, void *arg)
{
    struct copier *c = arg;

    if (!err && !(c->job->upload = strdup(res->data)))
        err = PAT_ENOMEM;
    if (err)
        fail(c, "begin", err);
    else
        write_part(c);
}

static void write_out(struct copier *c)
{
    struct job *j = c->job;
    bool all = j->at >= j->total;
    int err;

    if (j->upload) {
        write_part(c);
    } else if (all) {
        err = pat_store_put(c->store, j->object, j->type, j->data.data, j->data.len, WRITE_MS,
                            on_end, c);
        if (err)
            fail(c, "write", err);
    } else if (pat_store_part_min(c->store)) {
        err = pat_store_begin(c->store, j->object, j->type, WRITE_MS, on_upload, c);
        if (err)
            fail(c, "begin", err);
    } else {
        read_on(c); /* whole, at the end */
    }
}

/* ------------------------------------------------------------------ reading */

static int take_range(struct job *j, const struct pat_http_res *res)
{
    uint64_t total;
    int err = pat_http_range_total(res, j->at, &total);

    if (err)
        return err;
    if (j->total && j->total != total)
        return PAT_EPROTO;
    j->total = total;
    return PAT_OK;
}

static void set_type(struct job *j, const struct pat_http_res *res)
{
    static const char *const known[][2] = { { "audio/mpeg", "mp3" },
                                            { "audio/ogg", "ogg" },
                                            { "audio/mp4", "m4a" } };
    char type[96] = "";
    const char *ending = "wav";

    pat_strcpy(j->type, sizeof j->type, "audio/wav");
    pat_http_header(res, "Content-Type", type, sizeof type);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!strncmp(type, known[i][0], strlen(known[i][0]))) {
            pat_strcpy(j->type, sizeof j->type, known[i][0]);
            ending = known[i][1];
        }
    snprintf(j->object, sizeof j->object, "%s/%s/%s.%s", j->user, j->call, j->name, ending);
}

static void renew(struct copier *c);

static void on_range(int err, const struct pat_http_res *res, void *arg)
{
    struct copier *c = arg;
    struct job *j = c->job;
    size_t max = (size_t)c->p->conf->recording_max;

    c->http = 0;
    if (!err && (res->status == 403 || res->status == 404 || res->status == 410) && !j->renewed) {
        renew(c);
        return;
    }
    if (!err && res->status == 206)
        err = take_range(j, res);
    else if (!err && res->status == 200 && !j->at)
        j->total = res->len; /* it does not know ranges: that was all */
    else if (!err)
        err = PAT_EUPSTREAM;
    if (!err && (j->total > max || (!pat_store_part_min(c->store) && j->total > WHOLE_MAX)))
        err = PAT_E2BIG;
    if (!err && !j->total)
        err = PAT_EPROTO;
    if (!err && !j->at)
        set_type(j, res);
    if (!err)
        err = pat_buf_add(&j->data, res->body, res->len);
    if (err) {
        fail(c, "read", err);
        return;
    }
    j->at += res->len;
    write_out(c);
}

static void prolong(const struct copier *c)
{
    const char *params[] = { c->job->retell, c->p->instance };
    const struct pat_db_stmt stmt = { NULL,
                                      "update patchbay.retell_legs set claimed_until = now() + "
                                      "interval '5 minutes' where retell_call_id = $1 and "
                                      "claimed_by = $2",
                                      2, params };

    if (pat_journal_add(c->p->journal, NULL, NULL, &stmt, 1))
        pat_log(PAT_DEBUG, "copy.not_prolonged", PAT_S("call", c->job->call));
}

static void read_on(struct copier *c)
{
    struct job *j = c->job;
    char range[64];
    const char *headers[] = { range, NULL };
    int err;

    snprintf(range, sizeof range, "Range: bytes=%zu-%zu", j->at, j->at + PART - 1);
    if (j->at)
        prolong(c);
    err = pat_http_start(
        c->p->d->http,
        &(struct pat_http_req){ .url = j->url,
                                .headers = headers,
                                .timeout_ms = READ_MS,
                                /* Retell names the address; what plays Retell is near. */
                                .public_only = !strncmp(c->p->conf->api_url, "https:", 6),
                                .max_body = (size_t)c->p->conf->recording_max + 1 },
        NULL, on_range, c, &c->http);
    if (err)
        fail(c, "read", err);
}

/* ------------------------------------------------------------------ from where */

static void copy(struct copier *c)
{
    if (c->store)
        read_on(c);
    else
        note(c, "remote", 0, NULL);
}

/* One that may still come is waited for. The webhook that brings it may have been lost: the last
 * try but one asks. */
static void wait_for_it(struct copier *c, const char *why)
{
    struct job *j = c->job;

    if (j->attempts >= TRIES)
        note(c, "unwanted", 0, why);
    else if (j->attempts == TRIES - 1 && !j->renewed)
        renew(c);
    else
        try_again(c, why);
}

static void choose(struct copier *c, const struct pat_json *urls)
{
    struct job *j = c->job;
    const struct copy_choice choice = { .whose = c->p->conf->recording,
                                        .both_sides =
                                            !strcmp(c->p->conf->recording_channels, "both"),
                                        .refused = j->refused,
                                        .agreed = j->agreed };
    const char *why;
    bool later;

    j->listen = copy_choose(&choice, j->settings, urls, &why, &later);
    free(j->url);
    j->url = j->listen ? strdup(pat_json_str_or(urls, j->listen, "")) : NULL;
    if (j->url)
        copy(c);
    else if (later || j->listen)
        wait_for_it(c, why);
    else
        note(c, "unwanted", 0, why);
}

static void on_renewed(const struct api_answer *a, void *arg)
{
    struct copier *c = arg;

    c->api = 0;
    if (a->err) {
        fail(c, "get-call", a->err);
        return;
    }
    renew_keep(c->p, c->job->retell, a->body);
    choose(c, a->body);
}

/* Its address has expired: Retell gives another. Begun anew: it may name another object. */
static void renew(struct copier *c)
{
    struct job *j = c->job;
    char path[200];
    int err;

    j->renewed = true;
    j->at = j->total = 0;
    pat_buf_reset(&j->data);
    for (; j->parts; j->parts--)
        free(j->tags[j->parts - 1]);
    free(j->upload);
    j->upload = NULL;
    snprintf(path, sizeof path, "/v2/get-call/%s", j->retell);
    err = api_call(c->p->api, "GET", path, NULL, on_renewed, c, &c->api);
    if (err)
        fail(c, "get-call", err);
}

static int read_leg(struct copier *c, const struct pat_json *row, struct pat_json **urls)
{
    struct job *j = calloc(1, sizeof *j);

    if (!j)
        return PAT_ENOMEM;
    c->job = j;
    pat_buf_init(&j->data, (size_t)c->p->conf->recording_max + 1);
    j->segment = pat_json_int_or(row, "leg.segment", 1);
    j->attempts = pat_json_int_or(row, "leg.attempts", 1);
    j->began_ms = pat_json_int_or(row, "began_ms", 0);
    j->duration_ms = pat_json_int_or(row, "duration_ms", -1);
    j->refused = !pat_json_bool_or(row, "record_calls", true);
    j->agreed = pat_json_bool_or(row, "record_calls", false);
    j->settings = pat_json_dup(pat_json_at(row, "settings"));
    *urls = pat_json_at(row, "leg.urls") ? pat_json_dup(pat_json_at(row, "leg.urls")) : NULL;
    pat_strcpy(j->call, sizeof j->call, pat_json_str_or(row, "leg.call_id", ""));
    pat_strcpy(j->user, sizeof j->user, pat_json_str_or(row, "leg.user_id", ""));
    if (j->segment > 1)
        snprintf(j->name, sizeof j->name, "recording-%lld", (long long)j->segment);
    else
        pat_strcpy(j->name, sizeof j->name, "recording");
    return pat_strcpy(j->retell, sizeof j->retell, pat_json_str_or(row, "leg.retell_call_id", ""))
               ? PAT_OK
               : PAT_EINVAL;
}

static void on_claimed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct copier *c = arg;
    PAT_AUTO_JSON row = NULL;
    PAT_AUTO_JSON urls = NULL;
    const char *text = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    c->query = 0;
    if (!text || pat_json_parse(&row, text, strlen(text), NULL) || read_leg(c, row, &urls)) {
        next_job(c, LOOK_MS);
        return;
    }
    choose(c, urls);
}

static void look(void *arg)
{
    static const char sql[] =
        "select to_jsonb(x) || jsonb_build_object('began_ms', floor(extract(epoch from "
        "(x.leg).started_at) * 1000)::bigint, 'duration_ms', greatest(0, floor(extract(epoch from "
        "(x.leg).ended_at - (x.leg).started_at) * 1000))::bigint) "
        "from patchbay.claim_retell_recording($1, 300, $2) x";
    struct copier *c = arg;
    const char *params[] = { c->p->instance, c->store ? "true" : "false" };

    if (pat_db_run1(c->p->d->db, "claim_retell_recording", sql, params, 2, DB_TIMEOUT_MS,
                    on_claimed, c, &c->query))
        pat_timer_start(&c->look, LOOK_MS);
}

/* ------------------------------------------------------------------ life */

static void make_metrics(struct copier *c)
{
    static const char help[] = "Recordings of calls at Retell copied to our store";
    struct pat_metrics *m = c->p->d->metrics;

    c->stored = pat_counter(m, "pat_retell_recordings_total", help, "result=\"stored\"");
    c->failed = pat_counter(m, "pat_retell_recordings_total", help, "result=\"failed\"");
    c->again = pat_counter(m, "pat_retell_recordings_total", help, "result=\"again\"");
}

int copier_new(struct copier **out, struct provider *p)
{
    struct copier *c;
    int err;

    c = calloc(1, sizeof *c);
    if (!c)
        return PAT_ENOMEM;
    c->p = p;
    make_metrics(c);
    err = pat_store_open(&c->store, p->d->http, &p->conf->store);
    if (!err)
        err = pat_timer_init(&c->look, p->d->loop, look, c);
    if (err) {
        copier_free(c);
        return err;
    }
    pat_timer_start(&c->look, LOOK_MS);
    *out = c;
    return PAT_OK;
}

void copier_free(struct copier *c)
{
    if (!c)
        return;
    pat_db_cancel(c->p->d->db, c->query);
    if (c->http)
        pat_http_cancel(c->p->d->http, c->http);
    if (c->api)
        api_cancel(c->p->api, c->api);
    job_drop(c);
    pat_store_free(c->store);
    pat_timer_fini(&c->look);
    free(c);
}
