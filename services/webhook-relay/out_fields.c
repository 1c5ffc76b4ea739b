/* out_fields.c - see out_fields.h: one table, a check per field. */
#include "out_fields.h"

#include "out_target.h"

#include <stdio.h>
#include <string.h>

enum { DESCRIPTION_MAX = 500, KEY_MAX = 4000, REGION_MAX = 40 };

struct field {
    const char *name;
    /* NULL: good; else what it must be. */
    const char *(*wrong)(const struct pat_json *value, const struct pat_json *params, bool nets);
    bool create, update, nullable;
};

static bool is_edge(const struct pat_json *params)
{
    return !strcmp(pat_json_str_or(params, "kind", "standard"), "edge_function");
}

static bool one_of(const struct pat_json *v, const char *const *words)
{
    const char *s = pat_json_value_str(v);

    for (; s && *words; words++)
        if (!strcmp(s, *words))
            return true;
    return false;
}

static const char *url(const struct pat_json *v, const struct pat_json *params, bool nets)
{
    const char *s = pat_json_value_str(v);

    return s ? out_target_wrong(s, is_edge(params), nets) : "must be a URL";
}

static const char *kind(const struct pat_json *v, const struct pat_json *params, bool nets)
{
    static const char *const words[] = { "standard", "edge_function", NULL };

    (void)params, (void)nets;
    return one_of(v, words) ? NULL : "must be standard or edge_function";
}

static const char *payload(const struct pat_json *v, const struct pat_json *params, bool nets)
{
    static const char *const words[] = { "full", "thin", NULL };

    (void)params, (void)nets;
    return one_of(v, words) ? NULL : "must be full or thin";
}

static const char *ordering(const struct pat_json *v, const struct pat_json *params, bool nets)
{
    static const char *const words[] = { "none", "key", "strict", NULL };

    (void)params, (void)nets;
    return one_of(v, words) ? NULL : "must be none, key or strict";
}

static const char *state(const struct pat_json *v, const struct pat_json *params, bool nets)
{
    static const char *const words[] = { "enabled", "disabled", NULL };

    (void)params, (void)nets;
    return one_of(v, words) ? NULL : "must be enabled or disabled";
}

static const char *events(const struct pat_json *v, const struct pat_json *params, bool nets)
{
    (void)params, (void)nets;
    if (pat_json_kind(v) != PAT_JSON_ARR || !pat_json_size(v) || pat_json_size(v) > OUT_PATTERNS)
        return "must be a list of 1 to 32 patterns such as call.ended, call.* or *";
    PAT_JSON_EACH(it, v)
    if (!pat_json_value_str(it) || !out_pattern_valid(pat_json_value_str(it)))
        return "must be patterns such as call.ended, call.* or *, of call, config, switch, turn, "
               "usage, voice or webhook";
    return NULL;
}

static const char *signing(const struct pat_json *v, const struct pat_json *params, bool nets)
{
    static const char *const words[] = { "v1", "v1a", NULL };

    (void)params, (void)nets;
    if (pat_json_kind(v) != PAT_JSON_ARR || !pat_json_size(v) || pat_json_size(v) > 2)
        return "must be a list of v1, v1a or both";
    PAT_JSON_EACH(it, v)
    if (!one_of(it, words))
        return "must be a list of v1, v1a or both";
    return NULL;
}

static bool whole_between(const struct pat_json *v, double from, double to)
{
    double n = pat_json_value_num(v);

    return pat_json_kind(v) == PAT_JSON_NUM && n >= from && n <= to && (double)(int)n == n;
}

static const char *timeout_ms(const struct pat_json *v, const struct pat_json *params, bool nets)
{
    (void)params, (void)nets;
    return whole_between(v, 1000, 30000) ? NULL : "must be 1000 to 30000";
}

static const char *max_concurrency(const struct pat_json *v, const struct pat_json *params,
                                   bool nets)
{
    (void)params, (void)nets;
    return whole_between(v, 1, 100) ? NULL : "must be 1 to 100";
}

