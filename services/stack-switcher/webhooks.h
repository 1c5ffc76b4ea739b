/* webhooks.h - the API of webhooks to customers: /v1/webhooks/...
 *
 * Each request is one RPC to a webhook-relay, which checks every field and whose the endpoint is;
 * here it is only found out who asks. A user acts for himself, an admin for anybody (?user_id=).
 * Life: webhooks_routes after the server is made; webhooks_free when it is gone.
 */
#ifndef SWITCHER_WEBHOOKS_H
#define SWITCHER_WEBHOOKS_H

#include "switcher.h"

struct webhooks;
int webhooks_routes(struct switcher *s) PAT_MUST_CHECK;
void webhooks_free(struct webhooks *w);

#endif
