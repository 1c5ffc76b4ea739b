/* leg.h - finds the carrier's leg of a call somebody wants to act on, wherever the call came in.
 *
 * KV bucket pat_calls, keys by call id, kept for an hour: <call>.leg is written behind every answer
 * ({"ref": signed reference, "form": "cxml"|"swml"}), <call>.served is the
 * serving agent's lease (its epoch fences old ones), <call>.end is why it let the call end,
 * <call>.action is the last move (move.h). The row in patchbay.calls has the rest. All are asked at
 * once, and each may be away: KV without an answer leaves what this router remembers, Postgres is
 * only waited for when KV has no leg.
 */
#ifndef ROUTER_LEG_H
#define ROUTER_LEG_H

#include "carrier.h"
#include "move.h"

struct leg {
    struct callref ref; /* ref.call "" when the call is not known; ref.moves = move.n */
    enum carrier_form form;
    bool row;      /* Postgres has answered, and knows the call */
    bool ended;    /* the row says so */
    bool answered; /* the row says so: somebody speaks, or spoke, with the caller */
    int64_t epoch; /* of the present lease; 0: there is none, or it could not be read */
    bool over;     /* that one has let the call end */
    char agent[PAT_ID_LEN + 1]; /* who holds it; "": it was given up, or is not known */
    struct move move;           /* the last; n 0: none */
    uint64_t move_revision;     /* of its KV record; 0: there is none */
    bool kv;                    /* KV answered: its record may be replaced by revision */
    /* Why the agent that served last let the call end; it says so before it does. Of owner caller:
     * it saw the caller's leg leave the room, by whoever's will. NULL: it said nothing. */
    const struct pat_end_reason *end;
};

#define LEG_BUCKET "pat_calls"

/* Makes the bucket. */
int leg_start(struct router *r) PAT_MUST_CHECK;

/* Behind an answer: where the leg is. token: of ref (callref.h). Waits for nothing. */
void leg_note(struct router *r, const struct callref *ref, enum carrier_form form,
              const char *token);

/* The value of <call>.leg. PAT_EPROTO: not ours, or not that call's. */
int leg_read_note(struct callref *out, enum carrier_form *form, const struct router *r,
                  const char *call, const char *data, size_t len) PAT_MUST_CHECK;
/* Why the router itself ends a call, before it does: whoever hears of the end first knows it.
 * epoch: of the lease as found. fn runs once, when it is stored or could not be. An error: it does
 * not run, and nobody will know. */
int leg_note_end(struct router *r, const char *call, int64_t epoch, const char *reason,
                 pat_kv_fn *fn, void *arg) PAT_MUST_CHECK;

/* Runs once, on the loop. err: PAT_OK, also when nothing was found. Borrowed. */
typedef void leg_fn(const struct leg *leg, void *arg);
int leg_find(struct router *r, const char *call, int64_t timeout_ms, leg_fn *fn,
             void *arg) PAT_MUST_CHECK;
/* The same, and Postgres is waited for in any case. */
int leg_find_whole(struct router *r, const char *call, int64_t timeout_ms, leg_fn *fn,
                   void *arg) PAT_MUST_CHECK;

/* Makes m the call's last move before anything is done about it: PAT_EEXIST when another router was
 * first. With KV away only this router knows. */
typedef void leg_claim_fn(int err, void *arg);
int leg_claim(struct router *r, const struct leg *leg, const struct move *m, int64_t timeout_ms,
              leg_claim_fn *fn, void *arg) PAT_MUST_CHECK;
/* A claimed move goes on. Waits for nothing. */
void leg_moved(struct router *r, const char *call, const struct move *m);

#endif
