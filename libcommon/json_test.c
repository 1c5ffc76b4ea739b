/* json_test.c - strict in, and typed reading. */
#include "test/cmocka.h"

#include "json.h"
#include "test/alloc.h"

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

static void test_json__prints_what_it_read(void **state)
{
    static const char *const rows[] = {
        "null",
        "true",
        "-1",
        "\"\"",
        "[]",
        "{}",
        "[1,2.5,-0.125,1e+300]",
        "{\"a\":{\"b\":[{\"c\":null},false]},\"\":\"\"}",
        "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 \\\"quoted\\\" \\\\ \\n\\r\\t\\u0001\"",
        "[9007199254740991,-9007199254740991,1764000000000]",
        "[0.1,0.2,0.30000000000000004,1.7976931348623157e+308,4.94065645841247e-324]",
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        PAT_AUTO_JSON j = parse(rows[i]);

        assert_prints(j, rows[i]);
    }
}

static void test_json__takes_what_rfc_8259_has(void **state)
{
    static const struct {
        const char *text;
        const char *same;
    } rows[] = {
        { " \t\r\n{ \"a\" :\t1 } \n", "{\"a\":1}" },
        { "\"\\u00e9\\ud83d\\ude00\\/\\b\\f\"", "\"\xc3\xa9\xf0\x9f\x98\x80/\\u0008\\u000c\"" },
        { "[0,-0,0.0,1E2,1e-2]", "[0,0,0,100,0.01]" },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        PAT_AUTO_JSON j = parse(rows[i].text);

        assert_prints(j, rows[i].same);
    }
}

#define TEN(s) s s s s s s s s s s

static void test_json__refuses_what_is_not_json(void **state)
{
    static const struct {
        const char *text;
        const char *what;
    } rows[] = {
        { "", "unexpected end at byte 0" },
        { "  ", "unexpected end at byte 2" },
        { "{}xyz", "something behind the value at byte 2" },
        { "{} {}", "something behind the value at byte 3" },
        { "\xef\xbb\xbf{}", "expected a value at byte 0" }, /* byte order mark */
        { "{\"a\":1,}", "expected a name at byte 7" },
        { "[1,]", "expected a value at byte 3" },
        { "[1 2]", "expected ',' or ']' at byte 3" },
        { "{\"a\" 1}", "expected ':' at byte 5" },
        { "{a:1}", "expected a name at byte 1" },
        { "{'a':1}", "expected a name at byte 1" },
        { "{\"a\":1", "expected ',' or '}' at byte 6" },
        { "[", "unexpected end at byte 1" },
        { "tru", "expected a value at byte 0" },
        { "True", "expected a value at byte 0" },
        { "nullx", "something behind the value at byte 4" },
        { "NaN", "expected a value at byte 0" },
        { "-Infinity", "broken number at byte 1" },
        { "01", "something behind the value at byte 1" },
        { "+1", "expected a value at byte 0" },
        { "1.", "broken number at byte 2" },
        { ".5", "expected a value at byte 0" },
        { "1e", "broken number at byte 2" },
        { "-", "broken number at byte 1" },
        { "0x10", "something behind the value at byte 1" },
        { "\"a", "string without an end at byte 2" },
        { "\"a\nb\"", "control character in a string at byte 2" },
        { "\"\\x\"", "broken escape at byte 2" },
        { "\"\\", "broken escape at byte 2" },
        { "\"\\u12g4\"", "broken \\u escape at byte 6" },
        { "\"a\\u0000b\"", "U+0000 in a string at byte 8" },
        { "\"\\ud800\"", "unpaired surrogate at byte 7" },
        { "\"\\ud800\\u0041\"", "unpaired surrogate at byte 13" },
        { "\"\\udc00\"", "unpaired surrogate at byte 7" },
        { "\"\xff\"", "not UTF-8 at byte 1" },
        { "\"\xc0\xaf\"", "not UTF-8 at byte 1" },
        { "\"\xed\xa0\x80\"", "not UTF-8 at byte 1" },
        { "\"\xf4\x90\x80\x80\"", "not UTF-8 at byte 1" },
        { "\"\xe2\x82\"", "not UTF-8 at byte 1" },
        { "// comment\n1", "expected a value at byte 0" },
        { TEN("1234567"), "number too long at byte 70" },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        struct pat_json *j = NULL;
        struct pat_json_err err = { "?", "" };

        assert_int_equal(pat_json_parse(&j, rows[i].text, strlen(rows[i].text), &err), PAT_EINVAL);
        assert_null(j);
        assert_string_equal(err.what, rows[i].what);
        assert_string_equal(err.path, "");
    }
}

