/* query_test.c - limit and before, as they come from outside. */
#include "query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ID "0199a7d2-0000-7000-8000-000000000001"

static void test_page__follows_the_table(void **state)
{
    static const struct {
        const char *limit, *before;
        const char *field; /* NULL: fine */
        const char *shown; /* the limit */
    } table[] = {
        { NULL, NULL, NULL, "50" },
        { "1", NULL, NULL, "1" },
        { "200", ID, NULL, "200" },
        { "007", NULL, NULL, "7" },
        { "0", NULL, "limit", NULL },
        { "201", NULL, "limit", NULL },
        { "", NULL, "limit", NULL },
        { "-1", NULL, "limit", NULL },
        { "5x", NULL, "limit", NULL },
        { "99999999999999999999", NULL, "limit", NULL },
        { NULL, "", "before", NULL },
        { NULL, "1; drop table calls", "before", NULL },
        { NULL, "0199A7D2-0000-7000-8000-000000000001", "before", NULL },
        { "0", "x", "limit", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *field = NULL, *what = NULL;
        struct page p = { .limit = "x" };
        int err = page_read(&p, table[i].limit, table[i].before, &field, &what);

        if (table[i].field) {
            assert_int_equal(err, PAT_EINVAL);
            assert_string_equal(field, table[i].field);
            assert_non_null(what);
            assert_string_equal(p.limit, "x");
        } else {
            assert_int_equal(err, PAT_OK);
            assert_string_equal(p.limit, table[i].shown);
            assert_string_equal(p.before, table[i].before ? table[i].before : "");
        }
    }
}

static void test_query__knows_json_by_its_name(void **state)
{
    static const char *const are[] = { "application/json", "Application/JSON; charset=utf-8",
                                       "application/merge-patch+json" };
    static const char *const are_not[] = { "",
                                           "+json",
                                           "text/json",
                                           "application/jsonp",
                                           "text/plain; x=+json",
                                           "application/x-www-form-urlencoded" };

    (void)state;
    for (size_t i = 0; i < sizeof are / sizeof are[0]; i++)
        assert_true(query_is_json(are[i]));
    for (size_t i = 0; i < sizeof are_not / sizeof are_not[0]; i++)
        assert_false(query_is_json(are_not[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page__follows_the_table),
        cmocka_unit_test(test_query__knows_json_by_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
