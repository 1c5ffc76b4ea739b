/* actions.c - what may be asked to be done with a call's leg: see actions.h.
 *
 * Each request walks: read -> find the leg (leg.h) -> may it? -> claim the move -> ask the carrier
 * -> reply. It is over within two seconds, whatever is away.
 */
#include "actions.h"

#include "allow.h"
#include "guard.h"
#include "record.h"
#include "rest.h"
#include "routes.h"
#include "transfer.h"

#include <stdlib.h>
#include <string.h>

#define WHOLE_MS 1900 /* "begins within two seconds" */
#define FIND_MS  800
#define CLAIM_MS 400
#define LEAST_MS 300 /* for the carrier, also when the others took all */
/* Nothing is heard of a call's transfer any more: another may begin. */
#define SLACK_MS 90000
#define USERS    256

enum what { TRANSFER, UPDATE, VOICEMAIL, HANGUP, DTMF, WHATS };
static const char *const names[WHATS] = {
    [TRANSFER] = "transfer",   [UPDATE] = "transfer_update",
    [VOICEMAIL] = "voicemail", [HANGUP] = "hangup",
    [DTMF] = "dtmf",
};

struct door {
    struct actions *all;
    enum what what;
    struct pat_sub *sub;
};

struct actions {
    struct router *r;
    struct door doors[WHATS];
    struct allow_rate rates[USERS]; /* by a hash of the user: two may share one */
};

struct action {
    struct actions *all;
    struct router *r;
    struct pat_rpc_req *req;
    enum what what;
    char call[PAT_ID_LEN + 1], user[PAT_ID_LEN + 1];
    int64_t epoch;
    int64_t deadline_ms;
    struct leg leg;
    struct move move;
    struct transfer t;
    bool warm;
    bool by_operator; /* a person's wish: whose lease the call is does not matter */
    char reason[41];  /* of a hang-up; what an update does */
};

static void count(struct router *r, enum what what, const char *outcome)
{
    struct pat_buf labels;

    pat_buf_init(&labels, 256);
    pat_metric_label(&labels, "action", names[what]);
    pat_metric_label(&labels, "outcome", outcome);
    pat_counter_add(pat_counter(r->d->metrics, "pat_router_actions_total",
                                "Actions on a carrier's leg that were asked for", labels.data),
                    1);
    pat_buf_fini(&labels);
}

static void refuse(struct action *a, int err, const char *field, const char *reason)
{
    count(a->r, a->what, reason);
    pat_log(PAT_WARN, "action.refused", PAT_S("action", names[a->what]), PAT_S("call", a->call),
            PAT_S("why", reason), PAT_S("field", field));
    pat_rpc_fail(a->req, err, field, reason);
    free(a);
}

static void done(struct action *a, const char *state)
{
    struct pat_json *j = pat_json_obj();

    if (*a->t.id)
        pat_json_set_str(j, "transfer_id", a->t.id);
    pat_json_set_str(j, "state", state);
    count(a->r, a->what, "done");
    pat_log(PAT_INFO, "action.done", PAT_S("action", names[a->what]), PAT_S("call", a->call),
            PAT_S("state", state));
    pat_rpc_reply(a->req, j);
    free(a);
}

/* What the carrier said. */
static void refuse_carrier(struct action *a, int err)
{
    if (err == PAT_ENOENT)
        refuse(a, err, NULL, "no_leg");
    else if (err == PAT_EAUTH)
        refuse(a, PAT_EUNAVAIL, NULL, "not_configured");
    else
        refuse(a, err == PAT_EINVAL ? PAT_EUPSTREAM : err, NULL, "carrier");
}

static int64_t left_ms(const struct action *a)
{
    int64_t left = a->deadline_ms - pat_now_ms();

    return left > LEAST_MS ? left : LEAST_MS;
}

/* ------------------------------------------------------------------ voicemail, hang-up */

static void on_moved(int err, const char *sid, void *arg)
{
    struct action *a = arg;

    (void)sid;
    if (err == PAT_ENOENT || err == PAT_EAUTH || err == PAT_EINVAL)
        a->move.state = MOVE_OVER; /* it did not happen, and it will not */
    else if (!err)
        a->move.state = MOVE_STARTED;
    leg_moved(a->r, a->call, &a->move);
    if (err) {
        refuse_carrier(a, err);
        return;
    }
    if (a->what == HANGUP)
        record_ended(a->r, &a->leg.ref, &(struct record_end){ .reason = a->reason, .talk_ms = -1 });
    done(a, a->what == HANGUP ? "ended" : "recording");
}

