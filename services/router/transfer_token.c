/* transfer_token.c - a transfer as a signed token in the addresses the carrier asks.
 *
 * Like the call's reference (callref.c): fields in a fixed order, one a line; the call's id is
 * signed with them and stands elsewhere in the address. */
#include "transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT  "1"
#define PURPOSE "transfer"

enum { F_FORMAT, F_ID, F_ATTEMPT, F_HOW, F_TIMEOUT, F_TO, F_LABEL, F_BRIEFING, FIELDS };

/* A line each: what somebody wrote keeps its words and loses its shape. */
static void one_line(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ')
            *s = ' ';
}

static int sign(struct pat_buf *out, const char *secret, const char *call, const char *text)
{
    struct pat_buf all;

    pat_buf_init(&all, 2048);
    pat_buf_addf(&all, "%s\n%s", call, text);
    if (all.err)
        out->err = out->err ? out->err : all.err;
    else
        pat_sign_short(out, secret, PURPOSE, all.data);
    pat_buf_fini(&all);
    return out->err;
}

int transfer_token(struct pat_buf *out, const char *secret, const char *call,
                   const struct transfer *t)
{
    char text[768];
    struct transfer plain = *t;
    int n;

    one_line(plain.label);
    one_line(plain.briefing);
    n = snprintf(text, sizeof text, FORMAT "\n%s\n%u\n%d\n%d\n%s\n%s\n%s", t->id, t->attempt,
                 (int)t->how, t->timeout_s, t->to, plain.label, plain.briefing);
    if (n < 0 || (size_t)n >= sizeof text)
        return PAT_E2BIG;
    pat_buf_adds(out, "&x=");
    pat_base64url(out, text, (size_t)n);
    pat_buf_adds(out, ".");
    return sign(out, secret, call, text);
}

static int fill(struct transfer *t, char *fields[FIELDS])
{
    long attempt = strtol(fields[F_ATTEMPT], NULL, 10), how = strtol(fields[F_HOW], NULL, 10),
         timeout = strtol(fields[F_TIMEOUT], NULL, 10);
    bool fits = pat_strcpy(t->id, sizeof t->id, fields[F_ID]) &&
                pat_strcpy(t->to, sizeof t->to, fields[F_TO]) &&
                pat_strcpy(t->label, sizeof t->label, fields[F_LABEL]) &&
                pat_strcpy(t->briefing, sizeof t->briefing, fields[F_BRIEFING]);

    if (!fits || strcmp(fields[F_FORMAT], FORMAT) || !number_e164(t->to) || attempt < 1 ||
        how < 0 || how >= TRANSFER_HOWS)
        return PAT_EAUTH;
    t->attempt = (unsigned)attempt;
    t->how = (enum transfer_how)how;
    t->timeout_s = (int)timeout;
    return PAT_OK;
}

int transfer_parse(struct transfer *out, const char *secret, const char *call, const char *token)
{
    const char *dot = strchr(token, '.');
    struct pat_buf text, good;
    char *fields[FIELDS], *rest;
    int err = PAT_EAUTH;

    if (!dot || strlen(token) > TRANSFER_TOKEN_MAX)
        return err;
    pat_buf_init(&text, TRANSFER_TOKEN_MAX);
    pat_buf_init(&good, 64);
    if (pat_unbase64(&text, token, (size_t)(dot - token)) || !text.len ||
        memchr(text.data, 0, text.len) || sign(&good, secret, call, text.data) ||
        strlen(dot + 1) != good.len || !pat_equal_ct(dot + 1, good.data, good.len))
        goto out;
    rest = text.data;
    for (int i = 0; i < FIELDS; i++) {
        fields[i] = strsep(&rest, "\n");
        if (!fields[i])
            goto out;
    }
    *out = (struct transfer){ 0 };
    err = rest ? PAT_EAUTH : fill(out, fields);
out:
    pat_buf_fini(&text);
    pat_buf_fini(&good);
    return err;
}

int transfer_url(struct pat_buf *out, const struct router *r, const char *path,
                 const struct callref *ref, const struct transfer *t)
{
    int err = callback_url(out, r, path, ref);

    return err ? err : transfer_token(out, r->conf->call_secret, ref->call.s, t);
}
