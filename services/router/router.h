/* router.h - the router's parts and what they share.
 *
 * A carrier's request comes in (carrier.h), the number is looked up (routes.h), a pure function
 * says which stack serves (decide.h), the answer is written (document.h), and what happened is told
 * behind the answer's back (record.h). The router keeps no state of a call: what later callbacks
 * need travels, signed, in their URLs (callref.h). Thread: the loop's, everywhere in this folder.
 */
#ifndef ROUTER_H
#define ROUTER_H

#include "pat.h"

struct routes;

struct router_conf {
    char *listen;
    char *public_url; /* without a trailing slash */
    char *signing_keys;
    char *rehearse_agent; /* agent config id; "": none */
    char *carrier;        /* "signalwire", "twilio" */
    char *carrier_url;
    char *carrier_project;
    char *carrier_token;
    char *call_secret;
    char *livekit_sip_host;
    char *livekit_sip_transport;
    char *livekit_sip_username;
    char *livekit_sip_password;
    char *retell_sip_host;
    char *retell_sip_transport;
    char *provider_url;
    char *inside_token;
    char *snapshot_file;
    char *spool_file;
    char *say_voice;
    int64_t rehearse_ms, rehearse_cents;
    bool standby;
    int64_t dial_timeout_s;
    int64_t no_agent_ms; /* 0: nothing is watched */
    int64_t redials;
    int64_t max_call_s;
    int64_t voicemail_max_s;
    bool voicemail_transcribe;
    char *transfer_caller_id; /* "called", "caller" */
    char *transfer_prefixes;
    int64_t transfer_max;
    int64_t transfers_per_min;
    int64_t caller_per_min; /* 0: no limit; so the next two */
    int64_t number_per_min;
    int64_t forwards_per_caller;
    int64_t forward_daily_cents;
    int64_t forward_unpriced_cents;
    int64_t lease_ms;
    int64_t reconcile_ms; /* 0: never */
    int64_t chores_ms;
    int64_t voicemail_max_bytes;
    struct pat_store_conf recording; /* messages are kept there */
};

enum stack { STACK_NONE, STACK_RETELL, STACK_LIVEKIT };

const char *stack_name(enum stack s); /* "retell", "livekit", "none" */
enum stack stack_parse(const char *s);

struct router_stats {
    struct pat_counter *refused;       /* requests not answered with a document */
    struct pat_counter *over_budget;   /* calls there was no money left for */
    struct pat_histogram *answer_s[2]; /* without and with an outside request */
};

struct router {
    struct pat_daemon *d;
    const struct router_conf *conf;
    struct routes *routes;
    struct pat_journal *journal;
    struct pat_httpd *httpd;
    struct pat_sub *explain;
    struct actions *actions;
    struct moves *moves;
    struct watches *watches;
    struct team *team; /* LiveKit's agents */
    struct repeats *repeats;
    struct health *health; /* of the stacks */
    struct rehearsals *rehearsals;
    struct guard *guard;
    struct budget *budget;
    struct confirm *confirm;
    struct heir *heir; /* or NULL */
    struct reconcile *reconcile;
    struct fetch *fetch;
    struct router_stats stats;
};

/* inbound.c: the carrier asks what to do with a new call. */
int inbound_routes(struct router *r) PAT_MUST_CHECK;
/* A new call of a number that is in service, whoever was asked first. Replies. */
struct carrier_req;
struct route;
void inbound_begin(struct router *r, const struct carrier_req *c, const char *from,
                   const struct route *route, int64_t started_us);
/* dial.c: how a dialled leg ended. */
int dial_routes(struct router *r) PAT_MUST_CHECK;
/* status.c: the carrier tells that a call ended. */
int status_routes(struct router *r) PAT_MUST_CHECK;
/* fallback.c: the voice URL failed, take a message. */
int fallback_routes(struct router *r) PAT_MUST_CHECK;
/* explain.c: RPC router.explain. */
int explain_serve(struct router *r) PAT_MUST_CHECK;

#endif