static void test_json__refuses_a_nul_byte_in_the_text(void **state)
{
    struct pat_json *j;

    (void)state;
    assert_int_equal(pat_json_parse(&j, "\"a\0b\"", 5, NULL), PAT_EINVAL);
    assert_int_equal(pat_json_parse(&j, "{}\0", 3, NULL), PAT_EINVAL);
}

static void test_json__reads_no_further_than_its_length(void **state)
{
    /* Of the exact size, so that a byte too many is an error under ASan. */
    static const char *const rows[] = { "{\"a\":1}", "12345", "true", "\"abc\"" };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        size_t len = strlen(rows[i]);
        char *exact = malloc(len);
        struct pat_json *j = NULL;

        assert_non_null(exact);
        memcpy(exact, rows[i], len);
        assert_int_equal(pat_json_parse(&j, exact, len, NULL), PAT_OK);
        pat_json_free(j);
        free(exact);
    }
}

static void test_json__refuses_names_given_twice_and_names_them(void **state)
{
    static const struct {
        const char *text;
        const char *path;
    } rows[] = {
        { "{\"a\":1,\"b\":2,\"a\":3}", "a" },
        { "[0,{\"x\":{\"role\":\"user\",\"role\":\"admin\"}}]", "role" },
        { "{\"\":1,\"\":2}", "" },
        { "{\"a\":1,\"\\u0061\":2}", "a" },
    };
    struct pat_json *j;
    struct pat_json_err err;

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        assert_int_equal(pat_json_parse(&j, rows[i].text, strlen(rows[i].text), &err), PAT_EINVAL);
        assert_string_equal(err.path, rows[i].path);
        assert_string_equal(err.what, "is there twice");
    }
    j = parse("{\"a\":1,\"A\":2}");
    assert_int_equal(pat_json_int_or(j, "A", 0), 2);
    pat_json_free(j);
}

static char *many_names(int n, int last)
{
    struct pat_buf b;
    char *text;

    pat_buf_init(&b, 16 << 20);
    pat_buf_adds(&b, "{");
    for (int i = 0; i < n; i++)
        pat_buf_addf(&b, "\"k%d\":%d,", (i * 7919) % n, i);
    pat_buf_addf(&b, "\"k%d\":0}", last);
    text = pat_buf_take(&b);
    assert_non_null(text);
    return text;
}

static void test_json__finds_a_double_among_very_many_names_quickly(void **state)
{
    PAT_AUTO_STR bad = many_names(100000, 4711);
    PAT_AUTO_STR good = many_names(100000, 100000);
    struct pat_json *j = NULL;
    struct pat_json_err err;

    (void)state;
    assert_int_equal(pat_json_parse(&j, bad, strlen(bad), &err), PAT_EINVAL);
    assert_string_equal(err.path, "k4711");
    assert_int_equal(pat_json_parse(&j, good, strlen(good), &err), PAT_OK);
    assert_int_equal(pat_json_size(j), 100001);
    pat_json_free(j);
}

static void test_json__refuses_numbers_no_double_holds(void **state)
{
    struct pat_json *j;
    struct pat_json_err err;
    const char *text = "{\"n\":1e999}";

    (void)state;
    assert_int_equal(pat_json_parse(&j, text, strlen(text), &err), PAT_EINVAL);
    assert_string_equal(err.path, "n");
    assert_string_equal(err.what, "number out of range");
}

static void test_json__goes_64_deep_and_no_deeper(void **state)
{
    char text[2 * 65 + 1];
    struct pat_json *j = NULL;

    (void)state;
    for (int depth = 64; depth <= 65; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        assert_int_equal(pat_json_parse(&j, text, 2 * (size_t)depth, NULL),
                         depth == 64 ? PAT_OK : PAT_EINVAL);
    }
    pat_json_free(j);
}

