/* call_usage.c - what the call uses, of whom, and what that costs so far.
 *
 * How: the model's tokens are added as they are told; recogniser, voice and time are read where
 * they are counted whenever somebody asks. What agents before us used is in c->used too: a
 * checkpoint has all of it, and whoever ends the call tells it, once per segment, component,
 * account and model. A segment is the time in one room: a caller who comes back from a transfer
 * begins another.
 */
#include "call_int.h"

#include <assert.h>
#include <string.h>

enum { LOOK_US = 1000 * 1000, CENT_MICROUSD = 10000 };

void call_used(const char *model, const struct llm_usage *u, void *call)
{
    struct call *c = call;
    int64_t fresh = u->prompt_tokens - u->cached_tokens;

    c->model_runs = false;
    c->prompt_tokens += u->prompt_tokens + u->lost_tokens;
    c->cached_tokens += u->cached_tokens;
    c->completion_tokens += u->completion_tokens;
    usage_add(&c->used, USAGE_LLM_IN, u->provider, model, fresh * 1000);
    usage_add(&c->used, USAGE_LLM_CACHED, u->provider, model, u->cached_tokens * 1000);
    usage_add(&c->used, USAGE_LLM_OUT, u->provider, model, u->completion_tokens * 1000);
    if (u->lost_tokens)
        usage_add(&c->used, USAGE_LLM_IN, u->lost_provider, u->lost_model, u->lost_tokens * 1000);
}

void call_usage_speech(struct usage *u, const struct stt *s, const struct mouth *m)
{
    struct provider_used by[STT_USED_MAX];
    size_t n = s ? stt_used(s, by, STT_USED_MAX) : 0;

    for (size_t i = 0; i < n; i++) {
        usage_add(u, USAGE_STT, by[i].by->name, by[i].model, by[i].open_ms);
        usage_add(u, USAGE_STT_AUDIO, by[i].by->name, by[i].model, by[i].quantity);
    }
    n = m ? mouth_used(m, by, TTS_HOPS) : 0;
    for (size_t i = 0; i < n; i++)
        usage_add(u, USAGE_TTS, by[i].by->name, by[i].model, by[i].quantity * 1000);
    if (m)
        usage_add(u, USAGE_TTS_CACHED, "patchbay", NULL, mouth_saved(m) * 1000);
}
static_assert((int)TTS_HOPS <= (int)STT_USED_MAX, "one list serves for both");

/* The caller's leg goes on whoever serves it: counted from its own beginning. Of one who has gone
 * before we came nobody knows when: until the last mark, which is seconds old at most. */
static void add_leg(const struct call *c, struct usage *u, int64_t now_us)
{
    bool before_us = c->keep.heard_since_us && !c->hears_us;
    int64_t since_us = c->keep.heard_since_us ? c->keep.heard_since_us : c->hears_us;
    int64_t until_us = before_us ? c->keep.marked_us : now_us;
    bool sip = before_us ? c->keep.marked_sip : c->caller_kind == RTC_SIP;

    if (since_us && until_us > since_us)
        usage_add(u, sip ? USAGE_SIP : USAGE_PARTICIPANT, "livekit", NULL,
                  (until_us - since_us) / 1000);
}

static void add_time(const struct call *c, struct usage *u)
{
    int64_t now_us = pat_now_us();

    if (c->joined)
        usage_add(u, USAGE_AGENT, "livekit", NULL, (now_us - c->made_us) / 1000);
    add_leg(c, u, now_us);
}

/* All of it up to now, of this segment. */
static void usage_now(const struct call *c, struct usage *u)
{
    *u = c->used;
    call_usage_speech(u, c->stt, c->mouth);
    add_time(c, u);
}

/* The leg's time is not in it: whoever goes on counts it from the same beginning. */
struct pat_json *call_usage_save(const struct call *c)
{
    struct usage u = c->used;
    struct pat_json *o = pat_json_obj();

    call_usage_speech(&u, c->stt, c->mouth);
    if (c->joined)
        usage_add(&u, USAGE_AGENT, "livekit", NULL, (pat_now_us() - c->made_us) / 1000);
    pat_json_set_int(o, "segment", c->segment);
    pat_json_set_str(o, "user_id", c->ctx ? c->ctx->user_id : NULL);
    pat_json_set_take(o, "lines", usage_save(&u));
    return o;
}

void call_usage_load(struct call *c, const struct pat_json *saved)
{
    c->segment = (int)pat_json_int_or(saved, "segment", 1);
    usage_load(&c->used, pat_json_at(saved, "lines"));
}

/* ---- told ---- */

