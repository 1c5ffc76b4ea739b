/* retell_story.c - what a call at the Retell double leaves behind: words, costs, latencies, a
 * recording whose addresses expire; and what a test lets happen in it.
 *
 * POST /play/{call}/say {"role","content"}     somebody says something ("dtmf": content is a digit)
 * POST /play/{call}/event {"event", ...}       any webhook, with these fields beside the call
 * POST /play/{call}/end {"reason"}             it ends, for that reason
 * GET  /recordings/{call}/{name}?until=<unix ms>&n=<expired>  the sound, by ranges; 403 afterwards
 */
#include "retell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_S  0.3
#define PAUSE_S 0.8
#define GAP_MS  800 /* PAUSE_S: what answers take */

enum { WAV_HEAD = 44 };

static struct pat_json *dup_or_arr(const struct retell_call *c, const char *key)
{
    const struct pat_json *have = pat_json_at(c->body, key);

    return have ? pat_json_dup(have) : pat_json_arr();
}

static void add_words(struct pat_json *t, const char *content, double *at)
{
    struct pat_json *words = pat_json_arr();

    for (const char *s = content; *s;) {
        size_t len = strcspn(s, " ");
        struct pat_json *w = pat_json_obj();

        pat_json_set_strn(w, "word", s, len);
        pat_json_set_num(w, "start", *at);
        pat_json_set_num(w, "end", *at + WORD_S);
        *at += WORD_S;
        pat_json_add_take(words, w);
        s += len;
        s += strspn(s, " ");
    }
    *at += PAUSE_S;
    pat_json_set_take(t, "words", words);
}

void retell_said(struct retell_call *c, const char *role, const char *content)
{
    bool key = !strcmp(role, "dtmf");
    struct pat_json *t = dbl_obj("role", role);
    struct pat_json *all = dup_or_arr(c, "transcript_with_tool_calls");

    pat_json_set_str(t, key ? "digit" : "content", content);
    if (!key)
        add_words(t, content, &c->said_s);
    pat_json_add_take(all, pat_json_dup(t));
    pat_json_set_take(c->body, "transcript_with_tool_calls", all);
    if (!key) {
        struct pat_json *spoken = dup_or_arr(c, "transcript_object");
        struct pat_buf text;

        pat_buf_init(&text, 1 << 20);
        pat_buf_addf(&text, "%s%s: %s\n", pat_json_str_or(c->body, "transcript", ""),
                     !strcmp(role, "agent") ? "Agent" : "User", content);
        pat_json_set_str(c->body, "transcript", text.data ? text.data : "");
        pat_buf_fini(&text);
        pat_json_add_take(spoken, pat_json_dup(t));
        pat_json_set_take(c->body, "transcript_object", spoken);
    }
    pat_json_free(t);
}

void retell_tool_result(struct retell_call *c, const char *use, const char *content, bool good)
{
    struct pat_json *t = dbl_obj("role", "tool_call_result");
    struct pat_json *all = dup_or_arr(c, "transcript_with_tool_calls");

    pat_json_set_str(t, "tool_call_id", use);
    pat_json_set_str(t, "content", content);
    pat_json_set_bool(t, "successful", good);
    pat_json_add_take(all, t);
    pat_json_set_take(c->body, "transcript_with_tool_calls", all);
}

/* ------------------------------------------------------------------ at the end */

static void add_cost(struct retell_call *c, int64_t seconds)
{
    struct pat_json *cost = pat_json_obj(), *products = pat_json_arr();
    static const struct {
        const char *name;
        double cents_per_second;
    } table[] = { { "elevenlabs_tts", 0.0667 }, { "gpt_4_1", 0.0750 } };
    double sum = 0;

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct pat_json *p = dbl_obj("product", table[i].name);

        pat_json_set_num(p, "unit_price", table[i].cents_per_second);
        pat_json_set_num(p, "cost", table[i].cents_per_second * (double)seconds);
        pat_json_add_take(products, p);
        sum += table[i].cents_per_second * (double)seconds;
    }
    pat_json_set_take(cost, "product_costs", products);
    pat_json_set_int(cost, "total_duration_seconds", seconds);
    pat_json_set_num(cost, "total_duration_unit_price", sum / (seconds ? (double)seconds : 1));
    pat_json_set_num(cost, "combined_cost", sum);
    pat_json_set_take(c->body, "call_cost", cost);
}

