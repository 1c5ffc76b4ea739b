/* leg.c - where the carrier's leg of a call is: see leg.h.
 *
 * A search asks four keys and one row at once and ends when KV has named the leg, or everything
 * has been answered, or at its deadline with what there is. Writing is a plain publish to the
 * bucket's subject: an acknowledgement would change nothing.
 */
#include "leg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKET_MS (3600 * 1000)
#define KV_MS     600
#define VALUE_MAX 4096

static void on_bucket(int err, const struct pat_msg *m, void *arg)
{
    (void)m, (void)arg;
    if (err)
        pat_log(PAT_WARN, "leg.bucket", PAT_ERR(err));
}

int leg_start(struct router *r)
{
    return pat_kv_ensure(r->d->bus, LEG_BUCKET, BUCKET_MS, 5000, on_bucket, NULL);
}

static void publish(struct router *r, const char *call, const char *what, const struct pat_buf *v)
{
    struct pat_buf subject;
    int err = v->err;

    pat_buf_init(&subject, 127);
    pat_buf_adds(&subject, "$KV." LEG_BUCKET ".");
    pat_buf_adds(&subject, call);
    pat_buf_add(&subject, ".", 1);
    pat_buf_adds(&subject, what);
    if (!err)
        err = subject.err ? subject.err : pat_bus_publish(r->d->bus, subject.data, v->data, v->len);
    if (err)
        pat_log(PAT_WARN, "leg.not_noted", PAT_S("call", call), PAT_S("what", what), PAT_ERR(err));
    pat_buf_fini(&subject);
}

/* The row has no column for it, and nearly all legs speak cXML. */
static void note_form(struct router *r, const struct callref *ref)
{
    PAT_AUTO_JSON facts = pat_json_obj();
    PAT_AUTO_STR text = NULL;
    struct pat_json *metadata = pat_json_obj();
    struct pat_db_stmt stmt = { "put_call", "select patchbay.put_call($1::jsonb)", 1,
                                (const char *const[]){ NULL } };

    pat_json_set_str(metadata, "carrier_form", "swml");
    pat_json_set_str(facts, "id", ref->call.s);
    pat_json_set_str(facts, "user_id", ref->user);
    pat_json_set_take(facts, "metadata", metadata);
    text = pat_json_print(facts);
    stmt.params = (const char *const[]){ text };
    if (!text || pat_journal_add(r->journal, NULL, NULL, &stmt, 1))
        pat_log(PAT_WARN, "leg.not_noted", PAT_S("call", ref->call.s), PAT_S("what", "form"));
}

void leg_note(struct router *r, const struct callref *ref, enum carrier_form form,
              const char *token)
{
    struct pat_buf v;

    pat_buf_init(&v, VALUE_MAX);
    pat_buf_adds(&v, "{\"ref\":\"");
    pat_buf_adds(&v, token); /* nothing in it needs escaping */
    pat_buf_adds(&v, form == CARRIER_SWML ? "\",\"form\":\"swml\"}" : "\",\"form\":\"cxml\"}");
    publish(r, ref->call.s, "leg", &v);
    pat_buf_fini(&v);
    if (form == CARRIER_SWML)
        note_form(r, ref);
}

int leg_note_end(struct router *r, const char *call, int64_t epoch, const char *reason,
                 pat_kv_fn *fn, void *arg)
{
    struct pat_buf v;
    char key[64];
    int err;

    if (!pat_bus_up(r->d->bus))
        return PAT_EUNAVAIL;
    snprintf(key, sizeof key, "%s.end", call);
    pat_buf_init(&v, VALUE_MAX);
    pat_buf_addf(&v, "{\"reason\":\"%s\",\"epoch\":%lld}", reason, (long long)epoch);
    err = v.err;
    if (!err)
        err = pat_kv_put(r->d->bus, LEG_BUCKET, key, v.data, v.len, PAT_KV_ANY, KV_MS, fn, arg);
    pat_buf_fini(&v);
    return err;
}

/* ------------------------------------------------------------------ finding */

