/* lease.c - the two tables, and when a call is whose to take. Knows nothing of NATS. */
#include "lease.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP_OVER_MS = 120000, KEEP_AGENT_MS = 60000, MAX_CALLS = 20000, MAX_AGENTS = 1000 };

int lease_mark_parse(struct lease_mark *out, const char *data, size_t len)
{
    PAT_AUTO_JSON j = NULL;

    memset(out, 0, sizeof *out);
    if (pat_json_parse(&j, data, len, NULL) || pat_json_kind(j) != PAT_JSON_OBJ)
        return PAT_EPROTO;
    if (!pat_strcpy(out->agent, sizeof out->agent, pat_json_str_or(j, "agent", "")) ||
        !pat_strcpy(out->to, sizeof out->to, pat_json_str_or(j, "to", "")) ||
        !pat_strcpy(out->room, sizeof out->room, pat_json_str_or(j, "room", "")))
        return PAT_EPROTO;
    int64_t epoch = pat_json_int_or(j, "epoch", -1);
    out->over = pat_json_bool_or(j, "over", false);
    if (epoch < 0 || epoch > 1000000)
        return PAT_EPROTO;
    out->epoch = (int)epoch;
    out->deaths = (int)pat_json_int_or(j, "deaths", 0);
    out->over_ms = pat_json_int_or(j, "over_ms", 0);
    return PAT_OK;
}

char *lease_mark_print(const struct lease_mark *m)
{
    PAT_AUTO_JSON j = pat_json_obj();

    pat_json_set_str(j, "agent", m->agent);
    pat_json_set_int(j, "epoch", m->epoch);
    pat_json_set_str(j, "room", m->room);
    if (m->to[0])
        pat_json_set_str(j, "to", m->to);
    if (m->deaths)
        pat_json_set_int(j, "deaths", m->deaths);
    if (m->over)
        pat_json_set_bool(j, "over", true);
    if (m->over_ms)
        pat_json_set_int(j, "over_ms", m->over_ms);
    return pat_json_print(j);
}

bool lease_call_of_key(const char *key, char out[PAT_ID_LEN + 1])
{
    if (strlen(key) <= PAT_ID_LEN || strcmp(key + PAT_ID_LEN, ".served") != 0)
        return false;
    memcpy(out, key, PAT_ID_LEN);
    out[PAT_ID_LEN] = 0;
    return pat_id_valid(out);
}

void leases_init(struct leases *l, const char *self)
{
    memset(l, 0, sizeof *l);
    pat_strcpy(l->self, sizeof l->self, self);
}

void leases_forget_calls(struct leases *l)
{
    while (l->calls) {
        struct lease_call *c = l->calls;
        l->calls = c->next;
        free(c);
    }
}

void leases_forget_agents(struct leases *l)
{
    while (l->agents) {
        struct lease_agent *a = l->agents;
        l->agents = a->next;
        free(a);
    }
}

void leases_fini(struct leases *l)
{
    leases_forget_calls(l);
    leases_forget_agents(l);
}

static struct lease_try *try_of(struct leases *l, const char *id)
{
    for (size_t i = 0; i < l->n_tries; i++)
        if (strcmp(l->tries[i].call_id, id) == 0)
            return &l->tries[i];
    return NULL;
}

static void forget_try(struct leases *l, struct lease_try *t)
{
    size_t after = l->n_tries - (size_t)(t - l->tries) - 1;

    memmove(t, t + 1, after * sizeof *t);
    l->n_tries--;
}

static void note_try(struct leases *l, const struct lease_call *c)
{
    struct lease_try *t = try_of(l, c->id);

    if (!t) {
        if (l->n_tries == LEASE_TRIES)
            forget_try(l, l->tries);
        t = &l->tries[l->n_tries++];
        pat_strcpy(t->call_id, sizeof t->call_id, c->id);
    }
    t->epoch = c->mark.epoch + 1;
}

void leases_begun(struct leases *l, const char *call_id)
{
    struct lease_try *t = try_of(l, call_id);

    if (t)
        forget_try(l, t);
}

