/* rollout_read.c - what a request for a rollout says, checked and completed: see rollout.h. Pure.
 */
#include "query.h"
#include "rollout.h"
#include "rollout_gate.h"

#include <string.h>

enum { STEPS_MAX = 20, AT_A_TIME = 20, AT_A_TIME_MAX = 200, NAME_MAX_LEN = 120, DAY_S = 86400 };

/* Looked for in order; the first that is wrong is named. */
struct reading {
    const struct pat_json *body;
    struct pat_json *out;
    bool calls;
    const char *field, *what;
};

static bool wrong(struct reading *r, const char *field, const char *what)
{
    r->field = field;
    r->what = what;
    return false;
}

static bool is_one_of(const char *s, const char *a, const char *b)
{
    return s && (!strcmp(s, a) || !strcmp(s, b));
}

/* A whole number within its borders, or def where it is not said. */
static bool read_int(struct reading *r, const char *field, int64_t def, int64_t min, int64_t max,
                     int64_t *out)
{
    const struct pat_json *j = pat_json_at(r->body, field);

    *out = def;
    if (!j)
        return true;
    if (pat_json_get_int(r->body, field, out, NULL) || *out < min || *out > max)
        return wrong(r, field, "is not a number within its borders (openapi.json)");
    return true;
}

static bool read_kinds(struct reading *r)
{
    static const struct query_kind kinds[] = {
        { "hold", PAT_JSON_BOOL },  { "mode", PAT_JSON_STR }, { "name", PAT_JSON_STR },
        { "retire", PAT_JSON_STR }, { "why", PAT_JSON_STR },  { NULL, PAT_JSON_NULL },
    };
    const char *what, *field = query_mistyped(r->body, kinds, &what);

    return !field || wrong(r, field, what);
}

static bool read_name(struct reading *r)
{
    const char *name = pat_json_str_or(r->body, "name", NULL);

    if (name && strlen(name) > NAME_MAX_LEN)
        return wrong(r, "name", "must have 120 characters at most");
    pat_json_set_str(r->out, "name", name && *name ? name : NULL);
    if (!is_one_of(pat_json_str_or(r->body, "to_stack", NULL), "retell", "livekit"))
        return wrong(r, "to_stack", "must be \"retell\" or \"livekit\"");
    pat_json_set_str(r->out, "to_stack", pat_json_str_or(r->body, "to_stack", ""));
    if (!is_one_of(pat_json_str_or(r->body, "mode", "users"), "users", "calls"))
        return wrong(r, "mode", "must be \"users\" or \"calls\"");
    r->calls = !strcmp(pat_json_str_or(r->body, "mode", "users"), "calls");
    pat_json_set_str(r->out, "mode", r->calls ? "calls" : "users");
    return true;
}

/* ------------------------------------------------------------------ who */

static bool read_list(struct reading *r, const struct pat_json *ids)
{
    if (pat_json_kind(ids) != PAT_JSON_ARR || !pat_json_size(ids) ||
        pat_json_size(ids) > ROLLOUT_USERS_MAX)
        return wrong(r, "cohort.user_ids", "must be a list of 1 to 10000 ids");
    PAT_JSON_EACH(id, ids)
    if (!pat_json_lower_id(id))
        return wrong(r, "cohort.user_ids", "must be UUIDs");
    return true;
}

static bool read_filter(struct reading *r, const struct pat_json *filter)
{
    int64_t limit;
    const char *stack = pat_json_str_or(filter, "stack", NULL);

    if (pat_json_kind(filter) != PAT_JSON_OBJ)
        return wrong(r, "cohort.filter", "must be an object");
    PAT_JSON_EACH(m, filter)
    if (strcmp(pat_json_key(m), "stack") != 0 && strcmp(pat_json_key(m), "search") != 0 &&
        strcmp(pat_json_key(m), "limit") != 0)
        /* One that is not understood must not mean everybody. */
        return wrong(r, "cohort.filter", "knows stack, search and limit");
    if (pat_json_at(filter, "stack") && !is_one_of(stack, "retell", "livekit"))
        return wrong(r, "cohort.filter.stack", "must be \"retell\" or \"livekit\"");
    if (pat_json_at(filter, "search") && !pat_json_str_or(filter, "search", NULL))
        return wrong(r, "cohort.filter.search", "must be text");
    return read_int(r, "cohort.filter.limit", 0, 1, ROLLOUT_USERS_MAX, &limit);
}

