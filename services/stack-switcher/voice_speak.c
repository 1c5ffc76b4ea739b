/* voice_speak.c - a sample of a voice: spoken by ElevenLabs or OpenAI, or the vendor's own fetched.
 *
 * MP3 everywhere: what every browser plays, and small. ElevenLabs API reference, "Create speech";
 * OpenAI API reference, "Create speech". Addresses of samples came with the vendor's own list of
 * voices; they are fetched from public addresses only, and never given to a browser.
 */
#include "voice_vendor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SPEAK_MS = 20000, BODY_MAX = 16384, AUDIO_MAX = 2 << 20 };

static bool type_of(const struct pat_http_res *res, char *out, size_t cap)
{
    char header[128];

    if (!pat_http_header(res, "content-type", header, sizeof header))
        return false;
    header[strcspn(header, "; ")] = '\0';
    /* Samples often lie in stores that know no type. */
    if (!strcasecmp(header, "application/octet-stream") || !strcasecmp(header, "audio/mp3"))
        return pat_strcpy(out, cap, "audio/mpeg");
    return !strncasecmp(header, "audio/", 6) && pat_strcpy(out, cap, header);
}

static void on_spoken(int err, const struct pat_http_res *res, void *arg)
{
    struct vendor_ask *a = arg;
    char type[64] = "";

    if (!err && (res->status != 200 || !res->len || !type_of(res, type, sizeof type))) {
        pat_log(PAT_WARN, "voice.not_heard", PAT_I("status", res->status), PAT_I("len", res->len));
        err = res->status == 404 ? PAT_ENOENT : PAT_EUPSTREAM;
    }
    a->then.speech(err, type, err ? NULL : res->body, err ? 0 : res->len, a->arg);
    vendor_end(a);
}

static int ask_elevenlabs(struct switcher *s, const struct pat_json *ask,
                          const struct vendor_ask *a)
{
    PAT_AUTO_JSON j = pat_json_obj();
    struct pat_json *set = pat_json_obj();
    const struct pat_json *given = pat_json_at(ask, "settings");
    struct pat_buf path, body;
    int err;

    if (given)
        PAT_JSON_EACH(one, given)
    pat_json_set_take(set, pat_json_key(one), pat_json_dup(one));
    pat_json_set_str(j, "text", pat_json_str_or(ask, "text", ""));
    pat_json_set_str(j, "model_id", s->conf->preview_model);
    pat_json_set_take(j, "voice_settings", set);
    pat_buf_init(&path, 512);
    pat_buf_init(&body, BODY_MAX);
    err = pat_buf_adds(&path, "/v1/text-to-speech/");
    if (!err)
        err = pat_url_encode(&path, pat_json_str_or(ask, "voice", ""));
    if (!err)
        err = pat_buf_adds(&path, "?output_format=mp3_44100_64");
    if (!err)
        err = pat_json_print_to(j, &body);
    if (!err)
        err = vendor_start(s,
                           &(struct vendor_call){ .method = "POST",
                                                  .path = path.data,
                                                  .type = "Content-Type: application/json",
                                                  .body = &body,
                                                  .timeout_ms = SPEAK_MS,
                                                  .max_body = AUDIO_MAX },
                           on_spoken, a);
    pat_buf_fini(&body);
    pat_buf_fini(&path);
    return err;
}

static int ask_openai(struct switcher *s, const struct pat_json *ask, const struct vendor_ask *a)
{
    PAT_AUTO_JSON j = pat_json_obj();
    struct pat_buf url, key, body;
    int err;

    if (!*s->conf->openai_key)
        return PAT_EUNAVAIL;
    pat_json_set_str(j, "model", "gpt-4o-mini-tts");
    pat_json_set_str(j, "voice", pat_json_str_or(ask, "voice", ""));
    pat_json_set_str(j, "input", pat_json_str_or(ask, "text", ""));
    pat_json_set_str(j, "response_format", "mp3");
    pat_json_set_num(j, "speed", pat_json_num_or(ask, "settings.speed", 1));
    pat_buf_init(&url, 1024);
    pat_buf_init(&key, 512);
    pat_buf_init(&body, BODY_MAX);
    err = pat_buf_addf(&url, "%s/audio/speech", s->conf->openai_url);
    if (!err)
        err = pat_buf_addf(&key, "Authorization: Bearer %s", s->conf->openai_key);
    if (!err)
        err = pat_json_print_to(j, &body);
    if (!err)
        err = vendor_start(s,
                           &(struct vendor_call){ .method = "POST",
                                                  .url = url.data,
                                                  .key = key.data,
                                                  .type = "Content-Type: application/json",
                                                  .body = &body,
                                                  .timeout_ms = SPEAK_MS,
                                                  .max_body = AUDIO_MAX },
                           on_spoken, a);
    pat_buf_fini(&body);
    pat_buf_fini(&key);
    pat_buf_fini(&url);
    return err;
}

static int fetch_sample(struct switcher *s, const struct pat_json *ask, const struct vendor_ask *a)
{
    const char *url = pat_json_str_or(ask, "url", "");

    if (strncasecmp(url, "https://", 8) != 0 && !s->conf->samples_private)
        return PAT_EUPSTREAM;
    return vendor_start(s,
                        &(struct vendor_call){ .method = "GET",
                                               .url = url,
                                               .timeout_ms = SPEAK_MS,
                                               .max_body = AUDIO_MAX,
                                               .public_only = !s->conf->samples_private },
                        on_spoken, a);
}

int vendor_speech(struct switcher *s, const struct pat_json *ask, vendor_speech_fn *fn, void *arg)
{
    struct vendor_ask a = { .then.speech = fn, .arg = arg };
    const char *whom = pat_json_str_or(ask, "ask", "");

    if (!strcmp(whom, "fetch"))
        return fetch_sample(s, ask, &a);
    if (!strcmp(whom, "openai"))
        return ask_openai(s, ask, &a);
    return *s->conf->elevenlabs_key ? ask_elevenlabs(s, ask, &a) : PAT_EUNAVAIL;
}
