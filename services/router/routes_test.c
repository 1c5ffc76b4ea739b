/* routes_test.c - the table of numbers. */
#include "routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ANN "3f1d2c4b-0000-4000-8000-000000000001"
#define BOB "3f1d2c4b-0000-4000-8000-000000000002"

static int put(struct routes_table *t, const char *number, const char *user, const char *stack,
               int version)
{
    struct pat_json *row;
    char text[512];

    snprintf(
        text, sizeof text,
        "{\"number\":\"%s\",\"user_id\":\"%s\",\"agent_config_id\":\"%s\",\"stack\":\"%s\",\"retell_agent_id\":\"agent_1\","
        "\"is_active\":true,\"version\":%d,\"settings\":{\"agent_name\":\"Pat\"}}",
        number, user, user, stack, version);
    assert_int_equal(pat_json_parse(&row, text, strlen(text), NULL), PAT_OK);
    return routes_table_put(t, row);
}

static void test_routes__finds_the_user_of_a_number(void **state)
{
    struct routes_table *t;
    const struct route *r;

    (void)state;
    assert_int_equal(routes_table_new(&t), PAT_OK);
    assert_int_equal(put(t, "+15550100001", ANN, "livekit", 3), PAT_OK);
    assert_int_equal(put(t, "+15550100002", BOB, "retell", 1), PAT_OK);
    r = routes_table_find(t, "+15550100001");
    assert_string_equal(r->user, ANN);
    assert_int_equal(r->stack, STACK_LIVEKIT);
    assert_true(r->active);
    assert_string_equal(r->settings, "{\"agent_name\":\"Pat\"}");
    assert_int_equal(routes_table_find(t, "+15550100002")->stack, STACK_RETELL);
    assert_null(routes_table_find(t, "+15550100003"));
    routes_table_free(t);
}

static void test_routes__an_older_version_is_ignored(void **state)
{
    struct routes_table *t;

    (void)state;
    assert_int_equal(routes_table_new(&t), PAT_OK);
    assert_int_equal(put(t, "+15550100001", ANN, "livekit", 3), PAT_OK);
    assert_int_equal(put(t, "+15550100001", ANN, "retell", 2), PAT_ESTALE);
    assert_int_equal(routes_table_find(t, "+15550100001")->stack, STACK_LIVEKIT);
    assert_int_equal(put(t, "+15550100001", ANN, "retell", 4), PAT_OK);
    assert_int_equal(routes_table_find(t, "+15550100001")->stack, STACK_RETELL);
    routes_table_free(t);
}

/* Versions count per user: the new owner's may be lower. */
static void test_routes__a_number_may_change_hands(void **state)
{
    struct routes_table *t;

    (void)state;
    assert_int_equal(routes_table_new(&t), PAT_OK);
    assert_int_equal(put(t, "+15550100001", ANN, "livekit", 9), PAT_OK);
    assert_int_equal(put(t, "+15550100001", BOB, "retell", 2), PAT_OK);
    assert_string_equal(routes_table_find(t, "+15550100001")->user, BOB);
    routes_table_free(t);
}

static void test_routes__drops_what_a_users_fetch_did_not_show(void **state)
{
    struct routes_table *t;

    (void)state;
    assert_int_equal(routes_table_new(&t), PAT_OK);
    assert_int_equal(put(t, "+15550100001", ANN, "livekit", 1), PAT_OK);
    assert_int_equal(put(t, "+15550100003", ANN, "livekit", 1), PAT_OK);
    assert_int_equal(put(t, "+15550100002", BOB, "retell", 1), PAT_OK);
    routes_table_unsee(t, ANN);
    assert_int_equal(put(t, "+15550100003", ANN, "livekit", 2), PAT_OK);
    routes_table_drop_unseen(t, ANN);
    assert_null(routes_table_find(t, "+15550100001"));
    assert_non_null(routes_table_find(t, "+15550100003"));
    assert_non_null(routes_table_find(t, "+15550100002"));
    routes_table_free(t);
}

static void test_routes__refuses_broken_rows(void **state)
{
    static const char *const table[] = {
        "{}",
        "{\"number\":\"5550100\",\"user_id\":\"" ANN "\"}",
        "{\"number\":\"+15550100001\",\"user_id\":\"ann\"}",
        "{\"number\":\"+15550100001\"}",
        "[]",
    };
    struct routes_table *t;

    (void)state;
    assert_int_equal(routes_table_new(&t), PAT_OK);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct pat_json *row;

        assert_int_equal(pat_json_parse(&row, table[i], strlen(table[i]), NULL), PAT_OK);
        assert_int_equal(routes_table_put(t, row), PAT_EINVAL);
    }
    assert_int_equal(routes_table_count(t), 0);
    routes_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes__finds_the_user_of_a_number),
        cmocka_unit_test(test_routes__an_older_version_is_ignored),
        cmocka_unit_test(test_routes__a_number_may_change_hands),
        cmocka_unit_test(test_routes__drops_what_a_users_fetch_did_not_show),
        cmocka_unit_test(test_routes__refuses_broken_rows),
    };

    return cmocka_run_group_tests_name("routes", tests, NULL, NULL);
}
