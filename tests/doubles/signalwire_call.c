/* signalwire_call.c - a call walks through its document: Dial, Say, Record, Redirect, Pause,
 * Reject, Hangup.
 *
 * The end of the document hangs up. Say takes no time, but where the caller can hear it; a Record
 * lasts until control says what was recorded, or five seconds.
 */
#include "signalwire.h"

#include "sip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEG_MAX_MS (4 * 3600 * 1000LL)
#define RECORD_MS  300
#define LETTER_MS  70 /* of what is said */

void sw_note(struct sw_call *c, const char *what, struct pat_json *detail)
{
    struct pat_json *j = detail ? detail : pat_json_obj();

    pat_json_set_str(j, "what", what);
    pat_json_set_str(j, "call", c->sid.s);
    pat_json_set_int(j, "at_ms", pat_unix_ms());
    pat_json_add_take(c->story, pat_json_dup(j));
    dbl_log(c->sw->d, what, j);
}

static int64_t talked_s(const struct sw_call *c)
{
    return c->answered ? (pat_now_ms() - c->answered_ms + 999) / 1000 : 0;
}

static void tell_number(struct sw_call *c, const char *status)
{
    struct sw_form f = { 0 };
    char duration[24], sequence[24];

    if (c->direction != SW_INBOUND || !*c->sw->status_url || sw_muted(c->sw, "status"))
        return;
    snprintf(duration, sizeof duration, "%lld", (long long)talked_s(c));
    snprintf(sequence, sizeof sequence, "%d", c->sequence++);
    sw_form_call(&f, c, status);
    sw_form_add(&f, "CallDuration", duration);
    sw_form_add(&f, "SequenceNumber", sequence);
    sw_tell(c, c->sw->status_url, &f);
}

/* The phone a caller was to speak with, or spoke with. */
static void drop_peer(struct sw_call *c)
{
    struct sw_call *peer = c->peer;

    c->peer = NULL;
    if (!peer)
        return;
    peer->parent = NULL;
    sw_end(peer, peer->answered ? "completed" : "canceled");
}

void sw_end(struct sw_call *c, const char *status)
{
    struct sw_call *parent = c->parent;

    if (c->state == SW_ENDED)
        return;
    c->state = SW_ENDED;
    c->ended_at_ms = pat_unix_ms();
    pat_timer_stop(&c->timer);
    media_stop(c->said);
    c->said = NULL;
    pat_http_cancel(c->sw->d->http, c->http);
    c->http = 0;
    sw_note(c, "ended", dbl_obj("status", status));
    sw_out_ended(c);
    sw_phone_tell(c, SW_COMPLETED, status);
    tell_number(c, status);
    drop_peer(c);
    c->parent = NULL;
    if (parent) {
        parent->peer = NULL;
        sw_leg_over(parent, status, c->answered ? 200 : c->phone.status);
    }
}

/* ------------------------------------------------------------------ Dial */

static void leg_over_swml(struct sw_call *c, const char *status)
{
    bool served = !strcmp(status, "completed");
    static const char *const ends[][2] = { { "completed", "hangup" },
                                           { "canceled", "cancel" },
                                           { "busy", "busy" },
                                           { "no-answer", "no_answer" } };
    const char *reason = "error";

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (!strcmp(ends[i][0], status))
            reason = ends[i][1];
    if (*c->leg_cb) {
        struct pat_json *p = dbl_obj("call_id", c->dial_sid.s);

        pat_json_set_str(p, "call_state", "ended");
        pat_json_set_str(p, "direction", "outbound");
        pat_json_set_str(p, "end_reason", reason);
        sw_swml_tell(c, c->leg_cb, "calling.call.state", p);
        c->leg_cb[0] = 0;
    }
    if (c->hung_up) { /* nobody is there for a next step */
        sw_end(c, c->answered ? "completed" : "canceled");
        return;
    }
    sw_swml_set(c, "connect_result", served ? "connected" : "failed");
    if (!served)
        sw_swml_set(c, "connect_failed_reason", reason);
    c->at++;
    sw_play(c);
}

