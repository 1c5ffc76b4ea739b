/* reconcile_look.c - one open call is asked about: where its leg is, at the carrier, at the stack;
 * then it is closed, ended or left.
 *
 *   LEG -> CARRIER -> STACK -> judged (reconcile_judge.h)
 *
 * Nothing of a look is kept: a router that dies in the middle leaves the call to whoever claims it
 * next.
 */
#include "reconcile.h"

#include "ends.h"
#include "leg.h"
#include "reconcile_judge.h"
#include "record.h"
#include "rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEG_MS = 1500, CARRIER_MS = 5000, STACK_MS = 5000, SOON_S = 60, DB_MS = 5000 };

struct look {
    struct router *r;
    struct reconcile_call c;
    struct judge_in in;
    const struct pat_end_reason *ending; /* by us */
    int64_t seconds;                     /* as the carrier counts; -1 */
    int64_t epoch;                       /* of the agent's lease */
    struct pat_timer now;                /* nobody can be asked: judged in the next turn */
    reconcile_looked_fn *fn;
    void *arg;
};

static void done(struct look *l, const char *outcome)
{
    reconcile_looked_fn *fn = l->fn;
    void *arg = l->arg;

    pat_timer_fini(&l->now);
    free(l);
    fn(outcome, arg);
}

/* ------------------------------------------------------------------ what becomes of it */

static void close_call(struct look *l, const struct pat_end_reason *why, int64_t at_ms)
{
    const struct callref *ref = &l->c.call.ref;
    const struct legs_leg *g = legs_caller(&l->c.call.legs);

    pat_log(PAT_WARN, "call.reconciled", PAT_S("call", ref->call.s), PAT_S("reason", why->word),
            PAT_I("silent_ms", l->in.now_ms - l->in.last_ms));
    (void)legs_take(&l->c.call.legs,
                    &(struct legs_fact){ .leg = g ? g->id : ref->call.s,
                                         .kind = LEGS_CALLER,
                                         .state = LEGS_ENDED,
                                         .at_ms = at_ms < ref->offered_ms ? ref->offered_ms : at_ms,
                                         .reason = why->word,
                                         .seconds = l->seconds,
                                         .sequence = -1 });
    lifecycle_follow(l->r, &l->c.call);
    done(l, "closed");
}

static void on_ended(int err, const char *sid, void *arg)
{
    struct look *l = arg;

    (void)sid;
    if (err && err != PAT_ENOENT)
        done(l, "not_ended"); /* rest.c has logged why; the next look tries again */
    else
        close_call(l, l->ending, pat_unix_ms());
}

static void end_now(struct look *l)
{
    if (rest_end(l->r, l->c.call.ref.carrier_call, l->c.call.form, CARRIER_MS, on_ended, l))
        done(l, "not_ended");
}

static void on_why_noted(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    (void)err, (void)revision, (void)data, (void)len;
    end_now(arg);
}

/* The carrier tells of the end at once, and whoever hears it shall know why. */
static void end_call(struct look *l, const struct pat_end_reason *why)
{
    l->ending = why;
    if (leg_note_end(l->r, l->c.call.ref.call.s, l->epoch, why->word, on_why_noted, l))
        end_now(l);
}

static void on_noted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    (void)results, (void)n, (void)arg;
    if (err)
        pat_log(PAT_WARN, "reconcile.note", PAT_ERR(err));
}

/* How often in a row the stack had not got it; and when to look again. */
static void note_gone(struct look *l, int gone, int again_s)
{
    static const char sql[] =
        "update patchbay.calls set look_at = now() + $3::interval, "
        "metadata = metadata || jsonb_build_object('stack_gone', $2::integer) "
        "where id = $1::uuid and state <> 'ended'";
    char count[24], again[24];
    const char *params[] = { l->c.call.ref.call.s, count, again };

    snprintf(count, sizeof count, "%d", gone);
    snprintf(again, sizeof again, "%d s", again_s);
    if (pat_db_run1(l->r->d->db, "stack_gone", sql, params, 3, DB_MS, on_noted, NULL, NULL))
        pat_log(PAT_WARN, "reconcile.note", PAT_S("call", l->c.call.ref.call.s));
}

static void judge(struct look *l)
{
    struct judge_out out;

    l->in.now_ms = pat_unix_ms();
    out = reconcile_judge(&l->in);
    switch (out.what) {
    case JUDGE_CLOSE:
        close_call(l, out.why, out.at_ms);
        return;
    case JUDGE_END:
        end_call(l, out.why);
        return;
    case JUDGE_LOOK_SOON:
        note_gone(l, l->c.gone + 1, SOON_S);
        done(l, "suspected");
        return;
    default:
        if (l->c.gone)
            note_gone(l, 0, SOON_S);
        done(l, "left");
    }
}

/* ------------------------------------------------------------------ the stack */

static void on_livekit(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct look *l = arg;

    (void)message;
    l->in.stack = err                                        ? JUDGE_NO_ANSWER
                  : pat_json_int_or(result, "phones", 0) > 0 ? JUDGE_LIVE
                                                             : JUDGE_UNKNOWN;
    judge(l);
}

