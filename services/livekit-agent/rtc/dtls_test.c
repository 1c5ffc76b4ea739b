/* dtls_test.c - two ends shake hands on one loop, agree on SRTP keys, and refuse a stranger. */
#include "dtls.h"

#include "rtp.h"
#include "srtp.h"

#include "test/cmocka.h"
#include "test/loop_until.h"

#include <stdlib.h>
#include <string.h>

struct side {
    struct pat_loop *loop;
    struct dtls *dtls;
    struct side *other;
    int up;
    int down;
    int down_err;
    int sent;
    int drop_nth; /* this one is lost, from 1; 0: none */
    char got[16];
};

struct packet {
    struct side *to;
    size_t len;
    uint8_t data[];
};

static void deliver(void *arg)
{
    struct packet *p = arg;

    if (p->to->dtls)
        dtls_input(p->to->dtls, p->data, p->len);
    free(p);
}

static void on_send(const uint8_t *data, size_t len, void *arg)
{
    struct side *s = arg;

    assert_true(len <= DTLS_MTU);
    if (++s->sent == s->drop_nth)
        return;
    struct packet *p = malloc(sizeof *p + len);
    p->to = s->other;
    p->len = len;
    memcpy(p->data, data, len);
    assert_int_equal(pat_loop_post(s->loop, deliver, p), PAT_OK);
}

static void on_up(void *arg)
{
    ((struct side *)arg)->up++;
}

static void on_data(const uint8_t *data, size_t len, void *arg)
{
    struct side *s = arg;

    assert_true(len < sizeof s->got);
    memcpy(s->got, data, len);
}

static void on_down(int err, void *arg)
{
    struct side *s = arg;

    s->down++;
    s->down_err = err;
}

static const struct dtls_events events = { on_send, on_up, on_data, on_down };

struct pair {
    struct pat_loop *loop;
    struct dtls_id *ids[2];
    struct side a, b;
};

static void read_hex(uint8_t out[32], const char *text)
{
    for (int i = 0; i < 32; i++)
        out[i] = (uint8_t)strtoul(text + 3 * i, NULL, 16);
}

static int setup(void **state)
{
    struct pair *p = calloc(1, sizeof *p);

    if (!p || pat_loop_new(&p->loop) || dtls_id_new(&p->ids[0]) || dtls_id_new(&p->ids[1]))
        return -1;
    p->a = (struct side){ .loop = p->loop, .other = &p->b };
    p->b = (struct side){ .loop = p->loop, .other = &p->a };
    if (dtls_new(&p->a.dtls, p->loop, p->ids[0], &events, &p->a) ||
        dtls_new(&p->b.dtls, p->loop, p->ids[1], &events, &p->b))
        return -1;
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;

    dtls_free(p->a.dtls);
    dtls_free(p->b.dtls);
    p->a.dtls = p->b.dtls = NULL;
    pat_loop_run_once(p->loop, 0);
    dtls_id_free(p->ids[0]);
    dtls_id_free(p->ids[1]);
    int err = pat_loop_free(p->loop);
    free(p);
    return err;
}

static void start(struct pair *p, bool right)
{
    uint8_t fp[2][32];

    read_hex(fp[0], dtls_id_fingerprint(p->ids[0]));
    read_hex(fp[1], dtls_id_fingerprint(p->ids[1]));
    if (!right)
        fp[1][5] ^= 1;
    dtls_start(p->a.dtls, true, fp[1]);
    dtls_start(p->b.dtls, false, fp[0]);
}

