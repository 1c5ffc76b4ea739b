/* look.c - how things are: users, calls, health, usage, why; and webhooks sent again. */
#include "ctl.h"
#include "version.h"

#include <string.h>

static const char *str(const struct pat_json *j, const char *path)
{
    return pat_json_str_or(j, path, "-");
}

static long long num(const struct pat_json *j, const char *path)
{
    return (long long)pat_json_int_or(j, path, 0);
}

static void print_next(const struct pat_json *page)
{
    if (pat_json_str_or(page, "next", NULL))
        fprintf(stderr, "more: the next page begins after %s\n", str(page, "next"));
}

/* GET with the query's fields (name, value pairs up to NULL); a list of that noun is a table. */
static int show_list(struct ctl *c, const char *path, const char *const (*query)[2],
                     const char *noun, const struct column *columns)
{
    struct pat_buf url;
    struct answer got;
    int status;

    pat_buf_init(&url, 8192);
    pat_buf_adds(&url, path);
    for (; (*query)[0]; query++)
        ctl_query(&url, (*query)[0], (*query)[1]);
    status = ctl_ask(c, "GET", url.data, NULL, NULL, &got);
    pat_buf_fini(&url);
    if (!status && !print_json(c, got.json)) {
        print_table(columns, pat_json_at(got.json, noun));
        print_next(got.json);
    }
    answer_fini(&got);
    return status;
}

/* ------------------------------------------------------------------ lists */

int cmd_users(struct ctl *c, const struct args *a)
{
    static const struct column columns[] = {
        { "USER", "id", COL_TEXT },           { "NAME", "name", COL_TEXT },
        { "E-MAIL", "email", COL_TEXT },      { "NUMBER", "number", COL_TEXT },
        { "STACK", "stack", COL_TEXT },       { "CALLS", "calls_30d", COL_TEXT },
        { "LAST", "last_call_at", COL_TIME }, { NULL, NULL, 0 }
    };
    const char *const query[][2] = { { "search", args_get(a, "search") },
                                     { "stack", args_get(a, "stack") },
                                     { "limit", args_get(a, "limit") },
                                     { "after", args_get(a, "after") },
                                     { NULL, NULL } };

    return show_list(c, "/v1/users", query, "users", columns);
}

static int user_option(struct ctl *c, const struct args *a, char id[PAT_ID_LEN + 1])
{
    const char *user = args_get(a, "user");

    *id = '\0';
    return user ? find_user(c, user, id) : CTL_OK;
}

int cmd_calls(struct ctl *c, const struct args *a)
{
    static const struct column columns[] = { { "CALL", "id", COL_TEXT },
                                             { "OFFERED", "offered_at", COL_TIME },
                                             { "FROM", "from", COL_TEXT },
                                             { "TO", "to", COL_TEXT },
                                             { "STACK", "stack", COL_TEXT },
                                             { "STATE", "state", COL_TEXT },
                                             { "OUTCOME", "outcome", COL_TEXT },
                                             { "LASTED", "duration_ms", COL_MS },
                                             { "ENDED BY", "ended_reason", COL_TEXT },
                                             { NULL, NULL, 0 } };
    char user[PAT_ID_LEN + 1];
    const char *const query[][2] = { { "user_id", user },
                                     { "all", args_get(a, "all") ? "true" : NULL },
                                     { "state", args_get(a, "live") ? "live" : NULL },
                                     { "stack", args_get(a, "stack") },
                                     { "number", args_get(a, "number") },
                                     { "since", args_get(a, "since") },
                                     { "limit", args_get(a, "limit") },
                                     { "before", args_get(a, "before") },
                                     { NULL, NULL } };
    int status = user_option(c, a, user);

    return status ? status : show_list(c, "/v1/calls", *user ? query : query + 1, "calls", columns);
}

/* ------------------------------------------------------------------ health */

static void print_health(const struct pat_json *j, const char *stack)
{
    char path[64];

    snprintf(path, sizeof path, "stacks.%s", stack);
    j = pat_json_at(j, path);
    print_field(stack, "%lld routed, %lld answered, %lld live, %lld failed over, last error: %s",
                num(j, "routed"), num(j, "answered"), num(j, "live"), num(j, "failed_over"),
                pat_json_str_or(j, "last_error.reason", "none"));
}

int cmd_health(struct ctl *c, const struct args *a)
{
    struct answer got;
    int status = ctl_ask(c, "GET", "/v1/health/stacks", NULL, NULL, &got);

    (void)a;
    if (!status && !print_json(c, got.json)) {
        print_field("since", "%s", str(got.json, "since"));
        print_health(got.json, "retell");
        print_health(got.json, "livekit");
    }
    answer_fini(&got);
    return status;
}

/* ------------------------------------------------------------------ why */

static void print_reasons(const struct pat_json *list)
{
    char text[256] = "";

    PAT_JSON_EACH(item, list)
    (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", *text ? ", " : "",
                   pat_json_value_str(item) ? pat_json_value_str(item) : "");
    print_field("because", "%s", text);
}