/* What the action is asked with. The strings are the caller's. */
static void action_form(struct sw_form *f, struct sw_call *c, const char *status, char code[16],
                        char duration[24])
{
    snprintf(duration, 24, "%lld", (long long)talked_s(c));
    sw_form_call(f, c, c->hung_up ? "completed" : "in-progress");
    sw_form_add(f, "DialCallStatus", status);
    sw_form_add(f, "DialCallSid", c->dial_sid.s);
    sw_form_add(f, "DialCallDuration", duration);
    sw_form_add(f, "DialSipResponseCode", code);
    if (c->hung_up && !c->sw->twilio)
        sw_form_add(f, "HangupBy", "caller");
}

void sw_leg_over(struct sw_call *c, const char *status, int sip_code)
{
    struct sw_form f = { 0 };
    struct pat_json *j = dbl_obj("status", status);
    char code[16], duration[24];

    pat_timer_stop(&c->timer);
    pat_strcpy(c->dial_status, sizeof c->dial_status, status);
    c->dial_code = sip_code;
    pat_json_set_int(j, "sip_code", sip_code);
    sw_note(c, "leg_ended", j);
    if (c->swml) {
        leg_over_swml(c, status);
        return;
    }
    if (!*c->action) {
        c->at++;
        sw_play(c);
        return;
    }
    snprintf(code, sizeof code, "%d", sip_code);
    action_form(&f, c, status, code, duration);
    sw_fetch(c, c->action, &f);
}

static void on_leg_ended(int err, const struct pat_http_res *res, void *arg)
{
    struct sw_call *c = arg;
    PAT_AUTO_JSON j = NULL;

    c->http = 0;
    if (!err)
        err = pat_json_parse(&j, res->body, res->len, NULL);
    sw_note(c, "callee_gone",
            dbl_obj("reason", err ? pat_err_name(err) : pat_json_str_or(j, "reason", "")));
    sw_leg_over(c,
                err || !strcmp(pat_json_str_or(j, "reason", ""), "fault") ? "failed" : "completed",
                err ? 503 : 200);
}

static int wait_for_end(struct sw_call *c)
{
    char url[512];

    snprintf(url, sizeof url, "%s/sip/dialog/%s", c->sip_base, c->dialog);
    return pat_http_start(c->sw->d->http,
                          &(struct pat_http_req){ .url = url, .timeout_ms = LEG_MAX_MS }, NULL,
                          on_leg_ended, c, &c->http);
}

static const char *dial_status(int sip)
{
    return sip == 486 || sip == 600 ? "busy" : sip == 408 || sip == 480 ? "no-answer" : "failed";
}

/* The dialled SIP leg has been answered: told where the document asked for it. */
static void tell_answered(struct sw_call *c)
{
    struct sw_form f = { 0 };

    if (!*c->leg_cb || !(c->leg_events & SW_ANSWERED))
        return;
    if (c->swml) {
        struct pat_json *p = dbl_obj("call_id", c->dial_sid.s);

        pat_json_set_str(p, "call_state", "answered");
        pat_json_set_str(p, "direction", "outbound");
        sw_swml_tell(c, c->leg_cb, "calling.call.state", p);
        return;
    }
    sw_form_add(&f, "CallSid", c->dial_sid.s);
    sw_form_add(&f, "ParentCallSid", c->sid.s);
    sw_form_add(&f, "AccountSid", c->sw->project);
    sw_form_add(&f, "ApiVersion", "2010-04-01");
    sw_form_add(&f, "From", c->from);
    sw_form_add(&f, "To", c->to);
    sw_form_add(&f, "CallStatus", "in-progress");
    sw_form_add(&f, "Direction", "outbound-dial");
    sw_form_add(&f, "SequenceNumber", "2");
    sw_tell(c, c->leg_cb, &f);
}

static void on_invite_answered(int err, const struct pat_http_res *res, void *arg)
{
    struct sw_call *c = arg;
    PAT_AUTO_JSON j = NULL;
    int status = 503;

    c->http = 0;
    if (!err && !pat_json_parse(&j, res->body, res->len, NULL))
        status = (int)pat_json_int_or(j, "status", 503);
    else if (err == PAT_ETIMEDOUT)
        status = 408;
    if (status != 200) {
        sw_leg_over(c, dial_status(status), status);
        return;
    }
    c->answered = true;
    c->answered_ms = pat_now_ms();
    c->state = SW_BRIDGED;
    pat_strcpy(c->dialog, sizeof c->dialog, pat_json_str_or(j, "dialog", ""));
    sw_note(c, "bridged", dbl_obj("dialog", c->dialog));
    tell_answered(c);
    if (wait_for_end(c))
        sw_leg_over(c, "failed", 503);
}

