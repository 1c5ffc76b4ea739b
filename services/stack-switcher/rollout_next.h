/* rollout_next.h - the rollout's machine: what is done next. Pure.
 *
 * users: so many are switched, then measured (settled, baked, judged), and so on. calls: all are
 * brought to where they could cut over (phase moving), then a growing share of their calls goes to
 * the new stack (sharing), then they cut over (cutting). Whatever a person has said is in the
 * state; whatever is under way is in the counts. Thread: any.
 */
#ifndef ROLLOUT_NEXT_H
#define ROLLOUT_NEXT_H

#include "rollout_gate.h"

enum roll_do {
    ROLL_WAIT,   /* look again after wait_ms */
    ROLL_START,  /* n switches */
    ROLL_SHARE,  /* the step's percentage, where it is another */
    ROLL_CUT,    /* n of those who are ready */
    ROLL_SETTLE, /* the step has done what it does: its time begins */
    ROLL_JUDGE,  /* measure */
    ROLL_PHASE,  /* all are prepared: sharing begins */
    ROLL_STEP,   /* the next step; after the last (calls) cutting */
    ROLL_HOLD,   /* a person is waited for */
    ROLL_HALT,   /* a gate has failed: everybody back */
    ROLL_BACK,   /* some more of the way back */
    ROLL_FINISH,
    ROLL_DOS
};
const char *roll_do_name(enum roll_do d); /* "start", "share" ... */

enum roll_state { ROLL_RUNNING, ROLL_PAUSED, ROLL_HELD, ROLL_RETURNING, ROLL_FINISHED };
enum roll_phase { ROLL_MOVING, ROLL_SHARING, ROLL_CUTTING };

struct roll_facts {
    enum roll_state state;
    enum roll_phase phase;
    bool calls; /* the mode; else users */
    bool hold, promoted, abort;
    int64_t step, steps;
    int64_t total, waiting, moving, ready, moved, returning; /* users */
    int64_t target;                                          /* users tried by this step's end */
    int64_t unshared;                                        /* ready, with another percentage */
    int64_t at_a_time, failures, max_failures;
    bool settled, has_gates;
    bool judged; /* since the step's time was over */
    enum gate_verdict verdict;
    int64_t judged_ms; /* ago; negative: never in this step */
    int64_t bake_left_ms, wait_left_ms;
    int64_t judge_ms; /* no oftener than this */
};

struct roll_move {
    enum roll_do what;
    int64_t n, wait_ms;
    const char *held_for; /* of ROLL_HOLD: "approval", "inconclusive", "failures" */
};

struct roll_move roll_next(const struct roll_facts *f);
/* From patchbay.rollout_look. */
struct roll_facts roll_facts_of(const struct pat_json *look, int64_t judge_ms);

#endif
