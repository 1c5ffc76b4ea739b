/* relay_load.c - Retell's webhooks at a fixed rate: how long acknowledgements take.
 *
 *   PAT_RETELL_WEBHOOK_KEY=... relay_load PORT USER_ID RATE SECONDS CONNECTIONS
 *
 * Three to a call, as they come: call_started (0.5 kB), call_ended and call_analyzed (4 kB, a
 * conversation of 16 turns in text and in pieces). Each is signed when it is sent. Prints one JSON
 * line.
 */
#include "open_loop.h"
#include "pat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURNS 16

struct load {
    const char *user, *key;
    struct pat_id call;
    int next; /* of the three */
    struct pat_buf words;
};

static void make_words(struct load *l)
{
    static const char said[] = "I would like to book a table for two at eight, please.";

    pat_buf_init(&l->words, 8192);
    pat_buf_adds(&l->words, ",\"transcript\":\"");
    for (int i = 0; i < TURNS; i++)
        pat_buf_addf(&l->words, "%s: %s\\n", i % 2 ? "User" : "Agent", said);
    pat_buf_adds(&l->words, "\",\"transcript_object\":[");
    for (int i = 0; i < TURNS; i++)
        pat_buf_addf(&l->words, "%s{\"role\":\"%s\",\"content\":\"%s\"}", i ? "," : "",
                     i % 2 ? "user" : "agent", said);
    pat_buf_adds(&l->words, "]");
}

static void write_body(struct load *l, struct pat_buf *body)
{
    static const char *const kinds[] = { "call_started", "call_ended", "call_analyzed" };
    int64_t now_ms = pat_unix_ms();

    if (!l->next)
        l->call = pat_id_new();
    pat_buf_addf(body,
                 "{\"event\":\"%s\",\"call\":{\"call_id\":\"call_%s\",\"call_type\":\"phone_call\","
                 "\"agent_id\":\"agent_x\",\"call_status\":\"%s\",\"direction\":\"inbound\","
                 "\"from_number\":\"+15550109999\",\"to_number\":\"+15550100001\","
                 "\"metadata\":{\"call_id\":\"%s\",\"user_id\":\"%s\"},\"start_timestamp\":%lld",
                 kinds[l->next], l->call.s, l->next ? "ended" : "ongoing", l->call.s, l->user,
                 (long long)now_ms - 60000);
    if (l->next) {
        pat_buf_addf(body,
                     ",\"end_timestamp\":%lld,\"duration_ms\":60000,"
                     "\"disconnection_reason\":\"user_hangup\"",
                     (long long)now_ms);
        pat_buf_add(body, l->words.data, l->words.len);
    }
    if (l->next == 2)
        pat_buf_adds(body, ",\"call_analysis\":{\"call_summary\":\"A table was booked.\","
                           "\"user_sentiment\":\"Positive\",\"call_successful\":true}");
    pat_buf_adds(body, "}}");
    l->next = (l->next + 1) % 3;
}

static size_t write_request(void *arg, char *out, size_t cap)
{
    struct load *l = arg;
    struct pat_buf body, signature;
    int n;

    pat_buf_init(&body, OPEN_LOOP_REQUEST_MAX);
    pat_buf_init(&signature, 256);
    write_body(l, &body);
    if (pat_sign_retell(&signature, l->key, body.data, body.len, pat_unix_ms()))
        exit(1);
    n = snprintf(out, cap,
                 "POST /v1/hooks/retell HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                 "application/json\r\nX-Retell-Signature: %s\r\nContent-Length: %zu\r\n\r\n%s",
                 signature.data, body.len, body.data);
    pat_buf_fini(&body);
    pat_buf_fini(&signature);
    return (size_t)n;
}

static bool is_taken(const char *response)
{
    return !strncmp(response, "HTTP/1.1 200", 12);
}

int main(int argc, char **argv)
{
    static struct load l;
    struct open_loop loop = { .write = write_request, .good = is_taken, .arg = &l };
    struct open_loop_result r;

    l.key = getenv("PAT_RETELL_WEBHOOK_KEY");
    if (argc != 6 || !l.key) {
        fprintf(stderr, "usage: PAT_RETELL_WEBHOOK_KEY=... relay_load PORT USER_ID RATE SECONDS "
                        "CONNECTIONS\n");
        return 2;
    }
    loop.port = (int)strtol(argv[1], NULL, 10);
    l.user = argv[2];
    loop.rate = strtod(argv[3], NULL);
    loop.seconds = strtod(argv[4], NULL);
    loop.connections = (int)strtol(argv[5], NULL, 10);
    make_words(&l);
    open_loop_run(&loop, &r);
    printf("{\"requests\":%zu,\"refused\":%zu,\"per_second\":%.0f,\"p50_us\":%d,\"p90_us\":%d,"
           "\"p99_us\":%d,\"max_us\":%d}\n",
           r.done, r.wrong, r.per_second, r.p50_us, r.p90_us, r.p99_us, r.max_us);
    pat_buf_fini(&l.words);
    return r.wrong ? 1 : 0;
}
