/* door.c - what every request is asked first: see door.h. */
#include "door.h"

#include "embed.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { TOKEN_MAX = 8192 };

/* ------------------------------------------------------------------ how often */

/* RateLimit-Policy and RateLimit: draft-ietf-httpapi-ratelimit-headers-11. */
static void tell_limit(struct pat_httpd_req *http, const char *name, const struct limit_state *l)
{
    char text[96];

    snprintf(text, sizeof text, "\"%s\";q=%lld;w=60", name, (long long)l->per_min);
    (void)pat_httpd_set_header(http, "RateLimit-Policy", text);
    snprintf(text, sizeof text, "\"%s\";r=%lld;t=%lld", name, (long long)l->left,
             (long long)l->full_s);
    (void)pat_httpd_set_header(http, "RateLimit", text);
}

static void refuse_too_often(struct pat_httpd_req *http, const char *name, int64_t wait_s)
{
    PAT_AUTO_JSON more = pat_json_obj();
    struct pat_json *names = pat_json_arr();
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)wait_s);
    (void)pat_httpd_set_header(http, "Retry-After", text);
    pat_json_add_str(names, name);
    pat_json_set_take(more, "violated-policies", names);
    pat_httpd_reply_problem(
        http, &(struct pat_httpd_problem){
                  .status = 429,
                  .code = pat_err_name(PAT_EAGAIN),
                  .type = "https://iana.org/assignments/http-problem-types#quota-exceeded",
                  .title = "Too many requests within a minute",
                  .detail = "too many requests, try later: Retry-After says when",
                  .more = more });
}

int door_limit(struct switcher *s, struct pat_httpd_req *http, enum limit_kind kind,
               const char *who)
{
    struct limit_state left;
    bool may = limits_take(s->limits, kind, who, pat_now_ms(), &left);

    tell_limit(http, limit_name(kind), &left);
    if (may)
        return PAT_OK;
    refuse_too_often(http, limit_name(kind), left.wait_s);
    return PAT_EAGAIN;
}

static int not_too_often(struct switcher *s, struct pat_httpd_req *http, const char *who)
{
    const char *method = pat_httpd_method(http);
    bool reads = !strcmp(method, "GET") || !strcmp(method, "HEAD");

    return door_limit(s, http, reads ? LIMIT_READS : LIMIT_WRITES, who);
}

/* ------------------------------------------------------------------ readable at all */

/* Nothing of a query that cannot be read may be taken for absent: a plan that was asked for would
 * be the switch itself. Postgres takes UTF-8 only. Ids are compared as text: from here on they have
 * one spelling. */
static int readable(struct pat_httpd_req *http)
{
    const struct pat_param *params;
    const char *path = pat_httpd_path(http);
    size_t n;

    if (!pat_utf8_valid(path, strlen(path))) {
        pat_httpd_reply_error(http, PAT_EINVAL, "path", "must be UTF-8");
        return PAT_EINVAL;
    }
    if (pat_httpd_query_params(http, &params, &n)) {
        pat_httpd_reply_error(http, PAT_EINVAL, "query", "must be name=value, percent-encoded");
        return PAT_EINVAL;
    }
    for (size_t i = 0; i < n; i++)
        if (!pat_utf8_valid(params[i].name, strlen(params[i].name)) ||
            !pat_utf8_valid(params[i].value, strlen(params[i].value))) {
            pat_httpd_reply_error(http, PAT_EINVAL, "query", "must be UTF-8, percent-encoded");
            return PAT_EINVAL;
        }
    pat_httpd_lower_ids(http);
    return PAT_OK;
}

/* ------------------------------------------------------------------ who */

/* Whoever has no good token is counted by his address. */
static int refuse(struct switcher *s, struct pat_httpd_req *http, int err, const char *why)
{
    char who[80];

    pat_counter_add(s->refused, 1);
    snprintf(who, sizeof who, "from %s", pat_httpd_peer(http));
    if (not_too_often(s, http, who))
        return PAT_EAGAIN;
    pat_log(PAT_INFO, "api.refused", PAT_S("path", pat_httpd_path(http)),
            PAT_S("peer", pat_httpd_peer(http)), PAT_S("why", why));
    (void)pat_httpd_set_header(http, "WWW-Authenticate", "Bearer");
    pat_httpd_reply_error(http, err, "Authorization", why);
    return err;
}

static int let_in(struct who *who, struct switcher *s, struct pat_httpd_req *http,
                  const char *authorization)
{
    struct who_keys keys = { s->conf->jwt_secret, keys_now(s->keys) };
    const char *why;
    int err;

    embed_let(s, http);
    err = who_read(who, authorization, &keys, pat_unix_ms() / 1000, &why);

    (void)pat_httpd_set_header(http, "Cache-Control", "no-store");
    (void)pat_httpd_set_header(http, "X-Content-Type-Options", "nosniff");
    if (!err) {
        err = not_too_often(s, http, *who->user ? who->user : "service");
        return err ? err : readable(http);
    }
    if (err == PAT_ENOENT) {
        keys_missed(s->keys);
        err = PAT_EAUTH;
    }
    return refuse(s, http, err, why);
}

int door_who(struct who *who, struct switcher *s, struct pat_httpd_req *http)
{
    return let_in(who, s, http, pat_httpd_header(http, "authorization"));
}

