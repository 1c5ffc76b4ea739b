/* chat_mend.h - a conversation made fit for the next provider: shorter where it was too long,
 * continued where an answer broke off. Pure.
 */
#ifndef SPEECH_CHAT_MEND_H
#define SPEECH_CHAT_MEND_H

#include "pat.h"

/* Without its older half: what leads it (system, developer) stays, and what is left begins with a
 * word of the user, so that no tool's answer stands without its call. NULL: nothing can go, or out
 * of memory. Yours to free. */
struct pat_json *chat_shorten(const struct pat_json *messages);

/* With an answer begun (said, may be "") and the wish to go on behind it. Yours to free. */
struct pat_json *chat_go_on(const struct pat_json *messages, const char *said);

/* Models asked to go on like to begin anew: what repeats the text that was said is held back.
 * Letters and digits are compared, without case. */
struct chat_repeat {
    const char *said;    /* borrowed */
    size_t at;           /* of said: matched so far */
    struct pat_buf held; /* of the new text */
    bool over;           /* nothing is held back any more */
};
typedef void chat_repeat_fn(const char *text, size_t len, void *arg);

void chat_repeat_init(struct chat_repeat *r, const char *said);
void chat_repeat_fini(struct chat_repeat *r);
/* fn is called at most once. */
void chat_repeat_feed(struct chat_repeat *r, const char *text, size_t len, chat_repeat_fn *fn,
                      void *arg);

#endif