static void print_why(const struct ctl *c, const struct pat_json *j)
{
    static const struct column columns[] = { { "RULE", "rule", COL_TEXT },
                                             { "ASKED", "asked", COL_TEXT },
                                             { "VERDICT", "verdict", COL_TEXT },
                                             { "WHY", "because", COL_TEXT },
                                             { NULL, NULL, 0 } };

    print_field("call", "%s to %s at %s", pat_json_str_or(j, "from", "withheld"), str(j, "number"),
                str(j, "at"));
    print_field("user", "%s, agent %s", str(j, "user_id"), str(j, "agent_config_id"));
    print_field("own stack", "%s", str(j, "own_stack"));
    printf("%-12s%s%s%s%s%s\n", "serves", print_bold(c), str(j, "serves"), print_plain(c),
           pat_json_bool_or(j, "is_fallback", false) ? ", in place of his own" : "",
           pat_json_str_or(j, "forward", NULL) ? ", forwarded" : "");
    print_reasons(pat_json_at(j, "reasons"));
    if (pat_json_at(j, "rules")) {
        putchar('\n');
        print_table(columns, pat_json_at(j, "rules"));
    }
}

int cmd_explain(struct ctl *c, const struct args *a)
{
    struct pat_json *body = pat_json_obj();
    struct answer got;
    int status;

    pat_json_set_str(body, "to", a->operands[0]);
    if (args_get(a, "from"))
        pat_json_set_str(body, "from", args_get(a, "from"));
    if (args_get(a, "at"))
        pat_json_set_str(body, "at", args_get(a, "at"));
    status = ctl_ask(c, "POST", "/v1/explain", body, NULL, &got);
    if (!status && !print_json(c, got.json))
        print_why(c, got.json);
    answer_fini(&got);
    return status;
}

/* ------------------------------------------------------------------ usage */

enum { TRIES = 5 };
#define PAGE_ROWS "1000"

/* A column for each thing it is grouped by, then the figures. */
static void print_usage(const struct pat_json *j)
{
    static const struct {
        const char *by;
        struct column column;
    } groups[] = {
        { "day", { "DAY", "day", COL_TEXT } },
        { "stack", { "STACK", "stack", COL_TEXT } },
        { "user", { "USER", "user_name", COL_TEXT } },
        { "component", { "COMPONENT", "component", COL_TEXT } },
        { "account", { "ACCOUNT", "account", COL_TEXT } },
        { "model", { "MODEL", "model", COL_TEXT } },
    };
    static const struct column calls[] = { { "CALLS", "calls", COL_TEXT },
                                           { "MINUTES", "minutes", COL_TEXT } };
    static const struct column amounts[] = { { "QUANTITY", "quantity", COL_TEXT },
                                             { "UNIT", "unit", COL_TEXT } };
    struct column columns[10] = { { NULL, NULL, 0 } };
    bool parts = false;
    size_t n = 0;

    PAT_JSON_EACH(by, pat_json_at(j, "group_by"))
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (pat_json_value_str(by) && !strcmp(groups[i].by, pat_json_value_str(by))) {
            columns[n++] = groups[i].column;
            parts = parts || i >= 3;
        }
    memcpy(columns + n, parts ? amounts : calls, sizeof calls);
    n += 2;
    columns[n++] = (struct column){ "COST", "cost_microusd", COL_USD };
    columns[n++] = (struct column){ NULL, NULL, 0 };
    print_table(columns, pat_json_at(j, "rows"));
    printf("%s to %s (%s): %lld calls, %.1f minutes, $%.4f%s\n", str(j, "from"), str(j, "to"),
           str(j, "timezone"), num(j, "total.calls"), pat_json_num_or(j, "total.minutes", 0),
           pat_json_num_or(j, "total.cost_microusd", 0) / 1e6,
           pat_json_bool_or(j, "total.complete", true) ? "" : ", not all of it has a price yet");
    print_next(j);
}

/* A page, or the file; user NULL: everybody's. */
static int ask_usage(struct ctl *c, const struct args *a, const char *user, const char *after,
                     struct answer *got)
{
    bool csv = args_get(a, "csv");
    const char *limit = args_get(a, "limit");
    struct pat_buf path;
    int status;

    pat_buf_init(&path, 4096);
    pat_buf_adds(&path, "/v1/usage");
    ctl_query(&path, "user_id", user);
    ctl_query(&path, "from", args_get(a, "from"));
    ctl_query(&path, "to", args_get(a, "to"));
    ctl_query(&path, "group_by", args_get(a, "by"));
    ctl_query(&path, "tz", args_get(a, "tz"));
    ctl_query(&path, "format", csv ? "csv" : NULL);
    ctl_query(&path, "limit", limit || csv ? limit : PAGE_ROWS);
    ctl_query(&path, "after", after);
    status = ctl_ask(c, "GET", path.data, NULL, NULL, got);
    pat_buf_fini(&path);
    return status;
}

