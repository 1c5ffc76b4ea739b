/* events.h - a webhook of Retell's as the provider tells it, and who tells which part.
 *
 *   events.c        the consumer: waits until the relay has made rows of it, then tells
 *   events_call.c   answered, the stack's end, costs, transfers of Retell's own
 *   events_turns.c  what was said and which tools were used, from the transcript; live text
 *
 * Each event has an id made from the call's (at Retell, for what a second leg of the same call has
 * too), so redeliveries, repeats and other replicas change nothing. Thread: the loop's.
 */
#ifndef PROVIDER_EVENTS_H
#define PROVIDER_EVENTS_H

#include "provider.h"

/* Borrowed while it is told. */
struct news {
    struct provider *p;
    const char *call, *user; /* ours */
    const char *retell;      /* Retell's call id */
    const char *kind;        /* "call_ended" */
    const struct pat_json *body;
    const struct pat_json *tools; /* ids of tool calls that are told */
    int64_t segment;              /* which leg of the call, from 1 */
    bool told, billed, answered;  /* its turns and end, its costs, its answer are events already */
};

/* data with call_id and user_id set. */
struct pat_json *news_data(const struct news *n);
/* once: with n->retell, the event's id. stmts may be NULL. data is taken over. */
int news_tell(const struct news *n, const char *area, const char *name, int64_t time_ms,
              const char *once, struct pat_json *data_take, const struct pat_db_stmt *stmts,
              size_t n_stmts) PAT_MUST_CHECK;

int news_answered(const struct news *n) PAT_MUST_CHECK;
int news_costs(const struct news *n) PAT_MUST_CHECK;
/* Last of a call's: it also notes that the turns are told. */
int news_stack_ended(const struct news *n) PAT_MUST_CHECK;
int news_transfer(const struct news *n) PAT_MUST_CHECK;
int news_turns(const struct news *n) PAT_MUST_CHECK;
void news_live(const struct news *n);

/* The id under which the use of a tool is told, by tools.c as it happens and from the transcript
 * afterwards. use: Retell's id of it. */
struct pat_id news_tool_id(const char *retell_call, const char *tool, const char *use);

#endif
