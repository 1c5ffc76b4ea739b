/* retell.h - the Retell double's inside: its agents and its calls.
 *
 * retell.c has the calls (registering, the SIP side, webhooks), retell_agents.c agents and models
 * by version, retell_check.c what of their fields is refused, retell_voices.c voices and
 * concurrency, retell_story.c what calls leave behind, retell_web.c calls from a browser.
 */
#ifndef DOUBLES_RETELL_H
#define DOUBLES_RETELL_H

#include "doubles.h"
#include "media.h"

#define RETELL_ID_MAX 64

struct retell_version {
    int64_t n;
    struct pat_json *body; /* as answered */
    struct retell_version *next;
};

/* An agent or an LLM. */
struct retell_object {
    char id[RETELL_ID_MAX];
    struct retell_version *versions; /* newest first */
    struct retell_object *next;
};

struct retell {
    struct dbl *d;
    struct retell_object *agents;
    struct retell_object *llms;
    char gone_voice[RETELL_ID_MAX]; /* a preset that is no longer offered; "" */
    struct retell_call *calls;
    /* control */
    char webhook_url[512];
    char webhook_key[128];
    bool any_agent;        /* register takes agents nobody created */
    int64_t register_ms;   /* a registered call must be dialled within; 300,000 */
    int64_t call_ms;       /* an answered call hangs up by itself after; 0: when told */
    int64_t answer_ms;     /* ringing time */
    int sip_status;        /* answer of the next INVITEs; 200 */
    bool repeat_webhooks;  /* each is sent twice */
    bool shuffle_webhooks; /* call_ended leaves before call_started */
    bool mute_webhooks;    /* none leaves */
    int64_t concurrency;   /* how many calls at once; 100,000 */
    int64_t recording_ms;  /* a recording's address is good for; 0: there is none */
    int64_t expired;       /* how often all that were handed out have been made to expire */
    bool scrubbed;         /* and one without personal data, when the call is analysed */
    int64_t analyzed_ms;   /* call_analyzed comes so much later */
    size_t recording_bytes;
    bool recording_wav;                /* it can be heard */
    bool no_ranges;                    /* a recording only comes whole */
    char web_key[64], web_secret[128]; /* of the LiveKit server its web calls are on */
    struct media_desk *voice;
};

struct retell_call {
    struct retell *rt;
    char id[RETELL_ID_MAX];
    struct pat_json *body; /* the call object */
    struct pat_timer timer;
    struct pat_httpd_req *waiting; /* the carrier asks to be told of the end */
    bool ongoing, ended, web;
    char reason[40];
    double said_s;        /* words so far last until */
    struct media *spoken; /* while the caller's carrier takes sound */
    struct retell_call *next;
};

/* NULL: no such call. */
struct retell_call *retell_call(const struct retell *rt, const char *id);

/* A call that waits to be begun for so long. body is taken. NULL: no memory. */
struct retell_call *retell_call_new(struct retell *rt, struct pat_json *body, int64_t wait_ms);
/* It is under way, with its webhook, and ends by itself after so long (0: when told). */
void retell_begin(struct retell_call *c, int64_t longest_ms);
/* It ends, if it has not; with its webhooks. */
void retell_end(struct retell_call *c, const char *reason);
/* extra: more fields beside event and call, or NULL. */
void retell_webhook(struct retell_call *c, const char *event, const struct pat_json *extra,
                    int64_t after_ms);

/* False and replied: wrong key, or a scripted failure. */
bool retell_admit(struct retell *rt, struct pat_httpd_req *r);
void retell_error(struct pat_httpd_req *r, int status, const char *message);
/* The body as an object; NULL and replied when it is none. Yours. */
struct pat_json *retell_body(struct pat_httpd_req *r);
void retell_new_id(char out[RETELL_ID_MAX], const char *prefix);

int retell_agents_routes(struct retell *rt);
void retell_agents_free(struct retell *rt);
/* version negative: the newest. NULL: no such agent, or it has no such version. */
const struct pat_json *retell_agent(const struct retell *rt, const char *id, int64_t version);
/* The model of an agent's version; NULL: none. */
const struct pat_json *retell_model(const struct retell *rt, const char *agent, int64_t version);
int retell_tools_routes(struct retell *rt);
int retell_story_routes(struct retell *rt);
void retell_said(struct retell_call *c, const char *role, const char *content);
void retell_tool_result(struct retell_call *c, const char *use, const char *content, bool good);
void retell_finish(struct retell_call *c, int64_t seconds);
void retell_add_recording(struct retell_call *c); /* under addresses that are good from now on */
int retell_web_routes(struct retell *rt);
bool retell_web_control(struct retell *rt, const char *key, const char *text);
int retell_voices_routes(struct retell *rt);
bool retell_voice_offered(const struct retell *rt, const char *id);
/* True: fine. False: what is wrong stands in why. */
bool retell_check_agent(const struct pat_json *agent, char why[160]);
bool retell_check_llm(const struct pat_json *llm, char why[160]);

#endif
