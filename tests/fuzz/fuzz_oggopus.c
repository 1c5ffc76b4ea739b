/* fuzz_oggopus.c - any bytes as a synthesiser's Opus, cut anywhere: the packets depend on the bytes
 * alone, and each is one that may be sent on. */
#include "oggopus.h"
#include "opusio.h"

#include <stdlib.h>

struct sum {
    size_t packets;
    uint64_t hash;
};

static void on_packet(const uint8_t *opus, size_t len, void *arg)
{
    struct sum *s = arg;

    if (!len || len > OPUSIO_MAX_PACKET || opusio_samples(opus, len) != OPUSIO_FRAME)
        abort();
    s->packets++;
    for (size_t i = 0; i < len; i++)
        s->hash = s->hash * 31 + opus[i];
}

static struct sum read_all(const uint8_t *data, size_t size, size_t step)
{
    struct sum s = { 0, 0 };
    struct oggopus *r;
    const char *why;

    if (oggopus_new(&r))
        return s;
    for (size_t at = 0; at < size; at += step)
        if (oggopus_feed(r, data + at, size - at < step ? size - at : step, on_packet, &s, &why))
            break;
    oggopus_free(r);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sum a, b;

    if (!size)
        return 0;
    a = read_all(data + 1, size - 1, size);
    b = read_all(data + 1, size - 1, 1 + data[0]);
    if (a.packets != b.packets || a.hash != b.hash)
        abort();
    return 0;
}
