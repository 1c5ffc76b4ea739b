/* call_limits.c - how long a call may be: the longest duration with a word of warning, and a caller
 * who says nothing at all.
 */
#include "call_int.h"

#include <string.h>

enum {
    WARN_MS = 60000, /* before the end ... */
    WARN_OVER = 3,   /* ... of calls at least so many times as long */
    BYE_MS = 30000,  /* the goodbye takes no longer, whatever happens to it */
};

enum { WARN, END, NOW };

int64_t call_longest_ms(const struct call *c)
{
    int64_t ours = c->env->conf->max_call_ms, given = c->ctx ? c->ctx->max_call_ms : 0;

    return given && given < ours ? given : ours;
}

void call_limits_start(struct call *c)
{
    /* Of the call, not of our part in it: it may have been taken over. */
    int64_t left_ms = call_longest_ms(c) - call_ms(c);
    bool warn = call_longest_ms(c) >= WARN_OVER * WARN_MS && left_ms > WARN_MS;

    c->limit_step = warn ? WARN : END;
    left_ms -= warn ? WARN_MS : 0;
    pat_timer_start(&c->limit, left_ms > 0 ? left_ms : 0);
}

static void warned(bool whole, void *arg)
{
    (void)whole, (void)arg;
}

void call_on_limit(void *call)
{
    struct call *c = call;

    switch (c->limit_step++) {
    case WARN:
        if (c->ctx)
            (void)!call_announce(c, own_words(OWN_TIME_IS_UP, c->ctx->language), 0, warned, c);
        pat_timer_start(&c->limit, WARN_MS);
        break;
    case END:
        pat_log(PAT_INFO, "call.too_long", PAT_S("call", c->id));
        pat_strcpy(c->reason, sizeof c->reason, "max_duration");
        pat_timer_start(&c->limit, BYE_MS);
        call_turn_kind(c, TURN_HANG_UP, 2);
        break;
    default:
        call_end(c, "max_duration");
        break;
    }
}

void call_limit_reached(struct call *c, const char *what, int64_t used, int64_t max)
{
    struct pat_json *data = pat_json_obj();

    pat_log(PAT_WARN, "call.limit", PAT_S("call", c->id), PAT_S("limit", what), PAT_I("used", used),
            PAT_I("max", max));
    pat_json_set_str(data, "limit", what);
    pat_json_set_int(data, "used", used);
    pat_json_set_int(data, "max", max);
    report_event(c, "call", "limit", data);
    (void)snprintf(c->reason, sizeof c->reason, "%s_limit", what);
    c->bye = OWN_LIMIT;
    c->limit_step = NOW;
    pat_timer_start(&c->limit, BYE_MS);
    call_turn_kind(c, TURN_HANG_UP, 2);
}

void call_idle(struct call *c)
{
    pat_log(PAT_INFO, "call.idle", PAT_S("call", c->id), PAT_I("asked", c->turn.idled),
            PAT_B("leaving", c->turn.leaving));
    if (c->turn.leaving)
        pat_strcpy(c->reason, sizeof c->reason, "idle");
    call_say(c, c->turn.leaving ? OWN_NOBODY_THERE : OWN_STILL_THERE);
}
