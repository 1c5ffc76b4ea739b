/* agent_lookup.c - the context of a call prepared elsewhere, or not at all.
 *
 * First the bucket where the agent that prepared it has put it; then, when the SIP leg shows our
 * signed headers, the settings in Postgres. Answers are taken by call id: the call may have ended.
 */
#include "agent_int.h"

#include <string.h>

enum { KV_MS = 500, DB_MS = 2500, AGAIN_MS = 300, TRIES = 10 };

static void found(struct agent *a, struct call *c, const struct pat_json *params, const char *where)
{
    struct pat_json_err err = { { 0 }, { 0 } };
    struct context *ctx;
    int rc = context_parse(&ctx, params, &err);

    if (!rc && strcmp(ctx->call_id, call_id(c)) != 0) {
        context_free(ctx);
        rc = PAT_EPROTO;
    }
    pat_log(rc ? PAT_WARN : PAT_INFO, "call.context", PAT_S("call", call_id(c)),
            PAT_S("from", where), PAT_S("field", rc ? err.path : NULL),
            PAT_S("error", rc ? pat_err_name(rc) : NULL));
    if (rc)
        return;
    kept_want(a->env.kept, ctx->language);
    call_context(c, ctx);
}

static void ask_kv(void *arg);

/* Not there: the router's word to another agent may still be on its way. */
static void on_kv(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct question *q = arg;
    struct call *c = q->agent ? agent_find(q->agent, q->call_id) : NULL;
    PAT_AUTO_JSON params = NULL;

    (void)revision;
    if (c && !err && pat_json_parse(&params, data, len, NULL) == PAT_OK) {
        found(q->agent, c, params, "kv");
    } else if (c && !call_has_context(c) && ++q->tries < TRIES) {
        pat_timer_start(&q->again, AGAIN_MS);
        return;
    }
    question_free(q);
}

static void ask_kv(void *arg)
{
    struct question *q = arg;

    if (pat_kv_get(q->agent->env.bus, AGENT_BUCKET, q->call_id, KV_MS, on_kv, q))
        question_free(q);
}

void agent_look_up(struct agent *a, const char *call_id_text)
{
    struct question *q = question_new(a, call_id_text, OF_NATS);

    if (!q)
        return;
    if (pat_timer_init(&q->again, a->env.loop, ask_kv, q))
        question_free(q);
    else
        ask_kv(q);
}

static void on_row(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct question *q = arg;
    struct call *c = q->agent ? agent_find(q->agent, q->call_id) : NULL;
    struct pat_json *settings = NULL;
    const char *text = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    if (err)
        pat_log(PAT_WARN, "call.settings_not_read", PAT_S("call", q->call_id), PAT_ERR(err));
    if (c && text && pat_json_parse(&settings, text, strlen(text), NULL) == PAT_OK) {
        PAT_AUTO_JSON params = context_params(&q->headers, settings);
        found(q->agent, c, params, "headers");
    } else if (c && !err) {
        call_context(c, NULL); /* no such agent: nothing more to hope for */
    }
    question_free(q);
}

void agent_look_up_headers(struct agent *a, struct call *c, const struct context_headers *h)
{
    static const char sql[] = "select to_jsonb(s) || jsonb_build_object('user_tools', "
                              "patchbay.agent_tools(s.user_id, s.agent_config_id), 'record_calls', "
                              "(select to_jsonb(u) -> 'record_calls' from public.users u "
                              "where u.id = s.user_id)) from patchbay.agent_settings s "
                              "where s.agent_config_id = $1 and s.user_id = $2";
    const char *params[] = { h->agent, h->user };
    struct question *q;

    if (context_headers_verify(h, call_id(c), a->env.conf->call_secret)) {
        pat_log(PAT_WARN, "call.headers_forged", PAT_S("call", call_id(c)));
        return;
    }
    q = question_new(a, call_id(c), OF_POSTGRES);
    if (!q)
        return;
    q->headers = *h;
    if (pat_db_run1(a->env.db, "agent_settings", sql, params, 2, DB_MS, on_row, q, NULL))
        question_free(q);
}
