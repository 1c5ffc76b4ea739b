/* stream.h - text streams on the reliable data channel: pieces in, whole texts out; and the
 * packets of our own.
 *
 * An inbox holds a few unfinished streams; what comes out of order, too long or never ends is
 * dropped. Building is pure. Thread: the loop's.
 */
#ifndef RTC_STREAM_H
#define RTC_STREAM_H

#include "pat.h"

#define STREAM_OPEN     8           /* unfinished ones at a time, per room */
#define STREAM_TEXT_MAX (64 * 1024) /* a typed message, not a file */
#define STREAM_CHUNK    15000       /* of LiveKit's clients */
#define STREAM_IDLE_MS  30000       /* without a piece: forgotten */

struct Livekit__DataStream__Header;
struct Livekit__DataStream__Chunk;
struct Livekit__DataStream__Trailer;
struct Livekit__DataPacket;

struct stream_in {
    char id[64]; /* "": free */
    char topic[128];
    char identity[256];
    struct pat_buf text;
    uint64_t next_index;
    int64_t touched_ms;
};

struct stream_inbox {
    struct stream_in list[STREAM_OPEN];
};

typedef void stream_text_fn(const char *identity, const char *topic, const char *text, size_t len,
                            void *arg);

void stream_inbox_fini(struct stream_inbox *b);
void stream_on_header(struct stream_inbox *b, const char *identity,
                      const struct Livekit__DataStream__Header *h, int64_t now_ms,
                      stream_text_fn *fn, void *arg);
void stream_on_chunk(struct stream_inbox *b, const struct Livekit__DataStream__Chunk *c,
                     int64_t now_ms);
void stream_on_trailer(struct stream_inbox *b, const struct Livekit__DataStream__Trailer *t,
                       stream_text_fn *fn, void *arg);

#endif
