/* tts_fall.c - when a voice fails: the same again, another one from where it was heard, and the way
 * back.
 *
 * Which hop is next is tts_hops.c; opening it and giving it text is tts.c. Nothing here waits: a
 * voice that rests is asked again when there is something new to say.
 */
#include "tts_int.h"

#include <ctype.h>
#include <stdio.h>

enum { MAX_TRIES = 6 }; /* per utterance, all voices together */

static int64_t now_of(const struct tts *t)
{
    return pat_loop_now_ms(t->loop);
}

bool tts_has_other(const struct tts *t)
{
    return tts_hops_has_other(&t->hops, t->hop, now_of(t));
}

/* From the next word behind what was heard: half a word is never said twice. */
static void rewind_to_unspoken(struct utterance *u)
{
    size_t at = u->spoken;

    while (at && at < u->text.len && !isspace((unsigned char)u->text.data[at - 1]) &&
           !isspace((unsigned char)u->text.data[at]))
        at++;
    while (at < u->text.len && isspace((unsigned char)u->text.data[at]))
        at++;
    u->given = at;
    u->base_ms = u->n_samples / 48;
    u->sounded = false;
    u->asked_ms = u->pace_ms = 0;
}

/* False: it is known neither what was heard nor what is left, or nothing is left. */
static bool can_resume(struct utterance *u)
{
    if (!u->loud) /* whatever the alignment says: nobody heard a word */
        u->spoken = 0;
    else if (!u->spoken)
        return false;
    rewind_to_unspoken(u);
    return u->given < u->text.len || !u->ended;
}

void tts_finish(struct utterance *u, int err)
{
    u->finished = true;
    u->err = err;
}

/* With the voice that speaks now, if one does; one that was heard to its end is done all the same.
 */
static void go_on(struct tts *t, struct utterance *u, bool somebody, enum provider_fault f)
{
    if (somebody && can_resume(u))
        tts_give(t, u);
    else
        tts_finish(u, somebody && u->ended && u->spoken ? PAT_OK : provider_fault_err(f));
}

static const char *voice_name(const struct tts *t, int hop, char out[100])
{
    const struct tts_hop *h = &t->hops.at[hop];

    snprintf(out, 100, "%s:%s", h->by->name, h->voice.id);
    return out;
}

static void retire_provider(struct tts *t)
{
    /* At most one waits at a time: voice, then fallback, in different turns or not at all. */
    if (t->retired)
        t->retired->ops->close(t->retired);
    t->retired = t->provider;
    t->provider = NULL;
    tts_later(t);
}

static void tell_failure(struct tts *t, int from, enum provider_fault f, const char *why, int next)
{
    const struct tts_hop *h = &t->hops.at[from];
    const struct provider_failure told = { .by = h->by,
                                           .model = h->by->model,
                                           .fault = f,
                                           .detail = why,
                                           .next = next >= 0 ? t->hops.at[next].by : NULL };

    if (t->ev.provider_failed)
        t->ev.provider_failed(&told, t->arg);
}

static void count_failure(struct tts *t, enum provider_fault f)
{
    struct tts_hop *h = &t->hops.at[t->hop];

    tts_hops_failed(&t->hops, t->hop, f, now_of(t));
    provider_failed(t->o.providers, h->by, f, 0, now_of(t));
}

bool tts_next_hop(struct tts *t)
{
    for (;;) {
        int hop = tts_hops_pick(&t->hops, now_of(t));

        if (hop < 0)
            return false;
        t->hop = hop;
        if (!tts_provider_open(t))
            return true;
        tts_hops_failed(&t->hops, hop, FAULT_CONNECTION, now_of(t));
    }
}

void tts_fall_back(struct tts *t, enum provider_fault f, const char *why)
{
    char from_name[100], to[100];
    int from = t->hop;
    bool can;

    voice_name(t, from, from_name);
    count_failure(t, f);
    if (t->provider)
        retire_provider(t);
    can = tts_next_hop(t);
    t->gone = !can;
    tell_failure(t, from, f, why, can ? t->hop : -1);
    for (struct utterance *u = t->first; u; u = u->next)
        if (!u->finished)
            go_on(t, u, can, f);
    if (can) {
        pat_log(PAT_WARN, "tts.fell_back", PAT_S("from", from_name),
                PAT_S("to", voice_name(t, t->hop, to)), PAT_S("fault", provider_fault_name(f)),
                PAT_S("why", why));
        if (t->ev.fell_back)
            t->ev.fell_back(from_name, to, why, t->arg);
    }
}

/* One broken connection is no reason for another voice, and without another voice one more try
 * with the same is all there is: it says the rest. Not after a deadline: that was long enough. */
static bool same_again(const struct tts *t, const struct utterance *u, enum provider_fault f)
{
    if (!t->provider || u->tries >= MAX_TRIES || f == FAULT_VOICE)
        return false;
    return tts_has_other(t) ? u->tries == 1 && f == FAULT_CONNECTION : f != FAULT_TIMEOUT;
}

void tts_failed(struct tts *t, struct utterance *u, enum provider_fault f, const char *why)
{
    u->tries++;
    if (same_again(t, u, f)) {
        provider_failed(t->o.providers, t->hops.at[t->hop].by, f, 0, now_of(t));
        tell_failure(t, t->hop, f, why, t->hop);
        go_on(t, u, true, f);
    } else if (tts_has_other(t) || f == FAULT_VOICE) {
        tts_fall_back(t, f, why);
    } else {
        provider_failed(t->o.providers, t->hops.at[t->hop].by, f, 0, now_of(t));
        tell_failure(t, t->hop, f, why, -1);
        tts_finish(u, provider_fault_err(f));
    }
}

void tts_return_home(struct tts *t)
{
    char name[100];

    if (t->first || t->busy || !tts_hops_may_return(&t->hops, t->hop, now_of(t)))
        return;
    if (t->provider)
        retire_provider(t);
    t->gone = !tts_next_hop(t);
    if (t->gone)
        return;
    pat_log(PAT_INFO, "tts.returned", PAT_S("to", voice_name(t, t->hop, name)));
    if (t->hops.at[t->hop].own && t->ev.returned)
        t->ev.returned(t->arg);
}

bool tts_somebody_speaks(struct tts *t)
{
    if (t->gone && !t->busy) {
        tts_hops_forgive(&t->hops);
        t->gone = !tts_next_hop(t);
    }
    return !t->gone;
}
