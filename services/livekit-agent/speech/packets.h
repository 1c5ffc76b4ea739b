/* packets.h - the last seconds of Opus packets, kept until the recogniser has answered for them.
 * Pure.
 *
 * A ring of fixed size. Positions are stream time in samples at 48 kHz. The oldest packet makes
 * room when the ring is full or holds more than PACKETS_MAX_MS.
 */
#ifndef SPEECH_PACKETS_H
#define SPEECH_PACKETS_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

#define PACKETS_MAX_MS 5000
#define PACKETS_SLOTS  512  /* 5 s of 10 ms packets */
#define PACKETS_BYTES  1276 /* RFC 6716 section 3.4; longer ones are not kept */

struct packet {
    int64_t pos; /* of its first sample */
    uint32_t samples;
    uint16_t len;
    uint8_t *data;
};

struct packets {
    struct packet ring[PACKETS_SLOTS];
    size_t head, n; /* oldest, count */
};

void packets_init(struct packets *p);
void packets_fini(struct packets *p);
/* PAT_E2BIG, PAT_ENOMEM: it is not kept, which only a reconnect would notice. */
int packets_add(struct packets *p, int64_t pos, const uint8_t *data, size_t len, uint32_t samples);
/* Everything that ends at or before pos has been answered. */
void packets_drop(struct packets *p, int64_t pos);
void packets_clear(struct packets *p);
const struct packet *packets_at(const struct packets *p, size_t i); /* 0: oldest; NULL behind */

#endif
