/* record.c - one recording: from packets with clocks of their own to pieces with one.
 *
 * How: the caller's RTP time is laid onto the time since the recording began by when its packets
 * come, our own packets are where they were sent. What is older than HOLD_MS is mixed once a
 * second. It does not look into the sound.
 */
#include "record.h"

#include "mix.h"
#include "recorder_int.h"

#include <opus/opus.h>
#include <stdlib.h>
#include <string.h>

enum {
    PER_MS = 48,
    TICK_MS = 1000,
    HOLD_MS = 300, /* packets that come later than this are lost to the recording */
    JUMP = 1000 * PER_MS,
    EARLY = 10 * PER_MS,
    DRIFT = 40 * PER_MS, /* clocks apart by so much are set right */
    WINDOW = 500,        /* packets in which the shortest delay is looked for */
    TOGETHER = 40 * PER_MS,
    PIECE_MAX = 1 << 20,
};

struct record {
    struct recorder *r;
    struct keep *keep;
    struct pat_loop *loop;
    struct pat_timer tick;
    int64_t began_us; /* pat_now_us */
    bool caller_only, paused;
    int64_t deaf_until; /* what was spoken during a pause and came after it */

    bool anchored;
    uint32_t anchor_ts;
    int64_t anchor_at, least_delay;
    int seen;
    bool agent_begun;
    int64_t agent_next;

    struct record_mix mix;
    struct ogg_page page;
    struct pat_buf data; /* of the piece being made */
    struct record_piece piece;
};

static int64_t at_time(const struct record *r, int64_t us)
{
    return (us - r->began_us) * PER_MS / 1000;
}

static void submit(struct record *r)
{
    if (!r->data.len || r->data.err) {
        if (r->data.err)
            pat_log(PAT_ERROR, "record.piece_lost", PAT_S("call", r->keep->call_id),
                    PAT_ERR(r->data.err));
        pat_buf_reset(&r->data);
    } else {
        r->piece.to = r->mix.pos;
        recorder_send(r->keep, &r->piece, &r->data);
        pat_buf_init(&r->data, PIECE_MAX);
    }
    r->piece.number++;
    r->piece.from = r->mix.pos;
}

static void write_until(struct record *r, int64_t until)
{
    uint8_t packet[RECORD_PACKET_MAX];
    uint32_t samples;
    int64_t before = r->mix.pos;
    size_t len;

    while ((len = record_mix_next(&r->mix, until, packet, &samples)) > 0) {
        if (ogg_page_add(&r->page, packet, len)) {
            (void)ogg_page_flush(&r->page, before, 0, &r->data);
            r->mix.lost +=
                ogg_page_add(&r->page, packet, len) != PAT_OK; /* an empty page has room */
        }
        before = r->mix.pos;
        if (r->mix.pos - r->piece.from >= r->r->o.piece_ms * PER_MS) {
            (void)ogg_page_flush(&r->page, r->mix.pos, 0, &r->data);
            submit(r);
        }
    }
    (void)ogg_page_flush(&r->page, r->mix.pos, 0, &r->data);
}

static void on_tick(void *arg)
{
    struct record *r = arg;

    write_until(r, at_time(r, pat_now_us()) - HOLD_MS * PER_MS);
    pat_timer_start(&r->tick, TICK_MS);
}

static uint32_t serial_of(const struct keep *k)
{
    uint8_t hash[32];

    pat_sha256(k->call_id, strlen(k->call_id), hash);
    return (uint32_t)(hash[0] | hash[1] << 8 | hash[2] << 16) | 1;
}

static int record_new(struct record **out, struct recorder *rec, const struct record_opts *o,
                      int64_t began_ms)
{
    struct record *r = calloc(1, sizeof *r);
    int64_t age_ms = pat_unix_ms() - began_ms;
    int64_t pos;

    if (!r)
        return PAT_ENOMEM;
    r->r = rec;
    r->loop = rec->o.loop;
    r->began_us = pat_now_us() - (age_ms > 0 ? age_ms : 0) * 1000;
    r->caller_only = o->caller_only;
    pos = at_time(r, pat_now_us()) / RECORD_SLOT * RECORD_SLOT;
    record_mix_init(&r->mix, pos);
    r->piece = (struct record_piece){ o->epoch, 0, pos, pos };
    pat_buf_init(&r->data, PIECE_MAX);
    if (pat_timer_init(&r->tick, r->loop, on_tick, r) || !(r->keep = keep_new(rec, o, began_ms))) {
        pat_timer_fini(&r->tick);
        free(r);
        return PAT_ENOMEM;
    }
    ogg_page_init(&r->page, serial_of(r->keep), 0);
    if (ogg_headers(&r->page, r->keep->call_id, &r->data)) /* the file gets its own when joined */
        pat_log(PAT_DEBUG, "record.no_header", PAT_S("call", r->keep->call_id));
    pat_timer_start(&r->tick, TICK_MS);
    *out = r;
    return PAT_OK;
}

