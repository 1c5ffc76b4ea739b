/* agent_takeover.c - a call nobody serves becomes ours; a call of ours becomes another's.
 *
 *   mark replaced (compare-and-set) -> the one before us put out of the room, its context and
 *   checkpoint read -> we join, silent -> it is out -> the call goes on
 *
 * Handing over is the same from the other side: the checkpoint is written, the mark given up, and
 * we go on listening until the heir is in the room.
 */
#include "agent_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KV_MS = 800,
    REMOVE_MS = 2000,
    TOKEN_S = 3600,
    GHOST_MS = 700, /* silent for so long at most: a dead one makes no sound either */
    HEIR_MS = 5000, /* nobody came: we keep the call */
    DEATHS_MAX = 4, /* in a row: this call kills whoever serves it */
    DELETE_MS = 5000,
};

struct taking {
    struct taking *next;
    char call_id[PAT_ID_LEN + 1];
    struct lease_mark was, mine;
    uint64_t revision;
    int64_t since_us;
    bool handed;     /* its agent is alive and waits for us */
    bool ghost_gone; /* put out, or was not there */
    int waiting;     /* answers */
    struct pat_json *params, *saved;
};

static struct taking *find(const struct agent *a, const char *call_id_text)
{
    for (struct taking *t = a->takings; t; t = t->next)
        if (strcmp(t->call_id, call_id_text) == 0)
            return t;
    return NULL;
}

static void drop(struct agent *a, struct taking *t)
{
    struct taking **at = &a->takings;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    pat_json_free(t->params);
    pat_json_free(t->saved);
    free(t);
}

void agent_takings_drop(struct agent *a)
{
    while (a->takings)
        drop(a, a->takings);
}

static struct question *ask(struct agent *a, const char *call_id_text, enum question_of of)
{
    struct question *q = question_new(a, call_id_text, of);

    if (!q)
        pat_log(PAT_ERROR, "agent.takeover_failed", PAT_S("call", call_id_text),
                PAT_ERR(PAT_ENOMEM));
    return q;
}

/* ---- the one before us ---- */

static void on_removed(int err, void *arg)
{
    struct question *q = arg;
    struct agent *a = q->agent;
    struct taking *t = find(a, q->call_id);
    struct served *s = agent_served(a, q->call_id);

    question_free(q);
    if (err && err != PAT_ENOENT)
        return; /* agent_ghosts_step does not wait for ever */
    if (t)
        t->ghost_gone = true;
    if (s && s->ghost) {
        s->ghost = 0;
        call_unhush(s->call, CALL_HUSH_GHOST);
    }
}

static void put_out(struct agent *a, const char *call_id_text, const char *room, int epoch)
{
    struct question *q = ask(a, call_id_text, OF_LIVEKIT);
    char identity[129];

    agent_identity(identity, call_id_text, epoch);
    if (q && roomapi_remove(a->env.rooms, room, identity, REMOVE_MS, on_removed, q))
        question_free(q);
}

/* It has joined again, or has not seen us yet. */
void agent_meet_ghost(struct agent *a, struct call *c, int epoch)
{
    struct served *s = agent_served(a, call_id(c));

    if (!s || (s->ghost && s->handing_in && pat_now_ms() - s->ghost_ms < GHOST_MS))
        return;
    pat_log(PAT_INFO, "call.ghost", PAT_S("call", call_id(c)), PAT_I("epoch", epoch));
    put_out(a, call_id(c), call_room(c), epoch);
}

void agent_ghosts_step(struct agent *a, int64_t now_ms)
{
    for (struct served *s = a->calls; s; s = s->next) {
        if (!s->ghost || now_ms - s->ghost_ms < GHOST_MS)
            continue;
        if (s->handing_in) /* it had its time to leave by itself */
            put_out(a, call_id(s->call), call_room(s->call), s->ghost);
        s->ghost = 0;
        call_unhush(s->call, CALL_HUSH_GHOST);
    }
}

/* ---- taking ---- */

