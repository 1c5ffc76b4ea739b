/* llm.h - a language model's answer, streamed.
 *
 * A run asks the steps of the LLM chain (provider.h) one after the other until one answers: gone,
 * overloaded, refusing or silent too long -> the next one. An answer that breaks off is continued
 * by the next one, behind what was heard of it. llm_openai.c is the wire (Chat Completions, SSE).
 * Thread: the loop's.
 */
#ifndef SPEECH_LLM_H
#define SPEECH_LLM_H

#include "pat.h"
#include "provider.h"

struct llm;     /* one per process */
struct llm_run; /* one answer */

struct llm_usage {
    int64_t prompt_tokens, cached_tokens, completion_tokens;
    const char *provider; /* who answered ("openai-2"); "": nobody. Lives with the chain */
    /* Of one asked at once (hedging) that was not waited for: what it had been given to read. */
    int64_t lost_tokens;
    const char *lost_provider, *lost_model; /* the model until the callback returns */
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
    /* The answer broke off in its middle, and another provider is asked for the rest: adds to out
     * what of its text is or will be heard; all behind that is forgotten, and comes again. NULL: an
     * answer that breaks off fails. */
    void (*broke_off)(struct pat_buf *out, void *arg);
    /* An attempt failed; what comes of the run is told otherwise. May be NULL. */
    void (*failed)(const struct provider_failure *f, void *arg);
};

struct llm_opts {
    struct providers *providers; /* with an LLM chain; borrowed */
    struct pat_metrics *metrics; /* or NULL */
    int64_t connect_ms;
    int64_t first_token_ms; /* then the next one */
    int64_t idle_ms;        /* between tokens */
    int64_t hedge_ms;       /* without a token for so long, a second one is asked as well and the
                             * faster one answers; 0: never */
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
/* Who answers, or is asked (the first one, of two): account and model, until the next callback. */
void llm_asked(const struct llm_run *r, const char **account, const char **model);
/* No further callback. NULL is fine; after done the run is gone already. */
void llm_cancel(struct llm_run *r);

#endif
