/* deepgram.h - Deepgram's live transcription (v1) on the wire: the URL, the messages. Pure.
 *
 * https://developers.deepgram.com/reference/speech-to-text/listen-streaming
 */
#ifndef SPEECH_DEEPGRAM_H
#define SPEECH_DEEPGRAM_H

#include "stt.h"

/* wss://.../v1/listen?... for raw Opus packets, one a message. base: "wss://api.deepgram.com". */
int deepgram_url(struct pat_buf *out, const char *base, const char *model,
                 const struct stt_opts *o) PAT_MUST_CHECK;

enum deepgram_kind {
    DEEPGRAM_OTHER, /* Metadata and what we do not know */
    DEEPGRAM_RESULTS,
    DEEPGRAM_SPEECH_STARTED,
    DEEPGRAM_UTTERANCE_END,
    DEEPGRAM_ERROR,
};

/* Times are ms of the connection's audio. */
struct deepgram_msg {
    enum deepgram_kind kind;
    struct pat_json *tree; /* owns text */
    const char *text;      /* RESULTS: transcript; ERROR: why */
    bool is_final, speech_final, from_finalize;
    double confidence;
    int64_t start_ms, end_ms; /* SPEECH_STARTED: start; UTTERANCE_END: end, -1: finalised before */
};

/* PAT_EINVAL: not JSON, or no type. */
int deepgram_parse(struct deepgram_msg *m, const char *text, size_t len) PAT_MUST_CHECK;
void deepgram_msg_fini(struct deepgram_msg *m);

/* What a refused upgrade or a close means: status 0 and the close's code and reason, or the HTTP
 * status. */
enum provider_fault deepgram_fault(int http_status, int close_code, const char *reason);

#endif
