/* bus_js.c - JetStream without a blocking call: its API is requests on $JS.API subjects.
 *
 * (docs.nats.io, "JetStream wire API reference".) Consumers are in bus_consumer.c.
 */
#include "bus_int.h"

#include "json.h"
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    int64_t err_code; /* nats-server, server/errors.json */
    int err;
} js_errors[] = {
    { 10014, PAT_ENOENT },   /* consumer not found */
    { 10037, PAT_ENOENT },   /* no message found */
    { 10059, PAT_ENOENT },   /* stream not found */
    { 10058, PAT_EEXIST },   /* stream name in use with another configuration */
    { 10065, PAT_EEXIST },   /* subjects overlap with another stream */
    { 10071, PAT_EEXIST },   /* wrong last sequence: {seq} */
    { 10164, PAT_EEXIST },   /* wrong last sequence */
    { 10008, PAT_EUNAVAIL }, /* JetStream system temporarily unavailable */
    { 10023, PAT_EAGAIN },   /* insufficient resources */
    { 10054, PAT_E2BIG },    /* message size exceeds maximum allowed */
    { 10076, PAT_EUNAVAIL }, /* JetStream not enabled */
    { 10039, PAT_EUNAVAIL }, /* JetStream not enabled for account */
};

static int error_of(const struct pat_json *j)
{
    int64_t code = pat_json_int_or(j, "error.err_code", 0);

    for (size_t i = 0; i < sizeof js_errors / sizeof js_errors[0]; i++)
        if (js_errors[i].err_code == code)
            return js_errors[i].err;
    switch (pat_json_int_or(j, "error.code", 0)) {
    case 400:
        return PAT_EINVAL;
    case 404:
        return PAT_ENOENT;
    case 503:
        return PAT_EUNAVAIL;
    default:
        return PAT_EUPSTREAM;
    }
}

/* Success is the common case and is told without parsing: no reply of success has a member of that
 * name at any depth. */
int bus_judge_js(const struct pat_msg *m)
{
    PAT_AUTO_JSON j = NULL;
    int err = bus_judge_plain(m);

    if (err)
        return err;
    if (!m->len)
        return PAT_EPROTO;
    if (!memmem(m->data, m->len, "\"error\"", 7))
        return PAT_OK;
    err = pat_json_parse(&j, m->data, m->len, NULL);
    if (err)
        return err == PAT_EINVAL ? PAT_EPROTO : err;
    return pat_json_at(j, "error") ? error_of(j) : PAT_OK;
}

uint64_t bus_ack_seq(const struct pat_msg *m)
{
    const char *at = memmem(m->data, m->len, "\"seq\":", 6);

    return at ? strtoull(at + 6, NULL, 10) : 0;
}

int pat_bus_js_publish(struct pat_bus *b, const char *subject, const char *msg_id, const void *data,
                       size_t len, int64_t timeout_ms, pat_reply_fn *fn, void *arg)
{
    char id[160] = "Nats-Msg-Id: ";
    const char *headers[] = { id, NULL };
    size_t at = strlen(id);

    if (msg_id && !pat_strcpy(id + at, sizeof id - at, msg_id))
        return PAT_EINVAL;
    return bus_request(
        b,
        &(struct wire_text){
            .subject = subject, .data = data, .len = len, .headers = msg_id ? headers : NULL },
        timeout_ms, bus_judge_stored, fn, arg, NULL);
}

int bus_judge_stored(const struct pat_msg *m)
{
    return bus_judge_js(m);
}

/* ---- streams ---- */

struct ensure {
    struct pat_bus *bus;
    char *name;
    char *config;
    int64_t due_ms;
    bool updating;
    pat_reply_fn *fn; /* NULL: nobody waits */
    void *arg;
};

static void ensure_end(struct ensure *e, int err, const struct pat_msg *m)
{
    pat_reply_fn *fn = e->fn;
    void *arg = e->arg;

    if (err && err != PAT_ECANCELED)
        pat_log(PAT_WARN, "bus.stream", PAT_S("stream", e->name), PAT_ERR(err));
    free(e->name);
    free(e->config);
    free(e);
    if (fn)
        fn(err, m, arg);
}

