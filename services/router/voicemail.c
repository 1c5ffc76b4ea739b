/* voicemail.c - a message is taken: the document that asks for it, its recording, its words.
 *
 * The recording ends the call. What the carrier made of its words comes later, or never.
 */
#include "voicemail.h"
#include "callback.h"
#include "document.h"
#include "lifecycle_fetch.h"
#include "record.h"

#include <string.h>

int voicemail_write(struct router *r, const struct callref *ref, enum carrier_form form,
                    const char *text, struct pat_buf *doc)
{
    struct pat_buf url, transcribe;
    int err, err2;

    pat_buf_init(&url, 4096);
    pat_buf_init(&transcribe, 4096);
    err = callback_url(&url, r, "/v1/signalwire/recording/", ref);
    err2 = callback_url(&transcribe, r, "/v1/signalwire/transcription/", ref);
    err = err ? err : err2;
    if (!err && form == CARRIER_SWML)
        err = swml_voicemail(doc, r->conf, text, url.data);
    else if (!err)
        err = cxml_voicemail(doc, r->conf, text, url.data,
                             r->conf->voicemail_transcribe ? transcribe.data : NULL);
    pat_buf_fini(&url);
    pat_buf_fini(&transcribe);
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

/* A message, or its absence, ends the call: nothing can follow. */
static void end_recorded(struct router *r, const struct carrier_req *c, const struct callref *ref)
{
    bool swml = c->form == CARRIER_SWML;
    const char *url = carrier_param(c, swml ? "params.record.url" : "RecordingUrl");
    int64_t ms = recorded_ms(c);
    char id[129];

    if (!url || !*url) {
        record_ended(r, ref, &(struct record_end){ .reason = "no_message" });
        return;
    }
    record_voicemail(r, ref,
                     &(struct record_message){
                         .recording = recording_id(c, url, id), .url = url, .length_ms = ms });
    fetch_soon(r->fetch);
    record_ended(r, ref, &(struct record_end){ .reason = "voicemail", .talk_ms = ms });
}

static bool still_recording(const struct carrier_req *c)
{
    const char *s = carrier_param(c, c->form == CARRIER_SWML ? "params.state" : "RecordingStatus");

    return s && (!strcmp(s, "recording") || !strcmp(s, "paused") || !strcmp(s, "in-progress"));
}

static void on_recording(struct pat_httpd_req *http, void *arg)
{
    struct router *r = arg;
    struct carrier_req c;
    struct callref ref;

    if (callback_read(&c, &ref, r, http))
        return;
    if (!still_recording(&c))
        end_recorded(r, &c, &ref);
    /* The same URL hears of the file (RecordingStatus) and asks how to go on (without it). */
    if (carrier_param(&c, "RecordingStatus") || c.form == CARRIER_SWML)
        pat_httpd_reply(http, 204, NULL, NULL, 0);
    else
        callback_hangup(r, http, c.form);
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
                                                        .url = url,
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
    int err =
        pat_httpd_route(r->httpd, "POST", "/v1/signalwire/voicemail/{call}", 0, on_voicemail, r);

    if (!err)
        err = pat_httpd_route(r->httpd, "POST", "/v1/signalwire/recording/{call}", 0, on_recording,
                              r);
    if (!err)
        err = pat_httpd_route(r->httpd, "POST", "/v1/signalwire/transcription/{call}", 0,
                              on_transcription, r);
    return err;
}
