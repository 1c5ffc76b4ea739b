/* player_test.c - what goes out, when, and what is told of it. */
#include "player.h"

#include "../speech/opusio.h"
#include "sound.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SENT_MAX = 2000 };

struct rig {
    struct pat_loop *loop;
    struct beat beat;
    struct player *player;
    int sent, voiced, markers;
    int64_t at_us[SENT_MAX];
    int level[SENT_MAX];
    int64_t samples; /* the RTP clock */
    bool refuse;
    char told[200]; /* "s1 v1 p1 " */
    bool flush_when_sounding;
};

static int on_send(const uint8_t *opus, size_t len, uint32_t samples, bool marker, int level,
                   void *arg)
{
    struct rig *r = arg;

    assert_int_equal(opusio_samples(opus, len), samples);
    if (r->refuse)
        return PAT_EAGAIN;
    assert_true(r->sent < SENT_MAX);
    r->at_us[r->sent] = pat_now_us();
    r->level[r->sent++] = level;
    r->samples += samples;
    r->voiced += level < SOUND_VOICED;
    r->markers += marker;
    return PAT_OK;
}

static void on_skip(uint32_t samples, void *arg)
{
    struct rig *r = arg;

    r->samples += samples;
}

static void tell(struct rig *r, char what, uint32_t piece)
{
    size_t n = strlen(r->told);

    assert_true(n + 4 < sizeof r->told);
    r->told[n] = what;
    r->told[n + 1] = (char)('0' + piece);
    r->told[n + 2] = ' ';
    r->told[n + 3] = 0;
}

static void on_sounding(uint32_t piece, void *arg)
{
    struct rig *r = arg;

    tell(r, 's', piece);
    if (r->flush_when_sounding)
        player_flush(r->player);
}

static void on_voiced(uint32_t piece, void *arg)
{
    tell(arg, 'v', piece);
}

static void on_played(uint32_t piece, void *arg)
{
    tell(arg, 'p', piece);
}

static const struct player_sink sink = { on_send, on_skip };
static const struct player_events events = { on_sounding, on_voiced, on_played };

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    struct player_opts o = { .sink = &sink, .events = &events, .arg = r, .gain = 1 };

    assert_int_equal(pat_loop_new(&r->loop), PAT_OK);
    o.loop = r->loop;
    o.beat = &r->beat;
    assert_int_equal(player_new(&r->player, &o), PAT_OK);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;

    player_free(r->player);
    for (int i = 0; i < BEAT_SLOTS; i++)
        assert_int_equal(r->beat.taken[i], 0);
    assert_int_equal(pat_loop_free(r->loop), PAT_OK);
    free(r);
    return 0;
}

static void run(struct rig *r, int ms)
{
    int64_t end = pat_now_us() + (int64_t)ms * 1000;

    while (pat_now_us() < end)
        pat_loop_run_once(r->loop, 2);
}

static bool run_until_told(struct rig *r, const char *what, int ms)
{
    int64_t end = pat_now_us() + (int64_t)ms * 1000;

    while (!strstr(r->told, what) && pat_now_us() < end)
        pat_loop_run_once(r->loop, 2);
    return strstr(r->told, what) != NULL;
}

static void add_tone(struct rig *r, uint32_t piece, int ms)
{
    static int16_t pcm[48 * 1000];

    for (int i = 0; i < ms * SOUND_PER_MS; i++)
        pcm[i] = (int16_t)(i % 100 < 50 ? 5000 : -5000);
    assert_int_equal(player_add(r->player, piece, pcm, (size_t)ms * SOUND_PER_MS), PAT_OK);
}

static void test_player__sends_sparse_silence_from_the_start(void **state)
{
    struct rig *r = *state;

    player_start(r->player);
    run(r, 450);
    assert_in_range(r->sent, 2, 3);
    assert_int_equal(r->voiced, 0);
    assert_string_equal(r->told, "");
}

static void test_player__leads_in_at_full_rate_when_asked(void **state)
{
    struct rig *r = *state;

    player_start(r->player);
    run(r, 50);
    r->sent = 0;
    player_lead(r->player, true);
    run(r, 200);
    assert_in_range(r->sent, 9, 12);
    player_lead(r->player, false);
    run(r, 60);
    r->sent = 0;
    run(r, 200);
    assert_in_range(r->sent, 0, 2);
}

