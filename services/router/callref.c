/* callref.c - a call's reference as a signed token.
 *
 * Fields are joined by newlines in a fixed order behind a format number: half the size of JSON, and
 * URLs are short.
 */
#include "callref.h"

#include <stdlib.h>
#include <string.h>

#define FORMAT  "1"
#define PURPOSE "callref"
/* Longer than the longest call (the carrier's own limit is four hours) and its late callbacks. */
#define MAX_AGE_MS (24 * 3600 * 1000LL)
enum { TEXT_MAX = 1023, USUAL_TEXT = 300 };

enum {
    F_FORMAT,
    F_CALL,
    F_CARRIER,
    F_USER,
    F_AGENT,
    F_RETELL,
    F_FROM,
    F_TO,
    F_STACK,
    F_TRIED,
    F_VERSION,
    F_OFFERED,
    F_MOVES, /* from here on: only as far as there is one that is not 0 */
    F_REDIALS,
    F_ACTION,
    FIELDS
};

int callref_token(struct pat_buf *out, const char *secret, const struct callref *c)
{
    const char *const texts[] = { c->call.s,      c->carrier_call, c->user, c->agent_config,
                                  c->retell_call, c->from,         c->to };
    const int64_t numbers[] = { c->stack, c->tried,   c->config_version, c->offered_ms,
                                c->moves, c->redials, c->action };
    size_t n = sizeof numbers / sizeof numbers[0];
    struct pat_buf text;
    int err;

    while (n > F_MOVES - F_STACK && !numbers[n - 1])
        n--;
    pat_buf_init(&text, TEXT_MAX);
    (void)pat_buf_reserve(&text, USUAL_TEXT); /* one allocation; a failure sticks */
    pat_buf_adds(&text, FORMAT);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        pat_buf_add(&text, "\n", 1);
        pat_buf_adds(&text, texts[i]);
    }
    for (size_t i = 0; i < n; i++) {
        pat_buf_add(&text, "\n", 1);
        pat_buf_addi(&text, numbers[i]);
    }
    err = text.err;
    if (!err) {
        pat_base64url(out, text.data, text.len);
        pat_buf_add(out, ".", 1);
        pat_sign_short(out, secret, PURPOSE, text.data);
        err = out->err;
    }
    pat_buf_fini(&text);
    return err;
}

static int number(const char *s, int64_t *out)
{
    char *end;

    *out = strtoll(s, &end, 10);
    return *s && !*end ? PAT_OK : PAT_EAUTH;
}

static int fill(struct callref *c, char *fields[FIELDS])
{
    int64_t stack, tried, moves, redials, action;
    bool fits = pat_strcpy(c->call.s, sizeof c->call.s, fields[F_CALL]) &&
                pat_strcpy(c->carrier_call, sizeof c->carrier_call, fields[F_CARRIER]) &&
                pat_strcpy(c->user, sizeof c->user, fields[F_USER]) &&
                pat_strcpy(c->agent_config, sizeof c->agent_config, fields[F_AGENT]) &&
                pat_strcpy(c->retell_call, sizeof c->retell_call, fields[F_RETELL]) &&
                pat_strcpy(c->from, sizeof c->from, fields[F_FROM]) &&
                pat_strcpy(c->to, sizeof c->to, fields[F_TO]);

    if (!fits || !pat_id_valid(c->call.s) || number(fields[F_STACK], &stack) ||
        number(fields[F_TRIED], &tried) || number(fields[F_VERSION], &c->config_version) ||
        number(fields[F_OFFERED], &c->offered_ms) || number(fields[F_MOVES], &moves) ||
        number(fields[F_REDIALS], &redials) || number(fields[F_ACTION], &action) ||
        stack < STACK_NONE || stack > STACK_LIVEKIT)
        return PAT_EAUTH;
    c->stack = (enum stack)stack;
    c->tried = (unsigned)tried;
    c->moves = (unsigned)moves;
    c->redials = (unsigned)redials;
    c->action = (unsigned)action;
    return PAT_OK;
}

static int split(struct callref *c, char *text)
{
    char *fields[FIELDS], none[] = "0";

    for (int i = 0; i < FIELDS; i++) {
        fields[i] = strsep(&text, "\n");
        if (!fields[i] && i >= F_MOVES)
            fields[i] = none;
        if (!fields[i])
            return PAT_EAUTH;
    }
    if (text || strcmp(fields[F_FORMAT], FORMAT))
        return PAT_EAUTH;
    return fill(c, fields);
}

int callref_parse(struct callref *out, const char *secret, const char *token, int64_t now_ms)
{
    struct callref c = { 0 };
    struct pat_buf text;
    const char *dot = strchr(token, '.');
    int err = PAT_EAUTH;

    if (!dot || strlen(token) > CALLREF_TOKEN_MAX)
        return PAT_EAUTH;
    pat_buf_init(&text, CALLREF_TOKEN_MAX);
    if (pat_unbase64(&text, token, (size_t)(dot - token)) || !text.len ||
        memchr(text.data, 0, text.len))
        goto out;
    err = pat_sign_short_verify(dot + 1, secret, PURPOSE, text.data);
    if (!err)
        err = split(&c, text.data);
    if (!err && (now_ms - c.offered_ms > MAX_AGE_MS || c.offered_ms - now_ms > MAX_AGE_MS))
        err = PAT_EAUTH;
    if (!err)
        *out = c;
out:
    pat_buf_fini(&text);
    return err;
}
