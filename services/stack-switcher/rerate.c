/* rerate.c - costs counted again: see rates.h.
 *
 * One batch is one transaction (patchbay.rerate_step): the calls it changed, what it found and how
 * far it is. It does not hurry: between two batches other work of the database gets its turn.
 */
#include "rates.h"

#include "door.h"
#include "rates_check.h"
#include "verdict.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 2000, SOON_MS = 100, PAUSE_MS = 10, DB_MS = 60000, BODY_MAX = 16 << 10 };
#define BATCH "50" /* some 100 ms: requests of people wait behind it on the same connection */
#define LEASE "90 seconds" /* longer than DB_MS: a batch under way is nobody else's */

struct rerate {
    struct switcher *s;
    struct pat_timer timer;
    struct pat_id self;
    pat_db_id query;
    bool asked; /* while one was under way */
};

/* ------------------------------------------------------------------ doing it */

static void again(struct rerate *r, int64_t ms)
{
    r->query = 0;
    pat_timer_start(&r->timer, r->asked ? SOON_MS : ms);
    r->asked = false;
}

static void on_put_off(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    (void)err, (void)results, (void)n;
    again(arg, LOOK_MS);
}

static void put_off(struct rerate *r, const char *why)
{
    const char *params[] = { r->self.s, why };

    if (pat_db_run1(r->s->d->db, "rerate_failed", "select patchbay.rerate_failed($1, $2)", params,
                    2, DB_MS, on_put_off, r, &r->query))
        again(r, LOOK_MS);
}

static void on_stepped(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct rerate *r = arg;
    const char *text = !err && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    r->query = 0;
    if (!err) {
        again(r, text ? PAUSE_MS : LOOK_MS);
        return;
    }
    pat_log(PAT_WARN, "rerate.batch_failed", PAT_ERR(err),
            PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    /* Not when the database is away: that is nothing the calls did. */
    if (n)
        put_off(r, pat_db_message(results[0]));
    else
        again(r, LOOK_MS);
}

static void look(void *arg)
{
    static const char sql[] =
        "select patchbay.rerate_step($1, interval '" LEASE "', $2::integer)::text";
    struct rerate *r = arg;
    const char *params[] = { r->self.s, BATCH };

    if (r->query)
        return;
    if (pat_db_run1(r->s->d->db, "rerate_step", sql, params, 2, DB_MS, on_stepped, r, &r->query))
        again(r, LOOK_MS);
}

void rerate_look(struct rerate *r)
{
    if (r->query)
        r->asked = true;
    else
        pat_timer_start(&r->timer, SOON_MS); /* when it is written down */
}

int rerate_new(struct rerate **out, struct switcher *s)
{
    struct rerate *r = calloc(1, sizeof *r);
    int err = r ? pat_timer_init(&r->timer, s->d->loop, look, r) : PAT_ENOMEM;

    if (err) {
        free(r);
        return err;
    }
    r->s = s;
    r->self = pat_id_new();
    pat_timer_start(&r->timer, LOOK_MS);
    *out = r;
    return PAT_OK;
}

void rerate_free(struct rerate *r)
{
    if (!r)
        return;
    pat_db_cancel(r->s->d->db, r->query);
    pat_timer_fini(&r->timer);
    free(r);
}

/* ------------------------------------------------------------------ asking for it */

/* What Postgres gets: the request and who asks, in one. NULL: it has replied. Yours. */
static char *read_request(struct pat_httpd_req *http, const struct who *who)
{
    PAT_AUTO_JSON doc = NULL;
    struct pat_json_err why = { { 0 }, { 0 } };
    size_t len;
    const char *body = pat_httpd_body(http, &len);
    char *text;

    if (pat_json_parse(&doc, body, len, &why) || rerate_check(doc, &why)) {
        pat_httpd_reply_error(http, PAT_EINVAL, *why.path ? why.path : "body", why.what);
        return NULL;
    }
    if (!pat_json_at(doc, "dry_run"))
        pat_json_set_bool(doc, "dry_run", false);
    pat_json_set_str(doc, "actor", *who->user ? who->user : "service");
    pat_json_set_str(doc, "actor_id", *who->user ? who->user : NULL);
    pat_json_set_str(doc, "peer", pat_httpd_peer(http));
    text = pat_json_print(doc);
    if (!text)
        pat_httpd_reply_error(http, PAT_ENOMEM, NULL, NULL);
    return text;
}

static void on_post(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] =
        VERDICT_FOR_ADMINS("patchbay.rerate_start($3::jsonb)", "$3", "rates.rerate");
    struct switcher *s = arg;
    struct who who;
    char *text;

    if (door_who(&who, s, http) || door_json(http) || !(text = read_request(http, &who)))
        return;
    verdict_ask(s, http, &who,
                &(struct verdict){ .name = "rerate_start",
                                   .sql = sql,
                                   .params = { text },
                                   .n = 1,
                                   .noun = "rerating",
                                   .status = 202 });
    free(text);
    rerate_look(s->rerate);
}

static void on_list(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] =
        "with page as (select r, r.id, r.created_at from patchbay.reratings r where $4::uuid is null or "
        "(r.created_at, r.id) < (select b.created_at, b.id from patchbay.reratings b where b.id = "
        "$4::uuid) order by r.created_at desc, r.id desc limit $3::integer) select " ASK_PAGE(
            "before", "$4::uuid", "select from patchbay.reratings b where b.id = $4::uuid",
            "jsonb_build_object('reratings', coalesce(jsonb_agg(patchbay.rerate_json(p.r) "
            "order by p.created_at desc, p.id desc), '[]'), 'next', case when count(*) = "
            "$3::integer then (array_agg(p.id order by p.created_at, p.id))[1] end)") " from "
                                                                                      "page p having " ASK_IS_ADMIN;
    struct who who;
    struct page page;

    if (door_who(&who, arg, http) || door_page(&page, http, "before"))
        return;
    ask(arg, http, &who,
        &(struct question){ .name = "reratings",
                            .sql = sql,
                            .params = { page.limit, *page.before ? page.before : NULL },
                            .n = 2,
                            .admins_only = true });
}

static void on_one(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] =
        "select case when " ASK_IS_ADMIN
        " then (select patchbay.rerate_json(r) from patchbay.reratings r where r.id = $3::uuid) "
        "else patchbay.rate_refused(403, 'forbidden', null, 'for admins only') end";
    struct who who;
    const char *id;

    if (!door_who(&who, arg, http) && (id = door_id(http)))
        verdict_ask(arg, http, &who,
                    &(struct verdict){ .name = "rerating", .sql = sql, .params = { id }, .n = 1 });
}

int rerate_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/v1/rates/rerate", BODY_MAX, on_post },
        { "GET", "/v1/rates/rerate", 0, on_list },
        { "GET", "/v1/rates/rerate/{id}", 0, on_one },
        { 0 },
    };

    return pat_httpd_routes(s->httpd, routes, s);
}