static void test_player__starts_at_once_and_keeps_the_pace(void **state)
{
    struct rig *r = *state;
    int64_t from;
    int first = 0;

    player_start(r->player);
    run(r, 70);
    from = pat_now_us();
    add_tone(r, 1, 400);
    player_end(r->player, 1);
    assert_true(run_until_told(r, "p1 ", 1000));
    assert_string_equal(r->told, "s1 v1 p1 ");
    assert_int_equal(r->voiced, 20);
    while (r->level[first] >= SOUND_VOICED)
        first++;
    assert_in_range(r->at_us[first] - from, 0, 10000);
    /* Deadlines are absolute: the second comes within 20 ms, the nineteenth behind it 360 ms later,
     * however late single ones were. */
    assert_in_range(r->at_us[first + 19] - r->at_us[first], 355000, 400000);
    assert_int_equal(r->markers, 1);
    assert_true(player_idle(r->player));
}

static void test_player__plays_pieces_in_order(void **state)
{
    struct rig *r = *state;

    player_start(r->player);
    add_tone(r, 1, 60);
    player_end(r->player, 1);
    add_tone(r, 2, 60);
    player_end(r->player, 2);
    assert_true(run_until_told(r, "p2 ", 1000));
    assert_string_equal(r->told, "s1 v1 p1 s2 v2 p2 ");
}

static void test_player__silence_before_a_sound_is_left_out(void **state)
{
    struct rig *r = *state;
    static const int16_t quiet[4800];

    player_start(r->player);
    assert_int_equal(player_add(r->player, 1, quiet, 4800), PAT_OK);
    assert_int_equal(player_add(r->player, 1, quiet, 4800), PAT_OK);
    add_tone(r, 1, 100);
    player_end(r->player, 1);
    assert_true(run_until_told(r, "p1 ", 1000));
    assert_in_range(r->sent, 5, 9); /* not fifteen */
}

static void test_player__pauses_within_a_packet_and_goes_on_where_it_stopped(void **state)
{
    struct rig *r = *state;
    int before;

    player_start(r->player);
    add_tone(r, 1, 500);
    player_end(r->player, 1);
    run(r, 100);
    player_pause(r->player);
    before = r->voiced;
    run(r, 200);
    assert_int_equal(r->voiced, before);
    assert_in_range(player_played_ms(r->player, 1), 60, 140);
    player_resume(r->player);
    assert_true(run_until_told(r, "p1 ", 1000));
    assert_int_equal(r->voiced, 25);
}

static void test_player__flush_forgets_without_a_word(void **state)
{
    struct rig *r = *state;

    player_start(r->player);
    add_tone(r, 1, 500);
    run(r, 60);
    player_flush(r->player);
    assert_int_equal(player_waiting_ms(r->player), 0);
    r->voiced = 0;
    run(r, 100);
    assert_int_equal(r->voiced, 0);
    assert_null(strstr(r->told, "p1"));
}

static void test_player__may_be_flushed_by_its_own_callback(void **state)
{
    struct rig *r = *state;

    r->flush_when_sounding = true;
    player_start(r->player);
    add_tone(r, 1, 500);
    run(r, 100);
    assert_int_equal(r->voiced, 1);
}

static void test_player__a_packet_nobody_took_is_sent_later(void **state)
{
    struct rig *r = *state;

    player_start(r->player);
    r->refuse = true;
    add_tone(r, 1, 200);
    player_end(r->player, 1);
    run(r, 100);
    assert_int_equal(player_waiting_ms(r->player), 200);
    r->refuse = false;
    assert_true(run_until_told(r, "p1 ", 1000));
    assert_int_equal(r->voiced, 10);
}

static void test_player__waits_in_the_middle_of_a_piece(void **state)
{
    struct rig *r = *state;

    player_start(r->player);
    add_tone(r, 1, 60);
    run(r, 200);
    assert_string_equal(r->told, "s1 v1 ");
    add_tone(r, 1, 60);
    player_end(r->player, 1);
    assert_true(run_until_told(r, "p1 ", 1000));
    assert_int_equal(r->voiced, 6);
}

