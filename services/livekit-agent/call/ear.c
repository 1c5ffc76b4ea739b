/* ear.c - two timelines out of packets that come, come late, or do not come.
 *
 * Whether somebody speaks is judged as packets arrive, and what is missing is made up for from its
 * neighbours: barge-in waits for nobody. The recogniser gets them in order, and a gap may be filled
 * meanwhile. A timer speaks up for packets that are not sent at all. It keeps no samples.
 */
#include "ear.h"

#include "../speech/denoise.h"
#include "../speech/opusio.h"
#include "../speech/packets.h"
#include "../speech/vad.h"
#include "order.h"

#include <stdlib.h>

enum {
    PER_MS = 48,
    VAD_START_MS = 60,
    VAD_STOP_MS = 200,
    GAP_MS = 100,       /* no packet for so long: the sender is silent */
    MAX_LOSS_MS = 1000, /* a longer jump of the RTP clock is a new timeline */
    VAD_FRAME = 320,    /* 20 ms at 16 kHz */
    CONCEAL_MS = 60,    /* of a gap made up for; behind that it is a pause */
    DENOISE_DB = 25,
    CALM_MS = 700,       /* no voice for so long: nobody is about to end a turn ... */
    VERY_CALM_MS = 1500, /* ... nor is the recogniser */
};

/* Where a timeline has come to. */
struct line {
    bool begun;
    uint32_t next_ts;
    int64_t filled_ms; /* of the present gap, already told as silence */
};

struct ear {
    struct pat_loop *loop;
    const struct ear_events *ev;
    void *arg;
    struct stt *stt;
    struct packets *early; /* until there is a recogniser */
    int64_t early_pos;
    struct opusio_dec *dec;
    struct denoise *denoise; /* NULL: packets go on as they are */
    struct vad vad;
    struct order order;
    struct pat_timer gap, hold; /* hold: until what a gap delays goes on without it */
    int64_t hold_us;            /* ... on the clock of the packets' arrival */
    bool calm;
    struct line judged, passed; /* as it arrives; in order */
    int64_t voiced_us;
};

static void on_gap(void *arg);
static void on_hold(void *arg);

int ear_new(struct ear **out, struct pat_loop *l, const struct ear_events *ev, void *arg)
{
    const struct vad_conf conf = { .start_ms = VAD_START_MS, .stop_ms = VAD_STOP_MS };
    struct ear *e = calloc(1, sizeof *e);
    int err = PAT_ENOMEM;

    if (!e)
        return err;
    e->loop = l;
    e->ev = ev;
    e->arg = arg;
    err = vad_init(&e->vad, &conf);
    if (err)
        goto fail;
    err = opusio_dec_new(&e->dec);
    if (err)
        goto fail_vad;
    err = pat_timer_init(&e->gap, l, on_gap, e);
    if (err)
        goto fail_dec;
    err = pat_timer_init(&e->hold, l, on_hold, e);
    if (err)
        goto fail_gap;
    *out = e;
    return PAT_OK;

fail_gap:
    pat_timer_fini(&e->gap);
fail_dec:
    opusio_dec_free(e->dec);
fail_vad:
    vad_fini(&e->vad);
fail:
    free(e);
    return err;
}

static void drop_early(struct ear *e)
{
    if (e->early)
        packets_fini(e->early);
    free(e->early);
    e->early = NULL;
}

void ear_free(struct ear *e)
{
    if (!e)
        return;
    drop_early(e);
    pat_timer_fini(&e->gap);
    pat_timer_fini(&e->hold);
    order_fini(&e->order);
    opusio_dec_free(e->dec);
    denoise_free(e->denoise);
    vad_fini(&e->vad);
    free(e);
}

int ear_set_noise(struct ear *e, enum ear_noise noise)
{
    static const struct {
        int strict, margin_db;
    } levels[] = { { 1, 6 }, { 2, 8 }, { 3, 10 }, { 4, 10 } };
    struct denoise *d = NULL;
    int err = noise == EAR_NOISE_HIGH ? denoise_new(&d, DENOISE_DB) : PAT_OK;

    if (err)
        return err;
    denoise_free(e->denoise);
    e->denoise = d;
    vad_set(&e->vad, levels[noise].strict, levels[noise].margin_db);
    return PAT_OK;
}

