/* openai.h - the pieces of the OpenAI double: checks of a request, and the streamed answer.
 *
 * openai.c has the routes, openai_check.c what the vendor would refuse, openai_stream.c the reply.
 */
#ifndef DOUBLES_OPENAI_H
#define DOUBLES_OPENAI_H

#include "doubles.h"

struct openai {
    struct dbl *d;
    int64_t token_ms;            /* between chunks */
    bool split;                  /* SSE bytes in pieces of 1..7 */
    bool no_done;                /* leave "[DONE]" out, as some compatible servers do */
    char *reply;                 /* instead of the rules; NULL: rules */
    struct pat_json *tool_calls; /* the next answer, once; NULL: none */
    struct pat_json *models;     /* array of ids; NULL: the built-in table */
    int64_t next_id;
};

struct openai_model {
    const char *id, *shutdown; /* shutdown NULL: none announced */
    bool reasoning;            /* no temperature, no max_tokens */
    bool speech;
};
/* NULL: unknown or retired. */
const struct openai_model *openai_model_find(const struct openai *o, const char *id);
const struct openai_model *openai_model_at(size_t i); /* of the built-in table; NULL behind */

struct openai_refusal {
    int status;
    const char *type, *code, *param;
    char message[200];
};
/* True: the request is one the vendor would refuse. */
bool openai_check_chat(const struct openai *o, const struct pat_json *body,
                       struct openai_refusal *why);
void openai_refuse(struct pat_httpd_req *r, const struct openai_refusal *why);

/* Answers a checked request, after the desk's latency. */
void openai_answer(struct openai *o, struct pat_httpd_req *r, const struct pat_json *body);

#endif
