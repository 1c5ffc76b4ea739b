/* speech_it.c - the stand, and main: `speech_it stt|llm|tts`. */
#include "speech_it.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *stand_url(const char *scheme, const char *vendor, const char *path, char out[100])
{
    char name[40] = "PAT_TEST_";
    size_t at = strlen(name);
    const char *port;

    for (; *vendor; vendor++)
        name[at++] = *vendor >= 'a' ? (char)(*vendor - 32) : *vendor;
    name[at] = '\0';
    port = getenv(name);
    assert_non_null(port);
    snprintf(out, 100, "%s://127.0.0.1:%s%s", scheme, port, path);
    return out;
}

struct stand *stand_up(void)
{
    static const char *const vendors[] = { "deepgram",  "openai",  "elevenlabs",
                                           "deepgram2", "openai2", "elevenlabs2" };
    struct stand *s = calloc(1, sizeof *s);

    assert_non_null(s);
    assert_int_equal(pat_loop_new(&s->loop), PAT_OK);
    assert_int_equal(pat_net_new(&s->net, s->loop, NULL), PAT_OK);
    assert_int_equal(pat_http_new(&s->http, s->loop, &(struct pat_http_opts){ 0 }), PAT_OK);
    for (size_t i = 0; i < sizeof vendors / sizeof vendors[0]; i++)
        stand_control(s, vendors[i], "{\"reset\":true}");
    return s;
}

static void on_net_closed(void *arg)
{
    *(bool *)arg = true;
}

void stand_wait(struct stand *s, const bool *flag, int64_t ms)
{
    int64_t give_up = pat_now_ms() + ms;

    while (!*flag && pat_now_ms() < give_up)
        pat_loop_run_once(s->loop, give_up - pat_now_ms() + 1);
    assert_true(*flag);
}

void stand_pass(struct stand *s, int64_t ms)
{
    int64_t end = pat_now_ms() + ms;

    while (pat_now_ms() < end)
        pat_loop_run_once(s->loop, end - pat_now_ms() + 1);
}

void stand_down(struct stand *s)
{
    int64_t give_up = pat_now_ms() + 5000;

    pat_http_free(s->http);
    pat_net_close(s->net, on_net_closed, &s->net_closed);
    stand_wait(s, &s->net_closed, 5000);
    while (pat_loop_free(s->loop)) {
        assert_true(pat_now_ms() < give_up);
        pat_loop_run_once(s->loop, 10);
    }
    free(s);
}

static void on_controlled(int err, const struct pat_http_res *res, void *arg)
{
    assert_int_equal(err, PAT_OK);
    assert_int_equal(res->status, 200);
    *(bool *)arg = true;
}

void stand_control(struct stand *s, const char *vendor, const char *json)
{
    char path[60], url[100];
    bool done = false;
    pat_http_id id;
    struct pat_http_req req = { .method = "POST", .url = url, .timeout_ms = 5000 };

    snprintf(path, sizeof path, "/control/%s", vendor);
    stand_url("http", "control", path, url);
    req.body = json;
    req.body_len = strlen(json);
    assert_int_equal(pat_http_start(s->http, &req, NULL, on_controlled, &done, &id), PAT_OK);
    stand_wait(s, &done, 5000);
}

struct providers *stand_chain(enum provider_part part, const char *list, const char *key)
{
    static const struct {
        const char *name, *vendor, *scheme, *path;
        enum provider_vendor v;
    } rows[] = {
        { "deepgram", "deepgram", "ws", "", VENDOR_DEEPGRAM },
        { "deepgram-2", "deepgram2", "ws", "", VENDOR_DEEPGRAM },
        { "elevenlabs", "elevenlabs", "ws", "", VENDOR_ELEVENLABS },
        { "elevenlabs-2", "elevenlabs2", "ws", "", VENDOR_ELEVENLABS },
        { "openai", "openai", "http", "/v1", VENDOR_OPENAI },
        { "openai-2", "openai2", "http", "/v1", VENDOR_OPENAI },
    };
    enum { N = sizeof rows / sizeof rows[0] };
    struct provider_account a[N];
    char urls[N][100];
    struct providers *t;
    struct pat_buf err;

    for (size_t i = 0; i < N; i++)
        a[i] = (struct provider_account){
            .name = rows[i].name,
            .vendor = rows[i].v,
            .url = stand_url(rows[i].scheme, rows[i].vendor, rows[i].path, urls[i]),
            .key = i == 0 || i == 2 || (i == 4 && part == PROVIDER_LLM) ? key : "key",
            .is_set = true,
            .stt_model = "nova-3",
            .llm_model = "gpt-4o-mini",
            .tts_model = rows[i].v == VENDOR_OPENAI ? "gpt-4o-mini-tts" : "eleven_flash_v2_5"
        };
    pat_buf_init(&err, 500);
    assert_int_equal(providers_new(&t, NULL, NULL, NULL), PAT_OK);
    if (providers_chain(t, part, list, a, N, &err))
        fail_msg("%s", err.data);
    pat_buf_fini(&err);
    return t;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "stt"))
        return run_stt_tests();
    if (argc == 2 && !strcmp(argv[1], "llm"))
        return run_llm_tests();
    if (argc == 2 && !strcmp(argv[1], "tts"))
        return run_tts_tests();
    fprintf(stderr, "usage: %s stt|llm|tts\n", argv[0]);
    return 2;
}
