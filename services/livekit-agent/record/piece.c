/* piece.c - see piece.h.
 *
 * How: pages are copied with a new number; a gap is written out as packets of silence. Packets are
 * not looked into.
 */
#include "piece.h"

#include "mix.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP_MAX ((int64_t)4 * 3600 * 48000)

enum { PAGE_SLOTS = 50 };

void record_piece_name(char out[RECORD_PIECE_NAME], const struct record_piece *p)
{
    (void)snprintf(out, RECORD_PIECE_NAME, "%06d-%06d-%012" PRId64 "-%012" PRId64, p->epoch,
                   p->number, p->from, p->to);
}

int record_piece_parse(struct record_piece *p, const char *name)
{
    char again[RECORD_PIECE_NAME];
    int end = 0;

    if (strlen(name) >= RECORD_PIECE_NAME ||
        sscanf(name, "%6d-%6d-%12" SCNd64 "-%12" SCNd64 "%n", &p->epoch, &p->number, &p->from,
               &p->to, &end) != 4 ||
        name[end] || p->to < p->from)
        return PAT_EINVAL;
    record_piece_name(again, p);
    return strcmp(again, name) == 0 ? PAT_OK : PAT_EINVAL;
}

int record_piece_compare(const void *a, const void *b)
{
    const struct record_piece *x = a, *y = b;

    return x->epoch != y->epoch ? x->epoch - y->epoch : x->number - y->number;
}

void record_join_init(struct record_join *j, uint32_t serial)
{
    memset(j, 0, sizeof *j);
    ogg_page_init(&j->page, serial, 0);
}

static int silence(struct record_join *j, int64_t until, struct pat_buf *out)
{
    uint8_t packet[RECORD_PACKET_MAX];
    size_t len = record_mix_silence(packet);
    int err = PAT_OK;

    if (until - j->pos > GAP_MAX)
        return PAT_E2BIG;
    while (!err && j->pos + RECORD_SLOT <= until) {
        for (int i = 0; !err && i < PAGE_SLOTS && j->pos + RECORD_SLOT <= until; i++) {
            err = ogg_page_add(&j->page, packet, len);
            j->pos += RECORD_SLOT;
            j->filled += RECORD_SLOT;
        }
        if (!err)
            err = ogg_page_flush(&j->page, j->pos, 0, out);
    }
    return err;
}

static int copy(struct record_join *j, const struct ogg_view *v, struct pat_buf *out)
{
    memcpy(j->page.lacing, v->lacing, v->segments);
    memcpy(j->page.body, v->body, v->body_len);
    j->page.segments = v->segments;
    j->page.len = v->body_len;
    j->pos = v->granule;
    return ogg_page_flush(&j->page, v->granule, 0, out);
}

static bool is_header(const struct ogg_view *v)
{
    return v->granule == 0; /* sound ends later than it begins */
}

int record_join_piece(struct record_join *j, const struct record_piece *p, int64_t before,
                      const void *data, size_t len, const char *title, struct pat_buf *out)
{
    const uint8_t *at = data;
    int64_t from = p->from;
    struct ogg_view v;
    int err = PAT_OK;

    if (!j->begun) {
        j->begun = true;
        err = ogg_headers(&j->page, title, out);
    }
    while (!err && len) {
        err = ogg_read(&v, at, len);
        if (err)
            return err;
        at += v.len;
        len -= v.len;
        if (is_header(&v))
            continue;
        if (v.granule <= from || v.granule > p->to)
            return PAT_EPROTO;
        if (v.granule > before)
            break;
        if (from >= j->pos) { /* else somebody else has told this time already */
            err = silence(j, from, out);
            if (!err)
                err = copy(j, &v, out);
        }
        from = v.granule;
    }
    return err;
}

int record_join_end(struct record_join *j, struct pat_buf *out)
{
    uint8_t packet[RECORD_PACKET_MAX];
    size_t len = record_mix_silence(packet);
    int err = ogg_page_add(&j->page, packet, len);

    j->pos += RECORD_SLOT;
    return err ? err : ogg_page_flush(&j->page, j->pos, OGG_EOS, out);
}
