/* switches.c - one user's switch: plan, start, watch, promote, abort, roll back. */
#include "ctl.h"

#include <string.h>
#include <strings.h>

/* Of a switch, in order; what it is at counts as not done. */
static const char *const steps[] = { "requested", "validated", "provisioned", "verified",
                                     "cutover",   "observed",  "drained",     "retired" };
enum { STEPS = sizeof steps / sizeof steps[0] };

static const char *str(const struct pat_json *j, const char *path)
{
    return pat_json_str_or(j, path, "-");
}

/* ------------------------------------------------------------------ who */

/* Whose whole address, number or name it is; NULL: nobody's, or several people's. */
static const struct pat_json *exactly(const struct pat_json *users, const char *who)
{
    static const char *const fields[] = { "email", "number", "name" };
    const struct pat_json *found = NULL;

    for (size_t i = 0; i < sizeof fields / sizeof fields[0] && !found; i++) {
        size_t n = 0;

        PAT_JSON_EACH(user, users)
        if (!strcasecmp(pat_json_str_or(user, fields[i], ""), who)) {
            found = user;
            n++;
        }
        if (n > 1)
            return NULL;
    }
    return found;
}

int find_user(struct ctl *c, const char *who, char id[PAT_ID_LEN + 1])
{
    const struct pat_json *users, *found;
    struct answer a;
    struct pat_buf path;
    int status;

    if (pat_strcpy(id, PAT_ID_LEN + 1, who) && pat_id_lower(id))
        return CTL_OK;
    if (!*who) { /* a script's variable that was never set must not be whoever there is */
        fprintf(stderr, "patchbayctl: which user? An id, an address, a number or a name\n");
        return CTL_USAGE;
    }
    pat_buf_init(&path, 4096);
    pat_buf_adds(&path, "/v1/users?limit=200");
    ctl_query(&path, "search", who);
    status = ctl_ask(c, "GET", path.data, NULL, NULL, &a);
    pat_buf_fini(&path);
    users = pat_json_at(a.json, "users");
    found = pat_json_size(users) == 1 ? pat_json_at(users, "[0]") : exactly(users, who);
    if (!status && !found) {
        fprintf(stderr, "patchbayctl: %lld users fit \"%s\": say more of the name, or the id\n",
                (long long)pat_json_int_or(a.json, "total", 0), who);
        status = CTL_REFUSED;
    }
    if (!status)
        (void)pat_strcpy(id, PAT_ID_LEN + 1, pat_json_str_or(found, "id", ""));
    answer_fini(&a);
    return status;
}

/* ------------------------------------------------------------------ a plan */

static void print_cost(const struct pat_json *plan, const char *stack)
{
    char path[64];
    int64_t cost;

    snprintf(path, sizeof path, "cost.%s.microusd_per_minute", stack);
    cost = pat_json_int_or(plan, path, -1);
    snprintf(path, sizeof path, "cost.%s.basis", stack);
    if (cost >= 0)
        print_field("", "%s $%.4f a minute (%s)", stack, (double)cost / 1e6, str(plan, path));
}

static void print_list(const char *name, const struct pat_json *list)
{
    PAT_JSON_EACH(item, list)
    {
        print_field(name, "%s", pat_json_value_str(item) ? pat_json_value_str(item) : "");
        name = "";
    }
}

static void print_plan(const struct pat_json *j)
{
    static const struct column columns[] = { { "SETTING", "field", COL_TEXT },
                                             { "CARRIES", "grade", COL_TEXT },
                                             { "NOTE", "note", COL_TEXT },
                                             { NULL, NULL, 0 } };

    print_field("plan", "%s to %s, user %s", str(j, "from"), str(j, "to"), str(j, "user_id"));
    print_field("agent", "%s",
                pat_json_bool_or(j, "creates_agent", false) ? "is made" : "is there");
    print_field("settings", "%lld exact, %lld near, %lld lossy, %lld parked for the way back",
                (long long)pat_json_int_or(j, "grades.exact", 0),
                (long long)pat_json_int_or(j, "grades.near", 0),
                (long long)pat_json_int_or(j, "grades.lossy", 0),
                (long long)pat_json_int_or(j, "grades.parked", 0));
    print_field("cost", "%s", "");
    print_cost(j, "retell");
    print_cost(j, "livekit");
    print_list("blocked by", pat_json_at(j, "blockers"));
    print_list("beware", pat_json_at(j, "warnings"));
    putchar('\n');
    print_table(columns, pat_json_at(j, "fields"));
}

/* ------------------------------------------------------------------ a switch */

static int64_t steps_done(const struct pat_json *w)
{
    const char *state = str(w, "state");

    for (int i = 0; i < STEPS; i++)
        if (!strcmp(steps[i], state))
            return i + 1;
    return pat_json_str_or(w, "finished_at", NULL) ? STEPS : 0;
}

