/* args_test.c - command lines, good and bad, against a small table. */
#include "command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

const struct option global_options[] = {
    { "json", NULL, NULL, "" },    { "server", "URL", NULL, "" }, { "help", NULL, NULL, "" },
    { "version", NULL, NULL, "" }, { NULL, NULL, NULL, NULL },
};

const struct command commands[] = {
    { "go", "USER", "", { { "to", "STACK", "here there", "" }, { "fast", NULL, NULL, "" } }, NULL },
    { "look", "[USER]", "", { { "limit", "N", NULL, "" } }, NULL },
    { "many start", "", "", { { "file", "FILE", "@file", "" } }, NULL },
    { "many stop", "ID", "", { { NULL, NULL, NULL, NULL } }, NULL },
    { NULL, NULL, NULL, { { NULL, NULL, NULL, NULL } }, NULL },
};

static int parse(struct args *a, const char *line, char why[160])
{
    static char text[256];
    char *argv[16], *at = text, *word;
    int argc = 0;

    snprintf(text, sizeof text, "%s", line);
    while ((word = strsep(&at, " ")))
        if (*word)
            argv[argc++] = word;
    return args_parse(a, argc, argv, why);
}

static void test_args__what_is_right_is_read(void **state)
{
    struct args a;
    char why[160];

    (void)state;
    assert_int_equal(parse(&a, "go --to there ada --fast --json --server http://x", why), PAT_OK);
    assert_string_equal(a.command->name, "go");
    assert_string_equal(a.operands[0], "ada");
    assert_string_equal(args_get(&a, "to"), "there");
    assert_non_null(args_get(&a, "fast"));
    assert_true(a.json);
    assert_string_equal(a.server, "http://x");

    assert_int_equal(parse(&a, "many stop 5", why), PAT_OK);
    assert_string_equal(a.command->name, "many stop");
    assert_int_equal(parse(&a, "many start --file=-", why), PAT_OK);
    assert_string_equal(args_get(&a, "file"), "-");
    assert_int_equal(parse(&a, "look", why), PAT_OK);
    assert_null(args_get(&a, "limit"));
    assert_int_equal(parse(&a, "go -- --to", why), PAT_OK); /* a user of that name */
    assert_string_equal(a.operands[0], "--to");
    assert_int_equal(parse(&a, "go --help", why), PAT_OK);
    assert_true(a.help);
    assert_int_equal(parse(&a, "--version", why), PAT_OK);
    assert_null(a.command);
}

static void test_args__what_is_wrong_is_named(void **state)
{
    static const char *const rows[][2] = {
        { "", "say what to do" },
        { "dance", "there is no command dance" },
        { "many", "there is no command many" },
        { "many dance", "there is no command many" },
        { "go", "go takes USER" },
        { "go a b", "go takes USER" },
        { "go a b c", "too many arguments" },
        { "many start x", "many start takes no argument" },
        { "go a --loud", "there is no option --loud" },
        { "look --fast", "there is no option --fast" },
        { "go a --to", "--to needs a value" },
        { "go a --to=mars", "--to must be one of: here there" },
        { "go a --to=her", "--to must be one of: here there" },
        { "go a --fast=1", "--fast takes no value" },
    };
    struct args a;
    char why[160];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(parse(&a, rows[i][0], why), PAT_EINVAL);
        assert_string_equal(why, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_args__what_is_right_is_read),
        cmocka_unit_test(test_args__what_is_wrong_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
