/* rollout_gate.c - see rollout_gate.h. What is measured is patchbay.rollout_measure's subject, when
 * it is judged rollout_next.c's.
 */
#include "rollout_gate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Two-sided 95 %. */
#define Z 1.959964

const char *const gate_names[GATES] = { "failure_rate", "answer_ms", "response_ms",
                                        "cost_per_minute" };

const char *gate_verdict_name(enum gate_verdict v)
{
    static const char *const names[] = {
        [GATE_PASS] = "pass", [GATE_INCONCLUSIVE] = "inconclusive", [GATE_FAIL] = "fail"
    };

    return names[v];
}

struct gate_side gate_share(double n, double hits)
{
    double p, middle, half, whole;

    if (n <= 0)
        return (struct gate_side){ .high = 1 };
    p = hits / n;
    whole = 1 + Z * Z / n;
    middle = (p + Z * Z / (2 * n)) / whole;
    half = Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / whole;
    return (struct gate_side){ n, p, fmax(0, middle - half), fmin(1, middle + half) };
}

struct gate_side gate_ratio(const struct gate_sums *s)
{
    struct gate_side out = { .n = s->n };
    double residue, half;

    if (s->n < 1 || s->x <= 0)
        return (struct gate_side){ 0 };
    out.value = s->y / s->x;
    if (s->n < 2) {
        out.high = out.value * 2;
        return out;
    }
    residue = s->yy - 2 * out.value * s->xy + out.value * out.value * s->xx;
    half = Z * sqrt(fmax(0, residue) / (s->n * (s->n - 1))) / (s->x / s->n);
    out.low = fmax(0, out.value - half);
    out.high = out.value + half;
    return out;
}

struct gate_result gate_judge(const struct gate_rule *rule, const struct gate_side *fresh,
                              const struct gate_side *old)
{
    struct gate_result r = { .verdict = GATE_INCONCLUSIVE,
                             .margin = rule->margin + rule->relative * old->value,
                             .difference = fresh->value - old->value };

    r.low = r.difference - sqrt(pow(fresh->value - fresh->low, 2) + pow(old->high - old->value, 2));
    r.high =
        r.difference + sqrt(pow(fresh->high - fresh->value, 2) + pow(old->value - old->low, 2));
    if (fresh->n < rule->min_calls || fresh->n < 1) {
        r.why = "too few calls on the new stack";
    } else if (old->n < rule->min_calls || old->n < 1) {
        r.why = "too few calls on the old stack";
    } else if (r.low > r.margin) {
        r.verdict = GATE_FAIL;
        r.why = "worse than the margin allows";
    } else if (r.high <= r.margin) {
        r.verdict = GATE_PASS;
        r.why = "not worse than the margin allows";
    } else {
        r.why = "these calls could mean either";
    }
    return r;
}

/* ------------------------------------------------------------------ from JSON, to JSON */

static struct gate_side side_of(const char *gate, const struct pat_json *j)
{
    if (!strcmp(gate, "failure_rate"))
        return gate_share(pat_json_num_or(j, "n", 0), pat_json_num_or(j, "failed", 0));
    if (!strcmp(gate, "cost_per_minute"))
        return gate_ratio(
            &(struct gate_sums){ pat_json_num_or(j, "n", 0), pat_json_num_or(j, "minutes", 0),
                                 pat_json_num_or(j, "microusd", 0), pat_json_num_or(j, "mm", 0),
                                 pat_json_num_or(j, "cc", 0), pat_json_num_or(j, "mc", 0) });
    return (struct gate_side){ pat_json_num_or(j, "n", 0), pat_json_num_or(j, "value", 0),
                               pat_json_num_or(j, "low", 0), pat_json_num_or(j, "high", 0) };
}

static struct pat_json *side_json(const struct gate_side *s)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_int(j, "n", (int64_t)s->n);
    if (s->n < 1)
        return j;
    pat_json_set_num(j, "value", s->value);
    pat_json_set_num(j, "low", s->low);
    pat_json_set_num(j, "high", s->high);
    return j;
}

static struct pat_json *judge_one(const char *gate, const struct pat_json *rule_j,
                                  const struct pat_json *measured, enum gate_verdict *verdict)
{
    struct pat_json *j = pat_json_obj();
    struct gate_rule rule = { pat_json_num_or(rule_j, "margin", 0),
                              pat_json_num_or(rule_j, "margin_percent", 0) / 100,
                              pat_json_num_or(rule_j, "min_calls", 0) };
    struct gate_side fresh = side_of(gate, pat_json_at(measured, "new")),
                     old = side_of(gate, pat_json_at(measured, "old"));
    struct gate_result r = gate_judge(&rule, &fresh, &old);
    bool both = fresh.n >= 1 && old.n >= 1;

    *verdict = r.verdict;
    pat_json_set_str(j, "gate", gate);
    pat_json_set_str(j, "verdict", gate_verdict_name(r.verdict));
    pat_json_set_str(j, "why", measured ? r.why : "it could not be measured");
    pat_json_set_int(j, "min_calls", (int64_t)rule.min_calls);
    pat_json_set_num(j, "margin", r.margin);
    if (both) {
        pat_json_set_num(j, "difference", r.difference);
        pat_json_set_num(j, "low", r.low);
        pat_json_set_num(j, "high", r.high);
    }
    pat_json_set_take(j, "new", side_json(&fresh));
    pat_json_set_take(j, "old", side_json(&old));
    return j;
}

static const struct pat_json *rule_of(const struct pat_json *rules, const char *gate)
{
    const struct pat_json *rule = pat_json_at(rules, gate);

    return rule && pat_json_kind(rule) == PAT_JSON_OBJ ? rule : NULL;
}

bool gates_any(const struct pat_json *rules)
{
    for (int i = 0; i < GATES; i++)
        if (rule_of(rules, gate_names[i]))
            return true;
    return false;
}

enum gate_verdict gates_judge(struct pat_json **out, const struct pat_json *rules,
                              const struct pat_json *measured)
{
    enum gate_verdict worst = GATE_PASS, one;
    struct pat_json *list = pat_json_arr();

    for (int i = 0; i < GATES; i++) {
        const struct pat_json *rule = rule_of(rules, gate_names[i]);

        if (!rule)
            continue;
        pat_json_add_take(
            list, judge_one(gate_names[i], rule, pat_json_at(measured, gate_names[i]), &one));
        worst = one > worst ? one : worst;
    }
    *out = list;
    return worst;
}
