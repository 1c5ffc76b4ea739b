/* lifecycle_fetch.c - recordings from the carrier into our store: see lifecycle_fetch.h.
 *
 * One file at a time: claimed, fetched into memory (at most PAT_ROUTER_VOICEMAIL_MAX_BYTES), put,
 * told. Puts are idempotent, so a router that dies anywhere in between loses nothing. Our password
 * for the carrier goes to the carrier's own address and to no other.
 */
#include "lifecycle_fetch.h"

#include "record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SOON_MS = 1000,
    GET_MS = 20000,  /* until its first byte */
    IDLE_MS = 15000, /* between bytes */
    PUT_MS = 60000,
    DB_MS = 5000,
    TRIES = 18, /* about a day */
    AGAIN_MIN_S = 2,
    AGAIN_MAX_S = 4 * 3600,
};
#define LEASE "3 minutes"

struct file {
    struct callref ref; /* as far as the row tells: call, user */
    char name[40];
    char *url;
    int attempts;
    int64_t duration_ms;
    bool redirected;
    char type[64], key[160];
};

struct fetch {
    struct router *r;
    struct pat_store *store;
    struct pat_timer tick;
    pat_db_id db;
    pat_http_id http;
    bool busy;
    struct file file;
    struct pat_buf body;
};

static void forget(struct fetch *f)
{
    free(f->file.url);
    memset(&f->file, 0, sizeof f->file);
    pat_buf_fini(&f->body);
    pat_buf_init(&f->body, (size_t)f->r->conf->voicemail_max_bytes);
    f->busy = false;
}

/* The next one at once: there may be many. */
static void next(struct fetch *f)
{
    forget(f);
    pat_timer_start(&f->tick, 1);
}

/* ------------------------------------------------------------------ how it went */

static void on_noted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct fetch *f = arg;

    (void)results, (void)n;
    f->db = 0;
    if (err)
        pat_log(PAT_WARN, "voicemail.not_noted", PAT_ERR(err));
    next(f);
}

static void failed(struct fetch *f, const char *why, bool for_good)
{
    static const char sql[] =
        "update patchbay.recordings set state = $3, error = $4, next_at = now() + $5::interval "
        "where call_id = $1::uuid and name = $2 and state = 'fetching'";
    const struct file *x = &f->file;
    int shift = x->attempts < 12 ? x->attempts : 12;
    int64_t again_s = (int64_t)AGAIN_MIN_S << shift;
    char again[32];
    const char *params[] = { x->ref.call.s, x->name, NULL, why, again };

    for_good |= x->attempts >= TRIES;
    params[2] = for_good ? "failed" : "fetching";
    snprintf(again, sizeof again, "%lld s",
             (long long)(again_s < AGAIN_MAX_S ? again_s : AGAIN_MAX_S));
    pat_log(for_good ? PAT_ERROR : PAT_WARN, "voicemail.not_fetched", PAT_S("call", x->ref.call.s),
            PAT_S("why", why), PAT_I("attempt", x->attempts), PAT_B("given_up", for_good));
    if (pat_db_run1(f->r->d->db, "fetch_failed", sql, params, 5, DB_MS, on_noted, f, &f->db))
        next(f); /* the claim lapses */
}

static void stored(struct fetch *f)
{
    const struct file *x = &f->file;
    struct pat_buf url;

    pat_buf_init(&url, 1024);
    if (pat_store_address(f->store, x->key, &url)) {
        failed(f, "address", true);
    } else {
        pat_log(PAT_INFO, "voicemail.stored", PAT_S("call", x->ref.call.s), PAT_S("object", x->key),
                PAT_I("bytes", (int64_t)f->body.len), PAT_I("attempt", x->attempts));
        record_voicemail_stored(f->r, &x->ref,
                                &(struct record_object){ .name = x->name,
                                                         .object = x->key,
                                                         .url = url.data,
                                                         .duration_ms = x->duration_ms,
                                                         .bytes = (int64_t)f->body.len });
        next(f);
    }
    pat_buf_fini(&url);
}

static void on_put(int err, const struct pat_store_res *res, void *arg)
{
    struct fetch *f = arg;

    (void)res;
    if (err)
        failed(f, pat_err_name(err), false);
    else
        stored(f);
}

/* ------------------------------------------------------------------ the file */

static const char *extension(const char *type)
{
    return !strncmp(type, "audio/mpeg", 10) || !strncmp(type, "audio/mp3", 9) ? "mp3" : "wav";
}

static void put(struct fetch *f)
{
    struct file *x = &f->file;
    int err;

    snprintf(x->key, sizeof x->key, "%s/%s/%s.%s", x->ref.user, x->ref.call.s, x->name,
             extension(x->type));
    err = pat_store_put(f->store, x->key, *x->type ? x->type : "audio/wav", f->body.data,
                        f->body.len, PUT_MS, on_put, f);
    if (err)
        failed(f, pat_err_name(err), false);
}

static int get(struct fetch *f, const char *url, bool ours);

static void on_bytes(const char *data, size_t len, void *arg)
{
    struct fetch *f = arg;

    (void)pat_buf_add(&f->body, data, len); /* a failure sticks */
}

static bool follow(struct fetch *f, const struct pat_http_res *res)
{
    char where[2048];

    if (res->status / 100 != 3 || f->file.redirected ||
        !pat_http_header(res, "location", where, sizeof where) || strncmp(where, "http", 4))
        return false;
    f->file.redirected = true;
    return !get(f, where, false);
}