static void tell(const struct report_whose *whose, int segment, const struct usage_line *l)
{
    struct pat_json *data = pat_json_obj();
    PAT_AUTO_JSON row = NULL;
    PAT_AUTO_STR text = NULL;
    struct pat_buf what;
    char vendor[32], at[PAT_TIME_LEN + 1];
    struct pat_id id;

    usage_vendor(l->account, vendor);
    pat_json_set_str(data, "leg", "livekit");
    pat_json_set_int(data, "segment", segment);
    pat_json_set_str(data, "component", usage_name(l->what));
    pat_json_set_str(data, "unit", usage_unit(l->what));
    pat_json_set_num(data, "quantity", (double)l->milli / 1000);
    pat_json_set_str(data, "provider", vendor);
    pat_json_set_str(data, "account", l->account);
    pat_json_set_str(data, "model", *l->model ? l->model : NULL);

    pat_buf_init(&what, 400);
    pat_buf_addf(&what, "usage|%d|%s|%s|%s", segment, usage_name(l->what), l->account, l->model);
    id = report_id_of(whose, what.data ? what.data : "usage");
    pat_buf_fini(&what);

    row = pat_json_dup(data);
    pat_time_format(pat_unix_ms(), at);
    pat_json_set_str(row, "id", id.s);
    pat_json_set_str(row, "call_id", whose->call_id);
    pat_json_set_str(row, "user_id", whose->user_id);
    pat_json_set_int(row, "quantity_milli", l->milli);
    pat_json_set_str(row, "used_at", at);
    text = pat_json_print(row);
    const char *params[] = { text };
    const struct pat_db_stmt stmt = { "put_usage", "select patchbay.put_usage($1::jsonb)", 1,
                                      params };
    report_once_of(whose, "usage", "recorded", &id, data, text ? &stmt : NULL);
}

static void tell_all(const struct report_whose *whose, int segment, const struct usage *u)
{
    if (u->lost)
        pat_log(PAT_ERROR, "call.usage_lost", PAT_S("call", whose->call_id),
                PAT_I("lines", u->lost));
    for (size_t i = 0; i < u->n; i++)
        tell(whose, segment, &u->line[i]);
}

void report_usage(struct call *c)
{
    struct report_whose whose = report_whose(c);
    struct usage u;

    if (!c->ctx || c->yielded)
        return;
    usage_now(c, &u);
    tell_all(&whose, c->segment, &u);
}

/* As call_usage_load and add_leg would have it, had somebody gone on. */
void call_usage_left(const struct env *e, const char *call_id_text, const struct pat_json *saved)
{
    struct report_whose whose = { .journal = e->journal,
                                  .call_id = call_id_text,
                                  .user_id = pat_json_str_or(saved, "used.user_id", NULL),
                                  .began_ms = pat_json_int_or(saved, "began_ms", 0) };
    int64_t hears_ms = pat_json_int_or(saved, "hears_ms", 0);
    int64_t until_ms = pat_json_int_or(saved, "at_ms", 0);
    struct usage u = { .n = 0 };

    if (!pat_id_valid(whose.user_id))
        return; /* nobody's call */
    usage_load(&u, pat_json_at(saved, "used.lines"));
    if (hears_ms)
        usage_add(&u, pat_json_bool_or(saved, "sip", true) ? USAGE_SIP : USAGE_PARTICIPANT,
                  "livekit", NULL, until_ms - hears_ms);
    pat_log(PAT_WARN, "call.usage_left", PAT_S("call", call_id_text), PAT_I("lines", (int64_t)u.n));
    tell_all(&whose, (int)pat_json_int_or(saved, "used.segment", 1), &u);
}

/* ---- limited ---- */

/* The daemon's limit and the user's: the lower one. 0: none. */
static int64_t limit_microusd(const struct call *c)
{
    int64_t ours = c->env->conf->max_call_cents, theirs = c->ctx ? c->ctx->max_call_cents : 0;

    return (ours && theirs && theirs < ours ? theirs : ours ? ours : theirs) * CENT_MICROUSD;
}

static void no_prices(struct call *c, size_t unpriced)
{
    if (!unpriced || c->unpriced_told)
        return;
    c->unpriced_told = true;
    pat_log(PAT_WARN, "call.cost_unknown", PAT_S("call", c->id),
            PAT_I("unpriced", (int64_t)unpriced));
}

void call_look_at_cost(struct call *c)
{
    int64_t now_us = pat_now_us(), max = limit_microusd(c), cost;
    struct usage u;
    size_t unpriced;

    if (!max || now_us - c->cost_looked_us < LOOK_US || c->turn.leaving)
        return;
    c->cost_looked_us = now_us;
    usage_now(c, &u);
    cost = usage_cost(&u, pat_price_book_now(c->env->prices), pat_unix_ms(), &unpriced);
    no_prices(c, unpriced);
    if (cost >= max)
        call_limit_reached(c, "cost", cost, max);
}
