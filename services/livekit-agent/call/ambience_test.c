/* ambience_test.c - the places sound, differ, go round without a seam, and stand behind a voice. */
#include "ambience.h"

#include "player.h"
#include "sound.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const names[] = { "coffee-shop", "convention-hall", "high-school-hallway",
                                     "mountain-outdoor", "summer-outdoor" };
enum { PLACES = sizeof names / sizeof names[0] };

/* How much of it lies above roughly 2 kHz: a first difference weighs high sounds more. */
static double brightness(const int16_t *pcm, size_t n)
{
    double all = 0, high = 0;

    for (size_t i = 8; i < n; i++) {
        double d = pcm[i] - pcm[i - 8];

        all += (double)pcm[i] * pcm[i];
        high += d * d;
    }
    return high / all;
}

static void test_ambience__each_place_sounds_and_none_like_another(void **state)
{
    double bright[PLACES];

    (void)state;
    for (int i = 0; i < PLACES; i++) {
        size_t n = 0, again_n = 0;
        int16_t *pcm = ambience_make(names[i], &n), *again = ambience_make(names[i], &again_n);
        int step = abs(pcm[0] - pcm[n - 1]);

        assert_true(ambience_is_ours(names[i]));
        assert_int_equal(n, AMBIENCE_SECONDS * 48000);
        assert_int_equal(n, again_n);
        assert_memory_equal(pcm, again, n * sizeof *pcm); /* always the same */
        assert_in_range(sound_level(pcm, n), 36, 41);
        assert_true(step < 1500); /* the end leads into the beginning */
        bright[i] = brightness(pcm, n);
        for (int k = 0; k < i; k++)
            assert_true(fabs(log(bright[i] / bright[k])) > 0.02);
        free(pcm);
        free(again);
    }
    assert_null(ambience_make("moon", &(size_t){ 0 }));
}

struct rig {
    struct pat_loop *loop;
    struct ambiences *places;
    struct player *player;
    struct beat beat;
    struct opusio_dec *dec;
    int sent, loud;
    double quietest, loudest; /* root mean square of a packet */
    bool played;
};

static int on_send(const uint8_t *opus, size_t len, uint32_t samples, bool marker, int level,
                   void *arg)
{
    struct rig *r = arg;
    int16_t pcm[OPUSIO_MAX_16K];
    int n = opusio_decode(r->dec, opus, len, 0, pcm);
    double sum = 0;

    (void)samples, (void)marker, (void)level;
    for (int i = 0; i < n; i++)
        sum += (double)pcm[i] * pcm[i];
    sum = sqrt(sum / n);
    if (++r->sent > 3) { /* the decoder has begun */
        r->quietest = sum < r->quietest ? sum : r->quietest;
        r->loudest = sum > r->loudest ? sum : r->loudest;
    }
    return PAT_OK;
}

static void on_skip(uint32_t samples, void *arg)
{
    (void)samples, (void)arg;
}

static void on_piece(uint32_t piece, void *arg)
{
    (void)piece, (void)arg;
}

static void on_played(uint32_t piece, void *arg)
{
    (void)piece;
    ((struct rig *)arg)->played = true;
}

static const struct player_sink sink = { on_send, on_skip };
static const struct player_events events = { on_piece, on_piece, on_played };

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    struct player_opts o = { .sink = &sink, .events = &events, .arg = r, .gain = 1 };

    assert_int_equal(pat_loop_new(&r->loop), PAT_OK);
    o.loop = r->loop;
    o.beat = &r->beat;
    assert_int_equal(player_new(&r->player, &o), PAT_OK);
    assert_int_equal(ambiences_new(&r->places, r->loop, NULL), PAT_OK);
    assert_int_equal(opusio_dec_new(&r->dec), PAT_OK);
    r->quietest = 1e9;
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;

    player_free(r->player);
    ambiences_free(r->places);
    opusio_dec_free(r->dec);
    for (int i = 0; i < 500 && pat_loop_free(r->loop); i++)
        pat_loop_run_once(r->loop, 20);
    free(r);
    return 0;
}

static struct ambience *ready(struct rig *r, const char *name, double volume)
{
    struct ambience *x = ambiences_get(r->places, name, volume);

    assert_non_null(x);
    for (int i = 0; i < 1500 && !ambience_ready(x); i++)
        pat_loop_run_once(r->loop, 20);
    assert_true(ambience_ready(x));
    return x;
}

static void run_until(struct rig *r, int packets)
{
    int64_t end = pat_now_us() + 30 * 1000 * 1000;

    while (r->sent < packets && pat_now_us() < end)
        pat_loop_run_once(r->loop, 5);
    assert_true(r->sent >= packets);
}

