/* out_target.h - what a user may say of an endpoint: where it is, and which events it wants. Pure.
 *
 * Whether a name leads to a public address is asked again by each connection (http_guard.h); here
 * only what can be seen in the text is refused, so that its owner is told at once.
 */
#ifndef OUT_TARGET_H
#define OUT_TARGET_H

#include "pat.h"

#define OUT_URL_MAX     2048
#define OUT_PATTERN_MAX 64
#define OUT_PATTERNS    32

/* NULL: fine; else what it must be. private_nets: http, any port and any address will do. edge: a
 * Supabase Edge Function. */
const char *out_target_wrong(const char *url, bool edge, bool private_nets);

/* "call.ended", "call.*", "*.ended", "*": of the areas a user is told about. */
bool out_pattern_valid(const char *pattern);
bool out_pattern_matches(const char *pattern, const char *type);

/* "pat.call.v1.ended" is "call.ended" to a customer. False: no customer is told of it. */
bool out_type_of(char *out, size_t cap, const char *event_type);

#endif
