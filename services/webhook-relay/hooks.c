/* hooks.c - the edge: a vendor's webhook is verified, stored, and only then acknowledged.
 *
 * Stored means: the raw body in patchbay.webhook_inbox and the news of it in patchbay.outbox, in
 * one transaction. A webhook that came before (same dedupe key) is acknowledged and changes
 * nothing. What is made of it is project.c's subject.
 */
#include "relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Retell's call_analyzed carries whole transcripts. */
#define BODY_MAX         ((size_t)4 << 20)
#define STORE_TIMEOUT_MS 8000 /* Retell waits 10 s, and tries again */
#define KEY_MAX          256

/* What of a verified webhook is worth telling. Borrowed from the body's tree. */
struct hook {
    const char *source; /* "retell" */
    const char *kind;   /* "call_ended" */
    const char *call;   /* our call id, or NULL */
    const char *user;   /* or NULL */
    char dedupe_key[KEY_MAX];
};

struct store {
    struct relay *r;
    struct pat_httpd_req *http;
    struct pat_id id;
    char kind[64];
};

static const char *uuid_or_null(const char *s)
{
    return s && pat_id_valid(s) ? s : NULL;
}

static void refuse(struct relay *r, struct pat_httpd_req *http, int err, const char *field,
                   const char *why)
{
    pat_counter_add(r->refused, 1);
    pat_log(PAT_WARN, "webhook.refused", PAT_S("path", pat_httpd_path(http)),
            PAT_S("peer", pat_httpd_peer(http)), PAT_ERR(err), PAT_S("field", field),
            PAT_S("why", why));
    pat_httpd_reply_error(http, err, field, why);
}

/* ------------------------------------------------------------------ storing */

