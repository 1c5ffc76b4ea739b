/* out_schedule.c - see out_schedule.h. */
#include "out_schedule.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- pauses ---- */

static int64_t unit_ms(const char *unit)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (!strcmp(unit, units[i].name))
            return units[i].ms;
    return 0;
}

static int64_t pause_of(char *word)
{
    char *end;
    long long n;

    word += strspn(word, " ");
    n = strtoll(word, &end, 10);
    if (end == word || n < 1 || n > 7LL * 24 * 3600 * 1000)
        return 0;
    for (size_t len = strlen(end); len && end[len - 1] == ' '; len--)
        end[len - 1] = '\0';
    return n * unit_ms(end);
}

int out_schedule_parse(struct out_schedule *out, const char *text)
{
    PAT_AUTO_STR copy = strdup(text);
    char *rest = copy, *word;

    out->n = 0;
    if (!copy)
        return PAT_ENOMEM;
    while ((word = strsep(&rest, ","))) {
        int64_t ms = pause_of(word);

        if (ms <= 0 || out->n == OUT_SCHEDULE_MAX)
            return PAT_EINVAL;
        out->pause_ms[out->n++] = ms;
    }
    return PAT_OK;
}

bool out_schedule_valid(const char *text)
{
    struct out_schedule s;

    return !out_schedule_parse(&s, text);
}

int64_t out_schedule_next_ms(const struct out_schedule *s, int tries, int max_tries,
                             uint32_t random)
{
    int64_t pause;

    if (tries < 1)
        tries = 1;
    if ((size_t)tries > s->n || (max_tries > 0 && tries >= max_tries))
        return -1;
    pause = s->pause_ms[tries - 1];
    return pause * 4 / 5 + pause * 2 / 5 * (int64_t)(random >> 16) / 65535;
}

/* ---- Retry-After ---- */

/* Only the form that may be sent today: "Sun, 06 Nov 1994 08:49:37 GMT". */
static int64_t date_s(const char *value)
{
    struct tm tm = { 0 };
    const char *end = strptime(value, "%a, %d %b %Y %H:%M:%S GMT", &tm);

    return end && !*end ? (int64_t)timegm(&tm) : 0;
}

int64_t out_retry_after_ms(const char *value, int64_t now_s)
{
    char *end;
    int64_t s;

    if (!value)
        return 0;
    value += strspn(value, " \t");
    s = strtoll(value, &end, 10);
    if (end == value || *end)
        s = date_s(value) - now_s;
    if (s <= 0)
        return 0;
    return s < OUT_RETRY_AFTER_MAX_MS / 1000 ? s * 1000 : OUT_RETRY_AFTER_MAX_MS;
}

/* ---- what an answer meant ---- */

static struct out_verdict of_status(int status)
{
    static const struct {
        int from, to;
        const char *error;
    } words[] = {
        { 410, 410, "gone" },         { 429, 429, "too_many" },     { 300, 399, "redirect" },
        { 400, 499, "client_error" }, { 500, 599, "server_error" },
    };
    struct out_verdict v = { .fault = "receiver", .error = "no_answer" };

    v.gone = status == 410;
    v.busy = status == 429 || (status >= 502 && status <= 504);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (status >= words[i].from && status <= words[i].to) {
            v.error = words[i].error;
            break;
        }
    return v;
}

static struct out_verdict of_connection(const char *fault)
{
    static const struct {
        const char *fault, *whose, *error;
    } rows[] = {
        { "dns", "network", "name_not_found" },       { "connect", "network", "not_reached" },
        { "not_public", "receiver", "not_public" },   { "tls", "receiver", "certificate" },
        { "broken", "network", "connection_broken" },
    };

    for (size_t i = 0; fault && i < sizeof rows / sizeof rows[0]; i++)
        if (!strcmp(rows[i].fault, fault))
            return (struct out_verdict){ .fault = rows[i].whose, .error = rows[i].error };
    return (struct out_verdict){ .fault = "network", .error = "not_reached" };
}

struct out_verdict out_verdict_of(int err, int status, const char *fault)
{
    /* Taken is taken: what it wanted to say beyond that does not matter. */
    if (status / 100 == 2 && (!err || err == PAT_ETIMEDOUT || err == PAT_E2BIG || err == PAT_ECONN))
        return (struct out_verdict){ .taken = true };
    switch (err) {
    case PAT_OK:
    case PAT_E2BIG:
        return of_status(status);
    case PAT_ETIMEDOUT:
        return (struct out_verdict){ .busy = true, .fault = "receiver", .error = "timed_out" };
    case PAT_ECONN:
        return of_connection(fault);
    case PAT_EPROTO:
        return (struct out_verdict){ .fault = "receiver", .error = "no_http" };
    case PAT_EINVAL:
        return (struct out_verdict){ .fault = "receiver", .error = "no_url" };
    default:
        return (struct out_verdict){ .fault = "ours", .error = pat_err_name(err) };
    }
}
