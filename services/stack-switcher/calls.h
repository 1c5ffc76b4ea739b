/* calls.h - calls by HTTP: GET /v1/calls (filters, those under way), /v1/calls/{id}, its events,
 * and for admins POST /v1/calls/{id}/hangup.
 *
 * Recordings are recordings.h's. Thread: the loop's.
 */
#ifndef SWITCHER_CALLS_H
#define SWITCHER_CALLS_H

#include "switcher.h"

int calls_routes(struct switcher *s) PAT_MUST_CHECK;
/* calls_hangup.c */
int hangup_routes(struct switcher *s) PAT_MUST_CHECK;

#endif
