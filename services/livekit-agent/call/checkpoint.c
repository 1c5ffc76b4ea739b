/* checkpoint.c - a call's state out as JSON, and into the next agent's call. */
#include "checkpoint.h"

#include "../speech/sentence.h"
#include "agent_int.h"
#include "call_int.h"
#include "tool_ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PUT_MS = 2000,
    HISTORY_MAX = 64 * 1024, /* more than the model is ever given */
    TEXT_MAX = 64 * 1024,
    OLD_MS = 5000, /* the recogniser's seconds of a call are no older than this */
};

/* In the order loaded. */
static const struct checkpoint_part checkpoint_parts[] = {
    { "passcode", call_passcode_save, call_passcode_load },
    { "recording", call_record_save, call_record_load },
    { "used", call_usage_save, call_usage_load },
    { "warm", warm_save, warm_load },
    { "tools", call_tools_save, call_tools_load },
    { NULL, NULL, NULL },
};

/* A write on its way; it may outlive the call. */
struct saving {
    struct call *call; /* NULL: gone */
};

/* ---- out ---- */

static struct pat_json *reply_of(const struct call *c)
{
    struct pat_json *o;
    struct pat_buf text, heard;

    if (!c->reply)
        return NULL;
    pat_buf_init(&text, TEXT_MAX);
    pat_buf_init(&heard, TEXT_MAX);
    reply_text(c->reply, &text);
    reply_heard(c->reply, &heard);
    o = pat_json_obj();
    pat_json_set_str(o, "text", text.len ? text.data : "");
    pat_json_set_int(o, "heard", (int64_t)heard.len);
    pat_json_set_bool(o, "whole", reply_written(c->reply));
    pat_json_set_bool(o, "answers", c->reply_answers);
    if (c->keep.heard_before)
        pat_json_set_str(o, "before", c->keep.heard_before);
    pat_buf_fini(&text);
    pat_buf_fini(&heard);
    return o;
}

static struct pat_json *usage_of(const struct call *c)
{
    struct pat_json *o = pat_json_obj();

    pat_json_set_int(o, "prompt_tokens", c->prompt_tokens);
    pat_json_set_int(o, "cached_tokens", c->cached_tokens);
    pat_json_set_int(o, "completion_tokens", c->completion_tokens);
    return o;
}

static int64_t unix_of(const struct call *c, int64_t us)
{
    return us ? c->began_ms + (us - c->began_us) / 1000 : 0;
}

struct pat_json *checkpoint_make(const struct call *c)
{
    struct pat_json *o = pat_json_obj();
    struct pat_json *turn = pat_json_obj();
    struct pat_json *reply = reply_of(c);

    pat_json_set_int(o, "epoch", c->epoch);
    pat_json_set_int(o, "at_ms", pat_unix_ms());
    pat_json_set_int(o, "began_ms", c->began_ms);
    pat_json_set_int(o, "hears_ms",
                     unix_of(c, c->keep.heard_since_us ? c->keep.heard_since_us : c->hears_us));
    pat_json_set_bool(o, "sip", c->caller_kind == RTC_SIP);
    pat_json_set_bool(o, "answered", c->answered);
    pat_json_set_int(o, "turns", c->turns);
    pat_json_set_str(o, "state", turn_state_name(c->turn.state));
    pat_json_set_bool(turn, "voice", c->turn.voice && !c->turn.deaf);
    pat_json_set_bool(turn, "leaving", c->turn.leaving);
    pat_json_set_take(o, "turn", turn);
    pat_json_set_str(o, "reason", c->reason);
    pat_json_set_bool(o, "said", c->said.len || c->partial.len);
    if (c->history)
        pat_json_set_take(o, "history", history_tail(c->history, HISTORY_MAX));
    if (reply)
        pat_json_set_take(o, "reply", reply);
    pat_json_set_take(o, "usage", usage_of(c));
    for (const struct checkpoint_part *p = checkpoint_parts; p->name; p++) {
        struct pat_json *part = p->save(c);
        if (part)
            pat_json_set_take(o, p->name, part);
    }
    return o;
}

static void on_saved(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct saving *s = arg;
    struct call *c = s->call;

    (void)revision, (void)data, (void)len;
    free(s);
    if (!c)
        return;
    c->keep.saving = NULL;
    if (err) {
        pat_log(PAT_DEBUG, "call.checkpoint_failed", PAT_S("call", c->id), PAT_ERR(err));
        c->keep.dirty = true;
    }
    if (!c->ending)
        pat_timer_start_rough(&c->keep.due, c->keep.dirty ? CHECKPOINT_MS : OLD_MS);
}

