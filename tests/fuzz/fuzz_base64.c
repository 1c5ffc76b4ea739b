/* fuzz_base64.c - what decodes is the only text of its bytes, and all bytes survive both ways. */
#include "sign.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void both_ways(const uint8_t *data, size_t size,
                      int (*encode)(struct pat_buf *, const void *, size_t))
{
    struct pat_buf text;
    struct pat_buf back;

    pat_buf_init(&text, 1 << 22);
    pat_buf_init(&back, 1 << 22);
    if (encode(&text, data, size) || pat_unbase64(&back, text.data, text.len) || back.len != size ||
        (size && memcmp(back.data, data, size) != 0))
        abort();
    pat_buf_fini(&text);
    pat_buf_fini(&back);
}

/* Decoded and written again without padding it is the input, but for the two alphabets. */
static void only_text(const char *s, size_t len)
{
    struct pat_buf bytes;
    struct pat_buf text;

    pat_buf_init(&bytes, 1 << 22);
    pat_buf_init(&text, 1 << 22);
    if (!pat_unbase64(&bytes, s, len)) {
        if (pat_base64url(&text, bytes.data, bytes.len) || text.len > len || len - text.len > 2)
            abort();
        for (size_t i = 0; i < text.len; i++)
            if (text.data[i] != (s[i] == '+' ? '-' : s[i] == '/' ? '_' : s[i]))
                abort();
    }
    pat_buf_fini(&bytes);
    pat_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PAT_AUTO_STR text = strndup((const char *)data, size);
    uint8_t out[64];
    size_t len;

    both_ways(data, size, pat_base64);
    both_ways(data, size, pat_base64url);
    only_text((const char *)data, size);
    (void)!pat_unhex(out, sizeof out, text, &len);
    return 0;
}