static struct lease_call **call_at(struct leases *l, const char *id)
{
    struct lease_call **at = &l->calls;

    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->next;
    return at;
}

static struct lease_agent **agent_at(struct leases *l, const char *id)
{
    struct lease_agent **at = &l->agents;

    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->next;
    return at;
}

int leases_put_call(struct leases *l, const char *id, const struct lease_mark *m, uint64_t revision,
                    int64_t now)
{
    struct lease_call *c = *call_at(l, id);
    int n = 0;

    if (!c) {
        for (const struct lease_call *o = l->calls; o; o = o->next)
            n++;
        c = n < MAX_CALLS ? calloc(1, sizeof *c) : NULL;
        if (!c)
            return PAT_ENOMEM;
        pat_strcpy(c->id, sizeof c->id, id);
        c->next = l->calls;
        l->calls = c;
    } else if (revision && revision < c->revision) {
        return PAT_OK; /* we have written it since */
    }
    /* The same state told again (a lease renewed) does not start the time anew. */
    if (!c->seen_ms || c->mark.epoch != m->epoch || strcmp(c->mark.agent, m->agent) != 0)
        c->seen_ms = now;
    c->mark = *m;
    c->revision = revision;
    c->tried_ms = 0;
    if (l->n_tries && (m->over || strcmp(m->agent, l->self) != 0)) {
        struct lease_try *t = try_of(l, id);

        if (t && m->epoch >= t->epoch) /* another one was it */
            forget_try(l, t);
    }
    return PAT_OK;
}

void leases_drop_call(struct leases *l, const char *id)
{
    struct lease_call **at = call_at(l, id), *c = *at;

    if (!c)
        return;
    *at = c->next;
    free(c);
}

int leases_put_agent(struct leases *l, const char *id, int room, bool draining, int64_t now)
{
    struct lease_agent *a = *agent_at(l, id);
    int n = 0;

    if (!a) {
        for (const struct lease_agent *o = l->agents; o; o = o->next)
            n++;
        a = n < MAX_AGENTS ? calloc(1, sizeof *a) : NULL;
        if (!a)
            return PAT_ENOMEM;
        pat_strcpy(a->id, sizeof a->id, id);
        a->next = l->agents;
        l->agents = a;
    }
    a->free = room;
    a->draining = draining;
    a->seen_ms = now;
    return PAT_OK;
}

void leases_drop_agent(struct leases *l, const char *id)
{
    struct lease_agent **at = agent_at(l, id), *a = *at;

    if (!a)
        return;
    *at = a->next;
    free(a);
}

void leases_sweep(struct leases *l, int64_t now)
{
    for (struct lease_call **at = &l->calls, *c; (c = *at);)
        if (c->mark.over && now - c->seen_ms > KEEP_OVER_MS) {
            *at = c->next;
            free(c);
        } else {
            at = &c->next;
        }
    for (struct lease_agent **at = &l->agents, *a; (a = *at);)
        if (now - a->seen_ms > KEEP_AGENT_MS) {
            *at = a->next;
            free(a);
        } else {
            at = &a->next;
        }
}

const struct lease_call *leases_find(const struct leases *l, const char *call_id)
{
    for (const struct lease_call *c = l->calls; c; c = c->next)
        if (strcmp(c->id, call_id) == 0)
            return c;
    return NULL;
}

static const struct lease_agent *find_agent(const struct leases *l, const char *id)
{
    for (const struct lease_agent *a = l->agents; a; a = a->next)
        if (strcmp(a->id, id) == 0)
            return a;
    return NULL;
}

static bool alive(const struct lease_agent *a, int64_t now)
{
    return a && now - a->seen_ms < LEASE_MS;
}

bool leases_alive(const struct leases *l, const char *agent_id, int64_t now)
{
    return alive(find_agent(l, agent_id), now);
}

bool leases_first(const struct leases *l, int64_t now)
{
    const struct lease_agent *self = find_agent(l, l->self);

    if (!l->sound_ms || !alive(self, now) || self->draining)
        return false;
    for (const struct lease_agent *a = l->agents; a; a = a->next)
        if (alive(a, now) && !a->draining && strcmp(a->id, l->self) < 0)
            return false;
    return true;
}

