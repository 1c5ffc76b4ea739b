/* legs.h - all legs the carrier has of one call: what is heard about each, and what follows for the
 * others. Pure.
 *
 * Callbacks come twice, late and in any order. So what is heard is merged, never applied: the same
 * facts in any order end in the same state (patchbay.put_leg is the same rule on the row), and a
 * fact that is there already changes nothing. What contradicts what is there (a leg that talked and
 * is said to be busy) is kept beside it and only logged. What has to be done is asked afterwards.
 *
 *   INITIATED -> RINGING -> TALKING -> ENDED, forward only, any of the middle ones left out.
 *
 * Times: unix ms, 0: not known. Thread: any.
 */
#ifndef ROUTER_LEGS_H
#define ROUTER_LEGS_H

#include "pat.h"

#define LEGS_MAX    16 /* of a call; more are not looked at */
#define LEGS_ID_MAX 128

enum legs_kind {
    LEGS_CALLER,   /* who called; without this one there is no call */
    LEGS_STACK,    /* a voice stack, dialled; ends with the caller's */
    LEGS_TRANSFER, /* a phone, dialled; ends with the caller's */
    LEGS_CONSULT,  /* a phone with a leg of its own; somebody has to end it */
    LEGS_KINDS
};
enum legs_state { LEGS_INITIATED, LEGS_RINGING, LEGS_TALKING, LEGS_ENDED, LEGS_STATES };

const char *legs_kind_name(enum legs_kind k);
const char *legs_state_name(enum legs_state s);

struct legs_leg {
    char id[LEGS_ID_MAX + 1]; /* the carrier's */
    enum legs_kind kind;
    enum legs_state state;
    int64_t began_ms, ringing_ms, answered_ms, ended_ms;
    const struct pat_end_reason *reason; /* NULL: not known */
    int sip_code;                        /* 0: not known */
    int64_t seconds;                     /* talked, as the carrier counts; -1: not known */
    int sequence;                        /* -1: not known */
};

struct legs {
    struct legs_leg leg[LEGS_MAX];
    int n;
};

/* Borrowed for the call. Only what is set is merged. */
struct legs_fact {
    const char *leg;
    enum legs_kind kind;
    enum legs_state state;
    int64_t at_ms;
    const char *reason; /* a word of end_reason.h; NULL: not said */
    int sip_code;
    int64_t seconds; /* -1: not said */
    int sequence;    /* -1: not said */
};

enum legs_news {
    LEGS_NEWS,       /* it changed something */
    LEGS_KNOWN,      /* repeated, or overtaken */
    LEGS_IMPOSSIBLE, /* merged as far as it goes; to be logged */
    LEGS_REFUSED     /* no id, too long a one, or one leg too many */
};
enum legs_news legs_take(struct legs *l, const struct legs_fact *f);
/* The rows of a call (patchbay.legs_of). PAT_EINVAL: not such a list. */
int legs_read(struct legs *out, const struct pat_json *list) PAT_MUST_CHECK;
/* NULL: there is none. */
const struct legs_leg *legs_caller(const struct legs *l);

enum legs_do { LEGS_HANG_UP, LEGS_END_CALL };
struct legs_todo {
    enum legs_do what;
    int leg;                          /* LEGS_HANG_UP: its index */
    const struct pat_end_reason *why; /* never NULL */
    int64_t at_ms;                    /* LEGS_END_CALL: when it ended */
    int64_t talk_ms;                  /* LEGS_END_CALL: -1: not known */
};
/* What follows now, at most LEGS_MAX + 1 things: the end of the caller's leg is the call's, and of
 * every leg; a call older than max_ms is ended. */
int legs_follow(const struct legs *l, int64_t now_ms, int64_t max_ms,
                struct legs_todo out[LEGS_MAX + 1]);

#endif
