/* phrases.h - what may be said, as a grammar: sentences in, JSGF out. Any thread.
 *
 * Sentences are written as people write them ("Book a table for 4, please!"); the recogniser hears
 * words ("book a table for four please"). Each sentence and each run of its clauses may be heard
 * alone, for speakers who pause at a comma. What was heard maps back to what was written.
 */
#ifndef DOUBLES_PHRASES_H
#define DOUBLES_PHRASES_H

#include "buf.h"

struct phrases;

int phrases_new(struct phrases **out);
void phrases_free(struct phrases *p);
/* PAT_EINVAL: no word in it. */
int phrases_add(struct phrases *p, const char *sentence);
/* "#JSGF V1.0; grammar g; public <g> = ... ;" */
int phrases_jsgf(const struct phrases *p, struct pat_buf *out);
/* As written, for words as heard; NULL: never added. */
const char *phrases_written(const struct phrases *p, const char *heard);
/* The words as heard of entry i, separated by blanks; NULL behind the last. */
const char *phrases_heard(const struct phrases *p, size_t i);

/* Adds the words of a text as heard: lower case, numbers in words. */
int phrases_words(struct pat_buf *out, const char *text, size_t len);

#endif
