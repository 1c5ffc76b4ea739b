/* json_same.c - compares trees: pat_json_same, pat_json_changes. */
#include "json_tree.h"

#include <string.h>

static const struct pat_json *member(const struct pat_json *obj, const char *key)
{
    return obj ? cjson(json_member(cnode(obj), key, strlen(key))) : NULL;
}

static bool same_members(const struct pat_json *a, const struct pat_json *b)
{
    if (pat_json_size(a) != pat_json_size(b))
        return false;
    PAT_JSON_EACH(m, a)
    if (!pat_json_same(m, member(b, pat_json_key(m))))
        return false;
    return true;
}

static bool same_items(const struct pat_json *a, const struct pat_json *b)
{
    const struct pat_json *other = pat_json_first(b);

    if (pat_json_size(a) != pat_json_size(b))
        return false;
    PAT_JSON_EACH(item, a)
    {
        if (!pat_json_same(item, other))
            return false;
        other = pat_json_next(other);
    }
    return true;
}

static bool same_scalar(const struct pat_json *a, const struct pat_json *b)
{
    switch (pat_json_kind(a)) {
    case PAT_JSON_STR:
        return !strcmp(pat_json_value_str(a), pat_json_value_str(b));
    case PAT_JSON_NUM:
        return pat_json_value_num(a) == pat_json_value_num(b);
    case PAT_JSON_BOOL:
        return cJSON_IsTrue(cnode(a)) == cJSON_IsTrue(cnode(b));
    default:
        return true;
    }
}

bool pat_json_same(const struct pat_json *a, const struct pat_json *b)
{
    if (!a || !b)
        return a == b;
    if (pat_json_kind(a) != pat_json_kind(b))
        return false;
    if (pat_json_kind(a) == PAT_JSON_OBJ)
        return same_members(a, b);
    if (pat_json_kind(a) == PAT_JSON_ARR)
        return same_items(a, b);
    return same_scalar(a, b);
}

struct pat_json *pat_json_changes(const struct pat_json *from, const struct pat_json *to)
{
    struct pat_json *out = pat_json_obj();

    PAT_JSON_EACH(m, to)
    if (!pat_json_same(m, member(from, pat_json_key(m))))
        pat_json_set_take(out, pat_json_key(m), pat_json_dup(m));
    if (from)
        PAT_JSON_EACH(m, from)
    if (!member(to, pat_json_key(m)))
        pat_json_set_null(out, pat_json_key(m));
    return out;
}
