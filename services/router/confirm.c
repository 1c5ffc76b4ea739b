/* confirm.c - see confirm.h.
 *
 * What was applied is said at once; what was missed comes back with the next renewal, whose answer
 * lists the switches that still wait for this router.
 */
#include "confirm.h"

#include "routes.h"
#include "version.h"

#include <stdio.h>
#include <stdlib.h>

#define DB_MS 10000

struct confirm {
    struct router *r;
    char id[80];
    int64_t lease_ms, renewed_at_ms; /* asked for, at the last renewal that succeeded */
    int64_t asked_at_ms;
    bool ever, fenced_told, left, beat_again;
    pat_db_id beat;
    struct pat_timer timer;
    struct pat_gauge *fenced;
};

static void beat(struct confirm *c);

bool confirm_fenced(const struct confirm *c)
{
    return !c->ever || !routes_loaded(c->r->routes) ||
           pat_now_ms() - c->renewed_at_ms > c->lease_ms - c->lease_ms / 3;
}

const char *confirm_id(const struct confirm *c)
{
    return c->id;
}

static void show_fence(struct confirm *c)
{
    bool fenced = confirm_fenced(c);

    pat_gauge_set(c->fenced, fenced ? 1 : 0);
    if (fenced != c->fenced_told && c->ever)
        pat_log(fenced ? PAT_WARN : PAT_INFO, fenced ? "router.fenced" : "router.unfenced",
                PAT_S("router", c->id));
    c->fenced_told = fenced;
}

static void on_said(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    (void)arg;
    if (err) /* the next renewal lists it again */
        pat_log(PAT_WARN, "router.not_confirmed", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
}

static void say(struct confirm *c, const char *user, int64_t version)
{
    char text[24];
    const char *params[] = { c->id, user, text };
    int err;

    snprintf(text, sizeof text, "%lld", (long long)version);
    err = pat_db_run1(c->r->d->db, "router_confirm",
                      "select patchbay.router_confirm($1, $2::uuid, $3::bigint)", params, 3, DB_MS,
                      on_said, NULL, NULL);
    if (err)
        pat_log(PAT_WARN, "router.not_confirmed", PAT_S("user", user), PAT_ERR(err));
}

/* From the routes: this user's (NULL: everybody's) rows are in the table. */
static void on_applied(const char *user, int64_t version, void *arg)
{
    struct confirm *c = arg;

    if (user)
        say(c, user, version);
    else
        beat(c);
}

static void answer(struct confirm *c, const char *text)
{
    PAT_AUTO_JSON list = NULL;

    if (!text || pat_json_parse(&list, text, strlen(text), NULL))
        return;
    PAT_JSON_EACH(w, list)
    {
        const char *user = pat_json_str_or(w, "user_id", "");
        int64_t have = routes_user_version(c->r->routes, user);

        if (have >= pat_json_int_or(w, "version", 0))
            say(c, user, have);
        else
            routes_want(c->r->routes, user);
    }
}

/* After a renewal that is under way: on another connection it might be done last. */
static void give_back(struct confirm *c)
{
    const char *params[] = { c->id };

    if (pat_db_run1(c->r->d->db, "router_leave", "select patchbay.router_leave($1)", params, 1,
                    DB_MS, on_said, NULL, NULL))
        pat_log(PAT_INFO, "router.lease_kept", PAT_S("router", c->id));
}

static void on_beat(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct confirm *c = arg;

    c->beat = 0;
    if (c->left) {
        give_back(c);
        return;
    }
    if (err) {
        pat_log(PAT_WARN, "router.lease_not_renewed", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
        return;
    }
    c->ever = true;
    c->renewed_at_ms = c->asked_at_ms;
    show_fence(c);
    answer(c, pat_db_value(results[0], 0, 0));
    if (c->beat_again) {
        c->beat_again = false;
        beat(c);
    }
}

static void beat(struct confirm *c)
{
    char ms[24];
    const char *params[] = { c->id, PAT_VERSION " " PAT_BUILD_ID, ms };

    if (c->left)
        return;
    if (c->beat) {
        c->beat_again = true;
        return;
    }
    snprintf(ms, sizeof ms, "%lld", (long long)c->lease_ms);
    c->asked_at_ms = pat_now_ms();
    if (pat_db_run1(c->r->d->db, "router_beat", "select patchbay.router_beat($1, $2, $3::bigint)",
                    params, 3, c->lease_ms / 3, on_beat, c, &c->beat))
        c->beat = 0; /* the timer comes again */
}

static void on_timer(void *arg)
{
    struct confirm *c = arg;

    pat_timer_start(&c->timer, c->lease_ms / 3);
    show_fence(c);
    beat(c);
}

void confirm_leave(struct confirm *c)
{
    c->left = true;
    pat_timer_stop(&c->timer);
    if (!c->beat)
        give_back(c);
}

int confirm_new(struct confirm **out, struct router *r)
{
    struct confirm *c = calloc(1, sizeof *c);
    int err;

    if (!c)
        return PAT_ENOMEM;
    c->r = r;
    c->lease_ms = r->conf->lease_ms;
    c->fenced_told = true;
    snprintf(c->id, sizeof c->id, "router-%s", pat_id_new().s);
    c->fenced = pat_gauge(r->d->metrics, "pat_router_fenced",
                          "1: Postgres has not answered for as long as a lease lasts", NULL);
    err = pat_timer_init(&c->timer, r->d->loop, on_timer, c);
    if (err) {
        free(c);
        return err;
    }
    routes_on_applied(r->routes, on_applied, c);
    on_timer(c);
    *out = c;
    return PAT_OK;
}

void confirm_free(struct confirm *c)
{
    if (!c)
        return;
    pat_db_cancel(c->r->d->db, c->beat);
    pat_timer_fini(&c->timer);
    routes_on_applied(c->r->routes, NULL, NULL);
    free(c);
}
