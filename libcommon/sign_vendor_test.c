/* sign_vendor_test.c - the signatures of Retell, ElevenLabs and SignalWire, and our own, and
 * everything almost like them. */
#include "test/cmocka.h"

#include "sign.h"
#include "test/alloc.h"

#include <stdlib.h>
#include <string.h>

/* --- Retell --- */

static const char retell_key[] = "key_test_0123456789abcdef";
static const char retell_body[] = "{\"event\":\"call_ended\",\"call\":{\"call_id\":\"call_abc\"}}";
#define RETELL_D "3963875ab2124db9f94da524f9bcf94d507fd9e93469841c64915d157655bc98"

static void test_retell__signs_the_body_and_the_time(void **state)
{
    struct pat_buf out;

    (void)state;
    pat_buf_init(&out, 200);
    assert_int_equal(
        pat_sign_retell(&out, retell_key, retell_body, strlen(retell_body), 1764000000000), PAT_OK);
    assert_string_equal(out.data, "v=1764000000000,d=" RETELL_D);
    assert_int_equal(pat_sign_retell(&out, "", retell_body, 1, 1), PAT_EINVAL);
    pat_buf_fini(&out);
}

static void test_retell__verifies_within_five_minutes(void **state)
{
    static const struct {
        const char *header;
        int64_t now_ms;
        int err;
    } rows[] = {
        { "v=1764000000000,d=" RETELL_D, 1764000000000, PAT_OK },
        { "v=1764000000000,d=" RETELL_D, 1764000300000, PAT_OK },
        { "v=1764000000000,d=" RETELL_D, 1764000300001, PAT_ESTALE },
        { "v=1764000000000,d=" RETELL_D, 1763999700000, PAT_OK },
        { "v=1764000000000,d=" RETELL_D, 1763999699999, PAT_ESTALE },
        { "v=1764000000000,d=3963875AB2124DB9F94DA524F9BCF94D507FD9E93469841C64915D157655BC98",
          1764000000000, PAT_OK },
        { "v=1764000000001,d=" RETELL_D, 1764000000000, PAT_EAUTH },
        { "v=01764000000000,d=" RETELL_D, 1764000000000, PAT_OK }, /* the same number */
        { "v=-1764000000000,d=" RETELL_D, 1764000000000, PAT_EAUTH },
        { "v=99999999999999999999,d=" RETELL_D, 1764000000000, PAT_EAUTH },
        { "v=1764000000000,d=" RETELL_D "00", 1764000000000, PAT_EAUTH },
        { "v=1764000000000,d=3963", 1764000000000, PAT_EAUTH },
        { "v=1764000000000,d=", 1764000000000, PAT_EAUTH },
        { "v=1764000000000, d=" RETELL_D, 1764000000000, PAT_EAUTH },
        { "d=" RETELL_D ",v=1764000000000", 1764000000000, PAT_EAUTH },
        { "v=,d=" RETELL_D, 1764000000000, PAT_EAUTH },
        { RETELL_D, 1764000000000, PAT_EAUTH },
        { "", 1764000000000, PAT_EAUTH },
        { NULL, 1764000000000, PAT_EAUTH },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++)
        if (pat_sign_retell_verify(rows[i].header, retell_key, retell_body, strlen(retell_body),
                                   rows[i].now_ms) != rows[i].err)
            fail_msg("%s", rows[i].header);
}

static void test_retell__refuses_another_body_key_or_none(void **state)
{
    static const char header[] = "v=1764000000000,d=" RETELL_D;

    (void)state;
    assert_int_equal(pat_sign_retell_verify(header, retell_key, retell_body, 3, 1764000000000),
                     PAT_EAUTH);
    assert_int_equal(pat_sign_retell_verify(header, "key_test_0123456789abcdeg", retell_body,
                                            strlen(retell_body), 1764000000000),
                     PAT_EAUTH);
    assert_int_equal(
        pat_sign_retell_verify(header, "", retell_body, strlen(retell_body), 1764000000000),
        PAT_EAUTH);
}

