/* json_tree.h - inside json: a struct pat_json is a cJSON by another name.
 *
 * For json.c, json_build.c and json_print.c only: nobody else knows cJSON.
 */
#ifndef PAT_JSON_TREE_H
#define PAT_JSON_TREE_H

#include "json.h"

#include <cjson/cJSON.h>
#include <math.h>

static inline cJSON *node(struct pat_json *j)
{
    return (cJSON *)j;
}

static inline const cJSON *cnode(const struct pat_json *j)
{
    return (const cJSON *)j;
}

static inline struct pat_json *json(cJSON *c)
{
    return (struct pat_json *)c;
}

static inline const struct pat_json *cjson(const cJSON *c)
{
    return (const struct pat_json *)c;
}

/* In valueint of an array or object, which cJSON leaves alone and copies: a set failed. */
enum { JSON_BROKEN = 1 };

static inline bool json_broken(const cJSON *c)
{
    return (cJSON_IsObject(c) || cJSON_IsArray(c)) && c->valueint == JSON_BROKEN;
}

/* A whole number of at most 2^53 - 1, the last one no neighbour rounds to. */
static inline bool json_whole(double v)
{
    static const double exact_max = 9007199254740991.0;

    return v >= -exact_max && v <= exact_max && v == trunc(v);
}

/* The member of that name, of which len bytes count; NULL: there is none. json.c. */
const cJSON *json_member(const cJSON *obj, const char *name, size_t len);

#endif
