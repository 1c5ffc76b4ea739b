/* eleven.h - ElevenLabs' multi-context WebSocket on the wire: URL, messages, alignment. Pure.
 *
 * https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input
 * Reading accepts both spellings of every field (contextId and context_id, isFinal and is_final,
 * three of the alignment): the vendor's pages, SDK and live traffic differ.
 */
#ifndef SPEECH_ELEVEN_H
#define SPEECH_ELEVEN_H

#include "pat.h"
#include "provider.h"
#include "voice.h"

#define ELEVEN_CONTEXTS 5 /* per socket, the dying ones too */

/* format: "pcm_24000", "opus_48000_32" ... */
int eleven_url(struct pat_buf *out, const char *base, const char *model, const char *language,
               const struct voice *v, const char *format) PAT_MUST_CHECK;
/* The first message of a context: the only one that may carry voice settings. */
int eleven_begin(struct pat_buf *out, const char *context, const struct voice *v) PAT_MUST_CHECK;
int eleven_text(struct pat_buf *out, const char *context, const char *text,
                size_t len) PAT_MUST_CHECK;
int eleven_close(struct pat_buf *out, const char *context) PAT_MUST_CHECK;
/* Resets the context's idle clock; NULL: the socket's. */
int eleven_keep(struct pat_buf *out, const char *context) PAT_MUST_CHECK;

struct eleven_msg {
    struct pat_json *tree;
    const char *context; /* "" when none */
    const char *audio;   /* base64; NULL: none */
    bool is_final;
    const char *error; /* NULL: none; else its slug or message */
    bool fatal;        /* another try would end the same way: voice, key, quota */
    const struct pat_json *chars, *starts, *durations; /* NULL: no alignment */
};
int eleven_parse(struct eleven_msg *m, const char *text, size_t len) PAT_MUST_CHECK;
void eleven_msg_fini(struct eleven_msg *m);
/* Is a close reason or error text one that no reconnect cures? */
bool eleven_is_fatal(const char *reason);
/* What a refused upgrade (status) or a close (status 0, its reason) means. */
enum provider_fault eleven_fault(int http_status, const char *reason);

/* Word by word, each with its blank; times are of this message's audio. */
typedef void eleven_word_fn(const char *word, size_t len, int start_ms, int end_ms, void *arg);
void eleven_words(const struct eleven_msg *m, eleven_word_fn *fn, void *arg);

/* base64 to 16-bit little-endian samples. An odd byte waits in *carry (-1: none). Returns samples,
 * or PAT_EPROTO. out has room for len * 3 / 8 + 1. */
int eleven_samples(const char *base64, size_t len, int *carry, int16_t *out) PAT_MUST_CHECK;
/* base64 to bytes. Returns how many, or PAT_EPROTO. out has room for len * 3 / 4 + 1. */
int eleven_bytes(const char *base64, size_t len, uint8_t *out) PAT_MUST_CHECK;

#endif
