/* schema.c - see schema.h.
 *
 * How: one walk over the schema alone, one over schema and value together, the path kept in a
 * buffer that grows and shrinks. Names are compared as they are: a dot in one is no path.
 */
#include "schema.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH = 16, MAX_PROPERTIES = 64 };

struct walk {
    struct pat_json_err *err;
    char path[160];
    int depth;
};

static int wrong(struct walk *w, const char *what)
{
    if (w->err) {
        (void)pat_strcpy(w->err->path, sizeof w->err->path, w->path);
        (void)pat_strcpy(w->err->what, sizeof w->err->what, what);
    }
    return PAT_EINVAL;
}

static int wrong_number(struct walk *w, const char *what, double bound, const char *unit)
{
    char text[160];

    (void)snprintf(text, sizeof text, "must %s %g%s", what, bound, unit);
    return wrong(w, text);
}

/* The path's length before; gone back to by cutting it there. Too long a path is cut. */
static size_t deeper(struct walk *w, const char *name)
{
    size_t len = strlen(w->path);

    (void)snprintf(w->path + len, sizeof w->path - len, "%s%s", len ? "." : "", name);
    return len;
}

static size_t deeper_item(struct walk *w, size_t i)
{
    size_t len = strlen(w->path);

    (void)snprintf(w->path + len, sizeof w->path - len, "[%zu]", i);
    return len;
}

static const struct pat_json *member(const struct pat_json *obj, const char *name)
{
    if (obj && pat_json_kind(obj) == PAT_JSON_OBJ)
        PAT_JSON_EACH(m, obj)
    if (strcmp(pat_json_key(m), name) == 0)
        return m;
    return NULL;
}

static bool is_true(const struct pat_json *j)
{
    return pat_json_bool_or(j, "", false);
}

static bool is_a(const struct pat_json *j, enum pat_json_kind kind)
{
    return j && pat_json_kind(j) == kind;
}

/* ---- the schema alone ---- */

static bool known_type(const char *s)
{
    static const char *const types[] = { "object",  "array",   "string", "number",
                                         "integer", "boolean", "null" };

    for (size_t i = 0; s && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(s, types[i]) == 0)
            return true;
    return false;
}

static bool good_types(const struct pat_json *t)
{
    if (!is_a(t, PAT_JSON_ARR))
        return known_type(pat_json_value_str(t));
    PAT_JSON_EACH(one, t)
    if (!known_type(pat_json_value_str(one)))
        return false;
    return pat_json_size(t) > 0;
}

static bool is_scalar(const struct pat_json *j)
{
    return pat_json_kind(j) != PAT_JSON_ARR && pat_json_kind(j) != PAT_JSON_OBJ;
}

static bool good_enum(const struct pat_json *e)
{
    if (!is_a(e, PAT_JSON_ARR) || !pat_json_size(e))
        return false;
    PAT_JSON_EACH(one, e)
    if (!is_scalar(one))
        return false;
    return true;
}

static bool good_names(const struct pat_json *names)
{
    if (!is_a(names, PAT_JSON_ARR))
        return false;
    PAT_JSON_EACH(one, names)
    if (!pat_json_value_str(one))
        return false;
    return true;
}

static bool in(const char *word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(word, list[i]) == 0)
            return true;
    return false;
}

static int good_schema(struct walk *w, const struct pat_json *s);

static int good_properties(struct walk *w, const struct pat_json *props)
{
    int err = PAT_OK;

    if (!is_a(props, PAT_JSON_OBJ) || pat_json_size(props) > MAX_PROPERTIES)
        return wrong(w, "must be an object of at most 64 schemas");
    PAT_JSON_EACH(p, props)
    {
        size_t back = deeper(w, pat_json_key(p));

        err = good_schema(w, p);
        if (err)
            return err;
        w->path[back] = 0;
    }
    return err;
}

static int good_keyword(struct walk *w, const char *key, const struct pat_json *v)
{
    static const char *const notes[] = { "title",  "description", "default", "examples",
                                         "format", "deprecated",  "$schema", "$comment" };
    static const char *const bounds[] = { "minimum",          "maximum",   "exclusiveMinimum",
                                          "exclusiveMaximum", "minLength", "maxLength",
                                          "minItems",         "maxItems" };
    bool good;

    if (in(key, notes, sizeof notes / sizeof notes[0]))
        return PAT_OK;
    if (strcmp(key, "properties") == 0)
        return good_properties(w, v);
    if (strcmp(key, "items") == 0)
        return good_schema(w, v);
    if (strcmp(key, "additionalProperties") == 0)
        return is_a(v, PAT_JSON_BOOL) ? PAT_OK : good_schema(w, v);
    if (strcmp(key, "type") == 0)
        good = good_types(v);
    else if (strcmp(key, "enum") == 0)
        good = good_enum(v);
    else if (strcmp(key, "const") == 0)
        good = is_scalar(v);
    else if (strcmp(key, "required") == 0)
        good = good_names(v);
    else if (in(key, bounds, sizeof bounds / sizeof bounds[0]))
        good = is_a(v, PAT_JSON_NUM);
    else
        return wrong(w, "uses a keyword that is not supported");
    return good ? PAT_OK : wrong(w, "has a keyword of the wrong kind");
}

