/* slots_test.c - ids that find their thing, and nothing after it has gone. */
#include "test/cmocka.h"

#include "slots.h"
#include "test/alloc.h"

static void test_slots__finds_what_was_added(void **state)
{
    enum { N = 1000 };
    struct pat_slots s = { 0 };
    uint64_t ids[N];
    int things[N];

    (void)state;
    for (int i = 0; i < N; i++) {
        ids[i] = pat_slots_add(&s, &things[i]);
        assert_int_not_equal(ids[i], 0);
    }
    for (int i = 0; i < N; i++)
        assert_ptr_equal(pat_slots_find(&s, ids[i]), &things[i]);
    assert_int_equal(s.used, N);
    pat_slots_fini(&s);
}

static void test_slots__an_old_id_never_finds_the_new_tenant(void **state)
{
    struct pat_slots s = { 0 };
    int old, new;
    uint64_t a = pat_slots_add(&s, &old), b;

    (void)state;
    assert_ptr_equal(pat_slots_take(&s, a), &old);
    assert_null(pat_slots_take(&s, a));
    b = pat_slots_add(&s, &new);
    assert_int_equal(PAT_SLOT_PLACE(a),
                     PAT_SLOT_PLACE(b)); /* the same place, or this shows nothing */
    assert_int_not_equal(a, b);
    assert_null(pat_slots_find(&s, a));
    assert_ptr_equal(pat_slots_find(&s, b), &new);
    pat_slots_fini(&s);
}

static void test_slots__finds_nothing_for_numbers_from_outside(void **state)
{
    static const uint64_t odd[] = { 0, 1, UINT32_MAX, (uint64_t)1 << 32, UINT64_MAX, 99 };
    struct pat_slots s = { 0 };
    int thing;
    uint64_t id;

    (void)state;
    assert_null(pat_slots_find(&s, 1));
    id = pat_slots_add(&s, &thing);
    for (size_t i = 0; i < PAT_COUNT(odd); i++)
        if (odd[i] != id)
            assert_null(pat_slots_find(&s, odd[i]));
    pat_slots_fini(&s);
}

static void test_slots__walks_what_is_there_while_it_goes(void **state)
{
    struct pat_slots s = { 0 };
    int things[5];
    uint64_t ids[5];
    uint32_t place = 0;
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < 5; i++)
        ids[i] = pat_slots_add(&s, &things[i]);
    pat_slots_take(&s, ids[2]);
    for (const int *t; (t = pat_slots_next(&s, &place)); n++)
        pat_slots_take(&s, ids[t - things]);
    assert_int_equal(n, 4);
    assert_int_equal(s.used, 0);
    pat_slots_fini(&s);
}

static int fill(void *arg)
{
    struct pat_slots s = { 0 };
    int err = PAT_OK;

    for (int i = 0; i < 100 && !err; i++)
        err = pat_slots_add(&s, arg) ? PAT_OK : PAT_ENOMEM;
    pat_slots_fini(&s);
    return err;
}

static void test_slots__survives_running_out_of_memory(void **state)
{
    int thing;

    (void)state;
    pat_test_alloc_walk(fill, &thing);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots__finds_what_was_added),
        cmocka_unit_test(test_slots__an_old_id_never_finds_the_new_tenant),
        cmocka_unit_test(test_slots__finds_nothing_for_numbers_from_outside),
        cmocka_unit_test(test_slots__walks_what_is_there_while_it_goes),
        cmocka_unit_test(test_slots__survives_running_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
