/* agent_fields.h - what may be written into an agent's settings: the columns of
 * public.agent_configs a person edits, and what each of them takes. Pure.
 */
#ifndef SWITCHER_AGENT_FIELDS_H
#define SWITCHER_AGENT_FIELDS_H

#include "pat.h"

/* changes: {"field": value, ...}, at least one field, each of those the table has. PAT_EINVAL with
 * the field and, for people, what it takes; both are good as long as changes is. */
int agent_fields_check(const struct pat_json *changes, const char **field,
                       const char **what) PAT_MUST_CHECK;

#endif
