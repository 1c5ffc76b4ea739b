/* usage.h - quantities metered in a call, by what they are and who bills them. Pure.
 *
 * A line per component, account and model: a call that was served by two recognisers has two. What
 * is added for the same line is summed. Thread: any; a value like any other.
 */
#ifndef CALL_USAGE_H
#define CALL_USAGE_H

#include "pat.h"

/* Names and units in docs/events/usage.recorded.schema.json. */
enum usage_what {
    USAGE_STT,       /* seconds connected to a recogniser */
    USAGE_STT_AUDIO, /* seconds of sound given to it */
    USAGE_LLM_IN,    /* tokens; those read from the model's cache are not in it */
    USAGE_LLM_CACHED,
    USAGE_LLM_OUT,
    USAGE_TTS,         /* characters given to a voice */
    USAGE_TTS_CACHED,  /* characters out of the phrase cache */
    USAGE_AGENT,       /* seconds an agent was in the room */
    USAGE_SIP,         /* seconds of the caller's leg: a telephone ... */
    USAGE_PARTICIPANT, /* ... or a browser */
    USAGE_WHATS
};

struct usage_line {
    enum usage_what what;
    char account[32]; /* "openai-2" */
    char model[80];   /* "": none */
    int64_t milli;    /* thousandths of the unit */
};

/* Components of as many accounts and models as one call meets; more are counted as lost. */
#define USAGE_LINES 48

struct usage {
    struct usage_line line[USAGE_LINES];
    size_t n;
    int64_t lost; /* additions that found no room */
};

void usage_add(struct usage *u, enum usage_what what, const char *account, const char *model,
               int64_t milli);
void usage_add_all(struct usage *u, const struct usage *more);
int64_t usage_sum(const struct usage *u, enum usage_what what);

const char *usage_name(enum usage_what what); /* "llm_in" */
const char *usage_unit(enum usage_what what); /* "token" */
/* Whose account it is: "openai-2" -> "openai". */
void usage_vendor(const char *account, char out[32]);

/* For the checkpoint. Yours; what cannot be read is left out. */
struct pat_json *usage_save(const struct usage *u);
void usage_load(struct usage *u, const struct pat_json *saved);

/* In millionths of a dollar, of what has a price; unpriced: how many lines have none (or NULL). */
int64_t usage_cost(const struct usage *u, const struct pat_prices *p, int64_t at_ms,
                   size_t *unpriced);

#endif
