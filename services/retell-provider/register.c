/* register.c - registers a call with Retell: see register.h. */
#include "register.h"

#include "api.h"
#include "quota.h"
#include "said.h"
#include "standby.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct run {
    struct provider *p;
    char call[PAT_ID_LEN + 1];
    char *body;
    int64_t deadline_ms;
    int64_t started_ms;
    struct pat_json *params;     /* while it is asked what was said before */
    const char *said, *language; /* borrowed: the answer, while the body is written; NULL: none */
    bool again;                  /* the one repetition was used */
    bool standby;
    struct pat_task task;
    struct register_result early; /* refused before anything was sent */
    struct pat_json_err why;
    register_fn *done;
    void *arg;
};

static void finish(struct run *r, const struct register_result *result)
{
    struct run gone = *r;

    pat_histogram_observe(gone.p->register_s, (double)(pat_now_ms() - gone.started_ms) / 1000);
    if (result->err)
        pat_counter_add(gone.p->register_failed, 1);
    pat_log(result->err ? PAT_WARN : PAT_INFO,
            result->err ? "retell.register_failed" : "retell.registered", PAT_S("call", gone.call),
            PAT_S("retell_call", result->retell_call),
            PAT_S("error", result->err ? pat_err_name(result->err) : NULL),
            PAT_S("why", result->message), PAT_I("took_ms", pat_now_ms() - gone.started_ms));
    gone.done(result, gone.arg);
    pat_json_free(gone.params);
    free(gone.body);
    free(r);
}

/* Only what says that Retell itself is in trouble; a wrong agent id is ours, and being busy (429)
 * is quota.h's. */
static bool is_outage(int err)
{
    return err == PAT_ETIMEDOUT || err == PAT_ECONN || err == PAT_EUPSTREAM || err == PAT_EPROTO;
}

static int send(struct run *r);

static void on_answer(int err, const struct pat_http_res *res, void *arg)
{
    struct run *r = arg;
    PAT_AUTO_JSON body = NULL;
    const char *id = NULL, *message;

    if (err == PAT_ECONN && !r->again) {
        r->again = true;
        if (!send(r))
            return;
    }
    if (!err && pat_json_parse(&body, res->body, res->len, NULL))
        err = res->status / 100 == 2 ? PAT_EPROTO : api_status_err(res->status);
    else if (!err && res->status / 100 != 2)
        err = api_status_err(res->status);
    if (!err && pat_json_get_str(body, "call_id", &id, NULL))
        err = PAT_EPROTO;
    if (err == PAT_EAGAIN && r->p->quota)
        quota_refused(r->p->quota, api_pause_ms(res));
    if (is_outage(err))
        pat_breaker_failure(&r->p->breaker, pat_now_ms());
    else
        pat_breaker_success(&r->p->breaker);
    message = err ? pat_json_str_or(body, "message", pat_err_text(err)) : NULL;
    if (err == PAT_ENOENT && r->standby && r->p->standby) {
        standby_lost(r->p->standby);
        err = PAT_EUNAVAIL; /* ours to mend, and no fault of the call's */
    }
    finish(r, &(struct register_result){ .err = err, .retell_call = id, .message = message });
}

static int send(struct run *r)
{
    const struct provider_conf *conf = r->p->conf;
    int64_t left = r->deadline_ms - pat_now_ms();
    char url[1024], auth[1024];
    const char *headers[] = { "Content-Type: application/json", auth, NULL };
    pat_http_id id;

    if (left < 1)
        return PAT_ETIMEDOUT;
    if ((size_t)snprintf(url, sizeof url, "%s/v2/register-phone-call", conf->api_url) >=
            sizeof url ||
        (size_t)snprintf(auth, sizeof auth, "Authorization: Bearer %s", conf->api_key) >=
            sizeof auth)
        return PAT_E2BIG;
    return pat_http_start(r->p->d->http,
                          &(struct pat_http_req){ .method = "POST",
                                                  .url = url,
                                                  .headers = headers,
                                                  .body = r->body,
                                                  .body_len = strlen(r->body),
                                                  .timeout_ms = left },
                          NULL, on_answer, r, &id);
}

/* What the instructions of our agents leave open (build.c). */
static struct pat_json *variables(const struct run *r, const struct pat_json *params)
{
    struct pat_json *v = pat_json_obj();
    char now[PAT_TIME_LEN + 1];

    pat_time_format(pat_unix_ms(), now);
    now[16] = 0; /* "2026-11-22T10:00" */
    pat_json_set_str(v, "caller_number", pat_json_str_or(params, "from", "withheld"));
    pat_json_set_str(v, "call_began", now);
    pat_json_set_str(v, "said_before", r->said ? r->said : "");
    return v;
}

/* Which agent takes the call: the one named, or the one that stands by. */
static int set_agent(struct run *r, const struct pat_json *params, struct pat_json *body,
                     struct pat_json_err *why)
{
    const struct pat_json *version = pat_json_at(params, "agent_version");
    const char *agent;
    int64_t n;
    int err;

