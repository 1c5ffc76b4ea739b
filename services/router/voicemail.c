/* voicemail.c - a message is taken: the document that asks for it, its recording, its words.
 *
 * The recording ends the call. What the carrier made of its words comes later, or never. A caller
 * of whom nothing was recorded, and who is still there, goes on down the ladder.
 */
#include "voicemail.h"
#include "callback.h"
#include "document.h"
#include "ladder.h"
#include "lifecycle_fetch.h"
#include "record.h"
#include "rest.h"
#include "routes.h"
#include "serve.h"

#include <stdlib.h>
#include <string.h>

#define STACKS      (LADDER_TRIED(STACK_RETELL) | LADDER_TRIED(STACK_LIVEKIT))
#define LOOK_MS     1500
#define ADDRESS_MAX 4096

int voicemail_write(struct router *r, const struct callref *ref, enum carrier_form form,
                    const char *text, struct pat_buf *doc)
{
    struct voicemail_doc v = { .text = text };
    struct pat_buf url, transcribe, next;
    int err, err2, err3;

    pat_buf_init(&url, 4096);
    pat_buf_init(&transcribe, 4096);
    pat_buf_init(&next, 4096);
    err = callback_url(&url, r, "/v1/signalwire/recording/", ref);
    err2 = callback_url(&transcribe, r, "/v1/signalwire/transcription/", ref);
    err3 = callback_url(&next, r, "/v1/signalwire/unrecorded/", ref);
    err = err ? err : err2 ? err2 : err3;
    v.action_url = url.data;
    v.next_url = next.data;
    if (r->conf->voicemail_transcribe)
        v.transcribe_url = transcribe.data;
    if (!err)
        err = form == CARRIER_SWML ? swml_voicemail(doc, r->conf, &v)
                                   : cxml_voicemail(doc, r->conf, &v);
    pat_buf_fini(&url);
    pat_buf_fini(&transcribe);
    pat_buf_fini(&next);
    return err;
}

/* The caller was sent here in the middle of his call (actions.c). */
static void on_voicemail(struct pat_httpd_req *http, void *arg)
{
    struct router *r = arg;
    struct carrier_req c;
    struct callref ref;
    struct pat_buf doc;

    if (callback_read(&c, &ref, r, http))
        return;
    ref.stack = STACK_NONE;
    pat_buf_init(&doc, DOCUMENT_MAX);
    carrier_answer(r, http, c.form,
                   voicemail_write(r, &ref, c.form, "Please leave a message after the tone.", &doc),
                   &doc);
    pat_buf_fini(&doc);
    carrier_fini(&c);
}

static int64_t recorded_ms(const struct carrier_req *c)
{
    double seconds;

    if (c->form != CARRIER_SWML)
        return callback_seconds_ms(c, "RecordingDuration");
    seconds = pat_json_num_or(c->json, "params.record.duration", -1);
    return seconds < 0 || seconds > 24 * 3600 ? -1 : (int64_t)(seconds * 1000);
}

/* The carrier's id of a recording: its callbacks name it, requests for the next document only have
 * its address, which ends in it (".../Recordings/<id>", ".../<id>.wav"). */
static const char *recording_id(const struct carrier_req *c, const char *url, char out[129])
{
    const char *sid = carrier_param(c, "RecordingSid"), *last = strrchr(url, '/');
    size_t len;

    last = last ? last + 1 : url;
    len = strcspn(last, ".?");
    if (sid && *sid)
        return sid;
    memcpy(out, last, len < 128 ? len : 128);
    out[len < 128 ? len : 128] = 0;
    return *out ? out : url;
}

static bool is(const char *s, const char *word)
{
    return s && !strcmp(s, word);
}

static const char *recording_url(const struct carrier_req *c)
{
    return carrier_param(c, c->form == CARRIER_SWML ? "params.record.url" : "RecordingUrl");
}

static const char *state_of(const struct carrier_req *c)
{
    return carrier_param(c, c->form == CARRIER_SWML ? "params.state" : "RecordingStatus");
}

static bool is_message(const struct carrier_req *c)
{
    const char *url = recording_url(c), *state = state_of(c);

    return url && *url && recorded_ms(c) && !is(state, "absent") && !is(state, "failed") &&
           !is(state, "no_input") && !is(state, "error");
}

/* RFC 3986: ASCII without blanks and controls. */
static bool is_address(const char *url)
{
    size_t len = 0;

    while (url[len] > ' ' && url[len] <= '~')
        len++;
    return !url[len] && len <= ADDRESS_MAX;
}

/* NULL: nothing that could be fetched or shown, and the message is kept without. */
static const char *address_of(const struct callref *ref, const char *url)
{
    if (is_address(url))
        return url;
    pat_log(PAT_WARN, "voicemail.odd_address", PAT_S("call", ref->call.s),
            PAT_I("bytes", (int64_t)strlen(url)));
    return NULL;
}

/* A message ends the call: nothing can follow. */
static void end_recorded(struct router *r, const struct carrier_req *c, const struct callref *ref)
{
    const char *url = recording_url(c);
    int64_t ms = recorded_ms(c);
    char id[129];

    record_voicemail(r, ref,
                     &(struct record_message){ .recording = recording_id(c, url, id),
                                               .url = address_of(ref, url),
                                               .length_ms = ms });
    fetch_soon(r->fetch);
    record_ended(r, ref, &(struct record_end){ .reason = "voicemail", .talk_ms = ms });
}

static bool still_recording(const struct carrier_req *c)
{
    const char *s = state_of(c);

    return is(s, "recording") || is(s, "paused") || is(s, "in-progress");
}

