/* rollout_plan.c - what a rollout would mean, before it begins: the cohort's facts page by page,
 * each user's plan (plan.c), and their sum. Changes nothing.
 */
#include "rollout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_MS 2000
/* Each takes some tenths of a millisecond of the loop. */
enum { PAGE = 50, EXAMINED_MAX = 2000, BLOCKED_SHOWN = 100 };

struct planning {
    struct switches *s;
    struct pat_json *p;
    bool admin;
    switch_reply_fn *fn;
    void *arg;
    struct plan_probe probe;
    int64_t total, examined, movable, there, lossy_users, creates, live, silent;
    struct pat_json *blocked, *reasons, *fields, *blockers, *health;
};

static void count(struct pat_json *in, const char *key, int64_t more)
{
    int64_t n = 0;

    /* Not by path: a reason may have dots. */
    PAT_JSON_EACH(m, in)
    if (!strcmp(pat_json_key(m), key))
        n = (int64_t)pat_json_value_num(m);
    pat_json_set_int(in, key, n + more);
}

static void finish(struct planning *g, int err, const struct pat_json *reply)
{
    struct planning gone = *g;

    free(g);
    gone.fn(err, reply, gone.arg);
    pat_json_free(gone.p);
    pat_json_free(gone.blocked);
    pat_json_free(gone.reasons);
    pat_json_free(gone.fields);
    pat_json_free(gone.blockers);
    pat_json_free(gone.health);
}

/* ------------------------------------------------------------------ one user */

static void block(struct planning *g, const struct pat_json *user, const char *why)
{
    struct pat_json *j;

    count(g->reasons, why, 1);
    if (pat_json_size(g->blocked) >= BLOCKED_SHOWN)
        return;
    j = pat_json_obj();
    pat_json_set_str(j, "user_id", pat_json_str_or(user, "user_id", NULL));
    pat_json_set_str(j, "why", why);
    pat_json_add_take(g->blocked, j);
}

static void add_field(struct planning *g, const char *field, const char *grade)
{
    struct pat_json *f = (struct pat_json *)pat_json_at(g->fields, field);

    if (!f) {
        f = pat_json_obj();
        pat_json_set_take(g->fields, field, f);
    }
    count(f, grade, 1);
}

static void add_user(struct planning *g, struct pat_json *user)
{
    PAT_AUTO_JSON plan = NULL;
    bool lossy = false;

    if (plan_make(&plan, user, &g->probe)) {
        block(g, user, "no plan can be made for this agent");
        return;
    }
    g->movable++;
    PAT_JSON_EACH(f, pat_json_at(plan, "fields"))
    {
        const char *grade = pat_json_str_or(f, "grade", "exact");

        if (strcmp(grade, "exact") != 0)
            add_field(g, pat_json_str_or(f, "field", "?"), grade);
        /* Those two are every agent's there. */
        lossy = lossy || (!strcmp(grade, "lossy") &&
                          strcmp(pat_json_str_or(f, "field", ""), "call_analysis") != 0 &&
                          strcmp(pat_json_str_or(f, "field", ""), "live_transcript") != 0);
    }
    g->lossy_users += lossy;
    g->creates += pat_json_bool_or(plan, "creates_agent", false);
    g->live += pat_json_int_or(user, "live_calls", 0);
    g->silent += !pat_json_size(pat_json_at(user, "numbers"));
}

static void examine(struct planning *g, struct pat_json *user)
{
    const char *from = pat_json_str_or(user, "from", "");

    g->examined++;
    if (!*pat_json_str_or(user, "agent_config_id", ""))
        block(g, user, "no such user, or no agent of his");
    else if (!strcmp(from, pat_json_str_or(user, "to", "")))
        g->there++;
    else if (*pat_json_str_or(user, "open_switch", ""))
        block(g, user, "another switch of this user is under way");
    else
        add_user(g, user);
}

/* What speaks against the stack itself stands in every plan; once is enough. */
static void judge_stack(struct planning *g, const struct pat_json *page)
{
    PAT_AUTO_JSON facts = pat_json_obj(), *plan = NULL;
    const char *to = pat_json_str_or(g->p, "to_stack", "");

    pat_json_set_str(facts, "user_id", "");
    pat_json_set_str(facts, "to", to);
    pat_json_set_str(facts, "from", !strcmp(to, "retell") ? "livekit" : "retell");
    pat_json_set_take(facts, "settings", pat_json_obj());
    pat_json_set_take(facts, "voice", pat_json_obj());
    pat_json_set_take(facts, "health", pat_json_dup(pat_json_at(page, "health")));
    if (plan_make(&plan, facts, &g->probe))
        return;
    g->blockers = pat_json_dup(pat_json_at(plan, "blockers"));
    g->health = pat_json_dup(pat_json_at(plan, "health"));
}

/* ------------------------------------------------------------------ all of them */

