/* record_it.c - recordings into a real store: `record_it s3|supabase`, for
 * tests/integration/test_recordings.py, which listens to what comes out.
 *
 * A recording in two epochs with a pause in the first, and a clip beside it, of tones: the caller
 * 400 Hz, the agent 1000 Hz. Then the store's own operations: list in pages, parts. */
#include "record.h"

#include <math.h>
#include <opus/opus.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CALL "01934d8e-5a00-7000-8000-0000000000aa"
#define USER "11111111-1111-4111-8111-111111111111"

enum { FRAME = 960, LIMIT_MS = 30000, PART = 5 << 20 };

struct stand {
    struct pat_loop *loop;
    struct pat_http *http;
    struct pat_journal *journal;
    struct recorder *recorder;
    struct record *record, *clip;
    OpusEncoder *enc[2];
    int frame, frames;
    int64_t began_us;
    struct pat_timer tick;
    bool done;
    int err;
    char text[300];
    size_t n;
    bool more;
};

static const char *store_kind;

static struct pat_store_opts store_opts(void)
{
    bool supabase = !strcmp(store_kind, "supabase");

    return (struct pat_store_opts){ .supabase = supabase,
                                    .url = getenv("PAT_TEST_STORE"),
                                    .bucket = "rec",
                                    .region = "us-east-1",
                                    .access_key = "AKIDOUBLE",
                                    .secret_key =
                                        supabase ? "sb_secret_1" : "the-secret-of-the-double" };
}

static size_t tone(struct stand *s, int side, uint8_t out[400])
{
    int16_t pcm[FRAME];
    int len;

    for (int i = 0; i < FRAME; i++)
        pcm[i] = (int16_t)(8000 * sin(2 * M_PI * (side ? 1000 : 400) *
                                      (double)(s->frame * FRAME + i) / 48000));
    len = opus_encode(s->enc[side], pcm, FRAME, out, 400);
    assert_true(len > 0);
    return (size_t)len;
}

/* Both sides speak, 20 ms at a time, by the clock. */
static void on_tick(void *arg)
{
    struct stand *s = arg;
    uint8_t opus[400];
    size_t len = tone(s, 0, opus);

    record_caller(s->record, opus, len, (uint32_t)(s->frame * FRAME), pat_now_us());
    record_caller(s->clip, opus, len, (uint32_t)(s->frame * FRAME), pat_now_us());
    len = tone(s, 1, opus);
    record_agent(s->record, opus, len, pat_now_us());
    record_agent(s->clip, opus, len, pat_now_us());
    s->frame++;
    if (--s->frames > 0)
        pat_timer_start_at(&s->tick, s->began_us + (int64_t)s->frame * 20000);
}

static void wait_done(struct stand *s)
{
    int64_t give_up = pat_now_ms() + LIMIT_MS;

    while (!s->done && pat_now_ms() < give_up)
        pat_loop_run_once(s->loop, 100);
    assert_true(s->done);
    s->done = false;
}

static void speak(struct stand *s, int ms)
{
    int64_t give_up = pat_now_ms() + LIMIT_MS;

    s->frames = ms / 20;
    pat_timer_start_at(&s->tick, s->began_us + (int64_t)s->frame * 20000);
    while (s->frames > 0 && pat_now_ms() < give_up)
        pat_loop_run_once(s->loop, 100);
}

static void on_over(void *arg)
{
    ((struct stand *)arg)->done = true;
}

static int set_up(void **state)
{
    struct stand *s = calloc(1, sizeof *s);
    int err;

    assert_non_null(s);
    assert_int_equal(pat_loop_new(&s->loop), PAT_OK);
    assert_int_equal(pat_http_new(&s->http, s->loop, &(struct pat_http_opts){ 0 }), PAT_OK);
    assert_int_equal(
        pat_journal_new(&s->journal, s->loop, NULL, NULL, &(struct pat_journal_opts){ 0 }), PAT_OK);
    assert_int_equal(pat_timer_init(&s->tick, s->loop, on_tick, s), PAT_OK);
    for (int i = 0; i < 2; i++)
        s->enc[i] = opus_encoder_create(48000, 1, OPUS_APPLICATION_VOIP, &err);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct stand *s = *state;

    for (int i = 0; i < 2; i++)
        opus_encoder_destroy(s->enc[i]);
    pat_timer_fini(&s->tick);
    pat_journal_close(s->journal, 0, on_over, s);
    wait_done(s);
    pat_http_free(s->http);
    for (int i = 0; i < 100 && pat_loop_free(s->loop) == PAT_EAGAIN; i++)
        pat_loop_run_once(s->loop, 10);
    free(s);
    return 0;
}

static void recorder_up(struct stand *s)
{
    const struct recorder_opts o = { .loop = s->loop,
                                     .http = s->http,
                                     .journal = s->journal,
                                     .store = store_opts(),
                                     .piece_ms = 500,
                                     .quiet_ms = 60000,
                                     .max_waiting = 1 << 20 };

    assert_int_equal(recorder_new(&s->recorder, &o), PAT_OK);
}

static void test_recording__two_agents_a_pause_and_a_clip(void **state)
{
    struct stand *s = *state;
    struct record_opts o = { .call_id = CALL, .user_id = USER, .name = RECORD_NAME, .epoch = 1 };
    const struct record_opts message = {
        .call_id = CALL, .user_id = USER, .name = "message-1", .epoch = 1, .caller_only = true
    };
    struct record_state st;

    recorder_up(s);
    s->began_us = pat_now_us();
    assert_int_equal(record_begin(&s->record, s->recorder, &o), PAT_OK);
    speak(s, 1000);
    record_pause(s->record);
    speak(s, 1000);
    record_unpause(s->record);
    assert_int_equal(record_begin(&s->clip, s->recorder, &message), PAT_OK);
    speak(s, 1000);
    record_end(s->clip);
    s->clip = NULL;
    st = record_state(s->record);
    st.name = RECORD_NAME;
    record_leave(s->record);
    s->record = NULL;
    speak(s, 1000); /* nobody hears it */
    o.epoch = 2;
    assert_int_equal(record_resume(&s->record, s->recorder, &o, &st), PAT_OK);
    speak(s, 1000);
    record_end(s->record);
    s->record = NULL;
    recorder_close(s->recorder, LIMIT_MS, on_over, s);
    wait_done(s);
}