static void test_json__a_million_brackets_do_no_harm(void **state)
{
    static char text[1000000];
    struct pat_json *j;

    (void)state;
    memset(text, '[', sizeof text);
    assert_int_equal(pat_json_parse(&j, text, sizeof text, NULL), PAT_EINVAL);
    for (size_t i = 0; i + 5 <= sizeof text; i += 5)
        memcpy(text + i, "{\"a\":", 5);
    assert_int_equal(pat_json_parse(&j, text, sizeof text, NULL), PAT_EINVAL);
}

/* --- Reading --- */

#define CALL                                                                                       \
    "{\"call\":{\"from\":\"+1555\",\"n\":3,\"f\":2.5,\"ok\":true,\"none\":null,"                   \
    "\"big\":9007199254740993,\"id\":\"017f22e2-79b0-7cc3-98c4-dc0c0c07398f\"},"                   \
    "\"items\":[{\"id\":\"x\"},[10,20]]}"

static void test_json__get_reads_by_path(void **state)
{
    PAT_AUTO_JSON j = parse(CALL);
    const struct pat_json *obj;
    const char *s;
    int64_t n;
    double f;
    bool b;

    (void)state;
    assert_int_equal(pat_json_get_str(j, "call.from", &s, NULL), PAT_OK);
    assert_string_equal(s, "+1555");
    assert_int_equal(pat_json_get_int(j, "call.n", &n, NULL), PAT_OK);
    assert_int_equal(n, 3);
    assert_int_equal(pat_json_get_num(j, "call.f", &f, NULL), PAT_OK);
    assert_true(f == 2.5);
    assert_int_equal(pat_json_get_bool(j, "call.ok", &b, NULL), PAT_OK);
    assert_true(b);
    assert_int_equal(pat_json_get_id(j, "call.id", &s, NULL), PAT_OK);
    assert_int_equal(pat_json_get_str(j, "items[0].id", &s, NULL), PAT_OK);
    assert_string_equal(s, "x");
    assert_int_equal(pat_json_get_int(j, "items[1][1]", &n, NULL), PAT_OK);
    assert_int_equal(n, 20);
    assert_int_equal(pat_json_get_obj(j, "call", &obj, NULL), PAT_OK);
    assert_int_equal(pat_json_get_int(obj, "n", &n, NULL), PAT_OK);
    assert_int_equal(pat_json_get_obj(j, "", &obj, NULL), PAT_OK);
    assert_ptr_equal(obj, j);
}

enum want { STR, INT, NUM, BOOL, ID, OBJ };

static int get(const struct pat_json *j, enum want want, const char *path, struct pat_json_err *err)
{
    const struct pat_json *obj;
    const char *s;
    int64_t n;
    double f;
    bool b;

    switch (want) {
    case STR:
        return pat_json_get_str(j, path, &s, err);
    case INT:
        return pat_json_get_int(j, path, &n, err);
    case NUM:
        return pat_json_get_num(j, path, &f, err);
    case BOOL:
        return pat_json_get_bool(j, path, &b, err);
    case ID:
        return pat_json_get_id(j, path, &s, err);
    case OBJ:
        return pat_json_get_obj(j, path, &obj, err);
    }
    return PAT_EINTERNAL;
}

static void test_json__get_names_the_field_that_is_wrong(void **state)
{
    static const struct {
        enum want want;
        const char *path;
        const char *what;
    } rows[] = {
        { STR, "call.to", "is missing" },
        { STR, "nothing.at.all", "is missing" },
        { STR, "call.from.deeper", "is missing" },
        { STR, "call.n", "must be a string" },
        { STR, "call.none", "must be a string" },
        { STR, "call.From", "is missing" }, /* names are as they are written */
        { STR, "call.fro", "is missing" },
        { INT, "call.from", "must be a number" },
        { INT, "call.f", "must be a whole number" },
        { INT, "call.big", "must be a whole number" },
        { NUM, "call.ok", "must be a number" },
        { BOOL, "call.n", "must be true or false" },
        { ID, "call.from", "must be a UUID" },
        { ID, "call.n", "must be a string" },
        { OBJ, "items", "must be an object" },
        { OBJ, "items[2]", "is missing" },
        { OBJ, "items[-1]", "is missing" },
        { OBJ, "items[x]", "is missing" },
        { OBJ, "items[0", "is missing" },
        { OBJ, "items[99999999999999999999999]", "is missing" },
        { OBJ, "call[0]", "is missing" },
    };
    PAT_AUTO_JSON j = parse(CALL);

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        struct pat_json_err err = { "", "" };

        assert_int_equal(get(j, rows[i].want, rows[i].path, &err), PAT_EINVAL);
        assert_int_equal(get(j, rows[i].want, rows[i].path, NULL), PAT_EINVAL);
        assert_string_equal(err.path, rows[i].path);
        assert_string_equal(err.what, rows[i].what);
    }
}

