/* call_resume.c - going on where another agent stopped, and letting go when another goes on for us.
 *
 * There may be two agents of one call in a room for a moment: the epoch at the end of their
 * identities says which is the later one. The earlier leaves as soon as it sees the later; the
 * later says nothing before the earlier is out (docs/decisions/0012-takeover.md).
 */
#include "call_int.h"
#include "tool_ledger.h"

#include <stdlib.h>
#include <string.h>

enum {
    TALKING_US = 600 * 1000, /* heard so recently: the caller is still speaking */
    LOOK_MS = 200,
    WAITS_MAX = 40, /* and then they are asked all the same */
};

/* ---- whose call it is ---- */

static int epoch_of(const struct call *c, const char *identity)
{
    size_t n = strlen(c->id);
    char *end;
    long epoch;

    if (strncmp(identity, "agent-", 6) != 0 || strncmp(identity + 6, c->id, n) != 0 ||
        identity[6 + n] != '-')
        return 0;
    epoch = strtol(identity + 7 + n, &end, 10);
    return *end || epoch < 1 || epoch > 1000000 ? 0 : (int)epoch;
}

void call_meet(struct call *c, const struct rtc_participant *p)
{
    int epoch = epoch_of(c, p->identity);

    if (!epoch || epoch == c->epoch || c->ending)
        return;
    if (p->gone) {
        if (epoch < c->epoch)
            call_unhush(c, CALL_HUSH_GHOST);
        return;
    }
    if (epoch > c->epoch) {
        pat_log(PAT_WARN, "call.replaced", PAT_S("call", c->id), PAT_I("epoch", c->epoch),
                PAT_I("by", epoch));
        call_yield(c, "taken_over");
    } else if (c->ev->rival) {
        c->ev->rival(c, epoch, c->arg);
    }
}

void call_hush(struct call *c, unsigned bits)
{
    c->keep.hush |= bits;
}

void call_unhush(struct call *c, unsigned bits)
{
    if (!(c->keep.hush & bits))
        return;
    c->keep.hush &= ~bits;
    if (!c->keep.hush)
        call_check_ready(c);
}

bool call_hushed(const struct call *c)
{
    (void)env_stalled(c->env); /* may hush every call of the process */
    return c->keep.hush != 0;
}

/* ---- what the next agent is left ---- */

void call_touch(struct call *c)
{
    int64_t print =
        ((((int64_t)c->turn.state * 2 + c->turn.have) * 2 + c->turn.voice) * 2 + c->turn.leaving) *
            2 +
        (c->said.len || c->partial.len);

    print = print * 1000003 + c->turns + (int64_t)c->reply_no * 7919;
    if (print == c->keep.turn_print)
        return;
    c->keep.turn_print = print;
    checkpoint_touch(c);
}

void call_save(struct call *c)
{
    checkpoint_flush(c);
}

bool call_is_quiet(const struct call *c)
{
    return c->ready && c->turn.state == TURN_LISTENING && !c->turn.voice && !c->turn.have &&
           !c->said.len && !c->partial.len && !c->warm;
}

/* ---- going on ---- */

int call_resume_load(struct call *c)
{
    struct pat_json *saved = c->keep.saved;

    if (!saved)
        return PAT_OK;
    c->keep.saved = NULL;
    checkpoint_load(c, saved);
    report_taken_over(c, pat_json_str_or(saved, "state", ""));
    pat_json_free(saved);
    return PAT_OK;
}

static bool is_talking(const struct call *c)
{
    int64_t voiced_us = ear_voiced_us(c->ear);

    return voiced_us && pat_now_us() - voiced_us < TALKING_US;
}

void call_resume(struct call *c)
{
    static const char *const names[] = { "", "listen", "say", "repeat", "think", "tools", "leave" };
    const struct resume_plan *plan = &c->keep.plan;

    if (plan->what == RESUME_REPEAT && is_talking(c) && c->keep.waited++ < WAITS_MAX) {
        pat_timer_start(&c->ready_timer, LOOK_MS);
        return;
    }
    pat_log(PAT_INFO, "call.resumed", PAT_S("call", c->id), PAT_I("epoch", c->epoch),
            PAT_S("how", names[plan->what]), PAT_I("after_ms", (pat_now_us() - c->made_us) / 1000));
    c->keep.resumed = true;
    call_forget(c);
    switch (plan->what) {
    case RESUME_SAY:
    case RESUME_REPEAT:
        call_turn_kind(c, TURN_READY, 1);
        break;
    case RESUME_THINK:
        call_turn_kind(c, TURN_READY, 0);
        /* It is in the history already: they only wait, and have waited. */
        call_turn(c, (struct turn_event){ .kind = TURN_TYPED,
                                          .n = 1,
                                          .at_us = pat_now_us() - c->keep.gap_ms * 1000 });
        break;
    default:
        call_turn_kind(c, TURN_READY, 0);
        break;
    }
    if (plan->what == RESUME_LEAVE || plan->leave_after)
        call_turn_kind(c, TURN_HANG_UP, plan->what == RESUME_LEAVE ? 0 : 1);
    call_tools_resume(c->tools);
    checkpoint_touch(c);
}

void call_resume_prepend(struct call *c, struct pat_buf *heard, struct pat_buf *text)
{
    struct pat_buf *const both[] = { heard, text };
    PAT_AUTO_STR before = c->keep.heard_before;

    c->keep.heard_before = NULL;
    for (size_t i = 0; before && i < sizeof both / sizeof both[0]; i++) {
        PAT_AUTO_STR rest = pat_buf_take(both[i]);

        pat_buf_addf(both[i], "%s%s%s", before, rest && *rest ? " " : "", rest ? rest : "");
    }
}