static int redirect_to_voicemail(struct action *a)
{
    struct callref ref = a->leg.ref;
    struct pat_buf url;
    int err;

    ref.moves = a->move.n;
    transfer_note_moved(a->r, &ref, ref.moves);
    pat_buf_init(&url, 4096);
    err = callback_url(&url, a->r, "/v1/signalwire/voicemail/", &ref);
    if (!err)
        err = rest_redirect(a->r, ref.carrier_call, a->leg.form, url.data, left_ms(a), on_moved, a);
    pat_buf_fini(&url);
    return err;
}

/* A phone that is being asked has nobody to speak with any more. */
static void drop_consult(struct action *a)
{
    const struct move *m = &a->leg.move;

    if (m->consult && *m->leg && m->state != MOVE_OVER &&
        rest_end(a->r, m->leg, CARRIER_CXML, WHOLE_MS, NULL, NULL))
        pat_log(PAT_WARN, "transfer.leg_left", PAT_S("call", a->call));
}

/* ------------------------------------------------------------------ transfer */

static void on_transfer_started(int err, void *arg)
{
    struct action *a = arg;

    /* Without an answer it may be on its way all the same. */
    if (!err || err == PAT_ETIMEDOUT || err == PAT_ECONN)
        guard_forwarded(a->r, &a->leg.ref, a->t.to, "transfer");
    if (err)
        refuse_carrier(a, err);
    else
        done(a, "started");
}

static void on_claimed(int err, void *arg)
{
    struct action *a = arg;

    if (err) {
        refuse(a, PAT_EEXIST, NULL, "in_progress");
        return;
    }
    a->leg.move = a->move;
    drop_consult(a);
    if (a->what == TRANSFER)
        err = transfer_start(a->r, &a->leg, &a->t, left_ms(a), on_transfer_started, a);
    else if (a->what == VOICEMAIL)
        err = redirect_to_voicemail(a);
    else
        err = rest_end(a->r, a->leg.ref.carrier_call, a->leg.form, left_ms(a), on_moved, a);
    if (err)
        refuse(a, err, NULL, "carrier");
}

static void claim(struct action *a, enum move_kind kind)
{
    int err;

    a->move = (struct move){ .n = a->leg.ref.moves + 1, .kind = kind, .state = MOVE_ASKED };
    a->move.until_ms = pat_unix_ms() + SLACK_MS;
    if (kind == MOVE_TRANSFER) {
        a->move.consult = a->t.how == TRANSFER_CONSULT;
        a->move.until_ms += a->t.timeout_s * 1000;
        memcpy(a->move.id, a->t.id, sizeof a->move.id);
        number_mask(a->move.to, a->t.to);
        pat_strcpy(a->move.label, sizeof a->move.label, a->t.label);
        a->t.attempt = a->move.n;
    }
    err = leg_claim(a->r, &a->leg, &a->move, CLAIM_MS, on_claimed, a);
    if (err)
        refuse(a, err, NULL, "internal");
}

static struct allow_rate *rate_of(struct actions *all, const char *user)
{
    uint32_t h = 2166136261U;

    for (; *user; user++)
        h = (h ^ (unsigned char)*user) * 16777619U;
    return &all->rates[h % USERS];
}

/* NULL: it may. */
static const char *not_allowed(struct action *a)
{
    const struct router_conf *conf = a->r->conf;
    const struct callref *ref = &a->leg.ref;
    struct allow_in in = { .to = a->t.to,
                           .caller = ref->from,
                           .called = ref->to,
                           .to_is_ours = routes_has(a->r->routes, a->t.to),
                           .prefixes = conf->transfer_prefixes,
                           .before = ref->moves,
                           .max = (unsigned)conf->transfer_max };
    const char *why = allow_transfer(&in);

    if (!why)
        why = guard_transfer_no(a->r, ref, a->t.to);
    if (!why &&
        !allow_rate(rate_of(a->all, a->user), (unsigned)conf->transfers_per_min, pat_now_ms()))
        why = "too_many";
    return why;
}

/* The same request once more: the first one's answer was lost. When the carrier has not taken it
 * either, it is asked again. */
static void begin_again(struct action *a, const struct move *m)
{
    int64_t began_ms = m->until_ms - SLACK_MS - a->t.timeout_s * 1000;

    if (m->state == MOVE_OVER) {
        refuse(a, PAT_EEXIST, "transfer_id", "over");
    } else if (m->state == MOVE_ASKED && pat_unix_ms() - began_ms > WHOLE_MS) {
        a->move = *m;
        a->t.attempt = m->n;
        on_claimed(PAT_OK, a);
    } else {
        done(a, "started");
    }
}

