/* stream.c - puts text streams together.
 * How: streams are known by their id, because a header may carry another participant's identity
 * than the chunks do. The channel is ordered, so a chunk out of place means a broken sender. */
#include "stream.h"

#include "livekit.pb-c.h"
#include "pb.h"

#include <string.h>

static void forget(struct stream_in *s)
{
    pat_buf_fini(&s->text);
    s->id[0] = 0;
}

void stream_inbox_fini(struct stream_inbox *b)
{
    for (size_t i = 0; i < STREAM_OPEN; i++)
        if (b->list[i].id[0])
            forget(&b->list[i]);
}

static struct stream_in *find(struct stream_inbox *b, const char *id)
{
    for (size_t i = 0; i < STREAM_OPEN; i++)
        if (*id && strcmp(b->list[i].id, id) == 0)
            return &b->list[i];
    return NULL;
}

/* A free place, an idle one, or the one that waited longest. */
static struct stream_in *place(struct stream_inbox *b, int64_t now_ms)
{
    struct stream_in *oldest = &b->list[0];

    for (size_t i = 0; i < STREAM_OPEN; i++) {
        struct stream_in *s = &b->list[i];

        if (!s->id[0])
            return s;
        if (s->touched_ms < oldest->touched_ms)
            oldest = s;
    }
    if (now_ms - oldest->touched_ms < STREAM_IDLE_MS)
        pat_log(PAT_WARN, "rtc.stream_dropped", PAT_S("topic", oldest->topic));
    forget(oldest);
    return oldest;
}

static void deliver(const char *identity, const char *topic, const char *text, size_t len,
                    stream_text_fn *fn, void *arg)
{
    if (pat_utf8_valid(text, len))
        fn(identity, topic, text, len, arg);
    else
        pat_log(PAT_INFO, "rtc.stream_not_text", PAT_S("topic", topic));
}

void stream_on_header(struct stream_inbox *b, const char *identity,
                      const struct Livekit__DataStream__Header *h, int64_t now_ms,
                      stream_text_fn *fn, void *arg)
{
    if (h->content_header_case != LIVEKIT__DATA_STREAM__HEADER__CONTENT_HEADER_TEXT_HEADER)
        return;
    if (h->compression != LIVEKIT__DATA_STREAM__COMPRESSION_TYPE__NONE)
        return; /* we announce no such capability */
    if (h->inline_content.len) {
        deliver(identity, pb_str(h->topic), (const char *)h->inline_content.data,
                h->inline_content.len, fn, arg);
        return;
    }
    struct stream_in *s = find(b, pb_str(h->stream_id));
    if (s)
        forget(s);
    else
        s = place(b, now_ms);
    pat_buf_init(&s->text, STREAM_TEXT_MAX);
    s->next_index = 0;
    s->touched_ms = now_ms;
    if (!pat_strcpy(s->topic, sizeof s->topic, pb_str(h->topic)) ||
        !pat_strcpy(s->identity, sizeof s->identity, identity) ||
        !pat_strcpy(s->id, sizeof s->id, pb_str(h->stream_id)))
        forget(s);
}

void stream_on_chunk(struct stream_inbox *b, const struct Livekit__DataStream__Chunk *c,
                     int64_t now_ms)
{
    struct stream_in *s = find(b, pb_str(c->stream_id));

    if (!s)
        return;
    if (c->chunk_index != s->next_index ||
        pat_buf_add(&s->text, c->content.data, c->content.len) != PAT_OK) {
        pat_log(PAT_INFO, "rtc.stream_broken", PAT_S("topic", s->topic));
        forget(s);
        return;
    }
    s->next_index++;
    s->touched_ms = now_ms;
}

void stream_on_trailer(struct stream_inbox *b, const struct Livekit__DataStream__Trailer *t,
                       stream_text_fn *fn, void *arg)
{
    struct stream_in *s = find(b, pb_str(t->stream_id));

    if (!s)
        return;
    struct stream_in done = *s; /* the callback may end the room, and a new stream may come */
    memset(&s->text, 0, sizeof s->text);
    s->id[0] = 0;
    if (!*pb_str(t->reason))
        deliver(done.identity, done.topic, done.text.len ? done.text.data : "", done.text.len, fn,
                arg);
    pat_buf_fini(&done.text);
}
