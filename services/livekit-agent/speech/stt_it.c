/* stt_it.c - the recogniser's client hears a real sentence, also across a broken connection. */
#include "speech_it.h"

#include "opusio.h"
#include "stt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SENTENCE "please transfer me to sales"

struct heard {
    int eager, resumed;
    char text[500], failures[500];
    int ready, started, retries;
    int64_t last_end_ms, utterance_end_ms;
    bool whole, ended, final_failure;
    int err;
};

static void on_ready(void *arg)
{
    ((struct heard *)arg)->ready++;
}

static void on_started(int64_t audio_ms, void *arg)
{
    struct heard *h = arg;

    h->started++;
    assert_true(audio_ms >= 0);
}

static void on_resumed(void *arg)
{
    ((struct heard *)arg)->resumed++;
}

static void on_transcript(const struct stt_transcript *t, void *arg)
{
    struct heard *h = arg;

    h->eager += t->eager;
    assert_false(t->eager && t->is_final);
    if (!t->is_final)
        return;
    assert_true(t->end_ms >= h->last_end_ms); /* the stream's clock never goes back */
    h->last_end_ms = t->end_ms;
    if (*t->text)
        snprintf(h->text + strlen(h->text), sizeof h->text - strlen(h->text), "%s|", t->text);
    h->whole = h->whole || (*t->text && t->speech_final);
}

static void on_utterance_end(int64_t ms, void *arg)
{
    struct heard *h = arg;

    h->utterance_end_ms = ms;
    h->ended = true;
}

static void on_failed(int err, bool retrying, const char *why, void *arg)
{
    struct heard *h = arg;

    assert_non_null(why);
    h->err = err;
    h->retries += retrying;
    h->final_failure = h->final_failure || !retrying;
}

static void on_provider_failed(const struct provider_failure *f, void *arg)
{
    struct heard *h = arg;
    size_t at = strlen(h->failures);

    snprintf(h->failures + at, sizeof h->failures - at, "%s %s>%s;", f->by->name,
             provider_fault_name(f->fault), f->next ? f->next->name : "");
}

/* The table outlives the stream. */
static struct providers *providers;

/* Who listens, and for what. */
static struct stt *open_as(struct stand *s, struct heard *h, const char *chain, const char *key,
                           const char *language, const struct stt_flux *flux)
{
    static const struct stt_events ev = { .ready = on_ready,
                                          .speech_started = on_started,
                                          .transcript = on_transcript,
                                          .resumed = on_resumed,
                                          .utterance_end = on_utterance_end,
                                          .failed = on_failed,
                                          .provider_failed = on_provider_failed };
    static const char *const keyterms[] = { "sales & more", NULL };
    struct stt_opts o = { .providers = stand_chain(PROVIDER_STT, chain, key),
                          .connect_ms = 3000,
                          .language = language,
                          .endpointing_ms = 300,
                          .utterance_end_ms = 1000,
                          .keyterms = keyterms,
                          .flux = flux };
    struct stt *stt;

    providers = o.providers;
    assert_int_equal(stt_open(&stt, s->loop, s->net, &o, &ev, h), PAT_OK);
    return stt;
}

static struct stt *open_chain(struct stand *s, struct heard *h, const char *chain, const char *key)
{
    return open_as(s, h, chain, key, "en-US", NULL);
}

static struct stt *open_stt(struct stand *s, struct heard *h, const char *key)
{
    return open_chain(s, h, "deepgram", key);
}

static void close_stt(struct stt *stt)
{
    stt_close(stt);
    providers_free(providers);
}

