/* fuzz_signal.c - a server that says anything, in any order: signalling responses and data packets
 * into a room that is really there (without a network).
 *
 * Input: pieces of one kind byte (bit 0: data packet, bit 1: count the room as joined), a length
 * byte times 8 and that many bytes.
 */
#include "livekit.pb-c.h"
#include "peer.h"
#include "room.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct pat_loop *loop;
    struct rtc *rtc;
};

static void on_plain(void *arg)
{
    (void)arg;
}

static void on_participant(const struct rtc_participant *p, void *arg)
{
    (void)arg;
    if (!p->identity || !p->sid || !p->name)
        abort();
}

static void on_attribute(const struct rtc_participant *p, const char *name, const char *value,
                         void *arg)
{
    on_participant(p, arg);
    if (!name || !value)
        abort();
}

static void on_packet(const struct rtc_packet *p, void *arg)
{
    (void)p;
    (void)arg;
}

static void on_dtmf(const struct rtc_participant *p, char digit, void *arg)
{
    (void)digit;
    on_participant(p, arg);
}

static void on_text(const char *identity, const char *topic, const char *text, size_t len,
                    void *arg)
{
    (void)arg;
    if (!identity || !topic || !pat_utf8_valid(text, len))
        abort();
}

static void on_left(enum rtc_left reason, void *arg)
{
    (void)reason;
    *(bool *)arg = true;
}

static struct world *world(void)
{
    static struct world w;
    const struct pat_log_opts quiet = { .service = "fuzz", .level = PAT_ERROR, .fd = 2 };

    if (!w.loop) {
        pat_log_setup(&quiet);
        if (pat_loop_new(&w.loop) || rtc_new(&w.rtc, w.loop, NULL, NULL))
            abort();
    }
    return &w;
}

static void on_timer(void *arg)
{
    (void)arg;
}

/* What rtc_room_join makes, but for the socket. */
static struct rtc_room *room_new(struct world *w, bool *left)
{
    static const struct rtc_events events = { on_plain,  on_participant, on_attribute, on_plain,
                                              on_packet, on_dtmf,        on_text,      on_left };
    struct rtc_room *r = calloc(1, sizeof *r);

    if (!r)
        abort();
    r->rtc = w->rtc;
    r->ev = events;
    r->arg = left;
    r->url = strdup("ws://127.0.0.1:9");
    r->token = strdup("t");
    r->track_name = strdup("voice");
    (void)pat_strcpy(r->cid, sizeof r->cid, "cid");
    rtc_hold(w->rtc);
    if (pat_timer_init(&r->deadline, w->loop, on_timer, r) ||
        pat_timer_init(&r->attempt, w->loop, on_timer, r) ||
        pat_timer_init(&r->answer, w->loop, on_timer, r) || room_new_peer(r))
        abort();
    r->neg.in_flight = true;
    return r;
}

static void feed(struct rtc_room *r, uint8_t kind, const uint8_t *data, size_t len)
{
    if ((kind & 2) && r->state == ROOM_CONNECTING)
        room_set_state(r, ROOM_JOINED);
    if (kind & 1) {
        room_on_data(r, kind & 4, data, len);
        return;
    }
    Livekit__SignalResponse *m = livekit__signal_response__unpack(NULL, len, data);
    if (!m)
        return;
    room_on_signal(r, m);
    livekit__signal_response__free_unpacked(m, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = world();
    bool left = false;
    struct rtc_room *r = room_new(w, &left);

    while (size >= 2 && !left) {
        size_t len = (size_t)data[1] * 8;

        if (len > size - 2)
            len = size - 2;
        feed(r, data[0], data + 2, len);
        data += 2 + len;
        size -= 2 + len;
    }
    if (!left)
        rtc_room_abort(r);
    for (int i = 0; i < 4; i++)
        pat_loop_run_once(w->loop, 0);
    return 0;
}
