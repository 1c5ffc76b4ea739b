/* llm_it.c - answers come whole, and from the next model when one cannot. */
#include "speech_it.h"

#include "llm.h"

#include <stdio.h>
#include <string.h>

struct answer {
    char text[2000], calls[500], finish[40], model[80];
    char failures[500], provider[40];
    struct llm_usage usage;
    int err, broken;
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
    pat_strcpy(a->provider, sizeof a->provider, u->provider);
    pat_strcpy(a->finish, sizeof a->finish, finish);
    pat_strcpy(a->model, sizeof a->model, model);
}

static void on_broke_off(struct pat_buf *out, void *arg)
{
    struct answer *a = arg;

    a->broken++;
    pat_buf_adds(out, a->text);
}

static void on_failed(const struct provider_failure *f, void *arg)
{
    struct answer *a = arg;
    size_t at = strlen(a->failures);

    snprintf(a->failures + at, sizeof a->failures - at, "%s %s>%s;", f->by->name,
             provider_fault_name(f->fault), f->next ? f->next->name : "");
}

/* The table outlives the model: it is freed with it. */
static struct providers *providers;

static struct llm *open_hedging(struct stand *s, const char *chain, const char *key,
                                int64_t hedge_ms)
{
    struct llm_opts o = {
        .connect_ms = 1500, .first_token_ms = 1500, .idle_ms = 1500, .hedge_ms = hedge_ms
    };
    struct llm *m;

    o.providers = providers = stand_chain(PROVIDER_LLM, chain, key);
    assert_int_equal(llm_new(&m, s->loop, s->http, &o), PAT_OK);
    return m;
}

static struct llm *open_llm(struct stand *s, const char *chain, const char *key)
{
    return open_hedging(s, chain, key, 0);
}

static void close_llm(struct llm *m)
{
    llm_free(m);
    providers_free(providers);
}

#define TOOLS                                                                                      \
    "[{\"type\":\"function\",\"function\":{\"name\":\"transfer_call\",\"parameters\":{\"type\":"   \
    "\"object\",\"properties\":{\"to\":{\"type\":\"string\",\"enum\":[\"sales\",\"support\"]}}}}}]"

static void start(struct llm *m, struct answer *a, const char *said, const char *tools,
                  const char *first_model)
{
    static const struct llm_events ev = { on_text, on_call, on_done, on_broke_off, on_failed };
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
    close_llm(m);
}

static void test_llm__streams_an_answer_with_its_usage(void **state)
{
    struct stand *s = stand_up();
    struct answer a = { 0 };

    (void)state;
    stand_control(s, "openai", "{\"split\":true}");
    ask(s, "openai:gpt-4o-mini", "key", &a, NULL);
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
    ask(s, "openai:gpt-6-luna", "key", &a, TOOLS); /* refused but for reasoning_effort none */
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
        { "{}", "openai:gpt-4.1-nano,openai:gpt-4o-mini", "gpt-4o-mini" }, /* retired: 404 */
        { "{\"fail\":{\"status\":503,\"times\":1}}", "openai:gpt-4o-mini,openai:gpt-6-luna",
          "gpt-6-luna" },
        { "{\"fail\":{\"status\":429,\"times\":1}}", "openai:gpt-4o-mini,openai:gpt-6-luna",
          "gpt-6-luna" },
        { "{\"fail\":{\"status\":500,\"times\":2}}", "openai:gpt-4o-mini,openai:gpt-6-luna",
          "gpt-4o-mini" },
        { "{\"cut\":{\"times\":1,\"after\":1}}", "openai:gpt-4o-mini,openai:gpt-6-luna",
          "gpt-6-luna" },
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
    ask(s, "openai:gpt-4o-mini", "key", &a, NULL);
    assert_int_equal(a.err, PAT_ETIMEDOUT);
    assert_string_equal(a.text, "");
    assert_in_range(pat_now_ms() - began, 3000, 6000); /* two rounds of 1.5 s */
    stand_down(s);
}

