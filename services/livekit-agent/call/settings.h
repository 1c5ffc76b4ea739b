/* settings.h - the stored settings about sound and screening, as a call needs them. Pure.
 *
 * What is stored and has no effect here is named in context.unsupported: nothing is ignored in
 * silence (docs/agent-settings.md).
 */
#ifndef CALL_SETTINGS_H
#define CALL_SETTINGS_H

#include "context.h"

/* s: a row of patchbay.agent_settings. Fills volume, ambient_*, noise, vetting, unsupported. */
int settings_read(struct context *c, const struct pat_json *s) PAT_MUST_CHECK;

#endif