static void test_retell__one_of_several_keys_has_signed(void **state)
{
    static const char header[] = "v=1764000000000,d=" RETELL_D;
    static const struct {
        const char *keys;
        int err;
    } rows[] = {
        { "key_new,key_test_0123456789abcdef", PAT_OK },
        { "key_test_0123456789abcdef,key_old", PAT_OK },
        { " key_new , key_test_0123456789abcdef ", PAT_OK },
        { "key_new,key_old", PAT_EAUTH },
        { ",", PAT_EAUTH },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++)
        if (pat_sign_retell_verify(header, rows[i].keys, retell_body, strlen(retell_body),
                                   1764000000000) != rows[i].err)
            fail_msg("%s", rows[i].keys);
}

/* --- ElevenLabs: made with elevenlabs-python's rule --- */

#define ELEVEN_OTHER "00000000000000000000000000000000000000000000000000000000000000ff"
#define ELEVEN_D     "d9b0003525b9806e04950c811e9724585a71877ad018c24370868b20cb118cf2"

static void test_elevenlabs__verifies_within_half_an_hour(void **state)
{
    static const char body[] = "{\"type\":\"voice_removed\"}";
    static const struct {
        const char *header;
        int64_t now_s;
        int err;
    } rows[] = {
        { "t=1764000000,v0=" ELEVEN_D, 1764000000, PAT_OK },
        { "v0=" ELEVEN_D ",t=1764000000", 1764000000, PAT_OK },
        { "t=1764000000,v1=xx,v0=" ELEVEN_D, 1764000000, PAT_OK },
        { "t=1764000000, v0=" ELEVEN_D, 1764000000, PAT_OK },
        { "t=1764000000,v0=" ELEVEN_OTHER ",v0=" ELEVEN_D, 1764000000, PAT_OK },
        { "t=1764000000,v0=" ELEVEN_D ",v0=" ELEVEN_OTHER, 1764000000, PAT_OK },
        { "t=1764000000,v0=" ELEVEN_OTHER ",v0=" ELEVEN_OTHER, 1764000000, PAT_EAUTH },
        { "t=1764000000,v0=" ELEVEN_D, 1764001800, PAT_OK },
        { "t=1764000000,v0=" ELEVEN_D, 1764001801, PAT_ESTALE },
        { "t=1764000000,v0=" ELEVEN_D, 1763998199, PAT_ESTALE },
        { "t=1764000001,v0=" ELEVEN_D, 1764000000, PAT_EAUTH },
        { "t=1764000000,v0=" ELEVEN_D "00", 1764000000, PAT_EAUTH },
        { "t=1764000000,v0=", 1764000000, PAT_EAUTH },
        { "t=1764000000 ,v0=" ELEVEN_D, 1764000000, PAT_EAUTH },
        { "t=,v0=" ELEVEN_D, 1764000000, PAT_EAUTH },
        { "t=99999999999999999999,v0=" ELEVEN_D, 1764000000, PAT_EAUTH },
        { "v0=" ELEVEN_D, 1764000000, PAT_EAUTH },
        { "t=1764000000", 1764000000, PAT_EAUTH },
        { ",,,", 1764000000, PAT_EAUTH },
        { "", 1764000000, PAT_EAUTH },
        { NULL, 1764000000, PAT_EAUTH },
    };
    struct pat_buf out;

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++)
        assert_int_equal(pat_sign_elevenlabs_verify(rows[i].header, "wsec_test", body, strlen(body),
                                                    rows[i].now_s),
                         rows[i].err);
    assert_int_equal(
        pat_sign_elevenlabs_verify(rows[0].header, "wsec_tesu", body, strlen(body), 1764000000),
        PAT_EAUTH);
    assert_int_equal(pat_sign_elevenlabs_verify(rows[0].header, "", body, strlen(body), 1764000000),
                     PAT_EAUTH);
    assert_int_equal(
        pat_sign_elevenlabs_verify(rows[0].header, "wsec_test", body, strlen(body) - 1, 1764000000),
        PAT_EAUTH);
    pat_buf_init(&out, 200);
    assert_int_equal(pat_sign_elevenlabs(&out, "wsec_test", body, strlen(body), 1764000000),
                     PAT_OK);
    assert_string_equal(out.data, rows[0].header);
    assert_int_equal(pat_sign_elevenlabs(&out, "", body, 1, 1), PAT_EINVAL);
    pat_buf_fini(&out);
}

/* --- SignalWire --- */

#define SW_KEY    "PSK_testkey123"
#define SW_URL    "https://voice.example.com/sw/swml?tenant=7"
#define SW_BODY   "{\"call\":{\"call_id\":\"c1\"}}"
#define SW_SHA1   "bd9b95d422c23b08e7d63a1862122d7d4ba10902"
#define SW_SHA256 "797e4929cd6e10abe3ac64f383457db37fb810eaf7bf43972909d11ffc6efafe"

