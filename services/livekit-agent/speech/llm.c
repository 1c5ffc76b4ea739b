/* llm.c - see llm.h: who is asked when, and who answers.
 *
 * How: a run has up to two requests under way; the first that delivers anything is the one that
 * answers, the other is forgotten. When everybody has failed for a while's reasons, one more round
 * after a short pause. It does not know what the bytes on the wire mean. */
#include "llm.h"

#include "chat_mend.h"
#include "llm_openai.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_ROUNDS = 2,
    PAUSE_MS = 150, /* between the rounds: the caller hears silence meanwhile */
    MAX_BREAKS = 2, /* of one answer */
    SAID_MAX = 64 * 1024,
    OWN = PROVIDER_STEPS, /* the step of a model of the user's own */
    GONE = 16,
    GONE_MS = 600000, /* a user's own model that nobody knows is not asked for again so soon */
};

struct llm {
    struct pat_loop *loop;
    struct pat_http *http;
    struct llm_opts o;
    struct pat_counter *hedge_won, *hedge_lost;
    struct llm_run *runs;
    struct {
        char model[80];
        int64_t at_ms;
    } gone[GONE]; /* a ring */
    size_t gone_next;
};

struct ask {
    struct llm_request *q; /* NULL: none */
    int step;
};

struct llm_run {
    struct llm *llm;
    struct llm_run *next, **at;
    struct llm_events ev;
    void *arg;
    struct pat_json *messages, *tools;
    struct pat_json *continued; /* messages, and an answer that broke off; NULL: none did */
    struct llm_req req;
    char cache_key[100], own_model[80];

    int first;      /* the step wished for, before all others; -1: none */
    unsigned tried; /* steps, a bit each */
    int round;
    bool worth_a_round; /* somebody failed for a while's reasons */
    enum provider_fault last;
    struct ask ask[2]; /* [1] only while hedging */
    struct ask *answers;
    bool hedged;
    int64_t hedge_prompts;  /* requests whose prompt was paid for in vain */
    int hedge_step;         /* the last one of them */
    struct pat_timer timer; /* the second request, or the pause between rounds */
    bool pausing;
    struct pat_buf said; /* of the answer, before it broke off */
    struct chat_repeat repeat;
    int breaks;
    bool busy, dead; /* as in llm_openai.c: freed inside a callback */
};

static void really_free(struct llm_run *r)
{
    pat_timer_fini(&r->timer);
    pat_json_free(r->messages);
    pat_json_free(r->continued);
    pat_json_free(r->tools);
    pat_buf_fini(&r->said);
    chat_repeat_fini(&r->repeat);
    free(r);
}

static void run_free(struct llm_run *r)
{
    for (int i = 0; i < 2; i++) {
        llm_request_free(r->ask[i].q);
        r->ask[i].q = NULL;
    }
    pat_timer_stop(&r->timer);
    if (r->at) {
        *r->at = r->next;
        if (r->next)
            r->next->at = r->at;
        r->at = NULL;
    }
    r->dead = true;
    if (!r->busy)
        really_free(r);
}

static const struct provider_chain *chain_of(const struct llm_run *r)
{
    return providers_of(r->llm->o.providers, PROVIDER_LLM);
}

/* A model of the user's own is asked for at the first account. */
static struct provider *provider_of(const struct llm_run *r, int step)
{
    return chain_of(r)->at[step == OWN ? 0 : step];
}

static const char *model_of(const struct llm_run *r, int step)
{
    return step == OWN ? r->own_model : chain_of(r)->at[step]->model;
}

void llm_asked(const struct llm_run *r, const char **account, const char **model)
{
    int step = r->answers ? r->answers->step : r->ask[0].step;

    *account = provider_of(r, step)->name;
    *model = model_of(r, step);
}

/* The last callback: everything it reads outlives the run. */
static void run_done(struct llm_run *r, int err)
{
    struct llm_events ev = r->ev;
    void *arg = r->arg;
    const struct chat *chat = r->answers ? llm_request_chat(r->answers->q) : NULL;
    struct llm_usage usage = chat ? chat->usage : (struct llm_usage){ 0 };
    char finish[32], model[80] = "", lost[80] = "";

    usage.provider = r->answers ? provider_of(r, r->answers->step)->name : "";
    if (r->hedge_prompts) {
        pat_strcpy(lost, sizeof lost, model_of(r, r->hedge_step));
        usage.lost_tokens = usage.prompt_tokens * r->hedge_prompts;
        usage.lost_provider = provider_of(r, r->hedge_step)->name;
        usage.lost_model = lost;
    }
    pat_strcpy(finish, sizeof finish, err || !chat ? "error" : chat->finish);
    if (r->answers)
        pat_strcpy(model, sizeof model, model_of(r, r->answers->step));
    run_free(r);
    ev.done(err, finish, model, &usage, arg);
}

