/* ogg.h - Ogg pages (RFC 3533) of one logical stream that holds two voices. Pure.
 *
 * The stream is Opus with channel mapping family 1, two channels made of two uncoupled mono streams
 * (RFC 7845 section 5.1.1): the caller is the left channel, we are the right one, and any player
 * that knows Opus plays it as stereo. A page is collected packet by packet and appended to a
 * buffer; its granule position is the time at its end, in samples at 48 kHz.
 */
#ifndef RECORD_OGG_H
#define RECORD_OGG_H

#include "pat.h"

#define OGG_SEGMENTS 255 /* RFC 3533 section 6 */
#define OGG_BODY_MAX ((size_t)OGG_SEGMENTS * 255)

enum { OGG_CONTINUED = 1, OGG_BOS = 2, OGG_EOS = 4 };

struct ogg_page {
    uint32_t serial;
    uint32_t number; /* of the page being collected; counts by itself */
    size_t segments;
    size_t len;
    uint8_t lacing[OGG_SEGMENTS];
    uint8_t body[OGG_BODY_MAX];
};

void ogg_page_init(struct ogg_page *p, uint32_t serial, uint32_t number);
/* PAT_E2BIG: no room left on this page. A packet is never spread over pages. */
int ogg_page_add(struct ogg_page *p, const uint8_t *packet, size_t len) PAT_MUST_CHECK;
/* Appends the page and begins the next one. Nothing happens when it is empty. */
int ogg_page_flush(struct ogg_page *p, int64_t granule, int flags, struct pat_buf *out);

/* Identification and comment header, a page each. */
int ogg_headers(struct ogg_page *p, const char *title, struct pat_buf *out) PAT_MUST_CHECK;

/* A page read. body: what follows the header, within the data given. */
struct ogg_view {
    int64_t granule;
    uint32_t serial, number;
    int flags;
    const uint8_t *lacing, *body;
    size_t segments, body_len, len; /* len: of the whole page */
};
/* PAT_EPROTO: no whole page of good checksum begins here. */
int ogg_read(struct ogg_view *v, const uint8_t *data, size_t len) PAT_MUST_CHECK;

#endif
