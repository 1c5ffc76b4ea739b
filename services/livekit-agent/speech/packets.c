/* packets.c - see packets.h.
 *
 * How: a ring of small allocations. It does not know what a packet says. */
#include "packets.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLES_PER_MS = 48 };

void packets_init(struct packets *p)
{
    memset(p, 0, sizeof *p);
}

static void drop_oldest(struct packets *p)
{
    free(p->ring[p->head].data);
    p->ring[p->head].data = NULL;
    p->head = (p->head + 1) % PACKETS_SLOTS;
    p->n--;
}

void packets_clear(struct packets *p)
{
    while (p->n)
        drop_oldest(p);
}

void packets_fini(struct packets *p)
{
    packets_clear(p);
}

int packets_add(struct packets *p, int64_t pos, const uint8_t *data, size_t len, uint32_t samples)
{
    struct packet *to;
    int64_t oldest = pos + samples - (int64_t)PACKETS_MAX_MS * SAMPLES_PER_MS;

    if (!len || len > PACKETS_BYTES)
        return PAT_E2BIG;
    while (p->n && (p->n == PACKETS_SLOTS || p->ring[p->head].pos < oldest))
        drop_oldest(p);
    to = &p->ring[(p->head + p->n) % PACKETS_SLOTS];
    to->data = malloc(len);
    if (!to->data)
        return PAT_ENOMEM;
    memcpy(to->data, data, len);
    to->pos = pos;
    to->samples = samples;
    to->len = (uint16_t)len;
    p->n++;
    return PAT_OK;
}

void packets_drop(struct packets *p, int64_t pos)
{
    while (p->n && p->ring[p->head].pos + p->ring[p->head].samples <= pos)
        drop_oldest(p);
}

const struct packet *packets_at(const struct packets *p, size_t i)
{
    return i < p->n ? &p->ring[(p->head + i) % PACKETS_SLOTS] : NULL;
}
