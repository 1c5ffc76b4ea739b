/* call_announce.c - texts of our own, in the order given, each told how it went. */
#include "call_int.h"

#include <stdlib.h>
#include <string.h>

static void pop(struct call *c, struct announcement *out)
{
    *out = c->says[0];
    c->n_says--;
    memmove(c->says, c->says + 1, c->n_says * sizeof *c->says);
}

int call_announce(struct call *c, const char *text, unsigned how, call_announced_fn *fn, void *arg)
{
    struct announcement a = { strdup(text), fn, arg };

    if (!a.text)
        return PAT_ENOMEM;
    if (c->ending || c->n_says == TURN_SAY_MAX || !c->ctx) {
        free(a.text);
        return c->ending || !c->ctx ? PAT_ECANCELED : PAT_EAGAIN;
    }
    c->says[c->n_says++] = a;
    call_turn(c, (struct turn_event){ .kind = TURN_SAY,
                                      .n = how & CALL_SAY_NOW ? 0 : 1,
                                      .firm = (how & CALL_SAY_FIRM) != 0 });
    return PAT_OK;
}

void call_announcement(struct call *c)
{
    if (!c->n_says)
        return;
    if (c->reply) /* it would take the text with it */
        call_reply_over(c, false);
    call_announced(c, false);
    pop(c, &c->saying);
    call_say_text(c, c->saying.text);
}

void call_announced(struct call *c, bool whole)
{
    struct announcement a = c->saying;

    if (!a.text)
        return;
    memset(&c->saying, 0, sizeof c->saying);
    free(a.text);
    if (a.fn)
        a.fn(whole, a.arg);
}

void call_announce_end(struct call *c)
{
    call_announced(c, false);
    while (c->n_says) {
        pop(c, &c->saying);
        call_announced(c, false);
    }
}

void call_announce_free(struct call *c)
{
    free(c->saying.text);
    for (size_t i = 0; i < c->n_says; i++)
        free(c->says[i].text);
    c->saying.text = NULL;
    c->n_says = 0;
}
