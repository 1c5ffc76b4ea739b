/* fuzz_eleven.c - any message of a synthesiser: words, and samples from its base64. */
#include "eleven.h"

#include <stdlib.h>
#include <string.h>

static void on_word(const char *word, size_t len, int start_ms, int end_ms, void *arg)
{
    (void)arg;
    if (!word || !len || start_ms < 0 || end_ms < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct eleven_msg m;
    int carry = -1, n;
    int16_t *pcm = malloc((size * 3 / 8 + 2) * sizeof *pcm);

    if (!pcm)
        return 0;
    n = eleven_samples((const char *)data, size, &carry, pcm);
    if (n > (int)(size * 3 / 8 + 1) || carry > 255)
        abort();
    free(pcm);
    if (!eleven_parse(&m, (const char *)data, size))
        eleven_words(&m, on_word, NULL);
    eleven_msg_fini(&m);
    return 0;
}
