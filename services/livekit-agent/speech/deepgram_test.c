/* deepgram_test.c - Deepgram's messages, and the packets kept for a reconnect. */
#include "deepgram.h"
#include "packets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int parse(struct deepgram_msg *m, const char *text)
{
    return deepgram_parse(m, text, strlen(text));
}

static void test_deepgram__reads_a_result(void **state)
{
    struct deepgram_msg m;

    (void)state;
    assert_int_equal(
        parse(&m, "{\"type\":\"Results\",\"duration\":1.04,\"start\":2.1,\"is_final\":true,"
                  "\"speech_final\":false,\"channel\":{\"alternatives\":[{\"transcript\":\"hello\","
                  "\"confidence\":0.9,\"words\":[]}]}}"),
        PAT_OK);
    assert_int_equal(m.kind, DEEPGRAM_RESULTS);
    assert_string_equal(m.text, "hello");
    assert_true(m.is_final && !m.speech_final);
    assert_int_equal(m.start_ms, 2100);
    assert_int_equal(m.end_ms, 3140);
    deepgram_msg_fini(&m);
}

static void test_deepgram__reads_turns(void **state)
{
    static const struct {
        const char *event;
        enum deepgram_turn turn;
    } rows[] = {
        { "Update", DEEPGRAM_TURN_UPDATE },        { "StartOfTurn", DEEPGRAM_TURN_START },
        { "EagerEndOfTurn", DEEPGRAM_TURN_EAGER }, { "TurnResumed", DEEPGRAM_TURN_RESUMED },
        { "EndOfTurn", DEEPGRAM_TURN_END },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct deepgram_msg m;
        char text[300];

        (void)snprintf(text, sizeof text,
                       "{\"type\":\"TurnInfo\",\"sequence_id\":7,\"event\":\"%s\",\"turn_index\":2,"
                       "\"audio_window_start\":1.5,\"audio_window_end\":2.4,"
                       "\"transcript\":\"book a table\",\"end_of_turn_confidence\":0.55}",
                       rows[i].event);
        assert_int_equal(parse(&m, text), PAT_OK);
        assert_int_equal(m.kind, DEEPGRAM_TURN);
        assert_int_equal(m.turn, rows[i].turn);
        assert_string_equal(m.text, "book a table");
        assert_int_equal(m.start_ms, 1500);
        assert_int_equal(m.end_ms, 2400);
        deepgram_msg_fini(&m);
    }
}

static void test_deepgram__asks_flux_for_what_it_knows(void **state)
{
    static const char *const keyterms[] = { "sales & more", NULL };
    struct stt_flux f = { "flux-general-multi", 0.65, 0.4, 2000 };
    struct stt_opts o = { .language = "de-CH", .keyterms = keyterms, .flux = &f };
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, 1000);
    assert_int_equal(deepgram_flux_url(&b, "wss://host/", &o), PAT_OK);
    assert_string_equal(b.data, "wss://host/v2/listen?encoding=opus&sample_rate=48000"
                                "&model=flux-general-multi&eot_threshold=0.65&eot_timeout_ms=2000"
                                "&eager_eot_threshold=0.40&language_hint=de"
                                "&keyterm=sales%20%26%20more");
    f = (struct stt_flux){ "flux-general-en", 0.7, 0, 5000 };
    o = (struct stt_opts){ .language = "en-US", .flux = &f };
    pat_buf_reset(&b);
    assert_int_equal(deepgram_flux_url(&b, "wss://host", &o), PAT_OK);
    assert_null(strstr(b.data, "eager"));
    assert_null(strstr(b.data, "language"));
    pat_buf_fini(&b);
    assert_string_equal(deepgram_other_language("nova-3", "xx"), "multi");
    assert_null(deepgram_other_language("nova-3", "multi"));
    assert_null(deepgram_other_language("enhanced", "xx"));
}