enum { ASK_LEG, ASK_SERVED, ASK_END, ASK_ACTION, ASK_ROW, ASKS };

struct search;
/* One question; outlives the search when its answer comes late. */
struct ask {
    struct search *s; /* NULL: nobody waits any more */
    int what;
};

struct search {
    struct router *r;
    struct leg leg;
    char call[PAT_ID_LEN + 1];
    struct ask *open[ASKS];
    bool kv_leg;
    bool whole;        /* Postgres is waited for */
    int64_t end_epoch; /* of leg.end */
    struct pat_timer deadline;
    leg_fn *fn;
    void *arg;
};

static void search_free(struct search *s)
{
    for (int i = 0; i < ASKS; i++)
        if (s->open[i])
            s->open[i]->s = NULL;
    pat_timer_fini(&s->deadline);
    free(s);
}

static void finish(struct search *s)
{
    struct leg leg = s->leg;
    leg_fn *fn = s->fn;
    void *arg = s->arg;
    const struct move *own = moves_find(s->r->moves, s->call);

    leg.move = move_merge(&leg.move, own);
    if (leg.epoch && s->end_epoch != leg.epoch)
        leg.end = NULL; /* of an earlier part of the call: the caller came back from a transfer */
    if (leg.move.n > leg.ref.moves)
        leg.ref.moves = leg.move.n;
    search_free(s);
    fn(&leg, arg);
}

static void maybe_finish(struct search *s)
{
    bool kv = s->open[ASK_LEG] || s->open[ASK_SERVED] || s->open[ASK_END] || s->open[ASK_ACTION];

    if (!kv && ((s->kv_leg && !s->whole) || !s->open[ASK_ROW]))
        finish(s);
}

int leg_read_note(struct callref *out, enum carrier_form *form, const struct router *r,
                  const char *call, const char *data, size_t len)
{
    PAT_AUTO_JSON j = NULL;

    if (pat_json_parse(&j, data, len, NULL) ||
        callref_parse(out, r->conf->call_secret, pat_json_str_or(j, "ref", ""), pat_unix_ms()) ||
        strcmp(out->call.s, call))
        return PAT_EPROTO;
    *form = strcmp(pat_json_str_or(j, "form", ""), "swml") ? CARRIER_CXML : CARRIER_SWML;
    return PAT_OK;
}

static void read_leg(struct search *s, const char *data, size_t len)
{
    struct callref ref;

    if (leg_read_note(&ref, &s->leg.form, s->r, s->call, data, len))
        return;
    s->leg.ref = ref;
    s->kv_leg = true;
}

/* A mark without an epoch is the first agent's. */
static void read_served(struct leg *leg, const char *data, size_t len)
{
    PAT_AUTO_JSON j = NULL;

    leg->epoch = 1;
    if (pat_json_parse(&j, data, len, NULL) || pat_json_kind(j) != PAT_JSON_OBJ)
        return;
    leg->epoch = pat_json_int_or(j, "epoch", 1);
    leg->over = pat_json_bool_or(j, "over", false);
    pat_strcpy(leg->agent, sizeof leg->agent, pat_json_str_or(j, "agent", ""));
}

static void read_end(struct search *s, const char *data, size_t len)
{
    PAT_AUTO_JSON j = NULL;

    if (pat_json_parse(&j, data, len, NULL))
        return;
    s->leg.end = pat_end_reason_find(pat_json_str_or(j, "reason", NULL));
    s->end_epoch = pat_json_int_or(j, "epoch", 0);
}

static void on_kv(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct ask *a = arg;
    struct search *s = a->s;
    int what = a->what;

    free(a);
    if (!s)
        return;
    s->open[what] = NULL;
    if (!err || err == PAT_ENOENT)
        s->leg.kv = true;
    if (!err && what == ASK_LEG)
        read_leg(s, data, len);
    if (!err && what == ASK_SERVED)
        read_served(&s->leg, data, len);
    if (!err && what == ASK_END)
        read_end(s, data, len);
    if (!err && what == ASK_ACTION && !move_read(&s->leg.move, data, len))
        s->leg.move_revision = revision;
    maybe_finish(s);
}

