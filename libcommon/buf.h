/* buf.h - a growing byte buffer that is born with its maximum.
 *
 * data is always NUL-terminated one byte behind len once anything was added. A failed add changes
 * nothing and makes the buffer stick in its error: a run of adds needs one check at the end.
 */
#ifndef PAT_BUF_H
#define PAT_BUF_H

#include "err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct pat_buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max;
    int err; /* first failure: PAT_ENOMEM or PAT_E2BIG */
};

void pat_buf_init(struct pat_buf *b, size_t max);
void pat_buf_fini(struct pat_buf *b);
/* Empties it, keeps the memory, clears the error. */
void pat_buf_reset(struct pat_buf *b);
static inline int pat_buf_add(struct pat_buf *b, const void *data, size_t len);
static inline int pat_buf_adds(struct pat_buf *b, const char *s);
int pat_buf_addi(struct pat_buf *b, int64_t n); /* in decimal */
int pat_buf_addf(struct pat_buf *b, const char *fmt, ...) PAT_PRINTF(2, 3);
/* Room for len more bytes at the end, to be written by the caller, who then adds to len; the
 * terminator comes with the next add or take. NULL: no room. */
char *pat_buf_reserve(struct pat_buf *b, size_t len);
/* Drops n bytes from the front, all when there are fewer. */
void pat_buf_drop(struct pat_buf *b, size_t n);
/* The text ("" when nothing was added), yours to free(); the buffer is empty after. NULL when the
 * buffer is in error: then it is empty too, and stays in error. */
char *pat_buf_take(struct pat_buf *b);

/* strlcpy where glibc has none: always terminates; false when it had to cut. */
bool pat_strcpy(char *dst, size_t cap, const char *src);

/* Inline, because texts are made of a thousand small pieces whose lengths the compiler knows. */
int pat__buf_add_grown(struct pat_buf *b, const void *data, size_t len);
static inline int pat_buf_add(struct pat_buf *b, const void *data, size_t len)
{
    /* Nearly always there is room: cap is never past max + 1. */
    if (!len || len >= b->cap - b->len || b->err)
        return pat__buf_add_grown(b, data, len);
    memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return PAT_OK;
}

static inline int pat_buf_adds(struct pat_buf *b, const char *s)
{
    return pat_buf_add(b, s, strlen(s));
}

/* For locals that never leave the function. */
void pat_free_str(char **p);
#define PAT_AUTO_STR __attribute__((cleanup(pat_free_str))) char *

#endif
