/* json.c - the tree: parsed, read and freed; cJSON behind names of ours.
 *
 * Reading never changes a tree. What cJSON does not check (json_text.c does, and the walk in vet)
 * never gets into one. Making trees is json_build.c, printing them json_print.c.
 */
#include "json.h"

#include "id.h"
#include "json_text.h"
#include "json_tree.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    FEW = 16, /* names compared pair by pair; above, sorted */
};

static int fault(struct pat_json_err *err, const char *path, const char *what)
{
    if (err) {
        (void)pat_strcpy(err->path, sizeof err->path, path);
        (void)pat_strcpy(err->what, sizeof err->what, what);
    }
    return PAT_EINVAL;
}

/* --- Parsing ---------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const cJSON *const *x = a;
    const cJSON *const *y = b;

    return strcmp((*x)->string, (*y)->string);
}

static int vet_names_sorted(const cJSON *obj, size_t n, struct pat_json_err *err)
{
    const cJSON **all = malloc(n * sizeof *all);
    size_t i = 0;
    int e = PAT_OK;

    if (!all)
        return PAT_ENOMEM;
    for (const cJSON *m = obj->child; m; m = m->next)
        all[i++] = m;
    qsort(all, n, sizeof *all, by_name);
    for (i = 1; i < n && !e; i++)
        if (!strcmp(all[i - 1]->string, all[i]->string))
            e = fault(err, all[i]->string, "is there twice");
    free(all);
    return e;
}

static int vet_names(const cJSON *obj, struct pat_json_err *err)
{
    size_t n = 0;

    for (const cJSON *m = obj->child; m; m = m->next)
        n++;
    if (n > FEW)
        return vet_names_sorted(obj, n, err);
    for (const cJSON *m = obj->child; m; m = m->next)
        for (const cJSON *o = m->next; o; o = o->next)
            if (!strcmp(m->string, o->string))
                return fault(err, m->string, "is there twice");
    return PAT_OK;
}

/* What the text alone does not show: names given twice, numbers past a double. */
static int vet(const cJSON *c, struct pat_json_err *err)
{
    int e = PAT_OK;

    if (cJSON_IsNumber(c) && !isfinite(c->valuedouble))
        return fault(err, c->string ? c->string : "", "number out of range");
    if (cJSON_IsObject(c))
        e = vet_names(c, err);
    if (cJSON_IsObject(c) || cJSON_IsArray(c))
        for (const cJSON *i = c->child; i && !e; i = i->next)
            e = vet(i, err);
    return e;
}

int pat_json_parse(struct pat_json **out, const char *text, size_t len, struct pat_json_err *err)
{
    int e = pat__json_check(text, len, err);
    cJSON *c;

    if (e)
        return e;
    c = cJSON_ParseWithLength(text, len);
    if (!c) {
        fault(err, "", "out of memory"); /* the text itself has been checked */
        return PAT_ENOMEM;
    }
    e = vet(c, err);
    if (e) {
        cJSON_Delete(c);
        return e;
    }
    *out = json(c);
    return PAT_OK;
}

void pat_json_free(struct pat_json *j)
{
    cJSON_Delete(node(j));
}

void pat_json_free_p(struct pat_json **j)
{
    cJSON_Delete(node(*j));
}

/* --- Reading ---------------------------------------------------------------------------------- */

enum pat_json_kind pat_json_kind(const struct pat_json *j)
{
    switch (j ? cnode(j)->type & 0xff : cJSON_NULL) {
    case cJSON_False:
    case cJSON_True:
        return PAT_JSON_BOOL;
    case cJSON_Number:
        return PAT_JSON_NUM;
    case cJSON_String:
        return PAT_JSON_STR;
    case cJSON_Array:
        return PAT_JSON_ARR;
    case cJSON_Object:
        return PAT_JSON_OBJ;
    case cJSON_Raw:
        return *cnode(j)->valuestring == '{' ? PAT_JSON_OBJ : PAT_JSON_NULL;
    default:
        return PAT_JSON_NULL;
    }
}

const cJSON *json_member(const cJSON *obj, const char *name, size_t len)
{
    if (!cJSON_IsObject(obj))
        return NULL;
    for (const cJSON *m = obj->child; m; m = m->next)
        if (!strncmp(m->string, name, len) && m->string[len] == '\0')
            return m;
    return NULL;
}

/* "[12]" at *path, which moves behind it. */
static const cJSON *item_at(const cJSON *arr, const char **path)
{
    char *end;
    unsigned long i;

    if ((*path)[1] < '0' || (*path)[1] > '9')
        return NULL;
    i = strtoul(*path + 1, &end, 10);
    if (*end != ']' || !cJSON_IsArray(arr))
        return NULL;
    *path = end + 1;
    return cnode(pat_json_item(cjson(arr), i));
}

