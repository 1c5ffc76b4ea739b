/* shape.h - does what was said sound finished? From its words alone, per language. Pure.
 *
 * A recogniser hears that somebody pauses, not that they are in the middle of a sentence or of a
 * telephone number. Its full stops are not believed where no sentence ends: it sets one behind
 * most pauses. Any thread.
 */
#ifndef CALL_SHAPE_H
#define CALL_SHAPE_H

enum shape {
    SHAPE_PLAIN, /* nothing to be told from the words */
    SHAPE_OPEN,  /* goes on: "I would like to", "um", "my number is 5 5 5", "on Monday, or" */
    SHAPE_ASKED  /* a whole question */
};

/* text: the whole turn so far. language: as stored ("de-DE"); where we have no lists only
 * hesitations, punctuation and numbers count. */
enum shape shape_of(const char *text, const char *language);

#endif
