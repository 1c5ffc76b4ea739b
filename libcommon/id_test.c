/* id_test.c - UUIDv7. */
#include "test/cmocka.h"

#include "buf.h"
#include "id.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void test_id__has_the_form_of_rfc_9562(void **state)
{
    /* RFC 9562 appendix A.6. */
    static const uint8_t random[10] = {
        0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f
    };
    struct pat_id id = pat_id_at(0x017f22e279b0, random);

    (void)state;
    assert_string_equal(id.s, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    assert_int_equal(pat_id_time_ms(id.s), 1645557742000);
}

static void test_id__is_of_now(void **state)
{
    struct pat_id id = pat_id_new();
    int64_t now_ms = (int64_t)time(NULL) * 1000;

    (void)state;
    assert_true(pat_id_valid(id.s));
    assert_in_range(pat_id_time_ms(id.s), now_ms - 5000, now_ms + 5000);
}

static void test_id__made_in_one_thread_are_in_order(void **state)
{
    struct pat_id last = pat_id_new();

    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct pat_id id = pat_id_new();

        assert_true(strcmp(last.s, id.s) < 0);
        last = id;
    }
}

enum { THREADS = 4, PER_THREAD = 5000 };

static void *make_many(void *arg)
{
    struct pat_id *ids = arg;

    for (int i = 0; i < PER_THREAD; i++)
        ids[i] = pat_id_new();
    return NULL;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct pat_id *)a)->s, ((const struct pat_id *)b)->s);
}

static void test_id__of_several_threads_are_all_different(void **state)
{
    static struct pat_id ids[THREADS * PER_THREAD];
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_many, ids + i * PER_THREAD), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    /* The 60 bits of time and counter alone must differ, chance left out. */
    for (size_t i = 0; i < PAT_COUNT(ids); i++)
        ids[i].s[18] = '\0';
    qsort(ids, PAT_COUNT(ids), sizeof ids[0], by_text);
    for (size_t i = 1; i < PAT_COUNT(ids); i++)
        assert_string_not_equal(ids[i - 1].s, ids[i].s);
}

static void test_id__valid_takes_one_spelling_only(void **state)
{
    static const struct {
        const char *s;
        bool valid;
    } rows[] = {
        { "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", true },
        { "3f1d2c4b-0000-4000-8000-000000000001", true },
        { "00000000-0000-0000-0000-000000000000", true },
        { "017F22E2-79B0-7CC3-98C4-DC0C0C07398F", false },
        { "017f22e279b07cc398c4dc0c0c07398f", false },
        { "{017f22e2-79b0-7cc3-98c4-dc0c0c07398}", false },
        { "017f22e2-79b0-7cc3-98c4-dc0c0c07398", false },
        { "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0", false },
        { "017f22e2-79b0-7cc3-98c4-dc0c0c07398g", false },
        { "017f22e2_79b0-7cc3-98c4-dc0c0c07398f", false },
        { "", false },
        { NULL, false },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++)
        assert_int_equal(pat_id_valid(rows[i].s), rows[i].valid);
}

static void test_id__of_somebody_else_is_lowered(void **state)
{
    static const struct {
        const char *s, *lowered; /* NULL: none, and it stays as it is */
    } rows[] = {
        { "3F1D2C4B-00AB-4CDE-8F00-00000000000A", "3f1d2c4b-00ab-4cde-8f00-00000000000a" },
        { "3f1d2C4b-0000-4000-8000-000000000001", "3f1d2c4b-0000-4000-8000-000000000001" },
        { "3f1d2c4b-0000-4000-8000-000000000001", "3f1d2c4b-0000-4000-8000-000000000001" },
        { "3F1D2C4B-0000-4000-8000-00000000000", NULL },
        { "3F1D2C4B-0000-4000-8000-000000000001A", NULL },
        { "3F1D2C4G-0000-4000-8000-000000000001", NULL },
        { "{3F1D2C4B-0000-4000-8000-00000000000}", NULL },
        { "3F1D2C4B00004000800000000000000000001", NULL },
        { "", NULL },
    };

    (void)state;
    assert_false(pat_id_lower(NULL));
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        char s[64];

        assert_true(pat_strcpy(s, sizeof s, rows[i].s));
        assert_int_equal(pat_id_lower(s), rows[i].lowered != NULL);
        assert_string_equal(s, rows[i].lowered ? rows[i].lowered : rows[i].s);
        assert_int_equal(pat_id_valid(s), rows[i].lowered != NULL);
    }
}

static void test_id__time_is_of_version_7_only(void **state)
{
    (void)state;
    assert_true(pat_id_time_ms("3f1d2c4b-0000-4000-8000-000000000001") < 0);
    assert_true(pat_id_time_ms("not an id") < 0);
    assert_true(pat_id_time_ms(NULL) < 0);
    assert_int_equal(pat_id_time_ms("ffffffff-ffff-7000-8000-000000000000"), 0xffffffffffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id__has_the_form_of_rfc_9562),
        cmocka_unit_test(test_id__is_of_now),
        cmocka_unit_test(test_id__made_in_one_thread_are_in_order),
        cmocka_unit_test(test_id__of_several_threads_are_all_different),
        cmocka_unit_test(test_id__valid_takes_one_spelling_only),
        cmocka_unit_test(test_id__of_somebody_else_is_lowered),
        cmocka_unit_test(test_id__time_is_of_version_7_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
