/* document_test.c - the answers a carrier gets. */
#include "document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct router_conf conf = {
    .public_url = "https://voice.example.com",
    .call_secret = "secret",
    .livekit_sip_host = "abc.sip.livekit.cloud",
    .livekit_sip_transport = "tls",
    .livekit_sip_username = "pat",
    .livekit_sip_password = "p&\"<w",
    .retell_sip_host = "sip.retellai.com",
    .retell_sip_transport = "tcp",
    .say_voice = "",
    .dial_timeout_s = 20,
    .max_call_s = 14400,
    .voicemail_max_s = 120,
};

static struct callref ref_on(enum stack stack)
{
    return (struct callref){ .call = { "019ab000-0000-7000-8000-000000000001" },
                             .user = "3f1d2c4b-0000-4000-8000-000000000001",
                             .agent_config = "3f1d2c4b-0000-4000-8000-00000000000a",
                             .retell_call = "call_5d0c",
                             .config_version = 7,
                             .stack = stack };
}

static void test_sip_uri__retell_dials_the_id_it_registered(void **state)
{
    struct callref ref = ref_on(STACK_RETELL);
    struct pat_buf out;

    (void)state;
    pat_buf_init(&out, 1024);
    assert_int_equal(document_sip_uri(&out, &conf, &ref), PAT_OK);
    assert_string_equal(out.data, "sip:call_5d0c@sip.retellai.com;transport=tcp");
    pat_buf_fini(&out);
}

static void test_sip_uri__livekit_carries_the_signed_context(void **state)
{
    struct callref ref = ref_on(STACK_LIVEKIT);
    struct pat_buf out;
    const char *sig;

    (void)state;
    pat_buf_init(&out, 1024);
    assert_int_equal(document_sip_uri(&out, &conf, &ref), PAT_OK);
    assert_non_null(strstr(
        out.data,
        "sip:019ab000-0000-7000-8000-000000000001@abc.sip.livekit.cloud;transport=tls?X-Pat-Call=019ab000-"));
    assert_non_null(strstr(out.data, "&X-Pat-Version=7&X-Pat-Sig="));
    sig = strstr(out.data, "X-Pat-Sig=") + strlen("X-Pat-Sig=");
    assert_int_equal(
        pat_sign_short_verify(
            sig, conf.call_secret, "sip",
            "019ab000-0000-7000-8000-000000000001|3f1d2c4b-0000-4000-8000-000000000001|"
            "3f1d2c4b-0000-4000-8000-00000000000a|7"),
        PAT_OK);
    pat_buf_fini(&out);
}

/* An unescaped & in an attribute makes the carrier drop the call. */
static void test_cxml__escapes_addresses_and_passwords(void **state)
{
    struct callref ref = ref_on(STACK_LIVEKIT);
    struct dial dial = { &conf, &ref, "https://voice.example.com/v1/signalwire/dial/x?t=a&u=b",
                         NULL, NULL };
    struct pat_buf out;

    (void)state;
    pat_buf_init(&out, DOCUMENT_MAX);
    assert_int_equal(cxml_dial(&out, &dial, "sip:x@h;transport=tls?A=1&B=<2>"), PAT_OK);
    assert_non_null(
        strstr(out.data, "action=\"https://voice.example.com/v1/signalwire/dial/x?t=a&amp;u=b\""));
    assert_non_null(strstr(out.data, "password=\"p&amp;&quot;&lt;w\""));
    assert_non_null(
        strstr(out.data, ">sip:x@h;transport=tls?A=1&amp;B=&lt;2&gt;</Sip></Dial></Response>"));
    pat_buf_fini(&out);
}

static void test_cxml__credentials_go_to_livekit_only(void **state)
{
    struct callref ref = ref_on(STACK_RETELL);
    struct dial dial = { &conf, &ref, "https://voice.example.com/d", NULL, "+15550100007" };
    struct pat_buf out;

    (void)state;
    pat_buf_init(&out, DOCUMENT_MAX);
    assert_int_equal(cxml_dial(&out, &dial, "sip:call_5d0c@sip.retellai.com;transport=tcp"),
                     PAT_OK);
    assert_null(strstr(out.data, "password"));
    assert_non_null(strstr(out.data, "answerOnBridge=\"true\" timeout=\"20\" timeLimit=\"14400\""
                                     " callerId=\"+15550100007\""));
    pat_buf_fini(&out);
}