static void save(struct call *c)
{
    PAT_AUTO_JSON j = checkpoint_make(c);
    PAT_AUTO_STR text = pat_json_print(j);
    struct saving *s = text ? calloc(1, sizeof *s) : NULL;
    char key[64];

    if (!s)
        return;
    (void)snprintf(key, sizeof key, "%s.state.%d", c->id, c->epoch);
    if (pat_kv_put(c->env->bus, AGENT_BUCKET, key, text, strlen(text), PAT_KV_ANY, PUT_MS, on_saved,
                   s)) {
        free(s);
        return;
    }
    if (c->keep.saving)
        c->keep.saving->call = NULL; /* a flush overtakes: whatever becomes of that one */
    s->call = c;
    c->keep.saving = s;
    c->keep.dirty = false;
}

static void on_due(void *arg)
{
    struct call *c = arg;

    if (c->keep.saving || c->ending)
        return; /* on_saved looks again */
    save(c);
}

int checkpoint_init(struct call *c)
{
    return pat_timer_init(&c->keep.due, c->env->loop, on_due, c);
}

/* Until it goes on here, what the one before us has left is what counts. */
static bool has_nothing(const struct call *c)
{
    return c->ending || !c->env->bus || c->keep.saved ||
           (c->keep.plan.what != RESUME_NO && !c->keep.resumed);
}

void checkpoint_touch(struct call *c)
{
    if (c->keep.dirty || has_nothing(c))
        return;
    c->keep.dirty = true;
    if (!c->keep.saving)
        pat_timer_start_rough(&c->keep.due, CHECKPOINT_MS);
}

void checkpoint_flush(struct call *c)
{
    if (!has_nothing(c))
        save(c);
}

void checkpoint_free(struct call *c)
{
    if (c->keep.saving)
        c->keep.saving->call = NULL;
    c->keep.saving = NULL;
    pat_timer_fini(&c->keep.due);
    pat_json_free(c->keep.saved);
    free(c->keep.plan.say);
    free(c->keep.heard_before);
}

/* ---- how to go on: pure ---- */

struct rest {
    struct pat_buf text;
    size_t heard, end;
};

static void on_sentence(const char *text, size_t len, void *arg)
{
    struct rest *r = arg;

    r->end += (r->end ? 1 : 0) + len;
    if (r->end <= r->heard)
        return;
    if (r->text.len)
        pat_buf_adds(&r->text, " ");
    pat_buf_add(&r->text, text, len);
}

/* From the first sentence that was not heard whole. */
static char *rest_of(const char *text, int64_t heard)
{
    struct rest r = { .heard = heard > 0 ? (size_t)heard : 0 };
    struct sentence s;

    pat_buf_init(&r.text, TEXT_MAX);
    sentence_init(&s, 1, on_sentence, &r);
    sentence_feed(&s, text, strlen(text));
    sentence_end(&s);
    return pat_buf_take(&r.text);
}

static bool is(const char *state, enum turn_state s)
{
    return strcmp(state, turn_state_name(s)) == 0;
}

struct resume_plan checkpoint_plan(const struct pat_json *j)
{
    const char *state = pat_json_str_or(j, "state", "");
    const struct pat_json *reply = pat_json_at(j, "reply");
    bool leaving = pat_json_bool_or(j, "turn.leaving", false);
    bool voice = pat_json_bool_or(j, "turn.voice", false) || pat_json_bool_or(j, "said", false);
    struct resume_plan plan = { RESUME_LISTEN, leaving, NULL };

    if (!*state || (is(state, TURN_STARTING) && !pat_json_bool_or(j, "answered", false)))
        return (struct resume_plan){ RESUME_NO, false, NULL };
    if (is(state, TURN_CLOSING))
        return (struct resume_plan){ RESUME_LEAVE, true, NULL };
    if (!leaving && pat_json_bool_or(j, "tools.running", false)) {
        plan.what = RESUME_TOOLS;
        return plan;
    }
    if (!leaving && (is(state, TURN_INTERRUPTED) || is(state, TURN_MAYBE_DONE) ||
                     (voice && !is(state, TURN_SPEAKING)))) {
        plan.what = RESUME_REPEAT;
        return plan;
    }
    if (!reply && is(state, TURN_THINKING)) /* greeting or answer, about to be made */
        plan.what = pat_json_bool_or(j, "answered", false) ? RESUME_THINK : RESUME_NO;
    if (!reply)
        return plan;
    plan.say = rest_of(pat_json_str_or(reply, "text", ""), pat_json_int_or(reply, "heard", 0));
    if (pat_json_bool_or(reply, "answers", false) && !pat_json_bool_or(reply, "whole", false) &&
        (!plan.say || !*plan.say || !pat_json_int_or(reply, "heard", 0))) {
        plan.what = RESUME_THINK; /* nothing of it was heard, or all that was written */
    } else if (plan.say && *plan.say) {
        plan.what = RESUME_SAY;
    } else if (leaving) {
        plan.what = RESUME_LEAVE;
    }
    if (plan.what != RESUME_SAY) {
        free(plan.say);
        plan.say = NULL;
    }
    return plan;
}

