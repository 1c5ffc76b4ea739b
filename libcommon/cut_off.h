/* cut_off.h - a call that goes on with somebody who has not heard it, the same on both stacks: the
 * first words to its caller, and what the model is told of it. Pure. Thread: any.
 */
#ifndef PAT_CUT_OFF_H
#define PAT_CUT_OFF_H

#include "buf.h"
#include "json.h"

/* Asks a caller whose leg had died to say the last part again; English where we have no other
 * language. Never NULL. */
const char *pat_cut_off_phrase(const char *language);

/* Appends what was said, a turn a line behind a sentence that says what it is: the latest turns
 * that fit into max_bytes. Nothing when nothing was said. said: [{"role": "user" or "agent",
 * "content"}], as of patchbay.call_said and of Retell's transcript_object; NULL: nothing. */
int pat_cut_off_said(const struct pat_json *said, size_t max_bytes, struct pat_buf *out);

#endif