static void begin_transfer(struct action *a)
{
    const struct move *m = &a->leg.move;
    const char *why;

    if (a->warm)
        a->t.how = a->leg.ref.stack == STACK_LIVEKIT ? TRANSFER_CONSULT : TRANSFER_WHISPER;
    if (a->t.how != TRANSFER_WHISPER)
        a->t.briefing[0] = 0;
    if (m->n && !strcmp(m->id, a->t.id)) {
        begin_again(a, m);
        return;
    }
    if (move_busy(m, pat_unix_ms())) {
        refuse(a, PAT_EEXIST, NULL, "in_progress");
        return;
    }
    why = not_allowed(a);
    if (why)
        refuse(a, strcmp(why, "too_many") ? PAT_EPERM : PAT_EAGAIN, "to", why);
    else
        claim(a, MOVE_TRANSFER);
}

/* ------------------------------------------------------------------ accept, refuse, cancel */

static void on_consult_ended(int err, const char *sid, void *arg)
{
    struct action *a = arg;

    (void)sid;
    if (err && err != PAT_ENOENT)
        refuse_carrier(a, err);
    else
        done(a, "ended");
}

/* joined: he is in the caller's room, and they hear each other. */
static void accepted(struct action *a, struct move *m, bool joined)
{
    enum move_state to = joined ? MOVE_BRIDGED : MOVE_ACCEPTED;

    if (m->state < to)
        m->state = to;
    if (joined)
        m->until_ms = pat_unix_ms() + a->r->conf->max_call_s * 1000;
    leg_moved(a->r, a->call, m);
    transfer_tell(a->r, &a->leg.ref, &a->t, "accepted", NULL, m->leg);
    if (joined) {
        transfer_tell(a->r, &a->leg.ref, &a->t, "bridged", NULL, m->leg);
        transfer_note_outcome(a->r, &a->leg.ref);
    }
    done(a, m->state == MOVE_BRIDGED ? "bridged" : "accepted");
}

static void update_transfer(struct action *a)
{
    struct move m = a->leg.move;
    bool accept = !strcmp(a->reason, "accept"), joined = !strcmp(a->reason, "joined");
    int err;

    if (!m.n || strcmp(m.id, a->t.id) || !m.consult || m.state == MOVE_OVER ||
        (joined && m.state < MOVE_ACCEPTED)) {
        refuse(a, PAT_ENOENT, "transfer_id", "no_leg");
        return;
    }
    a->t.attempt = m.n;
    a->t.how = TRANSFER_CONSULT;
    pat_strcpy(a->t.to, sizeof a->t.to, m.to);
    pat_strcpy(a->t.label, sizeof a->t.label, m.label);
    if (accept || joined) {
        accepted(a, &m, joined);
        return;
    }
    m.state = MOVE_OVER;
    leg_moved(a->r, a->call, &m);
    transfer_tell(a->r, &a->leg.ref, &a->t, strcmp(a->reason, "refuse") ? "failed" : "refused",
                  strcmp(a->reason, "refuse") ? "canceled" : NULL, m.leg);
    err =
        *m.leg ? rest_end(a->r, m.leg, CARRIER_CXML, left_ms(a), on_consult_ended, a) : PAT_ENOENT;
    if (err)
        on_consult_ended(err, NULL, a);
}

/* ------------------------------------------------------------------ may it? */

/* The lease says who serves; when it cannot be read, the highest epoch this router has seen. */
static bool stale(struct action *a)
{
    int64_t seen = moves_epoch(a->r->moves, a->call);

    if (a->leg.epoch > seen)
        seen = a->leg.epoch;
    if (a->epoch < seen)
        return true;
    moves_see_epoch(a->r->moves, a->call, a->epoch);
    return false;
}

static void on_leg(const struct leg *leg, void *arg)
{
    struct action *a = arg;

    a->leg = *leg;
    if (!*leg->ref.call.s || leg->ended)
        refuse(a, PAT_ENOENT, NULL, "no_leg");
    else if (strcmp(leg->ref.user, a->user))
        refuse(a, PAT_ENOENT, "user_id", "no_leg"); /* somebody else's call is none */
    else if (!a->by_operator && stale(a))
        refuse(a, PAT_ESTALE, "epoch", "stale_epoch");
    else if (a->what == DTMF)
        /* The carrier has no command for keys on a leg that is connected to a stack; <Play digits>
         * would need another document and end the conversation. */
        refuse(a, PAT_EUNAVAIL, NULL, "not_supported");
    else if (a->what == TRANSFER)
        begin_transfer(a);
    else if (a->what == UPDATE)
        update_transfer(a);
    else
        claim(a, a->what == VOICEMAIL ? MOVE_VOICEMAIL : MOVE_HANGUP);
}

/* ------------------------------------------------------------------ reading */

