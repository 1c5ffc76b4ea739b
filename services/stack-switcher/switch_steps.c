/* switch_steps.c - what each step of a switch does, and how it is known to be done. Every one may
 * be done twice: its replica may have died between doing it and writing that down.
 */
#include "switch_run.h"

#include <stdio.h>
#include <string.h>

/* Retell takes as long as it takes (docs/rpc.md). */
#define VENDOR_MS      30000
#define ASK_MS         3000
#define REHEARSE_MORE  5000 /* a test call's own deadline, and the way there */
#define OBSERVE_AGAIN  1000 /* routers' leases end without anybody saying so */
#define DRAIN_AGAIN_MS 2000

static const char *text(const struct switch_run *r, const char *field)
{
    return pat_json_str_or(r->row, field, "");
}

static bool is(const struct switch_run *r, const char *field, const char *value)
{
    return !strcmp(text(r, field), value);
}

static struct pat_json *about_config(const struct switch_run *r)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_str(j, "agent_config_id", text(r, "agent_config_id"));
    return j;
}

static struct pat_json *dup_or_obj(const struct pat_json *j)
{
    return j && pat_json_kind(j) == PAT_JSON_OBJ ? pat_json_dup(j) : pat_json_obj();
}

/* ------------------------------------------------------------------ validate */

static void judge(struct switch_run *r, const struct plan_probe *probe)
{
    struct pat_json *plan, *result;
    const char *blocker;
    int err = plan_make(&plan, pat_json_at(r->row, "facts"), probe);

    if (err) {
        run_fail(r, err, "no such agent any more");
        return;
    }
    blocker = pat_json_str_or(plan, "blockers[0]", NULL);
    if (blocker && !pat_json_bool_or(r->row, "force", false)) {
        char why[200];

        snprintf(why, sizeof why, "%.199s", blocker);
        pat_json_free(plan);
        run_fail(r, PAT_EUNAVAIL, why);
        return;
    }
    result = pat_json_obj();
    pat_json_set_take(result, "plan", plan);
    run_done(r, result);
}

static void on_probed(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct switch_run *r = arg;

    (void)message;
    r->request = 0;
    judge(r, &(struct plan_probe){ .asked = true,
                                   .err = err,
                                   .ready = pat_json_bool_or(result, "registered", false),
                                   .voice_substituted =
                                       pat_json_bool_or(result, "voice_substituted", false) });
}

static void on_facts(int err, const struct pat_json *facts, void *arg)
{
    struct switch_run *r = arg;
    struct pat_json *params;

    if (err || !facts) {
        run_fail(r, err ? err : PAT_ENOENT, "no such agent any more");
        return;
    }
    pat_json_set_take(r->row, "facts", pat_json_dup(facts));
    if (!is(r, "to_stack", "livekit")) {
        judge(r, &(struct plan_probe){ 0 });
        return;
    }
    params = pat_json_obj();
    pat_json_set_str(params, "voice_id", pat_json_str_or(facts, "voice.becomes", NULL));
    run_call(r, "agent", "verify", params, ASK_MS, on_probed);
}

static void validate(struct switch_run *r)
{
    run_ask(r,
            &(struct switch_query){
                .name = "switch_facts",
                .sql = "select patchbay.switch_facts($1::uuid, $2::uuid, "
                       "$3::public.voice_ai_stack)",
                .params = { text(r, "user_id"), text(r, "agent_config_id"), text(r, "to_stack") },
                .n = 3 },
            on_facts);
}

/* ------------------------------------------------------------------ provision */

static void on_provisioned(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct switch_run *r = arg;
    struct pat_json *out;

    r->request = 0;
    if (err) {
        run_fail(r, err, message);
        return;
    }
    out = dup_or_obj(result);
    pat_json_set_bool(out, "made", pat_json_bool_or(r->row, "made", false));
    run_done(r, out);
}

