/* tools.c - see tools.h.
 *
 * How: settings are read field by field, leniently; every tool's definition is one JSON tree, which
 * is both what the model gets and what its arguments are checked against.
 */
#include "tools_int.h"

#include "schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    TIMEOUT_MIN_MS = 500,
    TIMEOUT_MAX_MS = 60000,
    TIMEOUT_MS = 10000,
    ARGUMENTS_MAX = 64 * 1024
};

static const char *const names[PAT_TOOL_KINDS] = {
    [PAT_TOOL_TRANSFER] = "transfer_call",
    [PAT_TOOL_MESSAGE] = "take_message",
    [PAT_TOOL_CALLBACK] = "request_callback",
    [PAT_TOOL_END] = "end_call",
    [PAT_TOOL_DTMF] = "send_dtmf",
    [PAT_TOOL_WEBHOOK] = "webhook",
};

const char *pat_tool_name(enum pat_tool_kind kind)
{
    return (unsigned)kind < PAT_TOOL_KINDS ? names[kind] : "?";
}

/* "functions": {"end_call": false} or {"end_call": {"enabled": false}}; of the agent's row, or
 * among the columns the product added later. */
static bool enabled(const struct pat_json *s, enum pat_tool_kind kind, bool otherwise)
{
    static const char *const before[] = { "functions.", "extra.functions." };
    static const char *const behind[] = { ".enabled", "" };
    char path[100];

    for (size_t i = 0; i < 4; i++) {
        const struct pat_json *v;

        (void)snprintf(path, sizeof path, "%s%s%s", before[i / 2], names[kind], behind[i % 2]);
        v = pat_json_at(s, path);
        if (v && pat_json_kind(v) == PAT_JSON_BOOL)
            return pat_json_bool_or(v, "", otherwise);
    }
    return otherwise;
}

/* ---- people ---- */

static bool taken(const struct pat_tools *t, const char *label)
{
    for (size_t i = 0; i < t->n_targets; i++)
        if (strcasecmp(t->target[i].label, label) == 0)
            return true;
    return false;
}

/* A label is read by the model and spoken: one line, nothing that closes a quote. */
static bool good_label(const char *s)
{
    size_t len = strlen(s);

    return len > 0 && len < sizeof((struct pat_target *)0)->label && !strpbrk(s, "\r\n\t\"\\") &&
           strspn(s, " ") < len;
}

static void read_target(struct pat_tools *t, const struct pat_json *n)
{
    struct pat_target *to = &t->target[t->n_targets];
    const char *label = pat_json_str_or(n, "label", "");
    const char *id = pat_json_str_or(n, "id", "");

    if (t->n_targets == TARGETS_MAX || !good_label(label) || taken(t, label) ||
        pat_phone_normal(to->number, pat_json_str_or(n, "phone_number", "")))
        return;
    (void)pat_strcpy(to->label, sizeof to->label, label);
    (void)pat_strcpy(to->id, sizeof to->id, pat_id_valid(id) ? id : "");
    to->is_default = pat_json_bool_or(n, "is_default", false);
    to->has_passcode = pat_json_bool_or(n, "has_passcode", false);
    t->n_targets++;
}

static void read_targets(struct pat_tools *t, const struct pat_json *s)
{
    const struct pat_json *list = pat_json_at(s, "transfer_numbers");
    bool on_request = pat_json_bool_or(s, "transfer_preferences.transfer_on_request", true);
    const char *mode = pat_json_str_or(s, "transfer_preferences.mode", "");
    size_t kept = 0;

    t->mode = strcmp(mode, "warm") == 0     ? TRANSFER_WARM
              : strcmp(mode, "choose") == 0 ? TRANSFER_CHOOSE
                                            : TRANSFER_COLD;
    if (list)
        PAT_JSON_EACH(n, list)
    read_target(t, n);
    /* Without that wish only who knows a passcode is put through. */
    for (size_t i = 0; i < t->n_targets; i++)
        if (on_request || t->target[i].has_passcode)
            t->target[kept++] = t->target[i];
    t->n_targets = kept;
    t->any_target = pat_json_bool_or(s, "transfer_any", false);
    if (t->n_targets == 1)
        t->target[0].is_default = true;
}

