/* tts.c - see tts.h: order and deadlines.
 *
 * How: utterances stand in a queue; only the first one's samples go out, those of the next wait.
 * Each knows its text and how much of it was surely heard, so that another voice can say the rest:
 * tts_fall.c. Providers are behind tts_provider.h. It does not pace: samples leave as they come. */
#include "tts_int.h"

#include "held.h"
#include "opusio.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_MS = 2500,      /* from the first text to the first sample, then another voice */
    FIRST_LAST_MS = 6000, /* the last resort gets more time */
    IDLE_MS = 4000,       /* between samples once the text is complete */
    BEHIND_MS = 3000,     /* behind who listens, all in all; then another voice */
    SILENT = 64,          /* amplitude, -54 dBFS: no voice is so faint all the time */
    SILENT_LEVEL = 57,    /* the same as the level of a packet */
};
#define MAX_TEXT ((size_t)64 << 10)
#define MAX_HELD ((size_t)16 << 20) /* samples that wait: about 170 s */

static void on_later(void *arg);

void tts_later(struct tts *t)
{
    pat_loop_next_turn(t->loop, &t->later, on_later, t);
}

static struct utterance *find(struct tts *t, uint32_t id)
{
    for (struct utterance *u = t->first; u; u = u->next)
        if (u->id == id)
            return u;
    return NULL;
}

static void remove_utterance(struct tts *t, struct utterance *u)
{
    struct utterance **at = &t->first;

    while (*at != u)
        at = &(*at)->next;
    *at = u->next;
    pat_buf_fini(&u->text);
    pat_buf_fini(&u->held);
    free(u);
}

/* All of the text is with a voice that speaks: until when more of it has to come. Sound that comes
 * in drops is silence to who listens; the last resort may drip. */
static int64_t more_by_ms(const struct tts *t, struct utterance *u, int64_t now_ms)
{
    int64_t pace_ms;

    if (!u->pace_ms) {
        u->pace_ms = now_ms;
        u->pace_samples = u->n_samples;
    }
    pace_ms = u->pace_ms + (u->n_samples - u->pace_samples) / 48 + BEHIND_MS;
    return tts_has_other(t) && pace_ms < now_ms + IDLE_MS ? pace_ms : now_ms + IDLE_MS;
}

/* The first utterance's deadline: to its first sound, or to its last. */
static void watch(struct tts *t)
{
    struct utterance *u = t->first;
    int64_t now_ms = pat_loop_now_ms(t->loop), by_ms;

    pat_timer_stop(&t->timer);
    if (!u || u->finished || !u->given)
        return;
    if (!u->asked_ms)
        u->asked_ms = now_ms;
    if (!u->sounded)
        by_ms = u->asked_ms + (tts_has_other(t) ? FIRST_MS : FIRST_LAST_MS);
    else if (u->ended)
        by_ms = more_by_ms(t, u, now_ms);
    else
        return;
    pat_timer_start(&t->timer, by_ms > now_ms ? by_ms - now_ms : 0);
}

static void give_out(struct tts *t, uint32_t id, const struct held_piece *p)
{
    if (p->level < 0)
        t->ev.audio(id, p->data, p->len / sizeof(int16_t), t->arg);
    else
        t->ev.packet(id, p->data, p->len, p->level, t->arg);
}

/* The receiver may cancel the utterance, or close everything, at each piece. */
static void hand_out(struct tts *t, uint32_t id, const struct pat_buf *held)
{
    struct held_piece p;
    size_t at = 0;

    while (!t->closed && t->first && t->first->id == id && held_next(held, &at, &p))
        give_out(t, id, &p);
}

/* Hands out what the first ones have; ends with the first that is still being spoken. */
static void advance(struct tts *t)
{
    while (t->first && !t->closed) {
        struct utterance *u = t->first;
        uint32_t id = u->id;

        if (u->held.len) {
            struct pat_buf held = u->held;

            pat_buf_init(&u->held, MAX_HELD);
            hand_out(t, id, &held);
            pat_buf_fini(&held);
            continue; /* it may have been canceled meanwhile */
        }
        if (!u->finished)
            break;
        {
            int err = u->err;
            int64_t characters = u->characters;

            remove_utterance(t, u);
            t->ev.done(id, err, characters, t->arg);
        }
    }
    if (!t->closed)
        watch(t);
}

void tts_give(struct tts *t, struct utterance *u)
{
    size_t len = u->text.len - u->given;

    if (!t->provider || u->finished)
        return;
    if (len) {
        int err = t->provider->ops->text(t->provider, u->id, u->text.data + u->given, len);

        if (err) {
            tts_finish(u, err);
            tts_later(t);
            return;
        }
        int64_t characters = (int64_t)pat_utf8_count(u->text.data + u->given, len);

        u->characters += characters;
        t->used[t->hop] += characters;
        u->given = u->text.len;
    }
    if (u->ended && u->given)
        t->provider->ops->end(t->provider, u->id);
    if (u->ended && !u->given) { /* nothing to say */
        tts_finish(u, PAT_OK);
        tts_later(t);
    }
}

