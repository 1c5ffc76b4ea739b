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

/* For front ends that tell whoever watches. */
static void show(struct call *c)
{
    if (c->room && c->record)
        (void)rtc_room_set_attribute(c->room, "patchbay.recording",
                                     c->record_pauses ? "paused" : "on");
}

void call_record_pause(struct call *c, unsigned why)
{
    bool first = !c->record_pauses;

    c->record_pauses |= why;
    if (!first)
        return;
    record_pause(c->record);
    show(c);
}

void call_record_unpause(struct call *c, unsigned why)
{
    if (!(c->record_pauses & why))
        return;
    c->record_pauses &= ~why;
    if (c->record_pauses)
        return;
    record_unpause(c->record);
    show(c);
}

void call_record_begin(struct call *c)
{
    char name[RECORD_NAME_MAX] = RECORD_NAME;
    const struct record_opts o = { .call_id = c->id,
                                   .user_id = c->ctx ? c->ctx->user_id : NULL,
                                   .name = name,
                                   .epoch = c->epoch };
    int err;

    if (c->record || !call_recorded(c->env, c->ctx))
        return;
    /* Who wants the notice is not recorded without it. */
    if (*c->env->conf->recording.notice && !c->ctx->announced)
        return;
    if (c->came_back) /* what was before it left is a file already */
        (void)snprintf(name, sizeof name, RECORD_NAME "-%lld",
                       (long long)(pat_unix_ms() - pat_id_time_ms(c->id)) / 1000);
    err = record_begin(&c->record, c->env->recorder, &o);
    if (err)
        pat_log(PAT_ERROR, "call.not_recorded", PAT_S("call", c->id), PAT_ERR(err));
    show(c);
}

struct pat_json *call_record_save(const struct call *c)
{
    struct record_state s;
    struct pat_json *o;

    if (!c->record)
        return NULL;
    s = record_state(c->record);
    o = pat_json_obj();
    pat_json_set_str(o, "name", s.name);
    pat_json_set_int(o, "began_ms", s.began_ms);
    pat_json_set_bool(o, "paused", s.paused);
    return o;
}

void call_record_load(struct call *c, const struct pat_json *saved)
{
    const struct record_state s = { .name = pat_json_str_or(saved, "name", RECORD_NAME),
                                    .began_ms = pat_json_int_or(saved, "began_ms", pat_unix_ms()),
                                    .paused = pat_json_bool_or(saved, "paused", false) };
    const struct record_opts o = {
        .call_id = c->id, .user_id = c->ctx->user_id, .name = s.name, .epoch = c->epoch
    };
    int err = c->record || !c->env->recorder ? PAT_OK
                                             : record_resume(&c->record, c->env->recorder, &o, &s);

    if (err)
        pat_log(PAT_ERROR, "call.not_recorded", PAT_S("call", c->id), PAT_ERR(err));
    /* Keys that were being pressed are not pressed any more; a passcode is still waited for. */
    if (c->record_pauses)
        record_pause(c->record);
    else
        record_unpause(c->record);
    show(c);
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
