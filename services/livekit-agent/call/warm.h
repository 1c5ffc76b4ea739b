/* warm.h - a warm transfer: the caller waits, somebody else is asked whether he takes the call, and
 * comes to the caller, or does not.
 *
 *   begun    the router is asked to call him, into a room of the transfer's own (consult.h)
 *   ringing  the caller hears music
 *   asking   he hears who calls and why, may ask back, says yes or no
 *   coming   he wants the caller: the router is told, that room closed, his leg comes to the call's
 *   there    both hear each other; the router is told, a sentence said, and we leave the two alone
 *
 * Whatever goes wrong before the last leads back to the caller, who is offered a message or to be
 * called back. One per call at a time; it belongs to the call, and survives its agent as part
 * "warm" of the checkpoint. Why two rooms: docs/decisions/0015. Thread: the loop's.
 */
#ifndef CALL_WARM_H
#define CALL_WARM_H

#include "pat.h"

struct call;
struct pat_target;
struct rtc_participant;
struct warm;

/* It has begun: the router calls him; or it has not, and why: "busy" ... Once. */
typedef void warm_begun_fn(const char *refusal, void *arg);
/* briefing: who calls and why, as the model has put it; "" : it is asked for. PAT_EEXIST: another
 * one is under way. */
int warm_start(struct call *c, const struct pat_target *to, const char *briefing,
               warm_begun_fn *begun, void *arg) PAT_MUST_CHECK;
/* Not wanted any more: begun will not be told. */
void warm_forget_begun(struct call *c);

/* Somebody in the call's room, other than the caller. True: he has a role there, or claims one. */
bool warm_meets(struct call *c, const struct rtc_participant *p);
/* The caller's turn while they wait: it is answered here. */
bool warm_takes_turn(struct call *c, const char *said);
/* The call ends; with c->yielded somebody else goes on with it. */
void warm_stop(struct call *c);
void warm_free(struct call *c);
/* The caller waits, or is about to be left: their silence is no question. */
bool warm_waits(const struct call *c);

/* Of the checkpoint. */
struct pat_json *warm_save(const struct call *c);
void warm_load(struct call *c, const struct pat_json *saved);

#endif
