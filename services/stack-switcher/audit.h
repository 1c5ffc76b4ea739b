/* audit.h - who changed what: GET /v1/audit for admins, and rows for changes that other daemons or
 * several questions make (what one SQL function changes is written down in the same transaction).
 *
 * Thread: the loop's.
 */
#ifndef SWITCHER_AUDIT_H
#define SWITCHER_AUDIT_H

#include "switcher.h"
#include "who.h"

int audit_routes(struct switcher *s) PAT_MUST_CHECK;

/* Borrowed; NULL where there is nothing to say. No secrets. */
struct audit_row {
    const char *action;
    const char *user_id, *subject; /* UUIDs: whose, and the thing itself */
    const struct pat_json *before, *after;
    bool refused;
};
/* One more row, soon. What cannot be written is logged in its place. */
void audit_write(struct switcher *s, struct pat_httpd_req *http, const struct who *who,
                 const struct audit_row *row);

#endif
