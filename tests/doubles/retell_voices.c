/* retell_voices.c - the voices the Retell double offers, and its concurrency.
 *
 * The presets are the vendor's names; control key gone_voice takes one away. Samples are spoken as
 * MP3 where the machine can make it; elsewhere a voice has none.
 */
#include "retell.h"

#include "mp3enc.h"
#include "synth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *id, *gender, *accent, *age;
} voices[] = {
    { "11labs-Adrian", "male", "American", "Young" },
    { "11labs-Amy", "female", "British", "Young" },
    { "11labs-Anna", "female", "American", "Young" },
    { "11labs-Anthony", "male", "British", "Middle Aged" },
    { "11labs-Billy", "male", "American", "Young" },
    { "11labs-Bing", "male", "American", "Young" },
    { "11labs-Brian", "male", "American", "Middle Aged" },
    { "11labs-Chloe", "female", "American", "Young" },
    { "11labs-Dorothy", "female", "British", "Young" },
    { "11labs-Ethan", "male", "American", "Young" },
    { "11labs-Gilfoy", "male", "American", "Young" },
    { "11labs-Grace", "female", "American", "Young" },
    { "11labs-Jason", "male", "American", "Middle Aged" },
    { "11labs-Jenny", "female", "American", "Young" },
    { "11labs-Joe", "male", "American", "Middle Aged" },
    { "11labs-John", "male", "American", "Old" },
    { "11labs-Julia", "female", "American", "Young" },
    { "11labs-Kate", "female", "American", "Young" },
    { "11labs-Lily", "female", "British", "Middle Aged" },
    { "11labs-Lucas", "male", "American", "Young" },
    { "11labs-Marissa", "female", "American", "Young" },
    { "11labs-Max", "male", "American", "Young" },
    { "11labs-Noah", "male", "Australian", "Young" },
    { "11labs-Paul", "male", "American", "Middle Aged" },
    { "11labs-Samad", "male", "Indian", "Young" },
    { "11labs-Steve", "male", "American", "Middle Aged" },
    { "11labs-Susan", "female", "American", "Middle Aged" },
    { "11labs-victoria", "female", "American", "Middle Aged" },
    { "11labs-Zuri", "female", "American", "Young" },
    { "openai-Alloy", "female", "American", "Young" },
    { "openai-Echo", "male", "American", "Young" },
    { "openai-Fable", "male", "British", "Young" },
    { "openai-Nova", "female", "American", "Young" },
    { "openai-Onyx", "male", "American", "Middle Aged" },
    { "openai-Shimmer", "female", "American", "Young" },
    { "cartesia-Cleo", "female", "American", "Young" },
};

static void set_sample(struct pat_json *v, struct pat_httpd_req *r, const char *id)
{
    const char *host = pat_httpd_header(r, "host");
    char url[256];

    if (!host || !mp3enc_there())
        return;
    snprintf(url, sizeof url, "http://%s/samples/%s", host, id);
    pat_json_set_str(v, "preview_audio_url", url);
}

static struct pat_json *voice_json(struct pat_httpd_req *r, size_t i)
{
    const char *id = voices[i].id;
    struct pat_json *v = dbl_obj("voice_id", id);

    pat_json_set_str(v, "voice_name", strchr(id, '-') + 1);
    pat_json_set_str(v, "provider", *id == '1' ? "elevenlabs" : *id == 'o' ? "openai" : "cartesia");
    pat_json_set_str(v, "gender", voices[i].gender);
    pat_json_set_str(v, "accent", voices[i].accent);
    pat_json_set_str(v, "age", voices[i].age);
    set_sample(v, r, id);
    return v;
}

bool retell_voice_offered(const struct retell *rt, const char *id)
{
    for (size_t i = 0; i < sizeof voices / sizeof voices[0]; i++)
        if (!strcmp(voices[i].id, id))
            return strcmp(rt->gone_voice, id) != 0;
    return false;
}

static void on_list_voices(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    struct pat_json *list;

    if (!retell_admit(rt, r))
        return;
    list = pat_json_arr();
    for (size_t i = 0; i < sizeof voices / sizeof voices[0]; i++)
        if (retell_voice_offered(rt, voices[i].id))
            pat_json_add_take(list, voice_json(r, i));
    dbl_reply(r, 200, list);
}

static void on_get_voice(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    const char *id = pat_httpd_param(r, "id");

    if (!retell_admit(rt, r))
        return;
    for (size_t i = 0; i < sizeof voices / sizeof voices[0]; i++)
        if (!strcmp(voices[i].id, id) && retell_voice_offered(rt, id)) {
            dbl_reply(r, 200, voice_json(r, i));
            return;
        }
    retell_error(r, 404, "Not Found");
}

static void on_sample_spoken(int err, const int16_t *pcm, size_t n, void *arg)
{
    struct pat_httpd_req *r = arg;
    struct pat_buf bytes;

    pat_buf_init(&bytes, (size_t)1 << 20);
    if (err || mp3enc(&bytes, 24000, 48, pcm, n))
        pat_httpd_abort(r);
    else
        pat_httpd_reply(r, 200, "audio/mpeg", bytes.data, bytes.len);
    pat_buf_fini(&bytes);
}

/* Anybody may fetch it, as from the vendor's store. */
static void on_sample(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    const char *id = pat_httpd_param(r, "id");
    struct synth_job *job;
    char text[120];

    for (size_t i = 0; i < sizeof voices / sizeof voices[0]; i++) {
        struct synth_voice v = { *voices[i].gender == 'f' ? "slt" : "rms",
                                 0.9 + 0.01 * (double)(i % 21), 1 };

        if (strcmp(voices[i].id, id) != 0)
            continue;
        snprintf(text, sizeof text, "Hello, my name is %s.", strchr(id, '-') + 1);
        if (synth_start(&job, rt->d->loop, text, strlen(text), &v, 24000, on_sample_spoken, r))
            pat_httpd_abort(r);
        return;
    }
    retell_error(r, 404, "Not Found");
}

static void on_concurrency(struct pat_httpd_req *r, void *arg)
{
    const struct retell *rt = arg;
    struct pat_json *j;
    int64_t ongoing = 0;

    if (!retell_admit(arg, r))
        return;
    for (const struct retell_call *c = rt->calls; c; c = c->next)
        ongoing += c->ongoing && !c->ended;
    j = pat_json_obj();
    pat_json_set_int(j, "current_concurrency", ongoing);
    pat_json_set_int(j, "concurrency_limit", rt->concurrency);
    pat_json_set_int(j, "base_concurrency", rt->concurrency);
    pat_json_set_int(j, "purchased_concurrency", 0);
    pat_json_set_int(j, "concurrency_purchase_limit", 100);
    pat_json_set_int(j, "remaining_purchase_limit", 100);
    dbl_reply(r, 200, j);
}

int retell_voices_routes(struct retell *rt)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/list-voices", 0, on_list_voices },
        { "GET", "/samples/{id}", 0, on_sample },
        { "GET", "/get-voice/{id}", 0, on_get_voice },
        { "GET", "/get-concurrency", 0, on_concurrency },
        { 0 },
    };

    return pat_httpd_routes(rt->d->server, routes, rt);
}
