/* relay.h - the webhook-relay's parts and what they share.
 *
 * In: vendors' webhooks at the edge (hooks.c, inbox.c), call and turn events (calls.c), the
 * outbox's rows (outbox.c). Out: pat.webhook.v1.received, everything that waits in the outbox, and
 * Pat's own public.call_records (project.c). What is old is deleted here too (retention.c). Nothing
 * is acknowledged before it is stored; nothing stored waits for a process that died: each part
 * sweeps what was left. Thread: the loop's, everywhere in this folder.
 */
#ifndef RELAY_H
#define RELAY_H

#include "pat.h"

/* "16" of #define N 16, for the text of a statement. */
#define RELAY_TEXT_OF(n)  RELAY_TEXT_OF_(n)
#define RELAY_TEXT_OF_(n) #n

struct relay_conf {
    char *listen;
    char *retell_key;
    char *livekit_key;
    char *livekit_secret;
    char *elevenlabs_secret;
    char *supabase_secret;
    int64_t outbox_tries;
    int64_t outbox_patience_ms;
    int64_t keep_every_ms;
    int64_t keep_call_events_days; /* these: 0, for ever */
    int64_t keep_outbox_days;
    int64_t keep_deliveries_days;
    int64_t keep_parked_days;
    int64_t keep_usage_days;
    int64_t keep_webhooks_days;
    char *out_schedule; /* these: webhooks to customers, out.h */
    int64_t out_disable_after_ms;
    int64_t out_inflight;
    int64_t out_lease_ms;
    int64_t out_payload_max;
    bool out_private_nets;
    bool out_tell_delivered;
    struct pat_store_conf recording; /* what a user who is erased is erased from */
};

struct door;
struct inbox;
struct outbox;
struct projector;
struct calls;
struct callbacks;
struct parked;
struct retention;
struct backlog;
struct replay;
struct subscribers;
struct out;
struct erase;

struct relay {
    struct pat_daemon *d;
    const struct relay_conf *conf;
    struct pat_httpd *httpd;
    struct door *doors; /* of hooks.c */
    struct inbox *inbox;
    struct outbox *outbox;
    struct replay *replay;
    struct projector *projector;
    struct calls *calls;
    struct callbacks *callbacks;
    struct parked *parked;
    struct retention *retention;
    struct backlog *backlog;
    struct subscribers *subscribers;
    struct out *out;
    struct erase *erase;
    struct pat_counter *refused;
};

/* hooks.c: the edge. */
int hooks_routes(struct relay *r) PAT_MUST_CHECK;

/* outbox.c: publishes what nobody else has. */
int outbox_new(struct outbox **out, struct relay *r) PAT_MUST_CHECK;
void outbox_free(struct outbox *o);
void outbox_look(struct outbox *o); /* there is news; NULL is fine */

/* project.c: stored webhooks become rows. */
int projector_new(struct projector **out, struct relay *r) PAT_MUST_CHECK;
void projector_free(struct projector *p);
void projector_look(struct projector *p); /* there is news; NULL is fine */

/* calls.c: call and turn events become rows. */
int calls_new(struct calls **out, struct relay *r) PAT_MUST_CHECK;
void calls_free(struct calls *c);

/* callbacks.c: who wants to be called back. */
int callbacks_new(struct callbacks **out, struct relay *r) PAT_MUST_CHECK;
void callbacks_free(struct callbacks *c);

/* rows.c: replies with {name: rows}, rows the one JSON text of the first result. */
void reply_rows(struct pat_rpc_req *req, const char *name, int err,
                const struct pat_db_result *const *results, size_t n);

/* parked.c: what could not be published, and another chance for it. */
int parked_new(struct parked **out, struct relay *r) PAT_MUST_CHECK;
void parked_free(struct parked *p);

/* retention.c: what is older than anybody wants to keep goes. */
int retention_new(struct retention **out, struct relay *r) PAT_MUST_CHECK;
void retention_free(struct retention *k);

/* replay.c: stored webhooks once more, by RPC. */
int replay_new(struct replay **out, struct relay *r) PAT_MUST_CHECK;
void replay_free(struct replay *p);

/* erase.c: a user goes, with all that is his. */
int erase_new(struct erase **out, struct relay *r) PAT_MUST_CHECK;
void erase_free(struct erase *e);

/* backlog.c: how much waits, and how long, as metrics. */
int backlog_new(struct backlog **out, struct relay *r) PAT_MUST_CHECK;
void backlog_free(struct backlog *b);

/* out.h: webhooks to customers. */
int out_new(struct out **out, struct relay *r) PAT_MUST_CHECK;
void out_free(struct out *o);
/* Begins nothing new; left(arg) when what is under way has ended, or after timeout_ms. */
void out_leave(struct out *o, int64_t timeout_ms, pat_loop_fn *left, void *arg);

#endif
