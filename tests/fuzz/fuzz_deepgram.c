/* fuzz_deepgram.c - any message of a recogniser. */
#include "deepgram.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct deepgram_msg m;

    (void)deepgram_parse(&m, (const char *)data, size);
    if (!m.text)
        abort();
    deepgram_msg_fini(&m);
    return 0;
}
