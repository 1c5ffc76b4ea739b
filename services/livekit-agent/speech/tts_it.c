/* tts_it.c - utterances are spoken whole, in order, once, by some voice. */
#include "speech_it.h"

#include "opusio.h"
#include "tts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG_TEXT                                                                                  \
    "The first sentence is here to be spoken. The second one follows it at once. "                 \
    "And the third ends what we have to say today."

enum { MAX_UTTERANCES = 12 };

struct spoken {
    struct {
        int64_t samples;
        bool loud, done;
        int err;
        int64_t characters;
        char text[500];
    } u[MAX_UTTERANCES];
    const char *chain; /* NULL: the usual */
    struct providers *providers;
    char failures[300];
    bool ready, fell_back, all_done, sounding;
    bool wants_packets;
    int packets;
    int64_t samples; /* of all utterances, that were no packets */
    struct tts_learnt learnt;
    uint32_t last; /* utterance heard last: they come in order */
    int n_done, wanted;
    char to[100];
    struct tts *tts;
    int64_t cancel_at; /* samples of utterance 1 */
};

static void on_ready(void *arg)
{
    ((struct spoken *)arg)->ready = true;
}

static void on_audio(uint32_t id, const int16_t *samples, size_t n, void *arg)
{
    struct spoken *s = arg;

    assert_in_range(id, 1, MAX_UTTERANCES - 1);
    assert_true(id >= s->last);
    assert_false(s->u[id].done);
    s->last = id;
    s->u[id].samples += (int64_t)n;
    s->samples += (int64_t)n;
    for (size_t i = 0; i < n; i++)
        s->u[id].loud = s->u[id].loud || samples[i] > 3000;
    s->sounding = true;
    if (s->cancel_at && id == 1 && s->u[1].samples >= s->cancel_at) {
        s->cancel_at = 0;
        tts_cancel(s->tts, 1);
    }
}

static void on_packet(uint32_t id, const uint8_t *opus, size_t len, int level, void *arg)
{
    struct spoken *s = arg;

    assert_in_range(id, 1, MAX_UTTERANCES - 1);
    assert_true(id >= s->last && !s->u[id].done);
    assert_int_equal(opusio_samples(opus, len), OPUSIO_FRAME);
    s->last = id;
    s->u[id].samples += OPUSIO_FRAME;
    s->u[id].loud = s->u[id].loud || level < 40;
    s->packets++;
}

static void on_aligned(uint32_t id, const char *text, size_t len, int start_ms, int end_ms,
                       void *arg)
{
    struct spoken *s = arg;
    size_t at = strlen(s->u[id].text);

    assert_true(start_ms <= end_ms);
    snprintf(s->u[id].text + at, sizeof s->u[id].text - at, "%.*s", (int)len, text);
}

static void on_done(uint32_t id, int err, int64_t characters, void *arg)
{
    struct spoken *s = arg;

    assert_false(s->u[id].done);
    s->u[id].done = true;
    s->u[id].err = err;
    s->u[id].characters = characters;
    s->all_done = ++s->n_done >= s->wanted;
}

static void on_fell_back(const char *from, const char *to, const char *why, void *arg)
{
    struct spoken *s = arg;

    assert_true(*from && *why);
    s->fell_back = true;
    pat_strcpy(s->to, sizeof s->to, to);
}

static void on_provider_failed(const struct provider_failure *f, void *arg)
{
    struct spoken *s = arg;
    size_t at = strlen(s->failures);

    snprintf(s->failures + at, sizeof s->failures - at, "%s %s>%s;", f->by->name,
             provider_fault_name(f->fault), f->next ? f->next->name : "");
}

static void close_tts(struct spoken *s)
{
    tts_close(s->tts);
    providers_free(s->providers);
}

static void open_tts(struct stand *stand, struct spoken *s, const char *voice, const char *fallback,
                     const char *key)
{
    static const struct tts_events ev = { .ready = on_ready,
                                          .audio = on_audio,
                                          .packet = on_packet,
                                          .aligned = on_aligned,
                                          .done = on_done,
                                          .fell_back = on_fell_back,
                                          .provider_failed = on_provider_failed };
    struct tts_opts o = { .providers = stand_chain(PROVIDER_TTS,
                                                   s->chain ? s->chain : "elevenlabs,openai", key),
                          .connect_ms = 2000,
                          .voice = voice_resolve(voice),
                          .fallback = voice_resolve(fallback),
                          .language = "en",
                          .packets = s->wants_packets,
                          .learnt = &s->learnt };

    s->providers = o.providers;
    assert_int_equal(tts_open(&s->tts, stand->loop, stand->net, stand->http, &o, &ev, s), PAT_OK);
}

