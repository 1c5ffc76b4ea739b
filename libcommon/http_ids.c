/* http_ids.c - the table grows by doubling and does not shrink. */
#include "http_ids.h"

#include <stdlib.h>
#include <string.h>

static int grow(struct http_ids *t)
{
    size_t n = t->n ? t->n * 2 : 64;
    void **slots;
    uint64_t *ids;

    if (n > HTTP_IDS_MAX)
        return PAT_EAGAIN;
    slots = realloc(t->slots, n * sizeof *slots);
    if (!slots)
        return PAT_ENOMEM;
    t->slots = slots;
    ids = realloc(t->ids, n * sizeof *ids);
    if (!ids)
        return PAT_ENOMEM;
    t->ids = ids;
    memset(slots + t->n, 0, (n - t->n) * sizeof *slots);
    memset(ids + t->n, 0, (n - t->n) * sizeof *ids);
    t->n = n;
    return PAT_OK;
}

int http_ids_take(struct http_ids *t, void *thing, uint64_t *id)
{
    size_t at = 0;
    int err;

    while (at < t->n && t->slots[at])
        at++;
    err = at == t->n ? grow(t) : PAT_OK;
    if (err)
        return err;
    t->slots[at] = thing;
    t->ids[at] = *id = ++t->serial * HTTP_IDS_MAX + at;
    return PAT_OK;
}

void *http_ids_find(const struct http_ids *t, uint64_t id)
{
    size_t at = id % HTTP_IDS_MAX;

    return id && at < t->n && t->ids[at] == id ? t->slots[at] : NULL;
}

void http_ids_release(struct http_ids *t, uint64_t id)
{
    if (http_ids_find(t, id)) {
        t->slots[id % HTTP_IDS_MAX] = NULL;
        t->ids[id % HTTP_IDS_MAX] = 0;
    }
}

void http_ids_fini(struct http_ids *t)
{
    free(t->slots);
    free(t->ids);
    *t = (struct http_ids){ 0 };
}
