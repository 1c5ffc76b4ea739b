/* sse.h - server-sent events out of a byte stream (WHATWG HTML section 9.2). Pure.
 *
 * Bytes may be cut anywhere, inside a UTF-8 sequence or between CR and LF. Only the data of an
 * event is given on: providers of ours use no event names or ids. The last event counts also
 * without its blank line, by sse_end.
 */
#ifndef SPEECH_SSE_H
#define SPEECH_SSE_H

#include "buf.h"

struct sse {
    struct pat_buf line; /* begun, not ended */
    struct pat_buf data; /* of the event being read */
    bool has_data;
    bool after_cr; /* a LF right now belongs to it */
    bool started;  /* past a byte order mark */
};

/* One event's data, joined by LF when it had several lines. Borrowed. false: stop reading. */
typedef bool sse_fn(const char *data, size_t len, void *arg);

/* max: of one event; a longer one is PAT_E2BIG. */
void sse_init(struct sse *s, size_t max);
void sse_fini(struct sse *s);
/* PAT_ECANCELED: fn said stop. After any error the parser is done for. */
int sse_feed(struct sse *s, const char *bytes, size_t len, sse_fn *fn, void *arg) PAT_MUST_CHECK;
/* The stream has ended. */
int sse_end(struct sse *s, sse_fn *fn, void *arg) PAT_MUST_CHECK;

#endif
