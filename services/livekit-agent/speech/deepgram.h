/* deepgram.h - Deepgram's live transcription on the wire, v1 and Flux (v2): URLs, messages. Pure.
 *
 * https://developers.deepgram.com/reference/speech-to-text/listen-streaming
 * https://developers.deepgram.com/reference/speech-to-text/listen-flux
 */
#ifndef SPEECH_DEEPGRAM_H
#define SPEECH_DEEPGRAM_H

#include "stt.h"

/* wss://.../v1/listen?... for raw Opus packets, one a message. base: "wss://api.deepgram.com". */
int deepgram_url(struct pat_buf *out, const char *base, const char *model,
                 const struct stt_opts *o) PAT_MUST_CHECK;
/* wss://.../v2/listen?..., as o->flux says. */
int deepgram_flux_url(struct pat_buf *out, const char *base,
                      const struct stt_opts *o) PAT_MUST_CHECK;
/* What to try instead of a language that was refused: "multi", or NULL (say nothing of it). */
const char *deepgram_other_language(const char *model, const char *language);

enum deepgram_kind {
    DEEPGRAM_OTHER, /* Metadata and what we do not know */
    DEEPGRAM_RESULTS,
    DEEPGRAM_SPEECH_STARTED,
    DEEPGRAM_UTTERANCE_END,
    DEEPGRAM_TURN,  /* of Flux */
    DEEPGRAM_ERROR, /* Flux: the socket closes behind it */
};

enum deepgram_turn {
    DEEPGRAM_TURN_UPDATE, /* and events we do not know */
    DEEPGRAM_TURN_START,
    DEEPGRAM_TURN_EAGER,
    DEEPGRAM_TURN_RESUMED,
    DEEPGRAM_TURN_END,
};

/* Times are ms of the connection's audio. */
struct deepgram_msg {
    enum deepgram_kind kind;
    struct pat_json *tree; /* owns text */
    const char *text;      /* RESULTS, TURN: transcript; ERROR: why */
    enum deepgram_turn turn;
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
