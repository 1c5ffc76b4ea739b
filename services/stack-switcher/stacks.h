/* stacks.h - what a user gets with a stack, as words a page can show or test for. Pure. */
#ifndef SWITCHER_STACKS_H
#define SWITCHER_STACKS_H

#include "pat.h"

struct stacks {
    const char *active; /* "retell", "livekit" */
    bool on_retell;     /* the user has an agent there */
    bool on_livekit;
};

/* Adds "capabilities": [...] to the agent's row {"stack","on_retell","on_livekit", ...}. */
void stacks_describe(struct pat_json *agent);
/* Up to `cap` words; returns how many. Literals. */
size_t stacks_words(const struct stacks *s, const char **words, size_t cap);

#endif
