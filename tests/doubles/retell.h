/* retell.h - the Retell double's inside: its agents and its calls.
 *
 * retell.c has the calls (registering, the SIP side, webhooks), retell_agents.c the agents, models
 * and voices.
 */
#ifndef DOUBLES_RETELL_H
#define DOUBLES_RETELL_H

#include "doubles.h"

#define RETELL_ID_MAX 64

/* A stored object: an agent or an LLM, every version of it. */
struct retell_object {
    char id[RETELL_ID_MAX];
    struct pat_json *body; /* as last answered */
    struct retell_object *next;
};

struct retell_call;

struct retell {
    struct dbl *d;
    struct retell_object *agents;
    struct retell_object *llms;
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
};

/* False and replied: wrong key, or a scripted failure. */
bool retell_admit(struct retell *rt, struct pat_httpd_req *r);
void retell_error(struct pat_httpd_req *r, int status, const char *message);
/* The body as an object; NULL and replied when it is none. Yours. */
struct pat_json *retell_body(struct pat_httpd_req *r);
void retell_new_id(char out[RETELL_ID_MAX], const char *prefix);

int retell_agents_routes(struct retell *rt);
void retell_agents_free(struct retell *rt);
/* NULL: no such agent. */
const struct pat_json *retell_agent(const struct retell *rt, const char *id);

#endif
