/* tool_phrases.h - what is said around tools, in the caller's language. Pure. */
#ifndef CALL_TOOL_PHRASES_H
#define CALL_TOOL_PHRASES_H

enum tool_phrase {
    SAY_WAIT,          /* a tool takes its time */
    SAY_LEAVE_MESSAGE, /* the caller may speak a message now */
    SAY_MESSAGE_TAKEN,
    SAY_MESSAGE_EMPTY, /* nothing was said */
    SAY_GOODBYE,
    SAY_NO_ANSWER,  /* a transfer came back; %s: whom */
    SAY_NOBODY,     /* the same, whoever it was */
    SAY_CONNECTING, /* %s: to whom */
    SAY_PASSCODE,   /* the caller is to say it now */
    SAY_PASSCODE_AGAIN,
    /* A warm transfer. To the caller: */
    SAY_STILL_TRYING, /* %s: whom */
    SAY_NOT_CONNECTING,
    /* To who is asked: */
    SAY_ASSISTANT_OF, /* %s: whose */
    SAY_SOMEBODY,     /* is on the line: nothing better is known */
    SAY_TAKE_IT,      /* yes or no */
    SAY_YES_OR_NO,    /* that was neither */
    SAY_TAKEN,
    SAY_NOT_TAKEN,
    /* To both: */
    SAY_CONNECTED, /* %s: with whom */
    TOOL_PHRASES
};
/* In the language ("de-DE"), English where we have no other. */
const char *tool_phrase(enum tool_phrase which, const char *language);

#endif
