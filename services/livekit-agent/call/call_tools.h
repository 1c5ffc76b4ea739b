/* call_tools.h - the tools of one call: what the model calls is checked, done, told, and its
 * results go back to the model.
 *
 * A reply stops when the model calls tools. They run when the caller's turn is really over (a reply
 * made ahead has no consequences), all at once, each with its deadline; then the model is asked
 * again within the same reply. What was begun is finished even when the caller speaks meanwhile:
 * the result is in the history then. Life: call_tools_new -> call_tools_stop at the call's end ->
 * call_tools_free. Thread: the loop's.
 */
#ifndef CALL_TOOLS_H
#define CALL_TOOLS_H

#include "pat.h"

struct call;
struct call_tools;
struct agent_conf;
struct context;

/* With the context known, before the instructions are written: what may be called is fixed here. */
int call_tools_new(struct call_tools **out, struct call *c) PAT_MUST_CHECK;
/* Nothing runs any more; what did not end is told as canceled. NULL is fine. */
void call_tools_stop(struct call_tools *t);
void call_tools_free(struct call_tools *t);

/* For the model: the definitions, NULL: none; may it call any now. */
const struct pat_json *call_tools_offered(const struct call_tools *t);
bool call_tools_may(const struct call_tools *t);
/* The instructions with what they say of tools behind. Yours; NULL: out of memory, or no system. */
char *call_tools_instructions(const struct call_tools *t, char *system_take, int64_t unix_ms);

/* The reply's model has stopped to call some. */
void call_tools_called(struct call_tools *t);
/* The caller's turn is theirs: the reply may have consequences. */
void call_tools_committed(struct call_tools *t);
/* A word was said meanwhile: theirs can wait. NULL is fine. */
void call_tools_waited(struct call_tools *t);
/* The reply is heard, cut or forgotten. */
void call_tools_reply_over(struct call_tools *t);
/* True: this turn of the caller's is a tool's (a message is being left), and has its reply. */
bool call_tools_take_turn(struct call_tools *t, const char *said);
/* A passcode was asked for: what the caller says now is nobody's to see. */
bool call_tools_secret(const struct call_tools *t);
#define PASSCODE_SHOWN "[passcode]"
/* Nobody can think any more: what the caller says next is a message, and then it is over. The
 * words that offer it are the asking one's. */
void call_tools_last_message(struct call_tools *t);
/* The caller's packet, for whoever keeps it: a message is being left. NULL is fine. */
void call_tools_hear(struct call_tools *t, const uint8_t *opus, size_t len, uint32_t timestamp,
                     int64_t received_us);
/* The caller has left: is it a transfer's doing? Then the call may come back. */
bool call_tools_moved(const struct call_tools *t);

/* The caller comes back (tool_return.c), from a transfer or to a call that was cut off ("redial",
 * "failed_over"): said by the leg's header, before the greeting. */
void call_came_back(struct call *c, const char *outcome);
void call_return_known(struct call *c); /* there is a history now */
void call_return_free(struct call *c);
/* In the place of the greeting; only of one who came back. Yours to free. */
char *call_return_greeting(const struct call *c);

#endif
