/* red_test.c - packets with their predecessors, read back and refused. */
#include "red.h"

#include "test/cmocka.h"

#include <string.h>

static struct red_past past;

static int setup(void **state)
{
    (void)state;
    memset(&past, 0, sizeof past);
    return 0;
}

static int build(uint8_t *out, size_t cap, size_t n, const char *text, uint32_t timestamp)
{
    const struct red_block own = { .pt = 111, .data = (const uint8_t *)text, .len = strlen(text) };
    int len = red_build(out, cap, &past, n, &own, timestamp);

    red_keep(&past, &own, timestamp);
    return len;
}

static void expect(const struct red_block *b, const char *text, uint32_t ago)
{
    assert_int_equal(b->pt, 111);
    assert_int_equal(b->ago, ago);
    assert_int_equal(b->len, strlen(text));
    assert_memory_equal(b->data, text, b->len);
}

static void test_red__reads_back_what_it_writes(void **state)
{
    struct red_block b[RED_BLOCKS];
    uint8_t raw[200];
    int len;

    (void)state;
    len = build(raw, sizeof raw, 2, "one", 0xffffff00);
    assert_int_equal(len, 4);
    assert_int_equal(red_parse(b, raw, (size_t)len), 1);
    expect(&b[0], "one", 0);
    (void)build(raw, sizeof raw, 2, "two", 0xffffff00 + 960);
    len = build(raw, sizeof raw, 2, "three", 0xffffff00 + 1920);
    assert_int_equal(red_parse(b, raw, (size_t)len), 3);
    expect(&b[0], "one", 1920);
    expect(&b[1], "two", 960);
    expect(&b[2], "three", 0);
    len = build(raw, sizeof raw, 1, "four", 0xffffff00 + 2880);
    assert_int_equal(red_parse(b, raw, (size_t)len), 2);
    expect(&b[0], "three", 960);
}

static void test_red__leaves_out_what_is_old_or_does_not_fit(void **state)
{
    struct red_block b[RED_BLOCKS];
    uint8_t raw[16];
    int len;

    (void)state;
    (void)build(raw, sizeof raw, 2, "a", 0);
    len = build(raw, sizeof raw, 2, "b", 1 << 14);
    assert_int_equal(red_parse(b, raw, (size_t)len), 1);
    len = build(raw, sizeof raw, 2, "0123456789", (1 << 14) + 960);
    assert_int_equal(red_parse(b, raw, (size_t)len), 2);
    len = build(raw, sizeof raw, 2, "0123456789", (1 << 14) + 1920);
    assert_int_equal(red_parse(b, raw, (size_t)len), 1);
    assert_int_equal(build(raw, sizeof raw, 2, "0123456789abcdef", (1 << 14) + 2880), PAT_E2BIG);
}

static void test_red_parse__refuses_what_is_broken(void **state)
{
    static const struct {
        uint8_t data[24];
        size_t len;
    } rows[] = {
        { { 0 }, 0 },                              /* nothing */
        { { 0x80 | 111, 0, 0 }, 3 },               /* half a header */
        { { 0x80 | 111, 0, 0, 4, 111, 1, 2 }, 7 }, /* a block longer than the packet */
        { { 0x80 | 111, 0, 0, 1 }, 4 },            /* no own block */
        { { 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 111 }, 17 }, /* too many */
    };
    struct red_block b[RED_BLOCKS];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(red_parse(b, rows[i].data, rows[i].len), PAT_EPROTO);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        T(test_red__reads_back_what_it_writes),
        T(test_red__leaves_out_what_is_old_or_does_not_fit),
        T(test_red_parse__refuses_what_is_broken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
