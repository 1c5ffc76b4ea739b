/* datachannel_test.c - two of our own ends talk through queues on one loop; DCEP's odd forms. */
#include "datachannel.h"

#include "test/cmocka.h"
#include "test/loop_until.h"

#include <stdlib.h>
#include <string.h>

struct side {
    struct pat_loop *loop;
    struct datachannels *dc;
    struct side *other;
    int opened;
    int down;
    char got[2][70000];
    size_t len[2];
    int n[2];
    int drop; /* this many packets get lost */
};

struct packet {
    struct side *to;
    size_t len;
    uint8_t data[];
};

static void deliver(void *arg)
{
    struct packet *p = arg;

    if (p->to->dc)
        datachannels_input(p->to->dc, p->data, p->len);
    free(p);
}

static void on_send(const uint8_t *data, size_t len, void *arg)
{
    struct side *s = arg;

    assert_true(len <= 1200);
    if (s->drop > 0) {
        s->drop--;
        return;
    }
    struct packet *p = malloc(sizeof *p + len);
    p->to = s->other;
    p->len = len;
    memcpy(p->data, data, len);
    assert_int_equal(pat_loop_post(s->loop, deliver, p), PAT_OK);
}

static void on_open(void *arg)
{
    ((struct side *)arg)->opened++;
}

static void on_message(bool reliable, const uint8_t *data, size_t len, void *arg)
{
    struct side *s = arg;

    memcpy(s->got[reliable], data, len);
    s->len[reliable] = len;
    s->n[reliable]++;
}

static void on_down(void *arg)
{
    ((struct side *)arg)->down++;
}

static const struct datachannel_events events = { on_send, on_open, on_message, on_down };

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

static void test_datachannels__carry_both_kinds_both_ways(void **state)
{
    static struct side a, b;
    static char big[60000];
    struct pat_loop *loop;
    struct sctp_hub *hub;
    bool closed = false;

    (void)state;
    assert_int_equal(pat_loop_new(&loop), PAT_OK);
    assert_int_equal(sctp_hub_new(&hub, loop), PAT_OK);
    a = (struct side){ .loop = loop, .other = &b, .drop = 1 };
    b = (struct side){ .loop = loop, .other = &a };
    assert_int_equal(datachannels_new(&a.dc, hub, true, &events, &a), PAT_OK);
    assert_int_equal(datachannels_new(&b.dc, hub, false, &events, &b), PAT_OK);
    assert_int_equal(datachannels_send(a.dc, true, "x", 1), PAT_EAGAIN);
    loop_until(loop, a.opened == 1 && b.opened == 1);

    memset(big, 'b', sizeof big);
    assert_int_equal(datachannels_send(a.dc, true, big, sizeof big), PAT_OK);
    loop_until(loop, b.n[1] == 1);
    assert_int_equal(b.len[1], sizeof big);
    assert_memory_equal(b.got[1], big, sizeof big);
    assert_int_equal(datachannels_send(b.dc, false, "lossy", 5), PAT_OK);
    loop_until(loop, a.n[0] == 1);
    assert_memory_equal(a.got[0], "lossy", 5);
    assert_int_equal(datachannels_send(a.dc, true, big, SCTP_MESSAGE_MAX + 1), PAT_E2BIG);

    datachannels_free(a.dc);
    a.dc = NULL;
    loop_until(loop, b.down == 1);
    datachannels_free(b.dc);
    b.dc = NULL;
    sctp_hub_close(hub, on_closed, &closed);
    loop_until(loop, closed);
    assert_int_equal(pat_loop_free(loop), PAT_OK);
}

static void test_dcep__table(void **state)
{
    static const struct {
        uint8_t data[20];
        size_t len;
        int err;
    } rows[] = {
        { { 3, 0, [9] = 2, [12] = 'o', 'k' }, 14, PAT_OK },
        { { 3, 0, [9] = 2, [12] = 'o', 'k' }, 13, PAT_EPROTO },
        { { 3, 0, [9] = 2, [11] = 9, [12] = 'o', 'k' }, 20, PAT_EPROTO },
        { { 3, 0 }, 11, PAT_EPROTO },
        { { 2 }, 12, PAT_EPROTO },
        { { 0 }, 0, PAT_EPROTO },
    };
    struct dcep_open open;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (dcep_parse_open(&open, rows[i].data, rows[i].len) != rows[i].err)
            fail_msg("row %zu", i);
    uint8_t raw[64];
    int n = dcep_build_open(raw, sizeof raw, false, "_lossy");
    assert_int_equal(dcep_parse_open(&open, raw, (size_t)n), PAT_OK);
    assert_int_equal(open.type, 0x81);
    assert_int_equal(open.label_len, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_datachannels__carry_both_kinds_both_ways),
        cmocka_unit_test(test_dcep__table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
