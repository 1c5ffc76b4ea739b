/* red.c - reads and writes RFC 2198 payloads.
 * How: the headers are walked once for their lengths, then the data behind them is dealt out. It
 * does not know which blocks are new to whoever reads. */
#include "red.h"

#include "bytes.h"

#include <stdbool.h>
#include <string.h>

enum { MORE = 0x80, LONG_HEADER = 4, OFFSET_BITS = 14, LEN_BITS = 10 };

/* The header's length; 0: the packet ends in it. */
static size_t read_header(struct red_block *b, const uint8_t *p, size_t len, bool *last)
{
    if (!len)
        return 0;
    b->pt = p[0] & 0x7f;
    *last = !(p[0] & MORE);
    if (*last)
        return 1;
    if (len < LONG_HEADER)
        return 0;
    uint32_t rest = get32(p) & 0xffffff;
    b->ago = rest >> LEN_BITS;
    b->len = rest & ((1u << LEN_BITS) - 1);
    return LONG_HEADER;
}

int red_parse(struct red_block out[RED_BLOCKS], const uint8_t *data, size_t len)
{
    size_t at = 0;
    bool last = false;
    int n = 0;

    while (!last) {
        if (n == RED_BLOCKS)
            return PAT_EPROTO;
        out[n] = (struct red_block){ 0 };
        size_t header = read_header(&out[n++], data + at, len - at, &last);
        if (!header)
            return PAT_EPROTO;
        at += header;
    }
    for (int i = 0; i < n; i++) {
        if (i == n - 1)
            out[i].len = len - at;
        if (out[i].len > len - at)
            return PAT_EPROTO;
        out[i].data = data + at;
        at += out[i].len;
    }
    return n;
}

/* How many of the n wanted can go along: without a hole, recent enough, small enough. */
static size_t usable(const struct red_past *past, size_t n, uint32_t timestamp, size_t room)
{
    size_t i = 0;

    for (; i < n && i < RED_PAST && past->list[i].len; i++) {
        if (timestamp - past->list[i].timestamp >= 1u << OFFSET_BITS ||
            past->list[i].len + (size_t)LONG_HEADER > room)
            break;
        room -= past->list[i].len + (size_t)LONG_HEADER;
    }
    return i;
}

int red_build(uint8_t *out, size_t cap, const struct red_past *past, size_t n,
              const struct red_block *own, uint32_t timestamp)
{
    size_t at = 0;

    if (own->len + 1 > cap)
        return PAT_E2BIG;
    n = usable(past, n, timestamp, cap - own->len - 1);
    for (size_t i = n; i--; at += LONG_HEADER) {
        uint32_t ago = timestamp - past->list[i].timestamp;
        put32(out + at, (uint32_t)(MORE | own->pt) << 24 | ago << LEN_BITS | past->list[i].len);
    }
    out[at++] = own->pt;
    for (size_t i = n; i--; at += past->list[i].len)
        memcpy(out + at, past->list[i].data, past->list[i].len);
    memcpy(out + at, own->data, own->len);
    return (int)(at + own->len);
}

void red_keep(struct red_past *past, const struct red_block *own, uint32_t timestamp)
{
    memmove(&past->list[1], &past->list[0], sizeof past->list[0] * (RED_PAST - 1));
    past->list[0].timestamp = timestamp;
    past->list[0].len = own->len <= RED_PAST_LEN ? (uint16_t)own->len : 0;
    memcpy(past->list[0].data, own->data, past->list[0].len);
}