/* ---- asking ---- */

static const struct llm_request_events request_events;

static int pick(struct llm_run *r)
{
    int64_t now_ms = pat_loop_now_ms(r->llm->loop);

    if (r->first >= 0 && !(r->tried & 1U << r->first) &&
        pat_breaker_would_allow(&provider_of(r, r->first)->breaker, now_ms) &&
        (r->first == OWN || pat_breaker_allow(&provider_of(r, r->first)->breaker, now_ms)))
        return r->first;
    return provider_pick(chain_of(r), r->tried, now_ms);
}

static int ask_step(struct llm_run *r, struct ask *a, int step)
{
    const struct llm *m = r->llm;
    const struct llm_request_opts o = { m->loop,           m->http,         provider_of(r, step),
                                        model_of(r, step), m->o.connect_ms, m->o.first_token_ms,
                                        m->o.idle_ms };

    r->tried |= 1U << step;
    a->step = step;
    return llm_request_start(&a->q, &o, &r->req, &request_events, r);
}

/* PAT_ENOENT: nobody is left to be asked. */
static int ask_next(struct llm_run *r, struct ask *a)
{
    int step, err = PAT_ENOENT;

    while ((step = pick(r)) >= 0) {
        err = ask_step(r, a, step);
        if (!err)
            return PAT_OK;
        a->q = NULL;
    }
    return err;
}

static struct ask *ask_of(struct llm_run *r, const struct llm_request *q)
{
    return r->ask[0].q == q ? &r->ask[0] : &r->ask[1];
}

static struct ask *other(struct llm_run *r, struct ask *a)
{
    struct ask *b = a == &r->ask[0] ? &r->ask[1] : &r->ask[0];

    return b->q ? b : NULL;
}

static void start_hedge(struct llm_run *r)
{
    if (r->llm->o.hedge_ms > 0 && !r->hedged)
        pat_timer_start(&r->timer, r->llm->o.hedge_ms);
}

/* A second one as well: the next of the chain, the same once more when there is no other. */
static void hedge(struct llm_run *r)
{
    struct ask *a = r->ask[0].q ? &r->ask[1] : &r->ask[0];
    struct ask *first = other(r, a);

    r->hedged = true;
    if (!first || r->answers)
        return;
    if (ask_next(r, a) && ask_step(r, a, first->step))
        a->q = NULL;
}

/* ---- what comes of it ---- */

static void tell_failure(struct llm_run *r, const struct ask *a, const struct llm_request_end *end,
                         const struct ask *next)
{
    const struct provider_failure f = {
        .by = provider_of(r, a->step),
        .model = model_of(r, a->step),
        .fault = end->fault,
        .detail = end->detail,
        .next = next ? provider_of(r, next->step) : NULL,
    };

    pat_log(PAT_WARN, "llm.attempt_failed", PAT_S("provider", f.by->name), PAT_S("model", f.model),
            PAT_S("fault", provider_fault_name(f.fault)), PAT_S("why", f.detail),
            PAT_S("next", f.next ? f.next->name : ""));
    if (r->ev.failed)
        r->ev.failed(&f, r->arg);
}

static void remember_gone(struct llm *m, const char *model)
{
    size_t i = m->gone_next++ % GONE;

    pat_strcpy(m->gone[i].model, sizeof m->gone[i].model, model);
    m->gone[i].at_ms = pat_loop_now_ms(m->loop);
}

static bool is_gone(const struct llm *m, const char *model)
{
    int64_t now_ms = pat_loop_now_ms(m->loop);

    for (size_t i = 0; i < GONE; i++)
        if (!strcmp(m->gone[i].model, model) && now_ms - m->gone[i].at_ms < GONE_MS)
            return true;
    return false;
}

static void count_failure(struct llm_run *r, const struct ask *a, const struct llm_request_end *end)
{
    struct provider *p = provider_of(r, a->step);
    enum provider_fault f = end->fault;

    if (a->step == OWN && f == FAULT_MODEL)
        remember_gone(r->llm, r->own_model);
    /* That the user's own model is gone or slow says nothing about the chain's. */
    if (a->step == OWN && f != FAULT_AUTH && f != FAULT_QUOTA)
        pat_counter_add(p->errors[f], 1);
    else
        provider_failed(r->llm->o.providers, p, f, end->retry_after_ms,
                        pat_loop_now_ms(r->llm->loop));
    if (f == FAULT_AUTH || f == FAULT_QUOTA)
        r->tried |= provider_same_account(chain_of(r), a->step == OWN ? 0 : a->step);
    r->worth_a_round |=
        f == FAULT_CONNECTION || f == FAULT_TIMEOUT || f == FAULT_SERVER || f == FAULT_RATE;
    r->last = f;
}