static void test_json__a_path_too_long_for_the_error_is_cut(void **state)
{
    PAT_AUTO_JSON j = parse("{}");
    struct pat_json_err err;
    char path[1000];
    const char *s;

    (void)state;
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(pat_json_get_str(j, path, &s, &err), PAT_EINVAL);
    assert_int_equal(strlen(err.path), sizeof err.path - 1);
}

static void test_json__or_gives_the_fallback(void **state)
{
    PAT_AUTO_JSON j = parse(CALL);

    (void)state;
    assert_string_equal(pat_json_str_or(j, "call.from", "-"), "+1555");
    assert_string_equal(pat_json_str_or(j, "call.none", "-"), "-");
    assert_null(pat_json_str_or(j, "call.n", NULL));
    assert_int_equal(pat_json_int_or(j, "call.n", 9), 3);
    assert_int_equal(pat_json_int_or(j, "call.f", 9), 9);
    assert_true(pat_json_num_or(j, "call.f", 9) == 2.5);
    assert_true(pat_json_num_or(j, "no", 9) == 9);
    assert_true(pat_json_bool_or(j, "call.ok", false));
    assert_true(pat_json_bool_or(j, "call.n", true));
    assert_string_equal(pat_json_str_or(NULL, "x", "nothing"), "nothing");
}

static void test_json__walks_items_and_members(void **state)
{
    PAT_AUTO_JSON j = parse("{\"a\":1,\"b\":\"two\",\"c\":[5,6]}");
    char seen[16] = "";

    (void)state;
    assert_int_equal(pat_json_size(j), 3);
    assert_string_equal(pat_json_key(pat_json_item(j, 1)), "b");
    assert_string_equal(pat_json_value_str(pat_json_item(j, 1)), "two");
    assert_null(pat_json_value_str(pat_json_item(j, 0)));
    assert_true(pat_json_value_num(pat_json_item(j, 0)) == 1);
    assert_null(pat_json_item(j, 3));
    assert_null(pat_json_key(j));
    assert_null(pat_json_key(pat_json_at(j, "c[0]")));
    PAT_JSON_EACH(it, j)
    memcpy(seen + strlen(seen), pat_json_key(it), 1);
    assert_string_equal(seen, "abc");
    PAT_JSON_EACH(it, pat_json_at(j, "b"))
    fail_msg("a string has no items");
    PAT_JSON_EACH(it, NULL)
    fail_msg("nothing has no items");
    assert_int_equal(pat_json_size(NULL), 0);
    assert_int_equal(pat_json_kind(NULL), PAT_JSON_NULL);
}

static void test_json__mends_escapes_of_no_character(void **state)
{
    static const struct {
        const char *text;
        const char *mended; /* NULL: there is nothing to do */
    } rows[] = {
        { "\"a\\u0000b\"", "\"a\\ufffdb\"" },
        { "\"\\ud83d\"", "\"\\ufffd\"" },
        { "\"\\ude00x\"", "\"\\ufffdx\"" },
        { "\"\\ud83d\\ud83d\\ude00\"", "\"\\ufffd\\ud83d\\ude00\"" },
        { "\"\\uD83D\\n\\uDE00\\u0000\"", "\"\\ufffd\\n\\ufffd\\ufffd\"" },
        { "{\"\\u0000\":[\"\\\\\\u0000\"]}", "{\"\\ufffd\":[\"\\\\\\ufffd\"]}" },
        { "\"\\\\u0000 \\ud83d\\ude00 \\u00e9 u0000\"", NULL },
        { "\"plain\"", NULL },
        { "", NULL },
        { "\"Gr\xfc\xdf\"", "\"Gr\ufffd\ufffd\"" },
        { "\"cut \xf0\x9f\x98\"", "\"cut \ufffd\ufffd\ufffd\"" },
        { "\"\xed\xa0\xbd \xc0\x80\"", "\"\ufffd\ufffd\ufffd \ufffd\ufffd\"" },
        { "{\"\xff\":\"\\u0000\xe9\"}", "{\"\ufffd\":\"\\ufffd\ufffd\"}" },
        { "\"\xf0\x9f\x98\x80 \xc3\xbc\"", NULL },
        /* no JSON before and after, and read to its end only */
        { "\"\\u00", NULL },
        { "\\\xe2\x82", "\\\ufffd\ufffd" },
        { "\\", NULL },
        { "\"\\ud83d\\u", "\"\\ufffd\\u" },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        size_t len = strlen(rows[i].text);
        char *text = memcpy(malloc(len + 1), rows[i].text, len + 1);
        PAT_AUTO_STR mended = pat_json_mended(text, &len);

        if (rows[i].mended)
            assert_string_equal(mended, rows[i].mended);
        else
            assert_null(mended);
        assert_int_equal(len, strlen(mended ? mended : rows[i].text));
        free(text);
    }
}

