/* call_report.c - what happened, for the record: events through the journal, figures, usage.
 *
 * Everything goes through the journal, which never makes anybody wait; live text alone is
 * published at once and kept by nobody. People's words are in events, never in the log.
 */
#include "call_int.h"

#include <stdlib.h>
#include <string.h>

static const char source[] = "/patchbay/livekit-agent";

/* The same event told again by a retry keeps its id. */
static struct pat_id id_for(const struct call *c, const char *what)
{
    struct pat_buf b;
    uint8_t hash[32] = { 0 };

    pat_buf_init(&b, 256);
    if (!pat_buf_addf(&b, "%s|%s", c->id, what))
        pat_sha256(b.data, b.len, hash);
    pat_buf_fini(&b);
    return pat_id_at(pat_id_time_ms(c->id) > 0 ? pat_id_time_ms(c->id) : c->began_ms, hash);
}

static void put(struct call *c, const char *area, const char *name, const struct pat_id *id,
                struct pat_json *data_take, const struct pat_db_stmt *stmt)
{
    struct pat_event e = { .area = area,
                           .name = name,
                           .user_id = c->ctx ? c->ctx->user_id : NULL,
                           .key = c->id,
                           .source = source,
                           .id = id };

    pat_json_set_str(data_take, "call_id", c->id);
    if (pat_journal_add(c->env->journal, &e, data_take, stmt, stmt ? 1 : 0))
        pat_log(PAT_ERROR, "call.event_lost", PAT_S("call", c->id), PAT_S("event", name));
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
    add_answered_row(c, row, greeting_ms);
    text = pat_json_print(row);
    const char *params[] = { text };
    struct pat_db_stmt stmt = { "put_call", "select patchbay.put_call($1::jsonb)", 1, params };
    struct pat_id id = id_for(c, "answered");
    put(c, "call", "answered", &id, data, text ? &stmt : NULL);
    free(text);
    pat_json_free(row);
}

void report_user(struct call *c, const char *text)
{
    struct pat_json *data;

    pat_log(PAT_INFO, "call.caller_said", PAT_S("call", c->id), PAT_I("turn", c->turns),
            PAT_I("words", prompt_words(text, true)));
    if (!c->ctx)
        return;
    data = pat_json_obj();
    pat_json_set_int(data, "turn", c->turns);
    pat_json_set_str(data, "text", text);
    pat_json_set_int(data, "start_ms", c->said_at_ms);
    pat_json_set_int(data, "end_ms",
                     c->times.voiced_us ? (c->times.voiced_us - c->began_us) / 1000 : call_ms(c));
    put(c, "turn", "user", NULL, data, NULL);
}

void report_partial(struct call *c, const char *text)
{
    struct pat_event e = { .area = "turn",
                           .name = "partial",
                           .user_id = c->ctx->user_id,
                           .key = c->id,
                           .source = source };
    struct pat_json *data = pat_json_obj();
    struct pat_event_text t;

    pat_json_set_str(data, "call_id", c->id);
    pat_json_set_str(data, "role", "user");
    pat_json_set_str(data, "text", text);
    if (pat_event_make(&t, &e, data))
        return;
    if (c->env->bus && pat_bus_publish(c->env->bus, t.subject, t.json, t.len))
        pat_log(PAT_DEBUG, "call.partial_dropped", PAT_S("call", c->id));
    pat_event_text_fini(&t);
}

static void add_ms(struct pat_json *o, const char *name, int64_t from_us, int64_t to_us)
{
    if (from_us && to_us && to_us >= from_us)
        pat_json_set_int(o, name, (to_us - from_us) / 1000);
}

static struct pat_json *timings(const struct call *c)
{
    const struct reply_times *r = reply_times(c->reply);
    struct pat_json *t = pat_json_obj();

    add_ms(t, "stt_ms", c->times.voiced_us, c->times.final_us);
    add_ms(t, "end_of_turn_ms", c->times.voiced_us, c->times.commit_us);
    add_ms(t, "llm_first_token_ms", r->asked_us, r->token_us);
    add_ms(t, "llm_first_sentence_ms", r->asked_us, r->sentence_us);
    add_ms(t, "tts_first_audio_ms", r->sentence_us, r->sound_us);
    add_ms(t, "response_ms", c->times.voiced_us, r->voiced_us);
    return t;
}

