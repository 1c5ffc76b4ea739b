/* transfer.c - asks the carrier to move a caller, and tells how it goes: see transfer.h. */
#include "transfer.h"

#include "rest.h"

#include <stdlib.h>
#include <string.h>

#define URL_MAX 4096
#define END_MS  3000

struct starting {
    struct router *r;
    struct callref ref;
    struct transfer t;
    struct move move;
    transfer_fn *fn;
    void *arg;
};

/* A number of ours: the caller's own, passed on, carries no attestation (STIR/SHAKEN) and some
 * networks drop such calls. */
static const char *caller_id(const struct router *r, const struct callref *ref)
{
    return !strcmp(r->conf->transfer_caller_id, "caller") && *ref->from ? ref->from : ref->to;
}

static void on_asked(int err, const char *sid, void *arg)
{
    struct starting *s = arg;
    struct router *r = s->r;
    transfer_fn *fn = s->fn;
    void *fn_arg = s->arg;

    /* Not known: it may be on its way all the same, and then its own requests say so. */
    if (err != PAT_ETIMEDOUT && err != PAT_ECONN)
        s->move.state = err ? MOVE_OVER : MOVE_STARTED;
    if (sid && s->t.how == TRANSFER_CONSULT)
        pat_strcpy(s->move.leg, sizeof s->move.leg, sid);
    leg_moved(r, s->ref.call.s, &s->move);
    if (err)
        transfer_tell(r, &s->ref, &s->t, "failed", pat_err_name(err), NULL);
    free(s);
    fn(err, fn_arg);
}

static int ask_redirect(struct starting *s, const struct leg *leg, int64_t timeout_ms)
{
    struct pat_buf url;
    int err;

    pat_buf_init(&url, URL_MAX);
    err = transfer_url(&url, s->r, "/v1/signalwire/transfer/", &s->ref, &s->t);
    if (!err)
        err =
            rest_redirect(s->r, s->ref.carrier_call, leg->form, url.data, timeout_ms, on_asked, s);
    pat_buf_fini(&url);
    return err;
}

static int ask_create(struct starting *s, int64_t timeout_ms)
{
    struct rest_call c = { .to = s->t.to,
                           .from = caller_id(s->r, &s->ref),
                           .ring_s = s->t.timeout_s };
    struct pat_buf url, status;
    int err;

    pat_buf_init(&url, URL_MAX);
    pat_buf_init(&status, URL_MAX);
    err = transfer_url(&url, s->r, "/v1/signalwire/consult/", &s->ref, &s->t);
    if (!err)
        err = transfer_url(&status, s->r, "/v1/signalwire/transfer-status/", &s->ref, &s->t);
    c.url = url.data;
    c.status_url = status.data;
    if (!err)
        err = rest_create(s->r, &c, timeout_ms, on_asked, s);
    pat_buf_fini(&url);
    pat_buf_fini(&status);
    return err;
}

int transfer_start(struct router *r, const struct leg *leg, const struct transfer *t,
                   int64_t timeout_ms, transfer_fn *fn, void *arg)
{
    struct starting *s = calloc(1, sizeof *s);
    int err;

    if (!s)
        return PAT_ENOMEM;
    *s = (struct starting){ .r = r, .ref = leg->ref, .t = *t, .move = leg->move, .fn = fn };
    s->arg = arg;
    s->ref.moves = t->attempt;
    transfer_tell(r, &s->ref, t, "started", NULL, NULL);
    if (t->how != TRANSFER_CONSULT)
        transfer_note_moved(r, &s->ref, t->attempt);
    err = t->how == TRANSFER_CONSULT ? ask_create(s, timeout_ms) : ask_redirect(s, leg, timeout_ms);
    if (err) {
        transfer_tell(r, &s->ref, t, "failed", pat_err_name(err), NULL);
        free(s);
    }
    return err;
}

/* ------------------------------------------------------------------ telling */

static void count(struct router *r, const char *mode, const char *outcome)
{
    struct pat_buf labels;

    pat_buf_init(&labels, 256);
    pat_metric_label(&labels, "mode", mode);
    pat_metric_label(&labels, "outcome", outcome);
    pat_counter_add(pat_counter(r->d->metrics, "pat_router_transfers_total",
                                "Steps of transfers, by outcome", labels.data),
                    1);
    pat_buf_fini(&labels);
}

