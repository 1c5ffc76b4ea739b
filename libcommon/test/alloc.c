/* alloc.c - the counted allocator of the tests.
 *
 * Counts on one thread only, and only while a walk is on. free is left alone.
 */
#include "test/alloc.h"

#include "err.h"

#include <cjson/cJSON.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

/* No unit under test makes more; a walk that long is a loop that never passes. */
enum { RUNS_MAX = 20000 };

/* The linker's names for --wrap (ld(1)). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

static struct {
    bool on;
    bool hit;
    long left; /* allocations that still succeed */
} walk;

static bool fails(void)
{
    if (!walk.on || walk.left-- > 0)
        return false;
    walk.hit |= walk.left == -1;
    return walk.left == -1;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
    return fails() ? NULL : __real_strndup(s, n);
}

static int run(pat_test_alloc_fn *fn, void *arg, long n)
{
    int err;

    walk.left = n;
    walk.hit = false;
    walk.on = true;
    err = fn(arg);
    walk.on = false;
    if (err != PAT_OK && (err != PAT_ENOMEM || !walk.hit))
        fail_msg("with allocation %ld failing: %s", n, pat_err_name(err));
    return err;
}

void pat_test_alloc_walk(pat_test_alloc_fn *fn, void *arg)
{
    cJSON_Hooks hooks = { __wrap_malloc, free };
    const char *only = getenv("PAT_FAIL_ALLOC");
    long n = 0;

    cJSON_InitHooks(&hooks);
    if (only) {
        (void)run(fn, arg, strtol(only, NULL, 10));
    } else {
        while (run(fn, arg, n), walk.hit)
            if (++n > RUNS_MAX)
                fail_msg("still failing with %ld allocations", n);
        assert_true(n > 0); /* else the wrapping is not linked in, and nothing was shown */
    }
    cJSON_InitHooks(NULL);
}