static const char *base_of(const struct sw *sw, const char *host)
{
    for (int i = 0; i < sw->n_hosts; i++)
        if (!strcmp(sw->hosts[i].name, host))
            return sw->hosts[i].base;
    return NULL;
}

static int invite(struct sw_call *c, const struct cxml_node *sip, const char *from,
                  int64_t timeout_ms)
{
    struct pat_json *j = dbl_obj("uri", sip->text);
    PAT_AUTO_STR body = NULL;
    const char *headers[] = { "Content-Type: application/json", NULL };
    char url[512];

    pat_json_set_str(j, "from", from);
    pat_json_set_str(j, "call_id", c->sid.s);
    pat_json_set_take(j, "headers", sip_headers(sip->text));
    if (*c->media)
        pat_json_set_str(j, "media", c->media);
    pat_json_set_str(j, "username", cxml_attr(sip, "username"));
    pat_json_set_str(j, "password", cxml_attr(sip, "password"));
    body = pat_json_print(j);
    pat_json_free(j);
    snprintf(url, sizeof url, "%s/sip/invite", c->sip_base);
    if (!body)
        return PAT_ENOMEM;
    return pat_http_start(c->sw->d->http,
                          &(struct pat_http_req){ .method = "POST",
                                                  .url = url,
                                                  .headers = headers,
                                                  .body = body,
                                                  .body_len = strlen(body),
                                                  .timeout_ms = timeout_ms },
                          NULL, on_invite_answered, c, &c->http);
}

static void dial_sip(struct sw_call *c, const struct cxml_node *dial, const struct cxml_node *sip,
                     int64_t timeout_ms)
{
    const char *from = cxml_attr(dial, "callerId");
    char host[128] = "";
    const char *base;

    sip_host(host, sizeof host, sip->text);
    base = base_of(c->sw, host);
    pat_strcpy(c->leg_cb, sizeof c->leg_cb, cxml_attr(sip, "statusCallback"));
    c->leg_events = sw_phone_events(cxml_attr(sip, "statusCallbackEvent"));
    if (!base) {
        sw_leg_over(c, "failed", 404);
        return;
    }
    pat_strcpy(c->sip_base, sizeof c->sip_base, base);
    if (invite(c, sip, *from ? from : c->from, timeout_ms))
        sw_leg_over(c, "failed", 503);
}

static void dial_phone(struct sw_call *c, const struct cxml_node *dial,
                       const struct cxml_node *number, int64_t timeout_ms)
{
    const char *from = cxml_attr(dial, "callerId"), *to = number->text;
    struct sw_call *phone = sw_call_new(c->sw, *from ? from : c->from, to);

    if (!phone) {
        sw_leg_over(c, "failed", 503);
        return;
    }
    phone->direction = SW_DIALED;
    phone->parent = c;
    phone->swml = c->swml;
    c->peer = phone;
    c->dial_sid = phone->sid;
    pat_strcpy(phone->answer_url, sizeof phone->answer_url, cxml_attr(number, "url"));
    pat_strcpy(phone->status_cb, sizeof phone->status_cb, cxml_attr(number, "statusCallback"));
    phone->status_events = sw_phone_events(cxml_attr(number, "statusCallbackEvent"));
    sw_phone_ring(phone, timeout_ms);
}

