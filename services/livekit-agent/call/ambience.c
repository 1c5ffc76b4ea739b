/* ambience.c - who wants which place, and the making of it on a pool thread.
 *
 * The loop is encoded twice over and the second time kept, so that its last packet leads into its
 * first. */
#include "ambience.h"

#include "sound.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_MAX_LEN = 63, MAX_SECONDS = 60, WAV_HEAD = 12, UNUSED_KEPT = 4 };

struct ambience {
    struct ambience *next;
    struct ambiences *owner;
    int refs;
    bool working, ready;
    char name[NAME_MAX_LEN + 1];
    char path[400]; /* of a recording; "" : none */
    double volume;
    int16_t *pcm; /* n packets' worth */
    size_t n;
    struct phrase *packets;
};

struct ambiences {
    struct pat_loop *loop;
    char *dir;
    struct ambience *first;
};

int ambiences_new(struct ambiences **out, struct pat_loop *l, const char *dir)
{
    struct ambiences *a = calloc(1, sizeof *a);

    if (!a)
        return PAT_ENOMEM;
    a->loop = l;
    a->dir = strdup(dir ? dir : "");
    if (!a->dir) {
        free(a);
        return PAT_ENOMEM;
    }
    *out = a;
    return PAT_OK;
}

static void ambience_free(struct ambience *x)
{
    phrase_unref(x->packets);
    free(x->pcm);
    free(x);
}

/* One that is being made is freed when it comes back. */
void ambiences_free(struct ambiences *a)
{
    if (!a)
        return;
    while (a->first) {
        struct ambience *x = a->first;

        a->first = x->next;
        x->owner = NULL;
        if (!x->working)
            ambience_free(x);
    }
    free(a->dir);
    free(a);
}

static bool path_of(const struct ambiences *a, const char *name, char out[400])
{
    int n;

    out[0] = 0;
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
            return false;
    if (!*a->dir || !*name || strlen(name) > NAME_MAX_LEN)
        return false;
    n = snprintf(out, 400, "%s/%s.wav", a->dir, name);
    if (n < 400 && access(out, R_OK) == 0)
        return true;
    out[0] = 0;
    return false;
}

bool ambiences_has(const struct ambiences *a, const char *name)
{
    char path[400];

    return ambience_is_ours(name) || path_of(a, name, path);
}

/* ---- pool thread ---- */

static uint32_t le(const uint8_t *p, int bytes)
{
    uint32_t v = 0;

    for (int i = 0; i < bytes; i++)
        v |= (uint32_t)p[i] << 8 * i;
    return v;
}

/* 48 kHz, mono, 16 bit, at most a minute; NULL: it is not. */
static int16_t *read_wav(const char *path, size_t *n)
{
    uint8_t head[WAV_HEAD], chunk[8], format[16];
    FILE *f = fopen(path, "rb");
    int16_t *pcm = NULL;
    bool known = false;

    if (!f)
        return NULL;
    if (fread(head, 1, sizeof head, f) != sizeof head || memcmp(head, "RIFF", 4) != 0 ||
        memcmp(head + 8, "WAVE", 4) != 0)
        goto out;
    while (fread(chunk, 1, sizeof chunk, f) == sizeof chunk) {
        uint32_t len = le(chunk + 4, 4);

        if (memcmp(chunk, "data", 4) == 0) {
            if (len > MAX_SECONDS * 96000)
                len = MAX_SECONDS * 96000;
            pcm = known && len >= 2 * OPUSIO_FRAME ? malloc(len) : NULL;
            *n = pcm ? fread(pcm, 2, len / 2, f) : 0;
            goto out;
        }
        if (memcmp(chunk, "fmt ", 4) == 0 && len >= sizeof format) {
            if (fread(format, 1, sizeof format, f) != sizeof format)
                goto out;
            known = le(format, 2) == 1 && le(format + 2, 2) == 1 && le(format + 4, 4) == 48000 &&
                    le(format + 14, 2) == 16;
            len -= (uint32_t)sizeof format;
        }
        if (fseek(f, (long)(len + (len & 1)), SEEK_CUR) != 0)
            goto out;
    }
out:
    (void)fclose(f);
    return pcm;
}

static int encode(struct ambience *x)
{
    struct opusio_enc *enc;
    int err = phrase_new(&x->packets);

    if (err)
        return err;
    err = opusio_enc_for(&enc, OPUSIO_WIDE);
    if (err)
        return err;
    for (size_t i = 0; !err && i < 2 * x->n; i++) {
        uint8_t opus[OPUSIO_MAX_PACKET];
        int len = opusio_encode(enc, x->pcm + i % x->n * OPUSIO_FRAME, opus);

        if (len < 0)
            err = len;
        else if (i >= x->n)
            err = phrase_add(x->packets, opus, (size_t)len, SOUND_SILENT);
    }
    opusio_enc_free(enc);
    return err;
}

static void work(void *arg)
{
    struct ambience *x = arg;
    size_t n = 0;

    x->pcm = *x->path ? read_wav(x->path, &n) : NULL;
    if (!x->pcm)
        x->pcm = ambience_make(x->name, &n);
    x->n = n / OPUSIO_FRAME;
    if (!x->pcm || !x->n)
        return;
    sound_amplify(x->pcm, n, x->volume);
    x->ready = encode(x) == PAT_OK;
}

static void worked(void *arg)
{
    struct ambience *x = arg;

    x->working = false;
    if (!x->owner) {
        ambience_free(x);
        return;
    }
    if (!x->ready)
        pat_log(PAT_WARN, "ambience.not_made", PAT_S("name", x->name), PAT_S("file", x->path));
}

/* ---- the loop ---- */

static void forget_unused(struct ambiences *a)
{
    struct ambience **at = &a->first;
    int unused = 0;

    while (*at) {
        struct ambience *x = *at;

        if (x->refs || x->working || ++unused <= UNUSED_KEPT) {
            at = &x->next;
            continue;
        }
        *at = x->next;
        ambience_free(x);
    }
}

static struct ambience *start(struct ambiences *a, const char *name, double volume)
{
    struct ambience *x = calloc(1, sizeof *x);

    if (!x)
        return NULL;
    (void)path_of(a, name, x->path);
    pat_strcpy(x->name, sizeof x->name, name);
    x->volume = volume;
    x->owner = a;
    x->working = true;
    if (pat_loop_work(a->loop, work, worked, x)) {
        free(x);
        return NULL;
    }
    x->next = a->first;
    a->first = x;
    return x;
}

struct ambience *ambiences_get(struct ambiences *a, const char *name, double volume)
{
    struct ambience *x = a->first;

    if (!ambiences_has(a, name) || volume <= 0)
        return NULL;
    while (x && (strcmp(x->name, name) != 0 || x->volume != volume))
        x = x->next;
    if (!x)
        x = start(a, name, volume);
    if (x)
        x->refs++;
    return x;
}

void ambience_unref(struct ambience *x)
{
    if (x && --x->refs == 0 && x->owner)
        forget_unused(x->owner);
}

bool ambience_ready(const struct ambience *x)
{
    return !x->working && x->ready;
}

void ambience_mix(const struct ambience *x, size_t at, int16_t pcm[OPUSIO_FRAME])
{
    const int16_t *from = x->pcm + at % x->n * OPUSIO_FRAME;

    for (size_t i = 0; i < OPUSIO_FRAME; i++) {
        int v = pcm[i] + from[i];

        pcm[i] = (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
    }
}

const uint8_t *ambience_packet(const struct ambience *x, size_t at, size_t *len)
{
    int level;

    return phrase_packet(x->packets, at % x->n, len, &level);
}