static void provision(struct switch_run *r)
{
    struct pat_json *out;

    if (is(r, "to_stack", "retell")) {
        run_call(r, "retell", "provision", about_config(r), VENDOR_MS, on_provisioned);
        return;
    }
    /* On LiveKit the row is the agent. */
    out = pat_json_obj();
    pat_json_set_bool(out, "made", false);
    run_done(r, out);
}

/* ------------------------------------------------------------------ verify */

static void on_looked(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct switch_run *r = arg;
    bool livekit = is(r, "to_stack", "livekit");
    struct pat_json *out;

    r->request = 0;
    if (!err && livekit && !pat_json_bool_or(result, "registered", false)) {
        err = PAT_EUNAVAIL;
        message = "no livekit-agent is registered";
    }
    if (err) {
        run_fail(r, err, message);
        return;
    }
    out = pat_json_obj();
    pat_json_set_str(out, "by", livekit ? "agent.verify" : "retell.verify");
    pat_json_set_str(out, "note", "no test call was made: nobody offers one");
    pat_json_set_take(out, "answer", dup_or_obj(result));
    run_done(r, out);
}

/* Where nobody can place a test call, what the stack says of itself has to do. */
static void look_instead(struct switch_run *r)
{
    struct pat_json *params;

    if (is(r, "to_stack", "retell")) {
        run_call(r, "retell", "verify", about_config(r), VENDOR_MS, on_looked);
        return;
    }
    params = pat_json_obj();
    pat_json_set_str(params, "voice_id", pat_json_str_or(r->row, "plan.voice.becomes", NULL));
    run_call(r, "agent", "verify", params, ASK_MS, on_looked);
}

static void on_rehearsed(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct switch_run *r = arg;
    struct pat_json *out;

    r->request = 0;
    if (err == PAT_EUNAVAIL) {
        look_instead(r);
        return;
    }
    if (!err && !pat_json_bool_or(result, "ok", false)) {
        err = PAT_EUPSTREAM;
        message = pat_json_str_or(result, "why", "the test call was not answered");
    }
    if (err) {
        run_fail(r, err, message);
        return;
    }
    out = dup_or_obj(result);
    pat_json_set_str(out, "by", "router.rehearse");
    run_done(r, out);
}

static void verify(struct switch_run *r)
{
    int64_t ms = switches_conf(r->s)->rehearse_ms;
    struct pat_json *j;

    if (!pat_json_bool_or(r->row, "verify", true)) {
        j = pat_json_obj();
        pat_json_set_str(j, "by", NULL);
        pat_json_set_str(j, "note", "not wanted");
        run_done(r, j);
        return;
    }
    j = about_config(r);
    pat_json_set_str(j, "stack", text(r, "to_stack"));
    pat_json_set_int(j, "timeout_s", (ms + 999) / 1000);
    run_call(r, "router", "rehearse", j, ms + REHEARSE_MORE, on_rehearsed);
}

/* ------------------------------------------------------------------ cut over, both ways */

static void on_cut(int err, const struct pat_json *row, void *arg)
{
    struct switch_run *r = arg;
    const char *refused = err ? NULL : pat_json_str_or(row, "error", NULL);

    /* A row has an error too, when its last step had; only a refusal has nothing else. */
    if (refused && !pat_json_at(row, "id"))
        run_fail(r, PAT_EEXIST, refused);
    else
        run_row(r, err ? NULL : row);
}

static void cut(struct switch_run *r)
{
    run_ask(r,
            &(struct switch_query){
                .name = "switch_cut",
                .sql = "select patchbay.switch_cut($1::uuid, $2, $3::bigint, $4)",
                .params = { r->id, run_worker(r), r->epoch, switch_step_name(r->step) },
                .n = 4 },
            on_cut);
}

/* ------------------------------------------------------------------ observe */

static void on_observed(int err, const struct pat_json *row, void *arg)
{
    run_row(arg, err ? NULL : row);
}

