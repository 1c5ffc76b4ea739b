/* json_build_test.c - trees built by us, and what is printed of them. */
#include "test/cmocka.h"

#include "json.h"
#include "test/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct pat_json *parse(const char *text)
{
    struct pat_json *j = NULL;
    struct pat_json_err err = { "", "" };

    if (pat_json_parse(&j, text, strlen(text), &err))
        fail_msg("%s: %s", text, err.what);
    return j;
}

static void assert_prints(const struct pat_json *j, const char *want)
{
    PAT_AUTO_STR text = pat_json_print(j);

    assert_non_null(text);
    assert_string_equal(text, want);
}

static void test_json__builds_in_the_order_of_the_sets(void **state)
{
    PAT_AUTO_JSON j = pat_json_obj();
    struct pat_json *arr = pat_json_arr();

    (void)state;
    pat_json_set_str(j, "s", "a\"b");
    pat_json_set_str(j, "absent", NULL);
    pat_json_set_strn(j, "part", "abcdef", 3);
    pat_json_set_strn(j, "none", NULL, 0);
    pat_json_set_int(j, "i", -1764000000000);
    pat_json_set_num(j, "f", 0.1);
    pat_json_set_bool(j, "t", true);
    pat_json_set_null(j, "z");
    pat_json_add_str(arr, "x");
    pat_json_add_take(arr, pat_json_obj());
    pat_json_set_take(j, "arr", arr);
    assert_prints(j, "{\"s\":\"a\\\"b\",\"absent\":null,\"part\":\"abc\",\"none\":\"\","
                     "\"i\":-1764000000000,\"f\":0.1,\"t\":true,\"z\":null,\"arr\":[\"x\",{}]}");
}

static void test_json__a_set_replaces(void **state)
{
    PAT_AUTO_JSON j = pat_json_obj();

    (void)state;
    pat_json_set_int(j, "a", 1);
    pat_json_set_int(j, "b", 2);
    pat_json_set_str(j, "a", "three");
    assert_prints(j, "{\"b\":2,\"a\":\"three\"}");
}

static void test_json__prints_only_json(void **state)
{
    PAT_AUTO_JSON j = pat_json_obj();
    PAT_AUTO_JSON back = NULL;
    PAT_AUTO_STR text = NULL;

    (void)state;
    pat_json_set_num(j, "nan", NAN);
    pat_json_set_num(j, "inf", -INFINITY);
    pat_json_set_str(j, "bytes", "a\xff\xc3z");
    pat_json_set_strn(j, "nul", "a\0\0b", 4);
    pat_json_set_num(j, "huge", 1e300);
    pat_json_set_int(j, "min", INT64_MIN);
    pat_json_set_str(j, "k\"\n", "");
    text = pat_json_print(j);
    assert_string_equal(text, "{\"nan\":null,\"inf\":null,\"bytes\":\"a\\ufffd\\ufffdz\","
                              "\"nul\":\"a\xef\xbf\xbd\xef\xbf\xbd"
                              "b\",\"huge\":1e+300,\"min\":-9.2233720368547758e+18,"
                              "\"k\\\"\\n\":\"\"}");
    assert_int_equal(pat_json_parse(&back, text, strlen(text), NULL), PAT_OK);
}

static void test_json__copies_long_parts(void **state)
{
    char part[1000];
    PAT_AUTO_JSON j = pat_json_obj();

    (void)state;
    memset(part, 'p', sizeof part);
    for (size_t len = 254; len <= 258; len++) {
        pat_json_set_strn(j, "s", part, len);
        assert_int_equal(strlen(pat_json_str_or(j, "s", "")), len);
    }
}

static void test_json__dup_is_a_tree_of_its_own(void **state)
{
    struct pat_json *j = parse("{\"call\":{\"from\":\"+1555\",\"n\":3}}");
    PAT_AUTO_JSON copy = pat_json_dup(j);
    PAT_AUTO_JSON part = pat_json_dup(pat_json_at(j, "call"));

    (void)state;
    pat_json_free(j);
    assert_string_equal(pat_json_str_or(copy, "call.from", ""), "+1555");
    assert_int_equal(pat_json_int_or(part, "n", 0), 3);
    assert_null(pat_json_dup(NULL));
}