static void play_dial(struct sw_call *c, const struct cxml_node *n)
{
    const struct cxml_node *sip = cxml_child(&c->doc, c->at, "Sip"),
                           *number = cxml_child(&c->doc, c->at, "Number");
    int64_t timeout_s = strtoll(cxml_attr(n, "timeout"), NULL, 10);
    int64_t timeout_ms = (timeout_s ? timeout_s : 30) * 1000;
    struct pat_json *j = pat_json_obj();

    pat_strcpy(c->action, sizeof c->action, cxml_attr(n, "action"));
    c->dial_sid = pat_id_new();
    pat_strcpy(c->dial_to, sizeof c->dial_to, sip ? sip->text : number ? number->text : n->text);
    c->dial_status[0] = 0;
    c->dial_at_ms = pat_unix_ms();
    c->state = SW_DIALING;
    c->dialog[0] = c->sip_base[0] = 0;
    pat_json_set_str(j, "uri", sip ? sip->text : number ? number->text : n->text);
    pat_json_set_str(j, "caller_id", cxml_attr(n, "callerId"));
    sw_note(c, "dial", j);
    if (sip)
        dial_sip(c, n, sip, timeout_ms);
    else if (number)
        dial_phone(c, n, number, timeout_ms);
    else
        sw_leg_over(c, "failed", 404);
}

/* ------------------------------------------------------------------ Record */

#define SPOKEN "Please call me back, it is about the garden fence."

static void recorded_swml(struct sw_call *c, const char *status_url, const char *url)
{
    struct pat_json *p = dbl_obj("call_id", c->sid.s), *record = dbl_obj("url", url);

    pat_json_set_num(record, "duration", 3);
    pat_json_set_str(record, "format", "wav");
    pat_json_set_str(p, "state", "finished");
    pat_json_set_take(p, "record", record);
    sw_swml_set(c, "record_url", url);
    sw_swml_set(c, "record_result", "success");
    if (sw_muted(c->sw, "recording"))
        pat_json_free(p);
    else
        sw_swml_tell(c, status_url, "calling.call.record", p);
    c->at++;
    sw_play(c);
}

static void tell_transcribed(struct sw_call *c, const char *url, const char *recording,
                             const char *recording_url)
{
    struct pat_id id = pat_id_new();
    struct sw_form f = { 0 };

    sw_form_call(&f, c, "completed");
    sw_form_add(&f, "TranscriptionSid", id.s);
    sw_form_add(&f, "TranscriptionText", SPOKEN);
    sw_form_add(&f, "TranscriptionStatus", "completed");
    sw_form_add(&f, "TranscriptionUrl", "https://files.example.invalid/transcriptions/1");
    sw_form_add(&f, "RecordingSid", recording);
    sw_form_add(&f, "RecordingUrl", recording_url);
    sw_tell(c, url, &f);
}

/* The caller said nothing, or the carrier could not keep it. */
static void not_recorded(struct sw_call *c, const char *action, const char *status_url)
{
    struct sw_form f = { 0 }, absent = { 0 };

    sw_note(c, "not_recorded", NULL);
    if (c->swml) {
        struct pat_json *p = dbl_obj("call_id", c->sid.s);

        pat_json_set_str(p, "state", "no_input");
        sw_swml_set(c, "record_result", "failed");
        sw_swml_tell(c, status_url, "calling.call.record", p);
    } else {
        sw_form_call(&absent, c, "in-progress");
        sw_form_add(&absent, "RecordingStatus", "absent");
        sw_tell(c, status_url, &absent);
        if (!strcmp(c->sw->records, "empty")) {
            sw_form_call(&f, c, "in-progress");
            sw_form_add(&f, "RecordingUrl", "");
            sw_form_add(&f, "RecordingDuration", "0");
            sw_fetch(c, action, &f);
            return;
        }
    }
    c->at++;
    sw_play(c);
}

