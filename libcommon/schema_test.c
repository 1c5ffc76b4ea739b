/* schema_test.c - what a schema may be, and what it lets through. */
#include "test/cmocka.h"

#include "schema.h"

#include "test/alloc.h"

#include <string.h>

static struct pat_json *parse(const char *text)
{
    struct pat_json *j = NULL;

    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    return j;
}

#define BOOKING                                                                                     \
    "{\"type\":\"object\",\"required\":[\"day\",\"people\"],\"additionalProperties\":false,"        \
    "\"properties\":{\"day\":{\"type\":\"string\",\"minLength\":3,\"maxLength\":5},"                \
    "\"people\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":8},"                                \
    "\"room\":{\"enum\":[\"blue\",\"red\",3,null]},"                                                \
    "\"names\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":2,\"items\":{\"type\":\"string\"}}," \
    "\"note\":{\"type\":[\"string\",\"null\"]},"                                                    \
    "\"price\":{\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":10},"               \
    "\"who\":{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{"               \
    "\"type\":\"string\"},\"vip\":{\"type\":\"boolean\"}},"                                         \
    "\"additionalProperties\":{\"type\":\"integer\"}}}}"

static void test_check__names_the_field_and_what_is_wrong(void **state)
{
    static const struct {
        const char *value, *path, *what; /* path NULL: it is right */
    } rows[] = {
        { "{\"day\":\"Mon\",\"people\":2}", NULL, NULL },
        { "{\"day\":\"Mon\",\"people\":2.0,\"room\":\"red\",\"names\":[\"a\"],\"note\":null}", NULL,
          NULL },
        { "{\"day\":\"\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f!\",\"people\":8,\"room\":3}", NULL, NULL },
        { "{\"day\":\"Mon\",\"people\":1,\"who\":{\"name\":\"x\",\"vip\":true,\"age\":7}}", NULL,
          NULL },
        { "{\"people\":2}", "day", "is required" },
        { "{\"day\":\"Mo\",\"people\":2}", "day", "must have at least 3 characters" },
        { "{\"day\":\"Monday\",\"people\":2}", "day", "must have at most 5 characters" },
        { "{\"day\":7,\"people\":2}", "day", "must be of type string" },
        { "{\"day\":\"Mon\",\"people\":2.5}", "people", "must be of type integer" },
        { "{\"day\":\"Mon\",\"people\":0}", "people", "must be at least 1" },
        { "{\"day\":\"Mon\",\"people\":9}", "people", "must be at most 8" },
        { "{\"day\":\"Mon\",\"people\":2,\"x\":1}", "x", "is not an argument of this tool" },
        { "{\"day\":\"Mon\",\"people\":2,\"room\":\"green\"}", "room",
          "must be one of [\"blue\",\"red\",3,null]" },
        { "{\"day\":\"Mon\",\"people\":2,\"names\":[]}", "names", "must have at least 1 items" },
        { "{\"day\":\"Mon\",\"people\":2,\"names\":[\"a\",2]}", "names[1]",
          "must be of type string" },
        { "{\"day\":\"Mon\",\"people\":2,\"names\":[\"a\",\"b\",\"c\"]}", "names",
          "must have at most 2 items" },
        { "{\"day\":\"Mon\",\"people\":2,\"note\":1}", "note", "is of the wrong type" },
        { "{\"day\":\"Mon\",\"people\":2,\"price\":0}", "price", "must be more than 0" },
        { "{\"day\":\"Mon\",\"people\":2,\"price\":10}", "price", "must be less than 10" },
        { "{\"day\":\"Mon\",\"people\":1,\"who\":{}}", "who.name", "is required" },
        { "{\"day\":\"Mon\",\"people\":1,\"who\":{\"name\":\"x\",\"age\":\"7\"}}", "who.age",
          "must be of type integer" },
        { "[]", "", "must be of type object" },
    };
    PAT_AUTO_JSON schema = parse(BOOKING);
    struct pat_json_err err;

    (void)state;
    assert_int_equal(pat_schema_supported(schema, &err), PAT_OK);
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        PAT_AUTO_JSON value = parse(rows[i].value);
        int rc = pat_schema_check(schema, value, &err);

        assert_int_equal(rc, rows[i].path ? PAT_EINVAL : PAT_OK);
        if (rows[i].path) {
            assert_string_equal(err.path, rows[i].path);
            assert_string_equal(err.what, rows[i].what);
        }
    }
    assert_int_equal(pat_schema_check(schema, NULL, NULL), PAT_EINVAL);
}