static void test_deepgram__tolerates_what_it_does_not_know(void **state)
{
    static const struct {
        const char *text;
        int err;
        enum deepgram_kind kind;
    } rows[] = {
        { "{\"type\":\"Metadata\",\"duration\":1}", PAT_OK, DEEPGRAM_OTHER },
        { "{\"type\":\"NewThing\"}", PAT_OK, DEEPGRAM_OTHER },
        { "{\"type\":\"Results\"}", PAT_OK, DEEPGRAM_RESULTS },
        { "{\"type\":\"Results\",\"channel\":{\"alternatives\":[]},\"start\":1e300}", PAT_OK,
          DEEPGRAM_RESULTS },
        { "{\"type\":\"SpeechStarted\",\"timestamp\":2.05}", PAT_OK, DEEPGRAM_SPEECH_STARTED },
        { "{\"type\":\"UtteranceEnd\",\"last_word_end\":-1}", PAT_OK, DEEPGRAM_UTTERANCE_END },
        { "{\"type\":\"Error\",\"description\":\"x\"}", PAT_OK, DEEPGRAM_ERROR },
        { "{\"type\":\"TurnInfo\",\"event\":\"NewThing\"}", PAT_OK, DEEPGRAM_TURN },
        { "{\"type\":\"Connected\",\"sequence_id\":0}", PAT_OK, DEEPGRAM_OTHER },
        { "{\"kind\":1}", PAT_EINVAL, DEEPGRAM_OTHER },
        { "[]", PAT_EINVAL, DEEPGRAM_OTHER },
        { "{\"type\":\"Resul", PAT_EINVAL, DEEPGRAM_OTHER },
        { "", PAT_EINVAL, DEEPGRAM_OTHER },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct deepgram_msg m;

        assert_int_equal(parse(&m, rows[i].text), rows[i].err);
        if (!rows[i].err)
            assert_int_equal(m.kind, rows[i].kind);
        assert_non_null(m.text);
        deepgram_msg_fini(&m);
    }
}

static void test_deepgram__tells_what_a_refusal_or_a_close_means(void **state)
{
    static const struct {
        int status, code;
        const char *reason;
        enum provider_fault fault;
    } rows[] = {
        { 400, 0, NULL, FAULT_REQUEST },
        { 401, 0, NULL, FAULT_AUTH },
        { 402, 0, NULL, FAULT_QUOTA },
        { 403, 0, NULL, FAULT_AUTH },
        { 404, 0, NULL, FAULT_MODEL },
        { 429, 0, NULL, FAULT_RATE },
        { 503, 0, NULL, FAULT_SERVER },
        { 101, 1011, "NET-0000", FAULT_SERVER },
        { 0, 1011, "NET-0001", FAULT_CONNECTION },
        { 0, 1008, "DATA-0000", FAULT_REQUEST },
        { 0, 1006, NULL, FAULT_CONNECTION },
        { 0, 1000, "", FAULT_CONNECTION },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(deepgram_fault(rows[i].status, rows[i].code, rows[i].reason),
                         rows[i].fault);
}

static const uint8_t some[3] = { 1, 2, 3 };

static void test_packets__keep_what_was_not_answered(void **state)
{
    struct packets p;

    (void)state;
    packets_init(&p);
    for (int i = 0; i < 10; i++)
        assert_int_equal(packets_add(&p, i * 960, some, sizeof some, 960), PAT_OK);
    packets_drop(&p, 3 * 960 + 100);
    assert_int_equal(p.n, 7);
    assert_int_equal(packets_at(&p, 0)->pos, 3 * 960);
    assert_null(packets_at(&p, 7));
    packets_fini(&p);
}

static void test_packets__hold_five_seconds_at_most(void **state)
{
    struct packets p;

    (void)state;
    packets_init(&p);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(packets_add(&p, i * 960, some, sizeof some, 960), PAT_OK);
    assert_int_equal(p.n, 250);
    for (int i = 0; i < 2000; i++) /* 2.5 ms packets: the ring is full first */
        assert_int_equal(packets_add(&p, 2000 * 960 + i * 120, some, sizeof some, 120), PAT_OK);
    assert_int_equal(p.n, PACKETS_SLOTS);
    assert_int_equal(packets_add(&p, 0, some, 0, 960), PAT_E2BIG);
    assert_int_equal(packets_add(&p, 0, some, 2000, 960), PAT_E2BIG);
    packets_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deepgram__reads_a_result),
        cmocka_unit_test(test_deepgram__reads_turns),
        cmocka_unit_test(test_deepgram__asks_flux_for_what_it_knows),
        cmocka_unit_test(test_deepgram__tolerates_what_it_does_not_know),
        cmocka_unit_test(test_deepgram__tells_what_a_refusal_or_a_close_means),
        cmocka_unit_test(test_packets__keep_what_was_not_answered),
        cmocka_unit_test(test_packets__hold_five_seconds_at_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
