/* renew.c - see renew.h. Somebody waits to hear it, so it does not queue behind the control plane
 * (look.h). The journal writes what Retell said; who asks meanwhile waits for that row.
 */
#include "renew.h"

#include "look.h"

#include <stdlib.h>
#include <string.h>

#define DB_TIMEOUT_MS 5000
#define CLAIM_S       "15" /* longer than anybody waits */

struct renewing {
    struct provider *p;
    struct pat_rpc_req *req;
    char retell[130], listen[64];
};

void renew_keep(struct provider *p, const char *retell_call, const struct pat_json *call)
{
    static const char *const names[] = { "recording_url", "recording_multi_channel_url",
                                         "scrubbed_recording_url",
                                         "scrubbed_recording_multi_channel_url" };
    PAT_AUTO_JSON urls = call ? pat_json_obj() : NULL;
    PAT_AUTO_STR text = NULL;
    const char *params[] = { retell_call, NULL };
    const struct pat_db_stmt stmt = { "put_renewal", "select patchbay.put_renewal($1, $2::jsonb)",
                                      2, params };

    for (size_t i = 0; urls && i < sizeof names / sizeof names[0]; i++)
        if (pat_json_str_or(call, names[i], NULL))
            pat_json_set_str(urls, names[i], pat_json_str_or(call, names[i], NULL));
    params[1] = text = urls ? pat_json_print(urls) : NULL;
    if (!p->journal || pat_journal_add(p->journal, NULL, NULL, &stmt, 1))
        pat_log(PAT_WARN, "renew.not_kept", PAT_S("retell_call", retell_call));
}

/* url NULL: there is none, err says why. */
static void answer(struct renewing *w, int err, const char *url)
{
    struct pat_json *result;

    if (url) {
        result = pat_json_obj();
        pat_json_set_str(result, "url", url);
        pat_rpc_reply(w->req, result);
    } else {
        pat_rpc_fail(w->req, err, NULL, pat_err_text(err));
    }
    free(w);
}

static void on_call(int err, const struct pat_json *call, void *arg)
{
    struct renewing *w = arg;
    PAT_AUTO_JSON none = err == PAT_ENOENT ? pat_json_obj() : NULL; /* an answer too */
    const char *url = err ? NULL : pat_json_str_or(call, w->listen, NULL);

    renew_keep(w->p, w->retell, call ? call : none);
    if (err == PAT_EAGAIN) /* Retell's 429: busy is who has been asked already */
        err = PAT_EUNAVAIL;
    if (!err && !url)
        err = PAT_ENOENT;
    pat_log(err ? PAT_WARN : PAT_INFO, err ? "renew.failed" : "renew.done",
            PAT_S("retell_call", w->retell), PAT_ERR(err));
    answer(w, err, url);
}

static void on_claimed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct renewing *w = arg;
    PAT_AUTO_JSON row = NULL;
    const char *text = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
    const char *url;

    if (text)
        err = pat_json_parse(&row, text, strlen(text), NULL);
    else if (!err)
        err = PAT_ENOENT;
    url = pat_json_str_or(row, "url", NULL);
    if (!err && !url && pat_json_bool_or(row, "wait", false))
        err = PAT_EAGAIN;
    if (!err && !url &&
        (!pat_strcpy(w->retell, sizeof w->retell, pat_json_str_or(row, "retell_call_id", "")) ||
         !pat_strcpy(w->listen, sizeof w->listen, pat_json_str_or(row, "listen", ""))))
        err = PAT_EINVAL;
    if (!err && !url) {
        err = look_call(w->p, w->retell, pat_rpc_left_ms(w->req), on_call, w);
        if (!err)
            return;
        renew_keep(w->p, w->retell, NULL);
    }
    answer(w, err, url);
}

void renew_urls(struct pat_rpc_req *r, const struct pat_json *params, void *provider)
{
    struct renewing *w = NULL;
    struct provider *p = provider;
    struct pat_json_err why = { { 0 }, { 0 } };
    const char *what[4] = { [3] = CLAIM_S };
    int err = pat_json_get_id(params, "call_id", &what[0], &why);

    if (!err)
        err = pat_json_get_id(params, "user_id", &what[1], &why);
    if (!err)
        err = pat_json_get_str(params, "refused", &what[2], &why);
    if (!err && !(w = calloc(1, sizeof *w)))
        err = PAT_ENOMEM;
    if (!err) {
        *w = (struct renewing){ .p = p, .req = r };
        err =
            pat_db_run1(p->d->db, "claim_renewal", "select patchbay.claim_renewal($1, $2, $3, $4)",
                        what, 4, DB_TIMEOUT_MS, on_claimed, w, NULL);
    }
    if (!err)
        return;
    free(w);
    pat_rpc_fail(r, err, *why.path ? why.path : NULL, *why.what ? why.what : pat_err_text(err));
}
