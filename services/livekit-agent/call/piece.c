/* piece.c - a list of blocks, each of samples or of one packet.
 *
 * It does not know time, nor what is told of a piece. */
#include "piece.h"

#include <stdlib.h>
#include <string.h>

struct block {
    struct block *next;
    size_t n;       /* samples */
    uint16_t len;   /* of the packet; 0: samples */
    uint8_t level;  /* of the packet */
    int16_t data[]; /* PIECE_BLOCK samples, or the packet's bytes */
};

struct piece *piece_new(uint32_t id)
{
    struct piece *p = calloc(1, sizeof *p);

    if (p) {
        p->id = id;
        p->born_us = pat_now_us();
    }
    return p;
}

void piece_free(struct piece *p)
{
    while (p->head) {
        struct block *b = p->head;
        p->head = b->next;
        free(b);
    }
    phrase_unref(p->phrase);
    free(p);
}

static struct block *add_block(struct piece *p, size_t bytes)
{
    struct block *b = malloc(sizeof *b + bytes);

    if (!b)
        return NULL;
    *b = (struct block){ 0 };
    *(p->tail ? &p->tail->next : &p->head) = b;
    p->tail = b;
    return b;
}

int piece_add(struct piece *p, const int16_t *samples, size_t n)
{
    while (n) {
        struct block *b = p->tail;
        size_t part;

        if (!b || b->len || b->n == PIECE_BLOCK)
            b = add_block(p, PIECE_BLOCK * sizeof *samples);
        if (!b)
            return PAT_ENOMEM;
        part = PIECE_BLOCK - b->n < n ? PIECE_BLOCK - b->n : n;
        memcpy(b->data + b->n, samples, part * sizeof *samples);
        b->n += part;
        samples += part;
        n -= part;
        p->waiting += part;
    }
    return PAT_OK;
}

int piece_add_packet(struct piece *p, const uint8_t *opus, size_t len, int level)
{
    struct block *b;

    if (!len || len > OPUSIO_MAX_PACKET)
        return PAT_EINVAL;
    b = add_block(p, len);
    if (!b)
        return PAT_ENOMEM;
    memcpy(b->data, opus, len);
    b->len = (uint16_t)len;
    b->level = (uint8_t)level;
    b->n = OPUSIO_FRAME;
    p->waiting += OPUSIO_FRAME;
    return PAT_OK;
}

void piece_set_phrase(struct piece *p, struct phrase *phrase)
{
    p->phrase = phrase_ref(phrase);
    p->waiting = phrase_packets(phrase) * OPUSIO_FRAME;
    p->ended = true;
}

bool piece_ready(const struct piece *p)
{
    return p->waiting >= OPUSIO_FRAME || (p->ended && p->waiting);
}

bool piece_next_packet(const struct piece *p, struct piece_packet *out)
{
    const struct block *b = p->head;

    if (p->phrase) {
        out->opus = phrase_packet(p->phrase, p->packet, &out->len, &out->level);
        return true;
    }
    if (!b || !b->len)
        return false;
    *out = (struct piece_packet){ (const uint8_t *)b->data, b->len, b->level };
    return true;
}

size_t piece_peek(const struct piece *p, int16_t pcm[OPUSIO_FRAME])
{
    const struct block *b = p->head;
    size_t at = p->head_at, n = 0;

    while (b && !b->len && n < OPUSIO_FRAME) {
        size_t part = b->n - at < OPUSIO_FRAME - n ? b->n - at : OPUSIO_FRAME - n;
        memcpy(pcm + n, b->data + at, part * sizeof *pcm);
        n += part;
        b = b->next;
        at = 0;
    }
    memset(pcm + n, 0, (OPUSIO_FRAME - n) * sizeof *pcm);
    return n;
}

void piece_consume(struct piece *p, size_t n)
{
    p->waiting -= n;
    p->gone += (int64_t)n;
    if (p->phrase) {
        p->packet++;
        return;
    }
    while (n) {
        struct block *b = p->head;
        size_t part = b->n - p->head_at;

        if (part > n) {
            p->head_at += n;
            return;
        }
        p->head = b->next;
        p->head_at = 0;
        if (!p->head)
            p->tail = NULL;
        free(b);
        n -= part;
    }
}