static bool read_cohort(struct reading *r)
{
    const struct pat_json *ids = pat_json_at(r->body, "cohort.user_ids"),
                          *filter = pat_json_at(r->body, "cohort.filter");

    if (!ids == !filter)
        return wrong(r, "cohort", "must have user_ids, or a filter");
    if (ids ? !read_list(r, ids) : !read_filter(r, filter))
        return false;
    pat_json_set_take(r->out, "cohort", pat_json_dup(pat_json_at(r->body, "cohort")));
    return true;
}

/* ------------------------------------------------------------------ in which steps */

static struct pat_json *step_of(const char *unit, int64_t n)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_int(j, unit, n);
    return j;
}

static void add_percents(struct pat_json *steps, int64_t a, int64_t b, int64_t c)
{
    pat_json_add_take(steps, step_of("percent", a));
    pat_json_add_take(steps, step_of("percent", b));
    pat_json_add_take(steps, step_of("percent", c));
}

/* Each is the sum of those before it and more; percent and count do not compare. */
static bool read_step(struct reading *r, const struct pat_json *step, int64_t last[2])
{
    int64_t percent = 0, count = 0;
    bool has_percent = !pat_json_get_int(step, "percent", &percent, NULL);
    bool has_count = !pat_json_get_int(step, "count", &count, NULL);

    if (has_percent == has_count || pat_json_size(step) != 1 || (has_count && r->calls))
        return wrong(r, "steps",
                     r->calls ? "each must have a percent" : "each must have a percent or a count");
    if (has_percent ? percent <= last[0] || percent > 100
                    : count <= last[1] || count > ROLLOUT_USERS_MAX)
        return wrong(r, "steps", "each must be more than the one before; 100 percent at most");
    last[0] = has_percent ? percent : last[0];
    last[1] = has_count ? count : last[1];
    return true;
}

/* Everybody, in the end; a share of calls ends with the cut-over. */
static bool read_steps(struct reading *r)
{
    const struct pat_json *asked = pat_json_at(r->body, "steps");
    struct pat_json *steps = asked ? pat_json_dup(asked) : pat_json_arr();
    int64_t last[2] = { 0, 0 };

    pat_json_set_take(r->out, "steps", steps);
    if (!asked) {
        add_percents(steps, 5, 25, r->calls ? 50 : 100);
        return true;
    }
    if (pat_json_kind(asked) != PAT_JSON_ARR || !pat_json_size(asked) ||
        pat_json_size(asked) > STEPS_MAX)
        return wrong(r, "steps", "must be a list of 1 to 20 steps");
    PAT_JSON_EACH(step, asked)
    if (!read_step(r, step, last))
        return false;
    if (!r->calls && last[0] < 100)
        pat_json_add_take(steps, step_of("percent", 100));
    return true;
}

/* ------------------------------------------------------------------ as long as what holds */

static bool read_gate(struct reading *r, const char *name, const struct pat_json *gate)
{
    double margin = pat_json_num_or(gate, "margin", 0),
           percent = pat_json_num_or(gate, "margin_percent", 0);
    int64_t calls = pat_json_int_or(gate, "min_calls", 0);

    if (pat_json_kind(gate) != PAT_JSON_OBJ)
        return wrong(r, "gates", "each must be an object, or null");
    PAT_JSON_EACH(m, gate)
    if (strcmp(pat_json_key(m), "margin") != 0 && strcmp(pat_json_key(m), "margin_percent") != 0 &&
        strcmp(pat_json_key(m), "min_calls") != 0)
        return wrong(r, "gates", "each knows margin, margin_percent and min_calls");
    if (margin < 0 || margin > (strcmp(name, "failure_rate") ? 1e9 : 1) || percent < 0 ||
        percent > 1000)
        return wrong(r, "gates", "margin of failure_rate: 0 to 1; margin_percent: 0 to 1000");
    if (pat_json_at(gate, "min_calls") && (calls < 6 || calls > 100000))
        return wrong(r, "gates", "min_calls must be 6 to 100000: fewer say nothing");
    return true;
}

static bool is_gate(const char *name)
{
    for (int i = 0; i < GATES; i++)
        if (!strcmp(gate_names[i], name))
            return true;
    return false;
}