static void add_latency(struct retell_call *c)
{
    static const char *const stages[] = { "e2e", "llm" };
    const struct pat_json *turns = pat_json_at(c->body, "transcript_object");
    struct pat_json *latency = pat_json_obj();
    int64_t answers = 0;
    bool user = false;

    PAT_JSON_EACH(t, turns)
    {
        bool agent = !strcmp(pat_json_str_or(t, "role", ""), "agent");

        answers += user && agent;
        user = !agent;
    }
    for (size_t i = 0; i < 2 && answers; i++) {
        struct pat_json *l = pat_json_obj(), *values = pat_json_arr();
        static const char *const figures[] = { "p50", "p90", "p95", "p99", "max", "min" };

        for (size_t k = 0; k < sizeof figures / sizeof figures[0]; k++)
            pat_json_set_int(l, figures[k], GAP_MS / (int64_t)(i + 1));
        for (int64_t k = 0; k < answers; k++)
            pat_json_add_take(values, pat_json_dup(pat_json_at(l, "p50")));
        pat_json_set_int(l, "num", answers);
        pat_json_set_take(l, "values", values);
        pat_json_set_take(latency, stages[i], l);
    }
    pat_json_set_take(c->body, "latency", latency);
}

void retell_add_recording(struct retell_call *c)
{
    static const char *const kinds[][2] = {
        { "recording_url", "mono.wav" },
        { "recording_multi_channel_url", "stereo.wav" },
        { "scrubbed_recording_url", "scrubbed-mono.wav" },
        { "scrubbed_recording_multi_channel_url", "scrubbed-stereo.wav" },
    };
    const struct retell *rt = c->rt;
    size_t n = rt->scrubbed && pat_json_at(c->body, "call_analysis") ? 4 : 2;
    char url[256];

    for (size_t i = 0; rt->recording_ms && i < n; i++) {
        snprintf(url, sizeof url, "http://127.0.0.1:%d/recordings/%s/%s?until=%lld&n=%lld",
                 rt->d->port, c->id, kinds[i][1], (long long)(pat_unix_ms() + rt->recording_ms),
                 (long long)rt->expired);
        pat_json_set_str(c->body, kinds[i][0], url);
    }
}

void retell_finish(struct retell_call *c, int64_t seconds)
{
    if (!pat_json_at(c->body, "transcript_object")) {
        retell_said(c, "agent", "Hello, how can I help you?");
        retell_said(c, "user", "Hello, I have a question.");
    }
    add_cost(c, seconds);
    add_latency(c);
    retell_add_recording(c);
}

/* ------------------------------------------------------------------ the recording */

/* Not the same at any two places, so that parts in a wrong order show. */
static void fill(unsigned char *out, size_t from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (unsigned char)(((from + i) * 2654435761u) >> 13);
}

static unsigned char wav_head(size_t at, uint32_t total)
{
    /* RIFF, WAVE, fmt: PCM, two sides of 16 bits at 16 kHz; data. */
    unsigned char head[] =
        "RIFF____WAVEfmt \x10\0\0\0\1\0\2\0\x80\x3e\0\0\0\xfa\0\0\4\0\x10\0data____";

    for (int i = 0; i < 4; i++) {
        head[4 + i] = (unsigned char)((total - 8) >> 8 * i);
        head[40 + i] = (unsigned char)((total - WAV_HEAD) >> 8 * i);
    }
    return head[at];
}

/* Something to hear: the caller a high tone in the second half, the agent a low one in the first.
 */
static void fill_wav(unsigned char *out, size_t from, size_t len, size_t total)
{
    for (size_t i = 0; i < len; i++) {
        size_t at = from + i, frame = at < WAV_HEAD ? 0 : (at - WAV_HEAD) / 4;
        bool agent = (at - WAV_HEAD) / 2 % 2;
        bool loud = agent == (frame < (total - WAV_HEAD) / 8);
        unsigned level = !loud ? 0 : frame / (agent ? 40 : 20) % 2 ? 8000 : 65536 - 8000;

        out[i] = at < WAV_HEAD ? wav_head(at, (uint32_t)total)
                               : (unsigned char)((at % 2 ? level >> 8 : level) & 0xff);
    }
}

