/* agentcfg.h - how a user's stored settings are read: a row of patchbay.agent_settings, the same on
 * both stacks. Pure. Thread: any.
 *
 * The agent's row and its voice's ("voice" in the row) both have volume, ambient sound and noise
 * suppression: the agent's counts where it is not the column's default, else the voice's.
 */
#ifndef PAT_AGENTCFG_H
#define PAT_AGENTCFG_H

#include "json.h"

/* Within lo and hi. */
double pat_agentcfg_num(const struct pat_json *settings, const char *agent, const char *voice,
                        double usual, double lo, double hi);
/* Borrowed from settings, or usual. */
const char *pat_agentcfg_text(const struct pat_json *settings, const char *agent, const char *voice,
                              const char *usual);

/* The greeting with {name} filled in: "Hi, this is {name}'s assistant". */
int pat_agentcfg_greeting(const char *template, const char *name, struct pat_buf *out);

struct pat_ambient {
    const char *sound; /* "coffee-shop"; "": none. Borrowed. */
    double volume;     /* 0..2 */
};
/* The volume belongs to the sound it was set for. */
struct pat_ambient pat_agentcfg_ambient(const struct pat_json *settings);

#endif
