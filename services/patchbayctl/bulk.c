/* bulk.c - rollouts: many users switched, step by step. */
#include "ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LINE_MAX = 256, STEPS_MAX = 20 };

static const char *str(const struct pat_json *j, const char *path)
{
    return pat_json_str_or(j, path, "-");
}

static long long count(const struct pat_json *j, const char *name)
{
    char path[32];

    snprintf(path, sizeof path, "counts.%s", name);
    return (long long)pat_json_int_or(j, path, 0);
}

/* ------------------------------------------------------------------ what is asked */

/* A UUID a line; what is behind # and empty lines do not count. "-": stdin. */
static struct pat_json *read_ids(const char *name)
{
    FILE *f = strcmp(name, "-") ? fopen(name, "re") : stdin;
    struct pat_json *ids = pat_json_arr();
    char line[FILE_LINE_MAX];

    if (!f) {
        fprintf(stderr, "patchbayctl: %s: %s\n", name, strerror(errno));
        pat_json_free(ids);
        return NULL;
    }
    while (fgets(line, sizeof line, f)) {
        char *id = line + strspn(line, " \t");

        id[strcspn(id, " \t\r\n#,")] = '\0';
        if (*id)
            pat_json_add_str(ids, id);
    }
    if (f != stdin)
        (void)fclose(f);
    return ids;
}

static struct pat_json *cohort(const struct args *a)
{
    struct pat_json *j = pat_json_obj(), *filter, *ids;

    if (args_get(a, "file")) {
        ids = read_ids(args_get(a, "file"));
        if (!ids) {
            pat_json_free(j);
            return NULL;
        }
        pat_json_set_take(j, "user_ids", ids);
        return j;
    }
    filter = pat_json_obj();
    if (args_get(a, "from"))
        pat_json_set_str(filter, "stack", args_get(a, "from"));
    if (args_get(a, "search"))
        pat_json_set_str(filter, "search", args_get(a, "search"));
    pat_json_set_take(j, "filter", filter);
    return j;
}

/* "5%,50,100%" */
static struct pat_json *read_steps(const char *text)
{
    struct pat_json *steps = pat_json_arr();
    char *end;

    for (int i = 0; i < STEPS_MAX && *text; i++) {
        struct pat_json *step = pat_json_obj();
        long n = strtol(text, &end, 10);

        pat_json_set_int(step, *end == '%' ? "percent" : "count", n);
        pat_json_add_take(steps, step);
        end += *end == '%';
        if (end == text || (*end && *end != ',')) {
            fprintf(stderr, "patchbayctl: --steps is like 5%%,50%%,100%% or 10,100\n");
            pat_json_free(steps);
            return NULL;
        }
        text = end + (*end == ',');
    }
    return steps;
}

static struct pat_json *verify_nobody(void)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_int(j, "first", 0);
    pat_json_set_int(j, "every", 0);
    return j;
}

/* NULL: it has said why. */
static struct pat_json *rollout_body(const struct args *a)
{
    static const char *const texts[] = { "mode", "name", "retire", "why" };
    struct pat_json *body = pat_json_obj(), *part = cohort(a);

    if (!part)
        goto fail;
    pat_json_set_str(body, "to_stack", args_get(a, "to"));
    pat_json_set_take(body, "cohort", part);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (args_get(a, texts[i]))
            pat_json_set_str(body, texts[i], args_get(a, texts[i]));
    if (args_get(a, "at-a-time"))
        pat_json_set_int(body, "at_a_time", strtol(args_get(a, "at-a-time"), NULL, 10));
    if (args_get(a, "hold"))
        pat_json_set_bool(body, "hold", true);
    if (args_get(a, "no-gates"))
        pat_json_set_null(body, "gates");
    if (args_get(a, "no-verify"))
        pat_json_set_take(body, "verify", verify_nobody());
    if (args_get(a, "steps")) {
        part = read_steps(args_get(a, "steps"));
        if (!part)
            goto fail;
        pat_json_set_take(body, "steps", part);
    }
    return body;

fail:
    pat_json_free(body);
    return NULL;
}

/* ------------------------------------------------------------------ shown */