static void on_got(int err, const struct pat_http_res *res, void *arg)
{
    struct fetch *f = arg;
    char status[16];

    f->http = 0;
    if (err || f->body.err) {
        err = f->body.err ? f->body.err : err;
        failed(f, pat_err_name(err), err == PAT_E2BIG);
        return;
    }
    if (follow(f, res))
        return;
    snprintf(status, sizeof status, "%d", res->status);
    if (res->status / 100 != 2 || !f->body.len) {
        failed(f, status, false);
        return;
    }
    if (!pat_http_header(res, "content-type", f->file.type, sizeof f->file.type))
        f->file.type[0] = 0;
    put(f);
}

/* RFC 7617. */
static int add_auth(struct pat_buf *out, const struct router_conf *conf)
{
    struct pat_buf pair;
    int err;

    pat_buf_init(&pair, 1024);
    pat_buf_addf(&pair, "%s:%s", conf->carrier_project, conf->carrier_token);
    pat_buf_adds(out, "Authorization: Basic ");
    err = pair.err ? pair.err : pat_base64(out, pair.data, pair.len);
    pat_buf_fini(&pair);
    return err;
}

/* Its own host, not one that begins like it. */
static bool at_carrier(const struct router_conf *conf, const char *url)
{
    size_t len = strlen(conf->carrier_url);

    return len && !strncmp(url, conf->carrier_url, len) && (url[len] == '/' || url[len] == '?');
}

static int get(struct fetch *f, const char *url, bool ours)
{
    struct pat_buf auth;
    const char *headers[] = { NULL, NULL };
    int err = PAT_OK;

    pat_buf_init(&auth, 2048);
    if (ours)
        err = add_auth(&auth, f->r->conf);
    headers[0] = ours ? auth.data : NULL;
    if (!err)
        err = pat_http_start(f->r->d->http,
                             &(struct pat_http_req){ .url = url,
                                                     .headers = headers,
                                                     .timeout_ms = GET_MS,
                                                     .idle_ms = IDLE_MS,
                                                     .public_only = !ours },
                             on_bytes, on_got, f, &f->http);
    pat_buf_fini(&auth);
    return err;
}

/* ------------------------------------------------------------------ claims */

static int read_row(struct file *x, const struct pat_db_result *rows)
{
    const char *url = pat_db_get(rows, 0, "source_url"), *ms = pat_db_get(rows, 0, "duration_ms");

    if (!url || !(x->url = strdup(url)))
        return PAT_EPROTO;
    pat_strcpy(x->ref.call.s, sizeof x->ref.call.s, pat_db_get(rows, 0, "call_id"));
    pat_strcpy(x->ref.user, sizeof x->ref.user, pat_db_get(rows, 0, "user_id"));
    pat_strcpy(x->name, sizeof x->name, pat_db_get(rows, 0, "name"));
    x->attempts = (int)strtol(pat_db_get(rows, 0, "attempts"), NULL, 10);
    x->duration_ms = ms ? strtoll(ms, NULL, 10) : -1;
    return PAT_OK;
}

static void on_claimed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct fetch *f = arg;

    (void)n;
    f->db = 0;
    if (err || !pat_db_rows(results[0])) {
        forget(f);
        pat_timer_start(&f->tick, f->r->conf->reconcile_ms ? f->r->conf->reconcile_ms : 60000);
        return;
    }
    err = read_row(&f->file, results[0]);
    if (!err)
        err = get(f, f->file.url, at_carrier(f->r->conf, f->file.url));
    if (err)
        failed(f, pat_err_name(err), err == PAT_EINVAL);
}

static void on_tick(void *arg)
{
    struct fetch *f = arg;

    if (f->busy)
        return;
    f->busy = true;
    if (pat_db_up(f->r->d->db) &&
        !pat_db_run1(f->r->d->db, "claim_fetches",
                     "select * from patchbay.claim_fetches(interval '" LEASE "', 1)", NULL, 0,
                     DB_MS, on_claimed, f, &f->db))
        return;
    f->busy = false;
    pat_timer_start(&f->tick, SOON_MS);
}

int fetch_new(struct fetch **out, struct router *r)
{
    const struct router_conf *c = r->conf;
    struct fetch *f;
    int err;

    *out = NULL;
    if (!*c->recording.url)
        return PAT_OK;
    f = calloc(1, sizeof *f);
    if (!f)
        return PAT_ENOMEM;
    f->r = r;
    pat_buf_init(&f->body, (size_t)c->voicemail_max_bytes);
    err = pat_store_open(&f->store, r->d->http, &c->recording);
    if (!err)
        err = pat_timer_init(&f->tick, r->d->loop, on_tick, f);
    if (err) {
        fetch_free(f);
        return err;
    }
    pat_timer_start(&f->tick, SOON_MS);
    *out = f;
    return PAT_OK;
}

void fetch_free(struct fetch *f)
{
    if (!f)
        return;
    if (f->db)
        pat_db_cancel(f->r->d->db, f->db);
    if (f->http)
        pat_http_cancel(f->r->d->http, f->http);
    pat_store_free(f->store);
    pat_timer_fini(&f->tick);
    pat_buf_fini(&f->body);
    free(f->file.url);
    free(f);
}

void fetch_soon(struct fetch *f)
{
    if (f && !f->busy)
        pat_timer_start(&f->tick, SOON_MS);
}