/* ---- tools ---- */

static int add_tool(struct pat_tools *t, enum pat_tool_kind kind, const char *name,
                    struct pat_json *definition_take)
{
    struct pat_tool *tool = &t->tool[t->n];

    if (!definition_take || t->n == TOOLS_MAX) {
        pat_json_free(definition_take);
        return definition_take ? PAT_E2BIG : PAT_ENOMEM;
    }
    *tool = (struct pat_tool){ .kind = kind };
    (void)pat_strcpy(tool->name, sizeof tool->name, name);
    pat_json_add_take(t->openai, definition_take); /* without memory it is gone */
    tool->parameters = pat_json_at(pat_json_item(t->openai, t->n), "function.parameters");
    t->n++;
    return tool->parameters ? PAT_OK : PAT_ENOMEM;
}

static int add_ours(struct pat_tools *t, const struct pat_json *s)
{
    static const bool usual[PAT_TOOL_KINDS] = { [PAT_TOOL_TRANSFER] = true,
                                                [PAT_TOOL_MESSAGE] = true,
                                                [PAT_TOOL_CALLBACK] = true,
                                                [PAT_TOOL_END] = true };
    int err = PAT_OK;

    for (int k = 0; k < PAT_TOOL_WEBHOOK && !err; k++) {
        enum pat_tool_kind kind = (enum pat_tool_kind)k;

        if (!enabled(s, kind, usual[k]) ||
            (kind == PAT_TOOL_TRANSFER && !t->n_targets && !t->any_target))
            continue;
        err = add_tool(t, kind, names[k], tools_definition(t, kind));
    }
    return err;
}

static bool good_name(const struct pat_tools *t, const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

    if (!len || len > 64 || name[len])
        return false;
    for (int k = 0; k < PAT_TOOL_WEBHOOK; k++)
        if (strcmp(name, names[k]) == 0)
            return false;
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->tool[i].name, name) == 0)
            return false;
    return true;
}

static struct pat_json *user_definition(const struct pat_json *u, const char *name)
{
    struct pat_json *d = pat_json_obj(), *f = pat_json_obj();
    const struct pat_json *parameters = pat_json_at(u, "parameters");

    pat_json_set_str(d, "type", "function");
    pat_json_set_str(f, "name", name);
    pat_json_set_str(f, "description", pat_json_str_or(u, "description", ""));
    pat_json_set_take(f, "parameters", pat_json_dup(parameters));
    pat_json_set_take(d, "function", f);
    return d;
}

static int64_t within(int64_t n, int64_t lo, int64_t hi)
{
    return n < lo ? lo : n > hi ? hi : n;
}

static int add_user_tool(struct pat_tools *t, const struct pat_json *u)
{
    const char *name = pat_json_str_or(u, "name", ""), *id = pat_json_str_or(u, "id", "");
    const char *filler = pat_json_str_or(u, "filler", "");
    struct pat_tool *tool = &t->tool[t->n];
    int err;

    if (t->n == TOOLS_MAX || !good_name(t, name) || !pat_id_valid(id) ||
        pat_schema_supported(pat_json_at(u, "parameters"), NULL))
        return PAT_OK; /* costs this tool only */
    err = add_tool(t, PAT_TOOL_WEBHOOK, name, user_definition(u, name));
    if (err)
        return err;
    (void)pat_strcpy(tool->id, sizeof tool->id, id);
    tool->timeout_ms =
        within(pat_json_int_or(u, "timeout_ms", TIMEOUT_MS), TIMEOUT_MIN_MS, TIMEOUT_MAX_MS);
    if (*filler && strlen(filler) <= 200) {
        tool->filler = t->filler[t->n - 1] = strdup(filler);
        if (!tool->filler)
            return PAT_ENOMEM;
    }
    return PAT_OK;
}

static int add_users(struct pat_tools *t, const struct pat_json *s)
{
    const struct pat_json *list = pat_json_at(s, "user_tools");
    int err = PAT_OK;

    if (list)
        PAT_JSON_EACH(u, list)
    if (!err)
        err = add_user_tool(t, u);
    return err;
}

/* ---- time ---- */