static void test_signalwire__json_verifies_every_form_of_the_url(void **state)
{
    static const struct {
        const char *signature;
        const char *keys;
        const char *url;
        int err;
    } rows[] = {
        { SW_SHA1, SW_KEY, SW_URL, PAT_OK },
        { SW_SHA256, SW_KEY, SW_URL, PAT_OK },
        { SW_SHA1, "PSK_old," SW_KEY, SW_URL, PAT_OK },
        { SW_SHA1, " " SW_KEY " , PSK_new", SW_URL, PAT_OK },
        { SW_SHA1, SW_KEY, "https://voice.example.com:443/sw/swml?tenant=7", PAT_OK },
        { SW_SHA1, SW_KEY, SW_URL "#ot=3000&rt=4000", PAT_OK },
        { SW_SHA1, SW_KEY, "https://u:p@voice.example.com/sw/swml?tenant=7", PAT_OK },
        { SW_SHA1, SW_KEY, "https://u:p@voice.example.com:443/sw/swml?tenant=7#x", PAT_OK },
        { SW_SHA1, SW_KEY, "https://voice.example.com:8443/sw/swml?tenant=7", PAT_EAUTH },
        { SW_SHA1, SW_KEY, "https://voice.example.com:80/sw/swml?tenant=7", PAT_EAUTH },
        { SW_SHA1, SW_KEY, "http://voice.example.com/sw/swml?tenant=7", PAT_EAUTH },
        { SW_SHA1, SW_KEY, "https://voice.example.com/sw/swml", PAT_EAUTH },
        { SW_SHA1, SW_KEY, "voice.example.com", PAT_EAUTH },
        { SW_SHA1, "PSK_old,PSK_new", SW_URL, PAT_EAUTH },
        { SW_SHA1, "", SW_URL, PAT_EAUTH },
        { SW_SHA1, ",, ,", SW_URL, PAT_EAUTH },
        { SW_SHA1, NULL, SW_URL, PAT_EAUTH },
        { "bd9b95d422c23b08e7d63a1862122d7d4ba10903", SW_KEY, SW_URL, PAT_EAUTH },
        { "bd9b95d4", SW_KEY, SW_URL, PAT_EAUTH },
        { SW_SHA256 "00", SW_KEY, SW_URL, PAT_EAUTH },
        { "", SW_KEY, SW_URL, PAT_EAUTH },
        { NULL, SW_KEY, SW_URL, PAT_EAUTH },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++)
        if (pat_sign_signalwire_json_verify(rows[i].signature, rows[i].keys, rows[i].url, SW_BODY,
                                            strlen(SW_BODY)) != rows[i].err)
            fail_msg("row %zu", i);
    assert_int_equal(
        pat_sign_signalwire_json_verify(SW_SHA1, SW_KEY, SW_URL, SW_BODY " ", strlen(SW_BODY) + 1),
        PAT_EAUTH);
}

static void test_signalwire__json_signed_with_the_port_fragment_or_user(void **state)
{
    static const struct {
        const char *signed_url;
        const char *our_url;
        int err;
    } rows[] = {
        { "https://a.example:443/x", "https://a.example/x", PAT_OK },
        { "http://a.example:80/x", "http://a.example/x", PAT_OK },
        { "http://[::1]:80/x", "http://[::1]/x", PAT_OK },
        { "https://a.example/x#ot=1", "https://a.example/x#ot=1", PAT_OK },
        { "https://a.example:443", "https://a.example", PAT_OK },
        { "https://u:p@a.example/x", "https://u:p@a.example/x", PAT_OK },
        { "http://[::1]:8080/x", "http://[::1]:8080/x", PAT_OK },
        { "https://a.example:80/x", "https://a.example/x", PAT_EAUTH },
        { "https://a.example/x#other", "https://a.example/x#ot=1", PAT_EAUTH },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        struct pat_buf signature;

        pat_buf_init(&signature, 100);
        assert_int_equal(
            pat_sign_signalwire_json(&signature, SW_KEY, rows[i].signed_url, "{}", 2, i % 2),
            PAT_OK);
        assert_int_equal(
            pat_sign_signalwire_json_verify(signature.data, SW_KEY, rows[i].our_url, "{}", 2),
            rows[i].err);
        pat_buf_fini(&signature);
    }
}

