/* mix.c - see mix.h.
 *
 * How: each side is a list of frames ordered by time. It knows nothing of clocks: whoever adds says
 * where a packet belongs.
 */
#include "mix.h"

#include <opus/opus.h>
#include <stdlib.h>
#include <string.h>

enum {
    UNIT = 120,            /* samples of the shortest frame, 2.5 ms */
    LATE_MAX = 200 * 48,   /* a frame delayed by more is dropped */
    CONCEAL_MAX = 60 * 48, /* the decoder makes up for so much; then it is silence */
    QUIET_BYTES = 2,       /* a frame so short has no sound in it */
    FRAMES_MAX = 48,       /* RFC 6716 section 3.2.5: 120 ms */
    SILENT_TOC = 0xF8,     /* CELT, full band, 20 ms, mono */
    HEADER_MAX = 2 + 2 * FRAMES_MAX,
    STREAM_MAX = RECORD_PACKET_MAX / 2,
};

static const uint8_t silent_frame[QUIET_BYTES] = { 0xFF, 0xFE };

struct record_frame {
    struct record_frame *next, *prev;
    int64_t at;
    int dur;
    uint8_t toc; /* without the count of frames */
    uint16_t len;
    uint8_t data[];
};

/* What one stream of a slot holds. */
struct filling {
    uint8_t toc;
    int n;
    size_t len;
    const uint8_t *data[FRAMES_MAX];
    uint16_t size[FRAMES_MAX];
    struct record_frame *taken[FRAMES_MAX];
};

void record_mix_init(struct record_mix *m, int64_t pos)
{
    memset(m, 0, sizeof *m);
    m->pos = pos;
}

static struct record_frame *unlink_first(struct record_row *r)
{
    struct record_frame *f = r->first;

    r->first = f->next;
    if (r->first)
        r->first->prev = NULL;
    else
        r->last = NULL;
    r->n--;
    return f;
}

void record_mix_fini(struct record_mix *m)
{
    for (int s = 0; s < RECORD_SIDES; s++)
        while (m->rows[s].first)
            free(unlink_first(&m->rows[s]));
}

/* By time; nearly always the last. A frame whose time is taken came twice. */
static bool insert(struct record_row *r, struct record_frame *f)
{
    struct record_frame *before = r->last;

    while (before && before->at > f->at)
        before = before->prev;
    if (before && before->at == f->at)
        return false;
    f->prev = before;
    f->next = before ? before->next : r->first;
    if (f->next)
        f->next->prev = f;
    else
        r->last = f;
    if (before)
        before->next = f;
    else
        r->first = f;
    r->n++;
    return true;
}

static int add_frame(struct record_mix *m, struct record_row *r, const struct record_frame *like,
                     const uint8_t *data)
{
    struct record_frame *f;

    if (r->n == RECORD_FRAMES || like->at + like->dur <= m->pos) {
        m->lost++;
        return PAT_OK;
    }
    f = malloc(sizeof *f + like->len);
    if (!f)
        return PAT_ENOMEM;
    *f = *like;
    if (f->len)
        memcpy(f->data, data, f->len);
    if (!insert(r, f))
        free(f);
    return PAT_OK;
}

int record_mix_add(struct record_mix *m, enum record_side side, int64_t at, const uint8_t *opus,
                   size_t len)
{
    const unsigned char *frames[FRAMES_MAX];
    opus_int16 sizes[FRAMES_MAX];
    struct record_frame like = { .at = at };
    int n = len && len <= INT32_MAX
                ? opus_packet_parse(opus, (opus_int32)len, NULL, frames, sizes, NULL)
                : -1;
    int err = PAT_OK;

    if (n < 1)
        return PAT_EPROTO;
    like.dur = opus_packet_get_samples_per_frame(opus, 48000);
    like.toc = opus[0] & 0xFC;
    for (int i = 0; i < n && !err; i++) {
        like.len = (uint16_t)sizes[i];
        err = add_frame(m, &m->rows[side], &like, frames[i]);
        like.at += like.dur;
    }
    return err;
}

static bool due(const struct record_frame *f, int64_t at, int dur)
{
    return f && f->at < at + dur / 2;
}

/* Whatever is too late by now, and what can be left out to make good a delay. */
static void drop_late(struct record_mix *m, struct record_row *r)
{
    while (r->first &&
           (r->first->at < m->pos - LATE_MAX ||
            (r->first->at < m->pos - RECORD_SLOT / 2 && r->first->len <= QUIET_BYTES))) {
        struct record_frame *f = unlink_first(r);
        m->lost += f->len > QUIET_BYTES;
        free(f);
    }
}

