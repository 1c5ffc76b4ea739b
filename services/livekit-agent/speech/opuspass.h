/* opuspass.h - a vendor's Ogg Opus as packets that can be sent on, each with its level.
 *
 * The sound is decoded only until it is loud for the first time (who listens wants to know when
 * the voice begins); from then on the level is a nominal one: nothing on a telephone reads it, and
 * decoding every packet would cost half of what passing it on saves. Pure.
 */
#ifndef SPEECH_OPUSPASS_H
#define SPEECH_OPUSPASS_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

#define OPUSPASS_LEVEL 25 /* of speech, -dBov, when nobody has measured it */

struct opuspass;

typedef void opuspass_fn(const uint8_t *opus, size_t len, int level, void *arg);

int opuspass_new(struct opuspass **out) PAT_MUST_CHECK;
void opuspass_free(struct opuspass *p);
/* As oggopus_feed. */
int opuspass_feed(struct opuspass *p, const void *data, size_t len, opuspass_fn *fn, void *arg,
                  const char **why) PAT_MUST_CHECK;

#endif