#define FORM_URL "https://voice.example.com/sw/inbound"
#define FORM_SIG "XHrVkd4kt0nV9aIPEQIVi0KDfq4="

static const struct pat_param form[] = {
    { "CallSid", "11111111-2222-3333-4444-555555555555" },
    { "AccountSid", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee" },
    { "ApiVersion", "2010-04-01" },
    { "From", "+15550100001" },
    { "To", "+15550100002" },
    { "CallStatus", "ringing" },
    { "Direction", "inbound" },
};

static void test_signalwire__form_verifies_parameters_in_any_order(void **state)
{
    struct pat_param turned[PAT_COUNT(form)];

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(form); i++)
        turned[i] = form[PAT_COUNT(form) - 1 - i];
    assert_int_equal(
        pat_sign_signalwire_form_verify(FORM_SIG, "x," SW_KEY, FORM_URL, form, PAT_COUNT(form)),
        PAT_OK);
    assert_int_equal(pat_sign_signalwire_form_verify(FORM_SIG, SW_KEY, FORM_URL "#ot=1", turned,
                                                     PAT_COUNT(form)),
                     PAT_OK);
    turned[0].value = "outbound";
    assert_int_equal(
        pat_sign_signalwire_form_verify(FORM_SIG, SW_KEY, FORM_URL, turned, PAT_COUNT(form)),
        PAT_EAUTH);
    assert_int_equal(
        pat_sign_signalwire_form_verify(FORM_SIG, SW_KEY, FORM_URL, form, PAT_COUNT(form) - 1),
        PAT_EAUTH);
}

static void test_signalwire__form_refuses_broken_signatures(void **state)
{
    static const char *const rows[] = { "", "XHrVkd4kt0nV9aIPEQIVi0KDfq5=", "XHrV", "*", SW_SHA1 };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++)
        assert_int_equal(
            pat_sign_signalwire_form_verify(rows[i], SW_KEY, FORM_URL, form, PAT_COUNT(form)),
            PAT_EAUTH);
    assert_int_equal(pat_sign_signalwire_form_verify(NULL, SW_KEY, FORM_URL, form, PAT_COUNT(form)),
                     PAT_EAUTH);
    assert_int_equal(pat_sign_signalwire_form_verify(FORM_SIG, "", FORM_URL, form, PAT_COUNT(form)),
                     PAT_EAUTH);
}

static void assert_form_signs(const struct pat_param *params, size_t n, const char *text)
{
    struct pat_buf got;
    struct pat_buf want;
    uint8_t mac[20];

    pat_buf_init(&got, 100);
    pat_buf_init(&want, 100);
    assert_int_equal(pat_sign_signalwire_form(&got, "k", "http://h/", params, n), PAT_OK);
    pat_hmac_sha1("k", 1, text, strlen(text), mac);
    pat_base64(&want, mac, 20);
    assert_string_equal(got.data, want.data);
    assert_int_equal(pat_sign_signalwire_form_verify(got.data, "k", "http://h/", params, n),
                     PAT_OK);
    pat_buf_fini(&got);
    pat_buf_fini(&want);
}

static void test_signalwire__form_keeps_repeated_names_in_order(void **state)
{
    static const struct pat_param params[] = { { "b", "2" }, { "a", "z" }, { "b", "1" },
                                               { "B", "0" }, { "a", "" },  { "c", "" } };
    struct pat_param many[200];
    char names[200][4];
    char text[1000] = "http://h/";

    (void)state;
    assert_form_signs(params, PAT_COUNT(params), "http://h/B0azab2b1c");
    assert_form_signs(NULL, 0, "http://h/");
    for (size_t i = 0; i < PAT_COUNT(many); i++) { /* more than fit on the stack */
        names[i][0] = (char)('a' + (PAT_COUNT(many) - 1 - i) / 20);
        names[i][1] = (char)('a' + (PAT_COUNT(many) - 1 - i) % 20);
        names[i][2] = '\0';
        many[i] = (struct pat_param){ names[i], "" };
    }
    for (size_t i = PAT_COUNT(many); i-- > 0;)
        memcpy(text + strlen(text), names[i], 3);
    assert_form_signs(many, PAT_COUNT(many), text);
}

/* --- Ours --- */

