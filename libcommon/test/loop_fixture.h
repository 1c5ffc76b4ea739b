/* loop_fixture.h - for tests: a loop, and a trace of what ran on it. Include after cmocka.h. */
#ifndef PAT_TEST_LOOP_FIXTURE_H
#define PAT_TEST_LOOP_FIXTURE_H

#include "loop.h"

#include <stdlib.h>

struct trace {
    struct pat_loop *loop;
    char text[64]; /* one letter per callback */
    size_t n;
};

static inline void mark(struct trace *t, char c)
{
    if (t->n + 1 < sizeof t->text)
        t->text[t->n++] = c;
}

static inline int setup(void **state)
{
    struct trace *t = calloc(1, sizeof *t);

    assert_non_null(t);
    assert_int_equal(pat_loop_new(&t->loop), PAT_OK);
    *state = t;
    return 0;
}

static inline int teardown(void **state)
{
    struct trace *t = *state;

    assert_int_equal(pat_loop_free(t->loop), PAT_OK);
    free(t);
    return 0;
}

#endif
