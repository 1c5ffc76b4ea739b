/* subscribers.c - users who read their own events at NATS: see subscribers.h. */
#include "subscribers.h"
#include "relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DB_MS = 5000, JS_MS = 5000, AGAIN_MS = 5000, NAME_MAX = 100 };

static const char *const streams[] = { "CALL",  "CONFIG", "SWITCH", "TURN",
                                       "USAGE", "VOICE",  "WEBHOOK" };
enum { STREAMS = sizeof streams / sizeof streams[0] };

/* ------------------------------------------------------------------ one user's consumers */

typedef void walked_fn(int err, void *arg);

/* All streams, one after the other: his consumer is made, or taken away. */
struct walk {
    struct pat_bus *bus;
    char user[PAT_ID_LEN + 1];
    bool remove;
    int at;
    pat_bus_id request;
    walked_fn *done;
    void *arg;
};

static void walk_next(struct walk *w);

static void walk_end(struct walk *w, int err)
{
    walked_fn *done = w->done;
    void *arg = w->arg;

    free(w);
    done(err, arg);
}

/* 404 on removal: it was not there. */
static int judge(const struct walk *w, int err, const struct pat_msg *m)
{
    PAT_AUTO_JSON j = NULL;
    int64_t code;

    if (err)
        return err;
    if (pat_json_parse(&j, m->data, m->len, NULL))
        return PAT_EUPSTREAM;
    code = pat_json_int_or(j, "error.code", 0);
    if (!code || (code == 404 && w->remove))
        return PAT_OK;
    pat_log(PAT_WARN, "subscriber.consumer_refused", PAT_S("stream", streams[w->at]),
            PAT_S("user", w->user), PAT_S("why", pat_json_str_or(j, "error.description", "")));
    return PAT_EUPSTREAM;
}

static void on_consumer(int err, const struct pat_msg *m, void *arg)
{
    struct walk *w = arg;

    w->request = 0;
    err = judge(w, err, m);
    w->at++;
    if (err || w->at == STREAMS)
        walk_end(w, err);
    else
        walk_next(w);
}

/* Areas are the streams' names in lower case. */
static void area_of(char out[16], const char *stream)
{
    size_t n = strlen(stream);

    for (size_t i = 0; i <= n; i++)
        out[i] = stream[i] ? (char)(stream[i] | 0x20) : '\0';
}

/* (docs.nats.io, "JetStream wire API reference".) Asked for again and again it stays the same. */
static void walk_next(struct walk *w)
{
    const char *stream = streams[w->at];
    char subject[128], body[512] = "", area[16];
    int err;

    area_of(area, stream);
    (void)snprintf(subject, sizeof subject, "$JS.API.CONSUMER.%s.%s.user_%s",
                   w->remove ? "DELETE" : "DURABLE.CREATE", stream, w->user);
    if (!w->remove)
        (void)snprintf(body, sizeof body,
                       "{\"stream_name\":\"%s\",\"config\":{\"durable_name\":\"user_%s\","
                       "\"filter_subject\":\"pat.%s.v1.*.%s.>\",\"deliver_policy\":\"all\","
                       "\"ack_policy\":\"explicit\",\"max_ack_pending\":1000}}",
                       stream, w->user, area, w->user);
    err = pat_bus_request(w->bus, subject, body, strlen(body), NULL, JS_MS, on_consumer, w,
                          &w->request);
    if (err)
        walk_end(w, err);
}

/* done runs once, perhaps before this returns. */
static void walk(struct pat_bus *bus, const char *user, bool remove, struct walk **out,
                 walked_fn *done, void *arg)
{
    struct walk *w = calloc(1, sizeof *w);

    if (!w) {
        done(PAT_ENOMEM, arg);
        return;
    }
    *w = (struct walk){ .bus = bus, .remove = remove, .done = done, .arg = arg };
    (void)pat_strcpy(w->user, sizeof w->user, user);
    if (out)
        *out = w;
    walk_next(w);
}

/* ------------------------------------------------------------------ the sweep */