static void speak(struct spoken *s, uint32_t id, const char *text)
{
    assert_int_equal(tts_text(s->tts, id, text, strlen(text)), PAT_OK);
    tts_end(s->tts, id);
}

/* One utterance by a voice; the seconds it sounded. */
static double say_once(struct stand *stand, struct spoken *s, const char *voice,
                       const char *fallback, const char *key)
{
    open_tts(stand, s, voice, fallback, key);
    s->wanted = 1;
    speak(s, 1, LONG_TEXT);
    stand_wait(stand, &s->all_done, 15000);
    close_tts(s);
    return (double)s->u[1].samples / 48000;
}

static void check_whole(const struct spoken *s, double seconds)
{
    assert_int_equal(s->u[1].err, PAT_OK);
    assert_true(s->u[1].loud);
    assert_true(seconds > 5 && seconds < 12);
}

/* What was told to sound is the text, word for word, nothing twice. */
static void check_text(const struct spoken *s, uint32_t id, const char *text)
{
    const char *p = s->u[id].text;

    for (; *text; text++) {
        if (*text == ' ')
            continue;
        p += strspn(p, " ");
        assert_int_equal(*p++, *text);
    }
    assert_string_equal(p + strspn(p, " "), "");
}

static void test_tts__speaks_whole_with_alignment(void **state)
{
    struct stand *stand = stand_up();
    struct spoken s = { 0 };

    (void)state;
    check_whole(&s, say_once(stand, &s, "11labs-Brian", "openai-shimmer", "key"));
    check_text(&s, 1, LONG_TEXT);
    assert_true(s.ready && !s.fell_back);
    assert_int_equal(s.u[1].characters, strlen(LONG_TEXT));
    stand_down(stand);
}

static void test_tts__speaks_by_openai(void **state)
{
    struct stand *stand = stand_up();
    struct spoken s = { 0 };

    (void)state;
    check_whole(&s, say_once(stand, &s, "openai-nova", "kate", "key"));
    assert_true(s.ready && !s.fell_back);
    stand_down(stand);
}

