/* lifecycle.h - what is heard about the legs of a call goes into their rows, and what follows from
 * it is done: legs are hung up, the call is ended.
 *
 * legs.h decides; the rows (patchbay.call_legs) are where all routers meet. Thread: the loop's.
 */
#ifndef ROUTER_LIFECYCLE_H
#define ROUTER_LIFECYCLE_H

#include "carrier.h"
#include "legs.h"

/* A call and its legs, as take_status and claim_calls give them. */
struct lifecycle_call {
    struct callref ref;
    enum carrier_form form;
    bool ended;    /* the row says so */
    bool answered; /* by a stack */
    struct legs legs;
};

/* Of one row of theirs. PAT_EPROTO: not such a row. */
int lifecycle_read(struct lifecycle_call *out, const struct pat_db_result *rows,
                   size_t row) PAT_MUST_CHECK;
/* Does what legs_follow says. Asked again it does the same once more, which changes nothing. */
void lifecycle_follow(struct router *r, const struct lifecycle_call *c);

/* News of a leg of this call, behind the answer's back: waits for nothing. */
void lifecycle_note(struct router *r, const struct callref *ref, const struct legs_fact *f);
/* A dialled leg has ended, as its Dial action (cXML) or what comes after connect (SWML) says. */
void lifecycle_dialled(struct router *r, const struct carrier_req *c, const struct callref *ref,
                       enum legs_kind kind, const char *reason);
/* A status callback of a phone's leg that was made for this call. */
void lifecycle_phone(struct router *r, const struct carrier_req *c, const struct callref *ref,
                     enum legs_kind kind);

/* What a status callback says of its leg. False: nothing of a leg's life. Borrows from c. */
bool lifecycle_fact(const struct carrier_req *c, struct legs_fact *out);
/* "Sun, 09 Jun 2019 10:00:00 +0000" (RFC 5322, 3.3) as unix ms; 0: it is none. */
int64_t lifecycle_time_ms(const char *text);

#endif
