/* agent_prepare.c - a call is announced: everything slow happens now, while the phone still rings.
 *
 * The room is made (which sends out the job), the context goes where any agent finds it, the
 * voice connects and speaks the greeting into the cache. A job can be lost without a word, and so
 * can we: the call's mark tells every agent that it waits, and after a moment one of them takes it
 * without a job (lease.h).
 */
#include "agent_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROOM_MS = 3000,
    KV_MS = 1000,
    KEEP_MS = 180000, /* a carrier gives up ringing long before */
    EMPTY_S = 120,    /* of the room: until somebody comes */
    DEPARTURE_S = 20, /* and after the last one left */
    PREPARED_MAX = 500,
};

static struct prepared **place_of(struct agent *a, const char *call_id_text)
{
    struct prepared **at = &a->prepared;

    while (*at && strcmp((*at)->call_id, call_id_text) != 0)
        at = &(*at)->next;
    return at;
}

struct prepared *agent_take_prepared(struct agent *a, const char *call_id_text)
{
    struct prepared **at = place_of(a, call_id_text);
    struct prepared *p = *at;

    if (!p)
        return NULL;
    *at = p->next;
    a->n_prepared--;
    pat_timer_stop(&p->expiry);
    return p;
}

static void answer(struct prepared *p, int err)
{
    struct pat_rpc_req *r = p->request;
    struct pat_json *result;

    p->request = NULL;
    if (!r)
        return;
    if (err) {
        pat_rpc_fail(r, err, NULL, "the room could not be made");
        return;
    }
    result = pat_json_obj();
    pat_json_set_str(result, "room", p->room);
    pat_rpc_reply(r, result);
}

void prepared_free(struct prepared *p)
{
    if (!p)
        return;
    answer(p, PAT_OK); /* a job came first: the room is there */
    pat_timer_fini(&p->expiry);
    mouth_free(p->mouth);
    context_free(p->ctx);
    free(p);
}

void agent_drop_prepared(struct agent *a)
{
    while (a->prepared)
        prepared_free(agent_take_prepared(a, a->prepared->call_id));
}

/* ---- the key-value bucket ---- */

static void on_put(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    (void)revision, (void)data, (void)len, (void)arg;
    if (err)
        pat_log(PAT_WARN, "agent.kv_put", PAT_ERR(err));
}

void agent_store_context(struct agent *a, const char *call_id_text, const char *params)
{
    if (!params || pat_kv_put(a->env.bus, AGENT_BUCKET, call_id_text, params, strlen(params),
                              PAT_KV_ANY, KV_MS, on_put, NULL))
        pat_log(PAT_WARN, "agent.kv_put", PAT_S("call", call_id_text));
}

static void on_expiry(void *arg)
{
    struct prepared *p = arg;

    pat_log(PAT_INFO, "agent.prepared_in_vain", PAT_S("call", p->call_id));
    prepared_free(agent_take_prepared(p->agent, p->call_id));
}

/* ---- preparing ---- */

static void on_room(int err, void *arg)
{
    struct question *q = arg;
    struct agent *a = q->agent;
    struct prepared *p = *place_of(a, q->call_id);

    if (err)
        pat_log(PAT_WARN, "agent.room_not_made", PAT_S("call", q->call_id), PAT_ERR(err));
    question_free(q);
    if (!p)
        return;
    answer(p, err);
}

static void make_room(struct agent *a, struct prepared *p)
{
    struct roomapi_room room = { p->room, p->call_id, a->env.conf->agent_name, EMPTY_S,
                                 DEPARTURE_S };
    struct question *q = question_new(a, p->call_id, OF_LIVEKIT);
    int err = q ? roomapi_create(a->env.rooms, &room, ROOM_MS, on_room, q) : PAT_ENOMEM;

    if (!err)
        return;
    if (q)
        question_free(q);
    answer(p, err);
}

static void on_greeting(struct phrase *phrase, void *arg)
{
    const struct prepared *p = arg;

    pat_log(PAT_INFO, "agent.greeting_ready", PAT_S("call", p->call_id),
            PAT_I("sound_ms", phrase ? phrase_ms(phrase) : 0),
            PAT_I("after_ms", (pat_now_us() - p->at_us) / 1000));
}

