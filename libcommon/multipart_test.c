/* multipart_test.c - forms as browsers and SDKs send them, and forms that are none. */
#include "test/cmocka.h"

#include "multipart.h"

#include <stdio.h>
#include <string.h>

#define TYPE "multipart/form-data; boundary=----WebKitX"

static int parse(const char *type, const char *body, struct pat_part *parts, size_t *n)
{
    return pat_multipart_parse(type, body, strlen(body), parts, 4, n);
}

static void test_parse__fields_and_a_file(void **state)
{
    static const char body[] =
        "------WebKitX\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nAnna's Voice\r\n"
        "------WebKitX\r\ncontent-disposition: form-data; name=\"audio\"; "
        "filename=\"C:\\\\tmp\\\\a \\\"b\\\".wav\"\r\nContent-Type: audio/wav; rate=16000\r\n\r\n"
        "RIFF\r\n--x\r\nmore\r\n------WebKitX--\r\n";
    struct pat_part parts[4];
    const struct pat_part *p;
    size_t n;

    (void)state;
    assert_int_equal(parse(TYPE, body, parts, &n), PAT_OK);
    assert_int_equal(n, 2);
    p = pat_multipart_find(parts, n, "name");
    assert_int_equal(p->len, 12);
    assert_memory_equal(p->data, "Anna's Voice", 12);
    assert_string_equal(p->filename, "");
    p = pat_multipart_find(parts, n, "audio");
    assert_string_equal(p->type, "audio/wav");
    assert_string_equal(p->filename, "a \"b\".wav");
    assert_int_equal(p->len, 15);
    assert_null(pat_multipart_find(parts, n, "consent"));
}

static void test_parse__quoted_boundary_and_empty_parts(void **state)
{
    struct pat_part parts[4];
    size_t n;

    (void)state;
    assert_int_equal(parse("Multipart/Form-Data; charset=x; boundary=\"a b\"",
                           "--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n--a b--",
                           parts, &n),
                     PAT_OK);
    assert_int_equal(n, 1);
    assert_int_equal(parts[0].len, 0);
    assert_int_equal(parse(TYPE, "------WebKitX--", parts, &n), PAT_OK);
    assert_int_equal(n, 0);
}

static void test_parse__refuses_what_is_no_form(void **state)
{
    static const struct {
        const char *type, *body;
        int err;
    } rows[] = {
        { NULL, "------WebKitX--", PAT_EINVAL },
        { "application/json", "{}", PAT_EINVAL },
        { "multipart/form-data", "------WebKitX--", PAT_EINVAL },
        { "multipart/form-data; boundary=", "----", PAT_EINVAL },
        { TYPE, "", PAT_EINVAL },
        { TYPE, "------WebKitX", PAT_EINVAL },
        { TYPE, "------WebKitX\r\n", PAT_EINVAL },
        { TYPE, "------WebKitX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nno end",
          PAT_EINVAL },
        { TYPE, "------WebKitX\r\nContent-Type: text/plain\r\n\r\nno name\r\n------WebKitX--",
          PAT_EINVAL },
        { TYPE, "------WebKitX\r\nContent-Disposition: form-data; name=\"a\"\r\n", PAT_EINVAL },
    };
    struct pat_part parts[4];
    size_t n;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(parse(rows[i].type, rows[i].body, parts, &n), rows[i].err);
}

static void test_parse__counts_its_parts(void **state)
{
    static const char one[] =
        "------WebKitX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
    struct pat_part parts[4];
    char body[512];
    size_t n;

    (void)state;
    (void)snprintf(body, sizeof body, "%s%s%s%s%s------WebKitX--", one, one, one, one, one);
    assert_int_equal(parse(TYPE, body, parts, &n), PAT_E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__fields_and_a_file),
        cmocka_unit_test(test_parse__quoted_boundary_and_empty_parts),
        cmocka_unit_test(test_parse__refuses_what_is_no_form),
        cmocka_unit_test(test_parse__counts_its_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