static int64_t verified(const struct planning *g)
{
    int64_t first = pat_json_int_or(g->p, "verify_first", 0),
            every = pat_json_int_or(g->p, "verify_every", 0), n = 0;

    for (int64_t i = 1; i <= g->total; i++)
        n += i <= first || (every > 0 && i % every == 0);
    return n;
}

static struct pat_json *steps_of(const struct planning *g)
{
    bool calls = !strcmp(pat_json_str_or(g->p, "mode", ""), "calls");
    struct pat_json *out = pat_json_dup(pat_json_at(g->p, "steps"));

    PAT_JSON_EACH(step, out)
    {
        int64_t percent = pat_json_int_or(step, "percent", 0),
                n = pat_json_int_or(step, "count", (g->total * percent + 99) / 100);

        pat_json_set_int((struct pat_json *)step, "users", calls || n > g->total ? g->total : n);
    }
    return out;
}

static struct pat_json *sum(struct planning *g)
{
    static const char *const copied[] = { "to_stack", "mode", "at_a_time", "gates" };
    struct pat_json *j = pat_json_obj();

    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++)
        pat_json_set_take(j, copied[i], pat_json_dup(pat_json_at(g->p, copied[i])));
    pat_json_set_int(j, "total", g->total);
    pat_json_set_int(j, "examined", g->examined);
    pat_json_set_int(j, "movable", g->movable);
    pat_json_set_int(j, "already_there", g->there);
    pat_json_set_int(j, "lossy_users", g->lossy_users);
    pat_json_set_int(j, "creates_agents", g->creates);
    pat_json_set_int(j, "live_calls", g->live);
    pat_json_set_int(j, "without_number", g->silent);
    pat_json_set_int(j, "verified_by_call", verified(g));
    pat_json_set_take(j, "steps", steps_of(g));
    pat_json_set_take(j, "fields", pat_json_dup(g->fields));
    pat_json_set_take(j, "blocked", pat_json_dup(g->blocked));
    pat_json_set_take(j, "blocked_by", pat_json_dup(g->reasons));
    pat_json_set_take(j, "blockers", g->blockers ? pat_json_dup(g->blockers) : pat_json_arr());
    pat_json_set_take(j, "health", g->health ? pat_json_dup(g->health) : pat_json_obj());
    return j;
}

static void ask_page(struct planning *g);

static void on_page(int err, const struct pat_json *page, void *arg)
{
    struct planning *g = arg;
    PAT_AUTO_JSON reply = NULL;
    const struct pat_json *next = pat_json_at(page, "next");

    if (!err && switch_reply_err(page)) {
        finish(g, switch_reply_err(page), page);
        return;
    }
    if (err || !page) {
        finish(g, err ? err : PAT_EUNAVAIL, NULL);
        return;
    }
    if (!g->health)
        judge_stack(g, page);
    g->total = pat_json_int_or(page, "total", 0);
    PAT_JSON_EACH(user, pat_json_at(page, "users"))
    examine(g, (struct pat_json *)user); /* ours: just parsed for us */
    if (next && pat_json_kind(next) == PAT_JSON_NUM && g->examined < EXAMINED_MAX) {
        pat_json_set_int(g->p, "after", (int64_t)pat_json_value_num(next));
        ask_page(g);
        return;
    }
    reply = sum(g);
    finish(g, PAT_OK, reply);
}

static void ask_page(struct planning *g)
{
    if (rollout_request(switches_daemon(g->s)->db, "plan", g->p, g->admin, on_page, g))
        finish(g, PAT_EUNAVAIL, NULL);
}

static void on_probed(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct planning *g = arg;

    (void)message;
    g->probe.asked = true;
    g->probe.err = err;
    g->probe.ready = pat_json_bool_or(result, "registered", false);
    ask_page(g);
}

int rollout_plan(struct switches *s, const struct pat_json *p, bool admin, switch_reply_fn *fn,
                 void *arg)
{
    struct planning *g = calloc(1, sizeof *g);
    PAT_AUTO_JSON params = pat_json_obj();
    int err;

    if (!g)
        return PAT_ENOMEM;
    *g = (struct planning){ .s = s,
                            .p = pat_json_dup(p),
                            .admin = admin,
                            .fn = fn,
                            .arg = arg,
                            .blocked = pat_json_arr(),
                            .reasons = pat_json_obj(),
                            .fields = pat_json_obj() };
    pat_json_set_int(g->p, "limit", PAGE);
    if (!strcmp(pat_json_str_or(p, "to_stack", ""), "livekit"))
        err = pat_rpc_call(switches_daemon(s)->bus, "agent", "verify", params, PROBE_MS, on_probed,
                           g, NULL);
    else
        err = rollout_request(switches_daemon(s)->db, "plan", g->p, admin, on_page, g);
    if (!err)
        return PAT_OK;
    pat_json_free(g->p);
    pat_json_free(g->blocked);
    pat_json_free(g->reasons);
    pat_json_free(g->fields);
    free(g);
    return err;
}
