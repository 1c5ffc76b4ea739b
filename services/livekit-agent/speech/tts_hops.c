/* tts_hops.c - see tts_hops.h. */
#include "tts_hops.h"

#include <string.h>

static enum voice_provider speaks_as(const struct provider *p)
{
    return p->vendor == VENDOR_OPENAI ? VOICE_OPENAI : VOICE_ELEVENLABS;
}

static void add(struct tts_hops *h, struct provider *by, const struct voice *v, bool own)
{
    if (h->n < TTS_HOPS)
        h->at[h->n++] = (struct tts_hop){ .by = by, .voice = *v, .own = own };
}

static struct voice like(const struct voice *v, enum voice_provider at,
                         const struct voice *fallback)
{
    struct voice out;

    if (voice_near(v, at, &out))
        return out;
    if (fallback->provider == at && strcmp(fallback->id, v->id) != 0)
        out = *fallback;
    else
        out = voice_resolve(at == VOICE_OPENAI ? "openai-shimmer" : NULL);
    out.substitute = true;
    return out;
}

/* The user's own settings are for his own voice; with a stranger's the defaults are safer. */
static struct voice substitute(const struct voice *v, enum voice_provider at,
                               const struct voice *fallback)
{
    struct voice out = like(v, at, fallback);

    if (v->provider != at) {
        out.stability = out.similarity = out.style = -1;
        out.speaker_boost = -1;
    }
    out.speed = v->speed;
    return out;
}

void tts_hops_plan(struct tts_hops *h, const struct provider_chain *c, const struct voice *v,
                   const struct voice *fallback)
{
    memset(h, 0, sizeof *h);
    for (size_t i = 0; i < c->n; i++)
        if (speaks_as(c->at[i]) == v->provider)
            add(h, c->at[i], v, true);
    for (int same = 0; same < 2; same++)
        for (size_t i = 0; i < c->n; i++) {
            enum voice_provider at = speaks_as(c->at[i]);
            struct voice other = substitute(v, at, fallback);

            if ((at == v->provider) == (same == 1))
                add(h, c->at[i], &other, false);
        }
}

static bool rested(const struct tts_hop *hop, int64_t now_ms)
{
    return !hop->gone && (!hop->failed_at_ms || now_ms - hop->failed_at_ms >= TTS_HOP_REST_MS);
}

static bool own_is_gone(const struct tts_hops *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->at[i].own && !h->at[i].gone)
            return false;
    return true;
}

/* 0: the user's voice, 1: before the others, 2: the others, 3: behind them. */
static int rank(const struct tts_hops *h, const struct tts_hop *hop)
{
    bool same_vendor = h->n && h->at[0].own && hop->by->vendor == h->at[0].by->vendor;

    if (hop->own)
        return 0;
    return !same_vendor ? 2 : own_is_gone(h) ? 1 : 3;
}

typedef bool may_fn(struct tts_hop *hop, int64_t now_ms);

static bool allowed(struct tts_hop *hop, int64_t now_ms)
{
    return pat_breaker_allow(&hop->by->breaker, now_ms);
}

static bool not_hopeless(struct tts_hop *hop, int64_t now_ms)
{
    return !provider_hopeless(hop->by, now_ms);
}

static int first(struct tts_hops *h, may_fn *may, int64_t now_ms)
{
    for (int r = 0; r <= 3; r++)
        for (size_t i = 0; i < h->n; i++)
            if (rank(h, &h->at[i]) == r && rested(&h->at[i], now_ms) && may(&h->at[i], now_ms))
                return (int)i;
    return -1;
}

int tts_hops_pick(struct tts_hops *h, int64_t now_ms)
{
    int i = first(h, allowed, now_ms);

    return i >= 0 ? i : first(h, not_hopeless, now_ms);
}

void tts_hops_failed(struct tts_hops *h, int hop, enum provider_fault f, int64_t now_ms)
{
    const struct tts_hop *bad = &h->at[hop];
    bool account = f == FAULT_AUTH || f == FAULT_QUOTA;

    for (size_t i = 0; i < h->n; i++) {
        struct tts_hop *o = &h->at[i];

        if (f == FAULT_VOICE) {
            if (o->voice.provider == bad->voice.provider && !strcmp(o->voice.id, bad->voice.id))
                o->gone = true;
        } else if (o->by == bad->by || (account && !strcmp(o->by->name, bad->by->name))) {
            o->failed_at_ms = now_ms ? now_ms : 1;
        }
    }
}

bool tts_hops_may_return(const struct tts_hops *h, int hop, int64_t now_ms)
{
    int own_rank = rank(h, &h->at[hop]);

    for (size_t i = 0; i < h->n; i++) {
        const struct tts_hop *o = &h->at[i];
        int r = rank(h, o);

        if ((r < own_rank || (r == own_rank && (int)i < hop)) && rested(o, now_ms) &&
            pat_breaker_would_allow(&o->by->breaker, now_ms))
            return true;
    }
    return false;
}

bool tts_hops_has_other(const struct tts_hops *h, int hop, int64_t now_ms)
{
    for (size_t i = 0; i < h->n; i++)
        if ((int)i != hop && h->at[i].by != h->at[hop].by && rested(&h->at[i], now_ms) &&
            !provider_hopeless(h->at[i].by, now_ms))
            return true;
    return false;
}

void tts_hops_forgive(struct tts_hops *h)
{
    for (size_t i = 0; i < h->n; i++)
        h->at[i].failed_at_ms = 0;
}

const struct provider *tts_hops_first(const struct provider_chain *c, enum voice_provider v)
{
    for (size_t i = 0; i < c->n; i++)
        if (speaks_as(c->at[i]) == v)
            return c->at[i];
    return NULL;
}