int record_begin(struct record **out, struct recorder *rec, const struct record_opts *o)
{
    const struct keep_told told = { "started", true, -1, -1, -1 };
    int err = record_new(out, rec, o, pat_unix_ms());

    if (!err)
        keep_tell((*out)->keep, &told);
    return err;
}

int record_resume(struct record **out, struct recorder *rec, const struct record_opts *o,
                  const struct record_state *s)
{
    const struct keep_told told = { "resumed", false, -1, -1, -1 };
    int err = record_new(out, rec, o, s->began_ms);

    if (err)
        return err;
    (*out)->paused = s->paused;
    keep_tell((*out)->keep, &told);
    return PAT_OK;
}

static void add(struct record *r, enum record_side side, int64_t at, const uint8_t *opus,
                size_t len)
{
    int err = at < r->deaf_until ? PAT_OK : record_mix_add(&r->mix, side, at, opus, len);

    if (err)
        pat_log(PAT_DEBUG, "record.packet", PAT_S("call", r->keep->call_id), PAT_ERR(err));
}

/* The track's time is ours plus what the network took: the packet that took the least tells, and
 * when even that one grows, the clocks go apart. */
static void follow(struct record *r, int64_t delay)
{
    if (r->seen == 0 || delay < r->least_delay)
        r->least_delay = delay;
    if (++r->seen < WINDOW)
        return;
    if (r->least_delay > DRIFT)
        r->anchor_at += r->least_delay;
    r->seen = 0;
}

void record_caller(struct record *r, const uint8_t *opus, size_t len, uint32_t timestamp,
                   int64_t received_us)
{
    int64_t came, at;

    if (!r || r->paused)
        return;
    came = at_time(r, received_us);
    at = r->anchor_at + (int32_t)(timestamp - r->anchor_ts);
    if (!r->anchored || came - at > JUMP || at - came > EARLY) {
        r->anchored = true;
        r->anchor_ts = timestamp;
        r->anchor_at = at = came;
        r->seen = 0;
    } else {
        /* Kept near, so that the difference of time stamps never overflows. */
        r->anchor_ts = timestamp;
        r->anchor_at = at;
        follow(r, came - at);
    }
    add(r, RECORD_CALLER, at, opus, len);
}

void record_new_track(struct record *r)
{
    if (r)
        r->anchored = false;
}

void record_agent(struct record *r, const uint8_t *opus, size_t len, int64_t sent_us)
{
    int samples;
    int64_t at;

    if (!r || r->paused || r->caller_only || len > INT32_MAX)
        return;
    samples = opus_packet_get_nb_samples(opus, (opus_int32)len, 48000);
    at = at_time(r, sent_us);
    if (r->agent_begun && llabs(at - r->agent_next) < TOGETHER)
        at = r->agent_next; /* packets of one timeline, sent a little early or late */
    r->agent_begun = true;
    r->agent_next = at + (samples > 0 ? samples : 0);
    add(r, RECORD_AGENT, at, opus, len);
}

static void tell_pause(struct record *r, const char *state)
{
    const struct keep_told told = { state, false, record_ms(r), -1, -1 };

    pat_log(PAT_INFO, "record.pause", PAT_S("call", r->keep->call_id), PAT_S("state", state));
    keep_tell(r->keep, &told);
}

void record_pause(struct record *r)
{
    if (!r || r->paused)
        return;
    r->paused = true;
    tell_pause(r, "paused");
}

void record_unpause(struct record *r)
{
    if (!r || !r->paused)
        return;
    r->paused = false;
    r->deaf_until = at_time(r, pat_now_us());
    r->agent_begun = false;
    tell_pause(r, "unpaused");
}

struct record_state record_state(const struct record *r)
{
    return (struct record_state){ r->keep->name, r->keep->began_ms, r->paused };
}

int64_t record_ms(const struct record *r)
{
    return at_time(r, pat_now_us()) / PER_MS;
}

void record_object(const struct record *r, char out[RECORD_OBJECT_MAX])
{
    keep_object(r->keep, out);
}

static void finish(struct record *r, bool left)
{
    struct keep *k = r->keep;

    write_until(r, at_time(r, pat_now_us()));
    submit(r);
    pat_timer_fini(&r->tick);
    record_mix_fini(&r->mix);
    pat_buf_fini(&r->data);
    if (r->mix.lost)
        pat_log(PAT_INFO, "record.frames_lost", PAT_S("call", k->call_id),
                PAT_I("frames", r->mix.lost));
    free(r);
    k->over = true;
    k->left = left;
    keep_step(k);
}

void record_end(struct record *r)
{
    if (r)
        finish(r, false);
}

void record_leave(struct record *r)
{
    if (r)
        finish(r, true);
}