static void test_cxml__voicemail_never_loops(void **state)
{
    struct voicemail_doc v = { .text = "Speak.",
                               .action_url = "https://voice.example.com/r",
                               .next_url = "https://voice.example.com/n?t=1" };
    struct pat_buf out;

    (void)state;
    pat_buf_init(&out, DOCUMENT_MAX);
    assert_int_equal(cxml_voicemail(&out, &conf, &v), PAT_OK);
    assert_non_null(
        strstr(out.data,
               "<Record action=\"https://voice.example.com/r\" method=\"POST\" maxLength=\"120\""));
    assert_non_null(strstr(out.data, "/><Redirect method=\"POST\">https://voice.example.com/n?t=1"
                                     "</Redirect></Response>"));
    pat_buf_fini(&out);
}

static void test_swml__after_a_message_it_is_asked_how_to_go_on(void **state)
{
    struct voicemail_doc v = { .text = "Speak.",
                               .action_url = "https://voice.example.com/r",
                               .next_url = "https://voice.example.com/n" };
    PAT_AUTO_JSON doc = NULL;
    PAT_AUTO_JSON last = NULL;
    struct pat_buf out;

    (void)state;
    pat_buf_init(&out, DOCUMENT_MAX);
    assert_int_equal(swml_voicemail(&out, &conf, &v), PAT_OK);
    assert_int_equal(pat_json_parse(&doc, out.data, out.len, NULL), PAT_OK);
    assert_string_equal(pat_json_str_or(doc, "sections.main[2].record.status_url", ""),
                        v.action_url);
    assert_string_equal(pat_json_str_or(doc, "sections.main[3].transfer.dest", ""), v.next_url);
    pat_buf_fini(&out);
    v.next_url = NULL;
    pat_buf_init(&out, DOCUMENT_MAX);
    assert_int_equal(swml_voicemail(&out, &conf, &v), PAT_OK);
    assert_int_equal(pat_json_parse(&last, out.data, out.len, NULL), PAT_OK);
    assert_non_null(pat_json_at(last, "sections.main[3].hangup"));
    pat_buf_fini(&out);
}

static void test_swml__is_json_with_headers_apart(void **state)
{
    struct callref ref = ref_on(STACK_LIVEKIT);
    struct dial dial = { &conf, &ref, "https://voice.example.com/d?t=1", NULL, NULL };
    PAT_AUTO_JSON doc = NULL;
    struct pat_buf out;

    (void)state;
    pat_buf_init(&out, DOCUMENT_MAX);
    assert_int_equal(swml_dial(&out, &dial, "sip:x@h;transport=tls?X-A=1&X-B=2"), PAT_OK);
    assert_int_equal(pat_json_parse(&doc, out.data, out.len, NULL), PAT_OK);
    assert_string_equal(pat_json_str_or(doc, "version", ""), "1.0.0");
    assert_string_equal(pat_json_str_or(doc, "sections.main[0].connect.to", ""),
                        "sip:x@h;transport=tls");
    assert_string_equal(pat_json_str_or(doc, "sections.main[0].connect.headers[0].name", ""),
                        "X-A");
    assert_string_equal(pat_json_str_or(doc, "sections.main[0].connect.headers[1].value", ""), "2");
    assert_string_equal(pat_json_str_or(doc, "sections.main[1].transfer.dest", ""),
                        "https://voice.example.com/d?t=1");
    pat_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sip_uri__retell_dials_the_id_it_registered),
        cmocka_unit_test(test_sip_uri__livekit_carries_the_signed_context),
        cmocka_unit_test(test_cxml__escapes_addresses_and_passwords),
        cmocka_unit_test(test_cxml__credentials_go_to_livekit_only),
        cmocka_unit_test(test_cxml__voicemail_never_loops),
        cmocka_unit_test(test_swml__is_json_with_headers_apart),
        cmocka_unit_test(test_swml__after_a_message_it_is_asked_how_to_go_on),
    };

    return cmocka_run_group_tests_name("document", tests, NULL, NULL);
}
