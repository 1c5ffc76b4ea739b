/* prompt.h - the words we put around the user's own: the model's instructions, and what is said
 * when nothing else can be. Pure.
 */
#ifndef CALL_PROMPT_H
#define CALL_PROMPT_H

#include "context.h"

/* The system message: the user's prompt, then how one speaks on a phone, the style asked for, and
 * what is known of the call. Yours to free; NULL: out of memory. */
char *prompt_system(const struct context *c, int64_t unix_ms);

enum prompt_phrase {
    PROMPT_SORRY,        /* this turn failed; please say it again */
    PROMPT_OUT_OF_ORDER, /* this call cannot be served */
    PROMPT_GOODBYE,
    PROMPT_HELLO,         /* where the user's own greeting cannot be spoken */
    PROMPT_LEAVE_MESSAGE, /* nobody can think: the caller may leave a message */
    PROMPT_MESSAGE_KEPT,  /* and it is stored; goodbye */
    PROMPT_STILL_THERE,   /* the caller has been silent for long */
    PROMPT_NOBODY_THERE,  /* and stays so; goodbye */
    PROMPT_TIME_IS_UP,    /* the call ends soon */
    PROMPT_LIMIT,         /* the call has used what it may; goodbye */
    PROMPT_AFTER_TONE,    /* we cannot serve the call; there may be a tone, and then a recording */
    PROMPT_MOMENT,        /* what is said takes its time */
    PROMPT_BACK,          /* before what is gone on with: the caller heard nothing for a moment */
    PROMPT_PHRASES
};
/* In the language ("de-DE", "multi" ...), English where we have no other. */
const char *prompt_phrase(enum prompt_phrase which, const char *language);

/* The text is one of those, in that language. */
bool prompt_is_ours(const char *text, const char *language);

#endif
