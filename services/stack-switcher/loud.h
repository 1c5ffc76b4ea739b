/* loud.h - how loud each side of a recording is over time, from its file as it comes in pieces.
 *
 * Ogg Opus (RFC 7845) with one or two channels, however they are mapped, and WAV of 16 bits; what a
 * call page draws above its player. Sound is decoded at 8 kHz: the ear is not asked, and it is the
 * cheapest. Life: loud_new -> loud_feed... -> loud_print -> loud_free. Pure. Thread: one at a time;
 * feeding decodes, so not the loop's: a minute of two voices takes about 0.1 s.
 */
#ifndef SWITCHER_LOUD_H
#define SWITCHER_LOUD_H

#include "pat.h"

#define LOUD_UNIT_MS    20
#define LOUD_POINTS_MAX 1200 /* of a side, as printed: more than a screen has */
#define LOUD_MS_MAX     ((int64_t)12 * 3600 * 1000)

struct loud;

int loud_new(struct loud **out) PAT_MUST_CHECK;
void loud_free(struct loud *l); /* NULL is fine */
/* PAT_EPROTO: nothing we can read, PAT_E2BIG: longer than LOUD_MS_MAX; then it stays so. */
int loud_feed(struct loud *l, const void *data, size_t len) PAT_MUST_CHECK;
int64_t loud_ms(const struct loud *l);
/* {"duration_ms", "peaks": [[0 to 255, ...] of each side, the caller's first]}. PAT_ENOENT: there
 * is not one sample. */
int loud_print(const struct loud *l, struct pat_buf *out) PAT_MUST_CHECK;

#endif
