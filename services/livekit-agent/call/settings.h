/* settings.h - the stored settings about sound and screening, as a call needs them. Pure.
 *
 * Both the agent's row and its voice's have volume, ambient sound and noise suppression: the
 * agent's counts where it is not the column's default, else the voice's. What is stored and has no
 * effect here is named in context.unsupported: nothing is ignored in silence
 * (docs/agent-settings.md).
 */
#ifndef CALL_SETTINGS_H
#define CALL_SETTINGS_H

#include "context.h"

/* s: a row of patchbay.agent_settings. Fills volume, ambient_*, noise, vetting, unsupported. */
int settings_read(struct context *c, const struct pat_json *s) PAT_MUST_CHECK;

#endif
