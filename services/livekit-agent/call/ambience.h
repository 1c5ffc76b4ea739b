/* ambience.h - the sound of a place behind the agent's voice: a loop, as samples and as packets.
 *
 * The five places that can be stored (coffee-shop ...) are made by ambience_make.c, from noise and
 * arithmetic; a recording of one's own in the directory (<name>.wav, 48 kHz mono 16 bit) takes
 * their place or adds others. One is made on a pool thread when the first call asks for it, and
 * shared by all that want it at that volume. The packets are for the time nobody speaks: nothing
 * has to be encoded then. Thread: the loop's.
 */
#ifndef CALL_AMBIENCE_H
#define CALL_AMBIENCE_H

#include "../speech/opusio.h"
#include "phrase.h"

struct ambience;
struct ambiences;

int ambiences_new(struct ambiences **out, struct pat_loop *l, const char *dir) PAT_MUST_CHECK;
void ambiences_free(struct ambiences *a); /* after all references */
/* A place one can ask for (whether or not its file is sound). */
bool ambiences_has(const struct ambiences *a, const char *name);
/* A reference, soon to be ready; NULL: no such place, or no memory. volume: 0 to 2. */
struct ambience *ambiences_get(struct ambiences *a, const char *name, double volume);
void ambience_unref(struct ambience *x); /* NULL is fine */
bool ambience_ready(const struct ambience *x);

/* For a ready one; at: any count of packets since some beginning. */
void ambience_mix(const struct ambience *x, size_t at, int16_t pcm[OPUSIO_FRAME]);
const uint8_t *ambience_packet(const struct ambience *x, size_t at, size_t *len);

/* ambience_make.c, any thread: seconds of a place at 48 kHz, yours to free. Always the same. NULL:
 * not one of the five, or no memory. */
#define AMBIENCE_SECONDS 8
bool ambience_is_ours(const char *name);
int16_t *ambience_make(const char *name, size_t *n);

#endif
