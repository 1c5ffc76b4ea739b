/* consult.h - the line to somebody who is asked whether he takes a call over: a room of its own,
 * and in it a voice and an ear of the call's.
 *
 * Whoever is in that room and not him by the router's signature is put out of it, hears nothing of
 * ours before that, and is not listened to. No packet of it ever is in the caller's room, nor one
 * of the caller's here. Life: consult_new -> here -> ... -> consult_free, which no event may call.
 * Thread: the loop's.
 */
#ifndef CALL_CONSULT_H
#define CALL_CONSULT_H

#include "pat.h"

struct call;
struct consult;

struct consult_events {
    /* He has taken the phone off, and can hear us. Once. */
    void (*here)(void *arg);
    /* He has hung up, or the room is lost. The last one. */
    void (*gone)(void *arg);
    /* He has said something, and paused. */
    void (*said)(const char *text, void *arg);
    void (*key)(char digit, void *arg);
    /* What we were saying has been heard, or could not be said. */
    void (*spoken)(bool whole, void *arg);
    /* It is an answering machine. Once. */
    void (*machine)(void *arg);
};

/* The room is there already. */
int consult_new(struct consult **out, struct call *c, const char *transfer_id,
                const struct consult_events *ev, void *arg) PAT_MUST_CHECK;
/* Nothing is sent or told any more, and what it used is added to the call's; for where it may not
 * be freed yet. NULL is fine, for both. */
void consult_stop(struct consult *x);
/* The room itself stays. */
void consult_free(struct consult *x);
/* What will be said first is made ahead, while his phone rings. */
void consult_prepare(struct consult *x, const char *text);
/* In the place of what is being said. */
int consult_say(struct consult *x, const char *text) PAT_MUST_CHECK;
/* The model answers, and may call nothing. */
int consult_think(struct consult *x, const struct pat_json *messages) PAT_MUST_CHECK;
/* Stops in the middle of it; no spoken comes. */
void consult_hush(struct consult *x);
bool consult_speaking(const struct consult *x);
/* What the last reply said, as far as it was written: for the next question. Adds to out. */
void consult_text(const struct consult *x, struct pat_buf *out);

/* "call_<transfer id>" */
#define CONSULT_ROOM_LEN 64
void consult_room(char out[CONSULT_ROOM_LEN], const char *transfer_id);

#endif