static void enter(struct tts *t)
{
    t->busy++;
}

static void leave(struct tts *t)
{
    t->busy--;
}

static void p_ready(void *arg)
{
    struct tts *t = arg;

    if (t->closed || !t->ev.ready)
        return;
    enter(t);
    t->ev.ready(t->arg);
    leave(t);
}

static bool is_loud(const int16_t *samples, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (samples[i] > SILENT || samples[i] < -SILENT)
            return true;
    return false;
}

static bool has_words(const struct utterance *u)
{
    for (size_t i = 0; i < u->text.len; i++)
        if (isalnum((unsigned char)u->text.data[i]) || (unsigned char)u->text.data[i] >= 0x80)
            return true;
    return false;
}

static void arrived(struct tts *t, uint32_t id, const struct held_piece *p, size_t n, bool loud)
{
    struct utterance *u = t->closed ? NULL : find(t, id);

    if (!u || u->finished || !n)
        return;
    enter(t);
    u->n_samples += (int64_t)n;
    u->loud = u->loud || loud;
    u->sounded = u->sounded || loud || !has_words(u);
    if (loud && !t->worked) {
        t->worked = true;
        provider_worked(t->o.providers, t->hops.at[t->hop].by);
    }
    if (u == t->first) {
        give_out(t, id, p);
        if (!t->closed)
            watch(t);
    } else if (held_add(&u->held, p->data, p->len, p->level)) {
        tts_finish(u, PAT_E2BIG); /* it said more than anyone waits for */
        t->provider->ops->cancel(t->provider, id);
    }
    leave(t);
}

static void p_audio(uint32_t id, const int16_t *samples, size_t n, void *arg)
{
    arrived(arg, id, &(struct held_piece){ samples, n * sizeof *samples, -1 }, n,
            is_loud(samples, n));
}

static void p_packet(uint32_t id, const uint8_t *opus, size_t len, int level, void *arg)
{
    arrived(arg, id, &(struct held_piece){ opus, len, level }, OPUSIO_FRAME, level < SILENT_LEVEL);
}

/* Alignment repeats our text, blanks apart: it is followed character by character. */
static void follow(struct utterance *u, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (isspace((unsigned char)text[i]))
            continue;
        while (u->spoken < u->text.len && isspace((unsigned char)u->text.data[u->spoken]))
            u->spoken++;
        if (u->spoken < u->text.len)
            u->spoken++;
    }
}

static void p_aligned(uint32_t id, const char *text, size_t len, int start_ms, int end_ms,
                      void *arg)
{
    struct tts *t = arg;
    struct utterance *u = t->closed ? NULL : find(t, id);

    if (!u || u->finished)
        return;
    follow(u, text, len);
    if (!t->ev.aligned)
        return;
    enter(t);
    t->ev.aligned(id, text, len, start_ms + (int)u->base_ms, end_ms + (int)u->base_ms, t->arg);
    leave(t);
}

static void p_done(uint32_t id, int err, const char *why, void *arg)
{
    struct tts *t = arg;
    struct utterance *u = t->closed ? NULL : find(t, id);

    if (!u || u->finished)
        return;
    enter(t);
    if (err)
        tts_failed(t, u,
                   err == PAT_ECONN || err == PAT_ETIMEDOUT ? provider_fault_of_err(err)
                                                            : FAULT_SERVER,
                   why);
    else if (!u->loud && has_words(u)) /* a voice that was withdrawn may be "spoken" as silence */
        tts_failed(t, u, FAULT_VOICE, "no voice in the sound");
    else
        tts_finish(u, PAT_OK);
    advance(t);
    leave(t);
}

static void p_unusable(enum provider_fault f, const char *why, void *arg)
{
    struct tts *t = arg;

    if (t->closed)
        return;
    enter(t);
    tts_fall_back(t, f, why);
    advance(t);
    leave(t);
}

static void on_deadline(void *arg)
{
    struct tts *t = arg;
    struct utterance *u = t->first;

    if (!u)
        return;
    enter(t);
    if (t->provider)
        t->provider->ops->cancel(t->provider, u->id);
    tts_failed(t, u, FAULT_TIMEOUT, "no sound in time");
    advance(t);
    leave(t);
}

