/* out_send.c - one attempt: signed, sent, and what its answer means for the delivery.
 *
 * Standard Webhooks 1.0.0: webhook-id is the event's id and the same in every attempt,
 * webhook-timestamp the attempt's own; one signature per secret that is valid now. Redirects are
 * not followed. Of an answer 16 KiB are read at most.
 */
#include "out.h"

#include <stdlib.h>
#include <string.h>

enum {
    CONNECT_MS = 10000,
    ANSWER_MAX = 16 << 10,
    OURS_MS = 5000,    /* until what failed by our own fault is tried again */
    BUSY_MS = 30000,   /* a receiver that says it is busy, without saying for how long */
    FAILED_ENOUGH = 5, /* in a row: then the endpoint is left alone for a while */
    HOLD_MS = 1000,
    HOLD_MAX_MS = 60000,
    LINE_MAX = 4096,
};

struct out_attempt {
    struct out *o;
    struct out_attempt *next, **at;
    struct out_result result;
    int max_tries;
    int failed; /* of the endpoint, in a row before this */
    pat_http_id http;
    int64_t started_us;
};

/* The columns of webhook_claim. */
enum column {
    ID,
    ENDPOINT,
    EVENT,
    USER,
    TYPE,
    ATTEMPTS,
    TRIES,
    MAX_TRIES,
    BODY,
    URL,
    SECRETS,
    TIMEOUT_MS,
    MAX_CONCURRENCY,
    KIND,
    API_KEY,
    REGION,
    FAILURES,
    ORDERED,
};

static int number(const struct pat_db_result *rows, size_t row, int column)
{
    const char *s = pat_db_value(rows, row, column);

    return s ? (int)strtol(s, NULL, 10) : 0;
}

/* ---- the end of an attempt ---- */

static void count(struct out *o, const struct out_result *r)
{
    static const char *const faults[] = { "receiver", "network", "ours" };

    pat_counter_add(!strcmp(r->what, "delivered") ? o->m.delivered
                    : !strcmp(r->what, "retry")   ? o->m.retried
                    : !strcmp(r->what, "dead")    ? o->m.dead
                                                  : o->m.put_back,
                    1);
    for (size_t i = 0; r->fault && i < sizeof faults / sizeof faults[0]; i++)
        if (!strcmp(r->fault, faults[i]))
            pat_counter_add(o->m.faults[i], 1);
}

static void over(struct out_attempt *a)
{
    struct out *o = a->o;
    struct out_result result = a->result;

    *a->at = a->next;
    if (a->next)
        a->next->at = a->at;
    free(a);
    count(o, &result);
    out_ended(o, &result);
}

static void back(struct out_attempt *a, const char *error, int64_t next_ms)
{
    a->result.what = "back";
    a->result.fault = "ours";
    a->result.next_ms = next_ms;
    (void)pat_strcpy(a->result.error, sizeof a->result.error, error);
    over(a);
}

/* The beginning of what a receiver said, as text. */
static char *excerpt(const struct pat_http_res *res)
{
    size_t len = res->len < OUT_RESPONSE_MAX ? res->len : OUT_RESPONSE_MAX;

    while (len && len < res->len && ((unsigned char)res->body[len] & 0xC0) == 0x80)
        len--;
    return len && pat_utf8_valid(res->body, len) && !memchr(res->body, 0, len)
               ? strndup(res->body, len)
               : NULL;
}

/* When it, and when anything at all, is sent to this endpoint again. */
static void plan(struct out_attempt *a, const struct out_verdict *v, const struct pat_http_res *res)
{
    struct out_result *r = &a->result;
    char header[64];
    int64_t asked_ms = out_retry_after_ms(
        pat_http_header(res, "Retry-After", header, sizeof header), pat_unix_ms() / 1000);
    int failed = a->failed + 1 - FAILED_ENOUGH;

    r->next_ms =
        v->gone ? -1
                : out_schedule_next_ms(&a->o->schedule, r->tries, a->max_tries, pat_random32());
    r->what = r->next_ms < 0 ? "dead" : "retry";
    if (v->busy && asked_ms)
        r->hold_ms = asked_ms;
    else if (v->busy && r->status == 429)
        r->hold_ms = r->next_ms > 0 && r->next_ms < BUSY_MS ? r->next_ms : BUSY_MS;
    else if (failed >= 0)
        r->hold_ms = failed < 6 ? HOLD_MS << failed : HOLD_MAX_MS;
    if (r->next_ms >= 0 && r->next_ms < asked_ms)
        r->next_ms = asked_ms;
    if (r->next_ms < 0)
        r->next_ms = 0;
}