static void recorded(struct sw_call *c)
{
    const struct cxml_node *n = &c->doc.nodes[c->at];
    const char *action = cxml_attr(n, "action"),
               *status_url = cxml_attr(n, "recordingStatusCallback");
    struct sw_form f = { 0 }, file = { 0 };
    char url[SW_URL_MAX];
    const struct sw_recording *recording;

    if (*c->sw->records) {
        not_recorded(c, action, status_url);
        return;
    }
    recording = sw_record(c, 3, url);
    if (!recording) {
        sw_end(c, "failed");
        return;
    }
    sw_note(c, "recorded", dbl_obj("recording_url", url));
    if (c->swml) {
        recorded_swml(c, status_url, url);
        return;
    }
    if (*status_url && !sw_muted(c->sw, "recording")) {
        sw_form_call(&file, c, "in-progress");
        sw_form_add(&file, "RecordingSid", recording->sid.s);
        sw_form_add(&file, "RecordingUrl", url);
        sw_form_add(&file, "RecordingStatus", "completed");
        sw_form_add(&file, "RecordingDuration", "3");
        sw_tell(c, status_url, &file);
    }
    if (!sw_muted(c->sw, "recording") && !strcmp(cxml_attr(n, "transcribe"), "true") &&
        *cxml_attr(n, "transcribeCallback"))
        tell_transcribed(c, cxml_attr(n, "transcribeCallback"), recording->sid.s, url);
    sw_form_call(&f, c, "in-progress");
    sw_form_add(&f, "RecordingUrl", url);
    sw_form_add(&f, "RecordingDuration", "3");
    if (sw_muted(c->sw, "recording") && *action)
        sw_end(c, "completed"); /* the action was asked, and nobody answered */
    else
        sw_fetch(c, *action ? action : c->url, &f);
}

/* ------------------------------------------------------------------ Gather */

/* What the person at the phone pressed, or nothing. */
static void gathered(struct sw_call *c)
{
    const struct cxml_node *n = &c->doc.nodes[c->at];
    const char *keys = c->phone.presses;
    struct sw_form f = { 0 };

    sw_note(c, "pressed", dbl_obj("keys", keys));
    if (c->swml) {
        sw_swml_set(c, "prompt_value", keys);
        sw_swml_set(c, "prompt_result", *keys ? "match_digits" : "no_input");
    } else if (*keys) {
        sw_form_call(&f, c, "in-progress");
        sw_form_add(&f, "Digits", keys);
        sw_fetch(c, *cxml_attr(n, "action") ? cxml_attr(n, "action") : c->url, &f);
        return;
    }
    c->at++;
    sw_play(c);
}

void sw_on_timer(void *arg)
{
    struct sw_call *c = arg;

    if (c->state == SW_RINGING) {
        sw_phone_timer(c);
        return;
    }
    if (c->state == SW_RECORDING) {
        recorded(c);
        return;
    }
    if (!strcmp(c->doc.nodes[c->at].name, "Gather")) {
        gathered(c);
        return;
    }
    media_stop(c->said);
    c->said = NULL;
    c->at++; /* a Pause or a Say is over */
    sw_play(c);
}

/* ------------------------------------------------------------------ the walk */

static void play_redirect(struct sw_call *c, const struct cxml_node *n)
{
    struct sw_form f = { 0 };

    sw_form_call(&f, c, "in-progress");
    sw_fetch(c, n->text, &f);
}

/* True: the caller hears it, and the timer says when it is over. */
static bool heard(struct sw_call *c, const char *text)
{
    if (!*c->media || media_start(&c->said, c->sw->voice, c->media))
        return false;
    pat_timer_start(&c->timer, LETTER_MS * (int64_t)strlen(text));
    return true;
}

/* False: the verb goes on by itself, later. */
static bool play_verb(struct sw_call *c, const struct cxml_node *n)
{
    if (!strcmp(n->name, "Dial")) {
        play_dial(c, n);
    } else if (!strcmp(n->name, "Redirect")) {
        play_redirect(c, n);
    } else if (!strcmp(n->name, "Record")) {
        c->state = SW_RECORDING;
        c->answered = true;
        c->answered_ms = c->answered_ms ? c->answered_ms : pat_now_ms();
        pat_timer_start(&c->timer, RECORD_MS);
    } else if (!strcmp(n->name, "Gather")) {
        const struct cxml_node *said = cxml_child(&c->doc, c->at, "Say");

        sw_note(c, "asked", dbl_obj("text", said ? said->text : n->text));
        pat_timer_start(&c->timer, RECORD_MS);
    } else if (!strcmp(n->name, "Pause")) {
        pat_timer_start(
            &c->timer,
            1000 * (*cxml_attr(n, "length") ? strtol(cxml_attr(n, "length"), NULL, 10) : 1));
    } else if (!strcmp(n->name, "Reject")) {
        sw_end(c, !strcmp(cxml_attr(n, "reason"), "busy") ? "busy" : "no-answer");
    } else if (!strcmp(n->name, "Hangup")) {
        sw_end(c, "completed");
    } else {
        sw_note(c, !strcmp(n->name, "Say") ? "say" : "play", dbl_obj("text", n->text));
        c->answered = true;
        c->answered_ms = c->answered_ms ? c->answered_ms : pat_now_ms();
        return !heard(c, n->text);
    }
    return false;
}

