/* buf_test.c - the growing buffer. */
#include "test/cmocka.h"

#include "buf.h"
#include "test/alloc.h"

#include <stdlib.h>
#include <string.h>

static void test_buf__is_a_string_after_each_add(void **state)
{
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, 100);
    assert_int_equal(pat_buf_adds(&b, "one"), PAT_OK);
    assert_string_equal(b.data, "one");
    assert_int_equal(pat_buf_add(&b, "\0two", 4), PAT_OK);
    assert_int_equal(b.len, 7);
    assert_int_equal(b.data[7], '\0');
    assert_int_equal(pat_buf_addf(&b, "-%d", 3), PAT_OK);
    assert_memory_equal(b.data, "one\0two-3", 10);
    pat_buf_fini(&b);
}

static void test_buf__takes_its_maximum_and_not_one_byte_more(void **state)
{
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, 5);
    assert_int_equal(pat_buf_adds(&b, "12345"), PAT_OK);
    assert_int_equal(pat_buf_add(&b, "6", 1), PAT_E2BIG);
    assert_int_equal(b.len, 5);
    assert_string_equal(b.data, "12345");
    assert_true(b.cap <= 6);
    pat_buf_fini(&b);

    pat_buf_init(&b, 0);
    assert_int_equal(pat_buf_add(&b, "", 0), PAT_OK);
    assert_int_equal(pat_buf_add(&b, "x", 1), PAT_E2BIG);
    pat_buf_fini(&b);
}

static void test_buf__sticks_in_its_first_error_until_reset(void **state)
{
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, 4);
    pat_buf_adds(&b, "ab");
    assert_int_equal(pat_buf_adds(&b, "too long"), PAT_E2BIG);
    assert_int_equal(pat_buf_adds(&b, "c"), PAT_E2BIG);
    assert_int_equal(pat_buf_addf(&b, "%d", 1), PAT_E2BIG);
    assert_null(pat_buf_reserve(&b, 1));
    assert_string_equal(b.data, "ab");
    assert_null(pat_buf_take(&b));
    assert_null(b.data); /* nothing is left to whoever takes that as the end */
    assert_int_equal(pat_buf_adds(&b, "a"), PAT_E2BIG);
    pat_buf_reset(&b);
    assert_int_equal(pat_buf_adds(&b, "cdef"), PAT_OK);
    assert_string_equal(b.data, "cdef");
    pat_buf_fini(&b);
}

static void test_buf__refuses_lengths_that_would_wrap_around(void **state)
{
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, SIZE_MAX);
    pat_buf_adds(&b, "abc");
    assert_null(pat_buf_reserve(&b, SIZE_MAX - 2));
    assert_int_equal(b.err, PAT_E2BIG);
    assert_int_equal(b.len, 3);
    pat_buf_fini(&b);
}

static void test_buf__formats_texts_longer_than_what_is_free(void **state)
{
    struct pat_buf b;
    char long_text[3001];

    (void)state;
    memset(long_text, 'x', 3000);
    long_text[3000] = '\0';
    pat_buf_init(&b, 4000);
    assert_int_equal(pat_buf_addf(&b, "%s|%d", long_text, 7), PAT_OK);
    assert_int_equal(b.len, 3002);
    assert_string_equal(b.data + 2999, "x|7");
    assert_int_equal(pat_buf_addf(&b, "%s", long_text), PAT_E2BIG);
    assert_int_equal(b.len, 3002);
    assert_string_equal(b.data + 2999, "x|7");
    pat_buf_fini(&b);
}

static void test_buf__reserve_is_written_by_the_caller(void **state)
{
    struct pat_buf b;
    char *room;
    char *text;

    (void)state;
    pat_buf_init(&b, 1000);
    pat_buf_adds(&b, "head ");
    room = pat_buf_reserve(&b, 900);
    assert_non_null(room);
    memset(room, 'y', 900);
    b.len += 4;
    text = pat_buf_take(&b);
    assert_string_equal(text, "head yyyy");
    free(text);
    pat_buf_fini(&b);
}

static void test_buf__drop_takes_from_the_front(void **state)
{
    static const struct {
        size_t n;
        const char *left;
    } rows[] = { { 0, "abcdef" }, { 2, "cdef" }, { 6, "" }, { 99, "" } };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        struct pat_buf b;

        pat_buf_init(&b, 10);
        pat_buf_adds(&b, "abcdef");
        pat_buf_drop(&b, rows[i].n);
        assert_string_equal(b.data, rows[i].left);
        assert_int_equal(b.len, strlen(rows[i].left));
        pat_buf_fini(&b);
    }
}

static void test_buf__drop_of_an_empty_buffer_is_nothing(void **state)
{
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, 10);
    pat_buf_drop(&b, 3);
    assert_int_equal(b.len, 0);
    pat_buf_fini(&b);
}

static void test_buf__take_leaves_it_empty_and_usable(void **state)
{
    struct pat_buf b;
    char *text;

    (void)state;
    pat_buf_init(&b, 10);
    text = pat_buf_take(&b);
    assert_string_equal(text, "");
    free(text);
    pat_buf_adds(&b, "again");
    text = pat_buf_take(&b);
    assert_string_equal(text, "again");
    free(text);
    assert_int_equal(b.len, 0);
    assert_null(b.data);
    pat_buf_fini(&b);
}

static void test_strcpy__terminates_and_tells_when_it_cut(void **state)
{
    char dst[4] = "???";

    (void)state;
    assert_true(pat_strcpy(dst, sizeof dst, "abc"));
    assert_string_equal(dst, "abc");
    assert_false(pat_strcpy(dst, sizeof dst, "wxyz"));
    assert_string_equal(dst, "wxy");
    assert_true(pat_strcpy(dst, sizeof dst, ""));
    assert_string_equal(dst, "");
    assert_false(pat_strcpy(dst, 0, "a"));
    assert_string_equal(dst, "");
}

static int build(void *arg)
{
    struct pat_buf b;
    char *text;
    int err;

    (void)arg;
    pat_buf_init(&b, 100000);
    for (int i = 0; i < 1000; i++)
        pat_buf_addf(&b, "%d ", i);
    err = b.err;
    text = pat_buf_take(&b);
    assert_true(!text == !!err);
    free(text);
    pat_buf_fini(&b);
    return err;
}

static void test_buf__survives_each_allocation_failing(void **state)
{
    (void)state;
    pat_test_alloc_walk(build, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf__is_a_string_after_each_add),
        cmocka_unit_test(test_buf__takes_its_maximum_and_not_one_byte_more),
        cmocka_unit_test(test_buf__sticks_in_its_first_error_until_reset),
        cmocka_unit_test(test_buf__refuses_lengths_that_would_wrap_around),
        cmocka_unit_test(test_buf__formats_texts_longer_than_what_is_free),
        cmocka_unit_test(test_buf__reserve_is_written_by_the_caller),
        cmocka_unit_test(test_buf__drop_takes_from_the_front),
        cmocka_unit_test(test_buf__drop_of_an_empty_buffer_is_nothing),
        cmocka_unit_test(test_buf__take_leaves_it_empty_and_usable),
        cmocka_unit_test(test_strcpy__terminates_and_tells_when_it_cut),
        cmocka_unit_test(test_buf__survives_each_allocation_failing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