    r->standby = pat_json_bool_or(params, "standby", false);
    if (r->standby) {
        if (!r->p->standby || !standby_get(r->p->standby, &agent, &n))
            return PAT_EUNAVAIL;
        pat_json_set_str(body, "agent_id", agent);
        pat_json_set_int(body, "agent_version", n);
        return PAT_OK;
    }
    err = pat_json_get_str(params, "agent_id", &agent, why);
    if (err)
        return err;
    pat_json_set_str(body, "agent_id", agent);
    if (version && pat_json_kind(version) != PAT_JSON_NULL)
        pat_json_set_take(body, "agent_version", pat_json_dup(version));
    return PAT_OK;
}

/* Not the greeting a second time (docs.retellai.com, "Register Phone Call", agent_override). */
static void set_first_words(const struct run *r, struct pat_json *body, struct pat_json *vars)
{
    const char *text = pat_cut_off_phrase(r->language ? r->language : "");
    struct pat_json *override, *llm;

    if (r->standby) {
        pat_json_set_str(vars, "standby_greeting", text);
        return;
    }
    override = pat_json_obj();
    llm = pat_json_obj();
    pat_json_set_str(llm, "begin_message", text);
    pat_json_set_str(llm, "start_speaker", "agent");
    pat_json_set_take(override, "retell_llm", llm);
    pat_json_set_take(body, "agent_override", override);
}

static int write_body(struct run *r, const struct pat_json *params, struct pat_json_err *why)
{
    const char *call, *user, *to;
    PAT_AUTO_JSON body = pat_json_obj();
    struct pat_json *meta, *vars;
    int err = pat_json_get_id(params, "call_id", &call, why);

    if (!err)
        err = pat_json_get_id(params, "user_id", &user, why);
    if (!err)
        err = pat_json_get_str(params, "to", &to, why);
    if (!err)
        err = set_agent(r, params, body, why);
    if (err)
        return err;
    pat_strcpy(r->call, sizeof r->call, call);
    vars = variables(r, params);
    if (r->standby && (err = standby_variables(r->p, pat_json_at(params, "settings"), vars))) {
        pat_json_free(vars);
        return err;
    }
    if (r->said && pat_json_bool_or(params, "cut_off", false))
        set_first_words(r, body, vars);
    meta = pat_json_obj();
    pat_json_set_str(meta, "call_id", call);
    pat_json_set_str(meta, "user_id", user);
    if (pat_json_str_or(params, "from", NULL))
        pat_json_set_str(body, "from_number", pat_json_str_or(params, "from", NULL));
    pat_json_set_str(body, "to_number", to);
    pat_json_set_str(body, "direction", "inbound");
    pat_json_set_take(body, "metadata", meta);
    pat_json_set_take(body, "retell_llm_dynamic_variables", vars);
    r->body = pat_json_print(body);
    return r->body ? PAT_OK : PAT_ENOMEM;
}

static void finish_early(void *arg)
{
    struct run *r = arg;

    r->early.field = *r->why.path ? r->why.path : NULL;
    finish(r, &r->early);
}

static void begin(struct run *r, const struct pat_json *params)
{
    struct provider *p = r->p;
    int err = write_body(r, params, &r->why);

    if (err)
        r->early =
            (struct register_result){ .err = err,
                                      .message = *r->why.what ? r->why.what : pat_err_text(err) };
    else if (p->quota && !quota_take(p->quota))
        r->early = (struct register_result){ .err = PAT_EAGAIN,
                                             .message = "Retell takes no more calls now" };
    else if (!pat_breaker_allow(&p->breaker, r->started_ms))
        r->early = (struct register_result){ .err = PAT_EUNAVAIL,
                                             .message = "Retell failed repeatedly, not asked now" };
    else if ((err = send(r)))
        r->early = (struct register_result){ .err = err, .message = pat_err_text(err) };
    if (r->early.err)
        pat_loop_next_turn(p->d->loop, &r->task, finish_early, r);
}

static void on_said(const char *text, const char *language, void *arg)
{
    struct run *r = arg;

    if (!r->p->journal) { /* stopping: the router asks another one */
        finish(r, &(struct register_result){ .err = PAT_EUNAVAIL, .message = "stopping" });
        return;
    }
    r->said = *text ? text : NULL;
    r->language = language;
    begin(r, r->params);
    r->said = r->language = NULL;
}

/* The call had begun elsewhere. False: nobody can be asked what was said there. */
static bool ask_said(struct run *r, const struct pat_json *params)
{
    const struct said_of of = { .call = pat_json_str_or(params, "call_id", ""),
                                .user = pat_json_str_or(params, "user_id", ""),
                                .retell_call = pat_json_str_or(params, "before", NULL) };

    if (!pat_json_bool_or(params, "goes_on", false) || !pat_id_valid(of.call) ||
        !pat_id_valid(of.user))
        return false;
    r->params = pat_json_dup(params);
    return r->params && !said_ask(r->p, &of, on_said, r);
}

int register_call(struct provider *p, const struct pat_json *params, int64_t left_ms,
                  register_fn *done, void *arg)
{
    struct run *r = calloc(1, sizeof *r);
    int64_t limit = p->conf->api_timeout_ms;

    if (!r)
        return PAT_ENOMEM;
    r->p = p;
    r->done = done;
    r->arg = arg;
    r->started_ms = pat_now_ms();
    r->deadline_ms = r->started_ms + (left_ms < limit ? left_ms : limit);
    if (!ask_said(r, params))
        begin(r, params);
    return PAT_OK;
}

struct pat_json *register_json(const struct register_result *result)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_str(j, "retell_call_id", result->retell_call);
    return j;
}