static int minutes_of(const char *text)
{
    int h, m;

    if (sscanf(text, "%2d:%2d", &h, &m) != 2 || h < 0 || h > 24 || m < 0 || m > 59)
        return -1;
    return (h * 60 + m) % 1440;
}

static int read_time(struct pat_tools *t, const struct pat_json *s, const char *otherwise)
{
    const char *wished[] = { pat_json_str_or(s, "extra.schedule_timezone", ""),
                             pat_json_str_or(s, "extra.timezone", ""), otherwise, "UTC" };
    int from = minutes_of(pat_json_str_or(s, "transfer_preferences.quiet_hours.start", ""));
    int to = minutes_of(pat_json_str_or(s, "transfer_preferences.quiet_hours.end", ""));
    int err = PAT_EINVAL;

    for (size_t i = 0; i < sizeof wished / sizeof wished[0] && err && err != PAT_ENOMEM; i++) {
        err = pat_tz_load(&t->zone, wished[i] ? wished[i] : "");
        (void)pat_strcpy(t->zone_name, sizeof t->zone_name, wished[i] ? wished[i] : "");
    }
    if (pat_json_bool_or(s, "transfer_preferences.business_hours_only", false) && from >= 0 &&
        to >= 0) {
        t->quiet_from = from;
        t->quiet_to = to;
    }
    return err;
}

/* ---- life ---- */

static int read_all(struct pat_tools *t, const struct pat_tools_opts *o)
{
    int err;

    if (o->caller)
        (void)pat_strcpy(t->caller, sizeof t->caller, pat_phone_valid(o->caller) ? o->caller : "");
    if (o->called)
        (void)pat_strcpy(t->called, sizeof t->called, pat_phone_valid(o->called) ? o->called : "");
    t->asks_code = o->asks_code;
    t->countries = strdup(o->countries ? o->countries : "");
    t->openai = pat_json_arr();
    if (!t->countries || !t->openai)
        return PAT_ENOMEM;
    err = read_time(t, o->settings, o->time_zone);
    if (err)
        return err;
    read_targets(t, o->settings);
    err = add_ours(t, o->settings);
    if (!err)
        err = add_users(t, o->settings);
    if (!err) { /* sets on a tree that ran out of memory are told by printing only */
        PAT_AUTO_STR text = pat_json_print(t->openai);
        err = text ? PAT_OK : PAT_ENOMEM;
    }
    return err;
}

int pat_tools_new(struct pat_tools **out, const struct pat_tools_opts *o)
{
    struct pat_tools *t = calloc(1, sizeof *t);
    int err = t ? read_all(t, o) : PAT_ENOMEM;

    if (err)
        pat_tools_free(t);
    else
        *out = t;
    return err;
}

void pat_tools_free(struct pat_tools *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < TOOLS_MAX; i++)
        free(t->filler[i]);
    pat_json_free(t->openai);
    pat_tz_free(t->zone);
    free(t->countries);
    free(t);
}

const struct pat_json *pat_tools_openai(const struct pat_tools *t)
{
    return t->openai;
}

int pat_tools_take(const struct pat_tools *t, const char *name, const char *arguments,
                   const struct pat_tool **tool, struct pat_json **args, struct pat_json_err *err)
{
    struct pat_json_err ignored;
    struct pat_json *j = NULL;
    size_t i = 0;
    int rc;

    err = err ? err : &ignored;
    *err = (struct pat_json_err){ "", "" };
    while (i < t->n && strcmp(t->tool[i].name, name) != 0)
        i++;
    if (i == t->n) {
        (void)pat_strcpy(err->what, sizeof err->what, "there is no such tool");
        return PAT_ENOENT;
    }
    if (strnlen(arguments, ARGUMENTS_MAX + 1) > ARGUMENTS_MAX) {
        (void)pat_strcpy(err->what, sizeof err->what, "the arguments are too long");
        return PAT_EINVAL;
    }
    rc = pat_json_parse(&j, *arguments ? arguments : "{}", *arguments ? strlen(arguments) : 2, err);
    if (!rc)
        rc = pat_schema_check(t->tool[i].parameters, j, err);
    if (rc) {
        pat_json_free(j);
        return rc;
    }
    *tool = &t->tool[i];
    *args = j;
    return PAT_OK;
}
