/* calls_query_test.c - times as a query may have them: what Postgres would refuse never gets there.
 */
#include "calls_query.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_calls_time__follows_the_table(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } table[] = {
        { "2026-11-23", true },
        { "2026-11-23T10:00Z", true },
        { "2026-11-23T10:00:59.123456Z", true },
        { "2026-11-23T10:00:00+05:30", true },
        { "2026-11-23T10:00:00 05:30", true }, /* a '+' in a query is a blank */
        { "2024-02-29", true },
        { "2026-02-29", false },
        { "1900-02-29", false },
        { "2000-02-29", true },
        { "2026-04-31", false },
        { "2026-13-01", false },
        { "2026-00-01", false },
        { "0000-01-01", false },
        { "2026-11-23T24:00Z", false },
        { "2026-11-23T10:60Z", false },
        { "2026-11-23T10:00", false },
        { "2026-11-23T10:00:00.Z", false },
        { "2026-11-23T10:00:00Zx", false },
        { "2026-11-23T10:00:00+5:30", false },
        { "now()", false },
        { "26-11-23", false },
        { "", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (calls_time_valid(table[i].text) != table[i].good)
            fail_msg("%s", table[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_time__follows_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