static void test_json__print_to_stops_at_the_buffers_maximum(void **state)
{
    PAT_AUTO_JSON j = parse("[\"0123456789\"]");
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, 13);
    assert_int_equal(pat_json_print_to(j, &b), PAT_E2BIG);
    pat_buf_fini(&b);
    pat_buf_init(&b, 14);
    assert_int_equal(pat_json_print_to(j, &b), PAT_OK);
    assert_string_equal(b.data, "[\"0123456789\"]");
    pat_buf_fini(&b);
}

static void test_json__a_tree_too_deep_is_not_printed(void **state)
{
    PAT_AUTO_JSON j = pat_json_arr();

    (void)state;
    for (int i = 0; i < 3 * PAT_JSON_DEPTH; i++) {
        struct pat_json *outer = pat_json_arr();

        pat_json_add_take(outer, j);
        j = outer;
    }
    assert_null(pat_json_print(j));
}

static void test_json__a_failed_child_spoils_the_tree_until_print(void **state)
{
    PAT_AUTO_JSON j = pat_json_obj();
    struct pat_json *arr = pat_json_arr();

    (void)state;
    pat_json_add_take(arr, NULL);
    pat_json_set_take(j, "arr", arr);
    pat_json_set_int(j, "n", 1);
    assert_null(pat_json_print(j));
    pat_json_set_take(NULL, "x", pat_json_obj()); /* frees it all the same */
    pat_json_add_take(NULL, pat_json_obj());
    assert_null(pat_json_print(NULL));
}

static void test_json__quote_escapes_everything_that_must_be(void **state)
{
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, 100);
    pat_buf_adds(&b, "x=");
    assert_int_equal(pat_json_quote(&b, "a\0\"\\\n\x1f\xc3\xa9\xff", 9), PAT_OK);
    assert_string_equal(b.data, "x=\"a\\u0000\\\"\\\\\\n\\u001f\xc3\xa9\\ufffd\"");
    pat_buf_fini(&b);
}

static int build(void *arg)
{
    PAT_AUTO_JSON j = pat_json_obj();
    struct pat_json *arr = pat_json_arr();
    char big[400];
    PAT_AUTO_STR text = NULL;

    (void)arg;
    memset(big, 'b', sizeof big);
    pat_json_set_str(j, "s", "text");
    pat_json_set_strn(j, "big", big, sizeof big);
    pat_json_set_strn(j, "nul", "\0", 1);
    pat_json_set_int(j, "s", 2);
    pat_json_add_str(arr, "x");
    pat_json_set_take(j, "arr", arr);
    pat_json_set_bool(j, "b", true);
    text = pat_json_print(j);
    return text ? PAT_OK : PAT_ENOMEM;
}

static void test_json__building_survives_each_allocation_failing(void **state)
{
    (void)state;
    pat_test_alloc_walk(build, NULL);
}

/* Eight bytes are looked at together: each byte value at each place among letters. */
static void test_json__quote_finds_what_needs_it_at_any_place(void **state)
{
    (void)state;
    for (int place = 0; place < 24; place++)
        for (int ch = 1; ch < 256; ch++) {
            char text[25] = "abcdefghijklmnopqrstuvwx";
            PAT_AUTO_JSON back = NULL;
            struct pat_buf b;

            text[place] = (char)ch;
            pat_buf_init(&b, 1000);
            assert_int_equal(pat_json_quote(&b, text, 24), PAT_OK);
            assert_int_equal(pat_json_parse(&back, b.data, b.len, NULL), PAT_OK);
            if (ch < 0x80)
                assert_string_equal(pat_json_value_str(back), text);
            else /* alone it is not UTF-8 */
                assert_non_null(strstr(b.data, "fffd"));
            pat_buf_fini(&b);
        }
}

