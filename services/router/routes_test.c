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

/* What it was and what came out of the table's packing, in the form a snapshot has. */
static void test_routes__keeps_a_row_as_it_was(void **state)
{
    static const char row[] =
        "{\"number\":\"+15550100001\",\"user_id\":\"" ANN "\",\"stack\":\"retell\","
        "\"agent_config_id\":\"" BOB
        "\",\"retell_agent_id\":\"agent_\\\"x\",\"retell_agent_version\":3,"
        "\"is_active\":true,\"version\":7,\"settings\":{\"agent_name\":\"Pät\"},"
        "\"policies\":{\"withheld\":\"reject\"}}\n";
    struct routes_table *t;
    struct pat_json *j;
    struct pat_buf out;
    size_t at = 0;

    (void)state;
    assert_int_equal(routes_table_new(&t), PAT_OK);
    for (int i = 0; i < 2; i++) { /* the second time by what was printed */
        assert_int_equal(pat_json_parse(&j, row, strlen(row) - 1, NULL), PAT_OK);
        assert_int_equal(routes_table_put(t, j), PAT_OK);
    }
    pat_buf_init(&out, 65536);
    assert_int_equal(routes_table_print(t, &at, 100, &out), PAT_OK);
    assert_true(routes_table_printed(t, at));
    assert_string_equal(out.data, row);
    pat_buf_fini(&out);
    routes_table_free(t);
}

static void test_routes__many_come_and_go(void **state)
{
    enum { N = 5000 };
    struct routes_table *t;
    char number[20], user[40];

    (void)state;
    assert_int_equal(routes_table_new(&t), PAT_OK);
    for (int i = 0; i < N; i++) {
        snprintf(number, sizeof number, "+1555%07d", i);
        snprintf(user, sizeof user, "3f1d2c4b-0000-4000-8000-%012d", i / 3);
        assert_int_equal(put(t, number, user, "livekit", i), PAT_OK);
    }
    assert_int_equal(routes_table_count(t), N);
    snprintf(user, sizeof user, "3f1d2c4b-0000-4000-8000-%012d", 100);
    assert_int_equal(routes_table_user_version(t, user), 300);
    for (int i = 0; i < N; i += 3) { /* of each user the first number stays */
        snprintf(user, sizeof user, "3f1d2c4b-0000-4000-8000-%012d", i / 3);
        routes_table_unsee(t, user);
        snprintf(number, sizeof number, "+1555%07d", i);
        assert_int_equal(put(t, number, user, "retell", N + i), PAT_OK);
        routes_table_drop_unseen(t, user);
    }
    assert_int_equal(routes_table_count(t), (N + 2) / 3);
    for (int i = 0; i < N; i++) {
        snprintf(number, sizeof number, "+1555%07d", i);
        assert_int_equal(routes_table_has(t, number), i % 3 == 0);
        if (i % 3 == 0)
            assert_int_equal(routes_table_find(t, number)->stack, STACK_RETELL);
    }
    routes_table_unsee(t, NULL);
    assert_int_equal(
        put(t, "+15550000003", "3f1d2c4b-0000-4000-8000-000000000001", "livekit", 9 * N), PAT_OK);
    routes_table_drop_unseen(t, NULL);
    assert_int_equal(routes_table_count(t), 1);
    assert_true(routes_table_user_version(t, "3f1d2c4b-0000-4000-8000-000000000002") == INT64_MAX);
    routes_table_free(t);
}

static void test_routes__what_was_found_outlives_seven_more(void **state)
{
    struct routes_table *t;
    const struct route *first;
    char number[20];

    (void)state;
    assert_int_equal(routes_table_new(&t), PAT_OK);
    for (int i = 0; i < 8; i++) {
        snprintf(number, sizeof number, "+1555010000%d", i);
        assert_int_equal(put(t, number, ANN, "livekit", 1), PAT_OK);
    }
    first = routes_table_find(t, "+15550100000");
    for (int i = 1; i < 8; i++) {
        snprintf(number, sizeof number, "+1555010000%d", i);
        assert_non_null(routes_table_find(t, number));
    }
    assert_string_equal(first->number, "+15550100000");
    assert_string_equal(first->settings, "{\"agent_name\":\"Pat\"}");
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
        cmocka_unit_test(test_routes__keeps_a_row_as_it_was),
        cmocka_unit_test(test_routes__many_come_and_go),
        cmocka_unit_test(test_routes__what_was_found_outlives_seven_more),
    };

    return cmocka_run_group_tests_name("routes", tests, NULL, NULL);
}
