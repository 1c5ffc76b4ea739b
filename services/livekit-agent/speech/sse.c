/* sse.c - see sse.h.
 *
 * How: bytes gather into a line, lines into an event. Runs of bytes are copied whole, so that the
 * cost is that of the memchr. It does not keep event names, ids or retry times. */
#include "sse.h"

#include <string.h>

void sse_init(struct sse *s, size_t max)
{
    *s = (struct sse){ 0 };
    pat_buf_init(&s->line, max);
    pat_buf_init(&s->data, max);
}

void sse_fini(struct sse *s)
{
    pat_buf_fini(&s->line);
    pat_buf_fini(&s->data);
}

static int event_ends(struct sse *s, sse_fn *fn, void *arg)
{
    bool go_on;

    if (!s->has_data)
        return PAT_OK;
    go_on = fn(s->data.data ? s->data.data : "", s->data.len, arg);
    pat_buf_reset(&s->data);
    s->has_data = false;
    return go_on ? PAT_OK : PAT_ECANCELED;
}

static int data_add(struct sse *s, const char *value, size_t len)
{
    if (s->has_data)
        pat_buf_add(&s->data, "\n", 1);
    s->has_data = true;
    pat_buf_add(&s->data, value, len);
    return s->data.err;
}

static int line_ends(struct sse *s, sse_fn *fn, void *arg)
{
    const char *p = s->line.data ? s->line.data : "";
    size_t len = s->line.len;
    int err = PAT_OK;

    if (!s->started && len >= 3 && !memcmp(p, "\xEF\xBB\xBF", 3)) {
        p += 3;
        len -= 3;
    }
    s->started = true;
    if (!len)
        err = event_ends(s, fn, arg);
    else if (len >= 5 && !memcmp(p, "data:", 5))
        err = p[5 < len ? 5 : 4] == ' ' ? data_add(s, p + 6, len - 6) : data_add(s, p + 5, len - 5);
    else if (len == 4 && !memcmp(p, "data", 4))
        err = data_add(s, "", 0);
    pat_buf_reset(&s->line);
    return err;
}

static size_t run_length(const char *p, size_t len)
{
    size_t n = 0;

    while (n < len && p[n] != '\n' && p[n] != '\r')
        n++;
    return n;
}

int sse_feed(struct sse *s, const char *bytes, size_t len, sse_fn *fn, void *arg)
{
    int err = PAT_OK;

    while (len && !err) {
        size_t n;

        if (s->after_cr && *bytes == '\n') {
            s->after_cr = false;
            bytes++;
            len--;
            continue;
        }
        s->after_cr = false;
        n = run_length(bytes, len);
        if (n && pat_buf_add(&s->line, bytes, n))
            return s->line.err;
        bytes += n;
        len -= n;
        if (!len)
            break;
        s->after_cr = *bytes == '\r';
        bytes++;
        len--;
        err = line_ends(s, fn, arg);
    }
    return err;
}

int sse_end(struct sse *s, sse_fn *fn, void *arg)
{
    int err = s->line.len ? line_ends(s, fn, arg) : PAT_OK;

    return err ? err : event_ends(s, fn, arg);
}