static void test_json__text_is_put_in_as_it_is(void **state)
{
    struct pat_json *j = pat_json_obj(), *whole = pat_json_text("{\"b\":2}");
    PAT_AUTO_STR text = NULL;
    PAT_AUTO_STR whole_text = pat_json_print(whole);

    (void)state;
    assert_string_equal(whole_text, "{\"b\":2}");
    assert_int_equal(pat_json_kind(whole), PAT_JSON_OBJ);
    assert_int_equal(pat_json_size(whole), 0);
    pat_json_free(whole);
    pat_json_set_text(j, "settings", "{\"a\":[1,null]}");
    pat_json_set_int(j, "n", 1);
    assert_int_equal(pat_json_kind(pat_json_at(j, "settings")), PAT_JSON_OBJ);
    text = pat_json_print(j);
    assert_string_equal(text, "{\"settings\":{\"a\":[1,null]},\"n\":1}");
    pat_json_free(j);
}

static bool same(const char *a, const char *b)
{
    PAT_AUTO_JSON x = NULL;
    PAT_AUTO_JSON y = NULL;

    assert_int_equal(pat_json_parse(&x, a, strlen(a), NULL), PAT_OK);
    assert_int_equal(pat_json_parse(&y, b, strlen(b), NULL), PAT_OK);
    assert_int_equal(pat_json_same(x, y), pat_json_same(y, x));
    return pat_json_same(x, y);
}

static void test_json__same_is_the_value_not_the_spelling(void **state)
{
    (void)state;
    assert_true(same("{\"a\":1,\"b\":[true,null,\"x\"]}", "{\"b\":[true,null,\"x\"],\"a\":1.0}"));
    assert_false(same("{\"a\":1}", "{\"a\":1,\"b\":null}"));
    assert_false(same("{\"a\":1}", "{\"b\":1}"));
    assert_false(same("[1,2]", "[2,1]"));
    assert_false(same("[1]", "[1,1]"));
    assert_false(same("true", "false"));
    assert_false(same("0", "false"));
    assert_false(same("\"1\"", "1"));
    assert_true(pat_json_same(NULL, NULL));
}

static void test_json__changes_are_what_a_patch_says(void **state)
{
    static const char from[] = "{\"same\":{\"a\":[1]},\"other\":1,\"gone\":true}";
    static const char to[] = "{\"other\":2,\"same\":{\"a\":[1.0]},\"new\":\"x\"}";
    PAT_AUTO_JSON a = NULL;
    PAT_AUTO_JSON b = NULL;
    PAT_AUTO_JSON c = NULL;
    PAT_AUTO_JSON all = NULL;
    PAT_AUTO_JSON none = NULL;

    (void)state;
    assert_int_equal(pat_json_parse(&a, from, strlen(from), NULL), PAT_OK);
    assert_int_equal(pat_json_parse(&b, to, strlen(to), NULL), PAT_OK);
    c = pat_json_changes(a, b);
    assert_prints(c, "{\"other\":2,\"new\":\"x\",\"gone\":null}");
    all = pat_json_changes(NULL, b);
    assert_true(pat_json_same(all, b));
    none = pat_json_changes(b, b);
    assert_prints(none, "{}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__same_is_the_value_not_the_spelling),
        cmocka_unit_test(test_json__changes_are_what_a_patch_says),
        cmocka_unit_test(test_json__builds_in_the_order_of_the_sets),
        cmocka_unit_test(test_json__a_set_replaces),
        cmocka_unit_test(test_json__prints_only_json),
        cmocka_unit_test(test_json__copies_long_parts),
        cmocka_unit_test(test_json__dup_is_a_tree_of_its_own),
        cmocka_unit_test(test_json__print_to_stops_at_the_buffers_maximum),
        cmocka_unit_test(test_json__a_tree_too_deep_is_not_printed),
        cmocka_unit_test(test_json__a_failed_child_spoils_the_tree_until_print),
        cmocka_unit_test(test_json__quote_escapes_everything_that_must_be),
        cmocka_unit_test(test_json__quote_finds_what_needs_it_at_any_place),
        cmocka_unit_test(test_json__text_is_put_in_as_it_is),
        cmocka_unit_test(test_json__building_survives_each_allocation_failing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
