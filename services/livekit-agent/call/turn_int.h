/* turn_int.h - what the files of the turn machine share. Nobody else includes it.
 *
 * turn.c        the table of states, the entry of every event, the ends of a call
 * turn_listen.c listening and maybe-done: words, and when the caller has finished
 * turn_speak.c  thinking, speaking and interrupted
 * turn_idle.c   a caller who says nothing at all
 * turn_reply.c  the one reply: begun, let out, cut, finished, failed
 * turn_wait.c   nothing of it is heard for too long
 */
#ifndef CALL_TURN_INT_H
#define CALL_TURN_INT_H

#include "turn.h"

#include <assert.h>

enum { MS = 1000 }; /* in µs */

/* One event on its way through the machine. */
struct turn_pass {
    struct turn *t;
    const struct turn_opts *o;
    const struct turn_event *e;
    struct turn_out *out;
    int64_t now, at;
};

/* turn.c */
void turn_act(struct turn_pass *s, enum turn_action a);
/* The only writer of the state. */
void turn_enter(struct turn_pass *s, enum turn_state next);
/* True once when its time has come. */
bool turn_due(const struct turn_pass *s, int64_t *timer);
bool turn_talking(const struct turn *t);

/* turn_listen.c */
int32_t turn_words(const struct turn *t);      /* of all kinds */
int32_t turn_hard_words(const struct turn *t); /* without "mhm" and "okay" */
bool turn_is_words(enum turn_event_kind k);
/* Words of any event into the counters. True: something new was said. */
bool turn_take_words(struct turn_pass *s);
void turn_forget(struct turn *t);
/* Has the caller finished? Sets when to ask again. */
void turn_consider(struct turn_pass *s);
void turn_in_listening(struct turn_pass *s);

/* turn_speak.c */
void turn_in_thinking(struct turn_pass *s);
void turn_in_speaking(struct turn_pass *s);
void turn_in_interrupted(struct turn_pass *s);
/* TURN_WORKING. */
void turn_working(struct turn_pass *s);

/* turn_idle.c */
void turn_idle_ask(struct turn_pass *s);   /* the time has come */
void turn_idle_watch(struct turn_pass *s); /* after every event */

/* turn_wait.c */
int64_t turn_wait_from(const struct turn_pass *s); /* the end of the caller's words */
void turn_wait_begin(struct turn_pass *s, int64_t from_us);
void turn_wait_wake(struct turn_pass *s); /* in thinking */
void turn_waited(struct turn_pass *s);    /* TURN_WAITED */

/* turn_reply.c */
void turn_reply_begin(struct turn_pass *s, enum turn_action how);
void turn_reply_play(struct turn_pass *s);
void turn_reply_cut(struct turn_pass *s);
/* Begin it and let it be heard at once. */
void turn_say(struct turn_pass *s, enum turn_action how);
/* Back to listening, or away when that was planned. */
void turn_reply_finished(struct turn_pass *s);
void turn_reply_failed(struct turn_pass *s);
/* TURN_SAY. */
void turn_say_text(struct turn_pass *s, bool now);

#endif