static void add_gate(struct pat_json *gates, const char *name, const char *unit, double margin)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_num(j, unit, margin);
    pat_json_set_int(j, "min_calls", 30);
    pat_json_set_take(gates, name, j);
}

static bool copy_gates(struct reading *r, struct pat_json *gates, const struct pat_json *asked)
{
    if (pat_json_kind(asked) != PAT_JSON_OBJ)
        return pat_json_kind(asked) == PAT_JSON_NULL ||
               wrong(r, "gates", "must be an object, or null for none");
    PAT_JSON_EACH(m, asked)
    {
        const char *name = pat_json_key(m);

        if (!strcmp(name, "bake_s") || !strcmp(name, "wait_s") || pat_json_kind(m) == PAT_JSON_NULL)
            continue;
        if (!is_gate(name))
            return wrong(r, "gates",
                         "there are failure_rate, answer_ms, response_ms, "
                         "cost_per_minute, bake_s and wait_s");
        if (!read_gate(r, name, m))
            return false;
        pat_json_set_take(gates, name, pat_json_dup(m));
        if (!pat_json_at(m, "min_calls"))
            pat_json_set_int((struct pat_json *)pat_json_at(gates, name), "min_calls", 30);
    }
    return true;
}

static bool read_gates(struct reading *r)
{
    const struct pat_json *asked = pat_json_at(r->body, "gates");
    struct pat_json *gates = pat_json_obj();
    int64_t bake, wait;

    pat_json_set_take(r->out, "gates", gates);
    if (asked && !copy_gates(r, gates, asked))
        return false;
    if (!asked) {
        add_gate(gates, "failure_rate", "margin", 0.05);
        add_gate(gates, "response_ms", "margin_percent", 25);
    }
    if (!read_int(r, "gates.bake_s", gates_any(gates) ? 300 : 0, 0, 7 * DAY_S, &bake) ||
        !read_int(r, "gates.wait_s", 3600, 0, 30 * DAY_S, &wait))
        return false;
    pat_json_set_int(gates, "bake_s", bake);
    pat_json_set_int(gates, "wait_s", wait);
    return true;
}

/* ------------------------------------------------------------------ the rest */

static bool read_number(struct reading *r, const char *field, const char *as, int64_t def,
                        int64_t max)
{
    int64_t n;

    if (!read_int(r, field, def, as[0] == 'a', max, &n))
        return false;
    pat_json_set_int(r->out, as, n);
    return true;
}

static bool read_keep(struct reading *r, int64_t window_ms)
{
    const char *retire = pat_json_str_or(r->body, "retire", "keep");
    int64_t keep_s;

    if (!is_one_of(retire, "keep", "delete"))
        return wrong(r, "retire", "must be \"keep\" or \"delete\"");
    if (!read_int(r, "keep_s", window_ms / 1000, 0, 90 * DAY_S, &keep_s))
        return false;
    pat_json_set_int(r->out, "keep_ms",
                     !strcmp(retire, "delete")        ? 0
                     : pat_json_at(r->body, "keep_s") ? keep_s * 1000
                                                      : window_ms);
    pat_json_set_bool(r->out, "hold", pat_json_bool_or(r->body, "hold", false));
    return true;
}

int rollout_read(struct pat_json **out, const struct pat_json *body, int64_t window_ms,
                 const char **field, const char **what)
{
    struct reading r = { .body = body, .out = pat_json_obj() };
    bool good = read_kinds(&r) && read_name(&r) && read_cohort(&r) && read_steps(&r) &&
                read_gates(&r) &&
                read_number(&r, "at_a_time", "at_a_time", AT_A_TIME, AT_A_TIME_MAX) &&
                read_number(&r, "verify.first", "verify_first", 3, ROLLOUT_USERS_MAX) &&
                read_number(&r, "verify.every", "verify_every", 50, ROLLOUT_USERS_MAX) &&
                read_number(&r, "max_failures", "max_failures", 5, ROLLOUT_USERS_MAX) &&
                read_keep(&r, window_ms);

    if (!good) {
        pat_json_free(r.out);
        *field = r.field;
        *what = r.what;
        return PAT_EINVAL;
    }
    *out = r.out;
    return PAT_OK;
}