static void test_recording__is_no_burden_when_there_is_none(void **state)
{
    (void)state;
    record_caller(NULL, (const uint8_t *)"x", 1, 0, 0);
    record_agent(NULL, (const uint8_t *)"x", 1, 0);
    record_new_track(NULL);
    record_pause(NULL);
    record_unpause(NULL);
    record_end(NULL);
    record_leave(NULL);
}

static void keep(int err, const struct pat_store_res *res, void *arg)
{
    struct stand *s = arg;

    s->err = err;
    s->n = res->n ? res->n : res->len;
    s->more = res->more;
    (void)pat_strcpy(s->text, sizeof s->text,
                     res->n      ? res->names[res->n - 1]
                     : res->data ? res->data
                                 : "");
    s->done = true;
}

static void done_well(struct stand *s)
{
    wait_done(s);
    assert_int_equal(s->err, PAT_OK);
}

static void test_store__keeps_lists_and_forgets(void **state)
{
    struct pat_store_opts o = store_opts();
    struct stand *s = *state;
    struct pat_store *store;
    char key[60];

    assert_int_equal(pat_store_new(&store, s->http, &o), PAT_OK);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(key, sizeof key, "a b/+%d.x", i);
        assert_int_equal(pat_store_put(store, key, "text/plain", "hello", 5, 5000, keep, s), 0);
        done_well(s);
    }
    assert_int_equal(pat_store_get(store, "a b/+1.x", 100, 5000, keep, s), PAT_OK);
    done_well(s);
    assert_string_equal(s->text, "hello");
    assert_int_equal(pat_store_list(store, "a b/", 0, NULL, 5000, keep, s), PAT_OK);
    done_well(s);
    assert_int_equal(s->n, 3);
    assert_false(s->more);
    assert_string_equal(s->text, "+2.x");
    assert_int_equal(pat_store_list(store, "a b/", 1, "+0.x", 5000, keep, s), PAT_OK);
    done_well(s);
    assert_int_equal(s->n, 2);
    for (int i = 0; i < 2; i++) { /* the second time there is nothing to delete */
        assert_int_equal(pat_store_delete(store, "a b/+1.x", 5000, keep, s), PAT_OK);
        done_well(s);
    }
    assert_int_equal(pat_store_get(store, "a b/+1.x", 100, 5000, keep, s), PAT_OK);
    wait_done(s);
    assert_int_equal(s->err, PAT_ENOENT);
    assert_int_equal(pat_store_get(store, "a b/+2.x", 100, 5000, keep, s), PAT_OK);
    pat_store_forget(store, s);
    pat_store_free(store);
    pat_loop_run_once(s->loop, 50);
    assert_false(s->done);
}

static void test_store__a_wrong_key_is_refused(void **state)
{
    struct pat_store_opts o = store_opts();
    struct stand *s = *state;
    struct pat_store *store;

    o.secret_key = "bad";
    assert_int_equal(pat_store_new(&store, s->http, &o), PAT_OK);
    assert_int_equal(pat_store_put(store, "x", "text/plain", "hello", 5, 5000, keep, s), PAT_OK);
    wait_done(s);
    assert_int_equal(s->err, PAT_EPERM);
    pat_store_free(store);
}

static void test_store__takes_a_large_object_in_parts(void **state)
{
    struct pat_store_opts o = store_opts();
    struct stand *s = *state;
    struct pat_store *store;
    char upload[300], tag[2][300];
    const char *tags[] = { tag[0], tag[1] };
    char *part;

    assert_int_equal(pat_store_new(&store, s->http, &o), PAT_OK);
    if (!pat_store_part_min(store)) {
        assert_int_equal(pat_store_begin(store, "big", "x/y", 5000, keep, s), PAT_EINVAL);
        pat_store_free(store);
        return;
    }
    assert_int_equal(pat_store_part_min(store), PART);
    part = calloc(1, PART);
    assert_int_equal(pat_store_begin(store, "big", "x/y", 5000, keep, s), PAT_OK);
    done_well(s);
    (void)pat_strcpy(upload, sizeof upload, s->text);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            pat_store_part(store, "big", upload, i + 1, part, i ? 10 : PART, 20000, keep, s), 0);
        done_well(s);
        (void)pat_strcpy(tag[i], sizeof tag[i], s->text);
    }
    assert_int_equal(pat_store_end(store, "big", upload, tags, 2, 5000, keep, s), PAT_OK);
    done_well(s);
    assert_int_equal(pat_store_get(store, "big", PART + 100, 20000, keep, s), PAT_OK);
    done_well(s);
    assert_int_equal(s->n, PART + 10);
    free(part);
    pat_store_free(store);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_recording__two_agents_a_pause_and_a_clip, set_up,
                                        tear_down),
        cmocka_unit_test(test_recording__is_no_burden_when_there_is_none),
        cmocka_unit_test_setup_teardown(test_store__keeps_lists_and_forgets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store__a_wrong_key_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store__takes_a_large_object_in_parts, set_up,
                                        tear_down),
    };

    if (argc != 2)
        return 2;
    store_kind = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
