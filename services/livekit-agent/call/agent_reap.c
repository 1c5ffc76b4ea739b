/* agent_reap.c - rooms, legs and callers that were left behind.
 *
 *   one agent of the team, now and then: LiveKit's rooms -> those with our calls' names that no
 *   agent has a mark for, or only one in them -> the calls' records -> who is in each -> reap.h
 *
 * Two agents at it at once do no harm: what is offered is decided by compare-and-set, and the rest
 * can be done twice. Without NATS or LiveKit nothing is done at all, without Postgres no leg is
 * taken for one of an ended call by its record alone.
 */
#include "agent_int.h"

#include "reap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIVEKIT_MS = 5000,
    DB_MS = 3000,
    ROUTER_MS = 3000,
    SOON_MS = 2000, /* something was wrong: look again */
    ITEMS_MAX = 500,
};

struct item {
    char call_id[PAT_ID_LEN + 1];
    char user_id[PAT_ID_LEN + 1]; /* of the call's record; "": not known */
    bool ended;
};

struct reaper {
    struct agent *agent;
    struct reap reap;
    struct pat_timer timer;
    int64_t every_ms;
    struct item *items; /* of this look */
    size_t n, at;
    bool looking;
    pat_db_id query;
    struct pat_counter *done[REAP_GIVE_UP + 1];
};

static void room_of(char out[64], const char *call_id_text)
{
    (void)snprintf(out, 64, "call_%.36s", call_id_text);
}

static struct question *ask(struct agent *a, const char *call_id_text, enum question_of of)
{
    return question_new(a, call_id_text, of);
}

static void rest(struct reaper *r)
{
    bool soon = reap_pending(&r->reap) && SOON_MS < r->every_ms;

    free(r->items);
    r->items = NULL;
    r->n = r->at = 0;
    r->looking = false;
    pat_timer_start(&r->timer, soon ? SOON_MS : r->every_ms);
}

/* ---- what is done ---- */

static void told(struct reaper *r, const struct item *it, enum reap_do what)
{
    struct pat_event e = { .area = "call",
                           .name = "reaped",
                           .user_id = it->user_id,
                           .key = it->call_id,
                           .source = "/patchbay/livekit-agent" };
    struct pat_json *data;

    pat_log(PAT_WARN, "agent.reaped", PAT_S("call", it->call_id), PAT_S("what", reap_name(what)));
    pat_counter_add(r->done[what], 1);
    if (!*it->user_id) /* nobody's, as far as we know */
        return;
    data = pat_json_obj();
    pat_json_set_str(data, "call_id", it->call_id);
    pat_json_set_str(data, "user_id", it->user_id);
    pat_json_set_str(data, "what", reap_name(what));
    if (pat_journal_add(r->agent->env.journal, &e, data, NULL, 0))
        pat_log(PAT_ERROR, "call.event_lost", PAT_S("call", it->call_id), PAT_S("what", e.name));
}

static void on_done(int err, void *arg)
{
    struct question *q = arg;

    if (err && err != PAT_ENOENT)
        pat_log(PAT_WARN, "agent.reap_failed", PAT_S("call", q->call_id), PAT_ERR(err));
    question_free(q);
}

static void delete_room(struct agent *a, const char *call_id_text)
{
    struct question *q = ask(a, call_id_text, OF_LIVEKIT);
    char room[64];

    room_of(room, call_id_text);
    if (q && roomapi_delete(a->env.rooms, room, LIVEKIT_MS, on_done, q))
        question_free(q);
}

static void remove_legs(struct agent *a, const char *call_id_text,
                        const struct roomapi_person *people, size_t n)
{
    char room[64];

    room_of(room, call_id_text);
    for (size_t i = 0; i < n; i++) {
        struct question *q = people[i].kind == RTC_SIP ? ask(a, call_id_text, OF_LIVEKIT) : NULL;

        if (q && roomapi_remove(a->env.rooms, room, people[i].identity, LIVEKIT_MS, on_done, q))
            question_free(q);
    }
}

/* Anybody's: the agents take it in their order. One that does serve it says so again. */
static void offer(struct agent *a, const char *call_id_text)
{
    const struct lease_call *known = leases_find(&a->leases, call_id_text);
    struct lease_mark m = { .epoch = 0 };
    char room[64];

    room_of(room, call_id_text);
    if (known)
        m.epoch = known->mark.epoch;
    pat_strcpy(m.room, sizeof m.room, room);
    if (agent_put_mark(a, call_id_text, &m, known ? known->revision : 0, NULL, NULL))
        pat_log(PAT_WARN, "agent.kv_put", PAT_S("call", call_id_text));
}