/* Every user with a key, in the order of their ids, after each (re)connect: whoever lost the
 * consumers, they are there again. */
struct subscribers {
    struct relay *r;
    struct pat_sub *add, *remove, *list;
    struct pat_timer timer;
    char after[PAT_ID_LEN + 1]; /* the last user seen to */
    pat_db_id query;
    struct walk *walking;
};

static void sweep(void *arg);

static void on_user_done(int err, void *arg)
{
    struct subscribers *s = arg;

    s->walking = NULL;
    pat_timer_start(&s->timer, err ? AGAIN_MS : 0);
    if (err)
        *s->after = '\0';
}

static void on_next_user(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct subscribers *s = arg;

    s->query = 0;
    if (err) {
        pat_timer_start(&s->timer, AGAIN_MS);
        return;
    }
    if (!n || !pat_db_rows(results[0])) {
        *s->after = '\0'; /* all are done */
        return;
    }
    (void)pat_strcpy(s->after, sizeof s->after, pat_db_value(results[0], 0, 0));
    walk(s->r->d->bus, s->after, false, &s->walking, on_user_done, s);
}

static void sweep(void *arg)
{
    static const char sql[] = "select user_id from patchbay.subscribers "
                              "where user_id > coalesce(nullif($1, '')::uuid, "
                              "'00000000-0000-0000-0000-000000000000') order by user_id limit 1";
    struct subscribers *s = arg;
    const char *values[] = { s->after };

    if (s->query || s->walking || !pat_bus_up(s->r->d->bus))
        return;
    if (pat_db_run1(s->r->d->db, "subscriber_next", sql, values, 1, DB_MS, on_next_user, s,
                    &s->query))
        pat_timer_start(&s->timer, AGAIN_MS);
}

static void on_bus(bool up, void *arg)
{
    struct subscribers *s = arg;

    if (!up)
        return;
    *s->after = '\0';
    pat_timer_start(&s->timer, 0);
}

/* ------------------------------------------------------------------ RPC */

/* Knows the relay's bus only: what it was asked by may be gone when the answer comes. */
struct asked {
    struct pat_bus *bus;
    struct pat_rpc_req *req;
    char user[PAT_ID_LEN + 1];
};

static void asked_end(struct asked *a, int err)
{
    if (err)
        pat_rpc_fail(a->req, err, NULL, NULL);
    else
        pat_rpc_reply(a->req, pat_json_obj());
    free(a);
}

static void on_walked(int err, void *arg)
{
    asked_end(arg, err);
}

static struct asked *asked_new(struct subscribers *s, struct pat_rpc_req *req, const char *user)
{
    struct asked *a = calloc(1, sizeof *a);

    if (!a) {
        pat_rpc_fail(req, PAT_ENOMEM, NULL, NULL);
        return NULL;
    }
    a->bus = s->r->d->bus;
    a->req = req;
    (void)pat_strcpy(a->user, sizeof a->user, user);
    return a;
}

/* Both parameters, or a failure that was told. */
static int read_key(struct pat_rpc_req *req, const struct pat_json *params, const char **user,
                    const char **key)
{
    struct pat_json_err wrong;
    int err = pat_json_get_id(params, "user_id", user, &wrong);

    if (!err)
        err = pat_json_get_str(params, "nkey", key, &wrong);
    if (err) {
        pat_rpc_fail(req, err, wrong.path, wrong.what);
    } else if (!subscribers_nkey_valid(*key)) {
        err = PAT_EINVAL;
        pat_rpc_fail(req, err, "nkey", "must be a user's public NATS key");
    }
    return err;
}

static void on_added(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct asked *a = arg;

    if (!err && (!n || !pat_db_rows(results[0])))
        err = PAT_EEXIST; /* somebody else's key */
    if (err)
        asked_end(a, err);
    else
        walk(a->bus, a->user, false, NULL, on_walked, a);
}

