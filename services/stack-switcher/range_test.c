/* range_test.c - which bytes a Range header names (RFC 9110, 14.1.2). */
#include "recordings_int.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_range__follows_the_table(void **state)
{
    static const struct {
        const char *header;
        uint64_t total;
        int err;
        uint64_t from, to;
    } table[] = {
        { NULL, 1000, PAT_OK, 0, 999 },
        { "bytes=0-499", 1000, PAT_OK, 0, 499 },
        { "bytes=500-", 1000, PAT_OK, 500, 999 },
        { "bytes=-500", 1000, PAT_OK, 500, 999 },
        { "bytes=-5000", 1000, PAT_OK, 0, 999 },
        { "bytes=999-5000", 1000, PAT_OK, 999, 999 },
        { "bytes=1000-", 1000, PAT_EINVAL, 0, 0 },
        { "bytes=-0", 1000, PAT_EINVAL, 0, 0 },
        { "bytes=0-", 0, PAT_EINVAL, 0, 0 },
        /* No single good range: the whole. */
        { "bytes=0-1,5-6", 1000, PAT_OK, 0, 999 },
        { "bytes=5-4", 1000, PAT_OK, 0, 999 },
        { "bytes=x", 1000, PAT_OK, 0, 999 },
        { "bytes=-", 1000, PAT_OK, 0, 999 },
        { "lines=1-2", 1000, PAT_OK, 0, 999 },
        { "bytes=99999999999999999999-", 1000, PAT_OK, 0, 999 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct range r = range_read(table[i].header);
        uint64_t from, to;
        int err = range_of(&r, table[i].total, &from, &to);

        assert_int_equal(err, table[i].err);
        if (!err) {
            assert_int_equal(from, table[i].from);
            assert_int_equal(to, table[i].to);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_range__follows_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
