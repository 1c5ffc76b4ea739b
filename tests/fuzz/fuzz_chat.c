/* fuzz_chat.c - a streamed answer of any bytes, cut anywhere: events, chunks, calls. */
#include "chat.h"
#include "sse.h"

#include <stdlib.h>

static void on_text(const char *delta, size_t len, void *arg)
{
    (void)arg;
    if (!delta || !len)
        abort();
}

static bool on_event(const char *data, size_t len, void *arg)
{
    return !chat_event(arg, data, len, on_text, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t step = size ? 1 + data[0] % 32 : 1;
    struct sse sse;
    struct chat chat;
    char why[64];
    bool too_long;
    int err = PAT_OK;

    sse_init(&sse, 4096);
    chat_init(&chat);
    for (size_t at = 1; at < size && !err; at += step)
        err = sse_feed(&sse, (const char *)data + at, size - at < step ? size - at : step, on_event,
                       &chat);
    if (!err)
        err = sse_end(&sse, on_event, &chat);
    if (!chat_end(&chat) && !*chat.finish)
        abort();
    (void)chat_refusal(size ? data[0] * 2 : 0, (const char *)data, size, &too_long, why,
                       sizeof why);
    chat_fini(&chat);
    sse_fini(&sse);
    return 0;
}