static void print_plan(const struct pat_json *j)
{
    static const struct column blocked[] = { { "USER", "user_id", COL_TEXT },
                                             { "WHY NOT", "why", COL_TEXT },
                                             { NULL, NULL, 0 } };

    print_field("plan", "%lld users to %s, %lld of them there already",
                (long long)pat_json_int_or(j, "total", 0), str(j, "to_stack"),
                (long long)pat_json_int_or(j, "already_there", 0));
    print_field("movable", "%lld", (long long)pat_json_int_or(j, "movable", 0));
    print_field("loses", "%lld users lose something of their settings",
                (long long)pat_json_int_or(j, "lossy_users", 0));
    print_field("agents", "%lld are made", (long long)pat_json_int_or(j, "creates_agents", 0));
    print_field("test calls", "%lld", (long long)pat_json_int_or(j, "verified_by_call", 0));
    PAT_JSON_EACH(b, pat_json_at(j, "blockers"))
    print_field("blocked by", "%s", pat_json_value_str(b) ? pat_json_value_str(b) : "");
    if (pat_json_size(pat_json_at(j, "blocked")))
        print_table(blocked, pat_json_at(j, "blocked"));
}

static void print_rollout(const struct ctl *c, const struct pat_json *j)
{
    static const struct column gates[] = {
        { "GATE", "gate", COL_TEXT },     { "VERDICT", "verdict", COL_TEXT },
        { "NEW", "new.value", COL_TEXT }, { "OLD", "old.value", COL_TEXT },
        { "WHY", "why", COL_TEXT },       { NULL, NULL, 0 }
    };

    print_field("rollout", "%s %s", str(j, "id"), pat_json_str_or(j, "name", ""));
    print_field("to", "%s, by %s", str(j, "to_stack"), str(j, "mode"));
    printf("%-12s%s%s%s, step %lld of %zu\n", "state", print_bold(c), str(j, "state"),
           print_plain(c), (long long)pat_json_int_or(j, "step", 0) + 1,
           pat_json_size(pat_json_at(j, "steps")));
    print_field("outcome", "%s", pat_json_str_or(j, "outcome", "under way"));
    if (pat_json_str_or(j, "reason", NULL))
        print_field("reason", "%s", str(j, "reason"));
    print_field("users", "%lld: %lld moved, %lld moving, %lld waiting, %lld failed, %lld returned",
                count(j, "total"), count(j, "moved"), count(j, "moving"), count(j, "waiting"),
                count(j, "failed"), count(j, "returned"));
    PAT_JSON_EACH(may, pat_json_at(j, "may"))
    print_field("may", "%s", pat_json_value_str(may) ? pat_json_value_str(may) : "");
    if (pat_json_size(pat_json_at(j, "gates")))
        print_table(gates, pat_json_at(j, "gates"));
}

struct watch {
    struct ctl *c;
    struct bar bar;
    int status;
};

/* Waits for a person, too: it ends, and says so. */
static bool on_picture(const struct pat_json *j, void *arg)
{
    struct watch *v = arg;
    const char *state = str(j, "state"), *outcome = pat_json_str_or(j, "outcome", NULL);
    bool held = !strcmp(state, "held"), back = !strcmp(state, "returning");
    long long settled = count(j, "moved") + count(j, "failed") + count(j, "skipped");
    char text[128];

    if (back)
        settled = count(j, "returned") + count(j, "left") + count(j, "kept");
    snprintf(text, sizeof text, "%s%s%s%s%s", outcome ? outcome : state, held ? ": " : "",
             held ? str(j, "reason") : "", count(j, "failed") ? ", some failed" : "",
             pat_json_str_or(j, "verdict", NULL) && !outcome ? ", gates: " : "");
    if (pat_json_str_or(j, "verdict", NULL) && !outcome)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s", str(j, "verdict"));
    if (!print_json(v->c, j))
        print_bar(v->c, &v->bar, settled, count(j, "total"), text);
    v->status = outcome && strcmp(outcome, "completed") != 0 ? CTL_REFUSED : CTL_OK;
    return outcome || held;
}

static int watch_rollout(struct ctl *c, const char *id)
{
    struct watch v = { .c = c };
    char path[128];
    int status;

    snprintf(path, sizeof path, "/v1/rollouts/%s/events", id);
    status = ctl_follow(c, path, on_picture, &v);
    print_bar_end(c, &v.bar);
    if (status == CTL_INTERRUPTED)
        fprintf(stderr,
                "patchbayctl: the rollout goes on. Watch it: patchbayctl bulk status %s --watch; "
                "stop it: patchbayctl bulk pause %s, or bulk abort %s\n",
                id, id, id);
    return status ? status : v.status;
}