void ear_attach(struct ear *e, struct stt *s)
{
    const struct packet *p;

    e->stt = s;
    for (size_t i = 0; s && e->early && (p = packets_at(e->early, i)) != NULL; i++)
        stt_audio(s, p->data, p->len, p->samples);
    drop_early(e);
}

static void keep_early(struct ear *e, const uint8_t *opus, size_t len, uint32_t samples)
{
    if (!e->early) {
        e->early = malloc(sizeof *e->early);
        if (!e->early)
            return;
        packets_init(e->early);
    }
    if (!opus) {
        opus = opusio_silence;
        len = OPUSIO_SILENCE_LEN;
    }
    /* One that does not fit is lost; the ring holds more than anybody waits. */
    if (packets_add(e->early, e->early_pos, opus, len, samples) == PAT_OK)
        e->early_pos += samples;
}

static void pass_on(struct ear *e, const uint8_t *opus, size_t len, uint32_t samples)
{
    if (e->stt)
        stt_audio(e->stt, opus, len, samples);
    else
        keep_early(e, opus, len, samples);
}

/* What is silent may take its time: the first voiced packet ends that, before anything is sent. */
static void see_calm(struct ear *e, int quiet_ms)
{
    bool calm = quiet_ms >= CALM_MS;

    if (e->stt)
        stt_together(e->stt, quiet_ms >= VERY_CALM_MS ? STT_TOGETHER_MAX : calm ? 2 : 1);
    if (calm == e->calm)
        return;
    e->calm = calm;
    if (e->ev->calm)
        e->ev->calm(calm, e->arg);
}

static void heard(struct ear *e, enum vad_event v, int64_t now_us)
{
    int64_t quiet_us = (int64_t)vad_unvoiced_ms(&e->vad) * 1000;

    see_calm(e, vad_unvoiced_ms(&e->vad));

    if (e->vad.speaking && !quiet_us)
        e->voiced_us = now_us;
    if (v == VAD_STARTED)
        e->ev->voice_started(now_us - VAD_START_MS * 1000, e->arg);
    else if (v == VAD_STOPPED)
        e->ev->voice_stopped(now_us - quiet_us, e->arg);
}

static void pass_silence(struct ear *e, int64_t ms)
{
    for (; ms > 0; ms -= 20)
        pass_on(e, NULL, 0, OPUSIO_FRAME);
}

static void judge_silence(struct ear *e, int64_t ms, int64_t now_us)
{
    for (; ms > 0; ms -= 20)
        heard(e, vad_silence(&e->vad, 20), now_us);
}

/* DTX or a gap in the network: the recogniser hears silence meanwhile, unless something waits for
 * what was lost before it. */
static void on_gap(void *arg)
{
    struct ear *e = arg;

    judge_silence(e, GAP_MS, pat_now_us());
    e->judged.filled_ms += GAP_MS;
    if (!order_due_us(&e->order)) {
        pass_silence(e, GAP_MS);
        e->passed.filled_ms += GAP_MS;
    }
    pat_timer_start(&e->gap, GAP_MS);
}

/* How much is missing before this packet, not told yet; the line goes on behind it. */
static int64_t missing(struct line *l, uint32_t timestamp, uint32_t samples)
{
    int64_t ms = l->begun ? (int64_t)(int32_t)(timestamp - l->next_ts) / PER_MS - l->filled_ms : 0;

    *l = (struct line){ .begun = true, .next_ts = timestamp + samples };
    return ms > 0 && ms <= MAX_LOSS_MS ? ms : 0;
}

static void judge_samples(struct ear *e, const int16_t *pcm, int n, int64_t now_us)
{
    for (int at = 0; at + VAD_FRAME <= n; at += VAD_FRAME)
        heard(e, vad_samples(&e->vad, pcm + at, VAD_FRAME), now_us);
}

