/* context_test.c - contexts as they come from the router, from headers, and broken. */
#include "context.h"
#include "prompt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CALL  "01934d8e-5a00-7000-8000-0000000000aa"
#define USER  "11111111-1111-4111-8111-111111111111"
#define AGENT "22222222-2222-4222-8222-222222222222"
#define IDS   "\"call_id\":\"" CALL "\",\"user_id\":\"" USER "\",\"agent_config_id\":\"" AGENT "\""

static int parse(struct context **c, const char *text, struct pat_json_err *err)
{
    struct pat_json *j;
    int rc;

    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    rc = context_parse(c, j, err);
    pat_json_free(j);
    return rc;
}

static struct context *must(const char *text)
{
    struct context *c;

    assert_int_equal(parse(&c, text, NULL), PAT_OK);
    return c;
}

static void test_context__reads_the_routers_parameters(void **state)
{
    struct context *c = must(
        "{" IDS ",\"config_version\":7,\"from\":\"+15550001\",\"to\":null,\"settings\":{"
        "\"user_name\":\"Ada\",\"greeting_template\":\"Hi, {name} here. {name}!\","
        "\"system_prompt\":\"Be kind.\",\"language\":\"de-DE\",\"temperature\":0.3,\"max_tokens\":99,"
        "\"voice_id\":\"11labs-Kate\",\"agent_volume\":1.5,\"voice\":{\"stability\":0.25,"
        "\"use_speaker_boost\":false,\"voice_speed\":1.1,\"responsiveness\":0.5,"
        "\"interruption_sensitivity\":0,\"boosted_keywords\":[\"Patchbay\",\"\",3]}}}");

    (void)state;
    assert_string_equal(c->call_id, CALL);
    assert_int_equal(c->config_version, 7);
    assert_string_equal(c->from, "+15550001");
    assert_null(c->to);
    assert_string_equal(c->greeting, "Hi, Ada here. Ada!");
    assert_string_equal(c->language, "de-DE");
    assert_int_equal(c->max_tokens, 99);
    assert_true(c->temperature > 0.29 && c->temperature < 0.31);
    assert_true(c->volume > 1.4 && c->responsiveness < 0.6 && c->interruption_sensitivity == 0);
    assert_int_equal(c->speaker_boost, 0);
    assert_string_equal(c->keyterms[0], "Patchbay");
    assert_null(c->keyterms[1]);
    context_free(c);
}

/* A vendor that refuses a request costs the caller the answer: it gets only what it takes. */
static void test_context__settings_out_of_range_are_brought_into_it(void **state)
{
    static const char *const languages[] = {
        "", "x", "../..", "en US", "\\u00fc\\u00fc", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    };
    struct context *c = must("{" IDS ",\"settings\":{\"temperature\":99,\"max_tokens\":-5,"
                             "\"agent_volume\":-1,\"voice\":{\"stability\":50,"
                             "\"similarity_boost\":1.5,\"style\":-3,\"voice_speed\":9,"
                             "\"responsiveness\":7}}}");

    (void)state;
    assert_true(c->temperature == 2 && c->max_tokens == 0 && c->volume == 0);
    assert_true(c->stability == 1 && c->similarity == 1 && c->style == -1);
    assert_true(c->speed == 1.2 && c->responsiveness == 1);
    context_free(c);
    for (size_t i = 0; i < sizeof languages / sizeof languages[0]; i++) {
        char text[400];
        (void)snprintf(text, sizeof text, "{" IDS ",\"settings\":{\"language\":\"%s\"}}",
                       languages[i]);
        c = must(text);
        assert_string_equal(c->language, "en-US");
        context_free(c);
    }
}

/* Whatever was written into the row: with another user's clone nobody speaks. */
static void test_context__a_refused_voice_is_not_spoken_with(void **state)
{
    struct context *c = must("{" IDS ",\"settings\":{\"voice_id\":\"Zz1234567890abcdefgh\","
                             "\"voice\":{\"refused\":true}}}");
    struct voice v = context_voice(c);

    (void)state;
    assert_true(c->voice_refused && v.substitute);
    assert_string_not_equal(v.id, "Zz1234567890abcdefgh");
    assert_string_equal(c->unsupported, "voice_id");
    context_free(c);
    c = must("{" IDS ",\"settings\":{\"voice_id\":\"Zz1234567890abcdefgh\",\"voice\":{}}}");
    assert_false(c->voice_refused);
    assert_string_equal(context_voice(c).id, "Zz1234567890abcdefgh");
    context_free(c);
}

static void test_context__a_long_prompt_is_cut_between_characters(void **state)
{
    struct pat_buf b;
    struct context *c;

    (void)state;
    pat_buf_init(&b, 1 << 20);
    pat_buf_adds(&b, "{" IDS ",\"settings\":{\"system_prompt\":\"a");
    for (int i = 0; i < 70000; i++)
        pat_buf_adds(&b, "\xc3\xa9");
    pat_buf_adds(&b, "\"}}");
    c = must(b.data);
    assert_int_equal(strlen(c->system_prompt), 64 * 1024 - 1);
    assert_true(pat_utf8_valid(c->system_prompt, strlen(c->system_prompt)));
    context_free(c);
    pat_buf_fini(&b);
}

