/* machine_test.c - machines and people on the phone. */
#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* One stretch of speech: its words at its end, then perhaps a beep. */
static bool heard(struct machine *m, int64_t *now_ms, int ms, const char *words, bool beep)
{
    bool is = machine_voice(m, true, *now_ms);

    *now_ms += ms;
    is |= machine_voice(m, false, *now_ms);
    is |= machine_words(m, words, *now_ms + 300);
    *now_ms += 800;
    return is | (beep && machine_beep(m, *now_ms));
}

static void test_machine__is_known_by_what_it_says_and_its_tone(void **state)
{
    static const struct {
        int ms;
        const char *words;
        bool beep, is;
    } rows[] = {
        { 6000, "You have reached Bob. Please leave a message after the tone.", false, true },
        { 6000, "Hi it's Bob, I'm out, you know what to do.", true, true },
        { 1500, "Please leave a message after the beep.", true, true },
        { 7000, "Sie haben Bob erreicht, hinterlassen Sie eine Nachricht nach dem Signalton.",
          false, true },
        { 900, "Hello?", false, false },
        { 8000, "I would like to leave a message for Bob because he is not there", false, false },
        { 8000, "Well I called earlier and nobody could take your call they said", false, false },
        { 400, "Hi", true, false }, /* something in the background */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct machine m;
        int64_t now_ms = 5000;

        machine_init(&m, now_ms);
        assert_int_equal(heard(&m, &now_ms, rows[i].ms, rows[i].words, rows[i].beep), rows[i].is);
        assert_int_equal(machine_listens(&m, now_ms), !rows[i].is);
    }
}

static void test_machine__later_it_is_a_conversation(void **state)
{
    struct machine m;
    int64_t now_ms = 1000;

    (void)state;
    machine_init(&m, now_ms);
    now_ms += MACHINE_WINDOW_MS;
    assert_false(heard(&m, &now_ms, 6000, "You have reached Bob. Please leave a message.", true));
    assert_false(machine_listens(&m, now_ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machine__is_known_by_what_it_says_and_its_tone),
        cmocka_unit_test(test_machine__later_it_is_a_conversation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