static void begin(struct agent *a, struct taking *t)
{
    struct call_start start = { .call_id = t->call_id,
                                .room = t->mine.room,
                                .url = a->env.conf->livekit_url,
                                .epoch = t->mine.epoch,
                                .saved = t->saved,
                                .cut_off = t->was.epoch && !t->saved };
    struct context *ctx = NULL;
    struct served *s;
    char identity[129];

    agent_identity(identity, t->call_id, t->mine.epoch);
    PAT_AUTO_STR token = roomapi_token(a->env.rooms, t->mine.room, identity, TOKEN_S);
    start.token = token;
    if (t->params && context_parse(&ctx, t->params, NULL))
        ctx = NULL;
    pat_log(PAT_WARN, t->was.epoch ? "call.taking_over" : "agent.job_lost",
            PAT_S("call", t->call_id), PAT_I("epoch", t->mine.epoch), PAT_S("from", t->was.agent),
            PAT_B("handed", t->handed), PAT_B("saved", t->saved != NULL),
            PAT_I("after_ms", (pat_now_us() - t->since_us) / 1000));
    if (!token || agent_serve(a, &start, ctx, &s)) {
        t->mine.agent[0] = 0; /* somebody else may have more luck */
        if (agent_put_mark(a, t->call_id, &t->mine, t->revision, NULL, NULL))
            pat_log(PAT_WARN, "agent.kv_put", PAT_S("call", t->call_id));
        drop(a, t);
        return;
    }
    leases_begun(&a->leases, t->call_id);
    pat_counter_add(a->env.taken_over, 1);
    s->revision = t->revision;
    s->confirmed = true;
    s->deaths = t->mine.deaths;
    s->began_ms = s->renewed_ms = s->stored_ms = pat_now_ms();
    if (t->was.epoch && !t->ghost_gone) {
        s->ghost = t->was.epoch;
        s->ghost_ms = s->began_ms;
        s->handing_in = t->handed;
        call_hush(s->call, CALL_HUSH_GHOST);
    }
    drop(a, t);
}

static void one_answer_less(struct agent *a, struct taking *t)
{
    if (--t->waiting == 0)
        begin(a, t);
}

static void on_context(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct question *q = arg;
    struct agent *a = q->agent;
    struct taking *t = a ? find(a, q->call_id) : NULL;

    (void)revision;
    question_free(q);
    if (!t)
        return;
    if (err || pat_json_parse(&t->params, data, len, NULL))
        t->params = NULL;
    one_answer_less(a, t);
}

static void on_left(struct agent *a, const char *call_id_text, int epoch,
                    struct pat_json *saved_take)
{
    struct taking *t = find(a, call_id_text);

    (void)epoch;
    if (!t) {
        pat_json_free(saved_take);
        return;
    }
    t->saved = saved_take;
    one_answer_less(a, t);
}

static void ask_context(struct agent *a, struct taking *t)
{
    struct question *q = ask(a, t->call_id, OF_NATS);

    if (q && pat_kv_get(a->env.bus, AGENT_BUCKET, t->call_id, KV_MS, on_context, q)) {
        question_free(q);
        q = NULL;
    }
    if (!q)
        one_answer_less(a, t);
}

static void on_taken(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct question *q = arg;
    struct agent *a = q->agent;
    struct taking *t = a ? find(a, q->call_id) : NULL;

    (void)data, (void)len;
    question_free(q);
    if (!t)
        return;
    if (err || agent_served(a, t->call_id)) { /* another agent was faster, or LiveKit's job */
        pat_log(PAT_INFO, "agent.not_taken", PAT_S("call", t->call_id),
                PAT_I("epoch", t->mine.epoch), PAT_ERR(err));
        drop(a, t);
        return;
    }
    t->revision = revision;
    if (leases_put_call(&a->leases, t->call_id, &t->mine, revision, pat_now_ms()))
        pat_log(PAT_WARN, "agent.leases_full");
    if (t->was.epoch && !t->handed)
        put_out(a, t->call_id, t->mine.room, t->was.epoch);
    t->waiting = 1 + (t->was.epoch > 0);
    if (t->was.epoch && agent_left_find(a, t->call_id, t->was.epoch, on_left))
        one_answer_less(a, t);
    ask_context(a, t);
}

