/* call_report.c - what happened, for the record: events through the journal, figures.
 *
 * Everything goes through the journal, which never makes anybody wait; live text alone is
 * published at once and kept by nobody. People's words are in events, never in the log.
 */
#include "call_int.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char source[] = "/patchbay/livekit-agent";

struct report_whose report_whose(const struct call *c)
{
    return (struct report_whose){ .journal = c->env->journal,
                                  .call_id = c->id,
                                  .user_id = c->ctx ? c->ctx->user_id : NULL,
                                  .began_ms = c->began_ms };
}

/* The same event told again by a retry keeps its id. */
struct pat_id report_id_of(const struct report_whose *whose, const char *what)
{
    struct pat_buf b;
    uint8_t hash[32] = { 0 };
    int64_t at_ms = pat_id_time_ms(whose->call_id);

    pat_buf_init(&b, 256);
    if (!pat_buf_addf(&b, "%s|%s", whose->call_id, what))
        pat_sha256(b.data, b.len, hash);
    pat_buf_fini(&b);
    return pat_id_at(at_ms > 0 ? at_ms : whose->began_ms, hash);
}

struct pat_id report_id(const struct call *c, const char *what)
{
    struct report_whose whose = report_whose(c);

    return report_id_of(&whose, what);
}

static void add_whose(const struct report_whose *whose, struct pat_json *data)
{
    pat_json_set_str(data, "call_id", whose->call_id);
    pat_json_set_str(data, "user_id", whose->user_id);
}

void report_once_of(const struct report_whose *whose, const char *area, const char *name,
                    const struct pat_id *id, struct pat_json *data_take,
                    const struct pat_db_stmt *stmt)
{
    struct pat_event e = { .area = area,
                           .name = name,
                           .user_id = whose->user_id,
                           .key = whose->call_id,
                           .source = source,
                           .id = id };

    add_whose(whose, data_take);
    if (pat_journal_add(whose->journal, &e, data_take, stmt, stmt ? 1 : 0))
        pat_log(PAT_ERROR, "call.event_lost", PAT_S("call", whose->call_id), PAT_S("what", name));
}

void report_once(struct call *c, const char *area, const char *name, const struct pat_id *id,
                 struct pat_json *data_take, const struct pat_db_stmt *stmt)
{
    struct report_whose whose = report_whose(c);

    if (c->yielded)
        pat_json_free(data_take);
    else
        report_once_of(&whose, area, name, id, data_take, stmt);
}

void report_event_with(struct call *c, const char *area, const char *name,
                       struct pat_json *data_take, const struct pat_db_stmt *stmt)
{
    if (c->ctx)
        report_once(c, area, name, NULL, data_take, stmt);
    else
        pat_json_free(data_take); /* nobody's call */
}

void report_event(struct call *c, const char *area, const char *name, struct pat_json *data_take)
{
    report_event_with(c, area, name, data_take, NULL);
}

static void add_answered_row(struct call *c, struct pat_json *row, int64_t greeting_ms)
{
    char at[PAT_TIME_LEN + 1];

    pat_time_format(pat_unix_ms(), at);
    pat_json_set_str(row, "id", c->id);
    pat_json_set_str(row, "user_id", c->ctx->user_id);
    pat_json_set_str(row, "stack", "livekit");
    pat_json_set_str(row, "state", "answered");
    pat_json_set_str(row, "answered_at", at);
    pat_json_set_str(row, "livekit_room", c->room_name);
    pat_json_set_str(row, "agent_config_id", c->ctx->agent_config_id);
    if (greeting_ms >= 0)
        pat_json_set_int(row, "greeting_ms", greeting_ms);
}

void report_answered(struct call *c, int64_t greeting_ms)
{
    struct pat_json *data, *row;
    char *text;

    if (c->answered)
        return;
    c->answered = true;
    c->answered_us = pat_now_us();
    pat_counter_add(c->env->answered, 1);
    if (greeting_ms >= 0)
        pat_histogram_observe(c->env->greeting_s, (double)greeting_ms / 1000);
    pat_log(PAT_INFO, "call.answered", PAT_S("call", c->id), PAT_I("greeting_ms", greeting_ms));
    if (!c->ctx)
        return; /* nobody's call: there is no row it could belong to */
    data = pat_json_obj();
    row = pat_json_obj();
    pat_json_set_str(data, "stack", "livekit");
    pat_json_set_str(data, "room", c->room_name);
    pat_json_set_str(data, "agent_config_id", c->ctx->agent_config_id);
    if (greeting_ms >= 0)
        pat_json_set_int(data, "greeting_ms", greeting_ms);
    else
        pat_json_set_null(data, "greeting_ms");
    add_answered_row(c, row, greeting_ms);
    text = pat_json_print(row);
    const char *params[] = { text };
    struct pat_db_stmt stmt = { "put_call", "select patchbay.put_call($1::jsonb)", 1, params };
    struct pat_id id = report_id(c, "answered");
    report_once(c, "call", "answered", &id, data, text ? &stmt : NULL);
    free(text);
    pat_json_free(row);
}

