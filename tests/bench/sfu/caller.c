/* caller.c - decides packet by packet; sound is known by the packets' lengths, nothing is decoded.
 *
 * The agent sends three bytes for silence (opusio.h), so anything longer is its voice. A packet is
 * late by what it came after its predecessor more than its timestamp says.
 */
#include "caller.h"

#include "opusio.h"

#include <opus/opus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FRAME = 960,
    QUIET_PACKETS = 250, /* 5 s of line noise, repeated */
    GREETED_MS = 1000,   /* silence that ends the greeting */
    PER_MS = 48,
};

static int encode(struct recording *r, OpusEncoder *enc, const int16_t pcm[FRAME])
{
    int n = opus_encode(enc, pcm, FRAME, r->packets[r->n], sizeof r->packets[0]);

    if (n < 0)
        return PAT_EINTERNAL;
    r->lens[r->n++] = (size_t)n;
    return PAT_OK;
}

static int encode_all(struct recording *r, FILE *f, OpusEncoder *enc, int noise)
{
    int16_t pcm[FRAME];
    int err = PAT_OK;

    while (!err && fread(pcm, sizeof pcm[0], FRAME, f) == FRAME)
        err = encode(r, enc, pcm);
    r->n_speech = r->n;
    for (int i = 0; !err && i < QUIET_PACKETS; i++) {
        for (int k = 0; k < FRAME; k++)
            pcm[k] = (int16_t)(noise ? rand() % (2 * noise + 1) - noise : 0);
        err = encode(r, enc, pcm);
    }
    return err;
}

int recording_load(struct recording *r, const char *pcm_file, int noise, int64_t period_ms)
{
    FILE *f = fopen(pcm_file, "rb");
    OpusEncoder *enc = opus_encoder_create(48000, 1, OPUS_APPLICATION_VOIP, NULL);
    int err = PAT_EINVAL;
    long bytes = 0;

    *r = (struct recording){ .period_ms = period_ms };
    if (f && enc && !fseek(f, 0, SEEK_END) && (bytes = ftell(f)) > 0) {
        size_t most = (size_t)bytes / (FRAME * 2) + QUIET_PACKETS + 1;

        rewind(f);
        r->packets = calloc(most, sizeof *r->packets);
        r->lens = calloc(most, sizeof *r->lens);
        err = r->packets && r->lens ? encode_all(r, f, enc, noise) : PAT_ENOMEM;
    }
    if (f)
        (void)fclose(f);
    opus_encoder_destroy(enc);
    return err;
}

void recording_free(struct recording *r)
{
    free(r->packets);
    free(r->lens);
}

static void begin_turn(struct caller *c, struct figures *f)
{
    if (c->asked_us)
        f->unanswered++;
    c->asked_us = 0;
    c->speaking = true;
    c->at = 0;
    f->turns++;
}

const uint8_t *caller_next(struct caller *c, const struct recording *r, struct figures *f,
                           int64_t now_us, size_t *len)
{
    if (!c->began_us && c->quiet_since_us && now_us - c->quiet_since_us > GREETED_MS * 1000)
        c->began_us = now_us + c->offset_ms * 1000;
    if (c->began_us && now_us >= c->began_us) {
        c->began_us += r->period_ms * 1000;
        begin_turn(c, f);
    }
    if (c->speaking && c->at == r->n_speech) {
        c->speaking = false;
        c->asked_us = now_us;
    }
    if (!c->speaking && (c->at < r->n_speech || c->at >= r->n))
        c->at = r->n_speech;
    *len = r->lens[c->at];
    return r->packets[c->at++];
}

static void answered(struct caller *c, struct figures *f, int64_t now_us)
{
    if (f->n_responses < f->cap_responses)
        f->response_us[f->n_responses++] = now_us - c->asked_us;
    c->asked_us = 0;
}

void caller_heard(struct caller *c, struct figures *f, const struct rtp_packet *p, int64_t now_us)
{
    f->packets++;
    if (c->last_us) {
        int64_t due =
            c->last_us + (int64_t)(int32_t)(p->timestamp - c->last_timestamp) * 1000 / PER_MS;
        int64_t late = now_us > due ? (now_us - due) / CALLER_LATE_STEP_US : 0;

        f->late[late < CALLER_LATE_STEPS ? late : CALLER_LATE_STEPS]++;
    }
    c->last_us = now_us;
    c->last_timestamp = p->timestamp;
    if (opusio_inactive(p->payload, p->len))
        return;
    f->voiced++;
    c->quiet_since_us = now_us;
    if (c->asked_us)
        answered(c, f, now_us);
}

int64_t figures_late_us(const struct figures *f, double share)
{
    uint64_t all = 0, seen = 0;

    for (int i = 0; i <= CALLER_LATE_STEPS; i++)
        all += f->late[i];
    for (int i = 0; i <= CALLER_LATE_STEPS; i++) {
        seen += f->late[i];
        if ((double)seen >= share * (double)all)
            return (int64_t)i * CALLER_LATE_STEP_US;
    }
    return 0;
}