static void on_voicemail(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct question *q = arg;

    (void)result;
    if (err) {
        pat_log(PAT_WARN, "call.no_voicemail", PAT_S("call", q->call_id), PAT_ERR(err),
                PAT_S("why", message ? message : ""));
        if (q->agent)
            delete_room(q->agent, q->call_id);
    }
    question_free(q);
}

/* A telephone that still rings is better off when the leg fails: the carrier then asks the router,
 * which tries the other stack. One that was answered goes to the message service. */
static void give_up(struct agent *a, const struct item *it, const struct roomapi_person *people,
                    size_t n)
{
    const struct lease_call *known = leases_find(&a->leases, it->call_id);
    PAT_AUTO_JSON params = pat_json_obj();
    struct question *q;
    const char *user = it->user_id;
    bool talks = false;

    for (size_t i = 0; i < n; i++) {
        talks |= strcmp(roomapi_detail(&people[i], "sip.callStatus"), "active") == 0;
        if (!*user)
            user = roomapi_detail(&people[i], "sip.h.x-pat-user");
    }
    pat_json_set_str(params, "call_id", it->call_id);
    pat_json_set_str(params, "user_id", user);
    pat_json_set_int(params, "epoch", known && known->mark.epoch > 1 ? known->mark.epoch : 1);
    q = talks && pat_id_valid(user) ? ask(a, it->call_id, OF_NATS) : NULL;
    if (!q) {
        delete_room(a, it->call_id);
    } else if (pat_rpc_call(a->env.bus, "router", "voicemail", params, ROUTER_MS, on_voicemail, q,
                            NULL)) {
        question_free(q);
        delete_room(a, it->call_id);
    }
}

/* ---- one room ---- */

static enum reap_mark mark_of(const struct agent *a, const char *call_id_text)
{
    const struct lease_call *c = leases_find(&a->leases, call_id_text);

    if (agent_served(a, call_id_text))
        return REAP_SERVED;
    if (!c)
        return REAP_UNMARKED;
    if (c->mark.over)
        return REAP_OVER;
    return c->mark.epoch && c->mark.agent[0] &&
                   leases_alive(&a->leases, c->mark.agent, pat_now_ms())
               ? REAP_SERVED
               : REAP_WAITING;
}

static void count(struct reap_look *l, const struct roomapi_person *p, const char *own_name)
{
    const char *name = roomapi_detail(p, "lk.agent_name");

    switch (p->kind) {
    case RTC_AGENT:
        l->agents++;
        l->foreign |= *name && strcmp(name, own_name) != 0;
        return;
    case RTC_SIP:
        if (strcmp(roomapi_detail(p, "sip.h.x-pat-role"), "consult") == 0)
            l->asked++;
        else
            l->phones++;
        break;
    case RTC_STANDARD:
        l->others++;
        break;
    default: /* recorders and the like */
        return;
    }
    if (p->joined_ms > l->joined_ms)
        l->joined_ms = p->joined_ms;
}

static void look_at(struct reaper *r, const struct item *it, const struct roomapi_person *people,
                    size_t n)
{
    struct agent *a = r->agent;
    const struct lease_call *known = leases_find(&a->leases, it->call_id);
    struct reap_look l = { .call_id = it->call_id,
                           .mark = mark_of(a, it->call_id),
                           .over_ms = known ? known->mark.over_ms : 0,
                           .ended = it->ended };
    enum reap_do what;

    for (size_t i = 0; i < n; i++)
        count(&l, &people[i], a->env.conf->agent_name);
    what = reap_judge(&r->reap, &l, pat_now_ms());
    if (what == REAP_NOTHING)
        return;
    told(r, it, what);
    switch (what) {
    case REAP_DELETE:
        agent_left_end(a, it->call_id);
        delete_room(a, it->call_id);
        return;
    case REAP_REMOVE:
        remove_legs(a, it->call_id, people, n);
        return;
    case REAP_OFFER:
        offer(a, it->call_id);
        return;
    case REAP_GIVE_UP:
        /* Agents that have room again shall not take an empty room for a call. */
        agent_left_end(a, it->call_id);
        give_up(a, it, people, n);
        return;
    case REAP_NOTHING:
        return;
    }
}

static void next(struct reaper *r);

static void on_people(int err, const struct roomapi_person *people, size_t n, void *arg)
{
    struct question *q = arg;
    struct reaper *r = q->agent->reaper;

    question_free(q);
    if (!err)
        look_at(r, &r->items[r->at], people, n);
    r->at++;
    next(r);
}

/* They are asked about one after the other: there is time. */
static void next(struct reaper *r)
{
    struct agent *a = r->agent;

    for (; r->at < r->n; r->at++) {
        struct question *q = ask(a, r->items[r->at].call_id, OF_LIVEKIT);
        char room[64];

        room_of(room, r->items[r->at].call_id);
        if (q && !roomapi_people(a->env.rooms, room, LIVEKIT_MS, on_people, q))
            return;
        if (q)
            question_free(q);
    }
    reap_end(&r->reap);
    rest(r);
}