/* True: it has gone on without its noise, and the detector has heard it. */
static bool clean(struct ear *e, const struct rtc_packet *p, uint32_t samples)
{
    int16_t pcm[OPUSIO_MAX_16K];
    uint8_t opus[OPUSIO_MAX_PACKET];
    int n, len = denoise_packet(e->denoise, p->opus, p->len, pcm, &n, opus);

    if (len < 0)
        return false;
    pass_on(e, opus, (size_t)len, samples);
    if (n > 0 && e->ev->sound)
        e->ev->sound(pcm, n, e->arg);
    judge_samples(e, pcm, n, p->received_us);
    return true;
}

/* What was lost before this packet. */
static void judge_lost(struct ear *e, const struct rtc_packet *p, int64_t ms)
{
    int16_t pcm[OPUSIO_MAX_16K];
    int n = 0;

    if (!ms)
        return;
    if (ms <= CONCEAL_MS && p->audio_level < 0)
        n = opusio_recover(e->dec, p->opus, p->len, (uint32_t)ms * PER_MS, pcm);
    if (n > 0)
        judge_samples(e, pcm, n, p->received_us);
    else
        judge_silence(e, ms, p->received_us);
}

static void judge(struct ear *e, const struct rtc_packet *p, uint32_t samples)
{
    int16_t pcm[OPUSIO_MAX_16K];

    if (p->audio_level >= 0) {
        heard(e, vad_level(&e->vad, p->audio_level, (int)(samples / PER_MS)), p->received_us);
        return;
    }
    if (opusio_inactive(p->opus, p->len)) {
        heard(e, vad_silence(&e->vad, (int)(samples / PER_MS)), p->received_us);
        return;
    }
    judge_samples(e, pcm, opusio_decode(e->dec, p->opus, p->len, samples, pcm), p->received_us);
}

static void on_ordered(const struct rtc_packet *p, void *arg)
{
    struct ear *e = arg;
    uint32_t samples = opusio_samples(p->opus, p->len);
    int64_t lost_ms;

    if (!samples)
        return;
    lost_ms = missing(&e->passed, p->timestamp, samples);
    pass_silence(e, lost_ms);
    if (!e->denoise) {
        pass_on(e, p->opus, p->len, samples);
        return;
    }
    judge_silence(e, lost_ms, p->received_us);
    if (!clean(e, p, samples))
        pass_on(e, p->opus, p->len, samples);
}

/* On arrival. What comes late says nothing new about who speaks now. */
static void on_arrived(struct ear *e, const struct rtc_packet *p)
{
    uint32_t samples = opusio_samples(p->opus, p->len);

    if (!samples || (e->judged.begun && (int32_t)(p->timestamp - e->judged.next_ts) < 0 &&
                     (int32_t)(p->timestamp - e->judged.next_ts) > -MAX_LOSS_MS * PER_MS))
        return;
    pat_timer_start(&e->gap, GAP_MS);
    int64_t lost_ms = missing(&e->judged, p->timestamp, samples);
    if (e->denoise)
        return; /* judged when its noise is gone */
    judge_lost(e, p, lost_ms);
    judge(e, p, samples);
}

static void set_hold(struct ear *e, int64_t now_us)
{
    int64_t due_us = order_due_us(&e->order);

    if (!due_us)
        pat_timer_stop(&e->hold);
    else if (!pat_timer_running(&e->hold) || due_us != e->hold_us)
        pat_timer_start(&e->hold, due_us > now_us ? (due_us - now_us) / 1000 : 0);
    e->hold_us = due_us;
}

static void on_hold(void *arg)
{
    struct ear *e = arg;

    int64_t now_us = e->hold_us;
    order_release(&e->order, now_us, on_ordered, e);
    set_hold(e, now_us);
}

void ear_packet(struct ear *e, const struct rtc_packet *p)
{
    on_arrived(e, p);
    order_put(&e->order, p, on_ordered, e);
    set_hold(e, p->received_us);
}

void ear_restart(struct ear *e)
{
    order_restart(&e->order);
    pat_timer_stop(&e->hold);
    see_calm(e, 0);
    e->judged = e->passed = (struct line){ 0 };
}

int64_t ear_voiced_us(const struct ear *e)
{
    return e->voiced_us;
}
