/* packer.c - deflate with a dictionary: see packer.h.
 *
 * The two streams live as long as the packer: making one costs more than a text.
 */
#include "packer.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define DICTIONARY_MAX ((size_t)30 << 10) /* deflate looks back 32 kB */
enum { RAW = -15, KEPT = 256 };

/* A text unpacked lately. */
struct kept {
    const void *packed; /* where it stood: with its length and bytes it is this one */
    uint32_t sum;
    char *text;
};

struct packer {
    z_stream in, out;
    bool in_ok, out_ok;
    struct pat_buf dictionary; /* the first text's end */
    struct pat_buf with_hint;  /* hint and dictionary */
    struct pat_buf packed;
    struct kept kept[KEPT];
};

int packer_new(struct packer **out)
{
    struct packer *p = calloc(1, sizeof *p);

    if (!p)
        return PAT_ENOMEM;
    pat_buf_init(&p->dictionary, DICTIONARY_MAX + 1);
    pat_buf_init(&p->with_hint, DICTIONARY_MAX + PACKER_HINT_MAX + 1);
    pat_buf_init(&p->packed, (size_t)8 << 20);
    p->out_ok = deflateInit2(&p->out, 6, Z_DEFLATED, RAW, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    p->in_ok = inflateInit2(&p->in, RAW) == Z_OK;
    if (!p->out_ok || !p->in_ok) {
        packer_free(p);
        return PAT_ENOMEM;
    }
    *out = p;
    return PAT_OK;
}

void packer_free(struct packer *p)
{
    if (!p)
        return;
    if (p->out_ok)
        deflateEnd(&p->out);
    if (p->in_ok)
        inflateEnd(&p->in);
    for (int i = 0; i < KEPT; i++)
        free(p->kept[i].text);
    pat_buf_fini(&p->dictionary);
    pat_buf_fini(&p->with_hint);
    pat_buf_fini(&p->packed);
    free(p);
}

static int join(struct packer *p, const char *hint)
{
    pat_buf_reset(&p->with_hint);
    pat_buf_adds(&p->with_hint, hint);
    return pat_buf_add(&p->with_hint, p->dictionary.data ? p->dictionary.data : "",
                       p->dictionary.len);
}

int packer_pack(struct packer *p, const char *hint, const char *text, size_t len,
                const void **packed, size_t *packed_len)
{
    uLong most = deflateBound(&p->out, (uLong)len);
    size_t skip = len > DICTIONARY_MAX ? len - DICTIONARY_MAX : 0;
    int err = PAT_OK;

    if (!p->dictionary.len)
        err = pat_buf_add(&p->dictionary, text + skip, len - skip);
    if (!err)
        err = join(p, hint);
    pat_buf_reset(&p->packed);
    if (err)
        return err;
    if (!pat_buf_reserve(&p->packed, most))
        return PAT_ENOMEM;
    if (deflateReset(&p->out) != Z_OK ||
        deflateSetDictionary(&p->out, (const Bytef *)p->with_hint.data, (uInt)p->with_hint.len) !=
            Z_OK)
        return PAT_EINTERNAL;
    p->out.next_in = (Bytef *)(uintptr_t)text;
    p->out.avail_in = (uInt)len;
    p->out.next_out = (Bytef *)p->packed.data;
    p->out.avail_out = (uInt)most;
    if (deflate(&p->out, Z_FINISH) != Z_STREAM_END)
        return PAT_EINTERNAL;
    *packed = p->packed.data;
    *packed_len = p->out.total_out;
    return PAT_OK;
}

static bool inflate_all(struct packer *p, const void *packed, size_t packed_len, char *text,
                        size_t len)
{
    if (inflateReset(&p->in) != Z_OK ||
        inflateSetDictionary(&p->in, (const Bytef *)p->with_hint.data, (uInt)p->with_hint.len) !=
            Z_OK)
        return false;
    p->in.next_in = (Bytef *)(uintptr_t)packed;
    p->in.avail_in = (uInt)packed_len;
    p->in.next_out = (Bytef *)text;
    p->in.avail_out = (uInt)len;
    return inflate(&p->in, Z_FINISH) == Z_STREAM_END && p->in.total_out == len;
}

char *packer_unpack(struct packer *p, const char *hint, const void *packed, size_t packed_len,
                    size_t len)
{
    uint32_t sum = (uint32_t)crc32(crc32(0, packed, (uInt)packed_len), (const Bytef *)hint,
                                   (uInt)strlen(hint));
    struct kept *k = &p->kept[sum % KEPT];
    char *text;

    if (k->text && k->packed == packed && k->sum == sum && strlen(k->text) == len)
        return strdup(k->text);
    text = malloc(len + 1);
    if (!text || join(p, hint) || !inflate_all(p, packed, packed_len, text, len)) {
        free(text);
        return NULL;
    }
    text[len] = 0;
    free(k->text);
    *k = (struct kept){ packed, sum, strdup(text) };
    return text;
}

void packer_forget(struct packer *p, const void *packed)
{
    for (int i = 0; i < KEPT; i++)
        if (p->kept[i].packed == packed)
            p->kept[i].packed = NULL;
}
