/* llm_it.c - answers come whole, and from the next model when one cannot. */
#include "speech_it.h"

#include "llm.h"

#include <stdio.h>
#include <string.h>

struct answer {
    char text[2000], calls[500], finish[40], model[80];
    struct llm_usage usage;
    int err;
    bool done, first;
    struct llm_run *run;
    bool cancel_at_first;
};

static void on_text(const char *delta, size_t len, void *arg)
{
    struct answer *a = arg;
    size_t at = strlen(a->text);

    assert_false(a->done);
    snprintf(a->text + at, sizeof a->text - at, "%.*s", (int)len, delta);
    a->first = true;
    if (a->cancel_at_first)
        llm_cancel(a->run);
}

static void on_call(int index, const char *id, const char *name, const char *arguments, void *arg)
{
    struct answer *a = arg;
    size_t at = strlen(a->calls);

    assert_true(*id != '\0');
    snprintf(a->calls + at, sizeof a->calls - at, "%d:%s:%s;", index, name, arguments);
}

static void on_done(int err, const char *finish, const char *model, const struct llm_usage *u,
                    void *arg)
{
    struct answer *a = arg;

    assert_false(a->done);
    a->done = true;
    a->err = err;
    a->usage = *u;
    pat_strcpy(a->finish, sizeof a->finish, finish);
    pat_strcpy(a->model, sizeof a->model, model);
}

static struct llm *open_llm(struct stand *s, const char *models, const char *key)
{
    char url[100];
    struct llm_opts o = { .url = stand_url("http", "openai", "/v1", url),
                          .api_key = key,
                          .models = models,
                          .first_token_ms = 1500,
                          .idle_ms = 1500 };
    struct llm *m;

    assert_int_equal(llm_new(&m, s->loop, s->http, &o), PAT_OK);
    return m;
}

#define TOOLS                                                                                      \
    "[{\"type\":\"function\",\"function\":{\"name\":\"transfer_call\",\"parameters\":{\"type\":"   \
    "\"object\",\"properties\":{\"to\":{\"type\":\"string\",\"enum\":[\"sales\",\"support\"]}}}}}]"

static void start(struct llm *m, struct answer *a, const char *said, const char *tools,
                  const char *first_model)
{
    static const struct llm_events ev = { on_text, on_call, on_done };
    struct pat_json *messages = pat_json_arr(), *one = pat_json_obj(), *t = NULL;
    struct llm_req req = { .messages = messages,
                           .temperature = 0.4,
                           .max_tokens = 200,
                           .cache_key = "agent-1",
                           .first_model = first_model };

    pat_json_set_str(one, "role", "user");
    pat_json_set_str(one, "content", said);
    pat_json_add_take(messages, one);
    if (tools)
        assert_int_equal(pat_json_parse(&t, tools, strlen(tools), NULL), PAT_OK);
    req.tools = t;
    memset(a->text, 0, sizeof a->text);
    assert_int_equal(llm_start(&a->run, m, &req, &ev, a), PAT_OK);
    assert_false(a->done || a->first); /* never from inside */
    pat_json_free(messages);
    pat_json_free(t);
}

static void ask(struct stand *s, const char *models, const char *key, struct answer *a,
                const char *tools)
{
    struct llm *m = open_llm(s, models, key);

    start(m, a, "Please transfer me to support, I like red apples", tools, NULL);
    stand_wait(s, &a->done, 10000);
    llm_free(m);
}

static void test_llm__streams_an_answer_with_its_usage(void **state)
{
    struct stand *s = stand_up();
    struct answer a = { 0 };

    (void)state;
    stand_control(s, "openai", "{\"split\":true}");
    ask(s, "gpt-4o-mini", "key", &a, NULL);
    assert_int_equal(a.err, PAT_OK);
    assert_non_null(strstr(a.text, "I like red apples"));
    assert_string_equal(a.finish, "stop");
    assert_string_equal(a.model, "gpt-4o-mini");
    assert_true(a.usage.prompt_tokens > 0 && a.usage.completion_tokens > 0);
    stand_down(s);
}

static void test_llm__hands_out_whole_tool_calls(void **state)
{
    struct stand *s = stand_up();
    struct answer a = { 0 };

    (void)state;
    ask(s, "gpt-6-luna", "key", &a, TOOLS); /* refused but for reasoning_effort none */
    assert_int_equal(a.err, PAT_OK);
    assert_string_equal(a.calls, "0:transfer_call:{\"to\":\"support\"};");
    assert_string_equal(a.finish, "tool_calls");
    stand_down(s);
}