static void test_tts__another_voice_speaks_when_one_cannot(void **state)
{
    static const struct {
        const char *control, *key, *chain, *to, *failures;
    } rows[] = {
        { "{\"gone\":[\"nPczCjzI2devNBz1zQrb\"]}", "key", NULL, "elevenlabs:CwhRBWXzGAHq8TQ4Fs17",
          "elevenlabs voice>elevenlabs;" },
        { "{}", "bad", NULL, "openai:onyx", "elevenlabs auth>openai;" },
        { "{}", "bad", "elevenlabs,elevenlabs-2,openai", "elevenlabs-2:nPczCjzI2devNBz1zQrb",
          "elevenlabs auth>elevenlabs-2;" },
        { "{\"fail\":{\"status\":429,\"times\":-1}}", "key", "elevenlabs,elevenlabs-2,openai",
          "elevenlabs-2:nPczCjzI2devNBz1zQrb", "elevenlabs rate>elevenlabs-2;" },
        { "{\"fail\":{\"status\":503,\"times\":-1}}", "key", NULL, "openai:onyx", NULL }, /* down */
        { "{\"latency_ms\":60000}", "key", NULL, "openai:onyx",
          "elevenlabs timeout>openai;" }, /* stuck */
        { "{\"cut\":{\"times\":-1,\"after\":0,\"code\":1011}}", "key", NULL, "openai:onyx", NULL },
        { "{\"cut\":{\"times\":-1,\"after\":0,\"code\":1008,\"reason\":\"quota_exceeded\"}}", "key",
          NULL, "openai:onyx", "elevenlabs quota>openai;" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct stand *stand = stand_up();
        struct spoken s = { .chain = rows[i].chain };

        stand_control(stand, "elevenlabs", rows[i].control);
        check_whole(&s, say_once(stand, &s, "11labs-Brian", "openai-shimmer", rows[i].key));
        assert_true(s.fell_back);
        assert_string_equal(s.to, rows[i].to);
        if (rows[i].failures)
            assert_string_equal(s.failures, rows[i].failures);
        stand_down(stand);
    }
}

/* A tenth of a second of sound every second is silence to who listens. */
static void test_tts__sound_in_drops_is_spoken_by_another_voice(void **state)
{
    struct stand *stand = stand_up();
    struct spoken s = { 0 };

    (void)state;
    stand_control(stand, "elevenlabs", "{\"drip_ms\":1000}");
    check_whole(&s, say_once(stand, &s, "11labs-Brian", "openai-shimmer", "key"));
    assert_string_equal(s.to, "openai:onyx");
    assert_string_equal(s.failures, "elevenlabs timeout>openai;");
    stand_down(stand);
}

/* Sound in many pieces, faster than it is listened to. */
static void test_tts__a_voice_that_keeps_pace_is_kept(void **state)
{
    struct stand *stand = stand_up();
    struct spoken s = { 0 };

    (void)state;
    stand_control(stand, "elevenlabs", "{\"drip_ms\":30}");
    check_whole(&s, say_once(stand, &s, "11labs-Brian", "openai-shimmer", "key"));
    assert_false(s.fell_back);
    stand_down(stand);
}

static void test_tts__the_last_voice_is_asked_again(void **state)
{
    struct stand *stand = stand_up();
    struct spoken s = { 0 };

    (void)state;
    stand_control(stand, "openai", "{\"fail\":{\"status\":503,\"times\":1}}");
    check_whole(&s, say_once(stand, &s, "11labs-Brian", "openai-shimmer", "bad"));
    assert_true(s.fell_back);
    stand_down(stand);
}

static void test_tts__goes_on_after_a_break_without_repeating(void **state)
{
    struct stand *stand = stand_up();
    struct spoken s = { 0 };

    (void)state;
    stand_control(stand, "elevenlabs", "{\"cut\":{\"times\":1,\"after\":4,\"code\":1011}}");
    check_whole(&s, say_once(stand, &s, "11labs-Brian", "openai-shimmer", "key"));
    assert_false(s.fell_back);
    /* At most the half word at the break is missing. */
    assert_true(strlen(s.u[1].text) <= strlen(LONG_TEXT) + 1);
    assert_non_null(strstr(s.u[1].text, "say today."));
    assert_true(strlen(s.u[1].text) + 12 >= strlen(LONG_TEXT));
    stand_down(stand);
}

static void test_tts__many_utterances_come_in_order(void **state)
{
    static const char *const texts[] = { "One.",   "Two two.", "Three is here.",
                                         "Four.",  "Five.",    "Six comes last but one.",
                                         "Seven.", "Eight!" };
    struct stand *stand = stand_up();
    struct spoken s = { .wanted = 9 };

    (void)state;
    open_tts(stand, &s, "11labs-Brian", "openai-shimmer", "key");
    for (uint32_t i = 0; i < 8; i++) /* more than the vendor's five contexts */
        speak(&s, i + 1, texts[i]);
    tts_end(s.tts, 9); /* nothing to say: done all the same */
    stand_wait(stand, &s.all_done, 15000);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(s.u[i + 1].err, PAT_OK);
        assert_true(s.u[i + 1].loud);
        check_text(&s, i + 1, texts[i]);
    }
    assert_int_equal(s.u[9].samples, 0);
    close_tts(&s);
    stand_down(stand);
}

static void test_tts__sentences_of_one_utterance_arrive_one_by_one(void **state)
{
    struct stand *stand = stand_up();
    struct spoken s = { .wanted = 1 };

    (void)state;
    open_tts(stand, &s, "11labs-Brian", "openai-shimmer", "key");
    assert_int_equal(tts_text(s.tts, 1, "Good morning to you.", 20), PAT_OK);
    stand_wait(stand, &s.sounding, 5000); /* before the end is known */
    assert_int_equal(tts_text(s.tts, 1, "How are you?", 12), PAT_OK);
    tts_end(s.tts, 1);
    assert_int_equal(tts_text(s.tts, 1, "x", 1), PAT_EINVAL);
    stand_wait(stand, &s.all_done, 5000);
    check_text(&s, 1, "Good morning to you. How are you?");
    close_tts(&s);
    stand_down(stand);
}

