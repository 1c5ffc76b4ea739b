/* oggopus.c - libogg behind oggopus.h.
 *
 * How: libogg finds the pages and checks their sums; here the packets are counted and judged. It
 * does not seek, and has no use for granule positions: what is sent on needs no clock of theirs. */
#include "oggopus.h"

#include "opusio.h"

#include <ogg/ogg.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_LEN = 19 /* RFC 7845, 5.1 */, MAX_PIECE = 4 << 20, MAX_JUNK = 64 * 1024 };

struct oggopus {
    ogg_sync_state sync;
    ogg_stream_state stream;
    bool in_stream;
    int packet;        /* of the stream: 0 head, 1 tags, then sound */
    size_t pending;    /* bytes fed since the last whole page */
    const char *dirty; /* why it is not clean */
};

int oggopus_new(struct oggopus **out)
{
    struct oggopus *r = calloc(1, sizeof *r);

    if (!r)
        return PAT_ENOMEM;
    ogg_sync_init(&r->sync);
    *out = r;
    return PAT_OK;
}

void oggopus_free(struct oggopus *r)
{
    if (!r)
        return;
    if (r->in_stream)
        ogg_stream_clear(&r->stream);
    ogg_sync_clear(&r->sync);
    free(r);
}

/* Version 1.x, one channel, no gain to apply, no mapping table. */
static const char *judge_head(const uint8_t *p, size_t len)
{
    if (len < HEAD_LEN || memcmp(p, "OpusHead", 8) != 0)
        return "not an Opus stream";
    if (p[8] >> 4 != 0)
        return "unknown version";
    if (p[9] != 1)
        return "not mono";
    if (p[16] || p[17])
        return "has an output gain";
    return p[18] ? "has a channel mapping" : NULL;
}

static const char *judge_sound(const uint8_t *p, size_t len)
{
    if (!len || len > OPUSIO_MAX_PACKET)
        return "a packet of no possible size";
    if (p[0] & 4)
        return "a stereo packet";
    return opusio_samples(p, len) == OPUSIO_FRAME ? NULL : "not packets of 20 ms";
}

static void take_packet(struct oggopus *r, const ogg_packet *p, oggopus_fn *fn, void *arg)
{
    size_t len = (size_t)p->bytes;

    if (r->packet == 0)
        r->dirty = judge_head(p->packet, len);
    else if (r->packet > 1)
        r->dirty = judge_sound(p->packet, len);
    if (!r->dirty && r->packet > 1)
        fn(p->packet, len, arg);
    if (r->packet < 2)
        r->packet++;
}

static void take_page(struct oggopus *r, ogg_page *page, oggopus_fn *fn, void *arg)
{
    ogg_packet p;
    int got;

    if (ogg_page_bos(page)) {
        if (r->in_stream)
            ogg_stream_clear(&r->stream);
        r->in_stream = ogg_stream_init(&r->stream, ogg_page_serialno(page)) == 0;
        r->packet = 0;
    }
    if (!r->in_stream || ogg_stream_pagein(&r->stream, page) != 0) {
        r->dirty = "a page of no stream";
        return;
    }
    while (!r->dirty && (got = ogg_stream_packetout(&r->stream, &p)) != 0) {
        if (got < 0)
            r->dirty = "a page is missing";
        else
            take_packet(r, &p, fn, arg);
    }
}

int oggopus_feed(struct oggopus *r, const void *data, size_t len, oggopus_fn *fn, void *arg,
                 const char **why)
{
    ogg_page page;
    char *to;
    int got = 0;

    if (!r->dirty && len > MAX_PIECE)
        r->dirty = "too much at once";
    if (!r->dirty && len) {
        to = ogg_sync_buffer(&r->sync, (long)len);
        if (!to)
            return PAT_ENOMEM;
        memcpy(to, data, len);
        if (ogg_sync_wrote(&r->sync, (long)len))
            return PAT_ENOMEM;
        r->pending += len;
    }
    while (!r->dirty && (got = ogg_sync_pageout(&r->sync, &page)) != 0) {
        if (got < 0) {
            r->dirty = "no Ogg pages";
            break;
        }
        r->pending = 0;
        take_page(r, &page, fn, arg);
    }
    if (!r->dirty && r->pending > MAX_JUNK)
        r->dirty = "a page without an end";
    *why = r->dirty;
    return r->dirty ? PAT_EPROTO : PAT_OK;
}
