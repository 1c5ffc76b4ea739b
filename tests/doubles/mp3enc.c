/* mp3enc.c - LAME by dlopen: see mp3enc.h. The functions are those of lame.h 3.100; MONO is 3
 * there. */
#include "mp3enc.h"

#include <dlfcn.h>
#include <string.h>

#define MONO 3

typedef void *lame_t;
static struct {
    bool looked, there;
    lame_t (*init)(void);
    int (*set_in_samplerate)(lame_t, int);
    int (*set_num_channels)(lame_t, int);
    int (*set_brate)(lame_t, int);
    int (*set_mode)(lame_t, int);
    int (*init_params)(lame_t);
    int (*encode)(lame_t, const short *, const short *, int, unsigned char *, int);
    int (*flush)(lame_t, unsigned char *, int);
    int (*close)(lame_t);
} lame;

static bool take(void *lib, const char *name, void *to)
{
    void *sym = dlsym(lib, name);

    memcpy(to, &sym, sizeof sym); /* POSIX: a pointer to a function fits */
    return sym;
}

bool mp3enc_there(void)
{
    void *lib;

    if (lame.looked)
        return lame.there;
    lame.looked = true;
    lib = dlopen("libmp3lame.so.0", RTLD_NOW | RTLD_LOCAL);
    lame.there = lib && take(lib, "lame_init", &lame.init) &&
                 take(lib, "lame_set_in_samplerate", &lame.set_in_samplerate) &&
                 take(lib, "lame_set_num_channels", &lame.set_num_channels) &&
                 take(lib, "lame_set_brate", &lame.set_brate) &&
                 take(lib, "lame_set_mode", &lame.set_mode) &&
                 take(lib, "lame_init_params", &lame.init_params) &&
                 take(lib, "lame_encode_buffer", &lame.encode) &&
                 take(lib, "lame_encode_flush", &lame.flush) &&
                 take(lib, "lame_close", &lame.close);
    return lame.there;
}

/* lame.h: the worst case of a call is 1.25 n + 7200 bytes. */
static int encode(lame_t l, struct pat_buf *out, const int16_t *pcm, size_t n)
{
    size_t worst = n + n / 4 + 2 * 7200;
    char *to = pat_buf_reserve(out, worst);
    int a, b;

    if (!to)
        return PAT_ENOMEM;
    a = lame.encode(l, pcm, pcm, (int)n, (unsigned char *)to, (int)worst);
    if (a < 0)
        return PAT_EINTERNAL;
    b = lame.flush(l, (unsigned char *)to + a, (int)(worst - (size_t)a));
    if (b < 0)
        return PAT_EINTERNAL;
    out->len += (size_t)(a + b);
    return PAT_OK;
}

int mp3enc(struct pat_buf *out, int rate, int kbps, const int16_t *pcm, size_t n)
{
    lame_t l = mp3enc_there() ? lame.init() : NULL;
    int err = PAT_EUNAVAIL;

    if (!l)
        return err;
    lame.set_in_samplerate(l, rate);
    lame.set_num_channels(l, 1);
    lame.set_mode(l, MONO);
    lame.set_brate(l, kbps);
    err = lame.init_params(l) < 0 ? PAT_EINVAL : encode(l, out, pcm, n);
    lame.close(l);
    return err;
}