static void test_player__a_piece_without_sound_is_played_too(void **state)
{
    struct rig *r = *state;

    player_start(r->player);
    player_end(r->player, 1);
    assert_true(run_until_told(r, "p1 ", 1000));
    assert_string_equal(r->told, "p1 ");
}

static void test_player__the_rtp_clock_follows_the_wall_clock(void **state)
{
    struct rig *r = *state;
    int64_t from = pat_now_us();

    player_start(r->player);
    for (int i = 1; i <= 4; i++) {
        run(r, 90);
        add_tone(r, (uint32_t)i, 100);
        player_end(r->player, (uint32_t)i);
        run(r, 130);
    }
    run(r, 250);
    assert_in_range(r->samples / SOUND_PER_MS, (pat_now_us() - from) / 1000 - 230,
                    (pat_now_us() - from) / 1000 + 40);
}

static void test_player__plays_a_phrase_as_it_is(void **state)
{
    struct rig *r = *state;
    struct phrase *p;

    assert_int_equal(phrase_new(&p), PAT_OK);
    for (int i = 0; i < 7; i++)
        assert_int_equal(phrase_add(p, opusio_silence, OPUSIO_SILENCE_LEN, 30), PAT_OK);
    player_start(r->player);
    assert_int_equal(player_add_phrase(r->player, 3, p), PAT_OK);
    phrase_unref(p);
    assert_true(run_until_told(r, "p3 ", 1000));
    assert_int_equal(r->voiced, 7);
}

static void test_player__more_than_anybody_listens_to_is_refused(void **state)
{
    struct rig *r = *state;
    static const int16_t second[48000];

    for (int i = 0; i < PLAYER_MAX_MS / 1000; i++)
        assert_int_equal(player_add(r->player, 1, second, 48000), PAT_OK);
    /* Leading silence was left out: there is room for that much more. */
    assert_int_equal(player_add(r->player, 1, second, 48000), PAT_E2BIG);
}

/* Those behind the first one leave right behind the same times of all players. */
static int in_step(const struct rig *r)
{
    int n = 0;

    for (int i = 0; i < r->sent; i++)
        n += r->level[i] < SOUND_VOICED && r->at_us[i] % BEAT_US < 3000;
    return n;
}

static void test_player__those_who_speak_share_the_times_they_are_woken_at(void **state)
{
    struct rig *r = *state, other = { .beat = { { 0 } } };
    const struct player_opts o = { .loop = r->loop,
                                   .beat = &r->beat,
                                   .sink = &sink,
                                   .events = &events,
                                   .arg = &other,
                                   .gain = 1 };

    assert_int_equal(player_new(&other.player, &o), PAT_OK);
    player_start(r->player);
    player_start(other.player);
    add_tone(r, 1, 500);
    assert_true(run_until_told(r, "v1", 500));
    run(r, 7); /* not at the same time */
    add_tone(&other, 1, 500);
    run(r, 400);
    player_free(other.player);
    assert_in_range(in_step(r), 15, 25); /* of some 20; the machine may pause */
    assert_in_range(in_step(&other), 13, 25);
}

#define PLAYER_TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAYER_TEST(test_player__sends_sparse_silence_from_the_start),
        PLAYER_TEST(test_player__leads_in_at_full_rate_when_asked),
        PLAYER_TEST(test_player__starts_at_once_and_keeps_the_pace),
        PLAYER_TEST(test_player__plays_pieces_in_order),
        PLAYER_TEST(test_player__silence_before_a_sound_is_left_out),
        PLAYER_TEST(test_player__pauses_within_a_packet_and_goes_on_where_it_stopped),
        PLAYER_TEST(test_player__flush_forgets_without_a_word),
        PLAYER_TEST(test_player__may_be_flushed_by_its_own_callback),
        PLAYER_TEST(test_player__a_packet_nobody_took_is_sent_later),
        PLAYER_TEST(test_player__waits_in_the_middle_of_a_piece),
        PLAYER_TEST(test_player__a_piece_without_sound_is_played_too),
        PLAYER_TEST(test_player__the_rtp_clock_follows_the_wall_clock),
        PLAYER_TEST(test_player__plays_a_phrase_as_it_is),
        PLAYER_TEST(test_player__more_than_anybody_listens_to_is_refused),
        PLAYER_TEST(test_player__those_who_speak_share_the_times_they_are_woken_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
