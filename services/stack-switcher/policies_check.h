/* policies_check.h - is this what a user's policies may be? Pure.
 *
 * A document of patchbay.user_policies' fields, or some of them. What each means: docs/routing.md.
 */
#ifndef SWITCHER_POLICIES_CHECK_H
#define SWITCHER_POLICIES_CHECK_H

#include "pat.h"

#define POLICIES_LIST_MAX 1000 /* entries of a list: a router walks them for each call */

/* PAT_EINVAL: err has the field ("business_hours.mon[0]") and what it must be. null is fine for
 * every field: its default. */
int policies_check(const struct pat_json *doc, struct pat_json_err *err) PAT_MUST_CHECK;

#endif