static int show(struct ctl *c, const struct args *a, struct answer *got)
{
    char id[PAT_ID_LEN + 1];
    int status = got->status;

    (void)pat_strcpy(id, sizeof id, pat_json_str_or(got->json, "id", ""));
    if (!status && args_get(a, "watch")) {
        if (!c->json)
            print_field("rollout", "%s", id);
        status = watch_rollout(c, id);
    } else if (!status && !print_json(c, got->json)) {
        print_rollout(c, got->json);
    }
    answer_fini(got);
    return status;
}

/* ------------------------------------------------------------------ commands */

int cmd_bulk_start(struct ctl *c, const struct args *a)
{
    bool plan = args_get(a, "dry-run");
    char key[96];
    const char *headers[] = { key, NULL };
    struct pat_json *body;
    struct answer got;
    int status;

    if (!args_get(a, "to") ||
        !args_get(a, "file") == !(args_get(a, "from") || args_get(a, "search"))) {
        fprintf(stderr,
                "patchbayctl: say where (--to), and whom: --file, or --from and --search\n");
        return CTL_USAGE;
    }
    body = rollout_body(a);
    if (!body)
        return CTL_USAGE;
    snprintf(key, sizeof key, "Idempotency-Key: %s", pat_id_new().s);
    if (ctl_ask(c, "POST", plan ? "/v1/rollouts?dry_run=1" : "/v1/rollouts", body, headers, &got) ||
        !plan)
        return show(c, a, &got);
    if (!print_json(c, got.json))
        print_plan(got.json);
    status = pat_json_size(pat_json_at(got.json, "blockers")) ? CTL_REFUSED : CTL_OK;
    answer_fini(&got);
    return status;
}

int cmd_bulk_list(struct ctl *c, const struct args *a)
{
    static const struct column columns[] = {
        { "ROLLOUT", "id", COL_TEXT },         { "NAME", "name", COL_TEXT },
        { "TO", "to_stack", COL_TEXT },        { "STATE", "state", COL_TEXT },
        { "OUTCOME", "outcome", COL_TEXT },    { "USERS", "counts.total", COL_TEXT },
        { "MOVED", "counts.moved", COL_TEXT }, { "FAILED", "counts.failed", COL_TEXT },
        { "BEGAN", "created_at", COL_TIME },   { NULL, NULL, 0 }
    };
    struct pat_buf path;
    struct answer got;
    int status;

    pat_buf_init(&path, 512);
    pat_buf_adds(&path, "/v1/rollouts");
    ctl_query(&path, "limit", args_get(a, "limit"));
    status = ctl_ask(c, "GET", path.data, NULL, NULL, &got);
    pat_buf_fini(&path);
    if (!status && !print_json(c, got.json))
        print_table(columns, pat_json_at(got.json, "rollouts"));
    answer_fini(&got);
    return status;
}

int cmd_bulk_status(struct ctl *c, const struct args *a)
{
    struct answer got;
    char path[128];

    if (args_get(a, "watch"))
        return watch_rollout(c, a->operands[0]);
    snprintf(path, sizeof path, "/v1/rollouts/%.64s", a->operands[0]);
    (void)!ctl_ask(c, "GET", path, NULL, NULL, &got);
    return show(c, a, &got);
}

int cmd_bulk_wish(struct ctl *c, const struct args *a)
{
    struct pat_json *body = pat_json_obj();
    struct answer got;
    char path[128];

    if (args_get(a, "why"))
        pat_json_set_str(body, "why", args_get(a, "why"));
    snprintf(path, sizeof path, "/v1/rollouts/%.64s/%s", a->operands[0],
             strchr(a->command->name, ' ') + 1);
    (void)!ctl_ask(c, "POST", path, body, NULL, &got);
    return show(c, a, &got);
}

int cmd_bulk_report(struct ctl *c, const struct args *a)
{
    static const struct column columns[] = { { "USER", "user_id", COL_TEXT },
                                             { "NAME", "name", COL_TEXT },
                                             { "STATE", "state", COL_TEXT },
                                             { "SWITCH", "switch_id", COL_TEXT },
                                             { "CUT OVER", "cut_at", COL_TIME },
                                             { "NOTE", "note", COL_TEXT },
                                             { NULL, NULL, 0 } };
    struct answer got;
    char path[128];
    int status;

    snprintf(path, sizeof path, "/v1/rollouts/%.64s/report", a->operands[0]);
    status = ctl_ask(c, "GET", path, NULL, NULL, &got);
    if (!status && !print_json(c, got.json)) {
        print_rollout(c, got.json);
        print_field("took", "%lld s", (long long)pat_json_int_or(got.json, "took_s", 0));
        putchar('\n');
        print_table(columns, pat_json_at(got.json, "users"));
    }
    answer_fini(&got);
    return status;
}
