/* context.h - what an agent knows about a call before it begins: whose it is and how to behave.
 *
 * Comes as the parameters of agent.prepare (see docs/rpc.md), as the same text from the key-value
 * bucket, or is put together from the signed headers of the SIP leg and the row of
 * patchbay.agent_settings. Fields that are missing have their defaults; nothing here is NULL
 * unless it says so. Life: context_parse -> context_free. Thread: any, one at a time.
 */
#ifndef CALL_CONTEXT_H
#define CALL_CONTEXT_H

#include "../speech/voice.h"
#include "pat.h"

#define CONTEXT_KEYTERMS 50

struct context {
    char call_id[PAT_ID_LEN + 1];
    char user_id[PAT_ID_LEN + 1];
    char agent_config_id[PAT_ID_LEN + 1];
    int64_t config_version;
    char *from; /* NULL: withheld */
    char *to;   /* NULL: not told */

    char *user_name;
    char *agent_name;
    char *language; /* "en-US", "multi" */
    char *system_prompt;
    char *greeting;     /* {name} is filled in; "" : the caller speaks first */
    char *voice_id;     /* as stored; "" when it is refused */
    bool voice_refused; /* another user's own: Postgres says so, and nobody speaks with it */
    char *response_style;
    char *model;           /* NULL: the daemon's chain only */
    double temperature;    /* negative: the provider's */
    int max_tokens;        /* 0: the provider's */
    double volume;         /* 0..2 */
    char *ambient_sound;   /* "coffee-shop"; "": none */
    double ambient_volume; /* 0..2 */
    char *noise;           /* "off", "low", "medium", "high" */
    char *vetting;         /* what the caller is asked, as sentences for the model; may be "" */
    char *unsupported;     /* settings that have no effect here, one a line; may be "" */
    double responsiveness;
    double interruption_sensitivity;
    char turn_detection[12]; /* "endpointing", "flux"; "": as the daemon has it */
    /* Of the voice, within what vendors take; negative: not set. */
    double stability, similarity, style, speed;
    int speaker_boost;
    char *keyterms[CONTEXT_KEYTERMS + 1]; /* NULL-terminated */
    struct pat_json *tool_settings;       /* of the settings, what tools are made of */
    int64_t max_call_cents;               /* what a call may cost; 0: as the daemon has it */
    int64_t max_call_ms;                  /* how long it may be; 0: as the daemon has it */
    bool web;                             /* from a browser: no carrier tells of its end */
    bool record;                          /* the user wants the call recorded */
    bool announced;                       /* the greeting begins with the notice that it is */
    char *params;                         /* what it was made of, for whoever serves it next */
};

/* params of agent.prepare. err says which field is wrong; may be NULL. */
int context_parse(struct context **out, const struct pat_json *params,
                  struct pat_json_err *err) PAT_MUST_CHECK;
void context_free(struct context *c);
/* Puts the notice before the greeting, once. */
int context_announce(struct context *c, const char *notice);

/* The stored voice with the user's settings for it. */
struct voice context_voice(const struct context *c);

/* What the SIP leg says of the call: values of sip.h.x-pat-*, as they come in. */
struct context_headers {
    char call[64], user[64], agent[64], version[24], sig[64];
};
/* Takes an attribute of the SIP participant when it is one of ours. True: all five are there. */
bool context_headers_take(struct context_headers *h, const char *name, const char *value);
/* PAT_OK: signed by secret, and about call_id. */
int context_headers_verify(const struct context_headers *h, const char *call_id,
                           const char *secret) PAT_MUST_CHECK;
/* The parameters of agent.prepare, from verified headers and the settings row (taken over). Yours
 * to free. */
struct pat_json *context_params(const struct context_headers *h, struct pat_json *settings_take);

/* "call_<id>" -> the id, or NULL. */
const char *context_call_of_room(const char *room);

#endif