static void copy(char *out, size_t cap, const struct pat_db_result *row, const char *column)
{
    const char *v = pat_db_get(row, 0, column);

    pat_strcpy(out, cap, v ? v : "");
}

static void read_row(struct search *s, const struct pat_db_result *row)
{
    struct callref *c = &s->leg.ref;
    const char *stack = pat_db_get(row, 0, "stack"), *moves = pat_db_get(row, 0, "moves");

    copy(c->call.s, sizeof c->call.s, row, "id");
    copy(c->user, sizeof c->user, row, "user_id");
    copy(c->carrier_call, sizeof c->carrier_call, row, "carrier_call_id");
    copy(c->agent_config, sizeof c->agent_config, row, "agent_config_id");
    copy(c->retell_call, sizeof c->retell_call, row, "retell_call_id");
    copy(c->from, sizeof c->from, row, "from_number");
    copy(c->to, sizeof c->to, row, "to_number");
    c->stack = stack_parse(stack ? stack : "");
    c->tried = 1u << c->stack;
    c->config_version = strtoll(pat_db_get(row, 0, "config_version"), NULL, 10);
    c->offered_ms = strtoll(pat_db_get(row, 0, "offered_ms"), NULL, 10);
    c->moves = moves ? (unsigned)strtoul(moves, NULL, 10) : 0;
    if (!strcmp(pat_db_get(row, 0, "form"), "swml"))
        s->leg.form = CARRIER_SWML;
}

static void on_row(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct ask *a = arg;
    struct search *s = a->s;

    (void)n;
    free(a);
    if (!s)
        return;
    s->open[ASK_ROW] = NULL;
    if (!err && pat_db_rows(results[0])) {
        s->leg.row = true;
        s->leg.ended = !strcmp(pat_db_get(results[0], 0, "state"), "ended");
        s->leg.answered = !strcmp(pat_db_get(results[0], 0, "state"), "answered");
        if (!s->kv_leg)
            read_row(s, results[0]);
    }
    maybe_finish(s);
}

static struct ask *ask_new(struct search *s, int what)
{
    struct ask *a = malloc(sizeof *a);

    if (a)
        *a = (struct ask){ s, what };
    s->open[what] = a;
    return a;
}

static void ask_kv(struct search *s, int what, const char *suffix, int64_t timeout_ms)
{
    struct ask *a;
    char key[64];

    if (!pat_bus_up(s->r->d->bus))
        return;
    a = ask_new(s, what);
    snprintf(key, sizeof key, "%s.%s", s->call, suffix);
    if (a && pat_kv_get(s->r->d->bus, LEG_BUCKET, key, timeout_ms, on_kv, a)) {
        s->open[what] = NULL;
        free(a);
    }
}

static void ask_row(struct search *s, int64_t timeout_ms)
{
    static const char sql[] =
        "select id, user_id, agent_config_id, carrier_call_id, retell_call_id, from_number, "
        "to_number, stack, state, coalesce(config_version, 0) as config_version, "
        "floor(extract(epoch from offered_at) * 1000)::bigint as offered_ms, "
        "metadata ->> 'moves' as moves, coalesce(metadata ->> 'carrier_form', '') as form "
        "from patchbay.calls where id = $1::uuid";
    struct ask *a = ask_new(s, ASK_ROW);

    if (a && pat_db_run1(s->r->d->db, "leg_of_call", sql, (const char *[]){ s->call }, 1,
                         timeout_ms, on_row, a, NULL)) {
        s->open[ASK_ROW] = NULL;
        free(a);
    }
}

static void on_deadline(void *arg)
{
    finish(arg);
}

