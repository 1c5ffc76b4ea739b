/* tts_provider.h - between tts.c and what speaks: one voice at one provider.
 *
 * A provider speaks the utterances it is given in its own time; tts.c puts them in order, decides
 * when one has failed and where it goes then. Callbacks never run inside a call of ops. Thread: the
 * loop's.
 */
#ifndef SPEECH_TTS_PROVIDER_H
#define SPEECH_TTS_PROVIDER_H

#include "tts.h"

struct tts_provider;

struct tts_provider_events {
    void (*ready)(void *arg);
    void (*audio)(uint32_t utterance, const int16_t *samples, size_t n, void *arg);
    /* As tts_events.packet. */
    void (*packet)(uint32_t utterance, const uint8_t *opus, size_t len, int level, void *arg);
    /* Times are of what this provider spoke of the utterance. */
    void (*aligned)(uint32_t utterance, const char *text, size_t len, int start_ms, int end_ms,
                    void *arg);
    /* It forgets the utterance with this. May be followed by others in the same turn. */
    void (*done)(uint32_t utterance, int err, const char *why, void *arg);
    /* It will not speak again: whatever it had is lost without a done. */
    void (*unusable)(enum provider_fault f, const char *why, void *arg);
};

struct tts_provider_ops {
    int (*text)(struct tts_provider *p, uint32_t utterance, const char *text, size_t len);
    void (*end)(struct tts_provider *p, uint32_t utterance);
    void (*cancel)(struct tts_provider *p, uint32_t utterance);
    void (*close)(struct tts_provider *p);
};

/* First member of every provider. */
struct tts_provider {
    const struct tts_provider_ops *ops;
};

int tts_elevenlabs_open(struct tts_provider **out, struct pat_loop *l, struct pat_net *net,
                        const struct tts_opts *o, const struct tts_hop *hop,
                        const struct tts_provider_events *ev, void *arg) PAT_MUST_CHECK;
int tts_openai_open(struct tts_provider **out, struct pat_loop *l, struct pat_http *http,
                    const struct tts_opts *o, const struct tts_hop *hop,
                    const struct tts_provider_events *ev, void *arg) PAT_MUST_CHECK;

#endif
