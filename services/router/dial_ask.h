/* dial_ask.h - how a dialled leg ended, asked of the carrier because its own word was lost.
 *
 * The carrier's list of the legs a call has dialled (REST, "List calls" by ParentCallSid:
 * SignalWire docs, "Compatibility API: List All Calls"; twilio.com/docs/voice/api/call-resource)
 * says of each what the Dial's action would have said. The newest counts. Thread: the loop's.
 */
#ifndef ROUTER_DIAL_ASK_H
#define ROUTER_DIAL_ASK_H

#include "callref.h"
#include "legs.h"
#include "number.h"

struct dial_told {
    bool known;                   /* false: it could not be asked, or has no leg that is over */
    char leg[CALLREF_ID_MAX + 1]; /* the carrier's id */
    char to[NUMBER_MAX];          /* the number dialled; "": none, or not said */
    char status[16];              /* as DialCallStatus */
    int sip_code;                 /* 0: not said */
    int64_t talk_ms;              /* negative: not said */
};

/* The newest of a list of legs, as the carrier gives it. Pure. */
struct dial_told dial_told_of(const struct pat_json *calls);

/* Into the leg's own row: it has ended. why: one that is no word of the list is not noted. */
void dial_told_note(struct router *r, const struct callref *ref, const struct dial_told *t,
                    enum legs_kind kind, const char *why);

/* Runs once, on the loop. Borrowed. */
typedef void dial_ask_fn(const struct dial_told *told, void *arg);
/* carrier_call: the caller's leg. */
int dial_ask(struct router *r, const char *carrier_call, int64_t timeout_ms, dial_ask_fn *fn,
             void *arg) PAT_MUST_CHECK;

#endif
