/* packer.h - settings of agents, small: one row of them is much like the next.
 *
 * Raw deflate (RFC 1951) with the first text ever packed as its dictionary, and before that the few
 * words that only this one repeats (its ids). What nobody has changed takes some hundred bytes of
 * three thousand. The texts last unpacked are kept, so that numbers in use cost nothing. Thread:
 * one.
 */
#ifndef ROUTER_PACKER_H
#define ROUTER_PACKER_H

#include "pat.h"

#define PACKER_HINT_MAX 256

struct packer;
int packer_new(struct packer **out) PAT_MUST_CHECK;
void packer_free(struct packer *p);
/* *packed is borrowed until the next call. */
int packer_pack(struct packer *p, const char *hint, const char *text, size_t len,
                const void **packed, size_t *packed_len) PAT_MUST_CHECK;
/* Yours. NULL: out of memory. */
char *packer_unpack(struct packer *p, const char *hint, const void *packed, size_t packed_len,
                    size_t len) PAT_MUST_CHECK;
/* These bytes are about to go. */
void packer_forget(struct packer *p, const void *packed);

#endif
