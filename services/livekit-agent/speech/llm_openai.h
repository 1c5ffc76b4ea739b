/* llm_openai.h - one request to one provider of Chat Completions (OpenAI and what speaks like it).
 *
 * No second try in here: llm.c decides who is asked next. Life: llm_request_start -> begun? ->
 * done; llm_request_free at any time, also inside a callback (then nothing comes any more).
 */
#ifndef SPEECH_LLM_OPENAI_H
#define SPEECH_LLM_OPENAI_H

#include "chat.h"
#include "provider.h"

struct llm_request;

struct llm_request_end {
    bool ok;
    /* not ok: */
    enum provider_fault fault;
    int64_t retry_after_ms;
    bool too_long; /* FAULT_REQUEST: the conversation is, for this model */
    const char *detail;
};

struct llm_request_events {
    /* The first of it is here: text or a tool call. Before the text's own callback. */
    void (*begun)(struct llm_request *q, void *arg);
    void (*text)(struct llm_request *q, const char *delta, size_t len, void *arg);
    void (*done)(struct llm_request *q, const struct llm_request_end *end, void *arg);
};

struct llm_request_opts {
    struct pat_loop *loop;
    struct pat_http *http;
    const struct provider *by;
    const char *model;
    int64_t connect_ms, first_token_ms, idle_ms;
};

int llm_request_start(struct llm_request **out, const struct llm_request_opts *o,
                      const struct llm_req *req, const struct llm_request_events *ev,
                      void *arg) PAT_MUST_CHECK;
void llm_request_free(struct llm_request *q); /* NULL is fine */
const struct chat *llm_request_chat(const struct llm_request *q);

#endif