static void print_switch(const struct ctl *c, const struct pat_json *w)
{
    static const struct column columns[] = { { "STEP", "step", COL_TEXT },
                                             { "STATE", "state", COL_TEXT },
                                             { "TRIES", "attempts", COL_TEXT },
                                             { "BEGAN", "started_at", COL_TIME },
                                             { "ENDED", "ended_at", COL_TIME },
                                             { "ERROR", "error", COL_TEXT },
                                             { NULL, NULL, 0 } };

    print_field("switch", "%s", str(w, "id"));
    print_field("user", "%s", str(w, "user_id"));
    print_field("stacks", "%s to %s", str(w, "from_stack"), str(w, "to_stack"));
    printf("%-12s%s%s%s\n", "state", print_bold(c), str(w, "state"), print_plain(c));
    print_field("outcome", "%s", pat_json_str_or(w, "outcome", "under way"));
    if (pat_json_str_or(w, "error", NULL))
        print_field("error", "%s", str(w, "error"));
    if (pat_json_str_or(w, "window_until", NULL))
        print_field("back until", "%s", str(w, "window_until"));
    print_list("may", pat_json_at(w, "may"));
    if (pat_json_size(pat_json_at(w, "steps"))) {
        putchar('\n');
        print_table(columns, pat_json_at(w, "steps"));
    }
}

struct watch {
    struct ctl *c;
    struct bar bar;
    int status;
};

static bool went_wrong(const struct pat_json *w)
{
    const char *outcome = pat_json_str_or(w, "outcome", "");

    return !strcmp(outcome, "failed") || !strcmp(outcome, "aborted") ||
           !strcmp(outcome, "rolled_back");
}

/* Only the window for going back is left. */
static bool arrived(const struct pat_json *w)
{
    return !strcmp(str(w, "state"), "drained") && !pat_json_bool_or(w, "undo", false) &&
           !pat_json_str_or(w, "step", NULL) && !pat_json_str_or(w, "wish", NULL) &&
           pat_json_int_or(w, "window_left_ms", 0) > 0;
}

static bool is_held(const struct pat_json *w)
{
    return pat_json_bool_or(w, "hold", false) && !pat_json_bool_or(w, "promoted", false) &&
           !strcmp(str(w, "state"), "verified");
}

static bool on_picture(const struct pat_json *w, void *arg)
{
    struct watch *v = arg;
    const char *step = pat_json_str_or(w, "step", NULL);
    char text[128];

    snprintf(text, sizeof text, "%s%s%s%s%s",
             pat_json_bool_or(w, "undo", false) ? "going back: " : "", str(w, "state"),
             step ? ", now " : "", step ? step : "",
             is_held(w)   ? ", held: promote or abort"
             : arrived(w) ? ", and may go back for a while"
                          : "");
    if (!print_json(v->c, w))
        print_bar(v->c, &v->bar, steps_done(w), STEPS, text);
    v->status = went_wrong(w) ? CTL_REFUSED : CTL_OK;
    return pat_json_str_or(w, "finished_at", NULL) || arrived(w);
}

static int watch_switch(struct ctl *c, const char *id)
{
    struct watch v = { .c = c };
    char path[128];
    int status;

    snprintf(path, sizeof path, "/v1/switches/%s/events", id);
    status = ctl_follow(c, path, on_picture, &v);
    print_bar_end(c, &v.bar);
    if (status == CTL_INTERRUPTED)
        fprintf(stderr,
                "patchbayctl: the switch goes on. Watch it: patchbayctl status %s --watch; "
                "stop it: patchbayctl abort %s\n",
                id, id);
    return status ? status : v.status;
}

/* What was asked for is there: shown, and watched if one wants. */
static int show_begun(struct ctl *c, const struct args *a, const struct answer *got)
{
    char id[PAT_ID_LEN + 1] = "";

    if (got->status)
        return got->status;
    (void)pat_strcpy(id, sizeof id, pat_json_str_or(got->json, "id", ""));
    if (!args_get(a, "watch")) {
        if (!print_json(c, got->json))
            print_switch(c, got->json);
        return CTL_OK;
    }
    if (!c->json)
        print_field("switch", "%s", id);
    return watch_switch(c, id);
}

static struct pat_json *switch_body(const struct args *a)
{
    struct pat_json *body = pat_json_obj();

    pat_json_set_str(body, "stack", args_get(a, "to"));
    if (args_get(a, "retire"))
        pat_json_set_str(body, "retire", args_get(a, "retire"));
    if (args_get(a, "why"))
        pat_json_set_str(body, "why", args_get(a, "why"));
    if (args_get(a, "hold"))
        pat_json_set_bool(body, "hold", true);
    if (args_get(a, "force"))
        pat_json_set_bool(body, "force", true);
    if (args_get(a, "no-verify"))
        pat_json_set_bool(body, "verify", false);
    return body;
}

static int needs_to(const struct args *a)
{
    if (args_get(a, "to"))
        return CTL_OK;
    fprintf(stderr, "patchbayctl: say where: --to retell, or --to livekit\n");
    return CTL_USAGE;
}