/* ---- all of them ---- */

static struct item *item_of(struct reaper *r, const char *call_id_text)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->items[i].call_id, call_id_text) == 0)
            return &r->items[i];
    return NULL;
}

static void on_records(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct reaper *r = arg;

    r->query = 0;
    for (size_t i = 0; !err && n && i < pat_db_rows(results[0]); i++) {
        struct item *it = item_of(r, pat_db_value(results[0], i, 0));

        if (!it)
            continue;
        (void)pat_strcpy(it->user_id, sizeof it->user_id, pat_db_value(results[0], i, 1));
        it->ended = strcmp(pat_db_value(results[0], i, 2), "t") == 0;
    }
    next(r);
}

static void ask_records(struct reaper *r)
{
    static const char sql[] = "select id, user_id, ended_at is not null from patchbay.calls "
                              "where id = any ($1::uuid[])";
    struct pat_buf ids;
    int err = PAT_EUNAVAIL;

    pat_buf_init(&ids, (size_t)ITEMS_MAX * (PAT_ID_LEN + 2) + 2);
    pat_buf_adds(&ids, "{");
    for (size_t i = 0; i < r->n; i++)
        pat_buf_addf(&ids, "%s%s", i ? "," : "", r->items[i].call_id);
    if (!pat_buf_adds(&ids, "}") && r->n && r->agent->env.db && pat_db_up(r->agent->env.db)) {
        const char *params[] = { ids.data };

        err = pat_db_run1(r->agent->env.db, "reap_records", sql, params, 1, DB_MS, on_records, r,
                          &r->query);
    }
    pat_buf_fini(&ids);
    if (err)
        next(r);
}

/* Served rooms with more than one in them are as they should be. */
static bool worth_a_look(const struct agent *a, const char *call_id_text, unsigned people)
{
    return mark_of(a, call_id_text) != REAP_SERVED || people < 2;
}

static void on_rooms(int err, const struct roomapi_listed *rooms, size_t n, void *arg)
{
    struct question *q = arg;
    struct agent *a = q->agent;
    struct reaper *r = a->reaper;

    question_free(q);
    r->items = err || !n ? NULL : calloc(n < ITEMS_MAX ? n : ITEMS_MAX, sizeof *r->items);
    if (err)
        pat_log(PAT_WARN, "agent.rooms_not_listed", PAT_ERR(err));
    if (err || (n && !r->items)) {
        rest(r);
        return;
    }
    reap_begin(&r->reap);
    for (size_t i = 0; i < n && r->n < ITEMS_MAX; i++) {
        const char *id = context_call_of_room(rooms[i].name);

        if (id && worth_a_look(a, id, rooms[i].people))
            (void)pat_strcpy(r->items[r->n++].call_id, PAT_ID_LEN + 1, id);
    }
    ask_records(r);
}

static void on_time(void *arg)
{
    struct reaper *r = arg;
    struct agent *a = r->agent;
    struct question *q = NULL;

    if (r->looking || a->draining)
        return;
    if (leases_first(&a->leases, pat_now_ms()))
        q = ask(a, "", OF_LIVEKIT);
    r->looking = q && !roomapi_rooms(a->env.rooms, LIVEKIT_MS, on_rooms, q);
    if (r->looking)
        return;
    if (q)
        question_free(q);
    pat_timer_start(&r->timer, r->every_ms);
}

int agent_reap_start(struct agent *a)
{
    struct reaper *r;
    int err;

    if (!a->env.conf->reap_ms)
        return PAT_OK;
    r = calloc(1, sizeof *r);
    if (!r)
        return PAT_ENOMEM;
    err = pat_timer_init(&r->timer, a->env.loop, on_time, r);
    if (err) {
        free(r);
        return err;
    }
    r->agent = a;
    r->every_ms = a->env.conf->reap_ms;
    reap_init(&r->reap, a->env.conf->reap_grace_ms);
    for (enum reap_do what = REAP_DELETE; what <= REAP_GIVE_UP; what++) {
        char label[32];

        (void)snprintf(label, sizeof label, "what=\"%s\"", reap_name(what));
        r->done[what] = pat_counter(a->env.metrics, "pat_agent_reaped_total",
                                    "Rooms, legs and callers found left behind", label);
    }
    a->reaper = r;
    pat_timer_start(&r->timer, r->every_ms);
    return PAT_OK;
}

void agent_reap_stop(struct agent *a)
{
    struct reaper *r = a->reaper;

    if (!r)
        return;
    a->reaper = NULL;
    if (r->query)
        pat_db_cancel(a->env.db, r->query);
    pat_timer_fini(&r->timer);
    reap_fini(&r->reap);
    free(r->items);
    free(r);
}
