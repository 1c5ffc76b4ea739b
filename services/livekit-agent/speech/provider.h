/* provider.h - who recognises, thinks and speaks: ordered lists of vendors' accounts, and how each
 * of them is doing.
 *
 * An account is a vendor's address and key; a vendor may have two (another key, another region, a
 * server that only speaks the same protocol). A step is an account and a model; a chain is the
 * steps of one part in the order they are tried. All calls of the process share the table, and
 * with it each step's breaker: what one call learns the others know.
 * Life: providers_new -> providers_chain per part -> providers_free after everything that uses
 * them. Thread: the loop's; nothing here waits or asks the clock.
 */
#ifndef SPEECH_PROVIDER_H
#define SPEECH_PROVIDER_H

#include "pat.h"

enum provider_part { PROVIDER_STT, PROVIDER_LLM, PROVIDER_TTS, PROVIDER_PARTS };
enum provider_vendor { VENDOR_DEEPGRAM, VENDOR_OPENAI, VENDOR_ELEVENLABS, VENDORS };

/* What went wrong, as far as it decides what to do next. */
enum provider_fault {
    FAULT_CONNECTION, /* refused, broken off, not reachable */
    FAULT_TIMEOUT,    /* too slow */
    FAULT_SERVER,     /* 5xx and their kin */
    FAULT_RATE,       /* too many at once: later again */
    FAULT_QUOTA,      /* nothing left to spend: the whole account, and somebody must be told */
    FAULT_AUTH,       /* a wrong key: likewise */
    FAULT_MODEL,      /* no such model (any more) */
    FAULT_VOICE,      /* no such voice (any more) */
    FAULT_REQUEST,    /* our request; says nothing about the provider */
    FAULT_CONTENT,    /* filtered; says nothing about the provider */
    FAULTS
};

struct provider_account {
    const char *name; /* "openai", "openai-2": in settings, events, metrics */
    enum provider_vendor vendor;
    const char *url, *key;
    bool is_set; /* configured; others may not be named in a list */
    /* Of this account, where a list names none; "" where the part has no such thing. */
    const char *stt_model, *llm_model, *tts_model;
};

#define PROVIDER_STEPS 8

struct provider {
    enum provider_part part;
    enum provider_vendor vendor;
    char name[32];
    char model[80];
    char *url, *key;
    struct pat_breaker breaker;
    enum provider_fault why; /* it is open */
    struct pat_gauge *up;
    struct pat_counter *errors[FAULTS];
};

struct provider_chain {
    struct provider *at[PROVIDER_STEPS];
    size_t n;
};

/* One attempt that failed, as it is told. Borrowed. */
struct provider_failure {
    const struct provider *by;
    const char *model; /* asked for; a user's own is not by's */
    enum provider_fault fault;
    const char *detail;
    const struct provider *next; /* who goes on; NULL: nobody */
};

/* What a call has used of one of them. Borrowed. */
struct provider_used {
    const struct provider *by;
    const char *model; /* asked for */
    int64_t quantity;  /* ms of sound sent, characters given */
    int64_t open_ms;   /* connected; of a recogniser only */
};

struct providers;

/* A step's breaker opened (up false) or closed. */
typedef void provider_change_fn(const struct provider *p, bool up, void *arg);

/* changed may be NULL, m too. */
int providers_new(struct providers **out, struct pat_metrics *m, provider_change_fn *changed,
                  void *arg) PAT_MUST_CHECK;
void providers_free(struct providers *t);
/* How long an account or a model is left out that refused us for good: a wrong key, a spent
 * account, an unknown model. 60 s unless told. */
void providers_refused_for(struct providers *t, int64_t ms);

/* "deepgram:nova-3, deepgram-2, openai-2:gpt-4o-mini" into the part's chain. PAT_EINVAL: err says
 * what is wrong with it. Model names may hold colons. */
int providers_chain(struct providers *t, enum provider_part part, const char *list,
                    const struct provider_account *accounts, size_t n,
                    struct pat_buf *err) PAT_MUST_CHECK;
const struct provider_chain *providers_of(const struct providers *t, enum provider_part part);
/* The same list without a table, for --check-config: PAT_OK or what is wrong. */
int providers_check(enum provider_part part, const char *list,
                    const struct provider_account *accounts, size_t n, struct pat_buf *err);

/* The first step not in tried (a bit each) that may be asked now, and reserves its probe; when all
 * that are left are closed, the first of them that is not known to be hopeless (its key, its
 * money, its model). -1: none. A caller waits: that is better than nobody being asked. */
int provider_pick(const struct provider_chain *c, unsigned tried, int64_t now_ms);
/* All others of the same account join tried: after FAULT_AUTH and FAULT_QUOTA. */
unsigned provider_same_account(const struct provider_chain *c, int step);

/* Its breaker is open for a reason no second try mends. */
bool provider_hopeless(const struct provider *p, int64_t now_ms);

/* p may be NULL in both. */
void provider_worked(struct providers *t, struct provider *p);
/* retry_after_ms: as the vendor said, 0: it did not. */
void provider_failed(struct providers *t, struct provider *p, enum provider_fault f,
                     int64_t retry_after_ms, int64_t now_ms);

const char *provider_part_name(enum provider_part part);  /* "stt" */
const char *provider_vendor_name(enum provider_vendor v); /* "deepgram" */
const char *provider_fault_name(enum provider_fault f);   /* "connection" */
int provider_fault_err(enum provider_fault f);            /* PAT_E* */
enum provider_fault provider_fault_of_http(int status);   /* of a refusal, by status alone */
enum provider_fault provider_fault_of_err(int err);       /* of a transfer that failed */

#endif
