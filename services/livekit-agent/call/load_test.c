/* load_test.c - when a process is full. */
#include "load.h"

#include "test/cmocka.h"

static struct load after(double cpu, double late_share, int calls, int max)
{
    struct load l = { 0 };
    struct load_sample s = { .now_us = 1, .calls = calls, .max_calls = max };

    load_step(&l, &s);
    for (int i = 0; i < 10; i++) {
        s.now_us += 1000000;
        s.cpu_us += (int64_t)(cpu * 1e6);
        s.late += (int64_t)(late_share * 50 * calls);
        load_step(&l, &s);
    }
    return l;
}

static void test_load__is_full_by_whatever_is_scarce(void **state)
{
    static const struct {
        double cpu, late;
        int calls, max, room_min, room_max;
        const char *why;
    } rows[] = {
        { 0.00, 0.00, 0, 100, 40, 100, "idle" },
        { 0.10, 0.00, 10, 100, 60, 75, "a cent of a core each: seventy more" },
        { 0.40, 0.00, 10, 100, 9, 11, "a slow machine: ten more" },
        { 0.85, 0.00, 20, 100, 0, 0, "no core left" },
        { 0.10, 0.40, 10, 100, 0, 0, "packets leave late" },
        { 0.10, 0.10, 10, 100, 60, 75, "a few do" },
        { 0.02, 0.90, 2, 100, 60, 90, "two calls tell nothing" },
        { 0.01, 0.00, 100, 100, 0, 0, "the limit" },
        { 0.90, 0.00, 0, 100, 0, 1, "busy with something else: one at most" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct load l = after(rows[i].cpu, rows[i].late, rows[i].calls, rows[i].max);
        int room = load_room(&l, rows[i].calls, rows[i].max);

        if (room < rows[i].room_min || room > rows[i].room_max)
            fail_msg("%s: room for %d", rows[i].why, room);
        if (room == 0 && rows[i].calls && load_fraction(&l) < 1)
            fail_msg("%s: full, but %f", rows[i].why, load_fraction(&l));
    }
}

static void test_load__rises_at_once_and_falls_slowly(void **state)
{
    struct load l = after(0.9, 0, 10, 100);
    struct load_sample s = l.last;

    (void)state;
    assert_true(load_fraction(&l) > 1);
    s.now_us += 1000000; /* a second without any work */
    load_step(&l, &s);
    assert_true(load_fraction(&l) > 0.8);
    for (int i = 0; i < 20; i++) {
        s.now_us += 1000000;
        load_step(&l, &s);
    }
    assert_true(load_fraction(&l) < 0.2);
    assert_true(load_room(&l, 10, 100) > 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load__is_full_by_whatever_is_scarce),
        cmocka_unit_test(test_load__rises_at_once_and_falls_slowly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
