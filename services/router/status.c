/* status.c - the carrier tells how a call goes: POST /v1/signalwire/status.
 *
 * The callback belongs to the number, its URL is the same for all calls, so the call is looked up
 * in Postgres by the carrier's id of it. Callbacks come twice and in any order: what is told is
 * merged into the leg's row, a repeated one gets the same answer and changes nothing. What is about
 * no call we know yet is parked there (reconcile.c takes it up). What cannot be stored is answered
 * with 503: the carrier sends it again.
 */
#include "callback.h"
#include "leg.h"
#include "lifecycle.h"
#include "rest.h"
#include "routes.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_TIMEOUT_MS 4000
#define LOOK_AGAIN_MS     200
#define WHY_MS            1000

struct status {
    struct router *r;
    struct pat_httpd_req *http;
    char *facts;  /* JSON */
    char *parked; /* the same, to be kept when the call is not known */
    struct lifecycle_call call;
    int64_t deadline_ms;
    struct pat_timer again;
};

static void status_free(struct status *s)
{
    pat_timer_fini(&s->again);
    free(s->facts);
    free(s->parked);
    free(s);
}

static void reply(struct status *s, int err)
{
    if (err) /* Not stored: let the carrier ask again. */
        pat_httpd_reply_error(s->http, PAT_EUNAVAIL, NULL, "try again");
    else
        pat_httpd_reply(s->http, 204, NULL, NULL, 0);
    status_free(s);
}

/* Who served, or ended it for us, may have said why. The carrier's "completed" does not, nor its
 * "canceled", which is also what it makes of our own request before anybody had answered. */
static void on_why(const struct leg *leg, void *arg)
{
    struct status *s = arg;

    for (int i = 0; leg->end && i < s->call.legs.n; i++)
        if (s->call.legs.leg[i].kind == LEGS_CALLER)
            s->call.legs.leg[i].reason = leg->end;
    lifecycle_follow(s->r, &s->call);
    reply(s, PAT_OK);
}

static bool ask_why(struct status *s)
{
    const struct legs_leg *g = legs_caller(&s->call.legs);

    return g && g->state == LEGS_ENDED && g->reason &&
           (!strcmp(g->reason->word, "completed") || !strcmp(g->reason->word, "caller_gave_up")) &&
           !s->call.ended && rest_configured(s->r) &&
           !leg_find(s->r, s->call.ref.call.s, WHY_MS, on_why, s);
}

static void found(struct status *s, const struct pat_db_result *row)
{
    const char *news = pat_db_get(row, 0, "news");
    int err = lifecycle_read(&s->call, row, 0);

    if (err) {
        pat_log(PAT_ERROR, "status.row", PAT_ERR(err));
        reply(s, err);
        return;
    }
    if (!strcmp(news, "impossible") || !strcmp(news, "other_call"))
        pat_log(PAT_WARN, "leg.impossible", PAT_S("call", s->call.ref.call.s), PAT_S("why", news),
                PAT_S("facts", s->facts));
    if (ask_why(s))
        return;
    lifecycle_follow(s->r, &s->call);
    reply(s, PAT_OK);
}

static int take(struct status *s, bool park);

static void on_taken(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct status *s = arg;

    (void)n;
    if (!err && pat_db_rows(results[0])) {
        found(s, results[0]);
        return;
    }
    if (err || !s->parked) {
        reply(s, err);
        return;
    }
    if (pat_journal_pending(s->r->journal) && pat_now_ms() + LOOK_AGAIN_MS < s->deadline_ms) {
        pat_timer_start(&s->again, LOOK_AGAIN_MS); /* its row may be on its way */
        return;
    }
    err = take(s, true);
    if (err)
        reply(s, err);
}

/* park: the last try. */
static int take(struct status *s, bool park)
{
    static const char sql[] = "select * from patchbay.take_status($1::jsonb)";
    const char *params[] = { park ? s->parked : s->facts };
    int64_t left = s->deadline_ms - pat_now_ms();

    if (park) {
        free(s->facts);
        s->facts = s->parked;
        s->parked = NULL;
    }
    return pat_db_run1(s->r->d->db, "take_status", sql, params, 1, left > 1 ? left : 1, on_taken, s,
                       NULL);
}

static void on_again(void *arg)
{
    struct status *s = arg;
    int err = take(s, false);

    if (err)
        reply(s, err);
}

/* park: whether it is kept when no call has that id. */
static char *print(const struct router *r, const struct carrier_req *c, const struct legs_fact *f,
                   bool park)
{
    const char *stamp = carrier_param(c, "Timestamp"), *text;
    struct text t;
    char key[128], *out;

    if (f->sequence >= 0)
        snprintf(key, sizeof key, "%d", f->sequence);
    else
        snprintf(key, sizeof key, "%s %.60s", legs_state_name(f->state), stamp ? stamp : "");
    text_init(&t, 0);
    text_str(&t, "leg", f->leg);
    text_str(&t, "key", key);
    text_str(&t, "carrier", r->conf->carrier);
    text_str(&t, "state", legs_state_name(f->state));
    text_time(&t, "at", f->at_ms);
    text_bool(&t, "park", park);
    if (f->reason)
        text_str(&t, "end_reason", f->reason);
    if (f->sip_code)
        text_int(&t, "sip_code", f->sip_code);
    if (f->seconds >= 0)
        text_int(&t, "seconds", f->seconds);
    if (f->sequence >= 0)
        text_int(&t, "sequence", f->sequence);
    text = text_end(&t);
    out = text ? strdup(text) : NULL;
    text_fini(&t);
    return out;
}

/* An event of SWML's has no numbers; it comes to who answered the call. */
static bool is_ours(const struct router *r, const struct carrier_req *c)
{
    char n[NUMBER_MAX];

    if (c->form == CARRIER_SWML)
        return true;
    return (!number_read(n, c->to) && routes_find(r->routes, n)) ||
           (!number_read(n, c->from) && routes_find(r->routes, n));
}

static int start(struct router *r, const struct carrier_req *c, const struct legs_fact *f)
{
    struct status *s = calloc(1, sizeof *s);
    int err;

    if (!s)
        return PAT_ENOMEM;
    s->r = r;
    s->http = c->http;
    s->deadline_ms = pat_now_ms() + STATUS_TIMEOUT_MS;
    s->facts = print(r, c, f, false);
    s->parked = is_ours(r, c) ? print(r, c, f, true) : NULL;
    err = s->facts ? pat_timer_init(&s->again, r->d->loop, on_again, s) : PAT_ENOMEM;
    if (!err)
        err = take(s, false);
    if (err)
        status_free(s);
    return err;
}

static void on_status(struct pat_httpd_req *http, void *arg)
{
    struct router *r = arg;
    struct legs_fact f;
    struct carrier_req c;
    int err = PAT_OK;

    if (carrier_read(&c, r, http, false))
        return;
    if (lifecycle_fact(&c, &f))
        err = start(r, &c, &f);
    else
        pat_httpd_reply(http, 204, NULL, NULL, 0);
    if (err)
        pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "try again");
    carrier_fini(&c);
}

int status_routes(struct router *r)
{
    return pat_httpd_route(r->httpd, "POST", "/v1/signalwire/status", 0, on_status, r);
}
