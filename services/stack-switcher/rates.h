/* rates.h - prices over HTTP, and costs counted again by them.
 *
 * GET, POST /v1/rates; GET, PATCH, DELETE /v1/rates/{id}; GET, POST /v1/rates/rerate; GET
 * /v1/rates/rerate/{id}. For admins. What a price may be, and that one which holds is never
 * changed, is Postgres' to say (patchbay.rate_add and its kin).
 */
#ifndef SWITCHER_RATES_H
#define SWITCHER_RATES_H

#include "switcher.h"

int rates_routes(struct switcher *s) PAT_MUST_CHECK;

/* budget_api.c: what a user may spend. */
int budget_routes(struct switcher *s) PAT_MUST_CHECK;
/* retail.c: what customers are charged. */
int retail_routes(struct switcher *s) PAT_MUST_CHECK;

/* rerate.c: what was asked to be counted again is, by whichever replica comes to it; one that dies
 * is followed by another, behind the last call that was counted. */
struct rerate;
int rerate_new(struct rerate **out, struct switcher *s) PAT_MUST_CHECK;
void rerate_free(struct rerate *r); /* NULL is fine */
/* Something has been asked for. */
void rerate_look(struct rerate *r);
int rerate_routes(struct switcher *s) PAT_MUST_CHECK;

#endif
