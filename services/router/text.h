/* text.h - a JSON object being written as text, member by member.
 *
 * Building a tree of it first costs twice as much, and every call needs five of these.
 * Life: text_init -> members -> text_end -> text_fini. A failure sticks, and text_end tells it.
 */
#ifndef ROUTER_TEXT_H
#define ROUTER_TEXT_H

#include "pat.h"

struct text {
    struct pat_buf b;
};

/* extra: bytes of a large member to come, 0: none. */
void text_init(struct text *t, size_t extra);
void text_fini(struct text *t);
void text_str(struct text *t, const char *key, const char *value);     /* NULL: null */
void text_or_null(struct text *t, const char *key, const char *value); /* "": null */
void text_int(struct text *t, const char *key, int64_t n);
void text_bool(struct text *t, const char *key, bool b);
void text_ms(struct text *t, const char *key, int64_t ms); /* negative: null */
void text_time(struct text *t, const char *key, int64_t unix_ms);
/* json: a well-formed value, or NULL. */
void text_raw(struct text *t, const char *key, const char *json);
/* For a member of any other kind: its key, behind which the caller adds the value to t->b. */
void text_key(struct text *t, const char *key);
/* Borrowed until text_fini; NULL when something failed: the reason is t->b.err. */
const char *text_end(struct text *t);

#endif