static void test_llm__an_answer_that_breaks_off_is_continued_and_nothing_said_twice(void **state)
{
    struct stand *s = stand_up();
    struct answer a = { 0 };

    (void)state;
    stand_control(s, "openai", "{\"cut\":{\"times\":1,\"after\":6}}");
    ask(s, "openai,openai-2", "key", &a, NULL);
    assert_int_equal(a.err, PAT_OK);
    assert_int_equal(a.broken, 1);
    assert_string_equal(a.provider, "openai-2");
    assert_string_equal(a.failures, "openai connection>openai-2;");
    assert_string_equal(a.text, "You said: Please transfer me"
                                "to support, I like red apples. Please tell me more "
                                "about that.");
    stand_down(s);
}

static void test_llm__an_answer_that_drips_is_continued_by_another(void **state)
{
    struct stand *s = stand_up();
    struct answer a = { 0 };
    struct llm *m = open_llm(s, "openai,openai-2", "key");

    (void)state;
    stand_control(s, "openai", "{\"token_ms\":1200,\"reply\":\"a b c d e f g h i j k l m n\"}");
    stand_control(s, "openai2", "{\"reply\":\"a b c d e f g h i j k l m n\"}");
    start(m, &a, "hello", NULL, NULL);
    stand_wait(s, &a.done, 20000);
    assert_int_equal(a.err, PAT_OK);
    assert_string_equal(a.failures, "openai timeout>openai-2;");
    close_llm(m);
    stand_down(s);
}

