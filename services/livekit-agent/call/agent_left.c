/* agent_left.c - what the agents before have left of a call: the last checkpoint, for whoever goes
 * on with it, and the end of one with which nobody does.
 *
 * Whoever ends a call tells what it has used; of one whose agents are all dead that is whoever
 * marks its end, by the checkpoint. Told before the mark: who dies in between leaves both to be
 * done again, and twice is once.
 */
#include "agent_int.h"

#include <stdio.h>
#include <string.h>

enum {
    KV_MS = 800,
    EPOCHS_BACK = 8, /* agents that died before they had written anything */
};

/* ---- the last checkpoint ---- */

static int ask(struct question *q);

static void found(struct question *q, struct pat_json *saved_take)
{
    struct agent *a = q->agent;
    agent_left_fn *fn = q->left;
    int epoch = q->epoch;
    char id[PAT_ID_LEN + 1];

    pat_strcpy(id, sizeof id, q->call_id);
    question_free(q);
    if (a)
        fn(a, id, epoch, saved_take);
    else
        pat_json_free(saved_take);
}

static void on_state(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct question *q = arg;
    struct pat_json *saved = NULL;

    (void)revision;
    if (q->agent && err == PAT_ENOENT && q->epoch - q->tries > 1 && q->tries < EPOCHS_BACK) {
        q->tries++;
        if (!ask(q))
            return;
    }
    if (err || pat_json_parse(&saved, data, len, NULL)) {
        pat_log(PAT_WARN, "call.no_checkpoint", PAT_S("call", q->call_id), PAT_ERR(err));
        saved = NULL;
    }
    found(q, saved);
}

static int ask(struct question *q)
{
    char key[64];

    (void)snprintf(key, sizeof key, "%.36s.state.%d", q->call_id, q->epoch - q->tries);
    return pat_kv_get(q->agent->env.bus, AGENT_BUCKET, key, KV_MS, on_state, q);
}

int agent_left_find(struct agent *a, const char *call_id_text, int epoch, agent_left_fn *fn)
{
    struct question *q = question_new(a, call_id_text, OF_NATS);
    int err;

    if (!q)
        return PAT_ENOMEM;
    q->epoch = epoch;
    q->left = fn;
    err = ask(q);
    if (err)
        question_free(q);
    return err;
}

/* ---- the end ---- */

static void put_over(struct agent *a, const struct lease_call *known)
{
    struct lease_mark m = known->mark;

    m.over = true;
    m.over_ms = pat_unix_ms();
    if (agent_put_mark(a, known->id, &m, known->revision, NULL, NULL))
        pat_log(PAT_WARN, "agent.kv_put", PAT_S("call", known->id));
}

static void on_left(struct agent *a, const char *call_id_text, int epoch,
                    struct pat_json *saved_take)
{
    const struct lease_call *known = leases_find(&a->leases, call_id_text);

    /* Else somebody has taken it meanwhile, or has ended it. */
    if (known && !known->mark.over && known->mark.epoch == epoch) {
        if (saved_take)
            call_usage_left(&a->env, call_id_text, saved_take);
        put_over(a, known);
    }
    pat_json_free(saved_take);
}

void agent_left_end(struct agent *a, const char *call_id_text)
{
    const struct lease_call *known = leases_find(&a->leases, call_id_text);

    if (!known || known->mark.over)
        return;
    /* Prepared and never served, or served by us, who know better. */
    if (!known->mark.epoch || agent_served(a, call_id_text) ||
        agent_left_find(a, call_id_text, known->mark.epoch, on_left))
        put_over(a, known);
}
