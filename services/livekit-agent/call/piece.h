/* piece.h - one utterance waiting to be played: samples, Opus packets, or a phrase, in any mix.
 *
 * All lengths are samples at 48 kHz, whatever the sound is made of. Owned by the player's row.
 * Pure.
 */
#ifndef CALL_PIECE_H
#define CALL_PIECE_H

#include "../speech/opusio.h"
#include "phrase.h"

#define PIECE_BLOCK 4800 /* samples: 100 ms, what synthesisers send at a time */

struct block;

struct piece {
    struct piece *next;
    uint32_t id;
    struct phrase *phrase; /* NULL, or all of it is this */
    size_t packet;         /* next of the phrase */
    struct block *head, *tail;
    size_t head_at; /* samples of head already sent */
    size_t waiting; /* not yet sent */
    int64_t gone;   /* sent or trimmed */
    int64_t born_us;
    bool trimmed, sounding, voiced, ended;
};

struct piece_packet {
    const uint8_t *opus;
    size_t len;
    int level;
};

struct piece *piece_new(uint32_t id);
void piece_free(struct piece *p); /* without NULL */
int piece_add(struct piece *p, const int16_t *samples, size_t n) PAT_MUST_CHECK;
int piece_add_packet(struct piece *p, const uint8_t *opus, size_t len, int level) PAT_MUST_CHECK;
/* For a piece that has nothing else; it is ended with it. */
void piece_set_phrase(struct piece *p, struct phrase *phrase);

/* There is a packet's worth of sound, or the last bit of it. */
bool piece_ready(const struct piece *p);
/* What comes next is a packet; else samples. Borrowed until piece_consume. */
bool piece_next_packet(const struct piece *p, struct piece_packet *out);
/* Copies the next 20 ms of samples, zeros behind the end. The number of true ones. */
size_t piece_peek(const struct piece *p, int16_t pcm[OPUSIO_FRAME]);
/* n: as peeked, or OPUSIO_FRAME for a packet. */
void piece_consume(struct piece *p, size_t n);

#endif
