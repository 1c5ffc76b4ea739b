/* transfer_test.c - a transfer as a signed token, and the documents that dial another phone. */
#include "document.h"
#include "transfer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "a secret of the router"
#define CALL   "019ab000-0000-7000-8000-000000000001"
#define OTHER  "019ab000-0000-7000-8000-000000000002"

static struct transfer sample(void)
{
    return (struct transfer){ .id = "019ab000-0000-7000-8000-0000000000aa",
                              .attempt = 2,
                              .how = TRANSFER_WHISPER,
                              .timeout_s = 25,
                              .to = "+15550142000",
                              .label = "sales",
                              .briefing = "Ärger & <eine> Rechnung" };
}

/* Without the "&x=" in front. */
static const char *write_token(struct pat_buf *out, const struct transfer *t)
{
    pat_buf_init(out, TRANSFER_TOKEN_MAX);
    assert_int_equal(transfer_token(out, SECRET, CALL, t), PAT_OK);
    return out->data + 3;
}

static void test_transfer__comes_back_as_it_was(void **state)
{
    struct transfer t = sample(), got;
    struct pat_buf b, again;
    const char *token = write_token(&b, &t);

    (void)state;
    assert_int_equal(transfer_parse(&got, SECRET, CALL, token), PAT_OK);
    assert_string_equal(write_token(&again, &got), token);
    assert_string_equal(got.briefing, t.briefing);
    pat_buf_fini(&b);
    pat_buf_fini(&again);
}

static void test_transfer__is_of_one_call_and_one_secret(void **state)
{
    struct transfer t = sample(), got;
    struct pat_buf b;
    const char *token = write_token(&b, &t);

    (void)state;
    assert_int_equal(transfer_parse(&got, SECRET, OTHER, token), PAT_EAUTH);
    assert_int_equal(transfer_parse(&got, "another", CALL, token), PAT_EAUTH);
    assert_int_equal(transfer_parse(&got, SECRET, CALL, ""), PAT_EAUTH);
    assert_int_equal(transfer_parse(&got, SECRET, CALL, "."), PAT_EAUTH);
    pat_buf_fini(&b);
}

static void test_transfer__every_altered_character_is_refused(void **state)
{
    struct transfer t = sample(), got;
    struct pat_buf b;
    char *token;

    (void)state;
    write_token(&b, &t);
    token = b.data + 3;
    for (size_t i = 0; token[i]; i++) {
        char was = token[i];

        token[i] = was == 'x' ? 'y' : 'x';
        assert_int_equal(transfer_parse(&got, SECRET, CALL, token), PAT_EAUTH);
        token[i] = was;
    }
    pat_buf_fini(&b);
}

static void test_transfer__lines_in_a_text_do_not_become_fields(void **state)
{
    struct transfer t = sample(), got;
    struct pat_buf b;

    (void)state;
    pat_strcpy(t.label, sizeof t.label, "sales\n+19005550000");
    pat_strcpy(t.briefing, sizeof t.briefing, "one\r\ntwo");
    assert_int_equal(transfer_parse(&got, SECRET, CALL, write_token(&b, &t)), PAT_OK);
    assert_string_equal(got.label, "sales +19005550000");
    assert_string_equal(got.briefing, "one  two");
    assert_string_equal(got.to, t.to);
    pat_buf_fini(&b);
}

static struct router_conf conf = { .max_call_s = 3600, .say_voice = (char *)"" };

static void test_document__dials_a_phone_with_everything_escaped(void **state)
{
    struct dial_phone d = { .conf = &conf,
                            .number = "+15550142000",
                            .caller_id = "+15550100001",
                            .timeout_s = 25,
                            .action_url = "https://r.example/a?t=1&x=2",
                            .status_url = "https://r.example/s?t=1&x=2" };
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, DOCUMENT_MAX);
    assert_int_equal(cxml_dial_phone(&b, &d), PAT_OK);
    assert_non_null(strstr(b.data, "callerId=\"+15550100001\""));
    assert_non_null(strstr(b.data, "action=\"https://r.example/a?t=1&amp;x=2\""));
    assert_non_null(strstr(b.data, "timeLimit=\"3600\""));
    assert_null(strstr(b.data, " url="));
    pat_buf_reset(&b);
    d.whisper_url = "https://r.example/w?t=1&x=2";
    assert_int_equal(cxml_dial_phone(&b, &d), PAT_OK);
    assert_non_null(strstr(b.data, " url=\"https://r.example/w?t=1&amp;x=2\""));
    pat_buf_fini(&b);
}

static void test_document__a_whisper_hangs_up_without_a_key(void **state)
{
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, DOCUMENT_MAX);
    assert_int_equal(cxml_whisper(&b, &conf, "It is </Say> about \"x\".", "https://r.example/y"),
                     PAT_OK);
    assert_non_null(strstr(b.data, "It is &lt;/Say&gt; about"));
    assert_non_null(strstr(b.data, "</Gather><Hangup"));
    pat_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transfer__comes_back_as_it_was),
        cmocka_unit_test(test_transfer__is_of_one_call_and_one_secret),
        cmocka_unit_test(test_transfer__every_altered_character_is_refused),
        cmocka_unit_test(test_transfer__lines_in_a_text_do_not_become_fields),
        cmocka_unit_test(test_document__dials_a_phone_with_everything_escaped),
        cmocka_unit_test(test_document__a_whisper_hangs_up_without_a_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
