/* console.c - the web console: its files, and what it may know before anybody has logged in.
 *
 * One page, whatever its address: the browser's side (console/src/router.ts) decides what it shows.
 * Nothing from elsewhere runs in it: no inline script, no other origin but Supabase's for the login
 * (W3C, Content Security Policy Level 3).
 */
#include "console.h"

#include "embed.h"
#include "switcher.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* A setting that is not set is empty. */
static const char *given(const char *s)
{
    return s && *s ? s : NULL;
}

static const struct console_asset *find_asset(const char *path)
{
    for (size_t i = 0; i < console_assets_n; i++)
        if (!strcmp(console_assets[i].path, path))
            return &console_assets[i];
    return NULL;
}

/* One of those the browser names (RFC 9110, 13.1.2), weak or not. */
static bool has_it(const struct pat_httpd_req *http, const struct console_asset *a)
{
    const char *known = pat_httpd_header(http, "if-none-match");

    return known && (!strcmp(known, "*") || strstr(known, strchr(a->etag, '"')));
}

/* For the few that do not: an inflated copy, or NULL. */
static void *unpack(const struct console_asset *a)
{
    z_stream z = { 0 };
    unsigned char *out = malloc(a->len + 1);

    if (!out || inflateInit2(&z, 15 + 16) != Z_OK) {
        free(out);
        return NULL;
    }
    z.next_in = (unsigned char *)a->packed; /* zlib does not write there */
    z.avail_in = (unsigned)a->packed_len;
    z.next_out = out;
    z.avail_out = (unsigned)a->len + 1;
    if (inflate(&z, Z_FINISH) != Z_STREAM_END || z.total_out != a->len) {
        free(out);
        out = NULL;
    }
    inflateEnd(&z);
    return out;
}

static void reply_asset(struct pat_httpd_req *http, const struct console_asset *a)
{
    void *plain;

    (void)pat_httpd_set_header(http, "ETag", a->etag);
    (void)pat_httpd_set_header(http, "Vary", "Accept-Encoding");
    (void)pat_httpd_set_header(http, "Cache-Control",
                               a->immutable ? "public, max-age=31536000, immutable" : "no-cache");
    if (has_it(http, a)) {
        pat_httpd_reply(http, 304, NULL, NULL, 0);
    } else if (pat_httpd_takes_gzip(http)) {
        (void)pat_httpd_set_header(http, "Content-Encoding", "gzip");
        pat_httpd_reply(http, 200, a->type, a->packed, a->packed_len);
    } else if ((plain = unpack(a))) {
        pat_httpd_reply(http, 200, a->type, plain, a->len);
        free(plain);
    } else {
        pat_httpd_reply_error(http, PAT_ENOMEM, NULL, "too much to do, try again");
    }
}

static void set_policy(const struct switcher *s, struct pat_httpd_req *http)
{
    const char *supabase = given(s->conf->supabase_url);
    struct pat_buf policy;

    pat_buf_init(&policy, 2048);
    (void)pat_buf_addf(
        &policy,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "media-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "connect-src 'self'%s%s",
        supabase ? " " : "", supabase ? supabase : "");
    (void)talk_hosts(&s->conf->talk, &policy);
    (void)pat_httpd_set_header(http, "Content-Security-Policy", policy.data);
    (void)pat_httpd_set_header(http, "X-Content-Type-Options", "nosniff");
    (void)pat_httpd_set_header(http, "Referrer-Policy", "no-referrer");
    (void)pat_httpd_set_header(http, "Permissions-Policy", "microphone=(self)");
    pat_buf_fini(&policy);
}

static void on_page(struct pat_httpd_req *http, void *arg)
{
    set_policy(arg, http);
    reply_asset(http, find_asset("/"));
}

void console_reply_file(struct pat_httpd_req *http, const char *path)
{
    const struct console_asset *a = find_asset(path);

    if (a)
        reply_asset(http, a);
    else
        pat_httpd_reply_error(http, PAT_ENOENT, NULL, "no such file");
}

static void on_asset(struct pat_httpd_req *http, void *arg)
{
    (void)arg;
    (void)pat_httpd_set_header(http, "X-Content-Type-Options", "nosniff");
    console_reply_file(http, pat_httpd_path(http));
}

/* ------------------------------------------------------------------ settings of the pages */

static struct pat_json *badges(const struct switcher_conf *conf)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_str(j, "retell", conf->badge_retell);
    pat_json_set_str(j, "livekit", conf->badge_livekit);
    return j;
}

static void on_settings(struct pat_httpd_req *http, void *arg)
{
    const struct switcher *s = arg;
    const struct switcher_conf *conf = s->conf;
    struct pat_json *j = pat_json_obj(), *talk = pat_json_obj();

    embed_let(s, http);
    (void)pat_httpd_set_header(http, "Cache-Control", "no-cache");
    pat_json_set_bool(talk, "livekit", given(conf->talk.livekit_key) != NULL);
    pat_json_set_bool(talk, "retell", given(conf->talk.retell_url) != NULL);
    pat_json_set_str(j, "product", conf->product);
    pat_json_set_take(j, "badges", badges(conf));
    pat_json_set_str(j, "help_url", given(conf->help_url));
    pat_json_set_str(j, "login_url", given(conf->login_url));
    pat_json_set_str(j, "supabase_url", given(conf->supabase_url));
    pat_json_set_str(j, "supabase_anon_key", given(conf->supabase_anon_key));
    pat_json_set_take(j, "talk", talk);
    pat_json_set_text(j, "demo_logins", given(conf->demo_logins) ? conf->demo_logins : "[]");
    pat_httpd_reply_json(http, 200, j);
    pat_json_free(j);
}

int console_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/", 0, on_page },
        { "GET", "/agent", 0, on_page },
        { "GET", "/calls", 0, on_page },
        { "GET", "/calls/{id}", 0, on_page },
        { "GET", "/usage", 0, on_page },
        { "GET", "/webhooks", 0, on_page },
        { "GET", "/admin", 0, on_page },
        { "GET", "/admin/{page}", 0, on_page },
        { "GET", "/admin/{page}/{id}", 0, on_page },
        { "GET", "/assets/{file}", 0, on_asset },
        { "GET", "/favicon.svg", 0, on_asset },
        { "GET", "/v1/console", 0, on_settings },
        { 0 },
    };
    int err = pat_httpd_routes(s->httpd, routes, s);

    return err ? err : embed_routes(s);
}
