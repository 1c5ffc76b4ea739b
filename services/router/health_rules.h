/* health_rules.h - a stack's health as all routers share it: pure, (record, evidence, now) ->
 * record.
 *
 *   up        calls go there
 *   degraded  calls go there; something is wrong, or it has only just come back: then the next
 *             failure closes it again, and HEALTH_RECOVERED good signs make it up
 *   down      calls stay away for open_ms; then one router at a time holds the trial, and its next
 *             call goes there. It doubles with each trial that fails, up to HEALTH_OPEN_MAX_MS
 *
 * Trouble is counted in points, which a served call takes away again: five plain failures in a row
 * close a stack, two that say clearly that it is broken, or one probe. A probe that is not sure of
 * itself does not close a stack that has served a call within HEALTH_TRUST_MS.
 * Times: ms since 1970, as several hosts have them; a second of difference does no harm.
 * Thread: any, one at a time.
 */
#ifndef ROUTER_HEALTH_RULES_H
#define ROUTER_HEALTH_RULES_H

#include "pat.h"

#define HEALTH_WHY_MAX     95
#define HEALTH_RECOVERED   3
#define HEALTH_OPEN_MS     10000
#define HEALTH_OPEN_MAX_MS 120000
#define HEALTH_TRIAL_MS    10000 /* a router keeps the trial so long, used or not */
#define HEALTH_TRUST_MS    30000
#define HEALTH_NOTE_MS     10000 /* served_ms is shared as often as that */

enum health_word { HEALTH_UP, HEALTH_DEGRADED, HEALTH_DOWN };
const char *health_word_name(enum health_word w); /* "up", "degraded", "down" */

/* The value of a key in bucket pat_health. */
struct health_record {
    enum health_word word;
    char why[HEALTH_WHY_MAX + 1]; /* "" while up */
    int64_t since_ms;             /* of word; 0: ever since */
    int64_t at_ms;                /* the last change of anything */
    int bad;                      /* points */
    int good;                     /* good signs in a row while recovering or down */
    bool recovering;              /* degraded, and was down before */
    bool by_probe;                /* down because a probe said so */
    int64_t open_ms, open_until_ms;
    char trial[PAT_ID_LEN + 1]; /* the router that holds it; "": nobody */
    int64_t trial_until_ms;
    int64_t served_ms; /* a call was served, to HEALTH_NOTE_MS */
    enum health_word probed;
    int64_t probed_ms;         /* 0: never */
    int64_t rehearsed_ms, day; /* the last synthetic call; since 1970, of cents */
    int64_t cents;             /* what synthetic calls have cost that day */
};

enum health_kind {
    HEALTH_ACCEPTED, /* registered, prepared: the first half */
    HEALTH_SERVED,   /* the agent speaks */
    HEALTH_PROVEN,   /* a synthetic call was served */
    HEALTH_FAILED,
    HEALTH_BROKEN, /* failed in a way that says whose fault it is */
    HEALTH_PROBED,
    HEALTH_CLAIM,    /* this router wants the trial */
    HEALTH_REHEARSE, /* a synthetic call begins, for `cents` */
};

struct health_event {
    enum health_kind kind;
    char why[HEALTH_WHY_MAX + 1];
    enum health_word probed; /* HEALTH_PROBED */
    bool sure;
    int64_t at_ms;                /* of the evidence */
    char router[PAT_ID_LEN + 1];  /* HEALTH_CLAIM */
    int64_t cents, day_cents_max; /* HEALTH_REHEARSE */
    int64_t every_ms;
};

/* True: something is different, and the others want to know. */
bool health_step(struct health_record *r, const struct health_event *e);
/* Calls may go there without being a trial. */
bool health_is_open(const struct health_record *r);
/* Somebody should take the trial. */
bool health_wants_trial(const struct health_record *r, int64_t now_ms);
/* This router holds it. */
bool health_has_trial(const struct health_record *r, const char *router, int64_t now_ms);

/* PAT_EPROTO: not ours. */
int health_record_parse(struct health_record *out, const char *data, size_t len) PAT_MUST_CHECK;
char *health_record_print(const struct health_record *r) PAT_MUST_CHECK;

#endif
