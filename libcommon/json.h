/* json.h - JSON with typed reading, where an error names the field.
 *
 * Strict on input from outside: valid UTF-8, no U+0000, no name twice in an object, nothing behind
 * the value, at most PAT_JSON_DEPTH deep.
 * Paths are dotted with [n] for items: "call.from", "items[0].id". Integers are exact up to 2^53;
 * larger ids travel as strings. A tree is owned by who parsed or built it; reading borrows. Thread:
 * a tree belongs to one thread.
 */
#ifndef PAT_JSON_H
#define PAT_JSON_H

#include "buf.h"

#include <stdint.h>

#define PAT_JSON_DEPTH 64

struct pat_json; /* a value of any kind */

struct pat_json_err {
    char path[160]; /* "" when the text itself is broken */
    char what[160]; /* "must be a string" */
};

enum pat_json_kind {
    PAT_JSON_NULL,
    PAT_JSON_BOOL,
    PAT_JSON_NUM,
    PAT_JSON_STR,
    PAT_JSON_ARR,
    PAT_JSON_OBJ
};

/* PAT_EINVAL: not JSON (err says where). err may be NULL in all functions. */
int pat_json_parse(struct pat_json **out, const char *text, size_t len,
                   struct pat_json_err *err) PAT_MUST_CHECK;
/* A copy in which escapes of U+0000 and of half a surrogate pair, and each byte that is no UTF-8,
 * have become U+FFFD's: vendors send them, neither pat_json_parse nor Postgres has them. For what
 * is signed and may not be sent again. Yours to free(), *len is then its length: three times the
 * text's at most. NULL, and *len stays: there are none, or no memory. */
char *pat_json_mended(const char *text, size_t *len);
void pat_json_free(struct pat_json *j);
void pat_json_free_p(struct pat_json **j);
#define PAT_AUTO_JSON __attribute__((cleanup(pat_json_free_p))) struct pat_json *

enum pat_json_kind pat_json_kind(const struct pat_json *j);

/* Required fields: PAT_EINVAL with path and reason when missing, null or of another kind. */
int pat_json_get_str(const struct pat_json *j, const char *path, const char **out,
                     struct pat_json_err *err) PAT_MUST_CHECK;
int pat_json_get_int(const struct pat_json *j, const char *path, int64_t *out,
                     struct pat_json_err *err) PAT_MUST_CHECK;
int pat_json_get_num(const struct pat_json *j, const char *path, double *out,
                     struct pat_json_err *err) PAT_MUST_CHECK;
int pat_json_get_bool(const struct pat_json *j, const char *path, bool *out,
                      struct pat_json_err *err) PAT_MUST_CHECK;
int pat_json_get_id(const struct pat_json *j, const char *path, const char **out,
                    struct pat_json_err *err) PAT_MUST_CHECK;
int pat_json_get_obj(const struct pat_json *j, const char *path, const struct pat_json **out,
                     struct pat_json_err *err) PAT_MUST_CHECK;

/* Optional fields: the fallback when missing, null or of another kind. */
const char *pat_json_str_or(const struct pat_json *j, const char *path, const char *fallback);
int64_t pat_json_int_or(const struct pat_json *j, const char *path, int64_t fallback);
double pat_json_num_or(const struct pat_json *j, const char *path, double fallback);
bool pat_json_bool_or(const struct pat_json *j, const char *path, bool fallback);

/* NULL when absent. */
const struct pat_json *pat_json_at(const struct pat_json *j, const char *path);
size_t pat_json_size(const struct pat_json *arr_or_obj);
/* Walks from the first one: for all items use PAT_JSON_EACH. */
const struct pat_json *pat_json_item(const struct pat_json *arr_or_obj, size_t i);
const struct pat_json *pat_json_first(const struct pat_json *arr_or_obj);
const struct pat_json *pat_json_next(const struct pat_json *item);
#define PAT_JSON_EACH(it, arr_or_obj)                                                              \
    for (const struct pat_json *it = pat_json_first(arr_or_obj); it; it = pat_json_next(it))
const char *
pat_json_key(const struct pat_json *member); /* of a member got from an object; else NULL */
const char *pat_json_value_str(const struct pat_json *j); /* NULL when not a string */
double pat_json_value_num(const struct pat_json *j);
bool pat_json_lower_id(const struct pat_json *j); /* pat_id_lower of a string, in the tree */

/* Building. A set replaces what the key held. A set on a tree that ran out of memory earlier is a
 * no-op: check once, by pat_json_print's NULL. Bytes that are not UTF-8, and U+0000, become U+FFFD.
 */
struct pat_json *pat_json_obj(void);
struct pat_json *pat_json_arr(void);
void pat_json_set_str(struct pat_json *obj, const char *key, const char *s); /* NULL: JSON null */
void pat_json_set_strn(struct pat_json *obj, const char *key, const char *s, size_t len);
void pat_json_set_int(struct pat_json *obj, const char *key, int64_t n);
void pat_json_set_num(struct pat_json *obj, const char *key, double n);
void pat_json_set_bool(struct pat_json *obj, const char *key, bool b);
void pat_json_set_null(struct pat_json *obj, const char *key);
/* text is a JSON object already, well-formed: put in as it is, for what is large or sent often.
 * Only printing sees what is in it. */
struct pat_json *pat_json_text(const char *text);
void pat_json_set_text(struct pat_json *obj, const char *key, const char *text);
/* Takes child over, also when it fails. Copies of borrowed trees: pat_json_dup. */
void pat_json_set_take(struct pat_json *obj, const char *key, struct pat_json *child);
void pat_json_add_take(struct pat_json *arr, struct pat_json *child);
void pat_json_add_str(struct pat_json *arr, const char *s);
struct pat_json *pat_json_dup(const struct pat_json *j);

/* The same value, whatever the order of members; 1 and 1.0 are the same. NULL is only NULL. */
bool pat_json_same(const struct pat_json *a, const struct pat_json *b);
/* The members of `to` that `from` does not have the same, and null for those it lacks: what a PATCH
 * has to say. Yours; {} when there is nothing. */
struct pat_json *pat_json_changes(const struct pat_json *from, const struct pat_json *to);

#define PAT_JSON_PRINT_MAX ((size_t)16 << 20) /* far above any message; stops a runaway */
/* Compact text, yours to free(). NULL: out of memory now or while building. */
char *pat_json_print(const struct pat_json *j) PAT_MUST_CHECK;
int pat_json_print_to(const struct pat_json *j, struct pat_buf *out) PAT_MUST_CHECK;
/* Adds s as a quoted JSON string. */
int pat_json_quote(struct pat_buf *out, const char *s, size_t len);

bool pat_utf8_valid(const char *s, size_t len);
/* Characters, of text that is valid. */
size_t pat_utf8_count(const char *s, size_t len);

#endif