static int begin(struct ctl *c, const struct args *a, bool plan)
{
    char user[PAT_ID_LEN + 1], path[128], key[256];
    const char *headers[] = { key, NULL };
    struct answer got;
    int status = needs_to(a);

    if (!status)
        status = find_user(c, a->operands[0], user);
    if (status)
        return status;
    /* One key per run: asked again by a proxy, it is the same switch. */
    snprintf(key, sizeof key, "Idempotency-Key: %s", pat_id_new().s);
    snprintf(path, sizeof path, "/v1/users/%s/switch%s", user, plan ? "?dry_run=1" : "");
    status = ctl_ask(c, "POST", path, switch_body(a), headers, &got);
    if (!status && plan) {
        if (!print_json(c, got.json))
            print_plan(got.json);
        status = pat_json_size(pat_json_at(got.json, "blockers")) ? CTL_REFUSED : CTL_OK;
    } else if (!status) {
        status = show_begun(c, a, &got);
    }
    answer_fini(&got);
    return status;
}

int cmd_switch(struct ctl *c, const struct args *a)
{
    return begin(c, a, args_get(a, "dry-run"));
}

int cmd_plan(struct ctl *c, const struct args *a)
{
    return begin(c, a, true);
}

int cmd_wish(struct ctl *c, const struct args *a)
{
    bool back = strcmp(a->command->name, "promote") != 0;
    struct pat_json *body = pat_json_obj();
    struct answer got;
    char path[160];
    int status;

    if (args_get(a, "why"))
        pat_json_set_str(body, "why", args_get(a, "why"));
    snprintf(path, sizeof path, "/v1/switches/%.64s/%s", a->operands[0], a->command->name);
    status = ctl_ask(c, "POST", path, body, NULL, &got);
    if (!status) {
        status = show_begun(c, a, &got);
        if (back && status == CTL_REFUSED) /* it was to go back, and it did */
            status = CTL_OK;
    }
    answer_fini(&got);
    return status;
}

/* ------------------------------------------------------------------ status */

static int list_switches(struct ctl *c, const struct args *a, const char *user)
{
    static const struct column columns[] = {
        { "SWITCH", "id", COL_TEXT },        { "USER", "user_id", COL_TEXT },
        { "FROM", "from_stack", COL_TEXT },  { "TO", "to_stack", COL_TEXT },
        { "STATE", "state", COL_TEXT },      { "OUTCOME", "outcome", COL_TEXT },
        { "BEGAN", "created_at", COL_TIME }, { NULL, NULL, 0 }
    };
    struct pat_buf path;
    struct answer got;
    int status;

    pat_buf_init(&path, 1024);
    pat_buf_adds(&path, "/v1/switches");
    ctl_query(&path, "user_id", user);
    ctl_query(&path, "open", args_get(a, "open") ? "true" : NULL);
    ctl_query(&path, "limit", args_get(a, "limit"));
    status = ctl_ask(c, "GET", path.data, NULL, NULL, &got);
    pat_buf_fini(&path);
    if (!status && !print_json(c, got.json))
        print_table(columns, pat_json_at(got.json, "switches"));
    answer_fini(&got);
    return status;
}

/* The user's newest. */
static int newest(struct ctl *c, const char *user, char id[PAT_ID_LEN + 1])
{
    struct answer got;
    char path[128];
    int status;

    snprintf(path, sizeof path, "/v1/switches?limit=1&user_id=%s", user);
    status = ctl_ask(c, "GET", path, NULL, NULL, &got);
    (void)pat_strcpy(id, PAT_ID_LEN + 1, pat_json_str_or(got.json, "switches[0].id", ""));
    answer_fini(&got);
    if (status || *id)
        return status;
    fprintf(stderr, "patchbayctl: no switch of this user\n");
    return CTL_REFUSED;
}

/* An id may be a switch's or a user's: asked without a word on stderr. */
static bool is_switch(struct ctl *c, const char *id)
{
    struct answer got;
    char path[96];
    bool is;

    snprintf(path, sizeof path, "/v1/switches/%s", id);
    c->quiet = true;
    is = !ctl_ask(c, "GET", path, NULL, NULL, &got);
    c->quiet = false;
    answer_fini(&got);
    return is;
}

int cmd_status(struct ctl *c, const struct args *a)
{
    char id[PAT_ID_LEN + 1], found[PAT_ID_LEN + 1], path[96];
    struct answer got;
    int status = CTL_OK;

    if (!a->n_operands)
        return list_switches(c, a, NULL);
    if (!pat_strcpy(id, sizeof id, a->operands[0]) || !pat_id_lower(id) || !is_switch(c, id)) {
        status = find_user(c, a->operands[0], found);
        if (!status && !args_get(a, "watch"))
            return list_switches(c, a, found);
        if (!status)
            status = newest(c, found, id);
    } else {
        (void)pat_strcpy(id, sizeof id, a->operands[0]);
    }
    if (status)
        return status;
    if (args_get(a, "watch"))
        return watch_switch(c, id);
    snprintf(path, sizeof path, "/v1/switches/%s", id);
    status = ctl_ask(c, "GET", path, NULL, NULL, &got);
    if (!status && !print_json(c, got.json))
        print_switch(c, got.json);
    answer_fini(&got);
    return status;
}
