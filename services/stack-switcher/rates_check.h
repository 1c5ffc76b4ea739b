/* rates_check.h - is this what may be sent about prices and budgets? Pure.
 *
 * Each: PAT_EINVAL: err has the field and what it must be.
 */
#ifndef SWITCHER_RATES_CHECK_H
#define SWITCHER_RATES_CHECK_H

#include "pat.h"

/* A price, or with whole false some fields of one. */
int rates_check(const struct pat_json *doc, bool whole, struct pat_json_err *err) PAT_MUST_CHECK;
/* {"from", "to", "user_id"?, "dry_run"?, "why"?} */
int rerate_check(const struct pat_json *doc, struct pat_json_err *err) PAT_MUST_CHECK;
/* What a user may spend. */
int budget_check(const struct pat_json *doc, struct pat_json_err *err) PAT_MUST_CHECK;
/* A price a minute of a tier; whose tier. */
int retail_check(const struct pat_json *doc, struct pat_json_err *err) PAT_MUST_CHECK;
int tier_check(const struct pat_json *doc, struct pat_json_err *err) PAT_MUST_CHECK;

/* 2026-11-23, or 2026-11-23T10:00:00 with fractions of a second or none, and Z or +01:00. */
bool rates_is_day(const char *s);
bool rates_is_moment(const char *s);

#endif