/* The value of pb_listen in "a=b; pb_listen=..." (RFC 6265, 4.2.1); NULL. */
static const char *listen_cookie(const char *cookies, size_t *len)
{
    static const char name[] = "pb_listen=";

    while (cookies) {
        cookies += strspn(cookies, " ;");
        if (!strncmp(cookies, name, sizeof name - 1)) {
            cookies += sizeof name - 1;
            *len = strcspn(cookies, "; ");
            return cookies;
        }
        cookies = strchr(cookies, ';');
    }
    return NULL;
}

int door_listener(struct who *who, struct switcher *s, struct pat_httpd_req *http)
{
    const char *header = pat_httpd_header(http, "authorization");
    size_t len = 0;
    const char *token = header ? NULL : listen_cookie(pat_httpd_header(http, "cookie"), &len);
    struct pat_buf bearer;
    int err;

    pat_buf_init(&bearer, TOKEN_MAX);
    if (token) {
        pat_buf_adds(&bearer, "Bearer ");
        pat_buf_add(&bearer, token, len);
        header = bearer.err ? NULL : bearer.data;
    }
    err = let_in(who, s, http, header);
    pat_buf_fini(&bearer);
    return err;
}

/* ------------------------------------------------------------------ what is asked */

const char *door_id(struct pat_httpd_req *http)
{
    const char *id = pat_httpd_param(http, "id");

    if (id && pat_id_valid(id))
        return id;
    pat_httpd_reply_error(http, PAT_EINVAL, "id", "must be a UUID");
    return NULL;
}

static int refuse_match(struct pat_httpd_req *http, int status, const char *code,
                        const char *detail)
{
    pat_httpd_reply_problem(
        http, &(struct pat_httpd_problem){
                  .status = status, .code = code, .field = "If-Match", .detail = detail });
    return PAT_EINVAL;
}

void door_stale(struct pat_httpd_req *http)
{
    (void)refuse_match(http, 412, "stale", "somebody has changed it meanwhile: read it again");
}

int door_match(struct pat_httpd_req *http, bool needed, char text[DOOR_VERSION_MAX],
               const char **version)
{
    const char *match = pat_httpd_header(http, "if-match");
    size_t digits;

    *version = NULL;
    if (!match && needed)
        return refuse_match(http, 428, "invalid",
                            "say which version this replaces: the ETag, or *");
    if (!match || !strcmp(match, "*"))
        return PAT_OK;
    match += *match == '"';
    digits = strspn(match, "0123456789");
    if (!digits || digits > 18 || (match[digits] && strcmp(match + digits, "\"")))
        return refuse_match(http, 400, "invalid", "must be an ETag of this");
    memcpy(text, match, digits);
    text[digits] = 0;
    *version = text;
    return PAT_OK;
}

int door_page(struct page *out, struct pat_httpd_req *http, const char *cursor)
{
    const char *field, *what;
    int err = page_read(out, pat_httpd_query_param(http, "limit"),
                        pat_httpd_query_param(http, cursor), &field, &what);

    if (err)
        pat_httpd_reply_error(http, err, strcmp(field, "before") ? field : cursor, what);
    return err;
}

static int refuse_type(struct pat_httpd_req *http, const char *detail)
{
    pat_httpd_reply_problem(http, &(struct pat_httpd_problem){ .status = 415,
                                                               .code = "unsupported_media_type",
                                                               .field = "Content-Type",
                                                               .detail = detail });
    return PAT_EINVAL;
}

int door_json(struct pat_httpd_req *http)
{
    const char *type = pat_httpd_header(http, "content-type");
    size_t len;

    (void)pat_httpd_body(http, &len);
    return !type || !len || query_is_json(type) ? PAT_OK
                                                : refuse_type(http, "must be application/json");
}

int door_form(struct pat_httpd_req *http)
{
    static const char form[] = "multipart/form-data";
    const char *type = pat_httpd_header(http, "content-type");

    return type && !strncasecmp(type, form, sizeof form - 1)
               ? PAT_OK
               : refuse_type(http, "must be multipart/form-data");
}

char *door_text(struct pat_httpd_req *http, door_check_fn *check)
{
    PAT_AUTO_JSON doc = NULL;
    struct pat_json_err why = { { 0 }, { 0 } };
    size_t len;
    const char *body = pat_httpd_body(http, &len);
    char *text;

    if (door_json(http))
        return NULL;
    if (pat_json_parse(&doc, body, len, &why) || check(doc, &why)) {
        pat_httpd_reply_error(http, PAT_EINVAL, *why.path ? why.path : "body", why.what);
        return NULL;
    }
    text = pat_json_print(doc);
    if (!text)
        pat_httpd_reply_error(http, PAT_ENOMEM, NULL, NULL);
    return text;
}

struct pat_json *door_body(struct pat_httpd_req *http)
{
    struct pat_json_err why = { { 0 }, { 0 } };
    struct pat_json *j = NULL;
    size_t len;
    const char *body = pat_httpd_body(http, &len);
    int err;

    if (door_json(http))
        return NULL;
    err = len ? pat_json_parse(&j, body, len, &why) : PAT_OK;
    if (!err && !len)
        j = pat_json_obj();
    if (!err && j && pat_json_kind(j) == PAT_JSON_OBJ)
        return j;
    pat_json_free(j);
    pat_httpd_reply_error(http, PAT_EINVAL, *why.path ? why.path : "body",
                          *why.what ? why.what : "must be a JSON object");
    return NULL;
}
