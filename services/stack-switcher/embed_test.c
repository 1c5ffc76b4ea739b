/* embed_test.c - which origins may embed our components. */
#include "embed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_embed_allowed__is_exact(void **state)
{
    static const struct {
        const char *list, *origin;
        bool yes;
        const char *what;
    } rows[] = {
        { "", "https://a.example", false, "nobody is named" },
        { NULL, "https://a.example", false, "nothing is set" },
        { "https://a.example", NULL, false, "no page asks" },
        { "https://a.example", "", false, "an empty origin" },
        { "https://a.example", "null", false, "a page without an origin" },
        { "https://a.example", "https://a.example", true, "named" },
        { "https://b.example, https://a.example", "https://a.example", true, "named second" },
        { "https://a.example/,https://b.example", "https://a.example", true, "with its slash" },
        { "https://a.example", "https://a.example.evil", false, "longer" },
        { "https://a.example.evil", "https://a.example", false, "shorter" },
        { "https://a.example", "http://a.example", false, "another scheme" },
        { "https://a.example", "https://a.example:8443", false, "another port" },
        { ",, ,", "https://a.example", false, "a list of nothing" },
        { "*", "https://a.example", false, "there is no wildcard" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (embed_allowed(rows[i].list, rows[i].origin) != rows[i].yes)
            fail_msg("%s", rows[i].what);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_embed_allowed__is_exact) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
