/* chat.h - Chat Completions: the request's text, and what the chunks of a streamed answer add up
 * to. Pure.
 *
 * Which parameters a model takes stands in one table; servers that are only compatible get the
 * plain ones. Reading is lenient where such servers differ: no [DONE], no index or id of a tool
 * call, whole arguments at once, "stop" after tool calls, usage in every chunk, keep-alive chunks.
 */
#ifndef SPEECH_CHAT_H
#define SPEECH_CHAT_H

#include "llm.h"
#include "provider.h"

#define CHAT_MAX_CALLS 16
#define CHAT_MAX_ARGS  ((size_t)64 << 10) /* of one tool call */

/* Adds the request's JSON for this model. */
int chat_request(struct pat_buf *out, const struct llm_req *req, const char *model) PAT_MUST_CHECK;

struct chat_call {
    int index; /* as sent; -1: none was */
    char id[80], name[80];
    struct pat_buf args;
};

struct chat {
    struct chat_call calls[CHAT_MAX_CALLS];
    size_t n_calls;
    char finish[32]; /* "": not yet */
    char model[80];  /* as the provider names it */
    char error[200]; /* a failure inside the stream */
    struct llm_usage usage;
    bool done;      /* [DONE] */
    bool delivered; /* text went out, or a call was begun */
    int ignored;    /* events that were no JSON */
};

typedef void chat_text_fn(const char *delta, size_t len, void *arg);

void chat_init(struct chat *c);
void chat_fini(struct chat *c);
/* One event's data. PAT_EUPSTREAM: the provider failed inside the stream (c->error); PAT_E2BIG: too
 * many calls or too long arguments. fn may be called at most once. */
int chat_event(struct chat *c, const char *data, size_t len, chat_text_fn *fn,
               void *arg) PAT_MUST_CHECK;
/* The stream is over. PAT_OK: whole, c->finish is set and every call's arguments are JSON;
 * PAT_ECONN: it was cut; PAT_EPROTO: arguments that are no JSON object. */
int chat_end(struct chat *c) PAT_MUST_CHECK;

/* What a refusal means. *too_long: the conversation does not fit the model. message: the vendor's
 * words. */
enum provider_fault chat_refusal(int status, const char *body, size_t len, bool *too_long,
                                 char *message, size_t cap);

#endif