/* PAT_TEST_SENTENCE: raw 48 kHz samples of SENTENCE. As packets, then DTX. */
static void say(struct stt *stt, int silence_ms)
{
    FILE *f = fopen(getenv("PAT_TEST_SENTENCE"), "re");
    struct opusio_enc *enc;
    int16_t pcm[OPUSIO_FRAME];
    uint8_t packet[OPUSIO_MAX_PACKET];

    assert_non_null(f);
    assert_int_equal(opusio_enc_new(&enc, 5), PAT_OK);
    while (fread(pcm, sizeof *pcm, OPUSIO_FRAME, f) == OPUSIO_FRAME) {
        int len = opusio_encode(enc, pcm, packet);

        assert_true(len > 0);
        stt_audio(stt, packet, (size_t)len, OPUSIO_FRAME);
    }
    for (int ms = 0; ms < silence_ms; ms += 30) /* not a multiple of a frame */
        stt_audio(stt, NULL, 0, 30 * 48);
    opusio_enc_free(enc);
    fclose(f);
}

static void listen_only_for_sentences(struct stand *s)
{
    static const char *const desks[] = { "deepgram", "deepgram2" };

    for (int i = 0; i < 2; i++)
        stand_control(s, desks[i],
                      "{\"grammar\":[\"" SENTENCE "\",\"please transfer me to support\","
                      "\"what time do you open\",\"i have lost my red umbrella\"]}");
}

static void test_stt__hears_a_sentence_and_its_end(void **state)
{
    struct stand *s = stand_up();
    struct heard h = { 0 };
    struct stt *stt;

    (void)state;
    listen_only_for_sentences(s);
    stt = open_stt(s, &h, "key");
    say(stt, 3000);
    stand_wait(s, &h.ended, 10000);
    assert_string_equal(h.text, SENTENCE "|");
    assert_int_equal(h.ready, 1);
    assert_true(h.whole && h.started >= 1);
    assert_in_range(h.utterance_end_ms, 1000, 4000);
    assert_in_range(stt_audio_ms(stt), 4500, 6500);
    close_stt(stt);
    stand_down(s);
}

static void test_stt__repeats_what_a_lost_connection_had_not_answered(void **state)
{
    struct stand *s = stand_up();
    struct heard h = { 0 };
    struct stt *stt;

    (void)state;
    listen_only_for_sentences(s);
    stand_control(s, "deepgram", "{\"cut\":{\"times\":1,\"after\":1,\"code\":1011}}");
    stt = open_stt(s, &h, "key");
    say(stt, 1000);
    stand_wait(s, &h.whole, 10000);
    assert_string_equal(h.text, SENTENCE "|");
    assert_int_equal(h.retries, 1);
    assert_int_equal(h.ready, 2);
    close_stt(stt);
    stand_down(s);
}

static void test_stt__tries_again_when_the_vendor_is_busy(void **state)
{
    struct stand *s = stand_up();
    struct heard h = { 0 };
    struct stt *stt;

    (void)state;
    listen_only_for_sentences(s);
    stand_control(s, "deepgram", "{\"fail\":{\"status\":503,\"times\":2}}");
    stt = open_stt(s, &h, "key");
    say(stt, 1000);
    stand_wait(s, &h.whole, 10000);
    assert_string_equal(h.text, SENTENCE "|");
    assert_int_equal(h.retries, 2);
    close_stt(stt);
    stand_down(s);
}

static void test_stt__gives_up_on_a_bad_key(void **state)
{
    struct stand *s = stand_up();
    struct heard h = { 0 };
    struct stt *stt = open_stt(s, &h, "bad");

    (void)state;
    say(stt, 100);
    stand_wait(s, &h.final_failure, 5000);
    assert_int_equal(h.err, PAT_EAUTH);
    assert_int_equal(h.retries, 0);
    say(stt, 100); /* harmless now */
    close_stt(stt);
    stand_down(s);
}