static int common_multiple(int a, int b)
{
    int n = a;

    while (n % b)
        n += a;
    return n;
}

static int slot_length(const struct record_mix *m)
{
    int units = RECORD_SLOT / UNIT;

    for (int s = 0; s < RECORD_SIDES; s++)
        if (due(m->rows[s].first, m->pos, RECORD_SLOT))
            units = common_multiple(units, m->rows[s].first->dur / UNIT);
    return units * UNIT;
}

static void fill_with(struct filling *f, uint8_t toc, int n, const uint8_t *data, size_t size)
{
    f->toc = toc;
    f->n = n;
    for (int i = 0; i < n; i++) {
        f->data[i] = data;
        f->size[i] = (uint16_t)size;
        f->len += size;
    }
}

static void fill_gap(const struct record_mix *m, const struct record_row *r, int len,
                     struct filling *f)
{
    if (r->dur && len % r->dur == 0 && m->pos + len - r->sound_end <= CONCEAL_MAX)
        fill_with(f, r->toc, len / r->dur, NULL, 0);
    else
        fill_with(f, SILENT_TOC, len / RECORD_SLOT, silent_frame, sizeof silent_frame);
}

static void take(struct record_row *r, struct filling *f, int64_t end)
{
    struct record_frame *t = unlink_first(r);

    f->taken[f->n] = t;
    f->data[f->n] = t->data;
    f->size[f->n] = t->len;
    f->len += t->len;
    if (t->len > QUIET_BYTES)
        r->sound_end = end;
}

static void fill(const struct record_mix *m, struct record_row *r, int len, struct filling *f)
{
    int dur;

    *f = (struct filling){ 0 };
    if (!due(r->first, m->pos, RECORD_SLOT)) {
        fill_gap(m, r, len, f);
        return;
    }
    r->toc = f->toc = r->first->toc;
    r->dur = dur = r->first->dur;
    for (int64_t at = m->pos; at < m->pos + len; at += dur, f->n++)
        if (due(r->first, at, dur > RECORD_SLOT ? RECORD_SLOT : dur) && r->first->toc == f->toc &&
            f->len + r->first->len + HEADER_MAX <= STREAM_MAX)
            take(r, f, at + dur);
}

static size_t put_len(uint8_t *to, size_t len)
{
    if (len < 252) {
        to[0] = (uint8_t)len;
        return 1;
    }
    to[0] = (uint8_t)(252 + (len & 3)); /* RFC 6716 section 3.2.1 */
    to[1] = (uint8_t)((len - to[0]) >> 2);
    return 2;
}

static size_t put_stream(uint8_t *to, const struct filling *f, bool delimited)
{
    size_t at = 0;
    int lengths = delimited ? f->n : f->n - 1;

    to[at++] = (uint8_t)(f->toc | (f->n == 1 ? 0 : 3));
    if (f->n > 1)
        to[at++] = (uint8_t)(0x80 | f->n); /* a length for each */
    for (int i = 0; i < lengths; i++)
        at += put_len(to + at, f->size[i]);
    for (int i = 0; i < f->n; i++) {
        if (f->size[i])
            memcpy(to + at, f->data[i], f->size[i]);
        at += f->size[i];
    }
    return at;
}

size_t record_mix_next(struct record_mix *m, int64_t until, uint8_t out[RECORD_PACKET_MAX],
                       uint32_t *samples)
{
    struct filling f;
    size_t len = 0;
    int slot;

    for (int s = 0; s < RECORD_SIDES; s++)
        drop_late(m, &m->rows[s]);
    slot = slot_length(m);
    if (m->pos + slot > until)
        return 0;
    for (int s = 0; s < RECORD_SIDES; s++) {
        fill(m, &m->rows[s], slot, &f);
        len += put_stream(out + len, &f, s + 1 < RECORD_SIDES);
        for (int i = 0; i < f.n; i++)
            free(f.taken[i]);
    }
    m->pos += slot;
    *samples = (uint32_t)slot;
    return len;
}

size_t record_mix_silence(uint8_t out[RECORD_PACKET_MAX])
{
    struct filling f = { 0 };
    size_t len;

    fill_with(&f, SILENT_TOC, 1, silent_frame, sizeof silent_frame);
    len = put_stream(out, &f, true);
    return len + put_stream(out + len, &f, false);
}