static void test_short__is_22_characters_for_one_purpose(void **state)
{
    struct pat_buf out;

    (void)state;
    pat_buf_init(&out, 100);
    assert_int_equal(pat_sign_short(&out, "our secret", "callback", "call-1"), PAT_OK);
    assert_string_equal(out.data, "IL6ua5WdJs5fKUTe2xIeFg");
    assert_int_equal(pat_sign_short_verify(out.data, "our secret", "callback", "call-1"), PAT_OK);
    assert_int_equal(pat_sign_short_verify(out.data, "our secret", "callback", "call-2"),
                     PAT_EAUTH);
    assert_int_equal(pat_sign_short_verify(out.data, "our secret", "header", "call-1"), PAT_EAUTH);
    assert_int_equal(pat_sign_short_verify(out.data, "our secret", "callbackcall-1", ""),
                     PAT_EAUTH);
    assert_int_equal(pat_sign_short_verify(out.data, "other", "callback", "call-1"), PAT_EAUTH);
    assert_int_equal(
        pat_sign_short_verify("IL6ua5WdJs5fKUTe2xIeF", "our secret", "callback", "call-1"),
        PAT_EAUTH);
    assert_int_equal(pat_sign_short_verify("", "our secret", "callback", "call-1"), PAT_EAUTH);
    assert_int_equal(pat_sign_short_verify(NULL, "our secret", "callback", "call-1"), PAT_EAUTH);
    assert_int_equal(pat_sign_short_verify(out.data, "", "callback", "call-1"), PAT_EAUTH);
    assert_int_equal(pat_sign_short(&out, "", "callback", "call-1"), PAT_EINVAL);
    pat_buf_fini(&out);
}

static int verify_all(void *arg)
{
    int err = pat_sign_retell_verify("v=1764000000000,d=" RETELL_D, retell_key, retell_body,
                                     strlen(retell_body), 1764000000000);

    (void)arg;
    if (!err)
        err = pat_sign_signalwire_json_verify(SW_SHA1, SW_KEY, SW_URL, SW_BODY, strlen(SW_BODY));
    if (!err)
        err = pat_sign_signalwire_form_verify(FORM_SIG, SW_KEY, FORM_URL, form, PAT_COUNT(form));
    if (!err)
        err = pat_sign_short_verify("IL6ua5WdJs5fKUTe2xIeFg", "our secret", "callback", "call-1");
    return err;
}

static void test_signatures__survive_each_allocation_failing(void **state)
{
    (void)state;
    pat_test_alloc_walk(verify_all, NULL);
}

static void test_webhook__is_signed_as_the_standard_says(void **state)
{
    static const char body[] =
        "{\"type\":\"call.ended\",\"timestamp\":\"2025-11-24T16:00:00Z\",\"data\":{\"id\":\"c1\"}}";
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, 200);
    assert_int_equal(pat_sign_webhook(&b, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
                                      "msg_01testvector", 1764000000, body, strlen(body)),
                     PAT_OK);
    assert_string_equal(b.data, "v1,fuG2luHIeBsner+Efss5IM05YZvXUj6jc+sjG4bV6CA=");
    pat_buf_reset(&b);
    assert_int_equal(pat_sign_webhook(&b, "whsec_", "a", 1, body, 1), PAT_EINVAL);
    assert_int_equal(pat_sign_webhook(&b, "no base64!", "a", 1, body, 1), PAT_EINVAL);
    pat_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_webhook__is_signed_as_the_standard_says),
        cmocka_unit_test(test_elevenlabs__verifies_within_half_an_hour),
        cmocka_unit_test(test_retell__signs_the_body_and_the_time),
        cmocka_unit_test(test_retell__verifies_within_five_minutes),
        cmocka_unit_test(test_retell__refuses_another_body_key_or_none),
        cmocka_unit_test(test_retell__one_of_several_keys_has_signed),
        cmocka_unit_test(test_signalwire__json_verifies_every_form_of_the_url),
        cmocka_unit_test(test_signalwire__json_signed_with_the_port_fragment_or_user),
        cmocka_unit_test(test_signalwire__form_verifies_parameters_in_any_order),
        cmocka_unit_test(test_signalwire__form_refuses_broken_signatures),
        cmocka_unit_test(test_signalwire__form_keeps_repeated_names_in_order),
        cmocka_unit_test(test_short__is_22_characters_for_one_purpose),
        cmocka_unit_test(test_signatures__survive_each_allocation_failing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