static void observe(struct switch_run *r)
{
    char ms[24];

    snprintf(ms, sizeof ms, "%d", OBSERVE_AGAIN);
    run_ask(r,
            &(struct switch_query){
                .name = "switch_observe",
                .sql = "select patchbay.switch_observe($1::uuid, $2, $3::bigint, $4, $5::bigint)",
                .params = { r->id, run_worker(r), r->epoch, switch_step_name(r->step), ms },
                .n = 5 },
            on_observed);
}

/* ------------------------------------------------------------------ drain */

static void on_live(int err, const struct pat_json *live, void *arg)
{
    struct switch_run *r = arg;
    const struct switch_conf *conf = switches_conf(r->s);
    int64_t calls, ms;
    struct pat_json *out;
    char why[80];

    if (err || !live) {
        run_drop(r);
        return;
    }
    calls = pat_json_int_or(live, "calls", 0);
    ms = pat_json_int_or(live, "since_ms", 0);
    if (ms < conf->settle_ms) {
        run_wait(r, conf->settle_ms - ms, "calls may still be written down");
        return;
    }
    if (calls && ms < conf->drain_ms) {
        snprintf(why, sizeof why, "%lld calls on the old stack", (long long)calls);
        run_wait(r, DRAIN_AGAIN_MS, why);
        return;
    }
    out = pat_json_obj();
    pat_json_set_int(out, "calls_left", calls);
    run_done(r, out);
}

static void drain(struct switch_run *r)
{
    run_ask(r,
            &(struct switch_query){
                .name = "switch_live",
                .sql = "select jsonb_build_object('calls', (select count(*) from patchbay.calls c "
                       "where c.user_id = $1::uuid and c.agent_config_id = $2::uuid and c.stack = "
                       "$3::public.voice_ai_stack and c.state <> 'ended' and not c.rehearsal), "
                       "'since_ms', (select "
                       "extract(epoch from clock_timestamp() - max(t.ended_at)) * 1000 from "
                       "patchbay.switch_steps t where t.switch_id = $4::uuid and t.state = "
                       "'done')::bigint)",
                .params = { text(r, "user_id"), text(r, "agent_config_id"),
                            text(r, r->step == STEP_DRAIN ? "from_stack" : "to_stack"), r->id },
                .n = 4 },
            on_live);
}

/* ------------------------------------------------------------------ retire, clean up */

static void on_retired(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct switch_run *r = arg;
    struct pat_json *out;

    r->request = 0;
    /* The user has it again: by a hand that asked nobody. */
    if (err && err != PAT_EEXIST) {
        run_fail(r, err, message);
        return;
    }
    out = dup_or_obj(result);
    pat_json_set_bool(out, "deleted", !err);
    pat_json_set_str(out, "note", err ? message : NULL);
    run_done(r, out);
}

static void take_away(struct switch_run *r, bool is_retells)
{
    struct pat_json *out;

    if (is_retells) {
        run_call(r, "retell", "retire", about_config(r), VENDOR_MS, on_retired);
        return;
    }
    out = pat_json_obj();
    pat_json_set_bool(out, "deleted", false);
    run_done(r, out);
}

static void retire(struct switch_run *r)
{
    take_away(r, is(r, "from_stack", "retell"));
}

static void clean_up(struct switch_run *r)
{
    take_away(r, pat_json_bool_or(r->row, "made", false));
}

switch_step_fn *const switch_step_fns[SWITCH_STEPS] = {
    [STEP_VALIDATE] = validate, [STEP_PROVISION] = provision, [STEP_VERIFY] = verify,
    [STEP_CUTOVER] = cut,       [STEP_OBSERVE] = observe,     [STEP_DRAIN] = drain,
    [STEP_RETIRE] = retire,     [STEP_CUT_BACK] = cut,        [STEP_OBSERVE_BACK] = observe,
    [STEP_DRAIN_BACK] = drain,  [STEP_CLEAN_UP] = clean_up,
};
