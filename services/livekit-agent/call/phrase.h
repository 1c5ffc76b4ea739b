/* phrase.h - something said before, kept as Opus packets: playing it again costs nothing.
 *
 * A phrase is counted by reference, because the cache, a call about to greet and a player may hold
 * it at once. The cache keeps those used last, up to its size, by a key made of voice, model,
 * settings and text. Encoding runs on a pool thread. Thread: the loop's.
 */
#ifndef CALL_PHRASE_H
#define CALL_PHRASE_H

#include "pat.h"

struct phrase;
struct phrases; /* the cache */

struct phrase *phrase_ref(struct phrase *p); /* NULL stays NULL */
void phrase_unref(struct phrase *p);
int64_t phrase_ms(const struct phrase *p);
size_t phrase_packets(const struct phrase *p);
/* The i-th packet of 20 ms. level: -dBov. Borrowed. */
const uint8_t *phrase_packet(const struct phrase *p, size_t i, size_t *len, int *level);
/* From packets, for tests and for what comes encoded. */
int phrase_new(struct phrase **out) PAT_MUST_CHECK;
int phrase_add(struct phrase *p, const uint8_t *opus, size_t len, int level) PAT_MUST_CHECK;

int phrases_new(struct phrases **out, struct pat_loop *l, size_t max_bytes) PAT_MUST_CHECK;
/* Runs of the encoder still under way are forgotten when they end. */
void phrases_free(struct phrases *c);
/* A reference of your own, or NULL. */
struct phrase *phrases_get(struct phrases *c, const char *key);
/* Encodes samples (48 kHz, mono; taken over, also when it fails) and keeps them under key. done
 * may be NULL; else it runs once with a phrase that is borrowed (NULL: it could not be made). */
typedef void phrases_fn(struct phrase *p, void *arg);
int phrases_make(struct phrases *c, const char *key, int16_t *samples_take, size_t n, double gain,
                 phrases_fn *done, void *arg) PAT_MUST_CHECK;
/* done will not run for any job of arg; what is being made is still kept. */
void phrases_forget(struct phrases *c, void *arg);
size_t phrases_bytes(const struct phrases *c);

#endif