static void on_room_deleted(int err, void *arg)
{
    if (err && err != PAT_ENOENT)
        pat_log(PAT_WARN, "call.room_not_deleted", PAT_ERR(err));
    question_free(arg);
}

/* The caller's carrier goes elsewhere when the room ends: better than killing every agent. */
static void give_up(struct agent *a, const struct lease_call *lc)
{
    struct question *q = ask(a, lc->id, OF_LIVEKIT);

    pat_log(PAT_ERROR, "call.kills_agents", PAT_S("call", lc->id), PAT_I("epoch", lc->mark.epoch),
            PAT_I("deaths", lc->mark.deaths));
    agent_left_end(a, lc->id);
    if (q && roomapi_delete(a->env.rooms, lc->mark.room, DELETE_MS, on_room_deleted, q))
        question_free(q);
}

void agent_take(struct agent *a, const struct lease_call *lc)
{
    struct taking *t;
    struct question *q;

    if (agent_served(a, lc->id) || find(a, lc->id) || !lc->mark.room[0] ||
        (!lc->mark.epoch && !agent_room(a)))
        return;
    if (lc->mark.deaths >= DEATHS_MAX) {
        give_up(a, lc);
        return;
    }
    q = ask(a, lc->id, OF_NATS);
    t = q ? calloc(1, sizeof *t) : NULL;
    if (!t) {
        if (q)
            question_free(q);
        return;
    }
    pat_strcpy(t->call_id, sizeof t->call_id, lc->id);
    t->since_us = pat_now_us();
    t->was = t->mine = lc->mark;
    t->handed = lc->mark.epoch && !lc->mark.agent[0] && lc->mark.to[0];
    pat_strcpy(t->mine.agent, sizeof t->mine.agent, a->id.s);
    t->mine.to[0] = 0;
    t->mine.epoch++;
    t->mine.deaths = t->was.deaths;
    if (t->was.epoch && t->was.agent[0] && strcmp(t->was.agent, a->id.s) != 0)
        t->mine.deaths++;
    t->next = a->takings;
    a->takings = t;
    if (agent_put_mark(a, t->call_id, &t->mine, lc->revision, on_taken, q)) {
        question_free(q);
        drop(a, t);
    }
}

/* ---- handing over ---- */

static void on_handed(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct question *q = arg;
    struct served *s = q->agent ? agent_served(q->agent, q->call_id) : NULL;
    struct agent *a = q->agent;

    (void)data, (void)len;
    question_free(q);
    if (!s)
        return;
    if (err) {
        s->handing = false;
        agent_renew(a, s);
        return;
    }
    if (revision > s->revision)
        s->revision = revision;
}

static void hand(struct agent *a, struct served *s, const struct lease_agent *heir)
{
    struct lease_mark m = agent_own_mark(a, s);
    struct question *q = ask(a, call_id(s->call), OF_NATS);

    if (!q)
        return;
    m.agent[0] = 0;
    pat_strcpy(m.to, sizeof m.to, heir->id);
    pat_log(PAT_INFO, "call.handing_over", PAT_S("call", call_id(s->call)), PAT_I("epoch", m.epoch),
            PAT_S("to", heir->id));
    call_save(s->call); /* goes first: one connection keeps its order */
    s->handing = true;
    s->handed_ms = pat_now_ms();
    if (agent_put_mark(a, call_id(s->call), &m, s->revision, on_handed, q)) {
        question_free(q);
        s->handing = false;
    }
}

void agent_hand_over(struct agent *a, int64_t now_ms)
{
    for (struct served *s = a->calls; s; s = s->next) {
        const struct lease_agent *heir;

        if (s->handing && now_ms - s->handed_ms > HEIR_MS) {
            pat_log(PAT_WARN, "call.no_heir", PAT_S("call", call_id(s->call)));
            s->handing = false;
            agent_renew(a, s);
        }
        if (!a->hand_by_ms || s->handing || s->asking || !s->confirmed ||
            (now_ms < a->hand_by_ms && !call_is_quiet(s->call)))
            continue;
        heir = leases_heir(&a->leases, call_id(s->call), now_ms);
        if (heir)
            hand(a, s, heir);
    }
}
