/* dial_ask.c - how a dialled leg ended, asked of the carrier: see dial_ask.h. */
#include "dial_ask.h"

#include "ends.h"
#include "lifecycle.h"
#include "rest.h"

#include <stdlib.h>
#include <string.h>

struct asked {
    dial_ask_fn *fn;
    void *arg;
};

/* Numbers come as text from one carrier and as numbers from the other. */
static int64_t number(const struct pat_json *j, const char *key, int64_t otherwise)
{
    const char *s = pat_json_str_or(j, key, NULL);

    return s ? strtoll(s, NULL, 10) : pat_json_int_or(j, key, otherwise);
}

static int64_t began_ms(const struct pat_json *leg)
{
    int64_t at = lifecycle_time_ms(pat_json_str_or(leg, "date_created", NULL));

    return at ? at : lifecycle_time_ms(pat_json_str_or(leg, "start_time", NULL));
}

static struct dial_told read_leg(const struct pat_json *leg)
{
    const char *status = pat_json_str_or(leg, "status", "");
    const char *to = pat_json_str_or(leg, "to", "");
    int64_t seconds = number(leg, "duration", -1);
    struct dial_told t = { .talk_ms = seconds < 0 ? -1 : seconds * 1000,
                           .sip_code = (int)number(leg, "sip_result_code", 0) };

    if (*to == '+' && !pat_strcpy(t.to, sizeof t.to, to))
        *t.to = '\0';
    /* One that still rings or talks cannot be the one whose end brought us here. */
    t.known = ends_of_status(status) && pat_strcpy(t.status, sizeof t.status, status) &&
              pat_strcpy(t.leg, sizeof t.leg, pat_json_str_or(leg, "sid", ""));
    return t;
}

struct dial_told dial_told_of(const struct pat_json *calls)
{
    const struct pat_json *newest = NULL;

    /* Both list the newest first; their clocks count whole seconds. */
    for (size_t i = 0; i < pat_json_size(calls); i++) {
        const struct pat_json *leg = pat_json_item(calls, i);

        if (!newest || began_ms(leg) > began_ms(newest))
            newest = leg;
    }
    return newest ? read_leg(newest) : (struct dial_told){ .talk_ms = -1 };
}

void dial_told_note(struct router *r, const struct callref *ref, const struct dial_told *t,
                    enum legs_kind kind, const char *why)
{
    lifecycle_note(r, ref,
                   &(struct legs_fact){ .leg = t->leg,
                                        .kind = kind,
                                        .state = LEGS_ENDED,
                                        .at_ms = pat_unix_ms(),
                                        .reason = pat_end_reason_find(why) ? why : NULL,
                                        .sip_code = t->sip_code,
                                        .seconds = t->talk_ms > 0 ? t->talk_ms / 1000 : -1,
                                        .sequence = -1 });
}

static void on_list(int err, const struct pat_json *j, void *arg)
{
    struct asked *a = arg;
    struct dial_told told = { .talk_ms = -1 };

    if (err)
        pat_log(PAT_WARN, "dial.not_asked", PAT_ERR(err));
    else
        told = dial_told_of(pat_json_at(j, "calls"));
    a->fn(&told, a->arg);
    free(a);
}

int dial_ask(struct router *r, const char *carrier_call, int64_t timeout_ms, dial_ask_fn *fn,
             void *arg)
{
    struct asked *a;
    struct pat_buf query;
    int err;

    if (!rest_configured(r) || !*carrier_call)
        return PAT_EUNAVAIL;
    a = malloc(sizeof *a);
    if (!a)
        return PAT_ENOMEM;
    *a = (struct asked){ fn, arg };
    pat_buf_init(&query, 512);
    pat_buf_adds(&query, "ParentCallSid=");
    pat_url_encode(&query, carrier_call);
    err = pat_buf_adds(&query, "&PageSize=20");
    if (!err)
        err = rest_list(r, "Calls", query.data, timeout_ms, on_list, a);
    pat_buf_fini(&query);
    if (err)
        free(a);
    return err;
}
