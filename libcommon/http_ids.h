/* http_ids.h - a table of things by number, for http.c: an id that is gone finds nothing.
 *
 * An id is a serial number over the place in the table, so it is never used twice.
 */
#ifndef PAT_HTTP_IDS_H
#define PAT_HTTP_IDS_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

#define HTTP_IDS_MAX 65536 /* the low 16 bits are the place */

struct http_ids {
    void **slots;
    uint64_t *ids;
    size_t n;
    uint64_t serial;
};

int http_ids_take(struct http_ids *t, void *thing, uint64_t *id) PAT_MUST_CHECK;
void *http_ids_find(const struct http_ids *t, uint64_t id);
void http_ids_release(struct http_ids *t, uint64_t id);
void http_ids_fini(struct http_ids *t);

#endif
