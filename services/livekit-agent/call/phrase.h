/* phrase.h - something said before, kept as Opus packets: playing it again costs nothing.
 *
 * A phrase is counted by reference, because the cache, a call about to greet and a player may hold
 * it at once. The cache keeps those used last, up to its size, by a key made of tenant, voice,
 * model, settings and text; with a directory it keeps more of them there, shared with the other
 * processes of the machine (phrase_file.h). Encoding and files are a pool thread's work. Thread:
 * the loop's.
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

struct phrases_opts {
    size_t max_bytes;            /* in memory */
    const char *dir;             /* NULL or "": memory only; made where it is missing */
    uint64_t dir_bytes;          /* in the directory, by all processes together */
    struct pat_metrics *metrics; /* NULL: not counted */
};
int phrases_new(struct phrases **out, struct pat_loop *l,
                const struct phrases_opts *o) PAT_MUST_CHECK;
/* Work of pool threads still under way is forgotten when it ends. */
void phrases_free(struct phrases *c);
/* In memory: a reference of your own, or NULL. */
struct phrase *phrases_get(struct phrases *c, const char *key);
/* Not in memory, but perhaps in the directory: phrases_load is worth its while. */
bool phrases_on_disk(const struct phrases *c, const char *key);
/* It was asked for before, kept or not: worth keeping when it is made this time. */
bool phrases_asked_before(struct phrases *c, const char *key);
/* Told once each time a phrase was spoken from here instead of by the synthesiser. */
void phrases_count_hit(struct phrases *c, bool from_disk, int64_t characters);

/* Runs once, with a phrase that is borrowed (NULL: it could not be made, is not there). */
typedef void phrases_fn(struct phrase *p, void *arg);
int phrases_load(struct phrases *c, const char *key, phrases_fn *done, void *arg) PAT_MUST_CHECK;
/* Encodes samples (48 kHz, mono; taken over, also when it fails) and keeps them under key. done
 * may be NULL. */
int phrases_make(struct phrases *c, const char *key, int16_t *samples_take, size_t n, double gain,
                 phrases_fn *done, void *arg) PAT_MUST_CHECK;
/* Keeps what came encoded. Not changed any more from now on. */
void phrases_put(struct phrases *c, const char *key, struct phrase *p);
/* done will not run for any work of arg; what is being made is still kept. */
void phrases_forget(struct phrases *c, void *arg);
size_t phrases_bytes(const struct phrases *c);

#endif
