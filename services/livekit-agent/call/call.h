/* call.h - one call: a room, a caller, a conversation, an end.
 *
 * call_new joins the room at once; the context may be known then or be told later. Everything has
 * a deadline: a caller who never comes, a context that never comes, the longest call. Life:
 * call_new -> ended (exactly once, never inside a function of this header) -> call_free.
 * Thread: the loop's.
 */
#ifndef CALL_H
#define CALL_H

#include "env.h"

struct call;

/* How we lost the room without wanting to. */
enum call_lost {
    CALL_LOST_REMOVED,
    CALL_LOST_REPLACED,
    CALL_LOST_UNREACHABLE,
    CALL_LOST_TERMINATED
};

struct call_events {
    /* The SIP leg carries our signed headers (not yet verified). Once, only without a context. */
    void (*headers)(struct call *c, const struct context_headers *h, void *arg);
    /* The call is over and has left the room: free it. */
    void (*ended)(struct call *c, void *arg);
    /* An agent of another epoch is in the room: a later one (then we are gone), or an earlier one.
     * May be NULL. */
    void (*rival)(struct call *c, int epoch, void *arg);
    /* The room is lost: call_close or call_yield it, soon. NULL: it ends by itself. */
    void (*lost)(struct call *c, enum call_lost why, void *arg);
};

/* The text of call_announce: was all of it heard? Once, on the loop, possibly before it returns. */
typedef void call_announced_fn(bool whole, void *arg);

struct call_start {
    const char *call_id;
    const char *room; /* name */
    const char *url;
    const char *token;
    const char *job_id; /* NULL: joined without a job */
    int epoch;          /* 1 for a call's first agent, one more for each that takes it over */
    const struct pat_json *saved; /* what the one before has left (checkpoint.h), or NULL */
    bool cut_off; /* there was one before, and nothing of it is left but what Postgres knows */
};

/* ctx and mouth are taken over, also when it fails; both may be NULL (mouth: made from ctx). */
int call_new(struct call **out, struct env *env, const struct call_start *s,
             struct context *ctx_take, struct mouth *mouth_take, const struct call_events *ev,
             void *arg) PAT_MUST_CHECK;
/* The context, found at last; NULL: there is none. The first word counts. Taken over. */
void call_context(struct call *c, struct context *ctx_take);
/* Ends it. polite: what is being said is finished first. */
void call_hang_up(struct call *c, const char *reason, bool polite);
/* Keys pressed towards the caller's end: "0-9*#ABCD", "w" is half a second's pause. They go out one
 * after the other behind what is still going; PAT_EINVAL: other characters, PAT_E2BIG: more than
 * 63, PAT_EUNAVAIL: nobody is there. */
int call_send_dtmf(struct call *c, const char *digits) PAT_MUST_CHECK;
/* Ends it at once, as if we had wanted to. */
void call_close(struct call *c, const char *reason);
/* Somebody else serves it: leaves without a word, and without closing the room. */
void call_yield(struct call *c, const char *reason);
/* Says a text of ours in the call's voice (cached like a greeting), when what is being said has
 * been spoken, or now. Firm: the caller cannot interrupt it; what they say meanwhile is their next
 * turn. fn may be NULL. PAT_EAGAIN: TURN_SAY_MAX texts wait already. */
enum { CALL_SAY_NOW = 1, CALL_SAY_FIRM = 2 };
int call_announce(struct call *c, const char *text, unsigned how, call_announced_fn *fn,
                  void *arg) PAT_MUST_CHECK;
/* Not a packet leaves us while a bit of it is set: whether the call is ours is being asked. */
enum { CALL_HUSH_STALL = 1, CALL_HUSH_GHOST = 2 };
void call_hush(struct call *c, unsigned bits);
void call_unhush(struct call *c, unsigned bits);
/* It has left the room, or is about to, because others have the call (or should): the room stays.
 */
bool call_yielded(const struct call *c);
/* Nobody is talking or about to: nothing would be lost if another agent took over just now. */
bool call_is_quiet(const struct call *c);
/* Everything the next agent needs is written now, whatever is on its way. */
void call_save(struct call *c);
/* At any time; leaves the room without ceremony when it had not. */
void call_free(struct call *c);

/* Before its greeting is made: a call that will be recorded says so, when that is asked for. */
void call_record_notice(const struct env *e, struct context *ctx);

/* Of a call whose agents are all dead: what the last checkpoint of theirs has counted is told, as
 * each of them would have told it at the end. */
void call_usage_left(const struct env *e, const char *call_id_text, const struct pat_json *saved);

const char *call_id(const struct call *c);
/* Why it ended, or is ending; "" before. */
const char *call_reason(const struct call *c);
const char *call_job(const struct call *c); /* "" without one */
int64_t call_late_frames(const struct call *c);
int call_epoch(const struct call *c);
const char *call_room(const struct call *c);
/* The parameters it began with, as text; NULL: none. */
const char *call_params(const struct call *c);
bool call_has_context(const struct call *c);

#endif
