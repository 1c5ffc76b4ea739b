/* oggenc.c - libopus and libogg behind oggenc.h. It does not trim the end by granule position. */
#include "oggenc.h"

#include "pat.h"

#include <ogg/ogg.h>
#include <opus/opus.h>
#include <stdlib.h>
#include <string.h>

enum { RATE = 48000, MAX_PACKET = 1276, PRE_SKIP = 312 };

struct oggenc {
    OpusEncoder *opus;
    ogg_stream_state stream;
    int frame; /* samples */
    int64_t packets, granule;
};

int oggenc_new(struct oggenc **out, int bitrate, int frame_ms)
{
    struct oggenc *e = calloc(1, sizeof *e);
    int err;

    if (!e)
        return PAT_ENOMEM;
    e->frame = frame_ms * RATE / 1000;
    e->opus = opus_encoder_create(RATE, 1, OPUS_APPLICATION_AUDIO, &err);
    if (!e->opus || ogg_stream_init(&e->stream, (int)pat_random32())) {
        if (e->opus)
            opus_encoder_destroy(e->opus);
        free(e);
        return PAT_ENOMEM;
    }
    opus_encoder_ctl(e->opus, OPUS_SET_BITRATE(bitrate));
    opus_encoder_ctl(e->opus, OPUS_SET_COMPLEXITY(5));
    *out = e;
    return PAT_OK;
}

void oggenc_free(struct oggenc *e)
{
    if (!e)
        return;
    opus_encoder_destroy(e->opus);
    ogg_stream_clear(&e->stream);
    free(e);
}

static void add_pages(struct oggenc *e, struct pat_buf *out)
{
    ogg_page page;

    while (ogg_stream_flush(&e->stream, &page)) {
        pat_buf_add(out, page.header, (size_t)page.header_len);
        pat_buf_add(out, page.body, (size_t)page.body_len);
    }
}

static void add_packet(struct oggenc *e, unsigned char *data, size_t len)
{
    ogg_packet p = { .packet = data,
                     .bytes = (long)len,
                     .b_o_s = e->packets == 0,
                     .granulepos = e->granule,
                     .packetno = e->packets };

    e->packets++;
    (void)ogg_stream_packetin(&e->stream, &p);
}

static void add_headers(struct oggenc *e, struct pat_buf *out)
{
    unsigned char head[19] = { 'O',
                               'p',
                               'u',
                               's',
                               'H',
                               'e',
                               'a',
                               'd',
                               1,
                               1,
                               PRE_SKIP & 255,
                               PRE_SKIP >> 8,
                               RATE & 255,
                               RATE >> 8 & 255,
                               RATE >> 16,
                               0,
                               0,
                               0,
                               0 };
    unsigned char tags[] = { 'O', 'p', 'u', 's', 'T', 'a', 'g', 's', 6, 0, 0,
                             0,   'd', 'o', 'u', 'b', 'l', 'e', 0,   0, 0, 0 };

    add_packet(e, head, sizeof head);
    add_pages(e, out);
    add_packet(e, tags, sizeof tags);
    add_pages(e, out);
}

int oggenc_add(struct oggenc *e, struct pat_buf *out, const int16_t *pcm, size_t n, bool bare)
{
    if (!bare && !e->packets)
        add_headers(e, out);
    for (size_t at = 0; at < n; at += (size_t)e->frame) {
        int16_t frame[RATE * 60 / 1000] = { 0 };
        unsigned char packet[MAX_PACKET];
        size_t part = n - at < (size_t)e->frame ? n - at : (size_t)e->frame;
        int len;

        memcpy(frame, pcm + at, part * sizeof *pcm);
        len = opus_encode(e->opus, frame, e->frame, packet, MAX_PACKET);
        if (len < 0)
            return PAT_EINTERNAL;
        e->granule += e->frame;
        if (bare)
            pat_buf_add(out, packet, (size_t)len);
        else
            add_packet(e, packet, (size_t)len);
    }
    if (!bare)
        add_pages(e, out);
    return out->err;
}
