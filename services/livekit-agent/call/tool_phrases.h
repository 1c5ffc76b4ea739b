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
    TOOL_PHRASES
};
/* In the language ("de-DE"), English where we have no other. */
const char *tool_phrase(enum tool_phrase which, const char *language);

#endif