/* As they are, or with what was said of the answer. */
static bool use_messages(struct llm_run *r)
{
    pat_json_free(r->continued);
    r->continued = r->said.len ? chat_go_on(r->messages, r->said.data) : NULL;
    r->req.messages = r->continued ? r->continued : r->messages;
    return r->continued || !r->said.len;
}

/* The conversation without its older half, for the same one again. */
static bool shortened(struct llm_run *r, struct ask *a)
{
    struct pat_json *less = chat_shorten(r->messages);

    if (!less)
        return false;
    pat_json_free(r->messages);
    r->messages = less;
    if (!use_messages(r))
        return false;
    pat_log(PAT_WARN, "llm.shortened", PAT_S("model", model_of(r, a->step)),
            PAT_I("messages", pat_json_size(less)));
    if (ask_step(r, a, a->step)) {
        a->q = NULL;
        return false;
    }
    return true;
}

/* False: nobody can go on with it. */
static bool can_continue(struct llm_run *r)
{
    struct pat_buf said;

    if (!r->ev.broke_off || r->breaks++ == MAX_BREAKS)
        return false;
    pat_buf_init(&said, SAID_MAX);
    r->ev.broke_off(&said, r->arg);
    if (r->dead || said.err) {
        pat_buf_fini(&said);
        return false;
    }
    pat_buf_fini(&r->said);
    r->said = said;
    if (!use_messages(r))
        return false;
    chat_repeat_fini(&r->repeat);
    chat_repeat_init(&r->repeat, r->said.data ? r->said.data : "");
    return true;
}

static void pause_then_again(struct llm_run *r)
{
    r->pausing = true;
    pat_timer_start(&r->timer, PAUSE_MS);
}

/* Nobody is under way any more. */
static void nobody_left(struct llm_run *r)
{
    if (r->worth_a_round && ++r->round < MAX_ROUNDS)
        pause_then_again(r);
    else
        run_done(r, provider_fault_err(r->last));
}

static void on_failed(struct llm_run *r, struct ask *a, const struct llm_request_end *end)
{
    bool answered = r->answers == a;
    struct ask *goes_on = other(r, a);

    count_failure(r, a, end);
    llm_request_free(a->q);
    a->q = NULL;
    if (answered) {
        r->answers = NULL;
        if (!can_continue(r)) {
            if (!r->dead)
                tell_failure(r, a, end, NULL);
            if (!r->dead)
                run_done(r, provider_fault_err(end->fault));
            return;
        }
    }
    if (goes_on || (end->too_long && shortened(r, a)))
        return; /* somebody else answers, or the same one after all */
    {
        const struct ask failed = *a;
        bool asked = ask_next(r, a) == PAT_OK;

        tell_failure(r, &failed, end, asked ? a : NULL);
        if (r->dead)
            return;
        if (asked)
            start_hedge(r);
        else
            nobody_left(r);
    }
}

static void on_timer(void *arg)
{
    struct llm_run *r = arg;

    if (!r->pausing) {
        hedge(r);
        return;
    }
    r->pausing = false;
    r->tried = 0;
    r->worth_a_round = false;
    if (ask_next(r, &r->ask[0]))
        run_done(r, provider_fault_err(r->last));
    else
        start_hedge(r);
}

/* ---- the requests' news ---- */

static bool enter(struct llm_run *r)
{
    bool was = r->busy;

    r->busy = true;
    return was;
}

static void leave(struct llm_run *r, bool was)
{
    r->busy = was;
    if (r->dead && !was)
        really_free(r);
}

static void on_begun(struct llm_request *q, void *arg)
{
    struct llm_run *r = arg;
    struct ask *a = ask_of(r, q), *loser = other(r, a);

    pat_timer_stop(&r->timer);
    r->answers = a;
    if (a->step != OWN)
        provider_worked(r->llm->o.providers, provider_of(r, a->step));
    if (!loser)
        return;
    pat_counter_add(a == &r->ask[1] ? r->llm->hedge_won : r->llm->hedge_lost, 1);
    r->hedge_prompts++;
    r->hedge_step = loser->step;
    llm_request_free(loser->q);
    loser->q = NULL;
}