static void on_stored(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct store *s = arg;
    struct relay *r = s->r;

    if (err) {
        pat_log(PAT_ERROR, "webhook.not_stored", PAT_S("kind", s->kind), PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
        pat_httpd_reply_error(s->http, PAT_EUNAVAIL, NULL, "not stored, send it again");
    } else {
        bool fresh = pat_db_rows(results[0]) > 0;

        pat_log(PAT_INFO, fresh ? "webhook.stored" : "webhook.repeated", PAT_S("webhook", s->id.s),
                PAT_S("kind", s->kind));
        pat_httpd_reply(s->http, 200, NULL, NULL, 0);
        if (fresh) {
            outbox_look(r->outbox);
            projector_look(r->projector, s->id.s);
        }
    }
    free(s);
}

static struct pat_json *news_of(const struct hook *h, const char *id)
{
    struct pat_json *data = pat_json_obj();

    pat_json_set_str(data, "source", h->source);
    pat_json_set_str(data, "webhook_id", id);
    pat_json_set_str(data, "kind", h->kind);
    pat_json_set_str(data, "call_id", h->call);
    pat_json_set_str(data, "user_id", h->user);
    return data;
}

static int run_store(struct store *s, const struct hook *h, const char *body,
                     const struct pat_event_text *news)
{
    static const char sql[] =
        "with kept as (insert into patchbay.webhook_inbox (id, source, dedupe_key, body, call_id) "
        "values ($1, $2, $3, convert_to($4, 'UTF8'), $5) on conflict (source, dedupe_key) do nothing returning id) "
        "insert into patchbay.outbox (id, subject, payload) select $6, $7, $8 from kept returning id";
    const char *params[] = { s->id.s, h->source,  h->dedupe_key, body,
                             h->call, news->id.s, news->subject, news->json };

    return pat_db_run1(s->r->d->db, "webhook_store", sql, params, 8, STORE_TIMEOUT_MS, on_stored, s,
                       NULL);
}

static void store(struct relay *r, struct pat_httpd_req *http, const struct hook *h,
                  const char *body)
{
    struct pat_event e = { .area = "webhook",
                           .name = "received",
                           .user_id = h->source,
                           .source = "/patchbay/webhook-relay" };
    struct store *s = calloc(1, sizeof *s);
    struct pat_event_text news = { 0 };
    int err = PAT_ENOMEM;

    if (s) {
        s->r = r;
        s->http = http;
        s->id = pat_id_new();
        (void)pat_strcpy(s->kind, sizeof s->kind, h->kind);
        e.key = s->id.s;
        err = pat_event_make(&news, &e, news_of(h, s->id.s));
    }
    if (!err)
        err = run_store(s, h, body, &news);
    pat_event_text_fini(&news);
    if (err) {
        free(s);
        refuse(r, http, PAT_EUNAVAIL, NULL, "not stored, send it again");
        return;
    }
}

/* ------------------------------------------------------------------ Retell */

/* Retell's own guidance: event and call id; what may repeat within a call by its content too. */
static int read_retell(struct hook *h, const struct pat_json *j, const char *body, size_t len,
                       struct pat_json_err *why)
{
    const char *retell_call;
    uint8_t sum[32];
    struct pat_buf key;
    int err = pat_json_get_str(j, "event", &h->kind, why);

    if (!err)
        err = pat_json_get_str(j, "call.call_id", &retell_call, why);
    if (err)
        return err;
    h->source = "retell";
    h->call = uuid_or_null(pat_json_str_or(j, "call.metadata.call_id", NULL));
    h->user = uuid_or_null(pat_json_str_or(j, "call.metadata.user_id", NULL));
    pat_buf_init(&key, KEY_MAX - 1);
    pat_buf_addf(&key, "%s:%s", h->kind, retell_call);
    if (strcmp(h->kind, "call_started") && strcmp(h->kind, "call_ended") &&
        strcmp(h->kind, "call_analyzed")) {
        pat_sha256(body, len, sum);
        pat_buf_adds(&key, ":");
        pat_hex(&key, sum, 16);
    }
    err = key.err;
    if (!err)
        (void)pat_strcpy(h->dedupe_key, sizeof h->dedupe_key, key.data);
    else
        (void)pat_strcpy(why->path, sizeof why->path, "call.call_id"),
            (void)pat_strcpy(why->what, sizeof why->what, "is too long");
    pat_buf_fini(&key);
    return err;
}

static void on_retell(struct pat_httpd_req *http, void *arg)
{
    struct relay *r = arg;
    const char *signature = pat_httpd_header(http, "x-retell-signature");
    PAT_AUTO_JSON j = NULL;
    struct pat_json_err why = { 0 };
    struct hook h = { 0 };
    size_t len;
    const char *body = pat_httpd_body(http, &len);
    int err = signature
                  ? pat_sign_retell_verify(signature, r->conf->retell_key, body, len, pat_unix_ms())
                  : PAT_EAUTH;

    if (err) {
        refuse(r, http, PAT_EAUTH, "X-Retell-Signature",
               err == PAT_ESTALE ? "too old" : "missing or wrong");
        return;
    }
    err = pat_json_parse(&j, body, len, &why);
    if (!err)
        err = read_retell(&h, j, body, len, &why);
    if (err)
        refuse(r, http, err, *why.path ? why.path : "body", why.what);
    else
        store(r, http, &h, body);
}

/* ------------------------------------------------------------------ LiveKit */

/* Rooms of ours are named call_<call id>. */
static const char *call_of_room(const char *room)
{
    return !strncmp(room, "call_", 5) ? uuid_or_null(room + 5) : NULL;
}

static void on_livekit(struct pat_httpd_req *http, void *arg)
{
    struct relay *r = arg;
    const char *auth = pat_httpd_header(http, "authorization");
    PAT_AUTO_JSON j = NULL;
    struct pat_json_err why = { 0 };
    struct hook h = { .source = "livekit" };
    const char *id = NULL;
    size_t len;
    const char *body = pat_httpd_body(http, &len);
    int err =
        auth ? pat_sign_livekit_webhook_verify(auth, r->conf->livekit_key, r->conf->livekit_secret,
                                               body, len, pat_unix_ms() / 1000)
             : PAT_EAUTH;

    if (err) {
        refuse(r, http, PAT_EAUTH, "Authorization",
               err == PAT_ESTALE ? "expired" : "missing or wrong");
        return;
    }
    err = pat_json_parse(&j, body, len, &why);
    if (!err)
        err = pat_json_get_str(j, "event", &h.kind, &why);
    if (!err)
        err = pat_json_get_str(j, "id", &id, &why);
    if (!err && !pat_strcpy(h.dedupe_key, sizeof h.dedupe_key, id))
        err = PAT_EINVAL;
    if (err) {
        refuse(r, http, err, *why.path ? why.path : "body", why.what);
        return;
    }
    h.call = call_of_room(pat_json_str_or(j, "room.name", ""));
    store(r, http, &h, body);
}

int hooks_routes(struct relay *r)
{
    int err = pat_httpd_route(r->httpd, "POST", "/v1/hooks/retell", BODY_MAX, on_retell, r);

    return err ? err
               : pat_httpd_route(r->httpd, "POST", "/v1/hooks/livekit", BODY_MAX, on_livekit, r);
}
