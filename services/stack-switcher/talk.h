/* talk.h - "Talk to your agent": a call from a browser, by HTTP.
 *
 * The row in Postgres comes first and says how long the call may be (patchbay.talk_begin); then the
 * stack is told (talk_stack.c): a livekit-agent prepares the room, or Retell makes a web call. The
 * browser gets an address and a token, and is at the stack from there on. Whoever serves the call
 * ends it; what nobody came to, or nobody ends, is closed by a round every few seconds. Life:
 * talk_new -> routes -> talk_free. Thread: the loop's.
 */
#ifndef SWITCHER_TALK_H
#define SWITCHER_TALK_H

#include "pat.h"

struct talk_conf {
    char *livekit_url, *livekit_public_url; /* as we reach it; as browsers do, "" for the same */
    char *livekit_key, *livekit_secret;
    char *retell_url;                /* where its web calls are */
    int64_t max_ms, day_ms, join_ms; /* a talk; a user's in 24 hours; until somebody comes */
    int64_t per_min;                 /* begun by one person */
};

struct switcher;
struct talk;
int talk_new(struct talk **out, struct switcher *s) PAT_MUST_CHECK;
void talk_free(struct talk *t); /* NULL is fine */
int talk_routes(struct switcher *s) PAT_MUST_CHECK;

/* Where a console's calls go, for its content security policy: " wss://host https://host ...", each
 * with a blank before it. */
int talk_hosts(const struct talk_conf *conf, struct pat_buf *out);

/* ---- the stack's side (talk_stack.c) ---- */

struct talk_asked {
    const char *call, *user, *agent_config; /* ids */
    int64_t config_version, max_ms;
    bool retell;
    const char *retell_agent;
    const struct pat_json *retell_version; /* or NULL */
    const struct pat_json *settings;       /* LiveKit */
};
/* err: PAT_OK with url and token, and retell_call or NULL; PAT_EUNAVAIL: the stack is down, or not
 * set up; why: for people. Borrowed. Runs once. */
typedef void talk_ready_fn(int err, const char *url, const char *token, const char *retell_call,
                           const char *why, void *arg);
int talk_start(struct switcher *s, const struct talk_asked *a, talk_ready_fn *fn,
               void *arg) PAT_MUST_CHECK;
/* The room goes, the web call is ended; what does not come to pass is logged. retell_call may be
 * NULL. */
void talk_stop(struct switcher *s, const char *call, const char *stack, const char *retell_call);

/* A token for that call's room: to hear, and to be heard by microphone; nothing else. Yours to
 * free. */
char *talk_token(const struct talk_conf *conf, const char *call, int64_t ttl_s,
                 int64_t now_s) PAT_MUST_CHECK;
/* An address with another scheme: ws for http and back; tls as it was. */
int talk_url(struct pat_buf *out, const char *url, bool ws) PAT_MUST_CHECK;

#endif
