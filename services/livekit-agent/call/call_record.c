/* call_record.c - what of a call is recorded, and who is told.
 *
 * How: begun when the caller can hear us, so that the notice is in it; ended with the call. How a
 * recording is made is record/'s.
 */
#include "call_int.h"

#include <string.h>

bool call_recorded(const struct env *e, const struct context *ctx)
{
    const char *whose = e->recorder ? e->conf->recording.whose : "off";

    return ctx && strcmp(whose, "off") != 0 && (ctx->record || !strcmp(whose, "all"));
}

void call_record_notice(const struct env *e, struct context *ctx)
{
    if (call_recorded(e, ctx) && context_announce(ctx, e->conf->recording.notice))
        pat_log(PAT_ERROR, "call.not_announced", PAT_S("call", ctx->call_id));
}

void call_record_begin(struct call *c)
{
    const struct record_opts o = { .call_id = c->id,
                                   .user_id = c->ctx ? c->ctx->user_id : NULL,
                                   .name = RECORD_NAME,
                                   .epoch = c->epoch };
    int err;

    if (c->record || !call_recorded(c->env, c->ctx))
        return;
    /* Who wants the notice is not recorded without it. */
    if (*c->env->conf->recording.notice && !c->ctx->announced)
        return;
    err = record_begin(&c->record, c->env->recorder, &o);
    if (err)
        pat_log(PAT_ERROR, "call.not_recorded", PAT_S("call", c->id), PAT_ERR(err));
}

void call_record_over(struct call *c)
{
    struct record *r = c->record;

    c->record = NULL;
    if (c->yielded)
        record_leave(r);
    else
        record_end(r);
}
