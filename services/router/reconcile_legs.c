/* reconcile_legs.c - legs the carrier still has of calls that are over are hung up.
 *
 * Goes through the carrier's list of live legs, page by page, and asks Postgres which of them
 * belong to calls that ended a while ago. Legs that are not known are left alone: they may be
 * another program's in the same account, or a caller whom the static fallback document serves.
 */
#include "reconcile.h"

#include "rest.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MS = 8000, DB_MS = 5000, END_MS = 4000, PAGES_MAX = 20 };

struct sweep {
    struct router *r;
    char *next; /* address of the next page; NULL: this was the last */
    int pages;
    pat_loop_fn *done;
    void *arg;
};

static void finish(struct sweep *s)
{
    pat_loop_fn *fn = s->done;
    void *arg = s->arg;

    free(s->next);
    free(s);
    fn(arg);
}

static void on_list(int err, const struct pat_json *j, void *arg);

static void next_page(struct sweep *s)
{
    char *uri = s->next;
    int err = PAT_ENOENT;

    s->next = NULL;
    if (uri && s->pages < PAGES_MAX)
        err = rest_list_next(s->r, uri, LIST_MS, on_list, s);
    free(uri);
    if (err)
        finish(s);
}

static void hang_up(struct router *r, const struct pat_db_result *rows, size_t i)
{
    const char *leg = pat_db_get(rows, i, "leg"), *call = pat_db_get(rows, i, "call_id");
    const char *kind = pat_db_get(rows, i, "kind"), *form = pat_db_get(rows, i, "form");

    pat_log(PAT_WARN, "leg.reaped", PAT_S("call", call), PAT_S("leg", leg), PAT_S("kind", kind));
    reconcile_count(r, "leg", "reaped");
    if (rest_end(r, leg, strcmp(form, "swml") ? CARRIER_CXML : CARRIER_SWML, END_MS, NULL, NULL))
        pat_log(PAT_WARN, "leg.left", PAT_S("call", call), PAT_S("leg", leg));
}

static void on_orphans(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct sweep *s = arg;

    (void)n;
    for (size_t i = 0; !err && i < pat_db_rows(results[0]); i++)
        hang_up(s->r, results[0], i);
    next_page(s);
}

/* {"a","b"}: ids have no quotes in them (carrier.c refuses such, here they are skipped). */
static void add_ids(struct pat_buf *out, const struct pat_json *calls)
{
    for (size_t i = 0; i < pat_json_size(calls); i++) {
        const char *sid = pat_json_str_or(pat_json_item(calls, i), "sid", "");

        if (!*sid || strpbrk(sid, "\"\\{},"))
            continue;
        pat_buf_adds(out, out->len > 1 ? ",\"" : "\"");
        pat_buf_adds(out, sid);
        pat_buf_adds(out, "\"");
    }
}

static int ask_which(struct sweep *s, const struct pat_json *calls)
{
    struct pat_buf ids;
    char grace[32];
    const char *params[2];
    int err;

    pat_buf_init(&ids, 64 * 1024);
    pat_buf_adds(&ids, "{");
    add_ids(&ids, calls);
    err = pat_buf_adds(&ids, "}");
    params[0] = ids.data;
    params[1] = grace;
    snprintf(grace, sizeof grace, "%lld ms", (long long)s->r->conf->chores_ms);
    if (!err)
        err = pat_db_run1(s->r->d->db, "left_legs",
                          "select * from patchbay.left_legs($1::text[], $2::interval)", params, 2,
                          DB_MS, on_orphans, s, NULL);
    pat_buf_fini(&ids);
    return err;
}

static void on_list(int err, const struct pat_json *j, void *arg)
{
    struct sweep *s = arg;
    const char *next = err ? NULL : pat_json_str_or(j, "next_page_uri", NULL);

    s->pages++;
    if (next && *next)
        s->next = strdup(next);
    if (err || ask_which(s, pat_json_at(j, "calls")))
        finish(s);
}

int reconcile_legs(struct router *r, pat_loop_fn *done, void *arg)
{
    struct sweep *s = calloc(1, sizeof *s);
    int err;

    if (!s)
        return PAT_ENOMEM;
    *s = (struct sweep){ .r = r, .done = done, .arg = arg };
    err = rest_list(r, "Calls", "Status=in-progress&PageSize=100", LIST_MS, on_list, s);
    if (err)
        free(s);
    return err;
}
