/* policy.h - what a user wants done with calls before any agent hears them.
 *
 * Three parts. struct policies: what a user has chosen (patchbay.route_policies), parsed once and
 * shared by all who chose the same; nearly everybody has the defaults, which cost nothing.
 * struct policy_facts: all that is known of one new call. policy_walk: the rules, a pure function
 * of the facts, one row each, in order; the first that stops decides. What each rule means, and why
 * in this order: docs/routing.md. Thread: the loop's.
 */
#ifndef ROUTER_POLICY_H
#define ROUTER_POLICY_H

#include "caller.h"
#include "ladder.h"

#define POLICY_ZONE_MAX 40

/* What is done with a call some rule has caught. */
enum policy_do { POLICY_SERVE, POLICY_FORWARD, POLICY_VOICEMAIL, POLICY_BUSY, POLICY_REJECT };

/* Small and without pointers, so that a call can keep a copy. */
struct policy_wishes {
    unsigned char block, withheld, whitelist, unknown, after_hours; /* enum policy_do */
    unsigned char over_limit, over_budget;
    bool strict;                             /* vetting_strategy */
    bool budget_spent;                       /* patchbay.user_budgets says so */
    unsigned max_concurrent, max_per_minute; /* 0: no limit */
    int daily_forward_cents;                 /* negative: the operator's */
    char forward[NUMBER_MAX];                /* "" none */
    char after_hours_number[NUMBER_MAX];     /* "": forward */
    char fallback_number[NUMBER_MAX];        /* of the ladder's rung "forward"; "" none */
    struct ladder ladder;
};

struct policies;
/* All that is in use: the same choices are kept once. Life: new -> get, put -> free. */
struct policy_set;
int policy_set_new(struct policy_set **out) PAT_MUST_CHECK;
void policy_set_free(struct policy_set *s);
/* json: a row's "policies", or NULL. Yours to put back. What cannot be read in it is left at its
 * default, and logged. NULL: out of memory. */
const struct policies *policy_get(struct policy_set *s, const struct pat_json *json) PAT_MUST_CHECK;
void policy_put(struct policy_set *s, const struct policies *p); /* NULL is fine */
/* As it came; NULL: nothing but defaults. */
const char *policy_text(const struct policies *p);
const struct policy_wishes *policy_wishes(const struct policies *p);

bool policy_blocks(const struct policies *p, const char *number);
bool policy_knows(const struct policies *p, const char *number); /* a whitelisted contact */
/* ISO 3166-1 alpha-2, or NULL: not known. Without a list: any. */
bool policy_allows_country(const struct policies *p, const char *country);

enum policy_hours { HOURS_ALWAYS, HOURS_OPEN, HOURS_CLOSED, HOURS_HOLIDAY };
enum policy_hours policy_hours(const struct policies *p, int64_t now_ms);
bool policy_quiet(const struct policies *p, int64_t now_ms);
/* A time as people write it, without an offset in the user's zone. PAT_EINVAL: no time; PAT_ENOENT:
 * the clocks skip it. */
int policy_moment(const struct policies *p, const char *text, int64_t *unix_ms) PAT_MUST_CHECK;
/* The user's clock: "Mon 2026-11-23 15:30". */
void policy_local_text(const struct policies *p, int64_t now_ms, char out[40]);

/* Of one new call. */
struct policy_facts {
    struct policy_wishes want;
    char from[NUMBER_MAX]; /* "" when withheld */
    char to[NUMBER_MAX];
    enum caller_kind caller;
    bool blocked, known, from_is_ours;
    enum policy_hours hours;
    bool quiet;
    bool caller_burst, number_burst; /* more than the operator allows within a minute */
    bool over_budget;                /* one more call may cost more than is left (budget.h) */
    unsigned live;                   /* other calls of the user's now */
    unsigned last_minute;            /* that began, this one apart */
    /* Why the call may not be sent there, a constant (guard.h); NULL: it may. */
    const char *forward_no, *after_hours_no;
};

enum policy_verdict {
    POLICY_SILENT, /* it does not concern this call */
    POLICY_SPOKE,  /* it does, and lets it through */
    POLICY_STOPS   /* it decides */
};

struct policy_step {
    const char *rule;
    enum policy_verdict verdict;
    enum policy_do what;    /* when it stops */
    const char *number;     /* to forward to; borrowed from the facts */
    const char *reasons[2]; /* constants, of call.routed; the second may be NULL */
    const char *because;    /* for people: why it did or did not speak */
};

#define POLICY_RULES 12

/* All of them are looked at, also behind the one that stops: an explanation wants to know. Returns
 * the first that stops, or -1: the call goes to its stack. */
int policy_walk(const struct policy_facts *f, struct policy_step steps[POLICY_RULES]);

#endif
