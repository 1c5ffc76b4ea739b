/* switch_next.h - the saga's machine: what a switch does next. Pure.
 *
 * Forward: validate, provision, verify, cutover, observe, drain, retire. Back, from wherever it
 * was: cut_back, observe_back and drain_back where it had cut over, then clean_up. A step that is
 * done is never done again. What was done is stored, so any replica goes on. Thread: any.
 */
#ifndef SWITCH_NEXT_H
#define SWITCH_NEXT_H

#include "pat.h"

enum switch_step {
    STEP_NONE,
    STEP_VALIDATE,
    STEP_PROVISION,
    STEP_VERIFY,
    STEP_CUTOVER,
    STEP_OBSERVE,
    STEP_DRAIN,
    STEP_RETIRE,
    STEP_CUT_BACK,
    STEP_OBSERVE_BACK,
    STEP_DRAIN_BACK,
    STEP_CLEAN_UP,
    SWITCH_STEPS
};

const char *switch_step_name(enum switch_step s); /* "cut_back"; "none" */
enum switch_step switch_step_parse(const char *s);
/* What the switch is called once the step is done; NULL: as before. clean_up's depends, see
 * switch_end. */
const char *switch_step_state(enum switch_step s);
/* Whether the way back begins when the step fails too often: past the cut-over nothing is given up.
 */
bool switch_step_may_fail(enum switch_step s);

struct switch_facts {
    unsigned done; /* bit per enum switch_step */
    bool finished;
    bool undo; /* on the way back */
    bool wish; /* somebody asked for it, and it has not begun */
    bool made; /* an agent was provisioned that was not there before */
    bool hold; /* not before somebody promotes it */
    int64_t window_left_ms;
};

struct switch_move {
    enum switch_step step; /* STEP_NONE: none */
    bool turn;             /* the way back begins */
    int64_t wait_ms;       /* over 0: look again then */
    const char *why;       /* it waits */
};

struct switch_move switch_next(const struct switch_facts *f);
/* From the row as Postgres gives it (patchbay.switch_work). */
struct switch_facts switch_facts_of(const struct pat_json *row);
/* The state of one whose way back is over: "rolled_back" when it was asked for, else "failed". */
const char *switch_end(const struct pat_json *row);

#endif
