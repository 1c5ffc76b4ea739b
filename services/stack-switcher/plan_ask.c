/* plan_ask.c - a plan for somebody who asks: the facts from Postgres, a word from the new stack's
 * daemon, and plan.c.
 */
#include "switch.h"

#include <stdlib.h>

#define PROBE_MS 2000

struct planning {
    struct switches *s;
    int64_t keep_ms;        /* as the request has it, or the daemon */
    struct pat_json *reply; /* {"facts"} */
    switch_reply_fn *fn;
    void *arg;
};

static void finish(struct planning *p, int err, const struct plan_probe *probe)
{
    struct planning gone = *p;
    PAT_AUTO_JSON plan = NULL;

    free(p);
    if (!err)
        err = plan_make(&plan, pat_json_at(gone.reply, "facts"), probe);
    if (!err)
        pat_json_set_int(plan, "keep_ms", gone.keep_ms);
    gone.fn(err, plan, gone.arg);
    pat_json_free(gone.reply);
}

static void on_probed(int err, const struct pat_json *result, const char *message, void *arg)
{
    (void)message;
    finish(arg, PAT_OK,
           &(struct plan_probe){ .asked = true,
                                 .err = err,
                                 .ready = pat_json_bool_or(result, "registered", false),
                                 .voice_substituted =
                                     pat_json_bool_or(result, "voice_substituted", false) });
}

static int probe_agent(struct planning *p)
{
    PAT_AUTO_JSON params = pat_json_obj();

    pat_json_set_str(params, "voice_id", pat_json_str_or(p->reply, "facts.voice.becomes", NULL));
    return pat_rpc_call(switches_daemon(p->s)->bus, "agent", "verify", params, PROBE_MS, on_probed,
                        p, NULL);
}

static void on_facts(int err, const struct pat_json *reply, void *arg)
{
    struct planning *p = arg;
    const char *to = pat_json_str_or(reply, "facts.to", "");

    if (!err && switch_reply_err(reply)) {
        struct planning gone = *p;

        free(p);
        gone.fn(switch_reply_err(reply), reply, gone.arg);
        return;
    }
    p->reply = err || !reply ? NULL : pat_json_dup(reply);
    if (!err && !*to)
        err = PAT_ENOENT;
    if (err || to[0] == 'r')
        finish(p, err, &(struct plan_probe){ 0 });
    else if (probe_agent(p))
        finish(p, PAT_OK, &(struct plan_probe){ .asked = true, .err = PAT_EUNAVAIL });
}

int plan_ask(struct switches *s, const struct pat_json *params, bool admin, switch_reply_fn *fn,
             void *arg)
{
    struct planning *p = calloc(1, sizeof *p);
    int err;

    if (!p)
        return PAT_ENOMEM;
    p->s = s;
    p->keep_ms = pat_json_int_or(params, "keep_ms", switches_conf(s)->window_ms);
    p->fn = fn;
    p->arg = arg;
    err = switch_request(switches_daemon(s)->db, "facts", params, admin, on_facts, p);
    if (err)
        free(p);
    return err;
}