static struct pat_json *event_data(const struct callref *ref, const struct transfer *t,
                                   const char *outcome, const char *reason, const char *other_leg)
{
    struct pat_json *j = pat_json_obj();
    char masked[NUMBER_MAX];

    number_mask(masked, t->to);
    pat_json_set_str(j, "call_id", ref->call.s);
    pat_json_set_str(j, "user_id", ref->user);
    pat_json_set_str(j, "transfer_id", t->id);
    pat_json_set_int(j, "attempt", t->attempt);
    pat_json_set_str(j, "mode", t->how == TRANSFER_COLD ? "cold" : "warm");
    pat_json_set_str(j, "label", *t->label ? t->label : NULL);
    pat_json_set_str(j, "to", masked);
    pat_json_set_str(j, "outcome", outcome);
    pat_json_set_str(j, "reason", reason);
    pat_json_set_str(j, "carrier_leg_id", other_leg);
    return j;
}

void transfer_tell(struct router *r, const struct callref *ref, const struct transfer *t,
                   const char *outcome, const char *reason, const char *other_leg)
{
    struct pat_id id = pat_event_id_once(t->id, outcome);
    struct pat_event e = { .area = "call",
                           .name = "transfer",
                           .user_id = ref->user,
                           .key = ref->call.s,
                           .source = "/patchbay/router",
                           .id = &id };
    bool again = pat_journal_told(r->journal, &id);
    const char *mode = t->how == TRANSFER_COLD ? "cold" : "warm";
    char masked[NUMBER_MAX];
    int err;

    if (again)
        return;
    err = pat_journal_add(r->journal, &e, event_data(ref, t, outcome, reason, other_leg), NULL, 0);
    if (err)
        pat_log(PAT_ERROR, "record.lost", PAT_S("call", ref->call.s), PAT_S("what", "transfer"),
                PAT_ERR(err));
    number_mask(masked, t->to);
    count(r, mode, outcome);
    pat_log(PAT_INFO, "call.transfer", PAT_S("call", ref->call.s), PAT_S("user", ref->user),
            PAT_S("transfer", t->id), PAT_I("attempt", t->attempt), PAT_S("mode", mode),
            PAT_S("outcome", outcome), PAT_S("reason", reason), PAT_S("to", masked));
}

void transfer_caller_left(struct router *r, const struct leg *leg)
{
    struct move m = leg->move;
    struct transfer t = { .how = TRANSFER_CONSULT, .attempt = m.n };

    if (!m.consult || m.state == MOVE_OVER)
        return;
    pat_strcpy(t.id, sizeof t.id, m.id);
    pat_strcpy(t.to, sizeof t.to, m.to);
    pat_strcpy(t.label, sizeof t.label, m.label);
    if (m.state < MOVE_BRIDGED)
        transfer_tell(r, &leg->ref, &t, "failed", "caller_gave_up", *m.leg ? m.leg : NULL);
    if (*m.leg && rest_end(r, m.leg, CARRIER_CXML, END_MS, NULL, NULL))
        pat_log(PAT_WARN, "transfer.leg_left", PAT_S("call", leg->ref.call.s));
    m.state = MOVE_OVER;
    leg_moved(r, leg->ref.call.s, &m);
}

static void put_call(struct router *r, const struct callref *ref, struct pat_json *facts_take)
{
    PAT_AUTO_STR text = NULL;
    struct pat_db_stmt stmt = { "put_call", "select patchbay.put_call($1::jsonb)", 1, NULL };
    const char *params[1];

    pat_json_set_str(facts_take, "id", ref->call.s);
    pat_json_set_str(facts_take, "user_id", ref->user);
    text = pat_json_print(facts_take);
    pat_json_free(facts_take);
    params[0] = text;
    stmt.params = params;
    if (!text || pat_journal_add(r->journal, NULL, NULL, &stmt, 1))
        pat_log(PAT_ERROR, "record.lost", PAT_S("call", ref->call.s), PAT_S("what", "moved"));
}

void transfer_note_moved(struct router *r, const struct callref *ref, unsigned n)
{
    struct pat_json *facts = pat_json_obj(), *metadata = pat_json_obj();

    pat_json_set_int(metadata, "moves", n);
    if (*ref->retell_call)
        pat_json_set_str(metadata, "moved_from", ref->retell_call);
    pat_json_set_take(facts, "metadata", metadata);
    put_call(r, ref, facts);
}

void transfer_note_outcome(struct router *r, const struct callref *ref)
{
    struct pat_json *facts = pat_json_obj();

    pat_json_set_str(facts, "outcome", "transferred");
    put_call(r, ref, facts);
}
