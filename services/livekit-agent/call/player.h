/* player.h - our voice in one call: samples or packets in as they come, one Opus packet out every
 * 20 ms.
 *
 * What is said is a row of pieces (one per utterance), played in the order added. The track never
 * stops: between pieces silence goes out, sparse, or (player_lead) at full rate when speech is
 * expected, so that the receiver's jitter buffer has settled before the first syllable. Deadlines
 * are absolute; a late tick catches up. Silence at the very start of a piece is not played.
 * Life: player_new -> player_free at any time but inside its own callbacks. Thread: the loop's.
 */
#ifndef CALL_PLAYER_H
#define CALL_PLAYER_H

#include "../rtc/beat.h"
#include "../speech/opusio.h"
#include "ambience.h"
#include "metrics.h"
#include "phrase.h"

struct player;

struct player_sink {
    /* As rtc_room_send and rtc_room_skip. PAT_EAGAIN: not now; the packet will be made again. */
    int (*send)(const uint8_t *opus, size_t len, uint32_t samples, bool marker, int level,
                void *arg);
    void (*skip)(uint32_t samples, void *arg);
};

struct player_events {
    /* The first packet of piece was sent. */
    void (*sounding)(uint32_t piece, void *arg);
    /* The first packet of it that is not silence. */
    void (*voiced)(uint32_t piece, void *arg);
    /* All of piece was sent. */
    void (*played)(uint32_t piece, void *arg);
};

struct player_opts {
    struct pat_loop *loop;
    struct beat *beat;
    const struct player_sink *sink;
    const struct player_events *events;
    void *arg;                  /* of both */
    double gain;                /* of samples; phrases and packets have theirs already */
    struct pat_histogram *late; /* of packets of speech: how far behind their time; may be NULL */
};

int player_new(struct player **out, const struct player_opts *o) PAT_MUST_CHECK;
void player_free(struct player *p);
/* Begins to send (silence): the track is there. */
void player_start(struct player *p);
/* Nothing is sent any more, not even silence. */
void player_stop(struct player *p);
void player_set_gain(struct player *p, double gain);
/* The sound of a place under everything from here on, silence too, at full rate; a reference is
 * taken over. NULL: none. What came encoded is decoded to be mixed. */
void player_set_ambience(struct player *p, struct ambience *x_take);
/* How what is not encoded yet will be; OPUSIO_PHONE until told otherwise. */
void player_set_use(struct player *p, enum opusio_use use);
/* 48 kHz mono. PAT_E2BIG: more than PLAYER_MAX_MS waits already. */
#define PLAYER_MAX_MS 30000
int player_add(struct player *p, uint32_t piece, const int16_t *samples, size_t n) PAT_MUST_CHECK;
/* An Opus packet of 20 ms, sent as it is. level: -dBov. PAT_E2BIG as above. */
int player_add_packet(struct player *p, uint32_t piece, const uint8_t *opus, size_t len,
                      int level) PAT_MUST_CHECK;
int player_add_phrase(struct player *p, uint32_t piece, struct phrase *phrase) PAT_MUST_CHECK;
/* Nothing more comes for piece. */
void player_end(struct player *p, uint32_t piece);
/* From the next packet on silence, until player_resume. Adding goes on. */
void player_pause(struct player *p);
void player_resume(struct player *p);
/* Forgets all that was not sent; no callback for it. */
void player_flush(struct player *p);
void player_lead(struct player *p, bool on);
/* Of the piece being played (or paused): how far into its sound. 0: another one is. */
int64_t player_played_ms(const struct player *p, uint32_t piece);
int64_t player_waiting_ms(const struct player *p);  /* not yet sent, all pieces */
bool player_idle(const struct player *p);           /* no piece is left */
int64_t player_late_frames(const struct player *p); /* sent more than 5 ms behind their time */

struct player_counts {
    int64_t encoded, passed; /* packets of speech: made here; sent as they came */
    int64_t quiet;           /* and silence in speech, not encoded */
    int64_t ambient;         /* packets of nothing but the place */
    int64_t underruns;       /* a piece in its middle had nothing to send */
};
const struct player_counts *player_counts(const struct player *p);

#endif
