/* synth.h - speech from text by flite's voices, for the doubles that speak.
 *
 * Real speech, offline. A voice is one of flite's with a pitch factor: two
 * ids never sound alike by accident, and a clone is a shifted voice. The work runs on a pool
 * thread; the callback comes once, on the loop, unless canceled.
 */
#ifndef DOUBLES_SYNTH_H
#define DOUBLES_SYNTH_H

#include "loop.h"

struct synth_voice {
    const char *flite; /* "slt", "rms", "awb", "kal16" */
    double pitch;      /* 1: as it is; formants move along */
    double speed;      /* 1: as it is */
};

struct synth_job;
/* Mono samples at the rate asked for; borrowed. Leading and trailing silence is cut short. */
typedef void synth_fn(int err, const int16_t *pcm, size_t n, void *arg);

int synth_start(struct synth_job **out, struct pat_loop *l, const char *text, size_t len,
                const struct synth_voice *v, int rate, synth_fn *fn, void *arg) PAT_MUST_CHECK;
void synth_cancel(struct synth_job *j); /* NULL is fine */

/* How the dictionary or flite's letter-to-sound rules pronounce a lower-case word, in the phones
 * of CMU's dictionary: "HH AH L OW". Any thread; false: not pronounceable or too long. */
bool synth_phones(const char *word, char *out, size_t cap);

/* Adds the words flite would say for a text: "90210" becomes what is spoken. Any thread. */
struct pat_buf;
int synth_words(struct pat_buf *out, const char *text);

#endif
