/* checkpoint.h - what the next agent must know to go on with a call, kept outside of this process.
 *
 * Key `<call id>.state.<epoch>` in the bucket `pat_calls`, next to the context: an agent that was
 * replaced and does not know it yet writes where nobody looks any more. Written when something
 * worth it has changed: at most every CHECKPOINT_MS, one write on its way at a time, and nobody
 * waits for it. What changes with every packet (how far we have been heard) is written now and then
 * only; so at worst the last half a second is not in it.
 *
 *   {"epoch", "at_ms", "began_ms", "answered", "turns", "turn", "said", "history", "reply",
 * "usage",
 *    ...and what each part of checkpoint_parts adds under its own name}
 *
 * Thread: the loop's; checkpoint_plan is pure.
 */
#ifndef CALL_CHECKPOINT_H
#define CALL_CHECKPOINT_H

#include "pat.h"

#define CHECKPOINT_MS 250

struct call;

/* Parts that keep something of their own across agents: a line each in checkpoint.c. */
struct checkpoint_part {
    const char *name;
    struct pat_json *(*save)(const struct call *c); /* NULL: nothing to keep */
    /* When the call goes on elsewhere: context, history and voice are there, the room is not yet.
     * saved: what save gave; borrowed. */
    void (*load)(struct call *c, const struct pat_json *saved);
};

int checkpoint_init(struct call *c) PAT_MUST_CHECK;
/* Something has changed. */
void checkpoint_touch(struct call *c);
/* All of it, now. Yours to free; NULL: out of memory. */
struct pat_json *checkpoint_make(const struct call *c);
/* The last one: written at once, whatever is on its way. */
void checkpoint_flush(struct call *c);
void checkpoint_free(struct call *c);
/* Fills a call that has its context with what another agent left. */
void checkpoint_load(struct call *c, const struct pat_json *saved);

/* How to go on. */
enum resume {
    RESUME_NO,     /* it is no taken-over call, or it had not begun: as any other */
    RESUME_LISTEN, /* in silence */
    RESUME_SAY,    /* the rest of what was being said */
    RESUME_REPEAT, /* the caller was speaking and nobody heard: ask for it again */
    RESUME_THINK,  /* the caller waits for an answer */
    RESUME_TOOLS,  /* in silence, until the tools that were running are done */
    RESUME_LEAVE,  /* the goodbye was said */
};
struct resume_plan {
    enum resume what;
    bool leave_after; /* what is said was the last */
    char *say;        /* RESUME_SAY: from the first sentence not heard whole. Yours to free */
};
struct resume_plan checkpoint_plan(const struct pat_json *saved);

#endif
