/* words.h - words of a text, and which of them only say "I am listening". Pure. */
#ifndef CALL_WORDS_H
#define CALL_WORDS_H

#include <stdbool.h>
#include <stddef.h>

struct words {
    int hard; /* carry meaning */
    int soft; /* "mhm", "okay", "genau": said while we speak they are no turn of their own */
};

/* language: as stored ("de-DE"); one we have no list for, and "multi", count by all lists. */
struct words words_count(const char *text, const char *language);
int words_total(const char *text);
/* The same words, whatever their case and punctuation. */
bool words_same(const char *a, const char *b);
/* Behind the first n words of text. */
const char *words_skip(const char *text, int n);

#endif
