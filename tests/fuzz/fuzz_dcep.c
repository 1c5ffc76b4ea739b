/* fuzz_dcep.c - a peer's DATA_CHANNEL_OPEN. */
#include "datachannel.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dcep_open open;

    if (dcep_parse_open(&open, data, size) == PAT_OK &&
        (open.label < (const char *)data ||
         open.label + open.label_len > (const char *)data + size))
        abort();
    return 0;
}
