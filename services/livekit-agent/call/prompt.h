/* prompt.h - the words we put around the user's own: the model's instructions. Pure. */
#ifndef CALL_PROMPT_H
#define CALL_PROMPT_H

#include "context.h"

/* The system message: the user's prompt, then how one speaks on a phone, the style asked for, and
 * what is known of the call. Yours to free; NULL: out of memory. */
char *prompt_system(const struct context *c, int64_t unix_ms);

#endif
