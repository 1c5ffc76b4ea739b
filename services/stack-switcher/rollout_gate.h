/* rollout_gate.h - is the new stack worse than the old? Pure.
 *
 * Both sides are measured with an interval that holds the true value in 95 of 100 cases: a share
 * of calls by Wilson's score, a median by the ranks of the sign test (Postgres), a ratio of sums by
 * its linearised variance. The interval of their difference is put together from the two (Newcombe
 * 1998, method 10; MOVER for the others). A gate passes when all of that interval is within the
 * margin, and fails when all of it is beyond; in between, or with too few calls, nobody knows.
 * Thread: any.
 */
#ifndef ROLLOUT_GATE_H
#define ROLLOUT_GATE_H

#include "pat.h"

enum gate_verdict { GATE_PASS, GATE_INCONCLUSIVE, GATE_FAIL }; /* from good to bad */
const char *gate_verdict_name(enum gate_verdict v);

struct gate_side {
    double n; /* calls */
    double value, low, high;
};
struct gate_side gate_share(double n, double hits);
/* Sum y over sum x of n calls: sums of x, y, x*x, y*y, x*y. */
struct gate_sums {
    double n, x, y, xx, yy, xy;
};
struct gate_side gate_ratio(const struct gate_sums *s);

struct gate_rule {
    double margin;   /* the new side may be worse by so much, in its own unit */
    double relative; /* and by this share of the old side's value */
    double min_calls;
};
struct gate_result {
    enum gate_verdict verdict;
    double difference, low, high; /* new minus old */
    double margin;                /* in the value's unit */
    const char *why;              /* a constant */
};
/* More is worse. */
struct gate_result gate_judge(const struct gate_rule *rule, const struct gate_side *fresh,
                              const struct gate_side *old);

/* All gates of a rollout ("failure_rate", "answer_ms", "response_ms", "cost_per_minute") over what
 * patchbay.rollout_measure has found (NULL: it could not). *out: [{"gate", "verdict", "why",
 * "margin", "difference", "low", "high", "min_calls", "new", "old"}]; the verdict is the worst. */
enum gate_verdict gates_judge(struct pat_json **out, const struct pat_json *rules,
                              const struct pat_json *measured);
bool gates_any(const struct pat_json *rules);
extern const char *const gate_names[];
enum { GATES = 4 };

#endif