static void add_rows(struct pat_json *all, const struct pat_json *page)
{
    PAT_JSON_EACH(row, pat_json_at(page, "rows"))
    pat_json_add_take(all, pat_json_dup(row));
}

/* The pages behind this one join it. *moved: they did not belong together, sums go on changing; if
 * it is NULL they are taken all the same. */
static int add_pages(struct ctl *c, const struct args *a, const char *user, struct answer *got,
                     bool *moved)
{
    struct pat_json *rows = pat_json_arr();
    PAT_AUTO_JSON total = pat_json_dup(pat_json_at(got->json, "total"));
    int status = CTL_OK;

    add_rows(rows, got->json);
    while (!status && pat_json_str_or(got->json, "next", NULL)) {
        struct answer before = *got;

        status = ask_usage(c, a, user, str(before.json, "next"), got);
        answer_fini(&before);
        if (status)
            break;
        if (moved && !pat_json_same(total, pat_json_at(got->json, "total"))) {
            *moved = true;
            break;
        }
        add_rows(rows, got->json);
    }
    if (!status)
        pat_json_set_take(got->json, "rows", rows);
    else
        pat_json_free(rows);
    return status;
}

/* Every row, where no limit is said. */
static int whole_usage(struct ctl *c, const struct args *a, const char *user, struct answer *got)
{
    for (int left = TRIES;; left--) {
        bool moved = false;
        int status = ask_usage(c, a, user, args_get(a, "after"), got);

        if (!status && got->json && !args_get(a, "limit"))
            status = add_pages(c, a, user, got, left ? &moved : NULL);
        if (status || !moved)
            return status;
        answer_fini(got);
    }
}

int cmd_usage(struct ctl *c, const struct args *a)
{
    bool csv = args_get(a, "csv");
    char user[PAT_ID_LEN + 1];
    struct answer got;
    int status = a->n_operands ? find_user(c, a->operands[0], user) : CTL_OK;

    if (status)
        return status;
    status = whole_usage(c, a, a->n_operands ? user : NULL, &got);
    if (!status && csv)
        fputs(got.text ? got.text : "", stdout);
    else if (!status && !print_json(c, got.json))
        print_usage(got.json);
    answer_fini(&got);
    return status;
}

/* ------------------------------------------------------------------ again */

static int replay(struct ctl *c, const struct args *a, const char *what, struct pat_json *body)
{
    char user[PAT_ID_LEN + 1], path[160];
    struct answer got;
    int status = user_option(c, a, user);

    if (status) {
        pat_json_free(body);
        return status;
    }
    snprintf(path, sizeof path, "/v1/webhooks/%s/%.64s/replay%s%s", what, a->operands[0],
             *user ? "?user_id=" : "", user);
    status = ctl_ask(c, "POST", path, body, NULL, &got);
    if (!status && !print_json(c, got.json))
        printf("%lld sent again%s\n", num(got.json, "replayed"),
               pat_json_bool_or(got.json, "more", false) ? ", and there are more" : "");
    answer_fini(&got);
    return status;
}

int cmd_replay_delivery(struct ctl *c, const struct args *a)
{
    return replay(c, a, "deliveries", NULL);
}

int cmd_replay_endpoint(struct ctl *c, const struct args *a)
{
    struct pat_json *body = pat_json_obj(), *states = pat_json_arr();

    if (args_get(a, "since"))
        pat_json_set_str(body, "since", args_get(a, "since"));
    pat_json_add_str(states, "dead");
    if (args_get(a, "delivered"))
        pat_json_add_str(states, "delivered");
    pat_json_set_take(body, "states", states);
    return replay(c, a, "endpoints", body);
}

/* ------------------------------------------------------------------ of itself */

int cmd_version(struct ctl *c, const struct args *a)
{
    struct answer got;
    int status = ctl_ask(c, "GET", "/v1/version", NULL, NULL, &got);

    (void)a;
    if (!status && !print_json(c, got.json)) {
        print_field("patchbayctl", "%s (%s)", PAT_VERSION, PAT_BUILD_ID);
        print_field("server", "%s (%s)", str(got.json, "version"), str(got.json, "build_id"));
    }
    answer_fini(&got);
    return status;
}

int cmd_completion(struct ctl *c, const struct args *a)
{
    (void)c;
    if (!strcmp(a->operands[0], "bash"))
        completion_bash(stdout);
    else if (!strcmp(a->operands[0], "zsh"))
        completion_zsh(stdout);
    else
        return fprintf(stderr, "patchbayctl: completion bash, or completion zsh\n"), CTL_USAGE;
    return CTL_OK;
}

int cmd_man(struct ctl *c, const struct args *a)
{
    (void)c;
    (void)a;
    man_print(stdout);
    return CTL_OK;
}