const struct pat_json *pat_json_at(const struct pat_json *j, const char *path)
{
    const cJSON *c = cnode(j);
    size_t len;

    while (c && *path) {
        if (*path == '[') {
            c = item_at(c, &path);
        } else {
            len = strcspn(path, ".[");
            c = json_member(c, path, len);
            path += len;
        }
        if (*path == '.')
            path++;
    }
    return cjson(c);
}

/* The value at path when it is of that kind. */
static int want(const struct pat_json *j, const char *path, enum pat_json_kind kind,
                const cJSON **out, struct pat_json_err *err)
{
    static const char *const must_be[] = {
        [PAT_JSON_NULL] = "must be null",    [PAT_JSON_BOOL] = "must be true or false",
        [PAT_JSON_NUM] = "must be a number", [PAT_JSON_STR] = "must be a string",
        [PAT_JSON_ARR] = "must be an array", [PAT_JSON_OBJ] = "must be an object",
    };
    const struct pat_json *at = pat_json_at(j, path);

    if (!at)
        return fault(err, path, "is missing");
    if (pat_json_kind(at) != kind)
        return fault(err, path, must_be[kind]);
    *out = cnode(at);
    return PAT_OK;
}

int pat_json_get_str(const struct pat_json *j, const char *path, const char **out,
                     struct pat_json_err *err)
{
    const cJSON *c;
    int e = want(j, path, PAT_JSON_STR, &c, err);

    if (!e)
        *out = c->valuestring;
    return e;
}

int pat_json_get_int(const struct pat_json *j, const char *path, int64_t *out,
                     struct pat_json_err *err)
{
    const cJSON *c;
    int e = want(j, path, PAT_JSON_NUM, &c, err);

    if (e)
        return e;
    if (!json_whole(c->valuedouble))
        return fault(err, path, "must be a whole number");
    *out = (int64_t)c->valuedouble;
    return PAT_OK;
}

int pat_json_get_num(const struct pat_json *j, const char *path, double *out,
                     struct pat_json_err *err)
{
    const cJSON *c;
    int e = want(j, path, PAT_JSON_NUM, &c, err);

    if (!e)
        *out = c->valuedouble;
    return e;
}

int pat_json_get_bool(const struct pat_json *j, const char *path, bool *out,
                      struct pat_json_err *err)
{
    const cJSON *c;
    int e = want(j, path, PAT_JSON_BOOL, &c, err);

    if (!e)
        *out = cJSON_IsTrue(c);
    return e;
}

int pat_json_get_id(const struct pat_json *j, const char *path, const char **out,
                    struct pat_json_err *err)
{
    const char *s;
    int e = pat_json_get_str(j, path, &s, err);

    if (e)
        return e;
    if (!pat_id_valid(s))
        return fault(err, path, "must be a UUID");
    *out = s;
    return PAT_OK;
}

int pat_json_get_obj(const struct pat_json *j, const char *path, const struct pat_json **out,
                     struct pat_json_err *err)
{
    const cJSON *c;
    int e = want(j, path, PAT_JSON_OBJ, &c, err);

    if (!e)
        *out = cjson(c);
    return e;
}

const char *pat_json_str_or(const struct pat_json *j, const char *path, const char *fallback)
{
    const char *s;

    return pat_json_get_str(j, path, &s, NULL) ? fallback : s;
}

int64_t pat_json_int_or(const struct pat_json *j, const char *path, int64_t fallback)
{
    int64_t n;

    return pat_json_get_int(j, path, &n, NULL) ? fallback : n;
}

double pat_json_num_or(const struct pat_json *j, const char *path, double fallback)
{
    double n;

    return pat_json_get_num(j, path, &n, NULL) ? fallback : n;
}

bool pat_json_bool_or(const struct pat_json *j, const char *path, bool fallback)
{
    bool b;

    return pat_json_get_bool(j, path, &b, NULL) ? fallback : b;
}

const struct pat_json *pat_json_first(const struct pat_json *j)
{
    return cJSON_IsArray(cnode(j)) || cJSON_IsObject(cnode(j)) ? cjson(cnode(j)->child) : NULL;
}

const struct pat_json *pat_json_next(const struct pat_json *item)
{
    return cjson(cnode(item)->next);
}

size_t pat_json_size(const struct pat_json *j)
{
    size_t n = 0;

    PAT_JSON_EACH(it, j)
    n++;
    return n;
}

const struct pat_json *pat_json_item(const struct pat_json *j, size_t i)
{
    PAT_JSON_EACH(it, j)
    if (i-- == 0)
        return it;
    return NULL;
}

const char *pat_json_key(const struct pat_json *member)
{
    return member ? cnode(member)->string : NULL;
}

const char *pat_json_value_str(const struct pat_json *j)
{
    return cJSON_IsString(cnode(j)) ? cnode(j)->valuestring : NULL;
}

bool pat_json_lower_id(const struct pat_json *j)
{
    return cJSON_IsString(cnode(j)) && pat_id_lower(cnode(j)->valuestring);
}

double pat_json_value_num(const struct pat_json *j)
{
    return cJSON_IsNumber(cnode(j)) ? cnode(j)->valuedouble : 0;
}