void sw_play(struct sw_call *c)
{
    c->state = SW_PLAYING;
    for (; c->at < c->doc.n; c->at++) {
        if (c->doc.nodes[c->at].parent >= 0)
            continue; /* a noun: its verb has dealt with it */
        if (!play_verb(c, &c->doc.nodes[c->at]))
            return;
    }
    if (c->parent && c->answered)
        sw_phone_bridge(c); /* what was to be heard first is over */
    else
        sw_end(c, "completed");
}

static void on_bye(int err, const struct pat_http_res *res, void *arg)
{
    struct sw_call *c = arg;

    (void)err;
    (void)res;
    (void)c; /* the callee's end comes through the dialog's wait */
}

static bool say_bye(struct sw_call *c)
{
    char url[512];
    pat_http_id id;

    snprintf(url, sizeof url, "%s/sip/dialog/%s/bye", c->sip_base, c->dialog);
    return !pat_http_start(
        c->sw->d->http, &(struct pat_http_req){ .method = "POST", .url = url, .timeout_ms = 5000 },
        NULL, on_bye, c, &id);
}

void sw_hangup(struct sw_call *c)
{
    bool spoke = c->state == SW_BRIDGED;

    if (c->state == SW_ENDED)
        return;
    c->hung_up = true;
    sw_note(c, "caller_hung_up", NULL);
    if (c->peer) {
        drop_peer(c);
        sw_leg_over(c, spoke ? "completed" : "canceled", spoke ? 200 : 487);
        return;
    }
    if (spoke && *c->dialog && say_bye(c))
        return;
    if (c->state == SW_DIALING) {
        pat_http_cancel(c->sw->d->http, c->http);
        c->http = 0;
        sw_leg_over(c, "canceled", 487);
    } else {
        sw_end(c, c->answered ? "completed" : "canceled");
    }
}

/* ------------------------------------------------------------------ by the REST API */

/* What the leg is doing ends; it itself does not. True: it had dialled. */
static bool drop_work(struct sw_call *c)
{
    bool dialed = c->state == SW_DIALING || (c->state == SW_BRIDGED && !c->parent);

    pat_timer_stop(&c->timer);
    media_stop(c->said);
    c->said = NULL;
    pat_http_cancel(c->sw->d->http, c->http);
    c->http = 0;
    if (c->state == SW_BRIDGED && *c->dialog)
        (void)say_bye(c);
    drop_peer(c);
    return dialed;
}

/* The Dial that is left still asks its action, and nobody does what that says. */
void sw_redirect(struct sw_call *c, const char *url)
{
    bool dialed = drop_work(c);
    struct sw_form f = { 0 }, ended = { 0 };
    char action[SW_URL_MAX], duration[24], code[16] = "200";

    pat_strcpy(action, sizeof action, c->action);
    c->action[0] = c->dialog[0] = 0;
    sw_note(c, "redirected", dbl_obj("url", url));
    if (dialed && c->swml && *c->leg_cb) {
        struct pat_json *p = dbl_obj("call_id", c->dial_sid.s);

        pat_json_set_str(p, "call_state", "ended");
        pat_json_set_str(p, "end_reason", "hangup");
        sw_swml_tell(c, c->leg_cb, "calling.call.state", p);
    }
    c->leg_cb[0] = 0;
    action_form(&ended, c, "completed", code, duration);
    sw_form_call(&f, c, "in-progress");
    sw_fetch(c, url, &f);
    if (dialed && *action)
        sw_tell(c, action, &ended);
}

void sw_api_end(struct sw_call *c)
{
    drop_work(c);
    sw_note(c, "ended_by_api", NULL);
    sw_end(c, c->answered ? "completed" : "canceled");
}
