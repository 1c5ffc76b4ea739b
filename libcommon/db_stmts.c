/* db_stmts.c - copies statements: structs, then parameter pointers, then texts, in one block.
 *
 * In that order alignment comes for free, and one free() ends it all.
 */
#include "db_stmts.h"

#include <string.h>

static size_t text_size(const char *s)
{
    return s ? strlen(s) + 1 : 0;
}

size_t pat__stmts_size(const struct pat_db_stmt *stmts, size_t n)
{
    size_t size = 0;

    for (size_t i = 0; i < n; i++) {
        size += sizeof *stmts + (size_t)stmts[i].n * sizeof(char *);
        size += text_size(stmts[i].name) + text_size(stmts[i].sql);
        for (int p = 0; p < stmts[i].n; p++)
            size += text_size(stmts[i].params[p]);
    }
    return size;
}

static const char *put(char **at, const char *s)
{
    char *start = *at;
    size_t size = text_size(s);

    if (!size)
        return NULL;
    memcpy(start, s, size);
    *at += size;
    return start;
}

struct pat_db_stmt *pat__stmts_copy(void *dst, const struct pat_db_stmt *stmts, size_t n)
{
    struct pat_db_stmt *out = dst;
    const char **params = (const char **)(out + n);
    size_t n_params = 0;
    char *text;

    for (size_t i = 0; i < n; i++)
        n_params += (size_t)stmts[i].n;
    text = (char *)(params + n_params);
    for (size_t i = 0; i < n; i++) {
        out[i] = (struct pat_db_stmt){ put(&text, stmts[i].name), put(&text, stmts[i].sql),
                                       stmts[i].n, params };
        for (int p = 0; p < stmts[i].n; p++)
            *params++ = put(&text, stmts[i].params[p]);
    }
    return out;
}