static void test_stt__goes_on_in_another_region_without_losing_a_word(void **state)
{
    static const struct {
        const char *control, *key, *failures;
    } rows[] = {
        { "{\"cut\":{\"times\":-1,\"after\":1,\"code\":1011,\"reason\":\"NET-0000\"}}", "key",
          "deepgram server>deepgram-2;" },
        { "{\"cut\":{\"times\":-1,\"after\":1,\"code\":0}}", "key", "deepgram server>deepgram-2;" },
        { "{\"fail\":{\"status\":429,\"times\":-1}}", "key", "deepgram rate>deepgram-2;" },
        { "{\"fail\":{\"status\":402,\"times\":-1}}", "key", "deepgram quota>deepgram-2;" },
        { "{\"fail\":{\"status\":400,\"times\":-1}}", "key",
          "deepgram request>deepgram;deepgram request>deepgram-2;" },
        { "{}", "bad", "deepgram auth>deepgram-2;" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct stand *s = stand_up();
        struct heard h = { 0 };
        struct stt *stt;

        listen_only_for_sentences(s);
        stand_control(s, "deepgram", rows[i].control);
        stt = open_chain(s, &h, "deepgram,deepgram-2", rows[i].key);
        say(stt, 1000);
        stand_wait(s, &h.whole, 15000);
        assert_string_equal(h.text, SENTENCE "|");
        assert_string_equal(h.failures, rows[i].failures);
        assert_string_equal(stt_listens(stt)->name, "deepgram-2");
        close_stt(stt);
        stand_down(s);
    }
}

static void test_stt__gives_up_when_every_account_refuses(void **state)
{
    struct stand *s = stand_up();
    struct heard h = { 0 };
    struct stt *stt;

    (void)state;
    stand_control(s, "deepgram2", "{\"key\":\"another\"}");
    stt = open_chain(s, &h, "deepgram,deepgram-2,deepgram:nova-2", "bad");
    stand_wait(s, &h.final_failure, 5000);
    assert_string_equal(h.failures, "deepgram auth>deepgram-2;deepgram-2 auth>;");
    assert_int_equal(h.err, PAT_EAUTH);
    close_stt(stt);
    stand_down(s);
}

static void test_stt__finalize_flushes(void **state)
{
    struct stand *s = stand_up();
    struct heard h = { 0 };
    struct stt *stt;
    int64_t give_up = pat_now_ms() + 10000;

    (void)state;
    listen_only_for_sentences(s);
    stt = open_stt(s, &h, "key");
    while (!h.ready && pat_now_ms() < give_up)
        pat_loop_run_once(s->loop, 100);
    say(stt, 0);
    stt_finalize(stt);
    while (!*h.text && pat_now_ms() < give_up)
        pat_loop_run_once(s->loop, 100);
    assert_string_equal(h.text, SENTENCE "|");
    close_stt(stt);
    stt_close(NULL);
    stand_down(s);
}

/* The double, as the vendor, ends a stream that says nothing for 10 s. */
static void test_stt__stays_connected_through_silence(void **state)
{
    struct stand *s = stand_up();
    struct heard h = { 0 };
    struct stt *stt = open_stt(s, &h, "key");

    (void)state;
    stand_pass(s, 13000);
    assert_int_equal(h.ready, 1);
    assert_int_equal(h.retries, 0);
    close_stt(stt);
    stand_down(s);
}

static const struct stt_flux flux = { "flux-general-en", 0.7, 0.4, 3000 };

static void test_stt__a_model_judges_turns(void **state)
{
    struct stand *s = stand_up();
    struct heard h = { 0 };
    struct stt *stt;

    (void)state;
    listen_only_for_sentences(s);
    stt = open_as(s, &h, "deepgram", "key", "en-US", &flux);
    assert_true(stt_judges(stt));
    assert_string_equal(stt_model(stt), "flux-general-en");
    say(stt, 1000);
    stand_wait(s, &h.whole, 10000);
    assert_string_equal(h.text, SENTENCE "|");
    assert_true(h.eager > h.resumed && h.started == 1);
    close_stt(stt);
    stand_down(s);
}

static void test_stt__a_turn_can_be_ended_by_us(void **state)
{
    static const struct stt_flux patient = { "flux-general-en", 0.9, 0, 60000 };
    struct stand *s = stand_up();
    struct heard h = { 0 };
    struct stt *stt;

    (void)state;
    listen_only_for_sentences(s);
    stand_control(s, "deepgram", "{\"latency_ms\":50000}");
    stt = open_as(s, &h, "deepgram", "key", "en-US", &patient);
    say(stt, 1000);
    for (int64_t end = pat_now_ms() + 10000; !h.started && pat_now_ms() < end;)
        pat_loop_run_once(s->loop, 100);
    stt_finalize(stt);
    stand_wait(s, &h.whole, 10000);
    assert_string_equal(h.text, SENTENCE "|");
    close_stt(stt);
    stand_down(s);
}

/* A turn's beginning, not yet answered for, is told again on the next connection. */
static void test_stt__a_turn_survives_its_connection(void **state)
{
    struct stand *s = stand_up();
    struct heard h = { 0 };
    struct stt *stt;

    (void)state;
    listen_only_for_sentences(s);
    stand_control(s, "deepgram", "{\"cut\":{\"times\":1,\"after\":2,\"code\":1011}}");
    stt = open_as(s, &h, "deepgram", "key", "en-US", &flux);
    say(stt, 1000);
    stand_wait(s, &h.whole, 10000);
    assert_string_equal(h.text, SENTENCE "|");
    assert_int_equal(h.retries, 1);
    close_stt(stt);
    stand_down(s);
}

static void test_stt__without_flux_it_goes_on_with_pauses(void **state)
{
    struct stand *s = stand_up();
    struct heard h = { 0 };
    struct stt *stt;

    (void)state;
    listen_only_for_sentences(s);
    stand_control(s, "deepgram", "{\"fail\":{\"status\":404,\"times\":1}}");
    stt = open_as(s, &h, "deepgram", "key", "en-US", &flux);
    say(stt, 1000);
    stand_wait(s, &h.whole, 10000);
    assert_string_equal(h.text, SENTENCE "|");
    assert_string_equal(h.failures, "deepgram request>deepgram;");
    assert_false(stt_judges(stt));
    assert_string_equal(stt_model(stt), stt_listens(stt)->model);
    close_stt(stt);
    stand_down(s);
}

static void test_stt__a_refused_language_is_replaced(void **state)
{
    struct stand *s = stand_up();
    struct heard h = { 0 };
    struct stt *stt;

    (void)state;
    listen_only_for_sentences(s);
    stt = open_as(s, &h, "deepgram", "key", "xx-YY", NULL);
    say(stt, 1000);
    stand_wait(s, &h.whole, 10000);
    assert_string_equal(h.text, SENTENCE "|");
    assert_string_equal(h.failures, "deepgram request>deepgram;");
    assert_false(h.final_failure);
    close_stt(stt);
    stand_down(s);
}

int run_stt_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stt__hears_a_sentence_and_its_end),
        cmocka_unit_test(test_stt__repeats_what_a_lost_connection_had_not_answered),
        cmocka_unit_test(test_stt__tries_again_when_the_vendor_is_busy),
        cmocka_unit_test(test_stt__gives_up_on_a_bad_key),
        cmocka_unit_test(test_stt__goes_on_in_another_region_without_losing_a_word),
        cmocka_unit_test(test_stt__gives_up_when_every_account_refuses),
        cmocka_unit_test(test_stt__finalize_flushes),
        cmocka_unit_test(test_stt__a_model_judges_turns),
        cmocka_unit_test(test_stt__a_turn_can_be_ended_by_us),
        cmocka_unit_test(test_stt__a_turn_survives_its_connection),
        cmocka_unit_test(test_stt__without_flux_it_goes_on_with_pauses),
        cmocka_unit_test(test_stt__a_refused_language_is_replaced),
        cmocka_unit_test(test_stt__stays_connected_through_silence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
