/* tts.h - text to speech: sentences in, 48 kHz mono 16-bit samples out, as they come; or the
 * voice's own Opus packets, when they are wanted and it has them.
 *
 * The interface; tts_elevenlabs.c (multi-context WebSocket) and tts_openai.c (HTTP stream) are the
 * providers, voice.c resolves a stored voice id to one of them. A call opens one tts; each
 * utterance is a context, spoken in the order begun. Sockets are opened ahead. A provider that
 * fails is replaced by the next hop of the chain (tts_hops.h) from the first words not heard, and
 * that is told; it gets its place back between two replies, when it has rested. Thread: the loop's.
 */
#ifndef SPEECH_TTS_H
#define SPEECH_TTS_H

#include "pat.h"
#include "provider.h"
#include "tts_hops.h"
#include "voice.h"

struct tts;

struct tts_events {
    void (*ready)(void *arg);
    /* Samples at 48 kHz mono, of this utterance. Borrowed. */
    void (*audio)(uint32_t utterance, const int16_t *samples, size_t n, void *arg);
    /* In place of audio, when tts_opts.packets asks for it and the voice can: one Opus packet of
     * 20 ms at 48 kHz, mono, and its level (-dBov as in RFC 6464). An utterance may go on with
     * audio where another voice takes over. Borrowed. */
    void (*packet)(uint32_t utterance, const uint8_t *opus, size_t len, int level, void *arg);
    /* This piece of the utterance's text sounds from start_ms to end_ms of its audio. May never
     * come. */
    void (*aligned)(uint32_t utterance, const char *text, size_t len, int start_ms, int end_ms,
                    void *arg);
    /* All audio of the utterance was delivered (PAT_OK), or no voice could speak it. characters:
     * billed. */
    void (*done)(uint32_t utterance, int err, int64_t characters, void *arg);
    /* Another voice speaks from here on: why. */
    void (*fell_back)(const char *from, const char *to, const char *why, void *arg);
    /* And the voice before it again. May be NULL. */
    void (*returned)(void *arg);
    /* A provider failed, for the record. May be NULL. */
    void (*provider_failed)(const struct provider_failure *f, void *arg);
};

/* What one call finds out about a vendor and the next need not try again. Owned by whoever opens
 * more than one tts; zeroed at first. */
struct tts_learnt {
    bool no_opus;      /* it came, and was not what packets can be taken from */
    int64_t opus, pcm; /* utterances delivered as packets, as samples */
};

struct tts_opts {
    struct providers *providers; /* with a TTS chain; borrowed while the tts lives */
    int64_t connect_ms;
    struct voice voice;        /* resolved */
    struct voice fallback;     /* for a voice nothing is known of, see tts_hops.h */
    const char *language;      /* ISO 639-1 or NULL */
    bool packets;              /* Opus packets are welcome, where a voice has clean ones */
    struct tts_learnt *learnt; /* NULL: nothing is remembered; else it outlives the tts */
};

int tts_open(struct tts **out, struct pat_loop *l, struct pat_net *net, struct pat_http *http,
             const struct tts_opts *o, const struct tts_events *ev, void *arg) PAT_MUST_CHECK;
/* Text of an utterance (ids ascend); more may follow until tts_end. Whole sentences are best. */
int tts_text(struct tts *t, uint32_t utterance, const char *text, size_t len) PAT_MUST_CHECK;
void tts_end(struct tts *t, uint32_t utterance);
/* Forget it: no audio and no done for it any more. */
void tts_cancel(struct tts *t, uint32_t utterance);
/* Who speaks now, and with which voice. Borrowed until it closes. */
const struct tts_hop *tts_speaks(const struct tts *t);
/* Characters given to each of them, said to the end or not: at most max, and how many there are. */
size_t tts_used(const struct tts *t, struct provider_used *out, size_t max);
void tts_close(struct tts *t); /* NULL is fine */

#endif
