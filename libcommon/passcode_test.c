/* passcode_test.c - passcodes as they are spoken and as recognisers write them. */
#include "test/cmocka.h"

#include "passcode.h"

static void test_equal__hears_through_the_ways_of_saying_it(void **state)
{
    static const struct {
        const char *stored, *said;
        bool equal;
    } rows[] = {
        { "4217", "4217", true },
        { "4217", "four two one seven", true },
        { "4217", "It's 42 17.", true },
        { "4217", "forty two seventeen", true },
        { "4217", "The code is: 4-2-1-7, please", true },
        { "4211", "four two double one", true },
        { "1000", "one oh oh oh", true },
        { "1000", "one triple zero", true },
        { "4020", "forty twenty", true },
        { "4217", "vier zwei eins sieben", true },
        { "4217", "cuatro dos uno siete", true },
        { "4217", "quatre deux un sept", true },
        { "Blue Horizon", "blue horizon", true },
        { "blue-horizon", "My passcode is Blue Horizon!", true },
        { "seven dwarfs", "7 dwarfs", true },
        { "my pin", "my pin", true },
        { "4217", "4216", false },
        { "4217", "42170", false },
        { "4217", "0 4217", false },
        { "4217", "one two three four 4217", false },
        { "Blue Horizon", "blue", false },
        { "", "", false },
        { "", "anything", false },
        { "...", "...", false },
        { "my pin", "", false },
        { "4217", "", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (pat_passcode_equal(rows[i].stored, rows[i].said) != rows[i].equal)
            fail_msg("\"%s\" and \"%s\"", rows[i].stored, rows[i].said);
}

static void test_equal__refuses_what_nobody_speaks(void **state)
{
    char all[2000];

    (void)state;
    for (size_t i = 0; i < sizeof all - 1; i++)
        all[i] = (char)('0' + i % 10);
    all[sizeof all - 1] = 0;
    assert_false(pat_passcode_equal("0123", all));
    assert_false(pat_passcode_equal(all, all));
}

static void test_masked__leaves_what_is_no_code(void **state)
{
    static const struct {
        const char *stored, *said, *shown;
        int words;
    } rows[] = {
        { "4217", "four two one eight", "... ... ... ...", 0 },
        { "4217", "42 18", "... ...", 0 },
        { "4217", "I don't have one, can I leave a message?",
          "i don't have ... can i leave a message", 5 },
        { "Blue Horizon", "blue mountain", "... mountain", 1 },
        { "Blue Horizon", "the horizon is what I forgot sorry", "the ... is what ... forgot sorry",
          3 },
        { "4217", "forty two double one", "... ... ... ...", 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pat_buf b;

        pat_buf_init(&b, 400);
        assert_int_equal(pat_passcode_masked(&b, rows[i].stored, rows[i].said), rows[i].words);
        assert_string_equal(b.data, rows[i].shown);
        pat_buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masked__leaves_what_is_no_code),
        cmocka_unit_test(test_equal__hears_through_the_ways_of_saying_it),
        cmocka_unit_test(test_equal__refuses_what_nobody_speaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
