/* fuzz_loud.c - any bytes as a recording, cut anywhere: how loud it is depends on the bytes alone.
 */
#include "loud.h"

#include <stdlib.h>
#include <string.h>

static int look(const uint8_t *data, size_t size, size_t step, struct pat_buf *out)
{
    struct loud *l;
    int err = loud_new(&l);

    if (err)
        return err;
    for (size_t at = 0; at < size && !err; at += step)
        err = loud_feed(l, data + at, size - at < step ? size - at : step);
    if (!err)
        err = loud_print(l, out);
    loud_free(l);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pat_buf whole, pieces;
    int a, b;

    pat_buf_init(&whole, 1 << 20);
    pat_buf_init(&pieces, 1 << 20);
    a = look(data, size, size + 1, &whole);
    b = look(data, size, 13, &pieces);
    if (a != b || (!a && strcmp(whole.data, pieces.data) != 0))
        abort();
    pat_buf_fini(&whole);
    pat_buf_fini(&pieces);
    return 0;
}
