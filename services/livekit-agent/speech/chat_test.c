/* chat_test.c - requests per model family, and answers as real servers send them. */
#include "chat.h"

#include "test/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void on_text(const char *delta, size_t len, void *arg)
{
    assert_int_equal(pat_buf_add(arg, delta, len), PAT_OK);
}

static void on_text_or_not(const char *delta, size_t len, void *arg)
{
    (void)!pat_buf_add(arg, delta, len); /* its error sticks */
}

/* Events separated by line ends. */
static int read_all(struct chat *c, const char *events, struct pat_buf *text)
{
    int err = PAT_OK;

    chat_init(c);
    while (*events && !err) {
        size_t len = strcspn(events, "\n");

        err = chat_event(c, events, len, on_text, text);
        events += len + (events[len] == '\n');
    }
    return err ? err : chat_end(c);
}

static void test_chat__reads_what_servers_send(void **state)
{
    static const struct {
        const char *why, *events;
        int err;
        const char *text, *finish, *calls; /* "id:name:args;" */
    } rows[] = {
        { "OpenAI",
          "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n"
          "{\"choices\":[{\"delta\":{\"content\":\"Hi\"}}],\"obfuscation\":\"x\"}\n"
          "{\"choices\":[{\"delta\":{\"content\":\" you\"}}]}\n"
          "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n[DONE]",
          PAT_OK, "Hi you", "stop", "" },
        { "no DONE",
          "{\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"length\"}]}", PAT_OK,
          "Hi", "length", "" },
        { "no finish_reason", "{\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n[DONE]", PAT_OK,
          "Hi", "stop", "" },
        { "cut", "{\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}", PAT_ECONN, "Hi", "", "" },
        { "empty and broken chunks",
          "{\"choices\":[],\"prompt_filter_results\":[]}\nping\n{}\n[1]\n"
          "{\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}",
          PAT_OK, "Hi", "stop", "" },
        { "reasoning is not spoken",
          "{\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\",\"content\":null}}]}\n[DONE]",
          PAT_OK, "", "stop", "" },
        { "two calls in parallel",
          "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":"
          "\"f\",\"arguments\":\"\"}}]}}]}\n"
          "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"function\":{\"name\":"
          "\"g\",\"arguments\":\"{\"}}]}}]}\n"
          "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":"
          "\"{\\\"x\\\":1}\"}},{\"index\":1,\"function\":{\"arguments\":\"}\"}}]}}]}\n"
          "{\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}",
          PAT_OK, "", "tool_calls", "a:f:{\"x\":1};b:g:{};" },
        { "no index, id repeated, says stop",
          "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\","
          "\"arguments\":\"{\\\"x\\\":\"}}]}}]}\n"
          "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"arguments\":"
          "\"2}\"}}]}}]}\n"
          "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"b\",\"function\":{\"name\":\"g\","
          "\"arguments\":\"{}\"}}]},\"finish_reason\":\"stop\"}]}",
          PAT_OK, "", "tool_calls", "a:f:{\"x\":2};b:g:{};" },
        { "arguments as an object, no id",
          "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{"
          "\"x\":1}}}]},\"finish_reason\":\"tool_calls\"}]}",
          PAT_OK, "", "tool_calls", "call_0:f:{\"x\":1};" },
        { "no arguments at all",
          "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":"
          "\"f\"}}]},\"finish_reason\":\"tool_calls\"}]}",
          PAT_OK, "", "tool_calls", "a:f:{};" },
        { "arguments cut short",
          "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":"
          "\"f\",\"arguments\":\"{\\\"x\"}}]},\"finish_reason\":\"tool_calls\"}]}",
          PAT_EPROTO, "", "tool_calls", "a:f:{\"x;" },
        { "error inside the stream",
          "{\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n{\"error\":{\"message\":\"overloaded\"}}",
          PAT_EUPSTREAM, "Hi", "", "" },
        { "error as text", "{\"error\":\"no\"}", PAT_EUPSTREAM, "", "", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct chat c;
        struct pat_buf text, calls;

        pat_buf_init(&text, 1000);
        pat_buf_init(&calls, 1000);
        pat_buf_adds(&text, "");
        pat_buf_adds(&calls, "");
        print_message("%s\n", rows[i].why);
        assert_int_equal(read_all(&c, rows[i].events, &text), rows[i].err);
        for (size_t k = 0; k < c.n_calls; k++)
            pat_buf_addf(&calls, "%s:%s:%s;", c.calls[k].id, c.calls[k].name, c.calls[k].args.data);
        assert_string_equal(text.data ? text.data : "", rows[i].text);
        assert_string_equal(c.finish, rows[i].finish);
        assert_string_equal(calls.data ? calls.data : "", rows[i].calls);
        chat_fini(&c);
        pat_buf_fini(&text);
        pat_buf_fini(&calls);
    }
}

static void test_chat__counts_usage_wherever_it_comes(void **state)
{
    struct chat c;
    struct pat_buf text;

    (void)state;
    pat_buf_init(&text, 100);
    assert_int_equal(read_all(&c,
                              "{\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n"
                              "{\"choices\":[],\"usage\":{\"prompt_tokens\":812,"
                              "\"completion_tokens\":9,\"prompt_tokens_details\":{"
                              "\"cached_tokens\":768}}}\n[DONE]",
                              &text),
                     PAT_OK);
    assert_int_equal(c.usage.prompt_tokens, 812);
    assert_int_equal(c.usage.cached_tokens, 768);
    assert_int_equal(c.usage.completion_tokens, 9);
    chat_fini(&c);
    pat_buf_fini(&text);
}

static void test_chat__refuses_a_flood_of_calls(void **state)
{
    struct chat c;
    char event[200];
    int err = PAT_OK;

    (void)state;
    chat_init(&c);
    for (int i = 0; i < 100 && !err; i++) {
        snprintf(event, sizeof event,
                 "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%d,\"id\":\"a\"}]}}]}", i);
        err = chat_event(&c, event, strlen(event), on_text, NULL);
    }
    assert_int_equal(err, PAT_E2BIG);
    chat_fini(&c);
}

static void test_chat__asks_each_model_what_it_takes(void **state)
{
    static const struct {
        const char *model, *has[4], *lacks[4];
    } rows[] = {
        { "gpt-4o-mini",
          { "\"max_completion_tokens\":50", "\"temperature\":0.5", "\"prompt_cache_key\":\"k\"",
            "\"include_obfuscation\":false" },
          { "reasoning_effort", "max_tokens\"" } },
        { "gpt-6-luna",
          { "\"reasoning_effort\":\"none\"", "\"max_completion_tokens\":50" },
          { "temperature", "max_tokens\"" } },
        { "gpt-5-mini", { "\"reasoning_effort\":\"minimal\"" }, { "temperature" } },
        { "o4-mini", { "\"reasoning_effort\":\"low\"" }, { "temperature" } },
        { "openchat",
          { "\"max_tokens\":50", "\"temperature\":0.5" },
          { "prompt_cache_key", "include_obfuscation", "reasoning_effort" } },
        { "llama-3.3-70b", { "\"max_tokens\":50", "\"stream\":true" }, { "prompt_cache_key" } },
    };
    struct pat_json *messages = pat_json_arr();
    struct llm_req req = {
        .messages = messages, .temperature = 0.5, .max_tokens = 50, .cache_key = "k"
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pat_buf b;

        pat_buf_init(&b, 10000);
        assert_int_equal(chat_request(&b, &req, rows[i].model), PAT_OK);
        for (size_t k = 0; k < 4 && rows[i].has[k]; k++)
            assert_non_null(strstr(b.data, rows[i].has[k]));
        for (size_t k = 0; k < 4 && rows[i].lacks[k]; k++)
            assert_null(strstr(b.data, rows[i].lacks[k]));
        assert_null(strstr(b.data, "\"tools\""));
        pat_buf_fini(&b);
    }
    pat_json_free(messages);
}

static void test_chat__knows_what_a_refusal_means(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum provider_fault what;
        bool too_long;
    } rows[] = {
        { 404, "{\"error\":{\"code\":\"model_not_found\",\"message\":\"gone\"}}", FAULT_MODEL,
          false },
        { 429, "{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"x\"}}", FAULT_RATE,
          false },
        { 429, "{\"error\":{\"type\":\"insufficient_quota\",\"message\":\"x\"}}", FAULT_QUOTA,
          false },
        { 429, "{\"error\":{\"code\":\"project_spend_limit_exceeded\"}}", FAULT_QUOTA, false },
        { 400, "{\"error\":{\"code\":\"unsupported_parameter\"}}", FAULT_REQUEST, false },
        { 400, "{\"error\":{\"code\":\"context_length_exceeded\"}}", FAULT_REQUEST, true },
        { 400, "{\"error\":{\"code\":\"content_filter\"}}", FAULT_CONTENT, false },
        { 401, "{\"error\":{\"code\":\"invalid_api_key\"}}", FAULT_AUTH, false },
        { 503, "<html>busy</html>", FAULT_SERVER, false },
        { 500, "", FAULT_SERVER, false },
        { 422, "{\"detail\":\"no\"}", FAULT_REQUEST, false },
    };
    char why[20];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool too_long;

        assert_int_equal(chat_refusal(rows[i].status, rows[i].body, strlen(rows[i].body), &too_long,
                                      why, sizeof why),
                         rows[i].what);
        assert_int_equal(too_long, rows[i].too_long);
    }
    assert_string_equal(why, "no");
}