static void on_retell(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct look *l = arg;
    /* call_status (docs.retellai.com, Get Call): over is ended, error or not_connected. */
    const char *status = err ? "" : pat_json_str_or(result, "status", "");
    bool live = !strcmp(status, "ongoing") || !strcmp(status, "registered");

    (void)message;
    l->in.stack = err == PAT_ENOENT ? JUDGE_UNKNOWN
                  : err || !*status ? JUDGE_NO_ANSWER
                  : live            ? JUDGE_LIVE
                                    : JUDGE_OVER;
    if (!err) { /* where Retell's word is ours too; its webhook tells the others better */
        l->in.stack_why = pat_end_reason_find(pat_json_str_or(result, "reason", NULL));
        l->in.stack_end_ms = pat_json_int_or(result, "ended_ms", 0);
    }
    judge(l);
}

/* False: it cannot be asked. */
static bool ask_stack(struct look *l)
{
    const struct callref *ref = &l->c.call.ref;
    bool retell = ref->stack == STACK_RETELL;
    PAT_AUTO_JSON params = pat_json_obj();
    pat_bus_id id;

    if (ref->stack == STACK_NONE || (retell && !*ref->retell_call))
        return false;
    l->in.stack = JUDGE_NO_ANSWER;
    if (!pat_bus_up(l->r->d->bus))
        return false;
    pat_json_set_str(params, retell ? "retell_call_id" : "call_id",
                     retell ? ref->retell_call : ref->call.s);
    if (retell)
        return !pat_rpc_call(l->r->d->bus, "retell", "look_call", params, STACK_MS, on_retell, l,
                             &id);
    return !pat_rpc_call(l->r->d->bus, "agent", "call_state", params, STACK_MS, on_livekit, l, &id);
}

static void after_carrier(struct look *l)
{
    bool enough = l->in.carrier == JUDGE_NO_ANSWER ||
                  (l->in.carrier == JUDGE_OVER && l->in.agent_why) ||
                  (l->in.carrier == JUDGE_OVER && l->in.carrier_why &&
                   strcmp(l->in.carrier_why->word, "completed"));

    if (enough || !ask_stack(l))
        judge(l);
}

/* ------------------------------------------------------------------ the carrier */

static void read_carrier(struct look *l, const struct pat_json *j)
{
    const char *status = pat_json_str_or(j, "status", "");
    const char *seconds = pat_json_str_or(j, "duration", NULL);

    l->in.carrier_why = ends_of_status(status);
    l->in.carrier = l->in.carrier_why ? JUDGE_OVER : JUDGE_LIVE;
    if (!l->in.carrier_why)
        return;
    l->in.carrier_end_ms = lifecycle_time_ms(pat_json_str_or(j, "end_time", NULL));
    if (!strcmp(status, "completed"))
        l->seconds = seconds ? strtoll(seconds, NULL, 10) : pat_json_int_or(j, "duration", -1);
}

static void on_carrier(int err, const struct pat_json *j, void *arg)
{
    struct look *l = arg;

    l->in.carrier = err == PAT_ENOENT ? JUDGE_UNKNOWN : JUDGE_NO_ANSWER;
    if (!err)
        read_carrier(l, j);
    after_carrier(l);
}

static void on_leg(const struct leg *leg, void *arg)
{
    struct look *l = arg;
    const struct callref *ref = &l->c.call.ref;
    const struct move *m = &leg->move;

    l->in.agent_why = leg->end;
    l->epoch = leg->epoch;
    l->in.moved = m->n && !m->consult && m->state != MOVE_NONE && m->state != MOVE_OVER;
    if (leg->form == CARRIER_SWML)
        l->c.call.form = CARRIER_SWML;
    l->in.swml = l->c.call.form == CARRIER_SWML;
    if (!rest_configured(l->r) || !*ref->carrier_call ||
        rest_look(l->r, ref->carrier_call, CARRIER_MS, on_carrier, l))
        after_carrier(l);
}

/* Its rows say that it is over, and nobody has drawn the conclusion: a router died in between. */
static void on_now(void *arg)
{
    struct look *l = arg;

    lifecycle_follow(l->r, &l->c.call);
    done(l, "closed");
}

int reconcile_look(struct router *r, const struct reconcile_call *c, reconcile_looked_fn *fn,
                   void *arg)
{
    const struct legs_leg *g = legs_caller(&c->call.legs);
    struct look *l = calloc(1, sizeof *l);
    int err;

    if (!l)
        return PAT_ENOMEM;
    *l = (struct look){ .r = r, .c = *c, .seconds = -1, .fn = fn, .arg = arg };
    l->in = (struct judge_in){ .gone = c->gone,
                               .offered_ms = c->call.ref.offered_ms,
                               .last_ms = c->last_ms,
                               .max_ms = r->conf->max_call_s * 1000 };
    err = pat_timer_init(&l->now, r->d->loop, on_now, l);
    if (!err && g && g->state == LEGS_ENDED)
        pat_timer_start(&l->now, 0);
    else if (!err)
        err = leg_find(r, c->call.ref.call.s, LEG_MS, on_leg, l);
    if (err) {
        pat_timer_fini(&l->now);
        free(l);
    }
    return err;
}
