/* heard.c - looks the time up among the marks, or divides. */
#include "heard.h"

enum { MS_PER_CHAR = 65 /* about 15 characters a second */, TAIL_MS = 150 };

void heard_mark(struct heard *h, size_t len, int end_ms)
{
    int cs = end_ms < 0 ? 0 : end_ms / 10;

    h->chars += len;
    if (h->n == HEARD_MARKS)
        h->n--; /* the last mark grows */
    h->marks[h->n].chars = h->chars > UINT16_MAX ? UINT16_MAX : (uint16_t)h->chars;
    h->marks[h->n].end_cs = cs > UINT16_MAX ? UINT16_MAX : (uint16_t)cs;
    h->n++;
}

static size_t by_marks(const struct heard *h, int64_t played_ms)
{
    size_t bytes = 0;

    for (size_t i = 0; i < h->n && (int64_t)h->marks[i].end_cs * 10 <= played_ms; i++)
        bytes = h->marks[i].chars;
    return bytes;
}

static size_t by_length(size_t len, int64_t played_ms, int64_t whole_ms)
{
    if (whole_ms <= 0)
        whole_ms = (int64_t)len * MS_PER_CHAR;
    return (size_t)((int64_t)len * played_ms / whole_ms);
}

size_t heard_bytes(const struct heard *h, const char *text, size_t len, int64_t played_ms,
                   int64_t whole_ms)
{
    size_t n;

    if (whole_ms > 0 && played_ms + TAIL_MS >= whole_ms)
        return len; /* what is missing is the silence at the end */
    n = h->n ? by_marks(h, played_ms) : by_length(len, played_ms, whole_ms);
    if (n >= len)
        return len;
    while (n && text[n] != ' ') /* back to the end of a whole word */
        n--;
    return n;
}
