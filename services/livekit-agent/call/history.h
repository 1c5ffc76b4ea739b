/* history.h - what was said in a call, by both, as far as it was really heard.
 *
 * Valid for the model at any time: user and agent take turns (what a caller says in two pieces is
 * one message), nothing is empty. Life: history_new -> history_free. Thread: the loop's.
 */
#ifndef CALL_HISTORY_H
#define CALL_HISTORY_H

#include "pat.h"

struct history;

int history_new(struct history **out, const char *system) PAT_MUST_CHECK;
void history_free(struct history *h);
/* Texts are trimmed; an empty one changes nothing. at_ms: since the call began. */
int history_user(struct history *h, const char *text, int64_t at_ms);
int history_agent(struct history *h, const char *text, int64_t at_ms);
/* The model called tools: Chat Completions' "tool_calls". Taken over, also when it fails. Results
 * may come much later, or never: until then each is said to be running still. */
int history_tools(struct history *h, struct pat_json *calls_take, int64_t at_ms) PAT_MUST_CHECK;
void history_tool_result(struct history *h, const char *call_id, const char *text);
/* Chat Completions' messages: the system's, then the latest that fit into max_bytes. pending: what
 * the caller has said but that is not theirs to keep yet, or NULL. Yours to free. */
struct pat_json *history_messages(const struct history *h, const char *pending, size_t max_bytes);
/* [{"role": "agent" | "user", "content", "start_ms"}], all of it but tools. Yours to free. */
struct pat_json *history_transcript(const struct history *h);
/* The same, but only the latest that fit into max_bytes. */
struct pat_json *history_tail(const struct history *h, size_t max_bytes);
size_t history_size(const struct history *h);
bool history_user_spoke(const struct history *h);

#endif
