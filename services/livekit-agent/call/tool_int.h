/* tool_int.h - the inside of a call's tools, shared by call_tools.c and tool_*.c and nobody else.
 *
 *   call_tools.c     the loop: calls in, results out
 *   tool_ledger.c    what was called, under which key
 *   tool_resume.c    going on with the tools of an agent that died
 *   tool_report.c    the event and the row of each call
 *   tool_message.c   take_message: dictated, or left now
 *   tool_callback.c  request_callback
 *   tool_talk.c      end_call, send_dtmf
 *   tool_transfer.c  transfer_call; its own inside is tool_transfer.h
 *   tool_passcode.c  the passcode it may need
 *   tool_return.c    a caller who comes back from one
 *   tool_webhook.c   tools of the user's own
 *   own_words.c      what is said around them
 */
#ifndef CALL_TOOL_INT_H
#define CALL_TOOL_INT_H

#include "call_int.h"
#include "own_words.h"
#include "tool_ledger.h"

/* How a call of a tool ended; names in docs/events/turn.tool.schema.json. */
enum tool_outcome { TOOL_OK, TOOL_REFUSED, TOOL_FAILED, TOOL_TIMED_OUT, TOOL_CANCELED };

/* What follows in the reply when all of a step are done; the strongest counts. */
enum tool_next {
    NEXT_MODEL, /* the model hears the results */
    NEXT_END    /* all has been said */
};

struct tool_run {
    struct tool_run *next;
    struct call_tools *tools;
    char call_id[80];            /* the model's name of this call */
    char name[65];               /* of the tool it wanted */
    const struct pat_tool *tool; /* NULL: there is none, or its arguments are wrong */
    struct pat_json *args;
    struct pat_id key; /* of what it does: the same for the agent that goes on with it */
    int64_t began_us;
    bool begun, done;
    bool resumed; /* begun by an agent before us */
    bool checked; /* its passcode was right */
    struct pat_timer deadline;
    /* Whoever runs it keeps what it waits for here, and is asked to let go of it. */
    void (*cancel)(struct tool_run *r);
    void *work;
};

typedef void tool_fn(struct tool_run *r);

/* The passcode step (tool_passcode.c). */
struct tool_code {
    bool asked; /* what the caller says next is it */
    char to[65];
    char *said;           /* and this was it */
    struct tool_run *run; /* that waits for the comparison */
    tool_fn *right;
    pat_db_id query;
};

struct call_tools {
    struct call *c;
    struct pat_tools *set;
    struct tool_run *runs;
    bool called, committed, starting, stopped;
    struct ledger ledger; /* of this turn */
    bool owed;            /* the caller waits for what an agent before us began */
    bool keep;            /* that turn is taken up again */
    bool live;            /* the reply that called is still there */
    uint32_t reply_no;    /* its number */
    enum tool_next next;
    int steps;   /* of this turn */
    int in_call; /* calls so far */
    struct pat_timer filler;
    bool filled;
    int passcode_tries; /* wrong ones in this call */
    struct tool_code code;
    bool moving; /* the router has begun to put the caller through */
    int refers;  /* transfers by REFER in this call */
    /* A message is being left (tool_message.c). */
    bool recording;
    bool last; /* and the call ends with it */
    int64_t recording_from_ms;
    struct pat_id message; /* its id */
    struct record *clip;   /* the caller's voice while it is left; NULL: none is made */
    char *said_before;     /* into it, to an agent before us; NULL: nothing */
    char caller_name[201], callback_number[PAT_PHONE_LEN + 1];
};

/* call_tools.c. Begins what a tool does: ends now or later in tool_done, exactly once. */
void tool_done(struct tool_run *r, enum tool_outcome how, const char *error,
               struct pat_json *result_take);
/* As the model has called it: checked, not begun. NULL: out of memory. */
struct tool_run *tool_run_new(struct call_tools *t, const struct reply_call *call,
                              struct pat_json_err *err);
void tool_run_start(struct tool_run *r);
/* All of them may be done. */
void tool_move_on(struct call_tools *t);
/* tool_resume.c: asks the model when all is done and nobody speaks. */
void tool_settle(struct call_tools *t);
/* {"status": status, "message": text for the model} */
struct pat_json *tool_result(const char *status, const char *text);
/* Within the reply under way; or, without one, nothing. */
void tool_say(struct call_tools *t, const char *text);
const char *tool_language(const struct call_tools *t);

tool_fn tool_message, tool_callback, tool_end, tool_dtmf, tool_transfer, tool_webhook;

/* tool_passcode.c. Has the caller say it; right(r) when it was, else r is over. */
void tool_passcode(struct tool_run *r, const struct pat_target *to, tool_fn *right);
void tool_passcode_cancel(struct tool_run *r);
bool tool_passcode_turn(struct call_tools *t, const char *said);
void tool_passcode_end(struct call_tools *t); /* whatever came of it */

/* tool_message.c */
bool tool_message_turn(struct call_tools *t, const char *said);
/* One is being left still, to us now. */
void tool_message_resume(struct call_tools *t);
/* The call ends while one is being left: what was said is the message. */
void tool_message_left(struct call_tools *t);

/* tool_report.c */
void tool_report(const struct tool_run *r, enum tool_outcome how, const char *error);
/* An event about this call with a row of its own: function(jsonb) of schema patchbay. Told once for
 * this key and row. */
void tool_record(struct call *c, const char *name, struct pat_json *data_take, const char *function,
                 const struct pat_json *row, const char *key);

#endif