/* Weighted rendezvous: the higher, the sooner. Full agents come after all that are not. */
static double score(const char *call_id, const struct lease_agent *a)
{
    uint64_t h = 14695981039346656037ull; /* FNV-1a, then mixed (splitmix64's finaliser) */
    double u;

    for (const char *s = call_id; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211ull;
    for (const char *s = a->id; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211ull;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ull;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebull;
    h ^= h >> 31;
    u = ((double)(h >> 11) + 0.5) / 9007199254740992.0; /* 2^53 */
    return a->free > 0 ? a->free / -log(u) : -1 + u;
}

/* How many are to try before us. */
static int rank(const struct leases *l, const struct lease_call *c, int64_t now)
{
    const struct lease_agent *self = find_agent(l, l->self);
    double own = self ? score(c->id, self) : -1;
    int before = 0;

    if (strcmp(c->mark.to, l->self) == 0)
        return 0;
    for (const struct lease_agent *a = l->agents; a; a = a->next)
        if (a != self && alive(a, now) && !a->draining &&
            (strcmp(a->id, c->mark.to) == 0 || score(c->id, a) > own))
            before++;
    /* The voice of a prepared call is warm where it was prepared. */
    if (c->mark.epoch == 0)
        before = strcmp(c->mark.agent, l->self) == 0 ? 0 : before + 1;
    return before;
}

/* Since when nobody serves it. INT64_MAX: somebody does. */
static int64_t orphaned_ms(const struct leases *l, const struct lease_call *c, int64_t now)
{
    const struct lease_agent *owner;
    int64_t heard;

    if (c->mark.over)
        return INT64_MAX;
    if (c->mark.epoch == 0)
        return c->seen_ms + LEASE_CLAIM_MS;
    if (!c->mark.agent[0])
        return c->seen_ms;
    owner = find_agent(l, c->mark.agent);
    if (alive(owner, now))
        return INT64_MAX;
    heard = owner ? owner->seen_ms : c->seen_ms;
    if (heard < l->sound_ms)
        heard = l->sound_ms;
    return heard + LEASE_MS;
}

/* It names us because of a try that we had no answer to. */
static bool in_doubt(const struct leases *l, const struct lease_call *c)
{
    for (size_t i = 0; i < l->n_tries; i++)
        if (l->tries[i].epoch == c->mark.epoch && strcmp(l->tries[i].call_id, c->id) == 0)
            return !c->mark.over;
    return false;
}

int64_t leases_due_ms(const struct leases *l, const struct lease_call *c, int64_t now)
{
    const struct lease_agent *self = find_agent(l, l->self);
    bool own = c->mark.epoch > 0 && strcmp(c->mark.agent, l->self) == 0;
    int64_t since;

    if (!l->sound_ms || !alive(self, now) || self->draining)
        return INT64_MAX;
    if (own)
        return in_doubt(l, c) ? c->seen_ms + LEASE_AGAIN_MS : INT64_MAX;
    since = orphaned_ms(l, c, now);
    return since == INT64_MAX ? since : since + (int64_t)rank(l, c, now) * LEASE_STEP_MS;
}

const struct lease_call *leases_next_due(struct leases *l, int64_t now)
{
    for (struct lease_call *c = l->calls; c; c = c->next)
        if ((!c->tried_ms || now - c->tried_ms >= LEASE_AGAIN_MS) &&
            leases_due_ms(l, c, now) <= now) {
            c->tried_ms = now;
            note_try(l, c);
            return c;
        }
    return NULL;
}

const struct lease_agent *leases_heir(const struct leases *l, const char *call_id, int64_t now)
{
    const struct lease_agent *best = NULL;

    for (const struct lease_agent *a = l->agents; a; a = a->next)
        if (strcmp(a->id, l->self) != 0 && alive(a, now) && !a->draining && a->free > 0 &&
            (!best || score(call_id, a) > score(call_id, best)))
            best = a;
    return best;
}
