/* schema.h - JSON Schema, as much of it as tools' arguments need.
 *
 * Understood (JSON Schema 2020-12): type (a name or a list of them), enum and const (of scalars),
 * properties, required, additionalProperties (false, true or a schema), items (one schema),
 * minItems, maxItems, minLength, maxLength (in characters), minimum, maximum, exclusiveMinimum,
 * exclusiveMaximum. title, description, default, examples, format, deprecated, $schema and $comment
 * are notes. Everything else ($ref, pattern, anyOf, if ...) is refused when a schema is taken in,
 * never ignored when it is used. Thread: any; pure.
 */
#ifndef PAT_SCHEMA_H
#define PAT_SCHEMA_H

#include "json.h"

/* Is it a schema of an object, in nothing but what is understood? PAT_EINVAL: err says where. */
int pat_schema_supported(const struct pat_json *schema, struct pat_json_err *err) PAT_MUST_CHECK;
/* PAT_EINVAL: err has the path in the value, and what is wrong with it, in words a model can use.
 * What the schema has that is not understood makes everything wrong. */
int pat_schema_check(const struct pat_json *schema, const struct pat_json *value,
                     struct pat_json_err *err) PAT_MUST_CHECK;

#endif
