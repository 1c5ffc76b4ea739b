/* tool_message.c - take_message: a message the model was told already, or one the caller leaves
 * now.
 *
 * While one is being left the caller's pauses may be longer and the model is not asked: the words
 * are the message as they are. Where they lie in the call is stored with them, and where recordings
 * are made at all the caller's voice is a clip of its own, "m-" and the message's id: its address
 * is in the message's row once the object is there (patchbay.put_recording).
 */
#include "tool_int.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAUSE_MS = 3000, /* of silence: the message is over */
    TEXT_MAX = 16 * 1024,
};

struct message {
    const char *text, *caller_name, *callback_number;
    const char *key;
    int64_t from_ms, to_ms; /* since the call began; negative: it was not spoken for this */
};

static void set_times(struct pat_json *to, const struct message *m)
{
    if (m->from_ms < 0)
        return;
    pat_json_set_int(to, "started_ms", m->from_ms);
    pat_json_set_int(to, "ended_ms", m->to_ms > m->from_ms ? m->to_ms : m->from_ms);
}

static void store(struct call *c, const struct message *m)
{
    struct pat_json *data = pat_json_obj();
    PAT_AUTO_JSON row = pat_json_obj();

    pat_json_set_str(row, "id", m->key);
    pat_json_set_str(row, "call_id", c->id);
    pat_json_set_str(row, "user_id", c->ctx->user_id);
    pat_json_set_str(row, "agent_config_id", c->ctx->agent_config_id);
    pat_json_set_str(row, "from_number", c->ctx->from);
    pat_json_set_str(row, "callback_number", m->callback_number);
    pat_json_set_str(row, "caller_name", m->caller_name);
    pat_json_set_str(row, "transcript", m->text);
    set_times(row, m);

    pat_json_set_str(data, "message_id", m->key);
    pat_json_set_null(data, "recording_url");
    if (m->from_ms >= 0)
        pat_json_set_int(data, "duration_ms", m->to_ms > m->from_ms ? m->to_ms - m->from_ms : 0);
    else
        pat_json_set_null(data, "duration_ms");
    pat_json_set_str(data, "transcript", m->text);
    pat_json_set_str(data, "from", c->ctx->from);
    pat_json_set_str(data, "caller_name", m->caller_name);
    pat_json_set_str(data, "callback_number", m->callback_number);
    set_times(data, m);
    tool_record(c, "voicemail", data, "put_voicemail", row, m->key);
}

/* From here on, our own words too: who begins to speak at once is heard whole. */
static void begin_clip(struct call_tools *t)
{
    struct call *c = t->c;
    char name[RECORD_NAME_MAX];
    const struct record_opts o = { .call_id = c->id,
                                   .user_id = c->ctx->user_id,
                                   .name = name,
                                   .epoch = c->epoch,
                                   .caller_only = true };

    if (t->clip || !c->env->recorder || !strcmp(c->env->conf->recording.whose, "off"))
        return;
    (void)snprintf(name, sizeof name, RECORD_MESSAGE "%s", t->message.s);
    if (record_begin(&t->clip, c->env->recorder, &o))
        pat_log(PAT_ERROR, "call.message_not_recorded", PAT_S("call", c->id));
}

static void end_clip(struct call_tools *t)
{
    record_end(t->clip);
    t->clip = NULL;
}

void call_tools_hear(struct call_tools *t, const uint8_t *opus, size_t len, uint32_t timestamp,
                     int64_t received_us)
{
    if (t)
        record_caller(t->clip, opus, len, timestamp, received_us);
}

static const char *or_null(const char *s)
{
    return s && *s ? s : NULL;
}

void tool_message(struct tool_run *r)
{
    struct call_tools *t = r->tools;
    const char *text = pat_json_str_or(r->args, "message", "");
    const char *name = pat_json_str_or(r->args, "caller_name", "");
    const char *number = pat_json_str_or(r->args, "callback_number", "");
    struct message m = { text, or_null(name), NULL, r->key.s, -1, -1 };

    t->callback_number[0] = 0;
    if (*number && !pat_tools_reach(t->set, number, t->callback_number))
        m.callback_number = t->callback_number;
    if (text[strspn(text, " \t\r\n")]) {
        store(t->c, &m);
        tool_done(r, TOOL_OK, NULL,
                  tool_result("stored", "The message is saved. Tell the caller."));
        return;
    }
    pat_strcpy(t->caller_name, sizeof t->caller_name, name);
    t->recording = true;
    t->recording_from_ms = -1;
    t->message = r->key;
    begin_clip(t);
    t->next = NEXT_END;
    tool_say(t, own_words(OWN_SPEAK_NOW, tool_language(t)));
    call_turn_kind(t->c, TURN_PATIENCE, PAUSE_MS);
    tool_done(r, TOOL_OK, NULL,
              tool_result("recording", "The caller was asked to leave the message now. It is saved "
                                       "by itself when they stop speaking."));
}

void call_tools_last_message(struct call_tools *t)
{
    t->caller_name[0] = t->callback_number[0] = 0;
    t->recording = t->last = true;
    t->recording_from_ms = -1;
    t->message = pat_event_id_once(t->c->id, "last_message");
    begin_clip(t);
    call_turn_kind(t->c, TURN_PATIENCE, PAUSE_MS);
}

/* Behind what an agent before us had heard of it. Yours to free. */
static char *with_before(struct call_tools *t, const char *said)
{
    struct pat_buf b;

    pat_buf_init(&b, 2 * TEXT_MAX + 2);
    pat_buf_addf(&b, "%s%s%s", t->said_before ? t->said_before : "",
                 t->said_before && said && *said ? " " : "", said ? said : "");
    free(t->said_before);
    t->said_before = NULL;
    return pat_buf_take(&b);
}

static struct message message_of(const struct call_tools *t, const char *text)
{
    const struct call *c = t->c;

    return (struct message){ .text = text,
                             .caller_name = or_null(t->caller_name),
                             .callback_number = or_null(t->callback_number),
                             .key = t->message.s,
                             .from_ms = c->said_at_ms,
                             .to_ms = (ear_voiced_us(c->ear) - c->began_us) / 1000 };
}

void tool_message_resume(struct call_tools *t)
{
    call_turn_kind(t->c, TURN_PATIENCE, PAUSE_MS);
}

/* Nobody else may decide about what is said into a message. */
bool tool_message_turn(struct call_tools *t, const char *said)
{
    struct call *c = t->c;
    PAT_AUTO_STR all = with_before(t, said);
    struct message m = message_of(t, all);
    bool empty = !all || !*all || strnlen(all, TEXT_MAX + 1) > TEXT_MAX;

    t->recording = false;
    end_clip(t);
    checkpoint_touch(c);
    call_turn_kind(c, TURN_PATIENCE, 0);
    if (!empty)
        store(c, &m);
    if (t->last) {
        pat_strcpy(c->reason, sizeof c->reason, "message_taken");
        call_say(c, empty ? OWN_OUT_OF_ORDER : OWN_MESSAGE_KEPT);
        call_turn_kind(c, TURN_HANG_UP, 1);
        return true;
    }
    call_say_text(c, own_words(empty ? OWN_MESSAGE_EMPTY : OWN_MESSAGE_TAKEN, tool_language(t)));
    return true;
}

void tool_message_left(struct call_tools *t)
{
    struct call *c = t->c;
    PAT_AUTO_STR said = call_all_said(c);
    PAT_AUTO_STR all = with_before(t, said);
    struct message m = message_of(t, all);

    t->recording = false;
    end_clip(t);
    if (all && *all)
        store(c, &m);
}
