/* tools.h - what an agent may do in a call, the same on both stacks: the tools it is offered, and
 * what of its wishes is allowed.
 *
 * Made once per call from the user's settings (a row of patchbay.agent_settings); nothing said in
 * the call changes it. The model names people by label, never by number, and sees no passcode: it
 * is told that there is one. Whoever acts (the agent, Retell's webhook) takes a call's arguments
 * through pat_tools_take first. Nothing here does I/O, waits or logs. Thread: any, one at a time.
 */
#ifndef PAT_TOOLS_H
#define PAT_TOOLS_H

#include "id.h"
#include "json.h"
#include "phone.h"

struct pat_tools;

enum pat_tool_kind {
    /* transfer_call {"to"?, "passcode"? (see asks_code), "briefing"?, "mode"?} */
    PAT_TOOL_TRANSFER,
    PAT_TOOL_MESSAGE,  /* take_message {"message"?, "caller_name"?, "callback_number"?} */
    PAT_TOOL_CALLBACK, /* request_callback {"when", "number"?, "caller_name"?, "reason"?} */
    PAT_TOOL_END,      /* end_call {"reason"?} */
    PAT_TOOL_DTMF,     /* send_dtmf {"digits"} */
    PAT_TOOL_WEBHOOK,  /* the user's own */
    PAT_TOOL_KINDS
};

struct pat_tools_opts {
    const struct pat_json *settings; /* borrowed for the call */
    const char *caller;              /* E.164, or NULL: withheld */
    const char *called;              /* or NULL */
    const char *countries;           /* prefixes that may be called: "+1,+44"; "": any */
    const char *time_zone;           /* where the settings name none; NULL: UTC */
    bool asks_code; /* whoever runs the tools asks for passcodes: the model never hears one */
};
/* Settings that make no sense cost their tool, never the call. "transfer_any" offers transfer_call
 * without saying to whom: of an agent that serves many users, each of whom has his own set. */
int pat_tools_new(struct pat_tools **out, const struct pat_tools_opts *o) PAT_MUST_CHECK;
void pat_tools_free(struct pat_tools *t);

/* Chat Completions' "tools": borrowed, byte for byte the same for the same settings. */
const struct pat_json *pat_tools_openai(const struct pat_tools *t);
/* Retell's general_tools, custom functions below base_url ("https://host/v1/retell/tools"). Yours.
 */
struct pat_json *pat_tools_retell(const struct pat_tools *t, const char *base_url);
/* What the instructions say about them, added to out; and what time it is where the user lives
 * (now_ms 0: not, for instructions that are older than the call). */
int pat_tools_prompt(const struct pat_tools *t, int64_t now_ms, struct pat_buf *out);

struct pat_tool {
    enum pat_tool_kind kind;
    char name[65];
    char id[PAT_ID_LEN + 1]; /* of patchbay.user_tools; "" for ours */
    int64_t timeout_ms;      /* the user's own, else 0 */
    const char *filler;      /* said while waiting; NULL: the usual */
    const struct pat_json *parameters;
};
/* A call of the model's. PAT_OK: *tool (borrowed), and *args (yours) fit its schema. PAT_ENOENT: no
 * such tool; PAT_EINVAL: err says what is wrong, in words for the model. */
int pat_tools_take(const struct pat_tools *t, const char *name, const char *arguments,
                   const struct pat_tool **tool, struct pat_json **args,
                   struct pat_json_err *err) PAT_MUST_CHECK;

/* Whom to transfer to. */
struct pat_target {
    char id[PAT_ID_LEN + 1]; /* of public.transfer_numbers; "": the agent's single number of old */
    char label[65];
    char number[PAT_PHONE_LEN + 1];
    bool is_default, has_passcode;
};
/* label NULL or "": the default. PAT_ENOENT: nobody of that name, or no default; PAT_EPERM: it is
 * the caller's or the called number, or in a country that may not be called (out is set). */
int pat_tools_target(const struct pat_tools *t, const char *label,
                     const struct pat_target **out) PAT_MUST_CHECK;
size_t pat_tools_targets(const struct pat_tools *t);
/* Is who takes the call over asked first, while the caller waits? "transfer_preferences"."mode" of
 * the settings: "cold" (never, also when nothing is said), "warm" (always), "choose" (as the model
 * wants: an argument of transfer_call). */
bool pat_tools_warm(const struct pat_tools *t, const struct pat_json *args);
/* False: not at this hour. */
bool pat_tools_may_transfer(const struct pat_tools *t, int64_t now_ms);

#define PAT_CALLBACK_MIN_MS ((int64_t)60 * 1000)
#define PAT_CALLBACK_MAX_MS ((int64_t)90 * 86400 * 1000)
/* "2026-11-23T15:00" where the user lives (or with an offset). PAT_EINVAL: what says why. */
int pat_tools_callback(const struct pat_tools *t, const char *when, int64_t now_ms, int64_t *at_ms,
                       char what[160]) PAT_MUST_CHECK;
/* Back in the user's time: "2026-11-23T15:00". */
#define PAT_LOCAL_LEN 16
void pat_tools_local(const struct pat_tools *t, int64_t unix_ms, char out[PAT_LOCAL_LEN + 1]);
const char *pat_tools_zone(const struct pat_tools *t); /* "Europe/Berlin" */
/* A number the caller dictated, or NULL: the caller's own. PAT_EINVAL, PAT_EPERM as above;
 * PAT_ENOENT: the caller's is withheld. */
int pat_tools_reach(const struct pat_tools *t, const char *said,
                    char out[PAT_PHONE_LEN + 1]) PAT_MUST_CHECK;

/* A copy of the arguments as events may show them: no passcodes, digits counted, numbers masked,
 * texts cut. Yours. */
struct pat_json *pat_tools_redacted(const struct pat_json *args);
/* Stable name of a kind, as it is offered: "transfer_call". */
const char *pat_tool_name(enum pat_tool_kind kind);

#endif
