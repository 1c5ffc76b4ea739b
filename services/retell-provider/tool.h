/* tool.h - a tool that Retell's agent uses in a call (docs.retellai.com, "Custom function").
 *
 * Retell posts {"name", "call", "args"}, signed, and hands our answer to the model as text. A run
 * is bound to a call of ours that is live there, by Retell's signature and by patchbay.calls:
 * knowing the ids of a call is not enough. What it does has ids made from Retell's own id of the
 * tool call, so that a repetition, by Retell or at another replica, does nothing twice. What is
 * allowed is decided by tools.h of libcommon, as on LiveKit. Thread: the loop's.
 */
#ifndef PROVIDER_TOOL_H
#define PROVIDER_TOOL_H

#include "provider.h"

enum tool_outcome { TOOL_OK, TOOL_REFUSED, TOOL_FAILED };

struct tool_run {
    struct provider *p;
    struct pat_httpd_req *req;
    int64_t began_ms;
    char name[65];
    char call_id[PAT_ID_LEN + 1], user_id[PAT_ID_LEN + 1], config_id[PAT_ID_LEN + 1];
    char retell_call[129];
    struct pat_id id;      /* of this use of the tool, the same when it is repeated */
    char *arguments;       /* as they came */
    char *said;            /* by the caller since a passcode was asked for; wiped */
    char keys[33];         /* pressed since then */
    bool asked;            /* one was */
    struct pat_json *args; /* as they fit the schema; NULL before */
    struct pat_json *call; /* patchbay.calls and the settings: {"call", "settings", "passcodes",
                            * "passcodes_hour"} */
    struct pat_tools *set;
    const struct pat_tool *tool;
    const struct pat_target *to; /* of a transfer */
};

/* tools.c: answers Retell, tells turn.tool, frees the run. status is a word the model may build on
 * ("connecting"), text says what to do about it. error: a word for the record, or NULL. */
void tool_done(struct tool_run *r, enum tool_outcome how, const char *error, const char *status,
               const char *text);
/* An event about the call, and the row that belongs to it, stored by function of schema patchbay.
 */
/* The same with an answer that was made elsewhere (taken over). */
void tool_answer(struct tool_run *r, enum tool_outcome how, const char *error,
                 struct pat_json *answer_take);
void tool_record(struct tool_run *r, const char *event, struct pat_json *data_take,
                 const char *function, const struct pat_json *row);

/* tool_passcode.c: what of a transcript may be a passcode; and is it the one? */
void tool_listen(struct tool_run *r, const struct pat_json *turns);
bool tool_passcode_fits(const struct tool_run *r, const char *stored);
/* Answers that one is needed. status "refused"; error as in tool_done. */
void tool_ask_passcode(struct tool_run *r, const char *error, const char *text);
/* Each ends with tool_done. tool_transfer.c: */
void tool_transfer(struct tool_run *r);
/* tool_webhook.c: */
void tool_webhook(struct tool_run *r);
/* tool_notes.c: */
void tool_message(struct tool_run *r);
void tool_callback(struct tool_run *r);

/* tools.c: POST /v1/retell/tools/{tool}. */
int tools_serve(struct provider *p) PAT_MUST_CHECK;

#endif