static void on_answer(int err, const struct pat_http_res *res, void *arg)
{
    struct out_attempt *a = arg;
    struct out_result *r = &a->result;
    struct out_verdict v = out_verdict_of(err, res->seen_status, res->fault);

    a->http = 0;
    r->status = res->seen_status;
    r->ms = (pat_now_us() - a->started_us) / 1000;
    pat_histogram_observe(a->o->m.seconds, (double)(pat_now_us() - a->started_us) / 1e6);
    if (v.taken) {
        r->what = "delivered";
        over(a);
        return;
    }
    if (!strcmp(v.fault, "ours")) {
        back(a, v.error, OURS_MS);
        return;
    }
    r->fault = v.fault;
    r->gone = v.gone;
    r->response = excerpt(res);
    (void)pat_strcpy(r->error, sizeof r->error, v.error);
    plan(a, &v, res);
    over(a);
}

/* ---- the request ---- */

/* "v1:whsec_... v1a:whsk_...", the newest first: a signature each. */
static int sign(struct pat_buf *out, const char *secrets, const char *id, int64_t now_s,
                const char *body)
{
    PAT_AUTO_STR copy = strdup(secrets);
    char *rest = copy, *word;
    const char *between = "webhook-signature: ";
    size_t len = strlen(body);
    int err = copy ? PAT_OK : PAT_ENOMEM;

    while (!err && (word = strsep(&rest, " "))) {
        pat_buf_adds(out, between);
        between = " ";
        err = !strncmp(word, "v1:", 3)
                  ? pat_sign_webhook(out, word + 3, id, now_s, body, len)
                  : pat_sign_webhook_ed25519(out, word + 4, id, now_s, body, len);
    }
    if (copy)
        explicit_bzero(copy, strlen(secrets));
    return err ? err : out->err;
}

/* What goes into the head; lines are kept in one buffer each. */
enum line {
    TYPE_LINE,
    ID_LINE,
    TIME_LINE,
    SIGNATURE_LINE,
    KEY_LINE,
    BEARER_LINE,
    REGION_LINE,
    LINES
};

static void edge_lines(struct pat_buf *lines, const struct pat_db_result *rows, size_t row)
{
    const char *key = pat_db_value(rows, row, API_KEY), *region = pat_db_value(rows, row, REGION);

    if (key) {
        pat_buf_addf(&lines[KEY_LINE], "apikey: %s", key);
        pat_buf_addf(&lines[BEARER_LINE], "Authorization: Bearer %s", key);
    }
    if (region)
        pat_buf_addf(&lines[REGION_LINE], "x-region: %s", region);
}

static int make_lines(struct pat_buf *lines, const struct pat_db_result *rows, size_t row)
{
    const char *id = pat_db_value(rows, row, EVENT), *secrets = pat_db_value(rows, row, SECRETS);
    int64_t now_s = pat_unix_ms() / 1000;

    if (!secrets)
        return PAT_ENOENT;
    pat_buf_adds(&lines[TYPE_LINE], "Content-Type: application/json");
    pat_buf_adds(&lines[ID_LINE], "webhook-id: ");
    pat_buf_adds(&lines[ID_LINE], id);
    pat_buf_adds(&lines[TIME_LINE], "webhook-timestamp: ");
    pat_buf_addi(&lines[TIME_LINE], now_s);
    if (!strcmp(pat_db_value(rows, row, KIND), "edge_function"))
        edge_lines(lines, rows, row);
    return sign(&lines[SIGNATURE_LINE], secrets, id, now_s, pat_db_value(rows, row, BODY));
}

