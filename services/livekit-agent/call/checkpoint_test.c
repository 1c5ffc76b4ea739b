/* checkpoint_test.c - how a call goes on, by the state it was left in. */
#include "checkpoint.h"

#include "test/cmocka.h"

#include <stdlib.h>
#include <string.h>

#define TEXT "We are open. Come by at nine in the morning. Goodbye."

static void test_plan__by_the_state_the_call_was_left_in(void **state)
{
    static const struct {
        const char *saved;
        enum resume what;
        const char *say;
        bool leave;
    } rows[] = {
        { "{}", RESUME_NO, NULL, false },
        { "{\"state\":\"starting\",\"answered\":false}", RESUME_NO, NULL, false },
        { "{\"state\":\"thinking\",\"answered\":false}", RESUME_NO, NULL, false },
        { "{\"state\":\"listening\",\"answered\":true}", RESUME_LISTEN, NULL, false },
        { "{\"state\":\"listening\",\"turn\":{\"voice\":true}}", RESUME_REPEAT, NULL, false },
        { "{\"state\":\"listening\",\"said\":true}", RESUME_REPEAT, NULL, false },
        { "{\"state\":\"maybe_done\"}", RESUME_REPEAT, NULL, false },
        { "{\"state\":\"interrupted\",\"reply\":{\"text\":\"" TEXT "\",\"heard\":5}}",
          RESUME_REPEAT, NULL, false },
        { "{\"state\":\"speaking\",\"reply\":{\"text\":\"" TEXT "\",\"heard\":5,\"whole\":true}}",
          RESUME_SAY, TEXT, false },
        { "{\"state\":\"speaking\",\"reply\":{\"text\":\"" TEXT "\",\"heard\":12,\"whole\":true}}",
          RESUME_SAY, "Come by at nine in the morning. Goodbye.", false },
        { "{\"state\":\"speaking\",\"reply\":{\"text\":\"" TEXT "\",\"heard\":20,\"whole\":true}}",
          RESUME_SAY, "Come by at nine in the morning. Goodbye.", false },
        { "{\"state\":\"speaking\",\"reply\":{\"text\":\"" TEXT "\",\"heard\":53,\"whole\":true}}",
          RESUME_LISTEN, NULL, false },
        { "{\"state\":\"speaking\",\"reply\":{\"text\":\"We are\",\"heard\":6,\"answers\":true}}",
          RESUME_THINK, NULL, false },
        { "{\"state\":\"thinking\",\"answered\":true,\"reply\":{\"text\":\"\",\"answers\":true}}",
          RESUME_THINK, NULL, false },
        { "{\"state\":\"thinking\",\"answered\":true}", RESUME_THINK, NULL, false },
        { "{\"state\":\"speaking\",\"turn\":{\"leaving\":true},"
          "\"reply\":{\"text\":\"Goodbye.\",\"heard\":2,\"whole\":true}}",
          RESUME_SAY, "Goodbye.", true },
        { "{\"state\":\"closing\"}", RESUME_LEAVE, NULL, true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        PAT_AUTO_JSON j = NULL;
        struct resume_plan p;

        assert_int_equal(pat_json_parse(&j, rows[i].saved, strlen(rows[i].saved), NULL), PAT_OK);
        p = checkpoint_plan(j);
        if (p.what != rows[i].what || p.leave_after != rows[i].leave ||
            strcmp(p.say ? p.say : "", rows[i].say ? rows[i].say : "") != 0)
            fail_msg("%s: %d, %d, \"%s\"", rows[i].saved, p.what, p.leave_after,
                     p.say ? p.say : "");
        free(p.say);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan__by_the_state_the_call_was_left_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