static int good_schema(struct walk *w, const struct pat_json *s)
{
    int err = PAT_OK;

    if (!is_a(s, PAT_JSON_OBJ))
        return wrong(w, "must be a schema object");
    if (w->depth == DEPTH)
        return wrong(w, "is nested too deep");
    w->depth++;
    PAT_JSON_EACH(k, s)
    {
        size_t back = deeper(w, pat_json_key(k));

        err = good_keyword(w, pat_json_key(k), k);
        if (err)
            return err;
        w->path[back] = 0;
    }
    w->depth--;
    return err;
}

int pat_schema_supported(const struct pat_json *schema, struct pat_json_err *err)
{
    struct walk w = { err, "", 0 };
    const char *type;

    if (!is_a(schema, PAT_JSON_OBJ))
        return wrong(&w, "must be a schema object");
    type = pat_json_value_str(member(schema, "type"));
    if (!type || strcmp(type, "object") != 0)
        return wrong(&w, "must be of type object");
    return good_schema(&w, schema);
}

/* ---- schema and value ---- */

static bool is_type(const struct pat_json *v, const char *type)
{
    switch (pat_json_kind(v)) {
    case PAT_JSON_NULL:
        return strcmp(type, "null") == 0;
    case PAT_JSON_BOOL:
        return strcmp(type, "boolean") == 0;
    case PAT_JSON_STR:
        return strcmp(type, "string") == 0;
    case PAT_JSON_ARR:
        return strcmp(type, "array") == 0;
    case PAT_JSON_OBJ:
        return strcmp(type, "object") == 0;
    case PAT_JSON_NUM:
        break;
    }
    return strcmp(type, "number") == 0 ||
           (strcmp(type, "integer") == 0 && fabs(fmod(pat_json_value_num(v), 1)) == 0);
}

static int check_type(struct walk *w, const struct pat_json *types, const struct pat_json *v)
{
    char text[80];

    if (!is_a(types, PAT_JSON_ARR)) {
        const char *type = pat_json_value_str(types);

        if (type && is_type(v, type))
            return PAT_OK;
        (void)snprintf(text, sizeof text, "must be of type %s", type ? type : "?");
        return wrong(w, text);
    }
    PAT_JSON_EACH(t, types)
    if (pat_json_value_str(t) && is_type(v, pat_json_value_str(t)))
        return PAT_OK;
    return wrong(w, "is of the wrong type");
}

static bool same(const struct pat_json *a, const struct pat_json *b)
{
    if (pat_json_kind(a) != pat_json_kind(b))
        return false;
    switch (pat_json_kind(a)) {
    case PAT_JSON_NULL:
        return true;
    case PAT_JSON_BOOL:
        return is_true(a) == is_true(b);
    case PAT_JSON_NUM:
        return !(pat_json_value_num(a) < pat_json_value_num(b)) &&
               !(pat_json_value_num(a) > pat_json_value_num(b));
    case PAT_JSON_STR:
        return strcmp(pat_json_value_str(a), pat_json_value_str(b)) == 0;
    case PAT_JSON_ARR:
    case PAT_JSON_OBJ:
        break;
    }
    return false;
}

static int check_enum(struct walk *w, const struct pat_json *list, const struct pat_json *v)
{
    struct pat_buf b;
    int err;

    PAT_JSON_EACH(one, list)
    if (same(one, v))
        return PAT_OK;
    pat_buf_init(&b, 4096);
    pat_buf_adds(&b, "must be one of ");
    err = pat_json_print_to(list, &b) || b.err ? wrong(w, "is not one of the values allowed")
                                               : wrong(w, b.data);
    pat_buf_fini(&b);
    return err;
}

static size_t characters(const struct pat_json *v)
{
    const char *s = pat_json_value_str(v);

    return pat_utf8_count(s, strlen(s));
}

/* minLength, maxItems ...: n of the value against the bound. */
static int check_size(struct walk *w, const char *key, double limit, size_t size, const char *unit)
{
    double n = (double)size;

    if (key[1] == 'i' && n < limit)
        return wrong_number(w, "have at least", limit, unit);
    if (key[1] == 'a' && n > limit)
        return wrong_number(w, "have at most", limit, unit);
    return PAT_OK;
}