static void on_recording(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    const char *range = pat_httpd_header(r, "range"), *until = pat_httpd_query_param(r, "until");
    const char *given = pat_httpd_query_param(r, "n");
    unsigned long long from = 0, to = rt->recording_bytes - 1;
    char line[96];
    struct pat_json *entry = dbl_obj("range", range ? range : "");
    struct dbl_fail f;
    unsigned char *data;
    bool part;

    pat_json_set_str(entry, "name", pat_httpd_param(r, "name"));
    dbl_log(rt->d, "recording", entry);
    if (dbl_fail_take(rt->d, pat_httpd_path(r), &f)) {
        retell_error(r, f.status > 0 ? f.status : 500, f.message);
        return;
    }
    if (!until || strtoll(until, NULL, 10) < pat_unix_ms() || !given ||
        strtoll(given, NULL, 10) < rt->expired) {
        retell_error(r, 403, "Request has expired");
        return;
    }
    part = range && !rt->no_ranges && sscanf(range, "bytes=%llu-%llu", &from, &to) == 2;
    if (!part) {
        from = 0;
        to = rt->recording_bytes - 1;
    }
    if (to > rt->recording_bytes - 1)
        to = rt->recording_bytes - 1;
    data = from <= to ? malloc(to - from + 1) : NULL;
    if (!data) {
        retell_error(r, 416, "no such range");
        return;
    }
    if (rt->recording_wav)
        fill_wav(data, from, to - from + 1, rt->recording_bytes);
    else
        fill(data, from, to - from + 1);
    snprintf(line, sizeof line, "bytes %llu-%llu/%zu", from, to, rt->recording_bytes);
    if (part)
        (void)pat_httpd_set_header(r, "Content-Range", line);
    pat_httpd_reply(r, part ? 206 : 200, "audio/wav", data, to - from + 1);
    free(data);
}

/* ------------------------------------------------------------------ what a test lets happen */

static struct retell_call *played(struct pat_httpd_req *r, struct retell *rt,
                                  struct pat_json **body)
{
    struct retell_call *c = retell_call(rt, pat_httpd_param(r, "call"));

    *body = retell_body(r);
    if (*body && !c) {
        retell_error(r, 404, "no such call");
        pat_json_free(*body);
        *body = NULL;
    }
    return *body ? c : NULL;
}

static void on_say(struct pat_httpd_req *r, void *arg)
{
    struct pat_json *body;
    struct retell_call *c = played(r, arg, &body);

    if (!c)
        return;
    retell_said(c, pat_json_str_or(body, "role", "user"), pat_json_str_or(body, "content", ""));
    pat_json_free(body);
    dbl_reply(r, 200, pat_json_obj());
}

static void on_event(struct pat_httpd_req *r, void *arg)
{
    struct pat_json *body;
    struct retell_call *c = played(r, arg, &body);

    if (!c)
        return;
    retell_webhook(c, pat_json_str_or(body, "event", "transcript_updated"), body, 0);
    pat_json_free(body);
    dbl_reply(r, 200, pat_json_obj());
}

static void on_end(struct pat_httpd_req *r, void *arg)
{
    struct pat_json *body;
    struct retell_call *c = played(r, arg, &body);

    if (!c)
        return;
    retell_end(c, pat_json_str_or(body, "reason", "agent_hangup"));
    pat_json_free(body);
    dbl_reply(r, 200, pat_json_obj());
}

int retell_story_routes(struct retell *rt)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/play/{call}/say", 0, on_say },
        { "POST", "/play/{call}/event", 0, on_event },
        { "POST", "/play/{call}/end", 0, on_end },
        { "GET", "/recordings/{call}/{name}", 0, on_recording },
        { 0 },
    };
    int err = pat_httpd_routes(rt->d->server, routes, rt);

    return err ? err : retell_web_routes(rt);
}