static void test_llm__goes_to_another_account_where_the_first_one_is_of_no_use(void **state)
{
    static const struct {
        const char *control, *key, *failures;
    } rows[] = {
        { "{}", "bad", "openai auth>openai-2;" },
        { "{\"fail\":{\"status\":429,\"times\":-1,\"type\":\"insufficient_quota\"}}", "key",
          "openai quota>openai-2;" },
        { "{\"fail\":{\"status\":429,\"times\":-1,\"retry_after_ms\":60000}}", "key",
          "openai rate>openai;openai rate>openai-2;" },
        { "{\"fail\":{\"status\":400,\"times\":-1,\"code\":\"content_filter\"}}", "key",
          "openai content>openai;openai content>openai-2;" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct stand *s = stand_up();
        struct llm *m = open_llm(s, "openai,openai:gpt-6-luna,openai-2", rows[i].key);
        struct answer a = { 0 }, b = { 0 };

        stand_control(s, "openai", rows[i].control);
        start(m, &a, "I like red apples", NULL, NULL);
        stand_wait(s, &a.done, 10000);
        assert_int_equal(a.err, PAT_OK);
        assert_string_equal(a.provider, "openai-2");
        assert_string_equal(a.failures, rows[i].failures);
        start(m, &b, "I like red apples", NULL, NULL); /* the next call knows, but for content */
        stand_wait(s, &b.done, 10000);
        assert_string_equal(b.failures, i < 3 ? "" : rows[i].failures);
        close_llm(m);
        stand_down(s);
    }
}

static void test_llm__a_conversation_too_long_is_shortened(void **state)
{
    struct stand *s = stand_up();
    struct llm *m = open_llm(s, "openai", "key");
    struct answer a = { 0 };
    static const struct llm_events ev = { on_text, on_call, on_done, on_broke_off, on_failed };
    static const char text[] = "[{\"role\":\"system\",\"content\":\"Be kind.\"},"
                               "{\"role\":\"user\",\"content\":\"I like green pears\"},"
                               "{\"role\":\"assistant\",\"content\":\"Good.\"},"
                               "{\"role\":\"user\",\"content\":\"I like red apples\"}]";
    struct pat_json *messages;
    struct llm_req req = { .temperature = -1 };

    (void)state;
    stand_control(s, "openai",
                  "{\"fail\":{\"status\":400,\"times\":1,\"code\":\"context_length_exceeded\"}}");
    assert_int_equal(pat_json_parse(&messages, text, strlen(text), NULL), PAT_OK);
    req.messages = messages;
    assert_int_equal(llm_start(&a.run, m, &req, &ev, &a), PAT_OK);
    pat_json_free(messages);
    stand_wait(s, &a.done, 5000);
    assert_int_equal(a.err, PAT_OK);
    assert_non_null(strstr(a.text, "red apples"));
    close_llm(m);
    stand_down(s);
}

static void test_llm__the_faster_of_two_answers(void **state)
{
    struct stand *s = stand_up();
    struct llm *m = open_hedging(s, "openai,openai-2", "key", 100);
    struct answer a = { 0 }, b = { 0 };

    (void)state;
    stand_control(s, "openai", "{\"latency_ms\":60000}");
    start(m, &a, "I like red apples", NULL, NULL);
    stand_wait(s, &a.done, 5000);
    assert_int_equal(a.err, PAT_OK);
    assert_string_equal(a.provider, "openai-2");
    assert_string_equal(a.failures, "");
    stand_control(s, "openai", "{\"latency_ms\":0}");
    stand_control(s, "openai2", "{\"latency_ms\":60000}");
    start(m, &b, "I like red apples", NULL, NULL);
    stand_wait(s, &b.done, 5000);
    assert_string_equal(b.provider, "openai");
    close_llm(m);
    stand_down(s);
}

static void test_llm__without_anybody_it_says_so_soon(void **state)
{
    struct stand *s = stand_up();
    struct answer key = { 0 }, quota = { 0 };

    (void)state;
    ask(s, "openai:gpt-4o-mini,openai:gpt-6-luna", "bad", &key, NULL);
    assert_int_equal(key.err, PAT_EAUTH);
    assert_string_equal(key.failures, "openai auth>;"); /* one knock, no storm */
    stand_control(s, "openai",
                  "{\"fail\":{\"status\":429,\"times\":1,\"type\":"
                  "\"insufficient_quota\"}}");
    ask(s, "openai:gpt-4o-mini,openai:gpt-6-luna", "key", &quota, NULL);
    assert_int_equal(quota.err, PAT_EUPSTREAM);
    stand_down(s);
}

static void test_llm__leaves_out_a_model_that_keeps_failing(void **state)
{
    struct stand *s = stand_up();
    struct llm *m = open_llm(s, "openai:gpt-4.1-nano,openai:gpt-4o-mini", "key");

    (void)state;
    for (int i = 0; i < 5; i++) {
        struct answer a = { 0 };

        start(m, &a, "hello", NULL, NULL);
        stand_wait(s, &a.done, 5000);
        assert_string_equal(a.model, "gpt-4o-mini");
    }
    close_llm(m);
    stand_down(s);
}

static void test_llm__a_wished_model_comes_first(void **state)
{
    struct stand *s = stand_up();
    struct llm *m = open_llm(s, "openai:gpt-4o-mini", "key");
    struct answer a = { 0 }, b = { 0 };

    (void)state;
    start(m, &a, "hello", NULL, "gpt-6-luna");
    stand_wait(s, &a.done, 5000);
    assert_string_equal(a.model, "gpt-6-luna");
    start(m, &b, "hello", NULL, "no-such-model");
    stand_wait(s, &b.done, 5000);
    assert_string_equal(b.model, "gpt-4o-mini");
    close_llm(m);
    stand_down(s);
}

static void test_llm__canceled_is_silent(void **state)
{
    struct stand *s = stand_up();
    struct llm *m = open_llm(s, "openai:gpt-4o-mini", "key");
    struct answer inside = { .cancel_at_first = true }, outside = { 0 }, freed = { 0 };

    (void)state;
    start(m, &inside, "hello", NULL, NULL);
    stand_wait(s, &inside.first, 5000);
    start(m, &outside, "hello", NULL, NULL);
    llm_cancel(outside.run);
    stand_pass(s, 200);
    assert_false(inside.done || outside.done || outside.first);
    start(m, &freed, "hello", NULL, NULL);
    close_llm(m);
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
        cmocka_unit_test(test_llm__an_answer_that_breaks_off_is_continued_and_nothing_said_twice),
        cmocka_unit_test(test_llm__an_answer_that_drips_is_continued_by_another),
        cmocka_unit_test(test_llm__goes_to_another_account_where_the_first_one_is_of_no_use),
        cmocka_unit_test(test_llm__a_conversation_too_long_is_shortened),
        cmocka_unit_test(test_llm__the_faster_of_two_answers),
        cmocka_unit_test(test_llm__without_anybody_it_says_so_soon),
        cmocka_unit_test(test_llm__leaves_out_a_model_that_keeps_failing),
        cmocka_unit_test(test_llm__a_wished_model_comes_first),
        cmocka_unit_test(test_llm__canceled_is_silent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
