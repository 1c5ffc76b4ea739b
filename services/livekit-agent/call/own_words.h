/* own_words.h - what an agent says by itself, in the language of its settings: one table of all of
 * it, English where a language has no column. Pure.
 */
#ifndef CALL_OWN_WORDS_H
#define CALL_OWN_WORDS_H

#include <stdbool.h>

enum own_words {
    /* Of a call that goes as calls do not always go; kept ready (kept.h). */
    OWN_SORRY,        /* this turn failed; please say it again */
    OWN_OUT_OF_ORDER, /* this call cannot be served */
    OWN_GOODBYE,
    OWN_HELLO,         /* where the user's own greeting cannot be spoken */
    OWN_LEAVE_MESSAGE, /* nobody can think: the caller may leave a message */
    OWN_MESSAGE_KEPT,  /* and it is stored; goodbye */
    OWN_STILL_THERE,   /* the caller has been silent for long */
    OWN_NOBODY_THERE,  /* and stays so; goodbye */
    OWN_TIME_IS_UP,    /* the call ends soon */
    OWN_LIMIT,         /* the call has used what it may; goodbye */
    OWN_AFTER_TONE,    /* we cannot serve the call; there may be a tone, and then a recording */
    OWN_MOMENT,        /* what is said takes its time */
    OWN_BACK,          /* before what is gone on with: the caller heard nothing for a moment */
    OWN_KEPT,          /* so many; none of them */
    /* Around tools. */
    OWN_SPEAK_NOW = OWN_KEPT, /* the caller may speak a message now */
    OWN_MESSAGE_TAKEN,
    OWN_MESSAGE_EMPTY, /* nothing was said */
    OWN_NO_ANSWER,     /* a transfer came back; %s: whom */
    OWN_NOBODY,        /* the same, whoever it was */
    OWN_CONNECTING,    /* %s: to whom */
    OWN_PASSCODE,      /* the caller is to say it now */
    OWN_PASSCODE_AGAIN,
    /* A warm transfer. To the caller: */
    OWN_STILL_TRYING, /* %s: whom */
    OWN_NOT_CONNECTING,
    /* To who is asked: */
    OWN_ASSISTANT_OF, /* %s: whose */
    OWN_SOMEBODY,     /* is on the line: nothing better is known */
    OWN_TAKE_IT,      /* yes or no */
    OWN_YES_OR_NO,    /* that was neither */
    OWN_TAKEN,
    OWN_NOT_TAKEN,
    /* To both: */
    OWN_CONNECTED, /* %s: with whom */
    OWN_WORDS
};

/* language: as stored ("de-DE", "multi"). */
const char *own_words(enum own_words which, const char *language);
/* Which of ours that is: "de"; "en" for all we do not speak. */
const char *own_language(const char *language);
/* The text is one of ours, in that language. */
bool own_words_has(const char *text, const char *language);

#endif