static void test_dtls__both_ends_seal_for_each_other(void **state)
{
    struct pair *p = *state;
    uint8_t keys[2][SRTP_MATERIAL_MAX], raw[200], opened[200];
    unsigned profile[2];
    struct srtp_pair *sa, *sb;
    const struct rtp_packet packet = { .pt = 111, .payload = (const uint8_t *)"abc", .len = 3 };
    struct rtp_packet back;

    start(p, true);
    loop_until(p->loop, p->a.up && p->b.up);
    assert_int_equal(dtls_srtp_keys(p->a.dtls, &profile[0], keys[0], sizeof keys[0]), PAT_OK);
    assert_int_equal(dtls_srtp_keys(p->b.dtls, &profile[1], keys[1], sizeof keys[1]), PAT_OK);
    assert_int_equal(profile[0], 7); /* AEAD_AES_128_GCM first: a third of SHA1's cost */
    assert_int_equal(profile[0], profile[1]);
    assert_memory_equal(keys[0], keys[1], srtp_material_len(profile[0]));
    assert_int_equal(srtp_pair_new(&sa, profile[0], keys[0], true), PAT_OK);
    assert_int_equal(srtp_pair_new(&sb, profile[1], keys[1], false), PAT_OK);
    size_t len = (size_t)rtp_build(raw, sizeof raw, &packet);
    assert_int_equal(srtp_pair_seal(sa, raw, &len), PAT_OK);
    size_t open_len = len;
    memcpy(opened, raw, len);
    assert_int_equal(srtp_pair_open(sb, opened, &open_len), PAT_OK);
    assert_int_equal(rtp_parse(&back, opened, open_len), PAT_OK);
    assert_memory_equal(back.payload, "abc", 3);
    open_len = len;
    assert_int_equal(srtp_pair_open(sb, raw, &open_len), PAT_EAUTH); /* the same again */
    srtp_pair_free(sa);
    srtp_pair_free(sb);
}

static void test_dtls__carries_data_and_says_goodbye(void **state)
{
    struct pair *p = *state;

    start(p, true);
    loop_until(p->loop, p->a.up && p->b.up);
    assert_int_equal(dtls_send(p->a.dtls, (const uint8_t *)"hello", 5), PAT_OK);
    loop_until(p->loop, strcmp(p->b.got, "hello") == 0);
    dtls_free(p->a.dtls);
    p->a.dtls = NULL;
    loop_until(p->loop, p->b.down == 1);
    assert_int_equal(p->b.down_err, PAT_ECONN);
    assert_int_equal(dtls_send(p->b.dtls, (const uint8_t *)"x", 1), PAT_ECONN);
}

static void test_dtls__a_lost_flight_is_sent_again(void **state)
{
    struct pair *p = *state;

    p->b.drop_nth = 1;
    start(p, true);
    loop_until(p->loop, p->a.up && p->b.up);
}

static void test_dtls__another_certificate_is_refused(void **state)
{
    struct pair *p = *state;

    start(p, false);
    loop_until(p->loop, p->a.down == 1);
    assert_int_equal(p->a.down_err, PAT_EAUTH);
    assert_int_equal(p->a.up, 0);
}

static void test_dtls__noise_is_survived(void **state)
{
    struct pair *p = *state;
    static const uint8_t noise[] = { 23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 3, 1, 2, 3 };
    static const uint8_t sealed[13 + 40] = { 23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 40, 1, 2, 3 };

    dtls_input(p->a.dtls, noise, sizeof noise); /* not started */
    start(p, true);
    dtls_input(p->a.dtls, noise, sizeof noise);
    dtls_input(p->a.dtls, sealed, sizeof sealed);
    dtls_input(p->a.dtls, (const uint8_t *)"\x17", 1);
    loop_until(p->loop, p->a.up && p->b.up);
    dtls_input(p->b.dtls, noise, sizeof noise);
    assert_int_equal(dtls_send(p->a.dtls, (const uint8_t *)"still", 5), PAT_OK);
    loop_until(p->loop, strcmp(p->b.got, "still") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dtls__both_ends_seal_for_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dtls__carries_data_and_says_goodbye, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dtls__a_lost_flight_is_sent_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dtls__another_certificate_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dtls__noise_is_survived, setup, teardown),
    };

    if (srtp_global_init())
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    srtp_global_fini();
    return failed;
}
