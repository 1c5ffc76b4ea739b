/* turn_log_test.c - what is written can be run again, and a difference is found. */
#include "turn_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct folder {
    char path[64], file[128];
};

static int make_folder(void **state)
{
    struct folder *f = calloc(1, sizeof *f);

    (void)snprintf(f->path, sizeof f->path, "/tmp/patchbay-turn-XXXXXX");
    *state = f;
    return !mkdtemp(f->path);
}

static int remove_folder(void **state)
{
    struct folder *f = *state;
    char name[160];

    for (int i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, i ? "%s/c.%d.jsonl" : "%s/c.jsonl", f->path, i + 1);
        (void)unlink(name);
    }
    (void)rmdir(f->path);
    free(f);
    return 0;
}

static void say(struct turn_log *l, struct turn *t, const struct turn_opts *o, struct turn_event e)
{
    struct turn_out out;

    e.reply = e.reply ? e.reply : t->reply;
    turn_step(t, o, &e, &out);
    turn_log_add(l, &e, t, &out);
}

/* Every field an event has, and options that change. */
static void write_log(const struct folder *f)
{
    struct turn_opts o = turn_opts_for(1, 1);
    struct turn_log *l;
    struct turn t;
    const int64_t began = 5000000000;

    assert_int_equal(turn_log_open(&l, f->path, "c", began), PAT_OK);
    turn_init(&t);
    turn_log_opts(l, &o);
    say(l, &t, &o,
        (struct turn_event){
            .kind = TURN_VOICE_START, .now_us = began + 50, .at_us = began - 900 });
    say(l, &t, &o,
        (struct turn_event){ .kind = TURN_VOICE_STOP, .now_us = began + 90, .at_us = began });
    o = turn_opts_for(0, 0.5);
    turn_log_opts(l, &o);
    say(l, &t, &o, (struct turn_event){ .kind = TURN_READY, .now_us = began + 100, .n = -1 });
    say(l, &t, &o,
        (struct turn_event){
            .kind = TURN_EAGER, .now_us = began + 300, .n = 2, .soft = 1, .changed = true });
    say(l, &t, &o,
        (struct turn_event){
            .kind = TURN_FINAL, .now_us = began + 400, .n = 3, .end = true, .open = true });
    say(l, &t, &o, (struct turn_event){ .kind = TURN_SAY, .now_us = began + 500, .firm = true });
    say(l, &t, &o,
        (struct turn_event){ .kind = TURN_REPLY_FAILED, .now_us = began + 600, .reply = 9 });
    say(l, &t, &o, (struct turn_event){ .kind = TURN_GONE, .now_us = began + 700 });
    turn_log_close(l);
}

/* What the replay says; the error. */
static int replay(const char *path, char *said, size_t cap)
{
    FILE *out = tmpfile();
    int err = turn_replay(path, out);
    size_t n;

    rewind(out);
    n = fread(said, 1, cap - 1, out);
    said[n] = 0;
    (void)fclose(out);
    return err;
}

static const char *path_of(struct folder *f, const char *name)
{
    (void)snprintf(f->file, sizeof f->file, "%s/%s", f->path, name);
    return f->file;
}

/* Replaces the first a by b of the same length. */
static void edit(const char *path, const char *a, const char *b)
{
    char text[8192];
    FILE *f = fopen(path, "r+");
    size_t n = fread(text, 1, sizeof text - 1, f);
    char *at;

    text[n] = 0;
    at = strstr(text, a);
    assert_non_null(at);
    memcpy(at, b, strlen(b));
    rewind(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    (void)fclose(f);
}

static void test_turn_log__replays_what_it_wrote(void **state)
{
    struct folder *f = *state;
    char said[1000];

    write_log(f);
    assert_int_equal(replay(path_of(f, "c.jsonl"), said, sizeof said), PAT_OK);
    assert_string_equal(said, "");
}

static void test_turn_log__a_second_run_has_a_file_of_its_own(void **state)
{
    struct folder *f = *state;
    char said[1000];

    write_log(f);
    write_log(f);
    assert_int_equal(replay(path_of(f, "c.jsonl"), said, sizeof said), PAT_OK);
    assert_int_equal(replay(path_of(f, "c.2.jsonl"), said, sizeof said), PAT_OK);
}

static void test_turn_log__another_decision_is_told_with_its_line(void **state)
{
    struct folder *f = *state;
    char said[1000];

    write_log(f);
    edit(path_of(f, "c.jsonl"), "\"sorry\"", "\"greet\"");
    assert_int_equal(replay(f->file, said, sizeof said), PAT_EINVAL);
    assert_non_null(strstr(said, "c.jsonl:6: another decision"));
    assert_non_null(strstr(said, "expected thinking: greet,play"));
    assert_non_null(strstr(said, "got      thinking: sorry,play"));
}

static void test_turn_log__another_event_leads_elsewhere(void **state)
{
    struct folder *f = *state;
    char said[1000];

    write_log(f);
    edit(path_of(f, "c.jsonl"), "\"event\":\"gone\"", "\"event\":\"wake\"");
    assert_int_equal(replay(f->file, said, sizeof said), PAT_EINVAL);
}

static void test_turn_log__is_not_needed(void **state)
{
    struct turn_log *l;

    (void)state;
    assert_int_equal(turn_log_open(&l, "/nowhere", "c", 0), PAT_EIO);
    turn_log_opts(NULL, NULL);
    turn_log_add(NULL, NULL, NULL, NULL);
    turn_log_close(NULL);
}

static void test_turn_log__what_is_no_log_is_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        { "", "empty" },
        { "{\"version\":1,\"call\":\"c\"}\n", "another version" },
        { "{\"us\":1,\"event\":\"gone\",\"state\":\"closing\",\"actions\":[]}\n",
          "before version" },
        { "{\"version\":2}\n{\"opts\":{}}\n{\"us\":1,\"event\":\"sneeze\"}\n", "no event" },
        { "{\"version\":2}\n{\"us\":\n", "not JSON" },
    };
    struct folder *f = *state;
    char said[1000];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        FILE *out = fopen(path_of(f, "c.jsonl"), "we");

        (void)fputs(rows[i].text, out);
        (void)fclose(out);
        assert_int_equal(replay(f->file, said, sizeof said), PAT_EINVAL);
        assert_non_null(strstr(said, rows[i].why));
    }
    assert_int_equal(replay("/nowhere/c.jsonl", said, sizeof said), PAT_EIO);
}

static void test_turn_log__an_unfinished_line_is_passed_over(void **state)
{
    struct folder *f = *state;
    char said[1000];
    FILE *out;

    write_log(f);
    out = fopen(path_of(f, "c.jsonl"), "ae");
    (void)fputs("{\"us\":99,\"eve", out);
    (void)fclose(out);
    assert_int_equal(replay(f->file, said, sizeof said), PAT_OK);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        T(test_turn_log__replays_what_it_wrote),
        T(test_turn_log__a_second_run_has_a_file_of_its_own),
        T(test_turn_log__another_decision_is_told_with_its_line),
        T(test_turn_log__another_event_leads_elsewhere),
        T(test_turn_log__is_not_needed),
        T(test_turn_log__what_is_no_log_is_refused),
        T(test_turn_log__an_unfinished_line_is_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
