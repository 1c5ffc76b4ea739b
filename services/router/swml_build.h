/* swml_build.h - the steps a SWML document is made of, for the two files that write such documents.
 */
#ifndef ROUTER_SWML_BUILD_H
#define ROUTER_SWML_BUILD_H

#include "pat.h"

/* {"<verb>": params} at the end of steps. */
void swml_step(struct pat_json *steps, const char *verb, struct pat_json *params_take);
/* The document around its steps. */
int swml_finish(struct pat_buf *out, struct pat_json *steps_take) PAT_MUST_CHECK;

#endif
