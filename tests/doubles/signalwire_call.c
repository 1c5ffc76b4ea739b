/* signalwire_call.c - a call walks through its document: Dial, Say, Record, Redirect, Pause,
 * Reject, Hangup.
 *
 * The end of the document hangs up. Say takes no time here; a Record lasts until control says what
 * was recorded, or five seconds.
 */
#include "signalwire.h"

#include "sip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEG_MAX_MS (4 * 3600 * 1000LL)
#define RECORD_MS  300

void sw_note(struct sw_call *c, const char *what, struct pat_json *detail)
{
    struct pat_json *j = detail ? detail : pat_json_obj();

    pat_json_set_str(j, "what", what);
    pat_json_set_str(j, "call", c->sid.s);
    pat_json_set_int(j, "at_ms", pat_unix_ms());
    pat_json_add_take(c->story, pat_json_dup(j));
    dbl_log(c->sw->d, what, j);
}

void sw_end(struct sw_call *c, const char *status)
{
    struct sw_form f = { 0 };
    char duration[24], sequence[24];

    if (c->state == SW_ENDED)
        return;
    c->state = SW_ENDED;
    pat_timer_stop(&c->timer);
    pat_http_cancel(c->sw->d->http, c->http);
    c->http = 0;
    sw_note(c, "ended", dbl_obj("status", status));
    if (!*c->sw->status_url)
        return;
    snprintf(duration, sizeof duration, "%lld",
             c->answered ? (long long)((pat_now_ms() - c->answered_ms + 999) / 1000) : 0);
    snprintf(sequence, sizeof sequence, "%d", c->sequence++);
    sw_form_call(&f, c, status);
    sw_form_add(&f, "CallDuration", duration);
    sw_form_add(&f, "SequenceNumber", sequence);
    sw_tell(c, c->sw->status_url, &f);
}

/* ------------------------------------------------------------------ Dial */

static void leg_over(struct sw_call *c, const char *status, int sip_code)
{
    struct sw_form f = { 0 };
    struct pat_json *j = dbl_obj("status", status);
    char code[16], duration[24];

    pat_timer_stop(&c->timer);
    pat_json_set_int(j, "sip_code", sip_code);
    sw_note(c, "leg_ended", j);
    if (!*c->action) {
        c->at++;
        sw_play(c);
        return;
    }
    snprintf(code, sizeof code, "%d", sip_code);
    snprintf(duration, sizeof duration, "%lld",
             c->answered ? (long long)((pat_now_ms() - c->answered_ms + 999) / 1000) : 0);
    sw_form_call(&f, c, c->hung_up ? "completed" : "in-progress");
    sw_form_add(&f, "DialCallStatus", status);
    sw_form_add(&f, "DialCallSid", c->dial_sid.s);
    sw_form_add(&f, "DialCallDuration", duration);
    sw_form_add(&f, "DialSipResponseCode", code);
    if (c->hung_up)
        sw_form_add(&f, "HangupBy", "caller");
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
    leg_over(c, err || !strcmp(pat_json_str_or(j, "reason", ""), "fault") ? "failed" : "completed",
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
        leg_over(c, dial_status(status), status);
        return;
    }
    c->answered = true;
    c->answered_ms = pat_now_ms();
    c->state = SW_BRIDGED;
    pat_strcpy(c->dialog, sizeof c->dialog, pat_json_str_or(j, "dialog", ""));
    sw_note(c, "bridged", dbl_obj("dialog", c->dialog));
    if (wait_for_end(c))
        leg_over(c, "failed", 503);
}

static const char *base_of(const struct sw *sw, const char *host)
{
    for (int i = 0; i < sw->n_hosts; i++)
        if (!strcmp(sw->hosts[i].name, host))
            return sw->hosts[i].base;
    return NULL;
}

