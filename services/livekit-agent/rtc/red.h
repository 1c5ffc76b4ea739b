/* red.h - packets that carry their predecessors along (RED, RFC 2198).
 *
 * A lost packet is then in the next one: no asking, no waiting, and nothing has to be encoded
 * again. Pure and allocation-free; parsing borrows from the packet.
 */
#ifndef RTC_RED_H
#define RTC_RED_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

#define RED_BLOCKS   4   /* read at most; LiveKit and browsers send two older ones */
#define RED_PAST     2   /* older ones we send at most */
#define RED_PAST_LEN 320 /* a longer packet (an Opus rate no voice uses) is not repeated */
#define RED_HEADERS  (RED_PAST * 4 + 1)

struct red_block {
    uint8_t pt;
    uint32_t ago; /* RTP time before the packet's own */
    const uint8_t *data;
    size_t len;
};

/* The blocks, oldest first; the last is the packet's own. Their number, or PAT_EPROTO. */
int red_parse(struct red_block out[RED_BLOCKS], const uint8_t *data, size_t len) PAT_MUST_CHECK;

/* What was sent last, newest first. Zeroed at first. */
struct red_past {
    struct {
        uint32_t timestamp;
        uint16_t len; /* 0: nothing */
        uint8_t data[RED_PAST_LEN];
    } list[RED_PAST];
};

/* Writes a packet's payload: n older ones (as many as there are, and fit), then its own. The
 * length, or PAT_E2BIG. */
int red_build(uint8_t *out, size_t cap, const struct red_past *past, size_t n,
              const struct red_block *own, uint32_t timestamp) PAT_MUST_CHECK;
/* own has been sent. */
void red_keep(struct red_past *past, const struct red_block *own, uint32_t timestamp);

#endif
