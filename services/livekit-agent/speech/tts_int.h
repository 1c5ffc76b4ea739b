/* tts_int.h - the inside of a tts, shared by its files and nobody else.
 *
 *   tts.c       utterances in order, what their provider tells, deadlines, life
 *   tts_fall.c  who speaks when a voice fails, and from where
 */
#ifndef SPEECH_TTS_INT_H
#define SPEECH_TTS_INT_H

#include "tts_provider.h"

struct utterance {
    uint32_t id;
    struct pat_buf text; /* all of it */
    size_t given;        /* of text, to the present provider */
    size_t spoken;       /* of text, surely heard: by alignment */
    bool ended, finished;
    int err;
    int tries;
    int64_t n_samples; /* from all providers */
    bool loud;         /* and some of them were no silence */
    int64_t base_ms;   /* of the present provider's times */
    /* Of the present provider, as the first in the queue: asked since; there was sound, no silence;
     * and from where on it is to keep pace with who listens. */
    int64_t asked_ms;
    bool sounded;
    int64_t pace_ms, pace_samples;
    int64_t characters;
    struct pat_buf held; /* held.h */
    struct utterance *next;
};

struct tts {
    struct pat_loop *loop;
    struct pat_net *net;
    struct pat_http *http;
    struct tts_events ev;
    void *arg;
    struct tts_opts o;
    char *language; /* a copy of o's */
    struct tts_provider *provider;
    struct tts_hops hops;
    int hop;                /* that speaks, or spoke last */
    int64_t used[TTS_HOPS]; /* characters given to each */
    bool worked;            /* since it was opened */
    bool gone;              /* none is left */
    struct utterance *first;
    struct pat_timer timer; /* of the first utterance */
    int busy;               /* inside callbacks of the provider or of ours */
    bool closed;
    struct pat_task later;        /* closing, and utterances that end without a provider */
    struct tts_provider *retired; /* closed in the next turn */
};

/* tts.c */
/* What the present provider has not been given goes there. */
void tts_give(struct tts *t, struct utterance *u);
/* The hop of t, afresh. */
int tts_provider_open(struct tts *t) PAT_MUST_CHECK;
/* In the next turn: what is retired is closed, what is finished handed out. */
void tts_later(struct tts *t);

/* tts_fall.c */
void tts_finish(struct utterance *u, int err);
/* Another one than who speaks could still be asked. */
bool tts_has_other(const struct tts *t);
/* The next hop that can be opened; false: none. */
bool tts_next_hop(struct tts *t);
/* The utterance is said again, from where it was heard, by the same or by another; or it ends. */
void tts_failed(struct tts *t, struct utterance *u, enum provider_fault f, const char *why);
/* Every open utterance goes on with another voice from where it was heard. */
void tts_fall_back(struct tts *t, enum provider_fault f, const char *why);
/* Between two replies: the better voice that has rested gets its place back. */
void tts_return_home(struct tts *t);
/* A caller waits: those that failed a moment ago are better than nobody. */
bool tts_somebody_speaks(struct tts *t);

#endif
