/* fuzz_sentence.c - any text in any deltas: the pieces depend on the text alone. */
#include "sentence.h"

#include <stdlib.h>
#include <string.h>

struct pieces {
    char *text;
    size_t len, cap;
};

static void on_piece(const char *text, size_t len, void *arg)
{
    struct pieces *p = arg;

    if (!len || len > SENTENCE_MAX + 8 || p->len + len + 1 > p->cap)
        abort();
    memcpy(p->text + p->len, text, len);
    p->len += len;
    p->text[p->len++] = '\n';
}

static void split(const char *data, size_t size, size_t step, struct pieces *out)
{
    struct sentence s;

    out->cap = 4 * size + 1000;
    out->text = malloc(out->cap);
    out->len = 0;
    if (!out->text)
        abort();
    sentence_init(&s, SENTENCE_MIN, on_piece, out);
    for (size_t at = 0; at < size; at += step)
        sentence_feed(&s, data + at, size - at < step ? size - at : step);
    sentence_end(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pieces whole, cut;

    if (!size)
        return 0;
    split((const char *)data + 1, size - 1, size, &whole);
    split((const char *)data + 1, size - 1, 1 + data[0] % 16, &cut);
    if (whole.len != cut.len || memcmp(whole.text, cut.text, whole.len) != 0)
        abort();
    free(whole.text);
    free(cut.text);
    return 0;
}