static const char *description(const struct pat_json *v, const struct pat_json *params, bool nets)
{
    const char *s = pat_json_value_str(v);

    (void)params, (void)nets;
    return s && strlen(s) <= DESCRIPTION_MAX ? NULL : "must be a text of at most 500 bytes";
}

/* They go into a request's head. */
static bool header_safe(const char *s, size_t max)
{
    size_t n = s ? strlen(s) : 0;

    for (size_t i = 0; i < n; i++)
        if (s[i] <= ' ' || s[i] > '~')
            return false;
    return n && n <= max;
}

static const char *api_key(const struct pat_json *v, const struct pat_json *params, bool nets)
{
    (void)params, (void)nets;
    return header_safe(pat_json_value_str(v), KEY_MAX) ? NULL : "must be a key of the project";
}

static const char *region(const struct pat_json *v, const struct pat_json *params, bool nets)
{
    (void)params, (void)nets;
    return header_safe(pat_json_value_str(v), REGION_MAX) ? NULL : "must be a region's name";
}

static const char *secret(const struct pat_json *v, const struct pat_json *params, bool nets)
{
    const char *s = pat_json_value_str(v);

    (void)params, (void)nets;
    return s && pat_webhook_secret_valid(s) ? NULL
                                            : "must be whsec_ and the base64 of 24 to 64 bytes";
}

static const struct field fields[] = {
    { "api_key", api_key, true, true, true },
    { "description", description, true, true, true },
    { "events", events, true, true, false },
    { "kind", kind, true, false, false },
    { "max_concurrency", max_concurrency, true, true, false },
    { "ordering", ordering, true, true, false },
    { "payload", payload, true, true, false },
    { "region", region, true, true, true },
    { "secret", secret, true, false, true },
    { "signing", signing, true, true, false },
    { "state", state, true, true, false },
    { "timeout_ms", timeout_ms, true, true, false },
    { "url", url, true, true, false },
};

static const struct field *find(const char *name)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (!strcmp(fields[i].name, name))
            return &fields[i];
    return NULL;
}

static int say(struct pat_json_err *wrong, const char *path, const char *what)
{
    (void)snprintf(wrong->path, sizeof wrong->path, "%s", path);
    (void)snprintf(wrong->what, sizeof wrong->what, "%s", what);
    return PAT_EINVAL;
}

static int read_one(struct pat_json *clean, const struct pat_json *value,
                    const struct pat_json *params, bool create, bool nets,
                    struct pat_json_err *wrong)
{
    const char *name = pat_json_key(value);
    const struct field *f = find(name);
    const char *what;

    if (!strcmp(name, "user_id") || !strcmp(name, "endpoint_id"))
        return PAT_OK;
    if (!f)
        return say(wrong, name, "is no field of an endpoint");
    if (!(create ? f->create : f->update))
        return say(wrong, name, create ? "cannot be set" : "cannot be changed");
    if (pat_json_kind(value) == PAT_JSON_NULL && f->nullable) {
        pat_json_set_null(clean, name);
        return PAT_OK;
    }
    what = f->wrong(value, params, nets);
    if (what)
        return say(wrong, name, what);
    pat_json_set_take(clean, name, pat_json_dup(value));
    return PAT_OK;
}

int out_fields_read(struct pat_json **clean, const struct pat_json *params, bool create,
                    bool private_nets, struct pat_json_err *wrong)
{
    struct pat_json *j = pat_json_obj();
    int err = j ? PAT_OK : PAT_ENOMEM;

    if (!err && create && !pat_json_at(params, "url"))
        err = say(wrong, "url", "is missing");
    PAT_JSON_EACH(it, params)
    if (!err)
        err = read_one(j, it, params, create, private_nets, wrong);
    if (err)
        pat_json_free(j);
    else
        *clean = j;
    return err;
}

bool out_fields_has(const struct pat_json *array, const char *text)
{
    PAT_JSON_EACH(it, array)
    if (pat_json_value_str(it) && !strcmp(pat_json_value_str(it), text))
        return true;
    return false;
}
