/* sample.c - a recording somebody wants his voice made of: see sample.h. */
#include "sample.h"
#include "pat.h"

#include <math.h>
#include <string.h>

struct bytes {
    const uint8_t *at, *end;
};

static size_t left(const struct bytes *b)
{
    return (size_t)(b->end - b->at);
}

static uint32_t le(const uint8_t *p, int n)
{
    uint32_t v = 0;

    for (int i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static uint64_t be(const uint8_t *p, int n)
{
    uint64_t v = 0;

    for (int i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* ------------------------------------------------------------------ WAV */

/* (Microsoft, "Multiple channel audio data and WAVE files"; RFC 2361 has the format tags.) */
enum { TAG_PCM = 1, TAG_FLOAT = 3, TAG_EXTENSIBLE = 0xfffe };

struct wav {
    int tag, channels, bits;
    int64_t rate;
    struct bytes sound;
};

static int read_fmt(struct wav *w, const uint8_t *p, size_t len)
{
    if (len < 16)
        return PAT_EINVAL;
    w->tag = (int)le(p, 2);
    w->channels = (int)le(p + 2, 2);
    w->rate = le(p + 4, 4);
    w->bits = (int)le(p + 14, 2);
    if (w->tag == TAG_EXTENSIBLE && len >= 26)
        w->tag = (int)le(p + 24, 2);
    if (w->channels < 1 || w->channels > 2 || w->rate < 8000 || w->rate > 192000)
        return PAT_EINVAL;
    return (w->tag == TAG_PCM &&
            (w->bits == 8 || w->bits == 16 || w->bits == 24 || w->bits == 32)) ||
                   (w->tag == TAG_FLOAT && w->bits == 32)
               ? PAT_OK
               : PAT_EINVAL;
}

/* A size past the end (a stream that was never finished) means all that is there. */
static int read_wav(struct wav *w, struct bytes b)
{
    int err = PAT_EINVAL;

    for (b.at += 12; left(&b) >= 8;) {
        const uint8_t *chunk = b.at;
        size_t size = le(chunk + 4, 4);

        b.at += 8;
        if (size > left(&b))
            size = left(&b);
        if (!memcmp(chunk, "fmt ", 4))
            err = read_fmt(w, b.at, size);
        else if (!memcmp(chunk, "data", 4))
            w->sound = (struct bytes){ b.at, b.at + size };
        b.at += size + (size & 1 && size < left(&b));
    }
    return err || !w->sound.at ? PAT_EINVAL : PAT_OK;
}

static float sound_at(const struct wav *w, const uint8_t *p)
{
    float f;
    uint32_t bits;

    if (w->tag == TAG_PCM && w->bits == 8) /* without a sign, alone of all */
        return (float)(*p - 128) / 128.0f;
    if (w->tag == TAG_PCM)
        return (float)(int32_t)(le(p, w->bits / 8) << (32 - w->bits)) / 2147483648.0f;
    bits = le(p, 4);
    memcpy(&f, &bits, sizeof f);
    return isfinite(f) ? f : 0;
}

#define LOUD    0.0056f /* -45 dBFS */
#define CLIPPED 0.999f

static void look_into(const struct wav *w, struct sample *out)
{
    size_t step = (size_t)w->channels * (size_t)w->bits / 8, frames = left(&w->sound) / step;
    size_t window = (size_t)w->rate / 50, loud = 0, clipped = 0, windows = frames / window;

    for (size_t i = 0; i < windows; i++) {
        double power = 0;

        for (size_t k = 0; k < window; k++) { /* the first channel */
            float s = sound_at(w, w->sound.at + (i * window + k) * step);

            power += (double)s * s;
            clipped += fabsf(s) >= CLIPPED;
        }
        loud += sqrt(power / (double)window) >= LOUD;
    }
    out->looked = true;
    out->duration_ms = (int64_t)(frames * 1000 / (size_t)w->rate);
    out->speech_percent = windows ? (int)(100 * loud / windows) : 0;
    out->clipped_percent = windows ? (int)(100 * clipped / (windows * window)) : 0;
}

static int sample_wav(struct bytes b, struct sample *out)
{
    struct wav w = { 0 };

    if (read_wav(&w, b))
        return PAT_EINVAL;
    look_into(&w, out);
    return PAT_OK;
}

/* ------------------------------------------------------------------ MP3 */

/* (ISO/IEC 11172-3, 2.4.2.3; 13818-3 for the low rates.) Layer III only. */
static int mp3_frame(const uint8_t *p, int64_t *samples, int64_t *rate)
{
    static const int16_t kbps[2][16] = {
        { 0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0 },
        { 0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0 },
    };
    static const int32_t rates[3] = { 44100, 48000, 32000 };
    int version = p[1] >> 3 & 3, layer = p[1] >> 1 & 3, index = p[2] >> 2 & 3;
    int low = version != 3, kilobits = kbps[low][p[2] >> 4];

    if (p[0] != 0xff || (p[1] & 0xe0) != 0xe0 || version == 1 || layer != 1 || index == 3 ||
        !kilobits)
        return 0;
    *rate = rates[index] / (version == 3 ? 1 : version == 2 ? 2 : 4);
    *samples = low ? 576 : 1152;
    return (int)(*samples / 8 * kilobits * 1000 / *rate) + (p[2] >> 1 & 1);
}

/* Frames follow each other from the first on; what lies behind the last (tags) ends it. */
static int sample_mp3(struct bytes b, struct sample *out)
{
    int64_t samples, rate = 0, us = 0;
    int frames = 0, len;

    if (left(&b) > 10 && !memcmp(b.at, "ID3", 3)) {
        size_t tag = 10 + ((size_t)(b.at[6] & 127) << 21 | (size_t)(b.at[7] & 127) << 14 |
                           (size_t)(b.at[8] & 127) << 7 | (b.at[9] & 127));

        b.at += tag < left(&b) ? tag : left(&b);
    }
    while (left(&b) > 4 && (len = mp3_frame(b.at, &samples, &rate)) > 0) {
        frames++;
        us += samples * 1000000 / rate;
        b.at += (size_t)len < left(&b) ? (size_t)len : left(&b);
    }
    out->duration_ms = us / 1000;
    return frames >= 3 ? PAT_OK : PAT_EINVAL;
}

/* ------------------------------------------------------------------ MP4 */

/* The next box's content; b goes behind it. (ISO/IEC 14496-12, 4.2.) */
static bool next_box(struct bytes *b, char type[5], struct bytes *content)
{
    uint64_t size;
    size_t head = 8;

    if (left(b) < 8)
        return false;
    size = be(b->at, 4);
    memcpy(type, b->at + 4, 4);
    type[4] = '\0';
    if (size == 1 && left(b) >= 16) {
        size = be(b->at + 8, 8);
        head = 16;
    }
    if (!size || size > left(b))
        size = left(b);
    if (size < head)
        return false;
    *content = (struct bytes){ b->at + head, b->at + size };
    b->at += size;
    return true;
}

static int64_t movie_ms(struct bytes mvhd)
{
    bool wide = left(&mvhd) && mvhd.at[0] == 1;
    size_t at = wide ? 20 : 12;
    uint64_t scale, length;

    if (left(&mvhd) < at + (wide ? 12 : 8))
        return 0;
    scale = be(mvhd.at + at, 4);
    length = be(mvhd.at + at + 4, wide ? 8 : 4);
    return scale && length < UINT64_MAX / 1000 ? (int64_t)(length * 1000 / scale) : 0;
}

static int sample_mp4(struct bytes b, struct sample *out)
{
    struct bytes box, moov = { 0 };
    char type[5];

    while (!moov.at && next_box(&b, type, &box))
        if (!strcmp(type, "moov"))
            moov = box;
    while (moov.at && next_box(&moov, type, &box))
        if (!strcmp(type, "mvhd"))
            out->duration_ms = movie_ms(box);
    return moov.at ? PAT_OK : PAT_EINVAL;
}

/* ------------------------------------------------------------------ Ogg */

/* (RFC 3533, section 6; RFC 7845 for Opus.) The last page's position is the length. */
static int sample_ogg(struct bytes b, struct sample *out)
{
    int64_t rate = 0, skip = 0, last = 0;

    while (left(&b) >= 27 && !memcmp(b.at, "OggS", 4)) {
        size_t segments = b.at[26], size = 27 + segments;
        const uint8_t *payload = b.at + size;

        if (left(&b) < size)
            break;
        for (size_t i = 0; i < segments; i++)
            size += b.at[27 + i];
        if (!rate && left(&b) >= size && size >= 27 + segments + 16) {
            if (!memcmp(payload, "OpusHead", 8)) {
                rate = 48000;
                skip = le(payload + 10, 2);
            } else if (!memcmp(payload, "\001vorbis", 7)) {
                rate = le(payload + 12, 4);
            }
        }
        if (le(b.at + 10, 4) != 0xffffffffu || le(b.at + 6, 4) != 0xffffffffu)
            last = (int64_t)((uint64_t)le(b.at + 10, 4) << 32 | le(b.at + 6, 4));
        b.at += size < left(&b) ? size : left(&b);
    }
    if (rate < 8000 || last < 0 || last > INT64_MAX / 1000)
        return PAT_EINVAL;
    out->duration_ms = last > skip ? (last - skip) * 1000 / rate : 0;
    return PAT_OK;
}

/* ------------------------------------------------------------------ WebM */

enum {
    ID_SEGMENT = 0x18538067,
    ID_INFO = 0x1549A966,
    ID_CLUSTER = 0x1F43B675,
    ID_SCALE = 0x2AD7B1,
    ID_DURATION = 0x4489,
    ID_TIME = 0xE7,
    ID_SIMPLE_BLOCK = 0xA3,
    ID_BLOCK_GROUP = 0xA0,
    ID_BLOCK = 0xA1,
};

/* RFC 8794, section 4. marker: kept in ids. Its length, or 0. */
static size_t vint(const struct bytes *b, bool id, uint64_t *out)
{
    size_t n = 1;

    if (!left(b) || !b->at[0])
        return 0;
    while (!(b->at[0] & 0x80 >> (n - 1)))
        n++;
    if (left(b) < n)
        return 0;
    *out = be(b->at, (int)n);
    if (!id) {
        *out &= (1ULL << 7 * n) - 1;
        if (*out == (1ULL << 7 * n) - 1)
            *out = UINT64_MAX; /* unknown: what follows, until its parent ends */
    }
    return n;
}

struct webm {
    uint64_t scale_ns, cluster, end; /* in units of scale_ns */
    double duration;
};

static void webm_value(struct webm *w, uint64_t id, struct bytes v)
{
    size_t n = left(&v);
    uint64_t track;
    size_t head;

    if (id == ID_SCALE && n >= 1 && n <= 8) {
        w->scale_ns = be(v.at, (int)n);
    } else if (id == ID_TIME && n >= 1 && n <= 8) {
        w->cluster = be(v.at, (int)n);
    } else if (id == ID_DURATION && n == 4) {
        uint32_t bits = (uint32_t)be(v.at, 4);
        float f;

        memcpy(&f, &bits, 4);
        w->duration = (double)f;
    } else if (id == ID_DURATION && n == 8) {
        uint64_t bits = be(v.at, 8);

        memcpy(&w->duration, &bits, 8);
    } else if ((id == ID_SIMPLE_BLOCK || id == ID_BLOCK) && (head = vint(&v, false, &track)) &&
               n >= head + 2) {
        uint64_t at = w->cluster + (uint64_t)(int64_t)(int16_t)be(v.at + head, 2);

        if (at > w->end && at < (uint64_t)1 << 50)
            w->end = at;
    }
}

/* A browser's recorder writes no duration: the last block's time is the length. (RFC 9559.) */
static int sample_webm(struct bytes b, struct sample *out)
{
    struct webm w = { .scale_ns = 1000000 };
    uint64_t id, size;
    size_t n;
    double ms;

    while (left(&b) && (n = vint(&b, true, &id))) {
        b.at += n;
        if (!(n = vint(&b, false, &size)))
            break;
        b.at += n;
        if (id == ID_SEGMENT || id == ID_INFO || id == ID_CLUSTER || id == ID_BLOCK_GROUP)
            continue; /* into it */
        if (size > left(&b))
            break;
        webm_value(&w, id, (struct bytes){ b.at, b.at + size });
        b.at += size;
    }
    ms = (isfinite(w.duration) && w.duration > 0 ? w.duration : (double)w.end) *
         (double)w.scale_ns / 1e6;
    out->duration_ms = ms > 0 && ms < 1e12 ? (int64_t)ms : 0;
    return PAT_OK;
}

/* ------------------------------------------------------------------ */

int sample_read(const void *data, size_t len, struct sample *out)
{
    struct bytes b = { data, (const uint8_t *)data + len };
    const uint8_t *p = data;

    *out = (struct sample){ 0 };
    if (len < 16)
        return PAT_EINVAL;
    if (!memcmp(p, "RIFF", 4) && !memcmp(p + 8, "WAVE", 4)) {
        out->type = "audio/wav";
        return sample_wav(b, out);
    }
    if (!memcmp(p + 4, "ftyp", 4)) {
        out->type = "audio/mp4";
        return sample_mp4(b, out);
    }
    if (!memcmp(p, "OggS", 4)) {
        out->type = "audio/ogg";
        return sample_ogg(b, out);
    }
    if (!memcmp(p, "\x1a\x45\xdf\xa3", 4)) {
        out->type = "audio/webm";
        return sample_webm(b, out);
    }
    out->type = "audio/mpeg";
    return sample_mp3(b, out);
}