int tts_provider_open(struct tts *t)
{
    static const struct tts_provider_events ev = { .ready = p_ready,
                                                   .audio = p_audio,
                                                   .packet = p_packet,
                                                   .aligned = p_aligned,
                                                   .done = p_done,
                                                   .unusable = p_unusable };
    const struct tts_hop *hop = &t->hops.at[t->hop];

    t->worked = false;
    if (hop->voice.provider == VOICE_OPENAI)
        return tts_openai_open(&t->provider, t->loop, t->http, &t->o, hop, &ev, t);
    return tts_elevenlabs_open(&t->provider, t->loop, t->net, &t->o, hop, &ev, t);
}

static void tts_free(struct tts *t)
{
    while (t->first)
        remove_utterance(t, t->first);
    if (t->provider)
        t->provider->ops->close(t->provider);
    if (t->retired)
        t->retired->ops->close(t->retired);
    pat_task_cancel(t->loop, &t->later);
    pat_timer_fini(&t->timer);
    free(t->language);
    free(t);
}

static void on_later(void *arg)
{
    struct tts *t = arg;

    if (t->closed) {
        tts_free(t);
        return;
    }
    if (t->retired)
        t->retired->ops->close(t->retired);
    t->retired = NULL;
    enter(t);
    advance(t);
    leave(t);
    if (t->closed)
        tts_later(t);
}

int tts_open(struct tts **out, struct pat_loop *l, struct pat_net *net, struct pat_http *http,
             const struct tts_opts *o, const struct tts_events *ev, void *arg)
{
    struct tts *t = calloc(1, sizeof *t);
    int err;

    if (!t)
        return PAT_ENOMEM;
    *t = (struct tts){ .loop = l, .net = net, .http = http, .ev = *ev, .arg = arg, .o = *o };
    tts_hops_plan(&t->hops, providers_of(o->providers, PROVIDER_TTS), &o->voice, &o->fallback);
    err = t->hops.n ? PAT_OK : PAT_EINVAL;
    if (!err && o->language && !(t->o.language = t->language = strdup(o->language)))
        err = PAT_ENOMEM;
    if (!err)
        err = pat_timer_init(&t->timer, l, on_deadline, t);
    if (!err)
        t->gone = !tts_next_hop(t); /* asked again when there is something to say */
    if (err) {
        tts_free(t);
        return err;
    }
    *out = t;
    return PAT_OK;
}

static struct utterance *utterance_new(struct tts *t, uint32_t id)
{
    struct utterance *u = calloc(1, sizeof *u), **at = &t->first;

    if (!u)
        return NULL;
    u->id = id;
    pat_buf_init(&u->text, MAX_TEXT);
    pat_buf_init(&u->held, MAX_HELD);
    while (*at)
        at = &(*at)->next;
    *at = u;
    return u;
}

size_t tts_used(const struct tts *t, struct provider_used *out, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < t->hops.n; i++)
        if (t->used[i] && n < max)
            out[n++] =
                (struct provider_used){ t->hops.at[i].by, t->hops.at[i].by->model, t->used[i], 0 };
    return n;
}

const struct tts_hop *tts_speaks(const struct tts *t)
{
    return &t->hops.at[t->hop];
}

int tts_text(struct tts *t, uint32_t id, const char *text, size_t len)
{
    struct utterance *u = find(t, id);

    tts_return_home(t);
    if (!tts_somebody_speaks(t))
        return PAT_EUNAVAIL;
    if (!u)
        u = utterance_new(t, id);
    if (!u)
        return PAT_ENOMEM;
    if (u->ended)
        return PAT_EINVAL;
    if (u->text.len && !isspace((unsigned char)u->text.data[u->text.len - 1]))
        pat_buf_adds(&u->text, " ");
    if (pat_buf_add(&u->text, text, len))
        return u->text.err;
    tts_give(t, u);
    watch(t);
    return PAT_OK;
}

void tts_end(struct tts *t, uint32_t id)
{
    struct utterance *u = find(t, id);

    if (!u)
        u = utterance_new(t, id); /* without text: it still wants its done */
    if (!u || u->ended)
        return;
    u->ended = true;
    tts_give(t, u);
    if (t->gone && !u->finished)
        tts_finish(u, PAT_EUNAVAIL);
    if (u->finished)
        tts_later(t);
    watch(t);
}

void tts_cancel(struct tts *t, uint32_t id)
{
    struct utterance *u = find(t, id);

    if (!u)
        return;
    if (t->provider && !u->finished)
        t->provider->ops->cancel(t->provider, id);
    remove_utterance(t, u);
    tts_later(t); /* those behind it have waited */
}

void tts_close(struct tts *t)
{
    if (!t)
        return;
    t->closed = true;
    pat_timer_stop(&t->timer);
    if (t->busy)
        tts_later(t);
    else
        tts_free(t);
}
