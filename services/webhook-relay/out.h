/* out.h - webhooks to customers: the parts, and what they share.
 *
 * Events of the streams become rows of patchbay.webhook_deliveries (out_fan_out.c). Rows that are
 * due are claimed, a few per endpoint (out_deliver.c), signed and sent (out_send.c), and how that
 * went is written down in batches (out_settle.c); each by one statement, one at a time, so that the
 * relay's other work in Postgres waits for little. Endpoints and what was delivered are asked for
 * and changed by RPC (out_endpoints.c, out_deliveries.c). The queue is Postgres: several relays
 * share it, and one that is killed loses nothing. Thread: the loop's.
 */
#ifndef OUT_H
#define OUT_H

#include "out_lanes.h"
#include "out_schedule.h"
#include "relay.h"

enum { OUT_DB_MS = 15000, OUT_WORD_MAX = 32, OUT_TYPE_MAX = 96, OUT_RESPONSE_MAX = 500 };

/* How one attempt ended. */
struct out_result {
    struct pat_id delivery, endpoint, event, user;
    char type[OUT_TYPE_MAX];
    int attempt, tries;
    const char *what; /* "delivered", "retry", "dead", "back": as patchbay.webhook_settle has it */
    int status;       /* 0: none came */
    int64_t ms;
    const char *fault; /* literals; NULL when delivered */
    char error[OUT_WORD_MAX];
    char *response; /* owned; what came with a failure, or NULL */
    int64_t next_ms;
    int64_t hold_ms; /* 0: no pause for the endpoint */
    bool gone;
    bool ordered; /* another one may wait behind it */
};

struct out_fan_out;
struct out_settle;
struct out_endpoints;
struct out_deliveries;
struct out_upkeep;
struct out_attempt;

struct out_metrics {
    struct pat_counter *fanned_out, *not_fanned_out;
    struct pat_counter *delivered, *retried, *dead, *put_back;
    struct pat_counter *faults[3]; /* receiver, network, ours */
    struct pat_counter *disabled;
    struct pat_gauge *in_flight;
    struct pat_histogram *seconds;
};

struct out {
    struct relay *r;
    struct pat_http *http;
    struct out_schedule schedule;
    struct out_lanes lanes;
    struct out_attempt *attempts; /* under way */
    int in_flight;
    int64_t inflight_max;
    struct pat_timer pump, sweep;
    pat_db_id claim, due;
    char sweep_after[PAT_ID_LEN + 1];
    struct out_lane *asked[64]; /* by the claim under way */
    size_t n_asked;
    bool leaving; /* nothing new is begun */
    pat_loop_fn *left;
    void *left_arg;
    struct pat_timer leave_deadline;
    struct out_fan_out *fan_out;
    struct out_settle *settle;
    struct out_endpoints *endpoints;
    struct out_deliveries *deliveries;
    struct out_upkeep *upkeep;
    struct out_metrics m;
};

/* out_deliver.c */
/* The endpoint may have something due: looked at soon. */
void out_touch(struct out *o, const char *endpoint);
void out_pump_soon(struct out *o);
/* An attempt has ended; the result's response is taken over. */
void out_ended(struct out *o, struct out_result *result);
/* Everything under way has ended and is written down: for who leaves. */
void out_check_left(struct out *o);

/* out_send.c: one row of webhook_claim, sent. */
void out_send(struct out *o, const struct pat_db_result *rows, size_t row);
/* Ends all that is under way: they go back into the queue. */
void out_send_cancel_all(struct out *o);

/* out_settle.c */
int out_settle_new(struct out_settle **out, struct out *o) PAT_MUST_CHECK;
void out_settle_free(struct out_settle *s);
void out_settle_add(struct out_settle *s, struct out_result *result);
size_t out_settle_pending(const struct out_settle *s);
/* Writes down now what there is. */
void out_settle_flush(struct out_settle *s);

/* out_tell.c: webhook.delivered and webhook.failed. */
void out_tell(struct out *o, const struct out_result *result);

/* out_fan_out.c */
int out_fan_out_new(struct out_fan_out **out, struct out *o) PAT_MUST_CHECK;
void out_fan_out_free(struct out_fan_out *f);

/* out_endpoints.c, out_deliveries.c: RPC. */
int out_endpoints_new(struct out_endpoints **out, struct out *o) PAT_MUST_CHECK;
void out_endpoints_free(struct out_endpoints *e);
int out_deliveries_new(struct out_deliveries **out, struct out *o) PAT_MUST_CHECK;
void out_deliveries_free(struct out_deliveries *d);

/* out_upkeep.c: what waits, as metrics; what is old goes. */
int out_upkeep_new(struct out_upkeep **out, struct out *o) PAT_MUST_CHECK;
void out_upkeep_free(struct out_upkeep *u);

#endif
