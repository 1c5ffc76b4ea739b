/* tts_hops.h - which voice speaks at which provider, and which one when that fails. Pure.
 *
 * A hop is a step of the TTS chain and a voice. In the order they are tried: the user's voice on
 * each account of its vendor; voices like it at the other vendors; one like it at its own (for when
 * the voice itself is gone, and then before the other vendors).
 */
#ifndef SPEECH_TTS_HOPS_H
#define SPEECH_TTS_HOPS_H

#include "provider.h"
#include "voice.h"

#define TTS_HOPS (2 * PROVIDER_STEPS)

struct tts_hop {
    struct provider *by;
    struct voice voice;
    bool own;             /* the user's voice */
    bool gone;            /* it does not exist there: not tried again in this call */
    int64_t failed_at_ms; /* 0: it has not, in this call */
};

struct tts_hops {
    struct tts_hop at[TTS_HOPS];
    size_t n;
};

/* fallback: spoken where nothing like v is known, if it is of the vendor in question. */
void tts_hops_plan(struct tts_hops *h, const struct provider_chain *c, const struct voice *v,
                   const struct voice *fallback);

/* The hop to speak next, its breaker's probe reserved; -1: none is left. Those that failed within
 * the last TTS_HOP_REST_MS are not asked. */
int tts_hops_pick(struct tts_hops *h, int64_t now_ms);
void tts_hops_failed(struct tts_hops *h, int hop, enum provider_fault f, int64_t now_ms);
/* A hop before this one that may be asked again: better to go back there between two replies. */
bool tts_hops_may_return(const struct tts_hops *h, int hop, int64_t now_ms);

/* Another one than hop could still be asked. */
bool tts_hops_has_other(const struct tts_hops *h, int hop, int64_t now_ms);
/* Nobody is left, and the caller waits: all but those that are gone may be asked again. */
void tts_hops_forgive(struct tts_hops *h);
/* Who speaks that vendor's voices first; NULL: nobody does. */
const struct provider *tts_hops_first(const struct provider_chain *c, enum voice_provider v);

/* Not every reply in another voice: a vendor that has failed is left alone for a while. */
#define TTS_HOP_REST_MS 20000

#endif