static int ensure_ask(struct ensure *e);

static void on_ensured(int err, const struct pat_msg *m, void *arg)
{
    struct ensure *e = arg;

    if (err == PAT_EEXIST && !e->updating) {
        e->updating = true;
        err = ensure_ask(e);
        if (!err)
            return;
        m = NULL;
    }
    ensure_end(e, err, m);
}

static int ensure_ask(struct ensure *e)
{
    char subject[BUS_TOKEN_MAX + 64];

    snprintf(subject, sizeof subject, "$JS.API.STREAM.%s.%s", e->updating ? "UPDATE" : "CREATE",
             e->name);
    return bus_request(
        e->bus,
        &(struct wire_text){ .subject = subject, .data = e->config, .len = strlen(e->config) },
        e->due_ms - pat_now_ms(), bus_judge_js, on_ensured, e, NULL);
}

static int ensure_start(struct pat_bus *b, const char *name, const char *config, int64_t timeout_ms,
                        pat_reply_fn *fn, void *arg)
{
    struct ensure *e = calloc(1, sizeof *e);
    int err = PAT_ENOMEM;

    if (!e)
        return err;
    *e = (struct ensure){ .bus = b, .due_ms = pat_now_ms() + timeout_ms, .fn = fn, .arg = arg };
    e->name = strdup(name);
    e->config = strdup(config);
    if (e->name && e->config)
        err = ensure_ask(e);
    if (!err)
        return PAT_OK;
    free(e->name);
    free(e->config);
    free(e);
    return err;
}

static int remember(struct pat_bus *b, const char *name, const char *config)
{
    struct bus_asset *a = b->assets;
    char *copy = strdup(config);

    if (!copy)
        return PAT_ENOMEM;
    while (a && strcmp(a->name, name))
        a = a->next;
    if (a) {
        free(a->config);
        a->config = copy;
        return PAT_OK;
    }
    a = calloc(1, sizeof *a);
    if (a)
        a->name = strdup(name);
    if (!a || !a->name) {
        free(a);
        free(copy);
        return PAT_ENOMEM;
    }
    a->config = copy;
    a->next = b->assets;
    b->assets = a;
    return PAT_OK;
}

int pat_bus_stream_ensure(struct pat_bus *b, const char *name, const char *config_json,
                          int64_t timeout_ms, pat_reply_fn *fn, void *arg)
{
    PAT_AUTO_JSON j = NULL;
    PAT_AUTO_STR config = NULL;
    int err;

    if (!bus_token_valid(name) || timeout_ms <= 0)
        return PAT_EINVAL;
    err = pat_json_parse(&j, config_json, strlen(config_json), NULL);
    if (err)
        return err;
    if (!pat_json_at(j, "name"))
        pat_json_set_str(j, "name", name);
    config = pat_json_print(j);
    if (!config)
        return PAT_ENOMEM;
    err = remember(b, name, config);
    return err ? err : ensure_start(b, name, config, timeout_ms, fn, arg);
}

void bus_assets_ensure(struct pat_bus *b)
{
    for (const struct bus_asset *a = b->assets; a; a = a->next)
        if (ensure_start(b, a->name, a->config, BUS_ENSURE_MS, NULL, NULL))
            pat_log(PAT_WARN, "bus.stream", PAT_S("stream", a->name));
}

void bus_assets_missing(struct pat_bus *b)
{
    int64_t now_ms = pat_now_ms();

    if (b->assets_at_ms && now_ms < b->assets_at_ms + BUS_ENSURE_MS)
        return;
    b->assets_at_ms = now_ms;
    bus_assets_ensure(b);
}

void bus_assets_free(struct pat_bus *b)
{
    while (b->assets) {
        struct bus_asset *a = b->assets;

        b->assets = a->next;
        free(a->name);
        free(a->config);
        free(a);
    }
}