void report_agent(struct call *c, const char *text, const char *heard, bool cut)
{
    struct pat_json *data;

    if (cut)
        pat_counter_add(c->env->interruptions, 1);
    pat_log(PAT_INFO, "call.agent_said", PAT_S("call", c->id),
            PAT_I("words", prompt_words(heard, true)), PAT_B("cut", cut));
    if (!c->ctx)
        return;
    data = pat_json_obj();
    pat_json_set_int(data, "turn", c->turns);
    pat_json_set_str(data, "text", text);
    pat_json_set_str(data, "heard", heard);
    pat_json_set_bool(data, "interrupted", cut);
    if (c->mouth) {
        pat_json_set_str(data, "voice", mouth_voice(c->mouth));
        pat_json_set_str(data, "voice_provider", mouth_provider(c->mouth));
    }
    if (c->reply_answers) {
        pat_json_set_str(data, "model", reply_model(c->reply));
        pat_json_set_take(data, "timings", timings(c));
    }
    put(c, "turn", "agent", NULL, data, NULL);
    if (cut) {
        data = pat_json_obj();
        pat_json_set_int(data, "turn", c->turns);
        pat_json_set_str(data, "heard", heard);
        put(c, "turn", "interrupted", NULL, data, NULL);
    }
}

void report_turn_figures(struct call *c)
{
    const struct reply_times *r = reply_times(c->reply);
    int64_t response, own;

    if (!c->times.voiced_us || !r->voiced_us || !r->sentence_us || !r->sound_us)
        return;
    response = r->voiced_us - c->times.voiced_us;
    /* What neither the recogniser, nor the model's first sentence, nor the voice took. */
    own = response - (c->times.final_us - c->times.voiced_us) - (r->sentence_us - r->asked_us) -
          (r->sound_us - r->sentence_us);
    pat_histogram_observe(c->env->response_s, (double)response / 1e6);
    pat_histogram_observe(c->env->own_s, own > 0 ? (double)own / 1e6 : 0);
    pat_log(PAT_INFO, "call.responded", PAT_S("call", c->id), PAT_I("turn", c->turns),
            PAT_I("response_ms", response / 1000), PAT_I("own_ms", own / 1000),
            PAT_I("stt_ms", (c->times.final_us - c->times.voiced_us) / 1000),
            PAT_I("llm_ms", (r->sentence_us - r->asked_us) / 1000),
            PAT_I("tts_ms", (r->sound_us - r->sentence_us) / 1000));
}

static void usage(struct call *c, const char *component, const char *unit, int64_t quantity,
                  const char *provider, const char *model)
{
    struct pat_json *data;
    struct pat_id id = id_for(c, component);

    if (quantity <= 0)
        return;
    data = pat_json_obj();
    pat_json_set_str(data, "leg", "agent");
    pat_json_set_int(data, "segment", 1);
    pat_json_set_str(data, "stack", "livekit");
    pat_json_set_str(data, "component", component);
    pat_json_set_str(data, "unit", unit);
    pat_json_set_int(data, "quantity", quantity);
    pat_json_set_str(data, "provider", provider);
    pat_json_set_str(data, "model", model);
    put(c, "usage", "recorded", &id, data, NULL);
}

void report_usage(struct call *c)
{
    if (!c->ctx)
        return;
    if (c->stt)
        usage(c, "stt", "ms", stt_audio_ms(c->stt), "deepgram", c->env->conf->deepgram_model);
    usage(c, "llm_input", "tokens", c->prompt_tokens - c->cached_tokens, "openai", c->model);
    usage(c, "llm_cached_input", "tokens", c->cached_tokens, "openai", c->model);
    usage(c, "llm_output", "tokens", c->completion_tokens, "openai", c->model);
    if (c->mouth)
        usage(c, "tts", "characters", mouth_characters(c->mouth), mouth_provider(c->mouth),
              mouth_model(c->mouth));
    if (c->answered_us)
        usage(c, "agent", "ms", (pat_now_us() - c->answered_us) / 1000, "patchbay", "");
}