static int invite(struct sw_call *c, const char *uri, int64_t timeout_ms)
{
    struct pat_json *j = dbl_obj("uri", uri);
    PAT_AUTO_STR body = NULL;
    const char *headers[] = { "Content-Type: application/json", NULL };
    char url[512];

    pat_json_set_str(j, "from", c->from);
    pat_json_set_str(j, "call_id", c->sid.s);
    pat_json_set_take(j, "headers", sip_headers(uri));
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

static void play_dial(struct sw_call *c, const struct cxml_node *n)
{
    const struct cxml_node *sip = cxml_child(&c->doc, c->at, "Sip");
    int64_t timeout_s = strtoll(cxml_attr(n, "timeout"), NULL, 10);
    struct pat_json *j = pat_json_obj();
    char host[128] = "";
    const char *base;

    pat_strcpy(c->action, sizeof c->action, cxml_attr(n, "action"));
    c->dial_sid = pat_id_new();
    c->state = SW_DIALING;
    if (sip)
        sip_host(host, sizeof host, sip->text);
    pat_json_set_str(j, "uri", sip ? sip->text : n->text);
    sw_note(c, "dial", j);
    base = base_of(c->sw, host);
    if (!base) {
        leg_over(c, "failed", 404);
        return;
    }
    pat_strcpy(c->sip_base, sizeof c->sip_base, base);
    if (invite(c, sip->text, (timeout_s ? timeout_s : 30) * 1000))
        leg_over(c, "failed", 503);
}

/* ------------------------------------------------------------------ Record */

static void recorded(struct sw_call *c)
{
    const struct cxml_node *n = &c->doc.nodes[c->at];
    const char *action = cxml_attr(n, "action"),
               *status_url = cxml_attr(n, "recordingStatusCallback");
    struct pat_id recording = pat_id_new();
    struct sw_form f = { 0 }, file = { 0 };
    char url[256];

    snprintf(url, sizeof url, "https://files.example.invalid/recordings/%s.wav", recording.s);
    sw_note(c, "recorded", dbl_obj("recording_url", url));
    if (*status_url) {
        sw_form_call(&file, c, "in-progress");
        sw_form_add(&file, "RecordingSid", recording.s);
        sw_form_add(&file, "RecordingUrl", url);
        sw_form_add(&file, "RecordingStatus", "completed");
        sw_form_add(&file, "RecordingDuration", "3");
        sw_tell(c, status_url, &file);
    }
    sw_form_call(&f, c, "in-progress");
    sw_form_add(&f, "RecordingUrl", url);
    sw_form_add(&f, "RecordingDuration", "3");
    sw_fetch(c, *action ? action : c->url, &f);
}

void sw_on_timer(void *arg)
{
    struct sw_call *c = arg;

    if (c->state == SW_RECORDING) {
        recorded(c);
        return;
    }
    c->at++; /* a Pause is over */
    sw_play(c);
}

/* ------------------------------------------------------------------ the walk */

static void play_redirect(struct sw_call *c, const struct cxml_node *n)
{
    struct sw_form f = { 0 };

    sw_form_call(&f, c, "in-progress");
    sw_fetch(c, n->text, &f);
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
        return true;
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
    sw_end(c, "completed");
}

static void on_bye(int err, const struct pat_http_res *res, void *arg)
{
    struct sw_call *c = arg;

    (void)err;
    (void)res;
    (void)c; /* the callee's end comes through the dialog's wait */
}

void sw_hangup(struct sw_call *c)
{
    char url[512];
    pat_http_id id;

    if (c->state == SW_ENDED)
        return;
    c->hung_up = true;
    sw_note(c, "caller_hung_up", NULL);
    if (c->state == SW_BRIDGED) {
        snprintf(url, sizeof url, "%s/sip/dialog/%s/bye", c->sip_base, c->dialog);
        if (!pat_http_start(
                c->sw->d->http,
                &(struct pat_http_req){ .method = "POST", .url = url, .timeout_ms = 5000 }, NULL,
                on_bye, c, &id))
            return;
    }
    if (c->state == SW_DIALING) {
        pat_http_cancel(c->sw->d->http, c->http);
        c->http = 0;
        leg_over(c, "canceled", 487);
    } else {
        sw_end(c, c->answered ? "completed" : "canceled");
    }
}
