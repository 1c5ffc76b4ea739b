/* multipart.h - multipart/form-data (RFC 7578): what a form with a file in it arrives as.
 *
 * Read whole and in place: the parts point into the body. Pure.
 */
#ifndef PAT_MULTIPART_H
#define PAT_MULTIPART_H

#include "err.h"

#include <stddef.h>

struct pat_part {
    char name[64];
    char
        filename[128]; /* "": a plain field. Its last segment, whatever path the sender put there */
    char type[64];     /* "" when not said */
    const char *data;  /* in the body; not NUL-terminated */
    size_t len;
};

/* content_type: the request's header, or NULL. body[len] is NUL. Longer names and types are cut
 * off. PAT_EINVAL: no multipart/form-data, or its parts do not end as they should. PAT_E2BIG: more
 * than max parts. */
int pat_multipart_parse(const char *content_type, const char *body, size_t len,
                        struct pat_part *parts, size_t max, size_t *n) PAT_MUST_CHECK;
/* The first of that name; NULL. */
const struct pat_part *pat_multipart_find(const struct pat_part *parts, size_t n, const char *name);

#endif
