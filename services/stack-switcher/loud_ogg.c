/* loud_ogg.c - Ogg Opus to samples, for loud.c: pages (RFC 3533), packets that may go on over
 * pages, and libopus at 8 kHz (RFC 7845 for the head). Checksums are not looked at: the store has
 * its own.
 */
#include "loud_int.h"

#include <opus_multistream.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_HEAD = 27,
    PAGE_MAX = PAGE_HEAD + 255 + 255 * 255,
    PACKET_MAX = 64 << 10,
    RATE = 8000,
    LONGEST = RATE * 120 / 1000, /* RFC 6716 section 3.1 */
};

struct loud_ogg {
    struct loud_units *units;
    struct pat_buf in, packet;
    int n_packets; /* up to 2: the heads */
    int channels;
    OpusMSDecoder *decoder;
};

int loud_ogg_new(struct loud_ogg **out, struct loud_units *units)
{
    struct loud_ogg *o = calloc(1, sizeof *o);

    if (!o)
        return PAT_ENOMEM;
    o->units = units;
    pat_buf_init(&o->in, PAGE_MAX + 65536 + 1);
    pat_buf_init(&o->packet, PACKET_MAX);
    *out = o;
    return PAT_OK;
}

void loud_ogg_free(struct loud_ogg *o)
{
    if (!o)
        return;
    if (o->decoder)
        opus_multistream_decoder_destroy(o->decoder);
    pat_buf_fini(&o->in);
    pat_buf_fini(&o->packet);
    free(o);
}

static int read_head(struct loud_ogg *o)
{
    static const unsigned char plain[] = { 0, 1 };
    const unsigned char *h = (const unsigned char *)o->packet.data, *mapping = plain;
    int streams = 1, coupled, err;

    if (o->packet.len < 19 || memcmp(h, "OpusHead", 8) != 0 || h[9] < 1 || h[9] > LOUD_SIDES)
        return PAT_EPROTO;
    o->channels = h[9];
    coupled = o->channels - 1;
    if (h[18]) {
        if (o->packet.len < 21 + (size_t)o->channels)
            return PAT_EPROTO;
        streams = h[19];
        coupled = h[20];
        mapping = h + 21;
    }
    o->decoder =
        opus_multistream_decoder_create(RATE, o->channels, streams, coupled, mapping, &err);
    return o->decoder ? PAT_OK : err == OPUS_ALLOC_FAIL ? PAT_ENOMEM : PAT_EPROTO;
}

static int take_packet(struct loud_ogg *o)
{
    opus_int16 pcm[LONGEST * LOUD_SIDES] = { 0 };
    int n;

    if (o->n_packets < 2)
        return o->n_packets++ ? PAT_OK : read_head(o);
    if (!o->packet.len)
        return PAT_OK;
    n = opus_multistream_decode(o->decoder, (const unsigned char *)o->packet.data,
                                (opus_int32)o->packet.len, pcm, LONGEST, 0);
    /* What cannot be read is silence, as in a player. */
    return loud_add(o->units, pcm, (size_t)(n > 0 ? n : RATE * LOUD_UNIT_MS / 1000), o->channels,
                    RATE);
}

static int take_page(struct loud_ogg *o, const unsigned char *page)
{
    const unsigned char *lacing = page + PAGE_HEAD, *body = lacing + page[26];
    int err = PAT_OK;

    if (!(page[5] & 1))
        pat_buf_reset(&o->packet); /* its begin was lost, or there is none */
    for (int i = 0; i < page[26] && !err; i++) {
        err = pat_buf_add(&o->packet, (const char *)body, lacing[i]);
        body += lacing[i];
        if (!err && lacing[i] < 255) {
            err = take_packet(o);
            pat_buf_reset(&o->packet);
        }
    }
    return err == PAT_E2BIG ? PAT_EPROTO : err;
}

/* Length of the page that begins here; 0: more is needed. */
static size_t page_len(const unsigned char *p, size_t len)
{
    size_t n = PAGE_HEAD;

    if (len < PAGE_HEAD || len < n + p[26])
        return 0;
    n += p[26];
    for (int i = 0; i < p[26]; i++)
        n += p[PAGE_HEAD + i];
    return n <= len ? n : 0;
}

int loud_ogg_feed(struct loud_ogg *o, const char *data, size_t len)
{
    size_t at = 0, n;
    int err = pat_buf_add(&o->in, data, len);

    while (!err && o->in.len - at >= PAGE_HEAD) {
        const unsigned char *p = (const unsigned char *)o->in.data + at;

        if (memcmp(p, "OggS", 5) != 0)
            return PAT_EPROTO;
        n = page_len(p, o->in.len - at);
        if (!n)
            break;
        err = take_page(o, p);
        at += n;
    }
    pat_buf_drop(&o->in, at);
    return err;
}