static void new_text(const char *delta, size_t len, void *arg)
{
    struct llm_run *r = arg;

    r->ev.text(delta, len, r->arg);
}

static void on_text(struct llm_request *q, const char *delta, size_t len, void *arg)
{
    struct llm_run *r = arg;
    bool was = enter(r);

    (void)q;
    chat_repeat_feed(&r->repeat, delta, len, new_text, r);
    leave(r, was);
}

static void on_done(struct llm_request *q, const struct llm_request_end *end, void *arg)
{
    struct llm_run *r = arg;
    const struct chat *chat = llm_request_chat(q);
    bool was = enter(r);

    if (!end->ok) {
        on_failed(r, ask_of(r, q), end);
        leave(r, was);
        return;
    }
    for (size_t i = 0; i < chat->n_calls && !r->dead; i++) {
        const struct chat_call *c = &chat->calls[i];

        r->ev.tool_call((int)i, c->id, c->name, c->args.data, r->arg);
    }
    if (!r->dead)
        run_done(r, PAT_OK);
    leave(r, was);
}

static const struct llm_request_events request_events = { on_begun, on_text, on_done };

/* ---- life ---- */

static int run_fill(struct llm_run *r, const struct llm_req *req)
{
    const struct provider_chain *c = chain_of(r);

    r->req = *req;
    r->messages = pat_json_dup(req->messages);
    r->tools = req->tools ? pat_json_dup(req->tools) : NULL;
    if (!r->messages || (req->tools && !r->tools))
        return PAT_ENOMEM;
    r->req.messages = r->messages;
    r->req.tools = r->tools;
    if (req->cache_key) {
        pat_strcpy(r->cache_key, sizeof r->cache_key, req->cache_key);
        r->req.cache_key = r->cache_key;
    }
    r->first = -1;
    if (!req->first_model || !*req->first_model || is_gone(r->llm, req->first_model))
        return PAT_OK;
    for (size_t i = 0; i < c->n && r->first < 0; i++)
        if (!strcmp(c->at[i]->model, req->first_model))
            r->first = (int)i;
    if (r->first < 0 && pat_strcpy(r->own_model, sizeof r->own_model, req->first_model))
        r->first = OWN;
    return PAT_OK;
}

static int run_new(struct llm_run **out, struct llm *m, const struct llm_req *req)
{
    struct llm_run *r = calloc(1, sizeof *r);
    int err;

    if (!r)
        return PAT_ENOMEM;
    r->llm = m;
    r->last = FAULT_SERVER;
    pat_buf_init(&r->said, SAID_MAX);
    chat_repeat_init(&r->repeat, "");
    err = pat_timer_init(&r->timer, m->loop, on_timer, r);
    if (!err)
        err = run_fill(r, req);
    if (err) {
        run_free(r);
        return err;
    }
    r->next = m->runs;
    r->at = &m->runs;
    if (r->next)
        r->next->at = &r->next;
    m->runs = r;
    *out = r;
    return PAT_OK;
}

int llm_start(struct llm_run **out, struct llm *m, const struct llm_req *req,
              const struct llm_events *ev, void *arg)
{
    struct llm_run *r;
    int err = run_new(&r, m, req);

    if (err)
        return err;
    r->ev = *ev;
    r->arg = arg;
    err = ask_next(r, &r->ask[0]);
    if (err) {
        run_free(r);
        return err == PAT_ENOENT ? PAT_EUNAVAIL : err;
    }
    start_hedge(r);
    *out = r;
    return PAT_OK;
}

void llm_cancel(struct llm_run *r)
{
    if (r)
        run_free(r);
}

int llm_new(struct llm **out, struct pat_loop *l, struct pat_http *http, const struct llm_opts *o)
{
    struct llm *m;

    if (!providers_of(o->providers, PROVIDER_LLM)->n)
        return PAT_EINVAL;
    m = calloc(1, sizeof *m);
    if (!m)
        return PAT_ENOMEM;
    *m = (struct llm){ .loop = l, .http = http, .o = *o };
    m->hedge_won =
        pat_counter(o->metrics, "pat_agent_hedges_total",
                    "Second requests to a language model, by who was faster", "outcome=\"won\"");
    m->hedge_lost =
        pat_counter(o->metrics, "pat_agent_hedges_total",
                    "Second requests to a language model, by who was faster", "outcome=\"lost\"");
    *out = m;
    return PAT_OK;
}

void llm_free(struct llm *m)
{
    if (!m)
        return;
    while (m->runs)
        run_free(m->runs);
    free(m);
}
