/* window.h - how often something happened within a span of time, for very many somethings, in fixed
 * memory.
 *
 * Each key counts in two halves, the span before and this one; what the last span holds is this
 * one's count and the share of the other that is still inside (at most a few percent off when
 * events come unevenly). Places are sets of four: a fifth key of one set takes the place of the one
 * not heard of for longest, so a flood of keys forgets others, and never grows. Pure: time is an
 * argument.
 */
#ifndef ROUTER_WINDOW_H
#define ROUTER_WINDOW_H

#include "pat.h"

struct windows;
/* For up to that many keys at once; a power of two. */
int windows_new(struct windows **out, size_t keys, int64_t span_ms) PAT_MUST_CHECK;
void windows_free(struct windows *w);

/* Of texts; NULL ends them. Never 0. */
uint64_t window_key(const char *a, const char *b);
/* Events of the last span. */
unsigned windows_count(const struct windows *w, uint64_t key, int64_t now_ms);
/* One more; returns how many there are with it. */
unsigned windows_add(struct windows *w, uint64_t key, int64_t now_ms);
/* Shut until then, whatever is counted. */
void windows_shut(struct windows *w, uint64_t key, int64_t now_ms, int64_t until_ms);
bool windows_is_shut(const struct windows *w, uint64_t key, int64_t now_ms);

#endif
