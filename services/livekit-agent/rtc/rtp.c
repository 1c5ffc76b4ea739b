/* rtp.c - reads and writes RTP packets.
 * How: fixed header, then one extension block; both forms of RFC 8285 are read, one-byte form is
 * written. No CSRCs are sent, no padding is sent; both are read over. */
#include "rtp.h"

#include "bytes.h"
#include "sdp.h"

#include <assert.h>
#include <string.h>

#define ONE_BYTE 0xBEDE
#define TWO_BYTE 0x1000 /* with four "appbits" */

static void take_extension(struct rtp_packet *out, int id, const uint8_t *data, size_t len)
{
    if (id == SDP_EXT_LEVEL && len >= 1) {
        out->level = data[0] & 0x7f;
        out->voice = data[0] & 0x80;
    } else if (id == SDP_EXT_MID && len <= RTP_MID_MAX && !memchr(data, 0, len)) {
        memcpy(out->mid, data, len);
        out->mid[len] = 0;
    }
}

/* RFC 8285 section 4.2; id 15 ends the block, a zero byte is padding. */
static void read_one_byte(struct rtp_packet *out, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len;) {
        if (p[i] == 0) {
            i++;
            continue;
        }
        int id = p[i] >> 4;
        size_t n = (size_t)(p[i] & 0x0f) + 1;
        if (id == 15 || i + 1 + n > len)
            return;
        take_extension(out, id, p + i + 1, n);
        i += 1 + n;
    }
}

/* RFC 8285 section 4.3. */
static void read_two_byte(struct rtp_packet *out, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len;) {
        if (p[i] == 0) {
            i++;
            continue;
        }
        if (i + 2 > len || i + 2 + p[i + 1] > len)
            return;
        take_extension(out, p[i], p + i + 2, p[i + 1]);
        i += 2u + p[i + 1];
    }
}

/* Length of the extension block, 0 when there is none, negative when it does not fit. */
static int read_extensions(struct rtp_packet *out, const uint8_t *p, size_t len)
{
    if (len < 4)
        return PAT_EPROTO;
    size_t n = (size_t)get16(p + 2) * 4;
    if (len < 4 + n)
        return PAT_EPROTO;
    if (get16(p) == ONE_BYTE)
        read_one_byte(out, p + 4, n);
    else if ((get16(p) & 0xfff0) == TWO_BYTE)
        read_two_byte(out, p + 4, n);
    return (int)(4 + n);
}

int rtp_parse(struct rtp_packet *out, const uint8_t *data, size_t len)
{
    if (len < 12 || data[0] >> 6 != 2)
        return PAT_EPROTO;
    *out = (struct rtp_packet){
        .pt = data[1] & 0x7f,
        .marker = data[1] & 0x80,
        .seq = get16(data + 2),
        .timestamp = get32(data + 4),
        .ssrc = get32(data + 8),
        .level = -1,
    };
    size_t at = 12 + 4u * (data[0] & 0x0f);
    if (at > len)
        return PAT_EPROTO;
    if (data[0] & 0x10) {
        int n = read_extensions(out, data + at, len - at);

        if (n < 0)
            return n;
        at += (size_t)n;
    }
    size_t padding = (data[0] & 0x20) && len > at ? data[len - 1] : 0;
    if (at + padding > len)
        return PAT_EPROTO;
    out->payload = data + at;
    out->len = len - at - padding;
    return PAT_OK;
}

static size_t write_extensions(uint8_t *p, const struct rtp_packet *in)
{
    size_t mid = strnlen(in->mid, RTP_MID_MAX), n = 0;

    p[4 + n++] = SDP_EXT_LEVEL << 4;
    p[4 + n++] = (uint8_t)((in->level & 0x7f) | (in->voice ? 0x80 : 0));
    if (mid) {
        p[4 + n++] = (uint8_t)(SDP_EXT_MID << 4 | (mid - 1));
        memcpy(p + 4 + n, in->mid, mid);
        n += mid;
    }
    while (n % 4)
        p[4 + n++] = 0;
    put16(p, ONE_BYTE);
    put16(p + 2, (uint16_t)(n / 4));
    return 4 + n;
}

int rtp_build(uint8_t *out, size_t cap, const struct rtp_packet *p)
{
    static_assert(12 + 4 + 2 + 1 + RTP_MID_MAX + 3 <= RTP_HEADER_MAX, "header fits");
    if (cap < RTP_HEADER_MAX || p->len > cap - RTP_HEADER_MAX)
        return PAT_E2BIG;
    out[0] = 0x90;
    out[1] = (uint8_t)((p->pt & 0x7f) | (p->marker ? 0x80 : 0));
    put16(out + 2, p->seq);
    put32(out + 4, p->timestamp);
    put32(out + 8, p->ssrc);
    size_t n = 12 + write_extensions(out + 12, p);
    memcpy(out + n, p->payload, p->len);
    return (int)(n + p->len);
}

void rtp_history_keep(struct rtp_history *h, uint16_t seq, const uint8_t *data, size_t len)
{
    size_t i = seq % RTP_KEPT;

    h->slots[i].seq = seq;
    h->slots[i].len = len <= RTP_KEPT_LEN ? (uint16_t)len : 0;
    if (h->slots[i].len)
        memcpy(h->slots[i].data, data, len);
}

const uint8_t *rtp_history_find(const struct rtp_history *h, uint16_t seq, size_t *len)
{
    size_t i = seq % RTP_KEPT;

    if (!h->slots[i].len || h->slots[i].seq != seq)
        return NULL;
    *len = h->slots[i].len;
    return h->slots[i].data;
}
