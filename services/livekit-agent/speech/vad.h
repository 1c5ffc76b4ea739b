/* vad.h - is somebody speaking? Frame by frame, with hysteresis.
 *
 * Two sources, mixed as they come: the level a sender puts into the RTP header (RFC 6464), which
 * needs no decoding, or 16 kHz samples, judged by WebRTC's detector where it was linked and by
 * energy else. Both adapt to the background. State only: no clock, no I/O.
 */
#ifndef SPEECH_VAD_H
#define SPEECH_VAD_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum vad_event { VAD_NONE, VAD_STARTED, VAD_STOPPED };

struct vad_conf {
    int start_ms;  /* voiced so long: speech has started; 0: 60 */
    int stop_ms;   /* unvoiced so long: it has stopped; 0: 300 */
    int margin_db; /* above the background; 0: 10 */
    int floor_db;  /* nothing quieter is speech, in dBov; 0: -62 */
    int strict;    /* what noise is taken for speech: 1 most .. 4 least; 0: 3 */
};

struct vad {
    struct vad_conf conf;
    void *webrtc;         /* NULL: energy */
    double background_db; /* adapts */
    bool speaking;
    int voiced_ms;   /* of the run that may become a start */
    int unvoiced_ms; /* since the last voiced frame */
};

/* conf NULL: defaults. */
int vad_init(struct vad *v, const struct vad_conf *conf) PAT_MUST_CHECK;
void vad_fini(struct vad *v);
/* From now on: how much noise is taken for speech, and how far above the background speech is. */
void vad_set(struct vad *v, int strict, int margin_db);

/* level: 0 (loudest) to 127 dB below overload, as in the header extension. */
enum vad_event vad_level(struct vad *v, int level, int ms);
/* 10, 20 or 30 ms at 16 kHz. */
enum vad_event vad_samples(struct vad *v, const int16_t *pcm, size_t n);
/* Time without a packet: DTX. */
enum vad_event vad_silence(struct vad *v, int ms);
/* How long it has been quiet: the moment speech ended lies that far back. */
int vad_unvoiced_ms(const struct vad *v);

#endif