static void test_supported__refuses_what_would_be_ignored(void **state)
{
    static const char *const bad[] = {
        "{}",
        "[]",
        "true",
        "{\"type\":\"string\"}",
        "{\"type\":[\"object\"]}",
        "{\"type\":\"object\",\"pattern\":\"x\"}",
        "{\"type\":\"object\",\"anyOf\":[]}",
        "{\"type\":\"object\",\"$ref\":\"#/x\"}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"pattern\":\"x\"}}}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"date\"}}}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":[]}}}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[]}}}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[[1]]}}}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"minimum\":\"1\"}}}",
        "{\"type\":\"object\",\"properties\":{\"a\":true}}",
        "{\"type\":\"object\",\"properties\":[]}",
        "{\"type\":\"object\",\"required\":\"a\"}",
        "{\"type\":\"object\",\"required\":[1]}",
        "{\"type\":\"object\",\"items\":[{\"type\":\"string\"}]}",
    };
    struct pat_json_err err;

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(bad); i++) {
        PAT_AUTO_JSON schema = parse(bad[i]);

        if (pat_schema_supported(schema, &err) != PAT_EINVAL)
            fail_msg("taken: %s", bad[i]);
        assert_true(*err.what);
    }
}

static void test_check__a_schema_it_does_not_know_lets_nothing_through(void **state)
{
    PAT_AUTO_JSON schema =
        parse("{\"type\":\"object\",\"properties\":{\"a\":{\"pattern\":\"x\"}}}");
    PAT_AUTO_JSON value = parse("{\"a\":\"x\"}");

    (void)state;
    assert_int_equal(pat_schema_check(schema, value, NULL), PAT_EINVAL);
}

static void test_depth__is_limited(void **state)
{
    struct pat_buf b;
    struct pat_json *schema;

    (void)state;
    pat_buf_init(&b, 1 << 16);
    pat_buf_adds(&b, "{\"type\":\"object\"");
    for (int i = 0; i < 30; i++)
        pat_buf_adds(&b, ",\"additionalProperties\":{\"type\":\"object\"");
    for (int i = 0; i < 31; i++)
        pat_buf_adds(&b, "}");
    schema = parse(b.data);
    assert_int_equal(pat_schema_supported(schema, NULL), PAT_EINVAL);
    pat_json_free(schema);
    pat_buf_fini(&b);
}

static int walk(void *arg)
{
    struct pat_json_err err;
    PAT_AUTO_JSON schema = NULL;
    PAT_AUTO_JSON value = NULL;
    int rc = pat_json_parse(&schema, BOOKING, strlen(BOOKING), NULL);

    (void)arg;
    if (!rc)
        rc = pat_json_parse(&value, "{\"room\":1}", 10, NULL);
    if (rc)
        return rc;
    assert_int_equal(pat_schema_check(schema, value, &err), PAT_EINVAL); /* never lets it through */
    return PAT_OK;
}

static void test_check__without_memory_still_refuses(void **state)
{
    (void)state;
    pat_test_alloc_walk(walk, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check__names_the_field_and_what_is_wrong),
        cmocka_unit_test(test_supported__refuses_what_would_be_ignored),
        cmocka_unit_test(test_check__a_schema_it_does_not_know_lets_nothing_through),
        cmocka_unit_test(test_depth__is_limited),
        cmocka_unit_test(test_check__without_memory_still_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