static void test_ambience__is_heard_while_nobody_speaks_and_nothing_is_encoded(void **state)
{
    struct rig *r = *state;

    player_set_ambience(r->player, ready(r, "summer-outdoor", 1));
    player_start(r->player);
    run_until(r, 50);
    assert_true(r->quietest > 10);
    assert_true(r->loudest < 4000);
    assert_int_equal(player_counts(r->player)->encoded, 0);
    assert_true(player_counts(r->player)->ambient >= 50);
}

static void test_ambience__goes_on_under_samples_and_packets(void **state)
{
    struct rig *r = *state;
    static const int16_t hush[48 * 400];
    struct phrase *p;

    player_set_ambience(r->player, ready(r, "mountain-outdoor", 2));
    player_start(r->player);
    run_until(r, 10);
    assert_int_equal(phrase_new(&p), PAT_OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(phrase_add(p, opusio_silence, OPUSIO_SILENCE_LEN, 30), PAT_OK);
    assert_int_equal(player_add(r->player, 1, hush, sizeof hush / sizeof hush[0]), PAT_OK);
    player_end(r->player, 1);
    assert_int_equal(player_add_phrase(r->player, 2, p), PAT_OK);
    phrase_unref(p);
    run_until(r, 60);
    assert_true(r->quietest > 10); /* silence said is the place's sound, too */
    assert_true(player_counts(r->player)->encoded > 15);
    assert_int_equal(player_counts(r->player)->passed, 0);
}

static void test_ambiences__one_for_all_who_want_the_same(void **state)
{
    struct rig *r = *state;
    struct ambience *a = ready(r, "coffee-shop", 1),
                    *b = ambiences_get(r->places, "coffee-shop", 1),
                    *c = ambiences_get(r->places, "coffee-shop", 0.5);

    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_null(ambiences_get(r->places, "moon", 1));
    assert_null(ambiences_get(r->places, "../../etc/passwd", 1));
    assert_null(ambiences_get(r->places, "coffee-shop", 0));
    ambience_unref(a);
    ambience_unref(b);
    ambience_unref(c);
    ambience_unref(NULL);
}

static void write_wav(const char *path, uint32_t rate, int16_t value)
{
    uint8_t head
        [44] = { 'R', 'I', 'F', 'F', 0,  0, 0,   0,   'W', 'A', 'V',  'E',  'f', 'm', 't',
                 ' ', 16,  0,   0,   0,  1, 0,   1,   0,   0,   0,    0,    0,   0,   0,
                 0,   0,   2,   0,   16, 0, 'd', 'a', 't', 'a', 0x00, 0x2D, 0,   0 /* 11520 */ };
    FILE *f = fopen(path, "wb");

    for (int i = 0; i < 4; i++)
        head[24 + i] = (uint8_t)(rate >> 8 * i);
    assert_non_null(f);
    assert_int_equal(fwrite(head, 1, sizeof head, f), sizeof head);
    for (int i = 0; i < 5760; i++) {
        int16_t v = (int16_t)(i % 96 < 48 ? value : -value);

        assert_int_equal(fwrite(&v, 2, 1, f), 1);
    }
    (void)fclose(f);
}

static void test_ambiences__take_a_recording_of_ones_own(void **state)
{
    struct rig *r = *state;
    char dir[] = "/tmp/patchbay-places-XXXXXX", path[64];
    struct ambience *x;
    int16_t pcm[OPUSIO_FRAME] = { 0 };

    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/office.wav", dir);
    write_wav(path, 48000, 1000);
    ambiences_free(r->places);
    assert_int_equal(ambiences_new(&r->places, r->loop, dir), PAT_OK);
    assert_true(ambiences_has(r->places, "office") && ambiences_has(r->places, "coffee-shop"));
    x = ready(r, "office", 0.5);
    ambience_mix(x, 7, pcm);
    assert_int_equal(pcm[0], 500);
    ambience_unref(x);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/coffee-shop.wav", dir);
    write_wav(path, 44100, 1000); /* not what we can play: ours is heard instead */
    ambience_unref(ready(r, "coffee-shop", 1));
    (void)unlink(path);
    (void)rmdir(dir);
}

#define PLACE_TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ambience__each_place_sounds_and_none_like_another),
        PLACE_TEST(test_ambience__is_heard_while_nobody_speaks_and_nothing_is_encoded),
        PLACE_TEST(test_ambience__goes_on_under_samples_and_packets),
        PLACE_TEST(test_ambiences__one_for_all_who_want_the_same),
        PLACE_TEST(test_ambiences__take_a_recording_of_ones_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
