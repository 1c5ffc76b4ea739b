/* routes.c - the table of numbers: see routes.h. Where rows come from is routes_load.c's subject.
 */
#include "routes.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct entry {
    struct route route;
    struct pat_json *row;
    char *settings; /* route.settings: printed once, sent with each call */
    bool seen;
    UT_hash_handle hh;
};

struct routes_table {
    struct entry *entries; /* by number */
    struct policy_set *policies;
};

const char *stack_name(enum stack s)
{
    static const char *const names[] = {
        [STACK_NONE] = "none", [STACK_RETELL] = "retell", [STACK_LIVEKIT] = "livekit"
    };

    return names[s];
}

enum stack stack_parse(const char *s)
{
    if (!strcmp(s, "retell"))
        return STACK_RETELL;
    return strcmp(s, "livekit") ? STACK_NONE : STACK_LIVEKIT;
}

int routes_table_new(struct routes_table **out)
{
    struct routes_table *t = calloc(1, sizeof *t);
    int err = t ? policy_set_new(&t->policies) : PAT_ENOMEM;

    if (err)
        free(t);
    else
        *out = t;
    return err;
}

static void drop(struct routes_table *t, struct entry *e)
{
    HASH_DEL(t->entries, e);
    policy_put(t->policies, e->route.policies);
    pat_json_free(e->row);
    free(e->settings);
    free(e);
}

void routes_table_free(struct routes_table *t)
{
    struct entry *e, *next;

    if (!t)
        return;
    HASH_ITER(hh, t->entries, e, next)
    drop(t, e);
    policy_set_free(t->policies);
    free(t);
}

static struct entry *find(const struct routes_table *t, const char *number)
{
    struct entry *e;

    HASH_FIND_STR(t->entries, number, e);
    return e;
}

const struct route *routes_table_find(const struct routes_table *t, const char *number)
{
    const struct entry *e = find(t, number);

    return e ? &e->route : NULL;
}

size_t routes_table_count(const struct routes_table *t)
{
    return HASH_COUNT(t->entries);
}

/* Rows of one user have one version; were they ever apart, the oldest counts. */
int64_t routes_table_user_version(const struct routes_table *t, const char *user)
{
    int64_t v = INT64_MAX;

    for (const struct entry *e = t->entries; e; e = e->hh.next)
        if (!strcmp(e->route.user, user) && e->route.version < v)
            v = e->route.version;
    return v;
}

/* Which agents exist is the switch's business: it writes stack_config when it provisions one. */
static bool has_livekit_agent(const struct pat_json *settings)
{
    return settings && pat_json_at(settings, "stack_config.livekit");
}

static int read_row(struct route *r, const struct pat_json *row)
{
    const struct pat_json *settings = pat_json_at(row, "settings");
    const char *number, *user;
    struct pat_json_err why;
    int err = pat_json_get_str(row, "number", &number, &why);

    if (!err)
        err = pat_json_get_id(row, "user_id", &user, &why);
    if (!err && !number_e164(number))
        err = PAT_EINVAL;
    if (err)
        return err;
    pat_strcpy(r->number, sizeof r->number, number);
    pat_strcpy(r->user, sizeof r->user, user);
    pat_strcpy(r->agent_config, sizeof r->agent_config,
               pat_json_str_or(row, "agent_config_id", ""));
    if (!pat_strcpy(r->retell_agent.id, sizeof r->retell_agent.id,
                    pat_json_str_or(row, "retell_agent_id", "")))
        r->retell_agent.id[0] = 0;
    r->retell_agent.version = pat_json_int_or(row, "retell_agent_version", -1);
    r->stack = stack_parse(pat_json_str_or(row, "stack", ""));
    r->version = pat_json_int_or(row, "version", 0);
    r->active =
        pat_json_bool_or(row, "is_active", false) && r->stack != STACK_NONE && *r->agent_config;
    r->on_livekit = r->stack == STACK_LIVEKIT || has_livekit_agent(settings);
    return PAT_OK;
}

/* *out NULL: there are none. */
static int print_settings(char **out, const struct pat_json *row)
{
    const struct pat_json *settings = pat_json_at(row, "settings");

    *out = NULL;
    if (!settings || pat_json_kind(settings) != PAT_JSON_OBJ)
        return PAT_OK;
    *out = pat_json_print(settings);
    return *out ? PAT_OK : PAT_ENOMEM;
}

int routes_table_put(struct routes_table *t, struct pat_json *row_take)
{
    struct route fresh = { 0 };
    char *settings = NULL;
    struct entry *e;
    int err = read_row(&fresh, row_take);

    if (!err)
        err = print_settings(&settings, row_take);
    if (!err) {
        fresh.policies = policy_get(t->policies, pat_json_at(row_take, "policies"));
        err = fresh.policies ? PAT_OK : PAT_ENOMEM;
    }
    if (err)
        goto fail;
    e = find(t, fresh.number);
    if (e && !strcmp(e->route.user, fresh.user) && fresh.version < e->route.version) {
        e->seen = true;
        err = PAT_ESTALE;
        goto fail;
    }
    if (!e) {
        e = calloc(1, sizeof *e);
        err = PAT_ENOMEM;
        if (!e)
            goto fail;
        memcpy(e->route.number, fresh.number, sizeof fresh.number);
        HASH_ADD_STR(t->entries, route.number, e);
    }
    policy_put(t->policies, e->route.policies);
    pat_json_free(e->row);
    free(e->settings);
    fresh.settings = settings;
    e->route = fresh;
    e->row = row_take;
    e->settings = settings;
    e->seen = true;
    return PAT_OK;

fail:
    policy_put(t->policies, fresh.policies);
    free(settings);
    pat_json_free(row_take);
    return err;
}

void routes_table_unsee(struct routes_table *t, const char *user)
{
    struct entry *e, *next;

    HASH_ITER(hh, t->entries, e, next)
    if (!user || !strcmp(e->route.user, user))
        e->seen = false;
}

void routes_table_drop_unseen(struct routes_table *t, const char *user)
{
    struct entry *e, *next;

    HASH_ITER(hh, t->entries, e, next)
    if (!e->seen && (!user || !strcmp(e->route.user, user)))
        drop(t, e);
}

int routes_table_print(const struct routes_table *t, struct pat_buf *out)
{
    for (const struct entry *e = t->entries; e; e = e->hh.next) {
        int err = pat_json_print_to(e->row, out);

        if (!err)
            err = pat_buf_adds(out, "\n");
        if (err)
            return err;
    }
    return PAT_OK;
}
