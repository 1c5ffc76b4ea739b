/* rollout_plan.c - what a rollout would mean, before it begins. Postgres sorts the cohort, however
 * large, into kinds of users whom a plan treats alike (patchbay.rollout_plan); each kind gets one
 * plan (plan.c), counted as often as it has users. Changes nothing.
 */
#include "rollout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_MS 2000

struct planning {
    struct switches *s;
    struct pat_json *p;
    bool admin;
    switch_reply_fn *fn;
    void *arg;
    struct plan_probe probe;
};

/* What the kinds add up to. */
struct sums {
    const struct planning *g;
    int64_t lossy_users, creates;
    struct pat_json *fields;
};

static void finish(struct planning *g, int err, const struct pat_json *reply)
{
    struct planning gone = *g;

    free(g);
    gone.fn(err, reply, gone.arg);
    pat_json_free(gone.p);
}

/* ------------------------------------------------------------------ one kind */

static void count(struct sums *all, const char *field, const char *grade, int64_t n)
{
    struct pat_json *f = (struct pat_json *)pat_json_at(all->fields, field);

    if (!f) {
        f = pat_json_obj();
        pat_json_set_take(all->fields, field, f);
    }
    pat_json_set_int(f, grade, pat_json_int_or(f, grade, 0) + n);
}

/* Of a kind's settings, which are as deep as the path says; value is copied. */
static void put_at(struct pat_json *settings, const char *path, const struct pat_json *value)
{
    char key[64];
    const char *dot;

    for (; (dot = strchr(path, '.')); path = dot + 1) {
        struct pat_json *inner;

        snprintf(key, sizeof key, "%.*s", (int)(dot - path), path);
        inner = (struct pat_json *)pat_json_at(settings, key);
        if (!inner) {
            inner = pat_json_obj();
            pat_json_set_take(settings, key, inner);
        }
        settings = inner;
    }
    pat_json_set_take(settings, path, pat_json_dup(value));
}

static struct pat_json *settings_of(const struct pat_json *kind)
{
    struct pat_json *out = pat_json_obj();
    size_t n = 0;
    bool kept;

    PAT_JSON_EACH(mark, pat_json_at(kind, "marks"))
    {
        const char *path = plan_path(n++, &kept);

        if (path && pat_json_kind(mark) != PAT_JSON_NULL)
            put_at(out, path, mark);
    }
    return out;
}

static struct pat_json *facts_of(const struct planning *g, const struct pat_json *kind)
{
    struct pat_json *facts = pat_json_obj(), *voice = pat_json_obj();
    const char *to = pat_json_str_or(g->p, "to_stack", "");

    pat_json_set_str(facts, "to", to);
    pat_json_set_str(facts, "from", !strcmp(to, "retell") ? "livekit" : "retell");
    pat_json_set_take(facts, "settings", settings_of(kind));
    pat_json_set_str(voice, "grade", pat_json_str_or(kind, "voice", NULL));
    pat_json_set_take(facts, "voice", voice);
    if (pat_json_bool_or(kind, "avatar", false))
        pat_json_set_str(facts, "avatar", "x");
    pat_json_set_bool(facts, "retell_agent", pat_json_bool_or(kind, "retell_agent", false));
    return facts;
}

static void add_kind(struct sums *all, const struct pat_json *kind)
{
    PAT_AUTO_JSON facts = facts_of(all->g, kind), *plan = NULL;
    int64_t n = pat_json_int_or(kind, "n", 0);
    bool lossy = false;

    if (plan_make(&plan, facts, &all->g->probe))
        return;
    PAT_JSON_EACH(f, pat_json_at(plan, "fields"))
    {
        const char *grade = pat_json_str_or(f, "grade", "exact");

        if (strcmp(grade, "exact") != 0)
            count(all, pat_json_str_or(f, "field", "?"), grade, n);
        /* Those two are every agent's there. */
        lossy = lossy || (!strcmp(grade, "lossy") &&
                          strcmp(pat_json_str_or(f, "field", ""), "call_analysis") != 0 &&
                          strcmp(pat_json_str_or(f, "field", ""), "live_transcript") != 0);
    }
    all->lossy_users += lossy ? n : 0;
    all->creates += pat_json_bool_or(plan, "creates_agent", false) ? n : 0;
}

/* ------------------------------------------------------------------ all of them */

/* What speaks against the stack itself stands in every plan: once is enough. And whether so many
 * may begin at all. */
