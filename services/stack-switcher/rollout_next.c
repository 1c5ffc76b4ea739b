/* rollout_next.c - see rollout_next.h. */
#include "rollout_next.h"

#include <string.h>

/* Changes are heard of; this is for those that are not. */
#define POLL_MS 1000
#define IDLE_MS 10000
/* Switches begun in one transaction. */
#define BATCH 20

static const char *const names[] = {
    [ROLL_WAIT] = "wait",   [ROLL_START] = "start", [ROLL_SHARE] = "share",
    [ROLL_CUT] = "cut",     [ROLL_JUDGE] = "judge", [ROLL_SETTLE] = "settle",
    [ROLL_PHASE] = "phase", [ROLL_STEP] = "step",   [ROLL_HOLD] = "hold",
    [ROLL_HALT] = "halt",   [ROLL_BACK] = "back",   [ROLL_FINISH] = "finish",
};
_Static_assert(sizeof names / sizeof names[0] == ROLL_DOS, "every move has a name");

const char *roll_do_name(enum roll_do d)
{
    return names[d];
}

static struct roll_move wait_for(int64_t ms)
{
    return (struct roll_move){ .what = ROLL_WAIT, .wait_ms = ms < 1 ? 1 : ms };
}

static struct roll_move hold_for(const char *what)
{
    return (struct roll_move){ .what = ROLL_HOLD, .held_for = what };
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Nothing to do but to look how the calls are: what fails clearly need not wait for its time. */
static struct roll_move watch(const struct roll_facts *f, int64_t ms)
{
    if (f->has_gates && !(f->calls && f->phase == ROLL_MOVING)) {
        if (f->judged_ms < 0 || f->judged_ms >= f->judge_ms)
            return (struct roll_move){ .what = ROLL_JUDGE };
        ms = least(ms, f->judge_ms - f->judged_ms);
    }
    return wait_for(ms);
}

/* As many as may be under way at once; negative: no room. */
static int64_t room(const struct roll_facts *f, int64_t wanted)
{
    return least(least(f->at_a_time - f->moving, wanted), BATCH);
}

/* Nobody is left for another: the calls have just been weighed. */
static bool is_last(const struct roll_facts *f)
{
    return !f->calls && (f->step + 1 >= f->steps || !f->waiting);
}

static struct roll_move go_on(const struct roll_facts *f)
{
    return (struct roll_move){ .what = is_last(f) ? ROLL_FINISH : ROLL_STEP };
}

static struct roll_move cut(const struct roll_facts *f)
{
    int64_t n = room(f, f->ready);

    if (n > 0)
        return (struct roll_move){ .what = ROLL_CUT, .n = n };
    return f->ready || f->moving ? watch(f, POLL_MS) : (struct roll_move){ .what = ROLL_FINISH };
}

/* The step has done what it does. */
static struct roll_move weigh(const struct roll_facts *f)
{
    if (!f->settled)
        return (struct roll_move){ .what = ROLL_SETTLE };
    if (f->promoted)
        return go_on(f);
    if (f->bake_left_ms > 0)
        return watch(f, f->bake_left_ms);
    if (f->has_gates && !f->judged)
        return (struct roll_move){ .what = ROLL_JUDGE };
    if (f->has_gates && f->verdict != GATE_PASS)
        return f->wait_left_ms > 0 ? watch(f, f->wait_left_ms) : hold_for("inconclusive");
    return f->hold && !is_last(f) ? hold_for("approval") : go_on(f);
}

static struct roll_move forward(const struct roll_facts *f)
{
    int64_t missing = f->target - (f->total - f->waiting), n;

    if (f->has_gates && f->judged_ms >= 0 && f->verdict == GATE_FAIL)
        return (struct roll_move){ .what = ROLL_HALT };
    if (f->failures > f->max_failures)
        return hold_for("failures");
    if (f->phase == ROLL_CUTTING)
        return cut(f);
    n = room(f, missing);
    if (n > 0)
        return (struct roll_move){ .what = ROLL_START, .n = n };
    if (missing > 0 || f->moving)
        return watch(f, POLL_MS);
    if (f->calls && f->phase == ROLL_MOVING)
        return (struct roll_move){ .what = ROLL_PHASE };
    if (f->unshared)
        return (struct roll_move){ .what = ROLL_SHARE };
    return weigh(f);
}

static struct roll_move back(const struct roll_facts *f)
{
    if (f->waiting || f->moving || f->ready || f->returning || (f->moved && !f->abort))
        return (struct roll_move){ .what = ROLL_BACK, .wait_ms = POLL_MS };
    return (struct roll_move){ .what = ROLL_FINISH };
}

struct roll_move roll_next(const struct roll_facts *f)
{
    if (f->state == ROLL_RUNNING)
        return forward(f);
    return f->state == ROLL_RETURNING ? back(f) : wait_for(IDLE_MS);
}

/* ------------------------------------------------------------------ */

static int index_of(const char *const *list, int n, const char *s)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(list[i], s))
            return i;
    return n;
}

struct roll_facts roll_facts_of(const struct pat_json *j, int64_t judge_ms)
{
    static const char *const states[] = { "running", "paused", "held", "returning" };
    static const char *const phases[] = { "moving", "sharing" };
    const char *verdict = pat_json_str_or(j, "verdict", "inconclusive");

    return (struct roll_facts){
        .state = (enum roll_state)index_of(states, 4, pat_json_str_or(j, "state", "")),
        .phase = (enum roll_phase)index_of(phases, 2, pat_json_str_or(j, "phase", "")),
        .calls = !strcmp(pat_json_str_or(j, "mode", ""), "calls"),
        .hold = pat_json_bool_or(j, "hold", false),
        .promoted = pat_json_bool_or(j, "promoted", false),
        .abort = !strcmp(pat_json_str_or(j, "back", ""), "abort"),
        .step = pat_json_int_or(j, "step", 0),
        .steps = pat_json_int_or(j, "steps", 0),
        .total = pat_json_int_or(j, "counts.total", 0),
        .waiting = pat_json_int_or(j, "counts.waiting", 0),
        .moving = pat_json_int_or(j, "counts.moving", 0),
        .ready = pat_json_int_or(j, "counts.ready", 0),
        .moved = pat_json_int_or(j, "counts.moved", 0),
        .returning = pat_json_int_or(j, "counts.returning", 0),
        .target = pat_json_int_or(j, "target", 0),
        .unshared = pat_json_int_or(j, "unshared", 0),
        .at_a_time = pat_json_int_or(j, "at_a_time", 1),
        .failures = pat_json_int_or(j, "failures", 0),
        .max_failures = pat_json_int_or(j, "max_failures", 0),
        .settled = pat_json_bool_or(j, "settled", false),
        .has_gates = gates_any(pat_json_at(j, "gates")),
        .judged = pat_json_bool_or(j, "judged", false),
        .verdict = !strcmp(verdict, "pass")   ? GATE_PASS
                   : !strcmp(verdict, "fail") ? GATE_FAIL
                                              : GATE_INCONCLUSIVE,
        .judged_ms = (int64_t)pat_json_num_or(j, "judged_ms", -1),
        .bake_left_ms = (int64_t)pat_json_num_or(j, "bake_left_ms", 0),
        .wait_left_ms = (int64_t)pat_json_num_or(j, "wait_left_ms", 0),
        .judge_ms = judge_ms,
    };
}
