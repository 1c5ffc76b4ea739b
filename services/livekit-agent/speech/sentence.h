/* sentence.h - a model's stream of text, cut into pieces worth speaking. Pure.
 *
 * The first piece leaves as soon as it can be spoken: at its first sentence end, however short,
 * and at a comma when the sentence is long. Later ones are whole sentences of at least `min`
 * characters. Abbreviations (each language's own), initials, decimals, ordinals and URLs do not end
 * a sentence; full stops that no blank follows (of Chinese, Japanese, Hindi ...) do. Text passes
 * through plain.h first. How the stream was cut into deltas never changes the pieces.
 */
#ifndef SPEECH_SENTENCE_H
#define SPEECH_SENTENCE_H

#include "plain.h"

#define SENTENCE_MIN 20  /* characters; LiveKit's agents use the same */
#define SENTENCE_MAX 400 /* bytes: cut at a blank, whatever it says */

/* Trimmed, never empty, with at least one letter or digit. Borrowed. */
typedef void sentence_fn(const char *text, size_t len, void *arg);

struct sentence {
    struct plain plain;
    sentence_fn *fn;
    void *arg;
    size_t min; /* characters */
    char text[SENTENCE_MAX + 8];
    size_t len;
    size_t chars;     /* characters in text */
    size_t clause_at; /* behind the last comma, semicolon or colon; 0: none */
    size_t blank_at;  /* the last blank; 0: none */
    size_t maybe_at;  /* an end if a capital follows; 0: none */
    bool first;
    unsigned language; /* which words are abbreviations: a bit of sentence.c */
};

void sentence_init(struct sentence *s, size_t min, sentence_fn *fn, void *arg);
/* "de", "de-DE"; NULL or one we do not know: what most languages have in common. */
void sentence_language(struct sentence *s, const char *code);
void sentence_feed(struct sentence *s, const char *text, size_t len);
/* What is left goes out; ready for the next answer. */
void sentence_end(struct sentence *s);

#endif