/* ---- in ---- */

static void load_history(struct call *c, const struct pat_json *list)
{
    PAT_JSON_EACH(m, list)
    {
        const char *text = pat_json_str_or(m, "content", "");
        int64_t at_ms = pat_json_int_or(m, "start_ms", 0);

        if (strcmp(pat_json_str_or(m, "role", ""), "user") == 0)
            (void)history_user(c->history, text, at_ms);
        else
            (void)history_agent(c->history, text, at_ms);
    }
}

static void load_usage(struct call *c, const struct pat_json *u)
{
    if (!u)
        return;
    c->prompt_tokens = pat_json_int_or(u, "prompt_tokens", 0);
    c->cached_tokens = pat_json_int_or(u, "cached_tokens", 0);
    c->completion_tokens = pat_json_int_or(u, "completion_tokens", 0);
}

/* What was heard of a reply that is not gone on with belongs to the history. */
static void load_heard(struct call *c, const struct pat_json *reply)
{
    const char *text = pat_json_str_or(reply, "text", "");
    const char *before = pat_json_str_or(reply, "before", "");
    int64_t n = pat_json_int_or(reply, "heard", 0);
    size_t len = strlen(text), heard = n > 0 && (size_t)n < len ? (size_t)n : n > 0 ? len : 0;
    struct pat_buf b;

    if (c->keep.plan.what == RESUME_SAY) /* the sentence that was cut is said again, whole */
        heard = len > strlen(c->keep.plan.say) ? len - strlen(c->keep.plan.say) : 0;
    pat_buf_init(&b, 2 * TEXT_MAX);
    pat_buf_addf(&b, "%s%s%.*s", before, *before && heard ? " " : "", (int)heard, text);
    while (b.len && b.data[b.len - 1] == ' ')
        b.data[--b.len] = 0;
    if (c->keep.plan.what == RESUME_SAY && b.len)
        c->keep.heard_before = pat_buf_take(&b);
    else if (b.len)
        (void)history_agent(c->history, b.data, call_ms(c));
    pat_buf_fini(&b);
}

void checkpoint_load(struct call *c, const struct pat_json *j)
{
    const struct pat_json *reply = pat_json_at(j, "reply");
    int64_t began_ms = pat_json_int_or(j, "began_ms", 0), now_ms = pat_unix_ms();
    int64_t hears_ms = pat_json_int_or(j, "hears_ms", 0),
            at_ms = pat_json_int_or(j, "at_ms", now_ms);

    if (began_ms > 0 && began_ms <= now_ms) {
        c->began_us = pat_now_us() - (now_ms - began_ms) * 1000;
        c->began_ms = began_ms;
        pat_timer_start(&c->limit,
                        call_longest_ms(c) > call_ms(c) ? call_longest_ms(c) - call_ms(c) : 0);
    }
    if (hears_ms >= c->began_ms)
        c->keep.heard_since_us = c->began_us + (hears_ms - c->began_ms) * 1000;
    c->keep.gap_ms = at_ms < now_ms ? now_ms - at_ms : 0; /* later: another clock */
    c->keep.marked_us = c->began_us + (at_ms - c->began_ms) * 1000;
    c->keep.marked_sip = pat_json_bool_or(j, "sip", true);
    c->answered = pat_json_bool_or(j, "answered", false);
    c->turns = (int)pat_json_int_or(j, "turns", 0);
    pat_strcpy(c->reason, sizeof c->reason, pat_json_str_or(j, "reason", ""));
    load_usage(c, pat_json_at(j, "usage"));
    if (pat_json_at(j, "history"))
        load_history(c, pat_json_at(j, "history"));
    c->keep.plan = checkpoint_plan(j);
    if (reply)
        load_heard(c, reply);
    for (const struct checkpoint_part *p = checkpoint_parts; p->name; p++)
        if (pat_json_at(j, p->name))
            p->load(c, pat_json_at(j, p->name));
    pat_log(PAT_INFO, "call.restored", PAT_S("call", c->id), PAT_I("turns", c->turns),
            PAT_S("state", pat_json_str_or(j, "state", "")), PAT_I("plan", c->keep.plan.what),
            PAT_I("old_ms", now_ms - pat_json_int_or(j, "at_ms", now_ms)));
}