/* ------------------------------------------------------------------ nothing was recorded */

static bool has_left(const struct carrier_req *c)
{
    return is(carrier_param(c, "CallStatus"), "completed") ||
           is(carrier_param(c, "HangupBy"), "caller") || is(carrier_param(c, "Digits"), "hangup");
}

static void next_rung(struct router *r, const struct carrier_req *c, const struct callref *ref)
{
    struct serve s = {
        .ref = *ref, .form = c->form, .failed_over = "not_recorded", .started_us = pat_now_us()
    };

    s.ref.stack = STACK_NONE;
    /* A policy wanted a message (no money left, after hours): no agent answers in its place. */
    if (!(s.ref.tried & STACKS))
        s.ref.tried |= STACKS;
    s.ref.tried |= LADDER_TRIED_VOICEMAIL;
    serve_call(r, c->http, &s, routes_find(r->routes, ref->to));
}

static void go_on(struct router *r, const struct carrier_req *c, const struct callref *ref)
{
    pat_log(PAT_WARN, "voicemail.not_recorded", PAT_S("call", ref->call.s),
            PAT_S("status", state_of(c)), PAT_B("caller_there", !has_left(c)));
    if (!has_left(c)) {
        next_rung(r, c, ref);
        return;
    }
    record_ended(r, ref, &(struct record_end){ .reason = "no_message" });
    callback_hangup(r, c->http, c->form);
}

/* What the document goes on with: SWML after every recording, cXML when there was none. */
static void on_unrecorded(struct pat_httpd_req *http, void *arg)
{
    struct carrier_req c;
    struct callref ref;
    const char *url;

    if (callback_read(&c, &ref, arg, http))
        return;
    url = carrier_param(&c, "vars.record_url");
    if (url && *url && !is(carrier_param(&c, "vars.record_result"), "failed"))
        callback_hangup(arg, http, c.form);
    else
        go_on(arg, &c, &ref);
    carrier_fini(&c);
}

/* A Record's action no router heard: the carrier has the message, or there is none. */
struct lost {
    struct router *r;
    struct carrier_req c;
    struct callref ref;
};

static void on_listed(int err, const struct pat_json *j, void *arg)
{
    struct lost *l = arg;

    if (!err && !pat_json_size(pat_json_at(j, "recordings"))) {
        go_on(l->r, &l->c, &l->ref);
    } else { /* its callback tells of it, or the reconciler finds it */
        callback_hangup(l->r, l->c.http, l->c.form);
    }
    carrier_fini(&l->c);
    free(l);
}

void voicemail_lost(struct router *r, struct carrier_req *c_take, const struct callref *ref)
{
    struct lost *l = malloc(sizeof *l);
    struct pat_buf query;
    int err = PAT_EUNAVAIL;

    pat_buf_init(&query, 512);
    pat_buf_adds(&query, "CallSid=");
    pat_url_encode(&query, ref->carrier_call);
    if (l) {
        *l = (struct lost){ r, *c_take, *ref };
        err = query.err;
    }
    if (!err && rest_configured(r))
        err = rest_list(r, "Recordings", query.data, LOOK_MS, on_listed, l);
    else
        err = PAT_EUNAVAIL;
    pat_buf_fini(&query);
    if (!err)
        return;
    free(l);
    callback_hangup(r, c_take->http, c_take->form);
    carrier_fini(c_take);
}

static void on_recording(struct pat_httpd_req *http, void *arg)
{
    struct router *r = arg;
    struct carrier_req c;
    struct callref ref;

    if (callback_read(&c, &ref, r, http))
        return;
    if (!still_recording(&c) && is_message(&c))
        end_recorded(r, &c, &ref);
    /* The same URL hears of the file (RecordingStatus) and asks how to go on (without it). */
    if (carrier_param(&c, "RecordingStatus") || c.form == CARRIER_SWML)
        pat_httpd_reply(http, 204, NULL, NULL, 0);
    else if (is_message(&c))
        callback_hangup(r, http, c.form);
    else
        go_on(r, &c, &ref);
    carrier_fini(&c);
}

static void on_transcription(struct pat_httpd_req *http, void *arg)
{
    struct router *r = arg;
    struct carrier_req c;
    struct callref ref;
    const char *status, *text, *url;
    char id[129];

    if (callback_read(&c, &ref, r, http))
        return;
    status = carrier_param(&c, "TranscriptionStatus");
    text = carrier_param(&c, "TranscriptionText");
    url = carrier_param(&c, "RecordingUrl");
    if (status && !strcmp(status, "completed") && text && url)
        record_voicemail_text(r, &ref,
                              &(struct record_message){ .recording = recording_id(&c, url, id),
                                                        .url = address_of(&ref, url),
                                                        .length_ms = -1 },
                              text);
    else
        pat_log(PAT_WARN, "voicemail.not_transcribed", PAT_S("call", ref.call.s),
                PAT_S("status", status));
    pat_httpd_reply(http, 204, NULL, NULL, 0);
    carrier_fini(&c);
}

int voicemail_routes(struct router *r)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/v1/signalwire/voicemail/{call}", 0, on_voicemail },
        { "POST", "/v1/signalwire/recording/{call}", 0, on_recording },
        { "POST", "/v1/signalwire/unrecorded/{call}", 0, on_unrecorded },
        { "POST", "/v1/signalwire/transcription/{call}", 0, on_transcription },
        { 0 },
    };

    return pat_httpd_routes(r->httpd, routes, r);
}
