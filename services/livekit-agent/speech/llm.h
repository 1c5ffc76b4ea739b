/* llm.h - a language model's answer, streamed.
 *
 * The interface; llm_openai.c is the provider (Chat Completions, SSE) and walks a chain of models:
 * unknown or retired (404), overloaded, silent too long -> the next one, as long as nothing was
 * delivered. Thread: the loop's.
 */
#ifndef SPEECH_LLM_H
#define SPEECH_LLM_H

#include "pat.h"

struct llm;     /* one per process: endpoint, key, models, breakers */
struct llm_run; /* one answer */

struct llm_usage {
    int64_t prompt_tokens, cached_tokens, completion_tokens;
};

struct llm_events {
    void (*text)(const char *delta, size_t len, void *arg);
    /* Complete: arguments are the whole JSON text. */
    void (*tool_call)(int index, const char *id, const char *name, const char *arguments,
                      void *arg);
    /* Last callback. PAT_OK: finish_reason "stop", "length", "tool_calls" ...; usage is all 0 when
     * not told. */
    void (*done)(int err, const char *finish_reason, const char *model, const struct llm_usage *u,
                 void *arg);
};

struct llm_opts {
    const char *url; /* "https://api.openai.com/v1" */
    const char *api_key;
    const char *models;     /* "gpt-4o-mini,gpt-6-luna": tried in order */
    int64_t first_token_ms; /* then the next model */
    int64_t idle_ms;        /* between tokens */
};

int llm_new(struct llm **out, struct pat_loop *l, struct pat_http *http,
            const struct llm_opts *o) PAT_MUST_CHECK;
void llm_free(struct llm *m);

struct llm_req {
    const struct pat_json *messages; /* Chat Completions' array; borrowed for the call */
    const struct pat_json *tools;    /* or NULL */
    bool no_tools;                   /* none may be called this time, though they are listed */
    double temperature;              /* negative: the provider's default */
    int max_tokens;                  /* 0: the provider's default */
    const char *cache_key;           /* per agent, or NULL */
    const char *first_model;         /* tried before the chain, or NULL */
};
int llm_start(struct llm_run **out, struct llm *m, const struct llm_req *req,
              const struct llm_events *ev, void *arg) PAT_MUST_CHECK;
/* No further callback. NULL is fine; after done the run is gone already. */
void llm_cancel(struct llm_run *r);

#endif
