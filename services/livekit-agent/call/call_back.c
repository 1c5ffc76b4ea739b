/* call_back.c - a caller who was without us for a moment: their leg died and was dialled again,
 * their line broke, or another agent took the call over. They hear a short apology, and what they
 * missed.
 *
 * While they are away nothing is sent: what was being said stops where it is, and is gone on with
 * from the first sentence they did not hear whole. Whose leg is new is not spoken to before it is
 * answered. Nothing is said for what nobody notices, nor into a goodbye or a tool's own words.
 */
#include "call_int.h"

#include <stdlib.h>
#include <string.h>

enum {
    NOTICED_MS = 1500,
    SETTLE_MS = 100,  /* as in call_room.c: what comes earlier is cut off */
    ACTIVE_MS = 2000, /* a leg that does not say that it was answered */
};

static int64_t since_ms(int64_t us)
{
    return (pat_now_us() - us) / 1000;
}

void call_away(struct call *c)
{
    if (!c->ready || c->ending || c->back.away_us)
        return;
    memset(&c->back, 0, sizeof c->back);
    c->back.away_us = pat_now_us();
}

bool call_is_away(const struct call *c)
{
    return c->back.away_us != 0;
}

void call_back_here(struct call *c)
{
    if (!c->back.here_us)
        c->back.here_us = pat_now_us();
}

void call_back_active(struct call *c)
{
    if (!c->back.active_us)
        c->back.active_us = pat_now_us();
}

void call_back_redialled(struct call *c)
{
    c->back.redialled = true;
}

static bool hears_us(const struct call *c)
{
    const struct call_back *b = &c->back;

    if (!c->caller_here || !c->room)
        return false;
    if (c->caller_kind != RTC_SIP)
        return true;
    return b->active_us ? since_ms(b->active_us) >= SETTLE_MS : since_ms(b->here_us) >= ACTIVE_MS;
}

static char *with_apology(const struct call *c, const char *rest)
{
    const char *sorry = own_words(OWN_BACK, c->ctx->language);
    struct pat_buf b;

    pat_buf_init(&b, 64 * 1024);
    if (strncmp(rest, sorry, strlen(sorry)) != 0)
        pat_buf_addf(&b, "%s ", sorry);
    pat_buf_adds(&b, rest);
    return pat_buf_take(&b);
}

/* Yours to free; NULL: what there is to hear comes by itself. */
static char *missed(const struct call *c)
{
    PAT_AUTO_JSON now = checkpoint_make(c);
    struct resume_plan plan = checkpoint_plan(now);
    char *text = NULL;

    if (plan.what == RESUME_SAY)
        text = with_apology(c, plan.say);
    else if (plan.what == RESUME_LISTEN || plan.what == RESUME_REPEAT)
        text = strdup(pat_cut_off_phrase(c->ctx->language));
    free(plan.say);
    return text;
}

static bool busy(const struct call *c)
{
    return !c->ctx || c->turn.leaving || c->turn.firm || c->saying.text || c->n_says || c->warm ||
           call_tools_secret(c->tools) || call_tools_moved(c->tools);
}

void call_back_look(struct call *c)
{
    struct call_back *b = &c->back;
    int64_t here_us = b->active_us > b->here_us ? b->active_us : b->here_us;
    int64_t away_ms = (here_us - b->away_us) / 1000;

    if (!b->away_us || c->ending || !hears_us(c))
        return;
    b->away_us = 0;
    if (away_ms < NOTICED_MS && !b->redialled)
        return;
    pat_log(PAT_INFO, "call.caller_back", PAT_S("call", c->id), PAT_I("away_ms", away_ms),
            PAT_B("redialled", b->redialled));
    PAT_AUTO_STR text = busy(c) ? NULL : missed(c);
    if (text && call_announce(c, text, CALL_SAY_NOW, NULL, NULL))
        pat_log(PAT_WARN, "call.back_unsaid", PAT_S("call", c->id));
}

char *call_back_rest(const struct call *c)
{
    const struct call_keep *k = &c->keep;

    return k->heard_before && k->gap_ms >= NOTICED_MS ? with_apology(c, k->plan.say) : NULL;
}
