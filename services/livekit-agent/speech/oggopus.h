/* oggopus.h - Opus packets out of an Ogg stream that arrives in pieces cut anywhere.
 *
 * Made for a synthesiser whose packets are to be sent on as they are: what is not a mono stream of
 * 20 ms packets, whole and in order, is not clean, and the reader says so once and for good. One
 * stream may follow another (a vendor may begin anew with each message). Packets are given out as
 * soon as their page is whole. RFC 7845, RFC 3533. Pure.
 */
#ifndef SPEECH_OGGOPUS_H
#define SPEECH_OGGOPUS_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct oggopus;

typedef void oggopus_fn(const uint8_t *opus, size_t len, void *arg);

int oggopus_new(struct oggopus **out) PAT_MUST_CHECK;
void oggopus_free(struct oggopus *r);
/* PAT_OK; PAT_EPROTO: not clean, *why says in a few words (static); PAT_ENOMEM. fn must not free r.
 */
int oggopus_feed(struct oggopus *r, const void *data, size_t len, oggopus_fn *fn, void *arg,
                 const char **why) PAT_MUST_CHECK;

#endif
