/* fuzz_sample.c - recordings: nothing is read past the end, and what is told makes sense. */
#include "sample.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1); /* its end is the heap's */
    struct sample s;

    if (size)
        memcpy(copy, data, size);
    if (!sample_read(copy, size, &s) &&
        (s.duration_ms < 0 || s.speech_percent < 0 || s.speech_percent > 100 ||
         s.clipped_percent < 0 || s.clipped_percent > 100))
        abort();
    free(copy);
    return 0;
}
