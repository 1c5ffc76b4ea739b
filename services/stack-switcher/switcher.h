/* switcher.h - the stack-switcher's parts and what they share.
 *
 * In: HTTP requests with a Supabase token (who.h), RPC. Out: what Postgres knows, as JSON (api.c
 * through ask.h), and switches of stacks (switch.h). What has to last is in Postgres, so replicas
 * are alike. Thread: the loop's, everywhere in this
 * folder.
 */
#ifndef SWITCHER_H
#define SWITCHER_H

#include "rollout.h"
#include "switch.h"
#include "talk.h"

struct switcher_conf {
    int64_t health_goal; /* of 100,000 calls */
    char *listen;
    int64_t slower_calls; /* these: of usage_roll.c */
    int64_t slower_days;
    int64_t slower_every_ms;
    int64_t slower_percent;
    char *jwt_secret;
    char *elevenlabs_url; /* these: of voices (voices.h) */
    char *elevenlabs_key;
    char *voice_fallback;
    int64_t voices_per_user;
    int64_t voice_check_ms; /* 0: no rounds */
    char *preview_model;
    int64_t preview_cache; /* bytes, of all samples; 0: none is kept */
    int64_t previews_per_min;
    char *openai_url;
    char *openai_key;
    bool samples_private;
    char *embed_origins; /* of pages that may embed our components (embed.h) */
    char *product;       /* these: of the console (console.c) */
    char *badge_retell;
    char *badge_livekit;
    char *help_url;
    char *login_url;
    char *supabase_url;
    char *supabase_anon_key;
    char *demo_logins;
    char *jwks_url;
    int64_t invoice_look_ms; /* these: of invoices.h */
    int64_t invoice_margin;  /* percent */
    char *retell_url;
    char *retell_key;
    char *openai_admin_key;
    char *deepgram_url;
    char *deepgram_key;
    char *deepgram_project;
    int64_t reads_per_min; /* these: of one person, at each replica */
    int64_t writes_per_min;
    int64_t judge_ms;                /* a rollout's gates are measured this often */
    struct pat_store_conf recording; /* where recordings are (recordings.h) */
    char *recording_from;            /* and those that are at Retell alone (remote.h) */
    struct switch_conf saga;
    struct talk_conf talk;
};

struct webhooks;
struct keys;
struct limits;
struct feed;
struct roll;
struct rerate;
struct usage_roll;
struct switch_age;
struct invoices;
struct voices;
struct voice_care;
struct voice_forget;
struct recordings;
struct vendor_ask;

struct switcher {
    struct roll *roll;
    struct rerate *rerate;
    struct usage_roll *usage_roll;
    struct switch_age *switch_age;
    struct invoices *invoices;
    struct pat_daemon *d;
    const struct switcher_conf *conf;
    struct pat_httpd *httpd;
    struct webhooks *webhooks;
    struct switches *switches;
    struct keys *keys;
    struct limits *limits;
    struct feed *feed;
    struct pat_sub *rpc[8];
    struct rollouts *rollouts;
    struct pat_sub *rollout_rpc[8];
    struct voices *voices;
    struct voice_care *voice_care;
    struct voice_forget *voice_forget;
    int previews; /* under way */
    struct pat_counter *previews_spoken;
    struct talk *talk;
    struct recordings *recordings;
    struct vendor_ask *vendor;     /* requests under way (voice_vendor.c) */
    struct pat_counter *refused;   /* requests without a good token */
    struct pat_histogram *reply_s; /* from the request to its answer, Postgres included */
};

/* api.c: the routes. */
int api_routes(struct switcher *s) PAT_MUST_CHECK;
/* agents.c, users.c: the same. */
int agents_routes(struct switcher *s) PAT_MUST_CHECK;
int users_routes(struct switcher *s) PAT_MUST_CHECK;
/* explain_api.c: what a router would do, and which version this is. */
int explain_routes(struct switcher *s) PAT_MUST_CHECK;
/* console.c: the web pages. */
int console_routes(struct switcher *s) PAT_MUST_CHECK;
/* switch_api.c: requests that switch, and those that look. */
int switch_api_routes(struct switcher *s) PAT_MUST_CHECK;
/* switch_rpc.c: the same for our own tools. */
int switch_rpc_serve(struct switcher *s) PAT_MUST_CHECK;
void switch_rpc_stop(struct switcher *s);
/* rollout_api.c, rollout_rpc.c: the same of rollouts. */
int rollout_api_routes(struct switcher *s) PAT_MUST_CHECK;
int rollout_rpc_serve(struct switcher *s) PAT_MUST_CHECK;
void rollout_rpc_stop(struct switcher *s);

/* keys.c: the project's public keys, fetched and kept. */
int keys_new(struct keys **out, struct pat_daemon *d, const char *url) PAT_MUST_CHECK;
void keys_free(struct keys *k);
const struct pat_jwks *keys_now(const struct keys *k); /* NULL: none yet */
/* A token named a key that is not there: looked for again, once a minute at most. */
void keys_missed(struct keys *k);

/* feed.c: a switch, or a rollout, as it goes, as server-sent events. */
struct feed_kind {
    const char *event;    /* "switch" */
    const char *question; /* name of the statement */
    const char *sql;      /* $1, $2: who asks (ask.h); $3 the id. The picture, with "version" and
                             "finished_at" */
};
extern const struct feed_kind feed_switch;
int feed_new(struct feed **out, struct switcher *s) PAT_MUST_CHECK;
/* Everybody who watches is let go. */
void feed_close(struct feed *f);
void feed_free(struct feed *f);
struct who;
/* Takes the request over: headers, then a picture of it for each change, until it is over
 * or the reader leaves. */
void feed_open(struct feed *f, struct pat_httpd_req *http, const struct feed_kind *kind,
               const char *id, const struct who *who);
/* A switch_news_fn: the feed is the arg. */
void feed_news(const char *id, void *arg);

/* openapi.json: what they are, as an OpenAPI 3.1 document. */
extern const char openapi_json[];
extern const size_t openapi_json_len;

#endif
