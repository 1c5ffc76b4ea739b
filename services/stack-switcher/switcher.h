/* switcher.h - the stack-switcher's parts and what they share.
 *
 * In: HTTP requests with a Supabase token (who.h). Out: what Postgres knows, as JSON (api.c through
 * ask.h). It keeps nothing in memory, so replicas are alike. Thread: the loop's, everywhere in this
 * folder.
 */
#ifndef SWITCHER_H
#define SWITCHER_H

#include "pat.h"

struct switcher_conf {
    char *listen;
    char *jwt_secret;
    char *product; /* these: of the console (console.c) */
    char *badge_retell;
    char *badge_livekit;
    char *help_url;
    char *login_url;
    char *supabase_url;
    char *supabase_anon_key;
    char *demo_logins;
};

struct webhooks;

struct switcher {
    struct pat_daemon *d;
    const struct switcher_conf *conf;
    struct pat_httpd *httpd;
    struct webhooks *webhooks;
    struct pat_counter *refused;   /* requests without a good token */
    struct pat_histogram *reply_s; /* from the request to its answer, Postgres included */
};

/* api.c: the routes. */
int api_routes(struct switcher *s) PAT_MUST_CHECK;
/* agents.c, users.c: the same. */
int agents_routes(struct switcher *s) PAT_MUST_CHECK;
int users_routes(struct switcher *s) PAT_MUST_CHECK;
/* console.c: the web pages. */
int console_routes(struct switcher *s) PAT_MUST_CHECK;
/* openapi.json: what they are, as an OpenAPI 3.1 document. */
extern const char openapi_json[];
extern const size_t openapi_json_len;

#endif
