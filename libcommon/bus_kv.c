/* bus_kv.c - key-value buckets: streams named KV_<bucket> with one message per key.
 *
 * Layout and headers are those of the NATS clients (nats-io/nats-architecture-and-design, ADR-8),
 * so that the nats tool can look inside. Reading is a direct get, writing a publish with the
 * expected revision of the key; a delete is a marker.
 */
#include "bus_int.h"

#include "buf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 200, DUPLICATES_MS = 120000 };
#define NS_PER_MS 1000000LL

static bool key_valid(const char *key)
{
    size_t n = key ? strlen(key) : 0;

    if (!n || n > KEY_MAX || key[0] == '.' || key[n - 1] == '.')
        return false;
    return strspn(key, "-/_=.ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == n;
}

int pat_kv_ensure(struct pat_bus *b, const char *bucket, int64_t ttl_ms, int64_t timeout_ms,
                  pat_reply_fn *fn, void *arg)
{
    int64_t duplicates_ms = ttl_ms > 0 && ttl_ms < DUPLICATES_MS ? ttl_ms : DUPLICATES_MS;
    char name[BUS_TOKEN_MAX + 1];
    struct pat_buf config;
    int err;

    if (!bus_token_valid(bucket) || strlen(bucket) > BUS_TOKEN_MAX - 3 || ttl_ms < 0)
        return PAT_EINVAL;
    snprintf(name, sizeof name, "KV_%s", bucket);
    pat_buf_init(&config, 2048);
    pat_buf_addf(&config,
                 "{\"name\":\"%s\",\"subjects\":[\"$KV.%s.>\"],\"max_msgs_per_subject\":1,"
                 "\"max_age\":%lld,\"duplicate_window\":%lld,\"storage\":\"memory\","
                 "\"discard\":\"new\",\"allow_direct\":true,\"allow_rollup_hdrs\":true,"
                 "\"deny_delete\":true}",
                 name, bucket, (long long)ttl_ms * NS_PER_MS, (long long)duplicates_ms * NS_PER_MS);
    err =
        config.err ? config.err : pat_bus_stream_ensure(b, name, config.data, timeout_ms, fn, arg);
    pat_buf_fini(&config);
    return err;
}

/* One operation on a key, with what a second try needs. */
struct kv_op {
    struct pat_bus *bus;
    char *bucket, *key;
    char *data; /* of a create: it may have to replace a delete marker */
    size_t len;
    int64_t due_ms;
    pat_kv_fn *fn;
    void *arg;
};

static void op_free(struct kv_op *o)
{
    if (!o)
        return;
    free(o->bucket);
    free(o->key);
    free(o->data);
    free(o);
}

static int op_new(struct kv_op **out, struct pat_bus *b, const char *bucket, const char *key,
                  int64_t timeout_ms, pat_kv_fn *fn, void *arg)
{
    struct kv_op *o;

    if (!bus_token_valid(bucket) || !key_valid(key) || timeout_ms <= 0)
        return PAT_EINVAL;
    o = calloc(1, sizeof *o);
    if (!o)
        return PAT_ENOMEM;
    *o = (struct kv_op){ .bus = b, .due_ms = pat_now_ms() + timeout_ms, .fn = fn, .arg = arg };
    o->bucket = strdup(bucket);
    o->key = strdup(key);
    if (!o->bucket || !o->key) {
        op_free(o);
        return PAT_ENOMEM;
    }
    *out = o;
    return PAT_OK;
}

static void op_end(struct kv_op *o, int err, uint64_t revision, const char *data, size_t len)
{
    pat_kv_fn *fn = o->fn;
    void *arg = o->arg;

    op_free(o);
    fn(err, revision, data, len, arg);
}

/* ---- get ---- */

/* PAT_ENOENT with *revision set: there is a delete marker. */
static int read_value(const struct pat_msg *m, uint64_t *revision)
{
    const char *status = pat_msg_header(m, "Status");
    const char *seq = pat_msg_header(m, "Nats-Sequence");
    const char *operation = pat_msg_header(m, "KV-Operation");

    *revision = 0;
    if (status && !m->len)
        return !strcmp(status, "404")   ? PAT_ENOENT
               : !strcmp(status, "503") ? PAT_EUNAVAIL
                                        : PAT_EPROTO;
    if (!seq)
        return PAT_EPROTO;
    *revision = strtoull(seq, NULL, 10);
    return operation && strcmp(operation, "PUT") != 0 ? PAT_ENOENT : PAT_OK;
}

static int judge_nothing(const struct pat_msg *m)
{
    (void)m;
    return PAT_OK;
}

static int ask_value(struct kv_op *o, pat_reply_fn *fn)
{
    char subject[2 * BUS_TOKEN_MAX + KEY_MAX + 64];

    snprintf(subject, sizeof subject, "$JS.API.DIRECT.GET.KV_%s.$KV.%s.%s", o->bucket, o->bucket,
             o->key);
    return bus_request(o->bus, &(struct wire_text){ .subject = subject }, o->due_ms - pat_now_ms(),
                       judge_nothing, fn, o, NULL);
}

static void on_value(int err, const struct pat_msg *m, void *arg)
{
    uint64_t revision = 0;

    if (!err)
        err = read_value(m, &revision);
    if (err)
        op_end(arg, err, err == PAT_ENOENT ? revision : 0, NULL, 0);
    else
        op_end(arg, PAT_OK, revision, m->data, m->len);
}

int pat_kv_get(struct pat_bus *b, const char *bucket, const char *key, int64_t timeout_ms,
               pat_kv_fn *fn, void *arg)
{
    struct kv_op *o;
    int err = op_new(&o, b, bucket, key, timeout_ms, fn, arg);

    if (err)
        return err;
    err = ask_value(o, on_value);
    if (err)
        op_free(o);
    return err;
}

/* ---- put and delete ---- */

static int put_now(struct kv_op *o, const void *data, size_t len, uint64_t expected,
                   const char *operation, pat_reply_fn *fn)
{
    char subject[BUS_TOKEN_MAX + KEY_MAX + 16];
    char revision[64];
    const char *headers[3] = { 0 };
    size_t n = 0;

    snprintf(subject, sizeof subject, "$KV.%s.%s", o->bucket, o->key);
    snprintf(revision, sizeof revision, "Nats-Expected-Last-Subject-Sequence: %" PRIu64, expected);
    if (expected != PAT_KV_ANY)
        headers[n++] = revision;
    if (operation)
        headers[n++] = operation;
    return bus_request(
        o->bus,
        &(struct wire_text){
            .subject = subject, .data = data, .len = len, .headers = n ? headers : NULL },
        o->due_ms - pat_now_ms(), bus_judge_js, fn, o, NULL);
}

static void on_put(int err, const struct pat_msg *m, void *arg)
{
    op_end(arg, err, err ? 0 : bus_ack_seq(m), NULL, 0);
}

static void on_marker(int err, const struct pat_msg *m, void *arg)
{
    struct kv_op *o = arg;
    uint64_t revision = 0;

    if (!err)
        err = read_value(m, &revision);
    if (!err)
        err = PAT_EEXIST;
    if (err == PAT_ENOENT) /* deleted, or aged away just now: replace exactly that */
        err = put_now(o, o->data, o->len, revision, NULL, on_put);
    if (err)
        op_end(o, err, 0, NULL, 0);
}

/* A create is refused where the key was deleted: its marker has a revision. */
static void on_create(int err, const struct pat_msg *m, void *arg)
{
    struct kv_op *o = arg;

    if (err == PAT_EEXIST && !ask_value(o, on_marker))
        return;
    on_put(err, m, o);
}

int pat_kv_put(struct pat_bus *b, const char *bucket, const char *key, const void *data, size_t len,
               uint64_t expected, int64_t timeout_ms, pat_kv_fn *fn, void *arg)
{
    struct kv_op *o;
    int err = op_new(&o, b, bucket, key, timeout_ms, fn, arg);

    if (err)
        return err;
    if (!expected && len) {
        o->data = malloc(len);
        if (!o->data) {
            op_free(o);
            return PAT_ENOMEM;
        }
        memcpy(o->data, data, len);
        o->len = len;
    }
    err = put_now(o, data, len, expected, NULL, expected ? on_put : on_create);
    if (err)
        op_free(o);
    return err;
}

int pat_kv_delete(struct pat_bus *b, const char *bucket, const char *key, int64_t timeout_ms,
                  pat_kv_fn *fn, void *arg)
{
    struct kv_op *o;
    int err = op_new(&o, b, bucket, key, timeout_ms, fn, arg);

    if (err)
        return err;
    err = put_now(o, NULL, 0, PAT_KV_ANY, "KV-Operation: DEL", on_put);
    if (err)
        op_free(o);
    return err;
}
