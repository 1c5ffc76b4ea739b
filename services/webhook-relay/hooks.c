/* hooks.c - the edge: a vendor's webhook is verified, stored, and only then acknowledged.
 *
 * Whose it is and what it says: vendors.c. Storing: inbox.c. What is made of it is project.c's
 * subject.
 */
#include "inbox.h"
#include "vendors.h"

#include <stdio.h>
#include <stdlib.h>

/* Retell's call_analyzed carries whole transcripts. */
#define BODY_MAX ((size_t)4 << 20)

struct door {
    struct relay *r;
    const struct vendor *v;
};

static void refuse(const struct relay *r, struct pat_httpd_req *http, int err, const char *field,
                   const char *why)
{
    pat_counter_add(r->refused, 1);
    pat_log(PAT_WARN, "webhook.refused", PAT_S("path", pat_httpd_path(http)),
            PAT_S("peer", pat_httpd_peer(http)), PAT_ERR(err), PAT_S("field", field),
            PAT_S("why", why));
    pat_httpd_reply_error(http, err, field, why);
}

static void on_hook(struct pat_httpd_req *http, void *arg)
{
    const struct door *door = arg;
    struct relay *r = door->r;
    const struct vendor *v = door->v;
    struct hook_request q = { .header = pat_httpd_header(http, v->header),
                              .now_ms = pat_unix_ms() };
    PAT_AUTO_JSON j = NULL;
    struct pat_json_err why = { 0 };
    struct hook h;
    char *mended;
    int err;

    q.body = pat_httpd_body(http, &q.len);
    err = vendor_verify(v, r->conf, &q);
    if (err) {
        refuse(r, http, PAT_EAUTH, v->header, err == PAT_ESTALE ? "too old" : "missing or wrong");
        return;
    }
    /* Half a character, where a transcript was cut: refused, the whole call would be lost. */
    mended = pat_json_mended(q.body, &q.len);
    if (mended)
        q.body = mended;
    err = vendor_read(v, &h, &j, &q, &why);
    if (err) {
        free(mended);
        refuse(r, http, err, *why.path ? why.path : "body", why.what);
        return;
    }
    err = inbox_take(r->inbox, http, &h, mended, q.len);
    if (err)
        refuse(r, http, PAT_EUNAVAIL, NULL, "not stored, send it again");
}

/* The sender shall see that it is us who are not set up, and try again. */
static void on_shut(struct pat_httpd_req *http, void *arg)
{
    const struct door *door = arg;
    char why[96];

    (void)snprintf(why, sizeof why, "nothing of %s's is taken here: %s is not set", door->v->name,
                   door->v->setting);
    refuse(door->r, http, PAT_EUNAVAIL, NULL, why);
}

int hooks_routes(struct relay *r)
{
    int err = PAT_OK;

    r->doors = calloc(n_vendors, sizeof *r->doors);
    if (!r->doors)
        return PAT_ENOMEM;
    for (size_t i = 0; i < n_vendors && !err; i++) {
        const char *secret = vendors[i].secret(r->conf);
        bool open = secret && *secret;

        r->doors[i] = (struct door){ r, &vendors[i] };
        err = pat_httpd_route(r->httpd, "POST", vendors[i].path, BODY_MAX, open ? on_hook : on_shut,
                              &r->doors[i]);
        if (!open)
            pat_log(PAT_INFO, "webhook.no_door", PAT_S("source", vendors[i].name),
                    PAT_S("setting", vendors[i].setting));
    }
    return err;
}
