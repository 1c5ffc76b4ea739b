/* transcript.h - what is being said, live, to whoever watches the room.
 *
 * LiveKit's convention for topic lk.transcription: the caller's words as one stream per version
 * (the whole text so far), under the caller's identity; ours as one stream per reply that grows as
 * it is heard and closes with the words really heard. While the channel is not open nothing is
 * sent, and nothing is kept for later. Thread: the loop's.
 */
#ifndef CALL_TRANSCRIPT_H
#define CALL_TRANSCRIPT_H

#include "../rtc/rtc.h"

struct transcript {
    struct rtc_room *room; /* NULL: nowhere to send */
    struct pat_id user_segment;
    bool user_open; /* the segment has been used */
    struct pat_id agent_stream;
    bool agent_open;
    uint64_t chunks;
    size_t agent_sent; /* bytes of the reply */
};

void transcript_init(struct transcript *t);
/* identity and track: the caller's. */
void transcript_user(struct transcript *t, const char *identity, const char *track_sid,
                     const char *text, bool final);
/* heard: the reply's words heard so far; grows from call to call. */
void transcript_agent(struct transcript *t, const char *heard, size_t len);
void transcript_agent_end(struct transcript *t);

#endif