static int check_bound(struct walk *w, const char *key, const struct pat_json *bound,
                       const struct pat_json *v)
{
    double limit = pat_json_value_num(bound), n = pat_json_value_num(v);

    if (strstr(key, "Length"))
        return is_a(v, PAT_JSON_STR) ? check_size(w, key, limit, characters(v), " characters")
                                     : PAT_OK;
    if (strstr(key, "Items"))
        return is_a(v, PAT_JSON_ARR) ? check_size(w, key, limit, pat_json_size(v), " items")
                                     : PAT_OK;
    if (!is_a(v, PAT_JSON_NUM))
        return PAT_OK;
    if (strcmp(key, "minimum") == 0 && n < limit)
        return wrong_number(w, "be at least", limit, "");
    if (strcmp(key, "maximum") == 0 && n > limit)
        return wrong_number(w, "be at most", limit, "");
    if (strcmp(key, "exclusiveMinimum") == 0 && n <= limit)
        return wrong_number(w, "be more than", limit, "");
    if (strcmp(key, "exclusiveMaximum") == 0 && n >= limit)
        return wrong_number(w, "be less than", limit, "");
    return PAT_OK;
}

static int check(struct walk *w, const struct pat_json *s, const struct pat_json *v);

static int check_required(struct walk *w, const struct pat_json *names, const struct pat_json *v)
{
    PAT_JSON_EACH(name, names)
    if (pat_json_value_str(name) && !member(v, pat_json_value_str(name))) {
        (void)deeper(w, pat_json_value_str(name));
        return wrong(w, "is required");
    }
    return PAT_OK;
}

/* properties and additionalProperties. */
static int check_members(struct walk *w, const struct pat_json *s, const struct pat_json *v)
{
    const struct pat_json *props = member(s, "properties");
    const struct pat_json *more = member(s, "additionalProperties");
    int err = PAT_OK;

    PAT_JSON_EACH(m, v)
    {
        const struct pat_json *own = member(props, pat_json_key(m));
        size_t back = deeper(w, pat_json_key(m));

        if (own)
            err = check(w, own, m);
        else if (is_a(more, PAT_JSON_OBJ))
            err = check(w, more, m);
        else if (more && !is_true(more))
            err = wrong(w, "is not an argument of this tool");
        if (err)
            return err;
        w->path[back] = 0;
    }
    return err;
}

static int check_items(struct walk *w, const struct pat_json *s, const struct pat_json *v)
{
    size_t i = 0;
    int err = PAT_OK;

    PAT_JSON_EACH(item, v)
    {
        size_t back = deeper_item(w, i++);

        err = check(w, s, item);
        if (err)
            return err;
        w->path[back] = 0;
    }
    return err;
}

static int check_keyword(struct walk *w, const struct pat_json *k, const struct pat_json *v)
{
    const char *key = pat_json_key(k);
    struct walk again = { NULL, "", 0 };

    if (strcmp(key, "type") == 0)
        return check_type(w, k, v);
    if (strcmp(key, "enum") == 0)
        return check_enum(w, k, v);
    if (strcmp(key, "const") == 0)
        return same(k, v) ? PAT_OK : wrong(w, "is not the value allowed");
    if (strcmp(key, "required") == 0)
        return is_a(v, PAT_JSON_OBJ) ? check_required(w, k, v) : PAT_OK;
    if (strcmp(key, "properties") == 0 || strcmp(key, "additionalProperties") == 0)
        return PAT_OK; /* together, by check */
    if (strcmp(key, "items") == 0)
        return is_a(v, PAT_JSON_ARR) ? check_items(w, k, v) : PAT_OK;
    if (strncmp(key, "min", 3) == 0 || strncmp(key, "max", 3) == 0 ||
        strncmp(key, "exclusive", 9) == 0)
        return good_keyword(&again, key, k) ? wrong(w, "cannot be checked")
                                            : check_bound(w, key, k, v);
    return good_keyword(&again, key, k) ? wrong(w, "cannot be checked") : PAT_OK;
}

static int check(struct walk *w, const struct pat_json *s, const struct pat_json *v)
{
    int err = PAT_OK;

    if (!is_a(s, PAT_JSON_OBJ) || w->depth == DEPTH)
        return wrong(w, "cannot be checked");
    w->depth++;
    PAT_JSON_EACH(k, s)
    {
        err = check_keyword(w, k, v);
        if (err)
            return err;
    }
    if (is_a(v, PAT_JSON_OBJ))
        err = check_members(w, s, v);
    w->depth--;
    return err;
}

int pat_schema_check(const struct pat_json *schema, const struct pat_json *value,
                     struct pat_json_err *err)
{
    struct walk w = { err, "", 0 };

    if (!schema || !value)
        return wrong(&w, "is missing");
    return check(&w, schema, value);
}
