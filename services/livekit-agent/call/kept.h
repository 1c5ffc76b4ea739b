/* kept.h - our own words spoken ahead, for when a call's voice is gone: in the fallback voice, per
 * language.
 *
 * English is made at start-up, any other language when the first call in it is known of; what a
 * machine's agents have said before comes out of the phrase cache. Held until the process ends,
 * some hundred kilobytes a language. What could not be made is tried again. Life: kept_new ->
 * kept_free. Thread: the loop's.
 */
#ifndef CALL_KEPT_H
#define CALL_KEPT_H

#include "own_words.h"
#include "phrase.h"

struct env;
struct kept;

/* e: borrowed for life; its providers and phrases are there. */
int kept_new(struct kept **out, struct env *e) PAT_MUST_CHECK;
void kept_free(struct kept *k);
/* A call in that language ("de-DE") will be served. */
void kept_want(struct kept *k, const char *language);

/* A phrase, and what it says: in English while that language's is not made. */
struct kept_words {
    struct phrase *phrase; /* a reference of yours; NULL: there is none */
    const char *text;
};
struct kept_words kept_get(const struct kept *k, enum own_words which, const char *language);
bool kept_has(const struct kept *k, enum own_words which, const char *language);
/* For tests: as if it had been made. NULL: as if not. */
void kept_put(struct kept *k, enum own_words which, const char *language, struct phrase *take);

#endif
