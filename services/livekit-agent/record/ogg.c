/* ogg.c - see ogg.h.
 *
 * How: by hand, because pages are renumbered and checked one by one, which libogg's streams do not
 * offer. Packets that span pages are not written, and refused when read.
 */
#include "ogg.h"

#include <string.h>

enum {
    HEADER = 27, /* RFC 3533 section 6: up to the number of segments */
    AT_FLAGS = 5,
    AT_GRANULE = 6,
    AT_SERIAL = 14,
    AT_NUMBER = 18,
    AT_CRC = 22,
    AT_SEGMENTS = 26,
    PRE_SKIP = 312, /* what libopus looks ahead at 48 kHz: sound is where its time says */
};

/* RFC 3533: polynomial 0x04c11db7, most significant bit first, begun with 0. Four bits a step. */
static uint32_t crc_add(uint32_t crc, const uint8_t *data, size_t len)
{
    static const uint32_t t[16] = { 0x00000000, 0x04c11db7, 0x09823b6e, 0x0d4326d9,
                                    0x130476dc, 0x17c56b6b, 0x1a864db2, 0x1e475005,
                                    0x2608edb8, 0x22c9f00f, 0x2f8ad6d6, 0x2b4bcb61,
                                    0x350c9b64, 0x31cd86d3, 0x3c8ea00a, 0x384fbdbd };

    for (size_t i = 0; i < len; i++) {
        crc = (crc << 4) ^ t[(crc >> 28) ^ (data[i] >> 4)];
        crc = (crc << 4) ^ t[(crc >> 28) ^ (data[i] & 15)];
    }
    return crc;
}

static void put_le(uint8_t *to, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(const uint8_t *from, size_t bytes)
{
    uint64_t v = 0;

    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)from[i] << (8 * i);
    return v;
}

void ogg_page_init(struct ogg_page *p, uint32_t serial, uint32_t number)
{
    p->serial = serial;
    p->number = number;
    p->segments = p->len = 0;
}

int ogg_page_add(struct ogg_page *p, const uint8_t *packet, size_t len)
{
    size_t need = len / 255 + 1;

    if (p->segments + need > OGG_SEGMENTS)
        return PAT_E2BIG;
    memcpy(p->body + p->len, packet, len);
    p->len += len;
    for (; need > 1; need--)
        p->lacing[p->segments++] = 255;
    p->lacing[p->segments++] = (uint8_t)(len % 255);
    return PAT_OK;
}

int ogg_page_flush(struct ogg_page *p, int64_t granule, int flags, struct pat_buf *out)
{
    uint8_t h[HEADER] = "OggS";
    uint32_t crc;

    if (!p->segments)
        return PAT_OK;
    h[AT_FLAGS] = (uint8_t)flags;
    put_le(h + AT_GRANULE, (uint64_t)granule, 8);
    put_le(h + AT_SERIAL, p->serial, 4);
    put_le(h + AT_NUMBER, p->number++, 4);
    h[AT_SEGMENTS] = (uint8_t)p->segments;
    crc = crc_add(crc_add(crc_add(0, h, HEADER), p->lacing, p->segments), p->body, p->len);
    put_le(h + AT_CRC, crc, 4);
    pat_buf_add(out, h, HEADER);
    pat_buf_add(out, p->lacing, p->segments);
    pat_buf_add(out, p->body, p->len);
    p->segments = p->len = 0;
    return out->err;
}

static size_t put_text(uint8_t *to, const char *s)
{
    size_t len = strlen(s);

    put_le(to, len, 4);
    memcpy(to + 4, s, len);
    return 4 + len;
}

int ogg_headers(struct ogg_page *p, const char *title, struct pat_buf *out)
{
    /* version, channels, pre-skip, rate, gain, mapping family, streams, coupled, mapping */
    uint8_t head[23] = "OpusHead", tags[256] = "OpusTags";
    char line[128];
    size_t n = 8;
    int err;

    head[8] = 1;
    head[9] = 2;
    put_le(head + 10, PRE_SKIP, 2);
    put_le(head + 12, 48000, 4);
    head[18] = 1; /* family 1: left, right */
    head[19] = 2; /* streams, */
    head[20] = 0; /* none of them coupled: */
    head[21] = 0; /* left is the first, */
    head[22] = 1; /* right the second */
    n += put_text(tags + n, "patchbay");
    put_le(tags + n, 1, 4);
    n += 4;
    (void)pat_strcpy(line, sizeof line, "TITLE=");
    (void)pat_strcpy(line + 6, sizeof line - 6, title);
    n += put_text(tags + n, line);
    err = ogg_page_add(p, head, sizeof head);
    if (!err)
        err = ogg_page_flush(p, 0, OGG_BOS, out);
    if (!err)
        err = ogg_page_add(p, tags, n);
    return err ? err : ogg_page_flush(p, 0, 0, out);
}

int ogg_read(struct ogg_view *v, const uint8_t *data, size_t len)
{
    static const uint8_t no_crc[4];
    uint32_t crc;

    if (len < HEADER || memcmp(data, "OggS", 5) != 0)
        return PAT_EPROTO;
    v->segments = data[AT_SEGMENTS];
    if (len < HEADER + v->segments)
        return PAT_EPROTO;
    v->lacing = data + HEADER;
    v->body = v->lacing + v->segments;
    v->body_len = 0;
    for (size_t i = 0; i < v->segments; i++)
        v->body_len += v->lacing[i];
    v->len = HEADER + v->segments + v->body_len;
    if (v->len > len || !v->segments || v->lacing[v->segments - 1] == 255)
        return PAT_EPROTO;
    v->flags = data[AT_FLAGS];
    v->granule = (int64_t)get_le(data + AT_GRANULE, 8);
    v->serial = (uint32_t)get_le(data + AT_SERIAL, 4);
    v->number = (uint32_t)get_le(data + AT_NUMBER, 4);
    crc = crc_add(crc_add(0, data, AT_CRC), no_crc, 4);
    crc = crc_add(crc, data + AT_SEGMENTS, v->len - AT_SEGMENTS);
    return crc == get_le(data + AT_CRC, 4) && !(v->flags & OGG_CONTINUED) ? PAT_OK : PAT_EPROTO;
}