static void test_utf8__valid_is_what_rfc_3629_says(void **state)
{
    static const struct {
        const char *s;
        bool valid;
    } rows[] = {
        { "", true },
        { "ascii", true },
        { "\xc2\x80 \xdf\xbf", true },
        { "\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80", true },
        { "\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf", true },
        { "\x80", false },
        { "\xc1\xbf", false },
        { "\xc2", false },
        { "\xc2 ", false },
        { "\xe0\x9f\xbf", false },
        { "\xed\xa0\x80", false },
        { "\xf0\x8f\xbf\xbf", false },
        { "\xf4\x90\x80\x80", false },
        { "\xf5\x80\x80\x80", false },
        { "\xf0\x9f\x98", false },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++)
        assert_int_equal(pat_utf8_valid(rows[i].s, strlen(rows[i].s)), rows[i].valid);
}

static void test_utf8__counts_characters_not_bytes(void **state)
{
    static const char text[] = "a\xc3\xa4 \xe2\x82\xac\xf0\x9f\x98\x80";

    (void)state;
    assert_int_equal(pat_utf8_count(text, sizeof text - 1), 5);
    assert_int_equal(pat_utf8_count(text, 3), 2); /* len bounds it, not the NUL */
    assert_int_equal(pat_utf8_count("", 0), 0);
}

static int read_and_write(void *arg)
{
    PAT_AUTO_JSON j = NULL;
    PAT_AUTO_JSON copy = NULL;
    PAT_AUTO_STR text = NULL;
    int err = pat_json_parse(&j, arg, strlen(arg), NULL);

    if (err)
        return err;
    copy = pat_json_dup(j);
    if (!copy)
        return PAT_ENOMEM;
    text = pat_json_print(copy);
    if (!text)
        return PAT_ENOMEM;
    assert_string_equal(text, arg);
    return PAT_OK;
}

static void test_json__reading_survives_each_allocation_failing(void **state)
{
    char many[] = "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,"
                  "\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":[null,{}]}";

    (void)state;
    pat_test_alloc_walk(read_and_write, many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__prints_what_it_read),
        cmocka_unit_test(test_json__takes_what_rfc_8259_has),
        cmocka_unit_test(test_json__refuses_what_is_not_json),
        cmocka_unit_test(test_json__refuses_a_nul_byte_in_the_text),
        cmocka_unit_test(test_json__reads_no_further_than_its_length),
        cmocka_unit_test(test_json__refuses_names_given_twice_and_names_them),
        cmocka_unit_test(test_json__finds_a_double_among_very_many_names_quickly),
        cmocka_unit_test(test_json__refuses_numbers_no_double_holds),
        cmocka_unit_test(test_json__goes_64_deep_and_no_deeper),
        cmocka_unit_test(test_json__a_million_brackets_do_no_harm),
        cmocka_unit_test(test_json__get_reads_by_path),
        cmocka_unit_test(test_json__get_names_the_field_that_is_wrong),
        cmocka_unit_test(test_json__a_path_too_long_for_the_error_is_cut),
        cmocka_unit_test(test_json__or_gives_the_fallback),
        cmocka_unit_test(test_json__walks_items_and_members),
        cmocka_unit_test(test_json__mends_escapes_of_no_character),
        cmocka_unit_test(test_utf8__valid_is_what_rfc_3629_says),
        cmocka_unit_test(test_utf8__counts_characters_not_bytes),
        cmocka_unit_test(test_json__reading_survives_each_allocation_failing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
