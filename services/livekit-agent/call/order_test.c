/* order_test.c - what comes out is in order, whole where it can be, and never twice. */
#include "order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct out {
    struct order order;
    char seqs[256]; /* last digits, in the order given */
    size_t n;
    uint16_t last;
};

static void on_packet(const struct rtc_packet *p, void *arg)
{
    struct out *o = arg;

    assert_int_equal(p->opus[0], (uint8_t)p->seq);
    assert_true(!o->n || (int16_t)(p->seq - o->last) > 0);
    o->last = p->seq;
    o->seqs[o->n++ % (sizeof o->seqs - 1)] = (char)('0' + p->seq % 10);
}

static bool put_at(struct out *o, uint16_t seq, int64_t at_us)
{
    uint8_t byte = (uint8_t)seq;
    const struct rtc_packet p = { .opus = &byte, .len = 1, .seq = seq, .received_us = at_us };

    order_put(&o->order, &p, on_packet, o);
    byte = (uint8_t)(seq + 1); /* what is held has its own bytes */
    return order_due_us(&o->order) > 0;
}

static bool put(struct out *o, uint16_t seq)
{
    return put_at(o, seq, 1);
}

static void puts_all(struct out *o, const char *seqs)
{
    for (; *seqs; seqs++)
        (void)put(o, (uint16_t)(*seqs - '0'));
}

static void test_order__rows(void **state)
{
    static const struct {
        const char *in, *out, *released;
    } rows[] = {
        { "01234", "01234", "01234" }, { "02134", "01234", "01234" },
        { "0234", "0", "0234" },       { "0342", "0", "0234" },
        { "00112", "012", "012" },     { "0231", "0123", "0123" },
        { "0223", "0", "023" },        { "0245136", "0123456", "0123456" },
        { "0987", "0", "0789" },       { "0571", "01", "0157" },
        { "3210", "3", "3" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct out o = { 0 };

        puts_all(&o, rows[i].in);
        assert_string_equal(o.seqs, rows[i].out);
        order_release(&o.order, ORDER_US, on_packet, &o);
        assert_string_equal(o.seqs, rows[i].out);
        order_release(&o.order, 1 + ORDER_US, on_packet, &o);
        assert_string_equal(o.seqs, rows[i].released);
        assert_int_equal(o.order.n, 0);
        order_fini(&o.order);
    }
}

static void test_order__tells_whether_it_waits(void **state)
{
    struct out o = { 0 };

    (void)state;
    assert_false(put(&o, 65534));
    assert_true(put(&o, 0)); /* the numbers run over */
    assert_true(put(&o, 1));
    assert_false(put(&o, 65535));
    assert_string_equal(o.seqs, "4501");
    assert_true(put(&o, 3));
    order_restart(&o.order);
    o.n = 0;
    assert_false(put(&o, 500));
    assert_false(put(&o, 600)); /* too far ahead: no use in waiting */
    order_fini(&o.order);
}

static void test_order__each_gap_has_its_own_time(void **state)
{
    struct out o = { 0 };

    (void)state;
    (void)put_at(&o, 0, 0);
    (void)put_at(&o, 2, 40000);
    (void)put_at(&o, 4, 80000);
    (void)put_at(&o, 5, 100000);
    assert_true(order_due_us(&o.order) == 40000 + ORDER_US);
    order_release(&o.order, 40000 + ORDER_US, on_packet, &o);
    assert_string_equal(o.seqs, "02");
    assert_true(order_due_us(&o.order) == 80000 + ORDER_US);
    (void)put_at(&o, 3, 90000 + ORDER_US / 2);
    assert_string_equal(o.seqs, "02345");
    assert_true(order_due_us(&o.order) == 0);
    order_fini(&o.order);
}

static void test_order__a_full_window_gives_up_its_first_gap_only(void **state)
{
    struct out o = { 0 };

    (void)state;
    (void)put(&o, 0);
    for (uint16_t seq = 2; seq <= ORDER_HELD; seq++)
        if (seq != 5)
            (void)put(&o, seq);
    assert_string_equal(o.seqs, "0");
    (void)put(&o, ORDER_HELD + 1);
    assert_string_equal(o.seqs, "0234");
    (void)put(&o, 5);
    assert_int_equal(o.n, ORDER_HELD + 1);
    order_fini(&o.order);
}

static void test_order__a_long_packet_is_not_held(void **state)
{
    struct out o = { 0 };
    uint8_t big[ORDER_LEN + 1] = { 3 };
    const struct rtc_packet p = { .opus = big, .len = sizeof big, .seq = 3 };

    (void)state;
    puts_all(&o, "02");
    order_put(&o.order, &p, on_packet, &o);
    assert_true(order_due_us(&o.order) == 0);
    assert_string_equal(o.seqs, "023");
    order_fini(&o.order);
}

static void test_order__any_mess_keeps_its_promises(void **state)
{
    struct out o = { 0 };
    uint16_t at = 0;

    (void)state;
    srand(7);
    for (int i = 0; i < 100000; i++) {
        at = (uint16_t)(at + rand() % 3);
        (void)put(&o, (uint16_t)(at - rand() % 12));
        assert_in_range(o.order.n, 0, ORDER_HELD - 1);
        if (rand() % 50 == 0)
            order_release(&o.order, INT64_MAX, on_packet, &o);
    }
    assert_true(o.n > 1000);
    order_fini(&o.order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order__rows),
        cmocka_unit_test(test_order__tells_whether_it_waits),
        cmocka_unit_test(test_order__each_gap_has_its_own_time),
        cmocka_unit_test(test_order__a_full_window_gives_up_its_first_gap_only),
        cmocka_unit_test(test_order__a_long_packet_is_not_held),
        cmocka_unit_test(test_order__any_mess_keeps_its_promises),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
