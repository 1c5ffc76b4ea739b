/* buf.c - the growing buffer: doubles, never past its maximum, sticks in its first error.
 *
 * It does not shrink; a buffer that is reused keeps the size of its largest content.
 */
#include "buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 256 };

void pat_buf_init(struct pat_buf *b, size_t max)
{
    *b = (struct pat_buf){ .max = max < SIZE_MAX / 2 ? max : SIZE_MAX / 2 };
}

void pat_buf_fini(struct pat_buf *b)
{
    free(b->data);
    *b = (struct pat_buf){ .max = b->max };
}

void pat_buf_reset(struct pat_buf *b)
{
    b->len = 0;
    b->err = PAT_OK;
    if (b->data)
        b->data[0] = '\0';
}

static int fail(struct pat_buf *b, int err)
{
    b->err = err;
    return err;
}

/* Makes room for len more bytes and the terminator. */
static int grow(struct pat_buf *b, size_t len)
{
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    size_t need;
    char *data;

    if (b->err)
        return b->err;
    if (len > b->max - b->len)
        return fail(b, PAT_E2BIG);
    need = b->len + len + 1;
    if (need <= b->cap)
        return PAT_OK;
    while (cap < need)
        cap *= 2;
    if (cap > b->max + 1)
        cap = b->max + 1;
    data = realloc(b->data, cap);
    if (!data)
        return fail(b, PAT_ENOMEM);
    data[b->len] = '\0';
    b->data = data;
    b->cap = cap;
    return PAT_OK;
}

int pat__buf_add_grown(struct pat_buf *b, const void *data, size_t len)
{
    int err = grow(b, len);

    if (err)
        return err;
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return PAT_OK;
}

int pat_buf_addi(struct pat_buf *b, int64_t n)
{
    char digits[24];
    char *at = digits + sizeof digits;
    uint64_t u = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;

    do
        *--at = (char)('0' + u % 10);
    while (u /= 10);
    if (n < 0)
        *--at = '-';
    return pat_buf_add(b, at, (size_t)(digits + sizeof digits - at));
}

int pat_buf_addf(struct pat_buf *b, const char *fmt, ...)
{
    va_list args;
    va_list again;
    int err = grow(b, 0);
    int n;

    if (err)
        return err;
    va_start(args, fmt);
    va_copy(again, args);
    n = vsnprintf(b->data + b->len, b->cap - b->len, fmt, args);
    if (n < 0)
        err = fail(b, PAT_EINVAL);
    else if ((size_t)n >= b->cap - b->len) {
        b->data[b->len] = '\0';
        err = grow(b, (size_t)n);
        if (!err)
            (void)vsnprintf(b->data + b->len, b->cap - b->len, fmt, again);
    }
    if (!err)
        b->len += (size_t)n;
    va_end(again);
    va_end(args);
    return err;
}

char *pat_buf_reserve(struct pat_buf *b, size_t len)
{
    if (grow(b, len))
        return NULL;
    return b->data + b->len;
}

void pat_buf_drop(struct pat_buf *b, size_t n)
{
    if (n > b->len)
        n = b->len;
    if (!n)
        return;
    b->len -= n;
    memmove(b->data, b->data + n, b->len);
    b->data[b->len] = '\0';
}

char *pat_buf_take(struct pat_buf *b)
{
    char *text;
    int err = grow(b, 0);

    if (err) {
        pat_buf_fini(b); /* who takes does not */
        b->err = err;
        return NULL;
    }
    text = b->data;
    text[b->len] = '\0'; /* who wrote into a reserve did not have to */
    *b = (struct pat_buf){ .max = b->max };
    return text;
}

bool pat_strcpy(char *dst, size_t cap, const char *src)
{
    size_t len = strlen(src);
    bool fits = len < cap;

    if (!cap)
        return false;
    if (!fits)
        len = cap - 1;
    memcpy(dst, src, len);
    dst[len] = '\0';
    return fits;
}

void pat_free_str(char **p)
{
    free(*p);
}
