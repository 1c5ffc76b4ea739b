/* held.c - a length and a level before each piece, which is padded so that the next is aligned.
 *
 * It does not look into the pieces. */
#include "held.h"

#include <string.h>

struct head {
    uint32_t len;
    int32_t level;
};

static size_t padded(size_t len)
{
    return (len + sizeof(struct head) - 1) / sizeof(struct head) * sizeof(struct head);
}

int held_add(struct pat_buf *b, const void *data, size_t len, int level)
{
    const struct head h = { (uint32_t)len, level };
    char *to = pat_buf_reserve(b, sizeof h + padded(len));

    if (!to)
        return b->err ? b->err : PAT_ENOMEM;
    memcpy(to, &h, sizeof h);
    memcpy(to + sizeof h, data, len);
    memset(to + sizeof h + len, 0, padded(len) - len);
    b->len += sizeof h + padded(len);
    return PAT_OK;
}

bool held_next(const struct pat_buf *b, size_t *at, struct held_piece *out)
{
    struct head h;

    if (*at + sizeof h > b->len)
        return false;
    memcpy(&h, b->data + *at, sizeof h);
    *out = (struct held_piece){ b->data + *at + sizeof h, h.len, h.level };
    *at += sizeof h + padded(h.len);
    return true;
}