static const char *read_transfer(struct action *a, const struct pat_json *p)
{
    const char *mode = pat_json_str_or(p, "mode", "cold");
    const char *label = pat_json_str_or(p, "label", ""),
               *briefing = pat_json_str_or(p, "briefing", "");
    int64_t timeout_s = pat_json_int_or(p, "timeout_s", 25);

    if (!pat_strcpy(a->t.id, sizeof a->t.id, pat_json_str_or(p, "transfer_id", "")) ||
        !pat_id_valid(a->t.id))
        return "transfer_id";
    if (strcmp(mode, "cold") && strcmp(mode, "warm"))
        return "mode";
    if (number_read(a->t.to, pat_json_str_or(p, "to", "")))
        return "to";
    if (!pat_strcpy(a->t.label, sizeof a->t.label, label))
        return "label";
    if (timeout_s < 5 || timeout_s > 120)
        return "timeout_s";
    pat_strcpy(a->t.briefing, sizeof a->t.briefing, briefing); /* its beginning will do */
    a->t.timeout_s = (int)timeout_s;
    a->warm = !strcmp(mode, "warm");
    return NULL;
}

static const char *read_update(struct action *a, const struct pat_json *p)
{
    if (!pat_strcpy(a->t.id, sizeof a->t.id, pat_json_str_or(p, "transfer_id", "")) ||
        !pat_id_valid(a->t.id))
        return "transfer_id";
    if (!pat_strcpy(a->reason, sizeof a->reason, pat_json_str_or(p, "action", "")) ||
        (strcmp(a->reason, "accept") && strcmp(a->reason, "joined") &&
         strcmp(a->reason, "refuse") && strcmp(a->reason, "cancel")))
        return "action";
    return NULL;
}

static const char *read_own(struct action *a, const struct pat_json *p)
{
    static const char keys[] = "0123456789*#ABCDabcdwW";
    const char *s;

    switch (a->what) {
    case TRANSFER:
        return read_transfer(a, p);
    case UPDATE:
        return read_update(a, p);
    case HANGUP:
        s = pat_json_str_or(p, "reason", "agent_hangup");
        return pat_strcpy(a->reason, sizeof a->reason, s) && pat_end_reason_find(s) ? NULL
                                                                                    : "reason";
    case DTMF:
        s = pat_json_str_or(p, "digits", "");
        return *s && strlen(s) <= 32 && !s[strspn(s, keys)] ? NULL : "digits";
    default:
        return NULL;
    }
}

static const char *read_common(struct action *a, const struct pat_json *p)
{
    if (!pat_strcpy(a->call, sizeof a->call, pat_json_str_or(p, "call_id", "")) ||
        !pat_id_valid(a->call))
        return "call_id";
    if (!pat_strcpy(a->user, sizeof a->user, pat_json_str_or(p, "user_id", "")) ||
        !pat_id_valid(a->user))
        return "user_id";
    a->epoch = pat_json_int_or(p, "epoch", -1);
    a->by_operator = a->what == HANGUP && pat_json_bool_or(p, "operator", false);
    return a->epoch < 0 ? "epoch" : read_own(a, p);
}

static void on_request(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    struct door *door = arg;
    struct action *a = calloc(1, sizeof *a);
    int64_t patience = pat_rpc_left_ms(req);
    const char *field;
    int err;

    if (!a) {
        pat_rpc_fail(req, PAT_ENOMEM, NULL, NULL);
        return;
    }
    *a = (struct action){ .all = door->all, .r = door->all->r, .req = req, .what = door->what };
    a->deadline_ms = pat_now_ms() + (patience < WHOLE_MS ? patience : WHOLE_MS);
    field = read_common(a, params);
    if (field) {
        refuse(a, PAT_EINVAL, field, "invalid");
        return;
    }
    if (!rest_configured(a->r)) {
        refuse(a, PAT_EUNAVAIL, NULL, "not_configured");
        return;
    }
    err = leg_find(a->r, a->call, FIND_MS, on_leg, a);
    if (err)
        refuse(a, err, NULL, "internal");
}

int actions_new(struct actions **out, struct router *r)
{
    struct actions *all = calloc(1, sizeof *all);
    int err = PAT_OK;

    if (!all)
        return PAT_ENOMEM;
    all->r = r;
    for (int i = 0; !err && i < WHATS; i++) {
        all->doors[i] = (struct door){ .all = all, .what = (enum what)i };
        err = pat_rpc_serve(r->d->bus, &all->doors[i].sub, "router", names[i], on_request,
                            &all->doors[i]);
    }
    if (err) {
        actions_free(all);
        return err;
    }
    *out = all;
    return PAT_OK;
}

void actions_free(struct actions *all)
{
    if (!all)
        return;
    for (int i = 0; i < WHATS; i++)
        pat_bus_unsubscribe(all->doors[i].sub);
    free(all);
}