void report_taken_over(struct call *c, const char *state)
{
    struct pat_json *data = pat_json_obj();
    struct pat_buf what;
    struct pat_id id;

    pat_json_set_str(data, "stack", "livekit");
    pat_json_set_str(data, "room", c->room_name);
    pat_json_set_int(data, "epoch", c->epoch);
    pat_json_set_str(data, "state", state);
    pat_json_set_int(data, "turns", c->turns);
    pat_buf_init(&what, 64);
    pat_buf_addf(&what, "taken_over.%d", c->epoch);
    id = report_id(c, what.data ? what.data : "taken_over");
    report_once(c, "call", "taken_over", &id, data, NULL);
    pat_buf_fini(&what);
}

void report_user(struct call *c, const char *text)
{
    int64_t ended_ms = (ear_voiced_us(c->ear) - c->began_us) / 1000;
    struct pat_json *data;
    char code[3];

    pat_log(PAT_INFO, "call.caller_said", PAT_S("call", c->id), PAT_I("turn", c->turns),
            PAT_I("words", words_total(text)));
    if (!c->ctx)
        return;
    data = pat_json_obj();
    pat_json_set_int(data, "turn", c->turns);
    pat_json_set_str(data, "text", text);
    pat_json_set_int(data, "started_ms", c->said_at_ms);
    pat_json_set_int(data, "ended_ms", ended_ms > c->said_at_ms ? ended_ms : call_ms(c));
    pat_json_set_str(data, "language", pat_language_code(c->ctx->language, code));
    report_once(c, "turn", "user", NULL, data, NULL);
}

void report_partial(struct call *c, const char *text)
{
    struct pat_event e = { .area = "turn",
                           .name = "partial",
                           .user_id = c->ctx->user_id,
                           .key = c->id,
                           .source = source };
    struct report_whose whose = report_whose(c);
    struct pat_json *data = pat_json_obj();
    struct pat_event_text t;

    add_whose(&whose, data);
    pat_json_set_int(data, "turn", c->turns + 1);
    pat_json_set_str(data, "role", "user");
    pat_json_set_str(data, "text", text);
    if (pat_event_make(&t, &e, data))
        return;
    if (c->env->bus && pat_bus_publish(c->env->bus, t.subject, t.json, t.len))
        pat_log(PAT_DEBUG, "call.partial_dropped", PAT_S("call", c->id));
    pat_event_text_fini(&t);
}

void report_end(const struct call *c)
{
    PAT_AUTO_JSON j = pat_json_obj();
    PAT_AUTO_STR text = NULL;
    char subject[96];
    int err = PAT_ENOMEM;

    if (!c->env->bus)
        return;
    pat_json_set_str(j, "reason", c->reason);
    pat_json_set_int(j, "epoch", c->epoch);
    text = pat_json_print(j);
    (void)snprintf(subject, sizeof subject, "$KV." CALL_BUCKET ".%.36s.end", c->id);
    if (text)
        err = pat_bus_publish(c->env->bus, subject, text, strlen(text));
    if (err)
        pat_log(PAT_INFO, "call.end_not_noted", PAT_S("call", c->id), PAT_ERR(err));
}

void report_web_end(struct call *c)
{
    /* Whoever asked for the call changed his mind: no fault of anybody's leg. */
    const char *word = strcmp(c->reason, "no_caller") ? c->reason : "caller_gave_up";
    const struct pat_end_reason *why = pat_end_reason_find(word);
    PAT_AUTO_JSON row = NULL;
    PAT_AUTO_STR text = NULL;
    const char *params[1];
    const struct pat_db_stmt stmt = { "put_call", "select patchbay.put_call($1::jsonb)", 1,
                                      params };

    if (!c->ctx || !c->ctx->web)
        return;
    row = pat_json_obj();
    pat_json_set_str(row, "id", c->id);
    pat_json_set_str(row, "user_id", c->ctx->user_id);
    pat_json_set_str(row, "state", "ended");
    pat_json_set_str(row, "outcome", c->answered ? "answered" : "failed");
    pat_json_set_str(row, "ended_reason", why ? word : "completed");
    pat_json_set_str(row, "ended_owner", pat_owner_name(why ? why->owner : PAT_OWNER_CALLER));
    params[0] = text = pat_json_print(row);
    if (!text || pat_journal_add(c->env->journal, NULL, NULL, &stmt, 1))
        pat_log(PAT_ERROR, "call.event_lost", PAT_S("call", c->id), PAT_S("what", "ended"));
}

