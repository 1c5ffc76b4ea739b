/* vendors.c - see vendors.h.
 *
 * Each vendor's own guidance decides what a repeat is; where there is none, the body's digest does.
 * What a webhook means is decided later, from what was stored (patchbay.use_webhook).
 */
#include "vendors.h"

#include <stdio.h>
#include <string.h>

#define SECRET_MAX 512

static const char *uuid_or_null(const char *s)
{
    return s && pat_id_valid(s) ? s : NULL;
}

static int too_long(struct pat_json_err *err, const char *path)
{
    (void)pat_strcpy(err->path, sizeof err->path, path);
    (void)pat_strcpy(err->what, sizeof err->what, "is too long");
    return PAT_EINVAL;
}

static bool put(char out[HOOK_KEY_MAX], const char *a, const char *b)
{
    size_t len = strlen(a);

    if (!pat_strcpy(out, HOOK_KEY_MAX - 1, a))
        return false;
    out[len] = ':';
    return pat_strcpy(out + len + 1, HOOK_KEY_MAX - len - 1, b);
}

/* kind, then the first half of the body's SHA-256. */
static void key_of_body(struct hook *h, const char *kind, const struct hook_request *q)
{
    struct pat_buf key;
    uint8_t sum[32];

    pat_sha256(q->body, q->len, sum);
    pat_buf_init(&key, HOOK_KEY_MAX - 1);
    pat_buf_addf(&key, "%.*s:", HOOK_NAME_MAX, kind);
    pat_hex(&key, sum, 16);
    (void)pat_strcpy(h->dedupe_key, sizeof h->dedupe_key, key.err ? "" : key.data);
    pat_buf_fini(&key);
}

/* ------------------------------------------------------------------ Retell */

static const char *retell_secret(const struct relay_conf *conf)
{
    return conf->retell_key;
}

static int retell_verify(const struct relay_conf *conf, const char *secret,
                         const struct hook_request *q)
{
    (void)conf;
    return pat_sign_retell_verify(q->header, secret, q->body, q->len, q->now_ms);
}

/* A chat's, an alert's, tomorrow's: kept, and parked for a person to see. */
static int about_no_call(struct hook *h, const struct hook_request *q)
{
    key_of_body(h, h->kind, q);
    (void)put(h->order_key, "retell", h->dedupe_key);
    return PAT_OK;
}

/* Event and call id, as Retell advises; what may come more than once in a call by its content. */
static int retell_read(struct hook *h, const struct pat_json *j, const struct hook_request *q,
                       struct pat_json_err *err)
{
    static const char *const once[] = { "call_started", "call_ended", "call_analyzed" };
    const char *call;
    int failed = pat_json_get_str(j, "event", &h->kind, err);

    if (!failed && !pat_json_at(j, "call"))
        return about_no_call(h, q);
    if (!failed)
        failed = pat_json_get_str(j, "call.call_id", &call, err);
    if (failed)
        return failed;
    h->call = uuid_or_null(pat_json_str_or(j, "call.metadata.call_id", NULL));
    h->user = uuid_or_null(pat_json_str_or(j, "call.metadata.user_id", NULL));
    if (strlen(h->kind) > HOOK_NAME_MAX / 2)
        return too_long(err, "event");
    if (strlen(call) > HOOK_NAME_MAX / 2)
        return too_long(err, "call.call_id");
    (void)put(h->order_key, "retell", call);
    (void)put(h->dedupe_key, h->kind, call);
    for (size_t i = 0; i < sizeof once / sizeof once[0]; i++)
        if (!strcmp(h->kind, once[i]))
            return PAT_OK;
    key_of_body(h, h->dedupe_key, q);
    return PAT_OK;
}

/* ------------------------------------------------------------------ LiveKit */

static const char *livekit_secret(const struct relay_conf *conf)
{
    return conf->livekit_secret;
}

static int livekit_verify(const struct relay_conf *conf, const char *secret,
                          const struct hook_request *q)
{
    return pat_sign_livekit_webhook_verify(q->header, conf->livekit_key, secret, q->body, q->len,
                                           q->now_ms / 1000);
}

/* Rooms of ours are named call_<call id>. */
static int livekit_read(struct hook *h, const struct pat_json *j, const struct hook_request *q,
                        struct pat_json_err *err)
{
    const char *room = pat_json_str_or(j, "room.name", NULL);
    const char *id;
    int failed = pat_json_get_str(j, "event", &h->kind, err);

    (void)q;
    if (!failed)
        failed = pat_json_get_str(j, "id", &id, err);
    if (failed)
        return failed;
    if (!pat_strcpy(h->dedupe_key, sizeof h->dedupe_key, id))
        return too_long(err, "id");
    if (!put(h->order_key, "livekit", room ? room : id))
        return too_long(err, "room.name");
    h->call = room && !strncmp(room, "call_", 5) ? uuid_or_null(room + 5) : NULL;
    return PAT_OK;
}

/* ------------------------------------------------------------------ ElevenLabs */

static const char *elevenlabs_secret(const struct relay_conf *conf)
{
    return conf->elevenlabs_secret;
}

