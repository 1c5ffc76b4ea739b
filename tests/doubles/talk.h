/* talk.h - the small talk of the OpenAI double: what to answer to a chat, by rules.
 *
 * Pure. The answer depends on what the user said last, so that a test can tell a reply to the
 * right words from a canned one.
 */
#ifndef DOUBLES_TALK_H
#define DOUBLES_TALK_H

#include "json.h"

/* The text to answer, added to out; for a request whose last message is the user's or a tool's. */
int talk_reply(const struct pat_json *messages, struct pat_buf *out) PAT_MUST_CHECK;

/* The tool the user asked for in words ("transfer me ..." and a tool transfer_call), as
 * {"name","arguments"{}}; NULL: none. Yours. */
struct pat_json *talk_tool(const struct pat_json *messages, const struct pat_json *tools);

/* The first tool_call_id of an assistant message that no tool message answered; NULL: all good. */
const char *talk_unanswered(const struct pat_json *messages);

#endif
