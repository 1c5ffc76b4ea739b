/* rig.c - makes the world of fakes.h into a call that can be turned. */
#include "rig.h"

#include "../chains.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_ended(struct call *c, void *arg)
{
    struct rig *r = arg;

    call_free(c);
    r->call = NULL;
    r->over = true;
}

static void on_headers(struct call *c, const struct context_headers *h, void *arg)
{
    struct rig *r = arg;

    (void)c;
    assert_string_equal(h->user, USER);
    r->headers++;
}

static const struct call_events events = { .headers = on_headers, .ended = on_ended };

struct context *context(const char *greeting)
{
    char text[1000];
    struct pat_json *j;
    struct context *c;

    (void)snprintf(text, sizeof text,
                   "{\"call_id\":\"" CALL "\",\"user_id\":\"" USER "\",\"agent_config_id\":\"" AGENT
                   "\",\"settings\":{\"user_name\":\"Ada\",\"greeting_template\":\"%s\","
                   "\"voice\":{\"responsiveness\":1,\"interruption_sensitivity\":1}}}",
                   greeting);
    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    assert_int_equal(context_parse(&c, j, NULL), PAT_OK);
    pat_json_free(j);
    return c;
}

int rig_set_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    struct env *e = &r->env;
    static char none[] = "", model[] = "a-model";

    assert_int_equal(pat_loop_new(&r->loop), PAT_OK);
    assert_int_equal(pat_metrics_new(&r->metrics), PAT_OK);
    fake_reset(r->loop);
    r->conf = (struct agent_conf){ .deepgram_url = none,
                                   .deepgram_key = none,
                                   .deepgram_model = model,
                                   .openai_models = model,
                                   .elevenlabs_model = model,
                                   .openai_tts_model = model,
                                   .event_log_dir = none,
                                   .voice_fallback = none,
                                   .turn_detection = none,
                                   .max_tool_calls = 10,
                                   .max_call_ms = 60000 };
    e->loop = r->loop;
    e->metrics = r->metrics;
    e->conf = &r->conf;
    assert_int_equal(
        phrases_new(&e->phrases, r->loop, &(struct phrases_opts){ .max_bytes = 1 << 20 }), PAT_OK);
    assert_int_equal(chains_new(&e->providers, &r->conf, r->metrics, NULL, NULL), PAT_OK);
    assert_int_equal(kept_new(&e->kept, e), PAT_OK);
    e->answered = e->failed = e->interruptions = e->late_frames =
        pat_counter(r->metrics, "c_total", "c", NULL);
    e->greeting_s = e->response_s = e->own_s =
        pat_histogram(r->metrics, "h", "h", NULL, pat_buckets_latency_s, 14);
    *state = r;
    return 0;
}

int rig_tear_down(void **state)
{
    struct rig *r = *state;

    call_free(r->call);
    kept_free(r->env.kept);
    phrases_free(r->env.phrases);
    providers_free(r->env.providers);
    for (int i = 0; i < 100 && pat_loop_free(r->loop); i++)
        pat_loop_run_once(r->loop, 10); /* an encoder's job may be on its way back */
    pat_metrics_free(r->metrics);
    fake_free();
    free(r);
    return 0;
}

void begin_with(struct rig *r, struct context *ctx, struct mouth *mouth)
{
    const struct call_start s = { CALL, "call_" CALL, "ws://x", "token", "AJ_1", 1, NULL, false };

    assert_int_equal(call_new(&r->call, &r->env, &s, ctx, mouth, &events, r), PAT_OK);
}

void take_over(struct rig *r, struct context *ctx, const struct pat_json *saved)
{
    const struct call_start s = { CALL, "call_" CALL, "ws://x", "token", "AJ_1", 2, saved, false };

    assert_int_equal(call_new(&r->call, &r->env, &s, ctx, NULL, &events, r), PAT_OK);
}

void begin(struct rig *r, struct context *ctx)
{
    begin_with(r, ctx, NULL);
}

struct rtc_participant caller(bool gone, int reason)
{
    return (struct rtc_participant){ .sid = "PA_1",
                                     .identity = "sip_caller",
                                     .name = "Phone",
                                     .kind = RTC_SIP,
                                     .gone = gone,
                                     .disconnect_reason = reason };
}

void attribute(const char *name, const char *value)
{
    struct rtc_participant p = caller(false, 0);

    fake.rtc->attribute(&p, name, value, fake.rtc_arg);
}

void come_in(struct rig *r)
{
    struct rtc_participant p = caller(false, 0);

    (void)r;
    fake.rtc->joined(fake.rtc_arg);
    fake.rtc->participant(&p, fake.rtc_arg);
    attribute("sip.callStatus", "ringing");
    fake.rtc->subscribed(fake.rtc_arg);
    attribute("sip.callStatus", "active");
}

void turn_until(struct rig *r, bool (*cond)(struct rig *), int timeout_ms)
{
    int64_t end = pat_now_ms() + timeout_ms;

    while (!cond(r)) {
        if (pat_now_ms() > end)
            fail_msg("the awaited did not come within %d ms", timeout_ms);
        pat_loop_run_once(r->loop, 5);
    }
}

bool is_answered(struct rig *r)
{
    (void)r;
    return fake_event("call.answered") != NULL;
}

bool is_listening(struct rig *r)
{
    (void)r;
    return strcmp(fake.state, "listening") == 0;
}

bool is_speaking(struct rig *r)
{
    (void)r;
    return strcmp(fake.state, "speaking") == 0;
}

bool is_over(struct rig *r)
{
    return r->over;
}

/* Greeted, and waiting for the caller's word. */
void greeted(struct rig *r)
{
    begin(r, context("Hi {name}."));
    come_in(r);
    turn_until(r, is_answered, 1000);
    turn_until(r, is_listening, 1000);
}

int64_t int_in(const char *json, const char *path)
{
    struct pat_json *j;
    int64_t v;

    assert_non_null(json);
    assert_int_equal(pat_json_parse(&j, json, strlen(json), NULL), PAT_OK);
    v = pat_json_int_or(j, path, -1);
    pat_json_free(j);
    return v;
}
