/* json_build.c - making trees: objects and arrays from scratch, set and added to.
 *
 * A set that fails marks its object or array; nobody has to look until it is printed. Finding out
 * what stands in a tree is json.c.
 */
#include "json_tree.h"

#include <stdlib.h>
#include <string.h>

struct pat_json *pat_json_obj(void)
{
    return json(cJSON_CreateObject());
}

struct pat_json *pat_json_arr(void)
{
    return json(cJSON_CreateArray());
}

/* Puts item, made just now and NULL when that failed, where it belongs. */
static void set(struct pat_json *obj, const char *key, cJSON *item)
{
    cJSON *c = node(obj);
    cJSON *old;

    if (!cJSON_IsObject(c) || json_broken(c) || !item)
        goto fail;
    old = (cJSON *)json_member(c, key, strlen(key));
    if (old)
        cJSON_Delete(cJSON_DetachItemViaPointer(c, old));
    if (cJSON_AddItemToObject(c, key, item))
        return;
fail:
    if (c)
        c->valueint = JSON_BROKEN;
    cJSON_Delete(item);
}

void pat_json_set_str(struct pat_json *obj, const char *key, const char *s)
{
    set(obj, key, s ? cJSON_CreateString(s) : cJSON_CreateNull());
}

/* A string that has a NUL inside would end there: each becomes U+FFFD. */
static cJSON *string_with_nuls(const char *s, size_t len)
{
    struct pat_buf b;
    cJSON *item = NULL;

    pat_buf_init(&b, len * 3);
    for (const char *nul; (nul = memchr(s, '\0', len)); len -= (size_t)(nul - s) + 1, s = nul + 1) {
        pat_buf_add(&b, s, (size_t)(nul - s));
        pat_buf_adds(&b, "\xef\xbf\xbd");
    }
    if (!pat_buf_add(&b, s, len))
        item = cJSON_CreateString(b.data);
    pat_buf_fini(&b);
    return item;
}

static cJSON *string_n(const char *s, size_t len)
{
    char small[256];
    char *copy = small;
    cJSON *item;

    if (len && memchr(s, '\0', len))
        return string_with_nuls(s, len);
    if (len >= sizeof small && !(copy = malloc(len + 1)))
        return NULL;
    if (len)
        memcpy(copy, s, len);
    copy[len] = '\0';
    item = cJSON_CreateString(copy);
    if (copy != small)
        free(copy);
    return item;
}

void pat_json_set_strn(struct pat_json *obj, const char *key, const char *s, size_t len)
{
    set(obj, key, string_n(s, len));
}

struct pat_json *pat_json_text(const char *text)
{
    return (struct pat_json *)cJSON_CreateRaw(text);
}

void pat_json_set_text(struct pat_json *obj, const char *key, const char *text)
{
    set(obj, key, cJSON_CreateRaw(text));
}

void pat_json_set_int(struct pat_json *obj, const char *key, int64_t n)
{
    set(obj, key, cJSON_CreateNumber((double)n));
}

void pat_json_set_num(struct pat_json *obj, const char *key, double n)
{
    set(obj, key, cJSON_CreateNumber(n));
}

void pat_json_set_bool(struct pat_json *obj, const char *key, bool b)
{
    set(obj, key, cJSON_CreateBool(b));
}

void pat_json_set_null(struct pat_json *obj, const char *key)
{
    set(obj, key, cJSON_CreateNull());
}

void pat_json_set_take(struct pat_json *obj, const char *key, struct pat_json *child)
{
    set(obj, key, node(child));
}

static void add(struct pat_json *arr, cJSON *item)
{
    cJSON *c = node(arr);

    if (cJSON_IsArray(c) && !json_broken(c) && item && cJSON_AddItemToArray(c, item))
        return;
    if (c)
        c->valueint = JSON_BROKEN;
    cJSON_Delete(item);
}

void pat_json_add_take(struct pat_json *arr, struct pat_json *child)
{
    add(arr, node(child));
}

void pat_json_add_str(struct pat_json *arr, const char *s)
{
    add(arr, s ? cJSON_CreateString(s) : cJSON_CreateNull());
}

struct pat_json *pat_json_dup(const struct pat_json *j)
{
    return json(cJSON_Duplicate(cnode(j), true));
}