static void test_tts__canceled_is_silent_and_the_next_speaks(void **state)
{
    struct stand *stand = stand_up();
    struct spoken s = { .wanted = 7, .cancel_at = 4800 };

    (void)state;
    open_tts(stand, &s, "11labs-Brian", "openai-shimmer", "key");
    speak(&s, 1, LONG_TEXT); /* cancels itself from inside its audio */
    for (uint32_t i = 2; i < 10; i++) {
        speak(&s, i, "Short words.");
        if (i == 5)
            tts_cancel(s.tts, 5);
    }
    stand_wait(stand, &s.all_done, 15000);
    assert_false(s.u[1].done || s.u[5].done);
    assert_int_equal(s.u[5].samples, 0);
    assert_true(s.u[1].samples < 48000);
    for (uint32_t i = 2; i < 10; i++)
        assert_true(i == 5 || s.u[i].loud);
    close_tts(&s);
    stand_down(stand);
}

/* Whatever the vendor's Opus turns out to be, the same voice says all of it. */
static void test_tts__takes_opus_where_it_is_clean(void **state)
{
    static const struct {
        const char *opus;
        bool packets, samples; /* what comes */
    } rows[] = {
        { "{\"opus\":\"clean\"}", true, false }, { "{\"opus\":\"each\"}", true, false },
        { "{\"opus\":\"long\"}", false, true },  { "{\"opus\":\"bare\"}", false, true },
        { "{\"opus\":\"late\"}", true, true },   { "{\"opus\":\"refused\"}", false, true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct stand *stand = stand_up();
        struct spoken s = { .wants_packets = true };

        stand_control(stand, "elevenlabs", rows[i].opus);
        check_whole(&s, say_once(stand, &s, "11labs-Brian", "openai-shimmer", "key"));
        assert_false(s.fell_back);
        assert_int_equal(s.packets > 0, rows[i].packets);
        assert_int_equal(s.samples > 0, rows[i].samples);
        assert_int_equal(s.learnt.no_opus, rows[i].samples); /* the next call does not try */
        assert_int_equal(s.learnt.opus, rows[i].samples ? 0 : 1);
        assert_int_equal(s.learnt.pcm, rows[i].samples ? 1 : 0);
        stand_down(stand);
    }
}

static void test_tts__says_so_when_no_voice_can_speak(void **state)
{
    struct stand *stand = stand_up();
    struct spoken s = { .wanted = 1 };

    (void)state;
    stand_control(stand, "openai", "{\"fail\":{\"status\":404,\"times\":-1}}");
    open_tts(stand, &s, "11labs-Brian", "openai-shimmer", "bad");
    speak(&s, 1, LONG_TEXT);
    stand_wait(stand, &s.all_done, 15000);
    assert_int_not_equal(s.u[1].err, PAT_OK);
    assert_int_equal(tts_text(s.tts, 2, "x", 1), PAT_EUNAVAIL);
    close_tts(&s);
    stand_down(stand);
}

static void test_tts__closes_in_the_middle(void **state)
{
    struct stand *stand = stand_up();
    struct spoken s = { 0 };

    (void)state;
    open_tts(stand, &s, "11labs-Brian", "openai-shimmer", "key");
    speak(&s, 1, LONG_TEXT);
    stand_wait(stand, &s.sounding, 5000);
    close_tts(&s);
    tts_close(NULL);
    s.u[1].done = true; /* any sound from here on fails the test */
    stand_pass(stand, 200);
    stand_down(stand);
}

int run_tts_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tts__speaks_whole_with_alignment),
        cmocka_unit_test(test_tts__speaks_by_openai),
        cmocka_unit_test(test_tts__another_voice_speaks_when_one_cannot),
        cmocka_unit_test(test_tts__sound_in_drops_is_spoken_by_another_voice),
        cmocka_unit_test(test_tts__a_voice_that_keeps_pace_is_kept),
        cmocka_unit_test(test_tts__the_last_voice_is_asked_again),
        cmocka_unit_test(test_tts__goes_on_after_a_break_without_repeating),
        cmocka_unit_test(test_tts__many_utterances_come_in_order),
        cmocka_unit_test(test_tts__sentences_of_one_utterance_arrive_one_by_one),
        cmocka_unit_test(test_tts__canceled_is_silent_and_the_next_speaks),
        cmocka_unit_test(test_tts__takes_opus_where_it_is_clean),
        cmocka_unit_test(test_tts__says_so_when_no_voice_can_speak),
        cmocka_unit_test(test_tts__closes_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