static int start(struct out_attempt *a, const struct pat_db_result *rows, size_t row)
{
    struct pat_buf lines[LINES];
    const char *headers[LINES + 1];
    const char *body = pat_db_value(rows, row, BODY);
    int timeout_ms = number(rows, row, TIMEOUT_MS);
    size_t n = 0;
    int err;

    for (int i = 0; i < LINES; i++)
        pat_buf_init(&lines[i], LINE_MAX);
    err = make_lines(lines, rows, row);
    for (int i = 0; i < LINES && !err; i++) {
        err = lines[i].err;
        if (lines[i].len)
            headers[n++] = lines[i].data;
    }
    headers[n] = NULL;
    if (!err) {
        const struct pat_http_req req = {
            .method = "POST",
            .url = pat_db_value(rows, row, URL),
            .headers = headers,
            .body = body,
            .body_len = strlen(body),
            .timeout_ms = timeout_ms,
            .connect_timeout_ms = timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS,
            .max_body = ANSWER_MAX,
        };

        err = pat_http_start(a->o->http, &req, NULL, on_answer, a, &a->http);
    }
    for (int i = 0; i < LINES; i++) {
        if (lines[i].data)
            explicit_bzero(lines[i].data, lines[i].len);
        pat_buf_fini(&lines[i]);
    }
    return err;
}

static void read_row(struct out_attempt *a, const struct pat_db_result *rows, size_t row)
{
    struct out_result *r = &a->result;

    (void)pat_strcpy(r->delivery.s, sizeof r->delivery.s, pat_db_value(rows, row, ID));
    (void)pat_strcpy(r->endpoint.s, sizeof r->endpoint.s, pat_db_value(rows, row, ENDPOINT));
    (void)pat_strcpy(r->event.s, sizeof r->event.s, pat_db_value(rows, row, EVENT));
    (void)pat_strcpy(r->user.s, sizeof r->user.s, pat_db_value(rows, row, USER));
    (void)pat_strcpy(r->type, sizeof r->type, pat_db_value(rows, row, TYPE));
    r->attempt = number(rows, row, ATTEMPTS);
    r->tries = number(rows, row, TRIES);
    r->ordered = *pat_db_value(rows, row, ORDERED) == 't';
    a->max_tries = number(rows, row, MAX_TRIES);
    a->failed = number(rows, row, FAILURES);
}

/* It cannot be sent as it is stored, and never could. */
static void unsendable(struct out_attempt *a, const char *error)
{
    a->result.what = "dead";
    a->result.fault = "ours";
    (void)pat_strcpy(a->result.error, sizeof a->result.error, error);
    pat_log(PAT_ERROR, "webhook.unsendable", PAT_S("delivery", a->result.delivery.s),
            PAT_S("reason", error));
    over(a);
}

void out_send(struct out *o, const struct pat_db_result *rows, size_t row)
{
    struct out_attempt *a = calloc(1, sizeof *a);
    int err;

    if (!a) { /* its time runs out, then it is due again */
        struct out_lane *lane = out_lanes_find(&o->lanes, pat_db_value(rows, row, ENDPOINT));

        o->in_flight--;
        if (lane)
            lane->in_flight--;
        return;
    }
    a->o = o;
    a->next = o->attempts;
    a->at = &o->attempts;
    if (a->next)
        a->next->at = &a->next;
    o->attempts = a;
    a->started_us = pat_now_us();
    read_row(a, rows, row);
    if (!pat_db_value(rows, row, BODY)) {
        unsendable(a, "message_gone");
        return;
    }
    err = start(a, rows, row);
    if (err == PAT_ENOENT)
        unsendable(a, "no_secret");
    else if (err == PAT_EINVAL) {
        a->result.what = "dead";
        a->result.fault = "receiver";
        (void)pat_strcpy(a->result.error, sizeof a->result.error, "no_url");
        over(a);
    } else if (err)
        back(a, pat_err_name(err), OURS_MS);
}

void out_send_cancel_all(struct out *o)
{
    while (o->attempts) {
        struct out_attempt *a = o->attempts;

        pat_http_cancel(o->http, a->http);
        back(a, "canceled", 0);
    }
}
