/* tool_ledger.h - what tools were called for the caller's present turn, for an agent that has to go
 * on after us.
 *
 * A tool has consequences once. Each call of one has a key made of the call, the turn, the tool and
 * its arguments: an agent that finds it in the checkpoint, or whose model calls the same again,
 * comes to the same key. It is the id of the row, of the event, of the transfer, and the
 * `webhook-id` of the user's endpoint; whoever gets it twice does it once. Life: with the call's
 * tools. Thread: the loop's.
 */
#ifndef CALL_TOOL_LEDGER_H
#define CALL_TOOL_LEDGER_H

#include "pat.h"

struct call;
struct call_tools;
struct tool_run;

#define LEDGER_NOTES 32 /* of a turn: four stops of the model's, with several calls each */

struct tool_note {
    struct tool_note *next;
    struct pat_id key;
    char call_id[80], name[65]; /* as in struct tool_run */
    char *arguments;            /* without passcodes */
    char *result;               /* NULL: it runs */
    bool checked;               /* the passcode was right */
};

struct ledger {
    struct tool_note *notes; /* in the order called */
    int n;
};

/* Notes a call before it is begun, and gives it its key. */
void ledger_add(struct ledger *l, struct tool_run *r);
void ledger_done(struct ledger *l, const struct tool_run *r, const char *result);
void ledger_checked(struct ledger *l, const struct tool_run *r);
/* A new turn of the caller's: what is done is not ours to repeat any more. */
void ledger_turn(struct ledger *l);
void ledger_free(struct ledger *l);

/* Of the checkpoint. NULL: nothing was called. */
struct pat_json *ledger_save(const struct ledger *l);
int ledger_load(struct ledger *l, const struct pat_json *saved) PAT_MUST_CHECK;
bool ledger_running(const struct ledger *l);
/* Chat Completions' "tool_calls" of all of them. */
struct pat_json *ledger_as_called(const struct ledger *l);

/* tool_resume.c - a part of the checkpoint (checkpoint.h), and going on with it. */
struct pat_json *call_tools_save(const struct call *c);
void call_tools_load(struct call *c, const struct pat_json *saved);
/* The caller can hear us: what ran goes on, what is done is made sure of. */
void call_tools_resume(struct call_tools *t);

#endif
