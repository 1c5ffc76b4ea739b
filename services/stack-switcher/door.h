/* door.h - what every request is asked first: who are you, how often, and about what.
 *
 * Each function that fails has replied. All errors of the API are problems (RFC 9457): by
 * pat_httpd_reply_error, or pat_httpd_reply_problem where there is more to say.
 */
#ifndef SWITCHER_DOOR_H
#define SWITCHER_DOOR_H

#include "limit.h"
#include "query.h"
#include "switcher.h"
#include "who.h"

enum { DOOR_VERSION_MAX = 24 };

/* By its token, which must be good; counted (limit.h), and its answer is not to be stored by
 * anybody. */
int door_who(struct who *who, struct switcher *s, struct pat_httpd_req *http) PAT_MUST_CHECK;
/* Once more of another kind: for what is dear. */
int door_limit(struct switcher *s, struct pat_httpd_req *http, enum limit_kind kind,
               const char *who) PAT_MUST_CHECK;
/* The same as door_who for sound and nothing else: a player sends no header, so cookie pb_listen
 * will do. */
int door_listener(struct who *who, struct switcher *s, struct pat_httpd_req *http) PAT_MUST_CHECK;
/* The {id} in its path, a UUID; or NULL. */
const char *door_id(struct pat_httpd_req *http);
/* If-Match: "7", or * for any (*version NULL), as nothing is where it is not needed: else 428. */
int door_match(struct pat_httpd_req *http, bool needed, char text[DOOR_VERSION_MAX],
               const char **version) PAT_MUST_CHECK;
/* 412: it is another version by now. */
void door_stale(struct pat_httpd_req *http);
/* Of a list: `limit`, and the cursor by its name ("before", "after"). */
int door_page(struct page *out, struct pat_httpd_req *http, const char *cursor) PAT_MUST_CHECK;
/* A body has to be JSON by its Content-Type, if it has one: else 415. */
int door_json(struct pat_httpd_req *http) PAT_MUST_CHECK;
/* The body, a JSON object, yours; {} where there is none. NULL: it is something else. */
struct pat_json *door_body(struct pat_httpd_req *http);
/* A body that has to pass check, as text for Postgres: printed by us, so that 5.0 is 5 and an
 * integer there, too. Yours; NULL: it is not JSON, or not right. */
typedef int door_check_fn(const struct pat_json *doc, struct pat_json_err *why);
char *door_text(struct pat_httpd_req *http, door_check_fn *check);
/* A body has to be multipart/form-data: else 415. */
int door_form(struct pat_httpd_req *http) PAT_MUST_CHECK;

#endif