static void test_context__missing_settings_have_defaults(void **state)
{
    static const char *const texts[] = { "{" IDS "}", "{" IDS ",\"settings\":null}",
                                         "{" IDS ",\"settings\":{\"temperature\":\"hot\","
                                         "\"voice\":null,\"greeting_template\":7}}" };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct context *c = must(texts[i]);
        assert_string_equal(c->language, "en-US");
        assert_string_equal(c->greeting, "");
        assert_string_equal(c->system_prompt, "");
        assert_true(c->temperature < 0 && c->max_tokens == 0 && c->volume == 1);
        assert_int_equal(c->speaker_boost, -1);
        assert_null(c->from);
        context_free(c);
    }
}

static void test_context__names_the_id_that_is_wrong(void **state)
{
    static const struct {
        const char *text, *path;
    } rows[] = {
        { "{}", "call_id" },
        { "{\"call_id\":\"7\"}", "call_id" },
        { "{\"call_id\":\"" CALL "\"}", "user_id" },
        { "{\"call_id\":\"" CALL "\",\"user_id\":\"" USER "\",\"agent_config_id\":null}",
          "agent_config_id" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct context *c = NULL;
        struct pat_json_err err = { 0 };
        assert_int_equal(parse(&c, rows[i].text, &err), PAT_EINVAL);
        assert_string_equal(err.path, rows[i].path);
        assert_null(c);
    }
}

static void take_all(struct context_headers *h, const char *call, const char *sig)
{
    memset(h, 0, sizeof *h);
    assert_false(context_headers_take(h, "sip.h.x-pat-call", call));
    assert_false(context_headers_take(h, "sip.callStatus", "active"));
    assert_false(context_headers_take(h, "sip.h.x-pat-user", USER));
    assert_false(context_headers_take(h, "sip.h.x-pat-agent", AGENT));
    assert_false(context_headers_take(h, "sip.h.x-pat-version", "7"));
    assert_true(context_headers_take(h, "sip.h.x-pat-sig", sig));
}

static void test_context__believes_signed_headers_only(void **state)
{
    struct context_headers h;
    struct pat_buf sig;

    (void)state;
    pat_buf_init(&sig, 200);
    assert_int_equal(pat_sign_short(&sig, "secret", "sip", CALL "|" USER "|" AGENT "|7"), PAT_OK);
    take_all(&h, CALL, sig.data);
    assert_int_equal(context_headers_verify(&h, CALL, "secret"), PAT_OK);
    assert_int_equal(context_headers_verify(&h, CALL, "other"), PAT_EAUTH);
    assert_int_equal(context_headers_verify(&h, CALL, ""), PAT_EAUTH);
    assert_int_equal(context_headers_verify(&h, USER, "secret"), PAT_EAUTH); /* another room */
    pat_strcpy(h.version, sizeof h.version, "8");
    assert_int_equal(context_headers_verify(&h, CALL, "secret"), PAT_EAUTH);
    pat_buf_fini(&sig);
}

static void test_context__an_oversized_header_is_not_ours(void **state)
{
    struct context_headers h = { 0 };
    char big[300];

    (void)state;
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = 0;
    context_headers_take(&h, "sip.h.x-pat-user", big);
    assert_string_equal(h.user, "");
}

static void test_context__headers_and_settings_make_the_same_parameters(void **state)
{
    struct context_headers h;
    struct pat_json *settings, *params;
    struct context *c;
    const char *text = "{\"greeting_template\":\"Hi\"}";

    (void)state;
    take_all(&h, CALL, "x");
    assert_int_equal(pat_json_parse(&settings, text, strlen(text), NULL), PAT_OK);
    params = context_params(&h, settings);
    assert_int_equal(context_parse(&c, params, NULL), PAT_OK);
    assert_string_equal(c->greeting, "Hi");
    assert_int_equal(c->config_version, 7);
    context_free(c);
    pat_json_free(params);
}

static void test_context__finds_the_call_in_a_rooms_name(void **state)
{
    (void)state;
    assert_string_equal(context_call_of_room("call_" CALL), CALL);
    assert_null(context_call_of_room("call_7"));
    assert_null(context_call_of_room(CALL));
    assert_null(context_call_of_room(""));
}

static void test_prompt__keeps_the_users_words_first(void **state)
{
    struct context *c = must("{" IDS ",\"settings\":{\"system_prompt\":\"Sell tea.\","
                             "\"response_style\":\"friendly\",\"greeting\":\"Hi\"}}");
    char *p = prompt_system(c, 0);

    (void)state;
    assert_ptr_equal(strstr(p, "Sell tea."), p);
    assert_non_null(strstr(p, "warmly"));
    assert_non_null(strstr(p, "do not greet again"));
    assert_non_null(strstr(p, "withheld"));
    free(p);
    context_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context__reads_the_routers_parameters),
        cmocka_unit_test(test_context__settings_out_of_range_are_brought_into_it),
        cmocka_unit_test(test_context__a_refused_voice_is_not_spoken_with),
        cmocka_unit_test(test_context__a_long_prompt_is_cut_between_characters),
        cmocka_unit_test(test_context__missing_settings_have_defaults),
        cmocka_unit_test(test_context__names_the_id_that_is_wrong),
        cmocka_unit_test(test_context__believes_signed_headers_only),
        cmocka_unit_test(test_context__an_oversized_header_is_not_ours),
        cmocka_unit_test(test_context__headers_and_settings_make_the_same_parameters),
        cmocka_unit_test(test_context__finds_the_call_in_a_rooms_name),
        cmocka_unit_test(test_prompt__keeps_the_users_words_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
