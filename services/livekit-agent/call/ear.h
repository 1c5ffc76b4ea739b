/* ear.h - the caller's side: packets to the recogniser as they came, and is somebody speaking?
 *
 * Who speaks is judged on arrival, short gaps made up for; the recogniser gets packets in order,
 * behind a gap up to ORDER_US later, and what is lost for good as silence of the same length, as
 * what was never sent (DTX). What comes before a recogniser is
 * there waits, at most 5 s. Decoding is done only for voice activity, and only when the packets
 * carry no level. While nobody speaks the recogniser gets a few packets at a time. Life: ear_new ->
 * ear_free. Thread: the loop's; nothing blocks.
 */
#ifndef CALL_EAR_H
#define CALL_EAR_H

#include "../rtc/rtc.h"
#include "../speech/stt.h"

struct ear;

struct ear_events {
    /* at_us: when the voice began, or the end of the last voiced packet. */
    void (*voice_started)(int64_t at_us, void *arg);
    void (*voice_stopped)(int64_t at_us, void *arg);
    /* Nobody has spoken for a while; or somebody does. May be NULL. */
    void (*calm)(bool calm, void *arg);
    /* What was decoded anyway, 16 kHz; not all there is. May be NULL. */
    void (*sound)(const int16_t *samples, int n, void *arg);
};

int ear_new(struct ear **out, struct pat_loop *l, const struct ear_events *ev,
            void *arg) PAT_MUST_CHECK;
void ear_free(struct ear *e);
/* Against the noise where the caller is. off, low, medium: how strict the detector of voices is;
 * the packets are not touched. high: the noise is taken away, for the detector and the recogniser,
 * which costs a decoder and an encoder; both wait behind a gap then. */
enum ear_noise { EAR_NOISE_OFF, EAR_NOISE_LOW, EAR_NOISE_MEDIUM, EAR_NOISE_HIGH };
/* Where it cannot be had (no memory) things stay as they are. */
int ear_set_noise(struct ear *e, enum ear_noise noise);
/* What waited goes there first. NULL: nobody listens any more. Borrowed. */
void ear_attach(struct ear *e, struct stt *s);
void ear_packet(struct ear *e, const struct rtc_packet *p);
/* The caller's track went away or was replaced: the timeline begins anew. */
void ear_restart(struct ear *e);
/* When the last voiced packet ended; 0: none yet. */
int64_t ear_voiced_us(const struct ear *e);

#endif
