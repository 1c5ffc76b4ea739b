/* policy.c - the rules a new call meets, in order: see policy.h.
 *
 * Names and reasons are part of call.routed and of router.explain: what reads them keeps working.
 */
#include "policy.h"

#include <string.h>

typedef void rule_fn(const struct policy_facts *f, struct policy_step *s);

static void speak(struct policy_step *s, const char *reason, const char *because)
{
    s->verdict = POLICY_SPOKE;
    s->reasons[0] = reason;
    s->because = because;
}

static void stop(struct policy_step *s, enum policy_do what)
{
    s->verdict = POLICY_STOPS;
    s->what = what;
}

/* no: why it may not be forwarded; then otherwise is done, or, with POLICY_SERVE, nothing. */
static void forward(struct policy_step *s, const char *number, const char *no,
                    enum policy_do otherwise)
{
    if (!no) {
        s->number = number;
        stop(s, POLICY_FORWARD);
        return;
    }
    s->reasons[1] = no;
    if (otherwise != POLICY_SERVE)
        stop(s, otherwise);
}

/* The user's wish what, where a call that cannot be forwarded leaves a message. */
static void obey(const struct policy_facts *f, struct policy_step *s, unsigned char what)
{
    if (what == POLICY_FORWARD)
        forward(s, f->want.forward, f->forward_no, POLICY_VOICEMAIL);
    else if (what != POLICY_SERVE)
        stop(s, (enum policy_do)what);
}

/* ------------------------------------------------------------------ the rules */

static void self_call(const struct policy_facts *f, struct policy_step *s)
{
    s->because = "the caller has another number than the one called";
    if (strcmp(f->from, f->to))
        return;
    speak(s, "calls_itself", "the number calls itself: a loop");
    stop(s, POLICY_REJECT);
}

static void block_list(const struct policy_facts *f, struct policy_step *s)
{
    s->because = "the caller is not on the user's block list";
    if (!f->blocked)
        return;
    speak(s, "blocked", "the caller is on the user's block list");
    obey(f, s, f->want.block);
}

static void caller_burst(const struct policy_facts *f, struct policy_step *s)
{
    s->because = "this caller does not call this number unusually often";
    if (!f->caller_burst)
        return;
    speak(s, "caller_burst", "this caller has called this number too often within a minute");
    stop(s, POLICY_BUSY);
}

static void number_burst(const struct policy_facts *f, struct policy_step *s)
{
    s->because = "the number is not called unusually often";
    if (!f->number_burst)
        return;
    speak(s, "number_burst", "the number was called too often within a minute");
    stop(s, POLICY_BUSY);
}

static void rate(const struct policy_facts *f, struct policy_step *s)
{
    s->because = f->want.max_per_minute ? "the user's calls within a minute are below the limit"
                                        : "the user has set no limit of calls within a minute";
    if (!f->want.max_per_minute || f->last_minute < f->want.max_per_minute)
        return;
    speak(s, "too_many_per_minute", "as many calls have begun within a minute as the user allows");
    obey(f, s, f->want.over_limit);
}

static void concurrency(const struct policy_facts *f, struct policy_step *s)
{
    s->because = f->want.max_concurrent ? "fewer calls are under way than the user allows"
                                        : "the user has set no limit of calls at once";
    if (!f->want.max_concurrent || f->live < f->want.max_concurrent)
        return;
    speak(s, "too_many_at_once", "as many calls are under way as the user allows");
    obey(f, s, f->want.over_limit);
}

static void budget(const struct policy_facts *f, struct policy_step *s)
{
    s->because = "the user's budget is not used up, or there is none";
    if (!f->want.budget_spent && !f->over_budget)
        return;
    speak(s, "budget_spent", "the user's budget is used up");
    obey(f, s, f->want.over_budget);
}

static void withheld(const struct policy_facts *f, struct policy_step *s)
{
    static const char *const reasons[CALLER_KINDS] = {
        [CALLER_ANONYMOUS] = "caller_anonymous",
        [CALLER_RESTRICTED] = "caller_restricted",
        [CALLER_UNAVAILABLE] = "caller_unavailable",
    };

    s->because = "the caller's number is known";
    if (f->caller == CALLER_NUMBER)
        return;
    speak(s, reasons[f->caller], "the caller's number is withheld");
    obey(f, s, f->want.withheld);
}

static void whitelist(const struct policy_facts *f, struct policy_step *s)
{
    s->because = f->want.whitelist == POLICY_FORWARD
                     ? "the caller is not a whitelisted contact"
                     : "whitelisted contacts are not put through without an agent";
    if (!f->known)
        return;
    speak(s, "known_caller", "the caller is a whitelisted contact");
    if (f->want.whitelist == POLICY_FORWARD)
        forward(s, f->want.forward, f->forward_no, POLICY_SERVE);
}

static void business_hours(const struct policy_facts *f, struct policy_step *s)
{
    const char *number = *f->want.after_hours_number ? f->want.after_hours_number : f->want.forward;

    s->because = f->hours == HOURS_ALWAYS ? "the user has set no business hours"
                                          : "it is within the user's business hours";
    if (f->hours != HOURS_CLOSED && f->hours != HOURS_HOLIDAY)
        return;
    if (f->hours == HOURS_HOLIDAY)
        speak(s, "holiday", "it is one of the user's holidays");
    else
        speak(s, "after_hours", "it is outside the user's business hours");
    if (f->want.after_hours == POLICY_FORWARD)
        forward(s, number, f->after_hours_no, POLICY_VOICEMAIL);
    else
        obey(f, s, f->want.after_hours);
}

/* The questions are the agent's to ask; here it is only said that it will. */
static void vetting(const struct policy_facts *f, struct policy_step *s)
{
    s->because = f->known ? "whitelisted contacts are not screened"
                          : "the user's vetting strategy is not strict";
    if (!f->want.strict || f->known)
        return;
    speak(s, "vetting_strict", "the agent screens the caller before anything else");
}

static void unknown_callers(const struct policy_facts *f, struct policy_step *s)
{
    s->because = "the caller is a whitelisted contact, or withholds the number";
    if (f->known || f->caller != CALLER_NUMBER)
        return;
    s->because = "callers who are no contacts are served by the agent";
    if (f->want.unknown == POLICY_SERVE)
        return;
    speak(s, "unknown_caller", "the caller is not a whitelisted contact");
    if (f->want.unknown == POLICY_FORWARD)
        forward(s, f->want.forward, f->forward_no, POLICY_SERVE);
    else
        obey(f, s, f->want.unknown);
}

static const struct {
    const char *name;
    rule_fn *rule;
} rules[POLICY_RULES] = {
    { "self_call", self_call },
    { "block_list", block_list },
    { "caller_burst", caller_burst },
    { "number_burst", number_burst },
    { "rate", rate },
    { "concurrency", concurrency },
    { "budget", budget },
    { "withheld", withheld },
    { "whitelist", whitelist },
    { "business_hours", business_hours },
    { "vetting", vetting },
    { "unknown_callers", unknown_callers },
};

int policy_walk(const struct policy_facts *f, struct policy_step steps[POLICY_RULES])
{
    int first = -1;

    for (int i = 0; i < POLICY_RULES; i++) {
        steps[i] = (struct policy_step){ .rule = rules[i].name };
        rules[i].rule(f, &steps[i]);
        if (first < 0 && steps[i].verdict == POLICY_STOPS)
            first = i;
    }
    return first;
}
