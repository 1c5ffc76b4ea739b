/* instructions.h - what the model is told, the same on both stacks: the user's own prompt, then how
 * one speaks on a phone, in which language and style, and what callers are asked.
 *
 * What changes from call to call, and what tools there are, comes after it (tools.h). No passcode
 * and no number is in it. Pure. Thread: any.
 */
#ifndef PAT_INSTRUCTIONS_H
#define PAT_INSTRUCTIONS_H

#include "buf.h"
#include "json.h"

/* Borrowed; none is NULL. */
struct pat_instructions {
    const char *system_prompt, *agent_name, *user_name;
    const char *language; /* "en-US", "multi" */
    const char *response_style;
    const char *vetting; /* of pat_instructions_vetting; or "" */
    bool greeted;        /* something is said before the model's first turn */
};
int pat_instructions(const struct pat_instructions *i, struct pat_buf *out);

/* Screening, as sentences: vetting_strategy, vetting_criteria, transfer_unknown_callers and
 * transfer_preferences of a row of patchbay.agent_settings. Asked of the model in words: the router
 * has let the call through already. */
int pat_instructions_vetting(const struct pat_json *settings, struct pat_buf *out);

/* ISO 639-1 of a stored language; NULL for "multi" and the like. "en-US" -> "en". */
const char *pat_language_code(const char *language, char out[3]);

#endif
