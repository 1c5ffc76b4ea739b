/* dial_words.c - what the carrier's words about a dialled leg mean: see dial_words.h. */
#include "dial_words.h"

#include "callback.h"

#include <stdlib.h>
#include <string.h>

/* What is not here is the stack's, like everything from 500 on. */
static const struct {
    int code;
    enum dial_blame blame;
    const char *why;
} sip[] = {
    { 401, BLAME_STACK, "not_authorized" }, /* our credentials, or its list of addresses */
    { 403, BLAME_STACK, "not_authorized" },
    { 404, BLAME_STACK, "not_found" }, /* LiveKit: no dispatch rule takes it. Retell: see below */
    { 407, BLAME_STACK, "not_authorized" },
    { 408, BLAME_STACK, "no_answer" },
    { 410, BLAME_CALL, "not_found" },
    { 415, BLAME_CALL, "not_acceptable" },
    { 480, BLAME_STACK, "no_answer" },
    { 481, BLAME_CALL, "not_found" },
    { 484, BLAME_CALL, "not_found" },
    { 486, BLAME_CALL, "busy" },       /* as many calls of this user as he may have */
    { 487, BLAME_STACK, "no_answer" }, /* the carrier's own time-out: a caller's is "canceled" */
    { 488, BLAME_CALL, "not_acceptable" },
    { 600, BLAME_CALL, "busy" },
    { 603, BLAME_CALL, "declined" },
    { 604, BLAME_CALL, "not_found" },
    { 606, BLAME_CALL, "not_acceptable" },
    { 607, BLAME_CALL, "declined" },
};

static bool is(const char *s, const char *word)
{
    return s && !strcmp(s, word);
}

static bool never_answered(const struct dial_words *w)
{
    return is(w->status, "busy") || is(w->status, "no-answer") || is(w->status, "no_answer") ||
           is(w->status, "failed") || is(w->status, "declined") || is(w->status, "error");
}

static bool caller_left(const struct dial_words *w)
{
    /* A redirected leg's Dial ends while its caller is "in-progress"; who has hung up is not. */
    return is(w->hung_up_by, "caller") || is(w->call_status, "completed");
}

static struct dial_result failed(const struct dial_words *w)
{
    struct dial_result r = { DIAL_FAILED, BLAME_STACK, "failed" };

    if (is(w->status, "busy"))
        r = (struct dial_result){ DIAL_FAILED, BLAME_CALL, "busy" };
    else if (is(w->status, "no-answer") || is(w->status, "no_answer"))
        r.why = "no_answer";
    else if (is(w->status, "declined"))
        r = (struct dial_result){ DIAL_FAILED, BLAME_CALL, "declined" };
    for (size_t i = 0; i < sizeof sip / sizeof sip[0]; i++)
        if (sip[i].code == w->sip_code) {
            r.blame = sip[i].blame;
            r.why = sip[i].why;
        }
    /* Retell's addresses are one call's each: registered too long ago, or dialled twice. */
    if (w->sip_code == 404 && w->stack == STACK_RETELL)
        r.blame = BLAME_CALL;
    return r;
}

struct dial_result dial_judge(const struct dial_words *w)
{
    struct dial_result r = { DIAL_OVER, BLAME_CALL, "leg_ended" };

    bool rang_only = never_answered(w) && w->talk_ms <= 0;

    if (is(w->status, "canceled") || is(w->status, "cancel") || (rang_only && caller_left(w)))
        r.end = DIAL_GAVE_UP;
    else if (rang_only)
        r = failed(w);
    else if (caller_left(w))
        r.end = DIAL_CALLER_LEFT;
    else if (never_answered(w) || w->sip_code >= 400)
        r = (struct dial_result){ DIAL_BROKE, BLAME_STACK, "leg_broke" };
    return r;
}

static int number_of(const char *s)
{
    long n = s ? strtol(s, NULL, 10) : 0;

    return n < 100 || n > 699 ? 0 : (int)n;
}

struct dial_words dial_words_of(const struct carrier_req *c, enum stack stack)
{
    struct dial_words w = { .talk_ms = -1, .stack = stack };

    w.hung_up_by = carrier_param(c, "HangupBy");
    if (c->form == CARRIER_SWML) {
        w.status = carrier_param(c, "vars.connect_result");
        if (is(w.status, "failed") && carrier_param(c, "vars.connect_failed_reason"))
            w.status = carrier_param(c, "vars.connect_failed_reason");
        return w;
    }
    w.status = carrier_param(c, "DialCallStatus");
    w.call_status = carrier_param(c, "CallStatus");
    w.sip_code = number_of(carrier_param(c, "DialSipResponseCode"));
    w.talk_ms = callback_seconds_ms(c, "DialCallDuration");
    return w;
}