static int elevenlabs_verify(const struct relay_conf *conf, const char *secret,
                             const struct hook_request *q)
{
    (void)conf;
    return pat_sign_elevenlabs_verify(q->header, secret, q->body, q->len, q->now_ms / 1000);
}

/* A repeat has the same bytes. */
static int elevenlabs_read(struct hook *h, const struct pat_json *j, const struct hook_request *q,
                           struct pat_json_err *err)
{
    int failed = pat_json_get_str(j, "type", &h->kind, err);

    if (failed)
        return failed;
    key_of_body(h, h->kind, q);
    if (!put(h->order_key, "elevenlabs", pat_json_str_or(j, "data.voice_id", h->dedupe_key)))
        return too_long(err, "data.voice_id");
    return PAT_OK;
}

/* ------------------------------------------------------------------ Supabase */

static const char *supabase_secret(const struct relay_conf *conf)
{
    return conf->supabase_secret;
}

/* Database webhooks are not signed: a header of the operator's choice holds the secret. */
static int supabase_verify(const struct relay_conf *conf, const char *secret,
                           const struct hook_request *q)
{
    uint8_t ours[32], theirs[32];

    (void)conf;
    if (!q->header)
        return PAT_EAUTH;
    pat_sha256(secret, strlen(secret), ours); /* so that not even the length shows */
    pat_sha256(q->header, strlen(q->header), theirs);
    return pat_equal_ct(ours, theirs, sizeof ours) ? PAT_OK : PAT_EAUTH;
}

/* Nothing in it says which change it is: the same row may get the same values again, later. A hint
 * said once too often does no harm, so only what comes within one minute is a repeat. */
static int supabase_read(struct hook *h, const struct pat_json *j, const struct hook_request *q,
                         struct pat_json_err *err)
{
    const char *schema, *table, *row;
    char minute[HOOK_NAME_MAX];
    int failed = pat_json_get_str(j, "type", &h->kind, err);

    if (!failed)
        failed = pat_json_get_str(j, "schema", &schema, err);
    if (!failed)
        failed = pat_json_get_str(j, "table", &table, err);
    if (failed)
        return failed;
    if (strlen(h->kind) + strlen(schema) + strlen(table) > 128)
        return too_long(err, "table");
    (void)snprintf(minute, sizeof minute, "%s:%s.%s:%lld", h->kind, schema, table,
                   (long long)(q->now_ms / 60000));
    key_of_body(h, minute, q);
    row = pat_json_str_or(j, "record.id", pat_json_str_or(j, "old_record.id", table));
    if (!put(h->order_key, "supabase", row))
        return too_long(err, "record.id");
    h->user = uuid_or_null(
        pat_json_str_or(j, "record.user_id", pat_json_str_or(j, "old_record.user_id", NULL)));
    return PAT_OK;
}

const struct vendor vendors[] = {
    { "elevenlabs", "/v1/hooks/elevenlabs", "ElevenLabs-Signature", "PAT_ELEVENLABS_WEBHOOK_SECRET",
      elevenlabs_secret, elevenlabs_verify, elevenlabs_read },
    { "livekit", "/v1/hooks/livekit", "Authorization", "PAT_LIVEKIT_API_SECRET", livekit_secret,
      livekit_verify, livekit_read },
    { "retell", "/v1/hooks/retell", "X-Retell-Signature", "PAT_RETELL_WEBHOOK_KEY", retell_secret,
      retell_verify, retell_read },
    { "supabase", "/v1/hooks/supabase", "X-Patchbay-Secret", "PAT_SUPABASE_WEBHOOK_SECRET",
      supabase_secret, supabase_verify, supabase_read },
};
const size_t n_vendors = sizeof vendors / sizeof vendors[0];

int vendor_verify(const struct vendor *v, const struct relay_conf *conf,
                  const struct hook_request *q)
{
    const char *at = v->secret(conf);
    char one[SECRET_MAX];
    int err = PAT_EAUTH;
    size_t n, len;

    for (; at && *at && err == PAT_EAUTH; at += n + (at[n] == ',')) {
        at += strspn(at, " ");
        n = len = strcspn(at, ",");
        while (len && at[len - 1] == ' ')
            len--;
        if (!len || len >= sizeof one)
            continue;
        memcpy(one, at, len);
        one[len] = '\0';
        err = v->verify(conf, one, q);
    }
    explicit_bzero(one, sizeof one);
    return err;
}

int vendor_read(const struct vendor *v, struct hook *h, struct pat_json **j,
                const struct hook_request *q, struct pat_json_err *err)
{
    int failed = pat_json_parse(j, q->body, q->len, err);

    *h = (struct hook){ .source = v->name };
    if (!failed)
        failed = v->read(h, *j, q, err);
    if (!failed && strlen(h->kind) > HOOK_NAME_MAX) {
        (void)pat_strcpy(err->path, sizeof err->path, "body");
        (void)pat_strcpy(err->what, sizeof err->what, "its kind is too long");
        failed = PAT_EINVAL;
    }
    return failed;
}
