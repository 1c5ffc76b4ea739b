/* record.h - one recording: the packets both sides spoke, as they came, in one file of two
 * channels.
 *
 * The caller is left, we are right. A call's recording is named "recording"; a clip, such as a
 * message for voicemail, is another one under its own name, begun and ended while the call goes on.
 * What was recorded leaves the process every few seconds, so a crash loses no more than that; an
 * agent that takes the call over goes on with record_resume. Life: record_begin or record_resume ->
 * packets -> record_end or record_leave. Nothing here waits or fails a call: what goes wrong is
 * logged. Thread: the loop's.
 */
#ifndef RECORD_H
#define RECORD_H

#include "recorder.h"

struct record;

#define RECORD_NAME       "recording"
#define RECORD_MESSAGE    "m-" /* and the id of the message it belongs to */
#define RECORD_NAME_MAX   40   /* bytes, with the end: lower-case letters, digits, '-' */
#define RECORD_OBJECT_MAX 256

struct record_opts {
    const char *call_id, *user_id;
    const char *name;
    int epoch; /* of the agent in the call; a higher one's pieces count */
    bool caller_only;
};

/* What a successor has to know; for the checkpoint. */
struct record_state {
    const char *name; /* borrowed from the recording */
    int64_t began_ms; /* Unix time */
    bool paused;
};

int record_begin(struct record **out, struct recorder *r,
                 const struct record_opts *o) PAT_MUST_CHECK;
int record_resume(struct record **out, struct recorder *r, const struct record_opts *o,
                  const struct record_state *s) PAT_MUST_CHECK;

/* The caller's packet. timestamp: RTP's, of this track; new_track: it begins anew. r NULL: nothing
 * happens, here and below. */
void record_caller(struct record *r, const uint8_t *opus, size_t len, uint32_t timestamp,
                   int64_t received_us);
void record_new_track(struct record *r);
void record_agent(struct record *r, const uint8_t *opus, size_t len, int64_t sent_us);

/* Silence on both sides from now on, and the event that says so: for what must not be kept. */
void record_pause(struct record *r);
void record_unpause(struct record *r);

struct record_state record_state(const struct record *r);
int64_t record_ms(const struct record *r); /* since it began */
/* The key its object will have. */
void record_object(const struct record *r, char out[RECORD_OBJECT_MAX]);

/* Over: joined and told when the last piece is stored. Frees r. */
void record_end(struct record *r);
/* Somebody else goes on with it: what we have is sent, nothing is joined. Frees r. */
void record_leave(struct record *r);

#endif
