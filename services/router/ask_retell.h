/* ask_retell.h - asks the retell-provider to register a call with Retell.
 *
 * By RPC; when nobody answers there (NATS away or stuck, no provider connected) by the provider's
 * inside HTTP port, within the same deadline. A provider that neither reaches is being started
 * again, more often than not: where nobody else could speak with the caller it is asked until the
 * deadline.
 */
#ifndef ROUTER_ASK_RETELL_H
#define ROUTER_ASK_RETELL_H

#include "callref.h"
#include "routes.h"

/* Retell's answer has to leave room for the carrier's own five seconds. */
#define ASK_RETELL_MS 3000

/* How: bits. */
enum {
    ASK_RETELL_NOBODY_ELSE = 1, /* behind Retell there is only a message to leave */
    ASK_RETELL_CUT_OFF = 2,     /* the caller spoke with somebody, and the leg died */
};

/* Runs once, on the loop. retell_call is borrowed, NULL on error. */
typedef void ask_retell_fn(int err, const char *retell_call, void *arg);
int ask_retell(struct router *r, const struct callref *c, const struct retell_agent *agent,
               unsigned how, ask_retell_fn *done, void *arg) PAT_MUST_CHECK;
/* With the workspace's standby agent, for a user who has none there: settings (a row of
 * patchbay.agent_settings as JSON, borrowed) become its prompt and greeting. PAT_EUNAVAIL: there is
 * none yet; it is being made. */
int ask_retell_standby(struct router *r, const struct callref *c, const char *settings,
                       unsigned how, ask_retell_fn *done, void *arg) PAT_MUST_CHECK;

#endif
