/* asr.h - speech recognised offline, by pocketsphinx, while it is being said.
 *
 * Two ears: a language model that hears anything, nearly right, and a grammar of sentences that
 * hears only those, but right. An utterance is fed as its sound comes; each batch runs on a pool
 * thread, partial texts come back, and the final one shortly after asr_finish. Decoders are dear
 * (0.4 s, 100 MB): a few are kept and shared; utterances beyond wait. A third ear is told what is
 * said. Thread: the loop's.
 */
#ifndef DOUBLES_ASR_H
#define DOUBLES_ASR_H

#include "loop.h"

struct asr;
struct asr_utt;

struct asr_word {
    char word[64];
    int start_ms, end_ms; /* of the utterance */
};

struct asr_result {
    const char *text;    /* as heard: lower case words; "" nothing */
    const char *written; /* as the grammar has it, or NULL */
    const struct asr_word *words;
    size_t n_words;
    bool final; /* the utterance is gone after the callback */
};
typedef void asr_fn(const struct asr_result *r, void *arg);

int asr_new(struct asr **out, struct pat_loop *l) PAT_MUST_CHECK;
/* Utterances must be finished or canceled; lets go of the memory when the last job is done. */
void asr_close(struct asr *a);
/* From the next utterance on: only these sentences; n 0: the language model. */
int asr_grammar(struct asr *a, const char *const *sentences, size_t n) PAT_MUST_CHECK;

/* From the next utterance on: they come over a telephone, which carries nothing above 4 kHz. The
 * models know wider voices, and hear other sounds where nothing is: a little noise is put there. */
void asr_telephone(struct asr *a, bool telephone);

/* A decoder is made ready for the next utterance, if one is idle or may be had. */
void asr_warm(struct asr *a);

int asr_begin(struct asr_utt **out, struct asr *a, asr_fn *fn, void *arg) PAT_MUST_CHECK;
/* It hears these words (copied; times of the utterance, in order) as their time is fed, whatever
 * the sound is. Costs nothing; fn runs inside asr_feed and asr_finish. */
int asr_begin_told(struct asr_utt **out, struct asr *a, const struct asr_word *words, size_t n,
                   asr_fn *fn, void *arg) PAT_MUST_CHECK;
/* 16 kHz mono. */
void asr_feed(struct asr_utt *u, const int16_t *pcm, size_t n);
void asr_finish(struct asr_utt *u);
void asr_cancel(struct asr_utt *u); /* NULL is fine */

#endif
