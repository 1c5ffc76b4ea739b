/* embed.c - which pages may use our web components: see embed.h.
 *
 * A browser asks before it sends a token to another origin (OPTIONS, the preflight), and reads an
 * answer only where it says so. The origin is answered, never "*"; Vary keeps caches from mixing
 * answers.
 */
#include "embed.h"

#include "console.h"

#include <string.h>

bool embed_allowed(const char *list, const char *origin)
{
    size_t len = origin ? strlen(origin) : 0;

    for (const char *at = list; len && at && *at;) {
        size_t n = strcspn(at, ",");
        size_t blank = strspn(at, " ");
        size_t end = n;

        while (end > blank && (at[end - 1] == ' ' || at[end - 1] == '/'))
            end--;
        if (end >= blank && end - blank == len && !strncmp(at + blank, origin, len))
            return true;
        at += n + (at[n] == ',');
    }
    return false;
}

static bool may(const struct switcher *s, struct pat_httpd_req *http)
{
    return embed_allowed(s->conf->embed_origins, pat_httpd_header(http, "origin"));
}

void embed_let(const struct switcher *s, struct pat_httpd_req *http)
{
    if (!s->conf->embed_origins || !*s->conf->embed_origins)
        return;
    (void)pat_httpd_set_header(http, "Vary", "Origin");
    if (!may(s, http))
        return;
    (void)pat_httpd_set_header(http, "Access-Control-Allow-Origin",
                               pat_httpd_header(http, "origin"));
    (void)pat_httpd_set_header(http, "Access-Control-Expose-Headers", "ETag, Retry-After");
}

static void on_preflight(struct pat_httpd_req *http, void *arg)
{
    const struct switcher *s = arg;

    embed_let(s, http);
    if (may(s, http)) {
        (void)pat_httpd_set_header(http, "Access-Control-Allow-Methods",
                                   "GET, POST, PATCH, DELETE");
        (void)pat_httpd_set_header(http, "Access-Control-Allow-Headers",
                                   "Authorization, Content-Type, If-Match");
        (void)pat_httpd_set_header(http, "Access-Control-Max-Age", "600");
    }
    pat_httpd_reply(http, 204, NULL, NULL, 0);
}

static void on_module(struct pat_httpd_req *http, void *arg)
{
    embed_let(arg, http);
    (void)pat_httpd_set_header(http, "X-Content-Type-Options", "nosniff");
    (void)pat_httpd_set_header(http, "Cross-Origin-Resource-Policy", "cross-origin");
    console_reply_file(http, pat_httpd_path(http));
}

/* What the components call, and no more. */
int embed_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/embed/v1/{file}", 0, on_module },
        { "OPTIONS", "/v1/console", 0, on_preflight },
        { "OPTIONS", "/v1/me", 0, on_preflight },
        { "OPTIONS", "/v1/users/{id}/agent", 0, on_preflight },
        { "OPTIONS", "/v1/users/{id}/voices", 0, on_preflight },
        { "OPTIONS", "/v1/users/{id}/voices/{voice}", 0, on_preflight },
        { "OPTIONS", "/v1/users/{id}/voices/{voice}/preview", 0, on_preflight },
        { "OPTIONS", "/v1/users/{id}/voice-notices/{notice}", 0, on_preflight },
        { 0 },
    };

    return pat_httpd_routes(s->httpd, routes, s);
}