static void test_llm__goes_on_to_the_next_model(void **state)
{
    static const struct {
        const char *control, *models, *answered_by;
    } rows[] = {
        { "{}", "gpt-4.1-nano,gpt-4o-mini", "gpt-4o-mini" }, /* retired: 404 */
        { "{\"fail\":{\"status\":503,\"times\":1}}", "gpt-4o-mini,gpt-6-luna", "gpt-6-luna" },
        { "{\"fail\":{\"status\":429,\"times\":1}}", "gpt-4o-mini,gpt-6-luna", "gpt-6-luna" },
        { "{\"fail\":{\"status\":500,\"times\":2}}", "gpt-4o-mini,gpt-6-luna", "gpt-4o-mini" },
        { "{\"cut\":{\"times\":1,\"after\":1}}", "gpt-4o-mini,gpt-6-luna", "gpt-6-luna" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct stand *s = stand_up();
        struct answer a = { 0 };

        stand_control(s, "openai", rows[i].control);
        ask(s, rows[i].models, "key", &a, NULL);
        assert_int_equal(a.err, PAT_OK);
        assert_string_equal(a.model, rows[i].answered_by);
        assert_non_null(strstr(a.text, "I like red apples"));
        stand_down(s);
    }
}

static void test_llm__does_not_wait_for_a_slow_first_token(void **state)
{
    struct stand *s = stand_up();
    struct answer a = { 0 };
    int64_t began = pat_now_ms();

    (void)state;
    stand_control(s, "openai", "{\"latency_ms\":60000}");
    ask(s, "gpt-4o-mini", "key", &a, NULL);
    assert_int_equal(a.err, PAT_ETIMEDOUT);
    assert_string_equal(a.text, "");
    assert_in_range(pat_now_ms() - began, 3000, 6000); /* two rounds of 1.5 s */
    stand_down(s);
}

static void test_llm__never_says_a_beginning_twice(void **state)
{
    struct stand *s = stand_up();
    struct answer a = { 0 };

    (void)state;
    stand_control(s, "openai", "{\"cut\":{\"times\":1,\"after\":4}}");
    ask(s, "gpt-4o-mini,gpt-6-luna", "key", &a, NULL);
    assert_int_not_equal(a.err, PAT_OK);
    assert_string_equal(a.finish, "error");
    assert_string_equal(a.text, "You said: Please");
    stand_down(s);
}

static void test_llm__stops_at_what_no_model_cures(void **state)
{
    struct stand *s = stand_up();
    struct answer key = { 0 }, quota = { 0 };

    (void)state;
    ask(s, "gpt-4o-mini,gpt-6-luna", "bad", &key, NULL);
    assert_int_equal(key.err, PAT_EAUTH);
    stand_control(s, "openai",
                  "{\"fail\":{\"status\":429,\"times\":1,\"type\":"
                  "\"insufficient_quota\"}}");
    ask(s, "gpt-4o-mini,gpt-6-luna", "key", &quota, NULL);
    assert_int_equal(quota.err, PAT_EUPSTREAM);
    stand_down(s);
}

static void test_llm__leaves_out_a_model_that_keeps_failing(void **state)
{
    struct stand *s = stand_up();
    struct llm *m = open_llm(s, "gpt-4.1-nano,gpt-4o-mini", "key");

    (void)state;
    for (int i = 0; i < 5; i++) {
        struct answer a = { 0 };

        start(m, &a, "hello", NULL, NULL);
        stand_wait(s, &a.done, 5000);
        assert_string_equal(a.model, "gpt-4o-mini");
    }
    llm_free(m);
    stand_down(s);
}

static void test_llm__a_wished_model_comes_first(void **state)
{
    struct stand *s = stand_up();
    struct llm *m = open_llm(s, "gpt-4o-mini", "key");
    struct answer a = { 0 }, b = { 0 };

    (void)state;
    start(m, &a, "hello", NULL, "gpt-6-luna");
    stand_wait(s, &a.done, 5000);
    assert_string_equal(a.model, "gpt-6-luna");
    start(m, &b, "hello", NULL, "no-such-model");
    stand_wait(s, &b.done, 5000);
    assert_string_equal(b.model, "gpt-4o-mini");
    llm_free(m);
    stand_down(s);
}

static void test_llm__canceled_is_silent(void **state)
{
    struct stand *s = stand_up();
    struct llm *m = open_llm(s, "gpt-4o-mini", "key");
    struct answer inside = { .cancel_at_first = true }, outside = { 0 }, freed = { 0 };

    (void)state;
    start(m, &inside, "hello", NULL, NULL);
    stand_wait(s, &inside.first, 5000);
    start(m, &outside, "hello", NULL, NULL);
    llm_cancel(outside.run);
    stand_pass(s, 200);
    assert_false(inside.done || outside.done || outside.first);
    start(m, &freed, "hello", NULL, NULL);
    llm_free(m);
    stand_pass(s, 100);
    assert_false(freed.done);
    stand_down(s);
}

int run_llm_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llm__streams_an_answer_with_its_usage),
        cmocka_unit_test(test_llm__hands_out_whole_tool_calls),
        cmocka_unit_test(test_llm__goes_on_to_the_next_model),
        cmocka_unit_test(test_llm__does_not_wait_for_a_slow_first_token),
        cmocka_unit_test(test_llm__never_says_a_beginning_twice),
        cmocka_unit_test(test_llm__stops_at_what_no_model_cures),
        cmocka_unit_test(test_llm__leaves_out_a_model_that_keeps_failing),
        cmocka_unit_test(test_llm__a_wished_model_comes_first),
        cmocka_unit_test(test_llm__canceled_is_silent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