static void make_greeting(struct agent *a, struct prepared *p)
{
    static const struct mouth_events ev = { .prepared = on_greeting };
    struct phrase *known;

    if (env_mouth(&p->mouth, &a->env, p->ctx)) {
        pat_log(PAT_WARN, "agent.voice_not_opened", PAT_S("call", p->call_id));
        return;
    }
    mouth_listen(p->mouth, &ev, p);
    kept_want(a->env.kept, p->ctx->language);
    call_record_notice(&a->env, p->ctx);
    if (!*p->ctx->greeting)
        return;
    known = mouth_known(p->mouth, p->ctx->greeting);
    if (!known && mouth_prepare(p->mouth, p->ctx->greeting))
        pat_log(PAT_WARN, "agent.greeting_not_made", PAT_S("call", p->call_id));
    phrase_unref(known);
}

static int add_prepared(struct agent *a, struct prepared **out, struct context *ctx_take)
{
    struct prepared *p = a->n_prepared < PREPARED_MAX ? calloc(1, sizeof *p) : NULL;

    if (!p || pat_timer_init(&p->expiry, a->env.loop, on_expiry, p)) {
        free(p);
        context_free(ctx_take);
        return PAT_EAGAIN;
    }
    p->agent = a;
    p->ctx = ctx_take;
    p->at_us = pat_now_us();
    pat_strcpy(p->call_id, sizeof p->call_id, ctx_take->call_id);
    (void)snprintf(p->room, sizeof p->room, "call_%s", p->call_id);
    p->next = a->prepared;
    a->prepared = p;
    a->n_prepared++;
    pat_timer_start(&p->expiry, KEEP_MS);
    *out = p;
    return PAT_OK;
}

static void reply_room(struct pat_rpc_req *r, const char *call_id_text)
{
    struct pat_json *result = pat_json_obj();
    char room[64];

    (void)snprintf(room, sizeof room, "call_%s", call_id_text);
    pat_json_set_str(result, "room", room);
    pat_rpc_reply(r, result);
}

static void on_prepare(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    struct agent *a = arg;
    struct pat_json_err err = { { 0 }, { 0 } };
    struct context *ctx;
    struct prepared *p;
    int rc = context_parse(&ctx, params, &err);

    if (rc) {
        pat_log(PAT_WARN, "agent.prepare_refused", PAT_S("field", err.path), PAT_ERR(rc));
        pat_rpc_fail(r, rc, err.path, err.what);
        return;
    }
    if (*place_of(a, ctx->call_id)) { /* said twice */
        reply_room(r, ctx->call_id);
        context_free(ctx);
        return;
    }
    agent_store_context(a, ctx->call_id, ctx->params);
    if (agent_find(a, ctx->call_id)) { /* the telephone was faster; the first context counts */
        reply_room(r, ctx->call_id);
        call_context(agent_find(a, ctx->call_id), ctx);
        return;
    }
    rc = add_prepared(a, &p, ctx);
    if (rc) {
        pat_rpc_fail(r, rc, NULL, "too many calls are being prepared");
        return;
    }
    pat_log(PAT_INFO, "call.prepared", PAT_S("call", p->call_id), PAT_S("user", p->ctx->user_id),
            PAT_S("agent_config", p->ctx->agent_config_id));
    p->request = r;
    agent_mark_prepared(a, p);
    make_room(a, p);
    make_greeting(a, p);
}

/* What the switcher asks before it sends a user here. */
static void on_verify(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    struct agent *a = arg;
    struct pat_json *result = pat_json_obj();
    struct voice v = voice_resolve(pat_json_str_or(params, "voice_id", NULL));

    pat_json_set_bool(result, "registered", a->worker_up);
    pat_json_set_int(result, "calls", a->n_calls);
    pat_json_set_int(result, "max_calls", a->env.conf->max_calls);
    pat_json_set_bool(result, "voice_substituted", v.substitute);
    pat_rpc_reply(r, result);
}

int agent_serve_rpc(struct agent *a)
{
    int err = pat_rpc_serve(a->env.bus, &a->prepare_sub, "agent", "prepare", on_prepare, a);

    if (!err)
        err = pat_rpc_serve(a->env.bus, &a->verify_sub, "agent", "verify", on_verify, a);
    return err ? err : agent_serve_state(a);
}

void agent_stop_rpc(struct agent *a)
{
    pat_bus_unsubscribe(a->prepare_sub);
    pat_bus_unsubscribe(a->verify_sub);
    pat_bus_unsubscribe(a->state_sub);
    a->prepare_sub = a->verify_sub = a->state_sub = NULL;
}
