/* out_fields.h - what a user says of an endpoint, checked field by field. Pure. */
#ifndef OUT_FIELDS_H
#define OUT_FIELDS_H

#include "pat.h"

/* The fields of relay.endpoint_create (create) or .endpoint_update that are in params, into *clean
 * (yours) as Postgres gets them. PAT_EINVAL: wrong names the field. What is not known is refused,
 * so that a misspelt option is not silently the default. */
int out_fields_read(struct pat_json **clean, const struct pat_json *params, bool create,
                    bool private_nets, struct pat_json_err *wrong) PAT_MUST_CHECK;
/* Does an array of texts have this one? */
bool out_fields_has(const struct pat_json *array, const char *text);

#endif