static void judge(struct pat_json *out, const struct planning *g, const struct pat_json *found)
{
    char many[80];
    int64_t most = pat_json_int_or(g->p, "users_max", ROLLOUT_USERS_MAX);
    struct pat_json *against;
    PAT_AUTO_JSON nobody = pat_json_obj(), *facts = facts_of(g, nobody), *plan = NULL;
    const struct pat_json *blockers, *health;

    pat_json_set_take(facts, "health", pat_json_dup(pat_json_at(found, "health")));
    if (plan_make(&plan, facts, &g->probe))
        plan = NULL;
    blockers = pat_json_at(plan, "blockers");
    health = pat_json_at(plan, "health");
    against = blockers ? pat_json_dup(blockers) : pat_json_arr();
    snprintf(many, sizeof many, "more users than one rollout takes (%lld)", (long long)most);
    if (pat_json_int_or(found, "waiting", 0) > most)
        pat_json_add_str(against, many);
    pat_json_set_take(out, "blockers", against);
    pat_json_set_take(out, "health", health ? pat_json_dup(health) : pat_json_obj());
}

static struct pat_json *steps_of(const struct planning *g, int64_t total)
{
    bool calls = !strcmp(pat_json_str_or(g->p, "mode", ""), "calls");
    struct pat_json *out = pat_json_dup(pat_json_at(g->p, "steps"));

    PAT_JSON_EACH(step, out)
    {
        int64_t percent = pat_json_int_or(step, "percent", 0),
                n = pat_json_int_or(step, "count", (total * percent + 99) / 100);

        pat_json_set_int((struct pat_json *)step, "users", calls || n > total ? total : n);
    }
    return out;
}

static struct pat_json *sum(const struct planning *g, const struct pat_json *found)
{
    static const char *const asked[] = { "to_stack", "mode", "at_a_time", "gates" };
    static const char *const counted[] = { "total",      "already_there",  "movable",
                                           "live_calls", "without_number", "verified_by_call",
                                           "blocked",    "blocked_by" };
    struct sums all = { .g = g, .fields = pat_json_obj() };
    struct pat_json *j = pat_json_obj();

    PAT_JSON_EACH(kind, pat_json_at(found, "kinds"))
    add_kind(&all, kind);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++)
        pat_json_set_take(j, asked[i], pat_json_dup(pat_json_at(g->p, asked[i])));
    for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++)
        pat_json_set_take(j, counted[i], pat_json_dup(pat_json_at(found, counted[i])));
    pat_json_set_int(j, "lossy_users", all.lossy_users);
    pat_json_set_int(j, "creates_agents", all.creates);
    pat_json_set_take(j, "steps", steps_of(g, pat_json_int_or(found, "total", 0)));
    pat_json_set_take(j, "fields", all.fields);
    judge(j, g, found);
    return j;
}

static void on_found(int err, const struct pat_json *found, void *arg)
{
    struct planning *g = arg;
    PAT_AUTO_JSON reply = NULL;

    if (!err && switch_reply_err(found)) {
        finish(g, switch_reply_err(found), found);
        return;
    }
    if (err || !found) {
        finish(g, err ? err : PAT_EUNAVAIL, NULL);
        return;
    }
    reply = sum(g, found);
    finish(g, PAT_OK, reply);
}

static int ask_kinds(struct planning *g)
{
    return rollout_request(switches_daemon(g->s)->db, "plan", g->p, g->admin, on_found, g);
}

static void on_probed(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct planning *g = arg;

    (void)message;
    g->probe.asked = true;
    g->probe.err = err;
    g->probe.ready = pat_json_bool_or(result, "registered", false);
    if (ask_kinds(g))
        finish(g, PAT_EUNAVAIL, NULL);
}

static void add_paths(struct pat_json *p)
{
    struct pat_json *paths = pat_json_arr(), *kepts = pat_json_arr();
    const char *path;
    bool kept;

    for (size_t n = 0; (path = plan_path(n, &kept)); n++) {
        pat_json_add_str(paths, path);
        if (kept)
            pat_json_add_str(kepts, path);
    }
    pat_json_set_take(p, "paths", paths);
    pat_json_set_take(p, "kept", kepts);
}

int rollout_plan(struct switches *s, const struct pat_json *p, bool admin, switch_reply_fn *fn,
                 void *arg)
{
    struct planning *g = calloc(1, sizeof *g);
    PAT_AUTO_JSON params = pat_json_obj();
    int err;

    if (!g)
        return PAT_ENOMEM;
    *g = (struct planning){ .s = s, .p = pat_json_dup(p), .admin = admin, .fn = fn, .arg = arg };
    add_paths(g->p);
    if (!strcmp(pat_json_str_or(p, "to_stack", ""), "livekit"))
        err = pat_rpc_call(switches_daemon(s)->bus, "agent", "verify", params, PROBE_MS, on_probed,
                           g, NULL);
    else
        err = ask_kinds(g);
    if (!err)
        return PAT_OK;
    pat_json_free(g->p);
    free(g);
    return err;
}