/* null for a stage that did not take place. */
static void add_ms(struct pat_json *o, const char *name, int64_t from_us, int64_t to_us)
{
    if (from_us && to_us && to_us >= from_us)
        pat_json_set_int(o, name, (to_us - from_us) / 1000);
    else
        pat_json_set_null(o, name);
}

/* What neither the recogniser, nor the model's first sentence, nor the voice took; µs. */
static bool own_share(const struct call *c, int64_t *own_us)
{
    const struct reply_times *r = reply_times(c->reply);

    if (!c->reply_answers || !c->times.voiced_us || !r->voiced_us || !r->sentence_us ||
        !r->sound_us)
        return false;
    *own_us = (r->asked_us - c->times.final_us) + (r->voiced_us - r->sound_us);
    return true;
}

static struct pat_json *timings(const struct call *c)
{
    static const struct reply_times none;
    static const struct turn_times no_turn;
    const struct reply_times *r = c->reply_answers ? reply_times(c->reply) : &none;
    const struct turn_times *t = c->reply_answers ? &c->times : &no_turn;
    struct pat_json *o = pat_json_obj();
    int64_t own_us;

    add_ms(o, "eot_ms", t->voiced_us, t->commit_us);
    add_ms(o, "stt_ms", t->voiced_us, t->final_us);
    add_ms(o, "llm_first_ms", r->asked_us, r->token_us);
    add_ms(o, "llm_sentence_ms", r->asked_us, r->sentence_us);
    add_ms(o, "tts_first_ms", r->sentence_us, r->sound_us);
    add_ms(o, "response_ms", t->voiced_us, r->voiced_us);
    if (own_share(c, &own_us))
        pat_json_set_int(o, "own_ms", own_us > 0 ? own_us / 1000 : 0);
    else
        pat_json_set_null(o, "own_ms");
    return o;
}

void report_agent(struct call *c, const char *text, const char *heard, bool cut)
{
    struct pat_json *data;

    if (cut)
        pat_counter_add(c->env->interruptions, 1);
    pat_log(PAT_INFO, "call.agent_said", PAT_S("call", c->id), PAT_I("words", words_total(heard)),
            PAT_B("cut", cut));
    if (!c->ctx)
        return;
    data = pat_json_obj();
    pat_json_set_int(data, "turn", c->turns);
    pat_json_set_str(data, "text", text);
    pat_json_set_str(data, "heard", heard);
    pat_json_set_bool(data, "interrupted", cut);
    if (c->mouth) {
        pat_json_set_str(data, "voice", mouth_voice(c->mouth));
        pat_json_set_str(data, "voice_provider", mouth_account(c->mouth));
    }
    if (c->stt)
        pat_json_set_str(data, "stt_provider", stt_listens(c->stt)->name);
    if (c->reply_answers) {
        pat_json_set_str(data, "model", reply_model(c->reply));
        pat_json_set_str(data, "model_provider", reply_provider(c->reply));
    }
    pat_json_set_take(data, "timings", timings(c));
    figures_add(c, data);
    report_once(c, "turn", "agent", NULL, data, NULL);
    if (cut) {
        data = pat_json_obj();
        pat_json_set_int(data, "turn", c->turns);
        pat_json_set_int(data, "heard_ms", reply_heard_ms(c->reply));
        report_once(c, "turn", "interrupted", NULL, data, NULL);
    }
}

void report_turn_figures(struct call *c)
{
    const struct reply_times *r = reply_times(c->reply);
    int64_t response_us = r->voiced_us - c->times.voiced_us, own_us;

    if (!own_share(c, &own_us))
        return;
    figures_observe(c);
    pat_histogram_observe(c->env->response_s, (double)response_us / 1e6);
    pat_histogram_observe(c->env->own_s, own_us > 0 ? (double)own_us / 1e6 : 0);
    pat_log(PAT_INFO, "call.responded", PAT_S("call", c->id), PAT_I("turn", c->turns),
            PAT_I("response_ms", response_us / 1000), PAT_I("own_ms", own_us / 1000),
            PAT_I("stt_ms", (c->times.final_us - c->times.voiced_us) / 1000),
            PAT_I("llm_ms", (r->sentence_us - r->asked_us) / 1000),
            PAT_I("tts_ms", (r->sound_us - r->sentence_us) / 1000));
}
