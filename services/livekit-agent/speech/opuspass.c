/* opuspass.c - the Ogg reader, and a decoder for as long as it is needed.
 *
 * It never changes a packet. */
#include "opuspass.h"

#include "oggopus.h"
#include "opusio.h"

#include <math.h>
#include <stdlib.h>

enum { LOUD = 55 /* louder (smaller) is speech, as for samples */, SILENT = 127 };

struct opuspass {
    struct oggopus *ogg;
    struct opusio_dec *dec; /* NULL: it has been loud */
    opuspass_fn *fn;        /* of the call under way */
    void *arg;
};

int opuspass_new(struct opuspass **out)
{
    struct opuspass *p = calloc(1, sizeof *p);
    int err = p ? oggopus_new(&p->ogg) : PAT_ENOMEM;

    if (!err)
        err = opusio_dec_new(&p->dec);
    if (err) {
        opuspass_free(p);
        return err;
    }
    *out = p;
    return PAT_OK;
}

void opuspass_free(struct opuspass *p)
{
    if (!p)
        return;
    oggopus_free(p->ogg);
    opusio_dec_free(p->dec);
    free(p);
}

static int level_of(struct opusio_dec *d, const uint8_t *opus, size_t len)
{
    int16_t pcm[OPUSIO_MAX_16K];
    int n = opusio_decode(d, opus, len, OPUSIO_FRAME, pcm);
    double sum = 0, db;

    for (int i = 0; i < n; i++)
        sum += (double)pcm[i] * pcm[i];
    if (sum < 1)
        return SILENT;
    db = -10 * log10(sum / n / (32768.0 * 32768.0));
    return db > SILENT ? SILENT : db < 0 ? 0 : (int)db;
}

static void on_packet(const uint8_t *opus, size_t len, void *arg)
{
    struct opuspass *p = arg;
    int level = p->dec ? level_of(p->dec, opus, len) : OPUSPASS_LEVEL;

    if (p->dec && level < LOUD) {
        opusio_dec_free(p->dec);
        p->dec = NULL;
    }
    p->fn(opus, len, level, p->arg);
}

int opuspass_feed(struct opuspass *p, const void *data, size_t len, opuspass_fn *fn, void *arg,
                  const char **why)
{
    p->fn = fn;
    p->arg = arg;
    return oggopus_feed(p->ogg, data, len, on_packet, p, why);
}
