/* policies.h - GET, PUT and PATCH /v1/users/{id}/policies: what a user wants done with his calls.
 *
 * The owner's and admins'. An answer's ETag is the row's version: a PUT has to say which one it
 * replaces (If-Match), a PATCH may.
 */
#ifndef SWITCHER_POLICIES_H
#define SWITCHER_POLICIES_H

#include "switcher.h"

int policies_routes(struct switcher *s) PAT_MUST_CHECK;

#endif