/* Any words that come are the right ones; a failure is told. */
static int answer_once(void *arg)
{
    struct llm_req req = { .temperature = 0.5, .max_tokens = 50, .cache_key = "k" };
    struct pat_json *messages = pat_json_arr();
    struct pat_buf text, request;
    struct chat c;
    int err = messages ? PAT_OK : PAT_ENOMEM;

    req.messages = messages;
    pat_buf_init(&text, 1000);
    pat_buf_init(&request, 10000);
    chat_init(&c);
    if (!err)
        err = chat_request(&request, &req, "gpt-6-luna");
    if (!err)
        err = chat_event(&c, arg, strlen(arg), on_text_or_not, &text);
    if (!err)
        err = text.err ? text.err : chat_end(&c);
    if (!err) {
        assert_string_equal(text.data, "Hi");
        assert_string_equal(c.calls[0].args.data, "{\"x\":1}");
    }
    chat_fini(&c);
    pat_buf_fini(&text);
    pat_buf_fini(&request);
    pat_json_free(messages);
    return err;
}

static void test_chat__survives_every_failed_allocation(void **state)
{
    char event[] = "{\"choices\":[{\"delta\":{\"content\":\"Hi\",\"tool_calls\":[{\"index\":0,"
                   "\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}}]},"
                   "\"finish_reason\":\"tool_calls\"}]}";

    (void)state;
    pat_test_alloc_walk(answer_once, event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chat__reads_what_servers_send),
        cmocka_unit_test(test_chat__counts_usage_wherever_it_comes),
        cmocka_unit_test(test_chat__refuses_a_flood_of_calls),
        cmocka_unit_test(test_chat__asks_each_model_what_it_takes),
        cmocka_unit_test(test_chat__knows_what_a_refusal_means),
        cmocka_unit_test(test_chat__survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
