/* redial.c - whether a call has ended or only its leg: see redial.h. */
#include "redial.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS  700
#define ASK_MS   1200
#define AGAIN_MS 250
#define TRIES    4 /* a second in all: what is not said by then was never said */

struct judging {
    struct router *r;
    struct callref ref;
    struct leg leg;
    bool asked; /* leg is not the caller's any more */
    int tries;
    struct pat_timer again;
    redial_fn *fn;
    void *arg;
};

static void finish(struct judging *j, const char *lost)
{
    struct leg leg = j->leg;
    redial_fn *fn = j->fn;
    void *arg = j->arg;

    pat_timer_fini(&j->again);
    free(j);
    fn(lost, &leg, arg);
}

static void wait_and_look(struct judging *j, const char *lost)
{
    if (++j->tries < TRIES)
        pat_timer_start(&j->again, AGAIN_MS);
    else
        finish(j, lost);
}

/* ------------------------------------------------------------------ LiveKit */

/* Words of an agent that did not mean to end the call: it lost the room, or saw a caller leave of
 * whom the carrier says that he is still there. */
static bool is_lost(const struct pat_end_reason *end)
{
    static const char *const words[] = { "caller_hangup", "caller_lost", "completed",
                                         "join_refused",  "room_closed", "unreachable" };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strcmp(end->word, words[i]))
            return true;
    return false;
}

/* The agent could not go on, and asked for a message service it did not get (docs/rpc.md,
 * router.voicemail). */
static bool gave_up(const struct pat_end_reason *end)
{
    static const char *const words[] = { "providers_failed", "speech_failed", "stt_failed" };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strcmp(end->word, words[i]))
            return true;
    return false;
}

static void judge_livekit(struct judging *j)
{
    if (!j->leg.kv || !j->leg.epoch)
        finish(j, NULL); /* nobody knows: NATS is away, or was, or no agent has ever served */
    else if (j->leg.end && gave_up(j->leg.end))
        finish(j, REDIAL_GAVE_UP);
    else if (j->leg.end)
        finish(j, is_lost(j->leg.end) ? "leg_lost" : NULL);
    else
        wait_and_look(j, "leg_lost");
}

static void on_found(const struct leg *leg, void *arg)
{
    struct judging *j = arg;

    j->leg = *leg;
    judge_livekit(j);
}

/* ------------------------------------------------------------------ Retell */

static void judge_retell(struct judging *j, const struct pat_json *call)
{
    const char *status = pat_json_str_or(call, "status", "");
    const char *reason = pat_json_str_or(call, "reason", "");

    if (!strcmp(status, "error") || !strncmp(reason, "error_", 6))
        finish(j, "leg_lost");
    else if (!strcmp(status, "ended"))
        finish(j, NULL);
    else
        wait_and_look(j, "leg_lost"); /* it still thinks it speaks with the caller */
}

static void on_call(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct judging *j = arg;

    (void)message;
    if (!err)
        judge_retell(j, result);
    else
        finish(j, err == PAT_EUPSTREAM ? "leg_lost" : NULL); /* Retell itself is in trouble */
}

static int ask_retell_about(struct judging *j)
{
    struct pat_json *params;
    pat_bus_id id;

    if (!pat_bus_up(j->r->d->bus) || !*j->ref.retell_call)
        return PAT_EUNAVAIL;
    params = pat_json_obj();
    pat_json_set_str(params, "call_id", j->ref.call.s);
    pat_json_set_str(params, "retell_call_id", j->ref.retell_call);
    PAT_AUTO_JSON owned = params;
    return pat_rpc_call(j->r->d->bus, "retell", "look_call", owned, ASK_MS, on_call, j, &id);
}

/* ------------------------------------------------------------------ both */

static int ask(struct judging *j)
{
    if (j->ref.stack == STACK_RETELL)
        return ask_retell_about(j);
    if (j->asked)
        return leg_find(j->r, j->ref.call.s, LOOK_MS, on_found, j);
    j->asked = true;
    judge_livekit(j);
    return PAT_OK;
}

static void on_again(void *arg)
{
    struct judging *j = arg;

    if (ask(j))
        finish(j, NULL);
}

int redial_judge(struct router *r, const struct callref *ref, const struct leg *leg, redial_fn *fn,
                 void *arg)
{
    struct judging *j = calloc(1, sizeof *j);
    int err;

    if (!j)
        return PAT_ENOMEM;
    *j = (struct judging){ .r = r, .ref = *ref, .leg = *leg, .fn = fn, .arg = arg };
    err = pat_timer_init(&j->again, r->d->loop, on_again, j);
    if (err) {
        free(j);
        return err;
    }
    pat_timer_start(&j->again, 0);
    return PAT_OK;
}
