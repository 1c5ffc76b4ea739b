/* switch_next.c - see switch_next.h. */
#include "switch_next.h"

#include <string.h>

/* Nobody promotes it: it is looked at all the same. */
#define HOLD_MS ((int64_t)3600 * 1000)

static const struct {
    const char *name, *state;
    bool may_fail;
} steps[] = {
    [STEP_NONE] = { "none", NULL, false },
    [STEP_VALIDATE] = { "validate", "validated", true },
    [STEP_PROVISION] = { "provision", "provisioned", true },
    [STEP_VERIFY] = { "verify", "verified", true },
    [STEP_CUTOVER] = { "cutover", "cutover", true },
    [STEP_OBSERVE] = { "observe", "observed", false },
    [STEP_DRAIN] = { "drain", "drained", false },
    [STEP_RETIRE] = { "retire", "retired", false },
    [STEP_CUT_BACK] = { "cut_back", "rolled_back", false },
    [STEP_OBSERVE_BACK] = { "observe_back", NULL, false },
    [STEP_DRAIN_BACK] = { "drain_back", NULL, false },
    [STEP_CLEAN_UP] = { "clean_up", NULL, false },
};
_Static_assert(sizeof steps / sizeof steps[0] == SWITCH_STEPS, "every step has a row");

const char *switch_step_name(enum switch_step s)
{
    return steps[s].name;
}

const char *switch_step_state(enum switch_step s)
{
    return steps[s].state;
}

bool switch_step_may_fail(enum switch_step s)
{
    return steps[s].may_fail;
}

enum switch_step switch_step_parse(const char *s)
{
    for (unsigned i = 1; i < SWITCH_STEPS; i++)
        if (!strcmp(steps[i].name, s))
            return (enum switch_step)i;
    return STEP_NONE;
}

static bool is_done(const struct switch_facts *f, enum switch_step s)
{
    return f->done & 1u << s;
}

static struct switch_move forward(const struct switch_facts *f)
{
    for (unsigned i = STEP_VALIDATE; i <= STEP_RETIRE; i++) {
        if (is_done(f, (enum switch_step)i))
            continue;
        if (i == STEP_CUTOVER && f->hold)
            return (struct switch_move){ .wait_ms = HOLD_MS, .why = "held until it is promoted" };
        if (i == STEP_RETIRE && f->window_left_ms > 0)
            return (struct switch_move){ .wait_ms = f->window_left_ms,
                                         .why = "the old agent is kept until the window ends" };
        return (struct switch_move){ .step = (enum switch_step)i };
    }
    return (struct switch_move){ 0 };
}

static bool is_needed(const struct switch_facts *f, enum switch_step s)
{
    if (s == STEP_CLEAN_UP)
        return true;
    if (!is_done(f, STEP_CUTOVER))
        return false;
    /* Calls on the new stack matter only to an agent that is taken away. */
    return s != STEP_DRAIN_BACK || f->made;
}

static struct switch_move back(const struct switch_facts *f)
{
    for (unsigned i = STEP_CUT_BACK; i <= STEP_CLEAN_UP; i++)
        if (!is_done(f, (enum switch_step)i) && is_needed(f, (enum switch_step)i))
            return (struct switch_move){ .step = (enum switch_step)i };
    return (struct switch_move){ 0 };
}

struct switch_move switch_next(const struct switch_facts *f)
{
    if (f->finished)
        return (struct switch_move){ 0 };
    if (f->undo)
        return back(f);
    if (f->wish)
        return (struct switch_move){ .turn = true };
    return forward(f);
}

struct switch_facts switch_facts_of(const struct pat_json *row)
{
    const struct pat_json *done = pat_json_at(row, "done");
    struct switch_facts f = {
        .finished = *pat_json_str_or(row, "finished_at", ""),
        .undo = pat_json_bool_or(row, "undo", false),
        .wish = *pat_json_str_or(row, "wish", ""),
        .made = pat_json_bool_or(row, "made", false),
        .hold = pat_json_bool_or(row, "hold", false) && !pat_json_bool_or(row, "promoted", false),
        .window_left_ms = pat_json_int_or(row, "window_left_ms", 0),
    };

    if (done && pat_json_kind(done) == PAT_JSON_ARR)
        PAT_JSON_EACH(name, done)
    if (pat_json_value_str(name))
        f.done |= 1u << switch_step_parse(pat_json_value_str(name));
    return f;
}

const char *switch_end(const struct pat_json *row)
{
    return *pat_json_str_or(row, "wish", "") ? "rolled_back" : "failed";
}