static int find(struct router *r, const char *call, int64_t timeout_ms, bool whole, leg_fn *fn,
                void *arg)
{
    struct search *s = calloc(1, sizeof *s);
    int64_t kv_ms = timeout_ms < KV_MS ? timeout_ms : KV_MS;
    bool any = false;

    if (!s)
        return PAT_ENOMEM;
    *s = (struct search){ .r = r, .whole = whole, .fn = fn, .arg = arg };
    pat_strcpy(s->call, sizeof s->call, call);
    if (pat_timer_init(&s->deadline, r->d->loop, on_deadline, s)) {
        free(s);
        return PAT_ENOMEM;
    }
    ask_kv(s, ASK_LEG, "leg", kv_ms);
    ask_kv(s, ASK_SERVED, "served", kv_ms);
    ask_kv(s, ASK_END, "end", kv_ms);
    ask_kv(s, ASK_ACTION, "action", kv_ms);
    ask_row(s, timeout_ms);
    for (int i = 0; i < ASKS; i++)
        any |= s->open[i] != NULL;
    pat_timer_start(&s->deadline, any ? timeout_ms : 0);
    return PAT_OK;
}

int leg_find(struct router *r, const char *call, int64_t timeout_ms, leg_fn *fn, void *arg)
{
    return find(r, call, timeout_ms, false, fn, arg);
}

int leg_find_whole(struct router *r, const char *call, int64_t timeout_ms, leg_fn *fn, void *arg)
{
    return find(r, call, timeout_ms, true, fn, arg);
}

/* ------------------------------------------------------------------ moving */

struct claim {
    struct router *r;
    char call[PAT_ID_LEN + 1];
    struct move move;
    struct pat_timer done; /* without KV: the answer comes in the loop's next turn */
    leg_claim_fn *fn;
    void *arg;
};

static void claimed(struct claim *c, int err)
{
    leg_claim_fn *fn = c->fn;
    void *arg = c->arg;

    if (!err)
        moves_put(c->r->moves, c->call, &c->move);
    pat_timer_fini(&c->done);
    free(c);
    fn(err, arg);
}

static void on_claimed(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    (void)revision, (void)data, (void)len;
    /* Away since it was read: this router's own memory has to do. */
    claimed(arg, err == PAT_EEXIST ? err : PAT_OK);
}

static void on_claimed_alone(void *arg)
{
    claimed(arg, PAT_OK);
}

static int put_claim(struct claim *c, const struct leg *leg, const struct move *m,
                     int64_t timeout_ms)
{
    struct pat_buf v;
    char key[64];
    int err;

    pat_buf_init(&v, VALUE_MAX);
    snprintf(key, sizeof key, "%s.action", leg->ref.call.s);
    err = move_print(m, &v);
    if (!err)
        err = pat_kv_put(c->r->d->bus, LEG_BUCKET, key, v.data, v.len, leg->move_revision,
                         timeout_ms, on_claimed, c);
    pat_buf_fini(&v);
    return err;
}

int leg_claim(struct router *r, const struct leg *leg, const struct move *m, int64_t timeout_ms,
              leg_claim_fn *fn, void *arg)
{
    struct claim *c = calloc(1, sizeof *c);
    int err;

    if (!c)
        return PAT_ENOMEM;
    *c = (struct claim){ .r = r, .move = *m, .fn = fn, .arg = arg };
    pat_strcpy(c->call, sizeof c->call, leg->ref.call.s);
    err = pat_timer_init(&c->done, r->d->loop, on_claimed_alone, c);
    if (err) {
        free(c);
        return err;
    }
    if (leg->kv && !put_claim(c, leg, m, timeout_ms))
        return PAT_OK;
    moves_put(r->moves, leg->ref.call.s, m); /* at once: nobody else keeps a second one out */
    pat_timer_start(&c->done, 0);
    return PAT_OK;
}

void leg_moved(struct router *r, const char *call, const struct move *m)
{
    struct pat_buf v;
    struct move merged;

    moves_put(r->moves, call, m);
    merged = *moves_find(r->moves, call);
    pat_buf_init(&v, VALUE_MAX);
    if (!move_print(&merged, &v))
        publish(r, call, "action", &v);
    pat_buf_fini(&v);
}