static void add(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    static const char sql[] =
        "insert into patchbay.subscribers as s (nkey, user_id, name) values ($1, $2::uuid, $3) "
        "on conflict (nkey) do update set name = excluded.name where s.user_id = excluded.user_id "
        "returning nkey";
    struct subscribers *s = arg;
    const char *values[3];
    struct asked *a;
    int err;

    if (read_key(req, params, &values[1], &values[0]))
        return;
    values[2] = pat_json_str_or(params, "name", "");
    if (strlen(values[2]) > NAME_MAX) {
        pat_rpc_fail(req, PAT_EINVAL, "name", "at most 100 bytes");
        return;
    }
    a = asked_new(s, req, values[1]);
    if (!a)
        return;
    err = pat_db_run1(s->r->d->db, "subscriber_add", sql, values, 3, DB_MS, on_added, a, NULL);
    if (err)
        asked_end(a, err);
}

static void on_removed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct asked *a = arg;

    if (!err && (!n || !pat_db_rows(results[0])))
        err = PAT_ENOENT;
    if (err || !strcmp(pat_db_value(results[0], 0, 0), "t"))
        asked_end(a, err);
    else
        walk(a->bus, a->user, true, NULL, on_walked, a);
}

static void drop(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    /* Does he have another one? */
    static const char sql[] =
        "delete from patchbay.subscribers s where nkey = $1 and user_id = $2::uuid "
        "returning exists (select from patchbay.subscribers o "
        "where o.user_id = s.user_id and o.nkey <> s.nkey)";
    struct subscribers *s = arg;
    const char *values[2];
    struct asked *a;
    int err;

    if (read_key(req, params, &values[1], &values[0]))
        return;
    a = asked_new(s, req, values[1]);
    if (!a)
        return;
    err = pat_db_run1(s->r->d->db, "subscriber_remove", sql, values, 2, DB_MS, on_removed, a, NULL);
    if (err)
        asked_end(a, err);
}

static void on_list(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    reply_rows(arg, "subscribers", err, results, n);
}

static void list(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    static const char sql[] =
        "select coalesce(jsonb_agg(jsonb_build_object('nkey', nkey, 'name', name, 'created_at', "
        "created_at) order by created_at, nkey), '[]') from patchbay.subscribers "
        "where user_id = $1::uuid";
    const struct subscribers *s = arg;
    struct pat_json_err wrong;
    const char *values[1];
    int err = pat_json_get_id(params, "user_id", &values[0], &wrong);

    if (err) {
        pat_rpc_fail(req, err, wrong.path, wrong.what);
        return;
    }
    err = pat_db_run1(s->r->d->db, "subscribers", sql, values, 1, DB_MS, on_list, req, NULL);
    if (err)
        pat_rpc_fail(req, err, NULL, NULL);
}

/* ------------------------------------------------------------------ life */

int subscribers_new(struct subscribers **out, struct relay *r)
{
    struct subscribers *s = calloc(1, sizeof *s);
    int err = s ? pat_timer_init(&s->timer, r->d->loop, sweep, s) : PAT_ENOMEM;

    if (err) {
        free(s);
        return err;
    }
    s->r = r;
    err = pat_rpc_serve(r->d->bus, &s->add, "relay", "subscriber_add", add, s);
    if (!err)
        err = pat_rpc_serve(r->d->bus, &s->remove, "relay", "subscriber_remove", drop, s);
    if (!err)
        err = pat_rpc_serve(r->d->bus, &s->list, "relay", "subscribers", list, s);
    if (!err)
        err = pat_daemon_on_bus(r->d, on_bus, s);
    if (err)
        subscribers_free(s);
    else
        *out = s;
    return err;
}

void subscribers_free(struct subscribers *s)
{
    if (!s)
        return;
    pat_bus_unsubscribe(s->add);
    pat_bus_unsubscribe(s->remove);
    pat_bus_unsubscribe(s->list);
    pat_db_cancel(s->r->d->db, s->query);
    if (s->walking) {
        pat_bus_cancel(s->walking->bus, s->walking->request);
        free(s->walking);
    }
    pat_timer_fini(&s->timer);
    free(s);
}
