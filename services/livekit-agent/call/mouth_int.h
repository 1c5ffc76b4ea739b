/* mouth_int.h - the inside of a mouth, shared by mouth*.c and nobody else.
 *
 *   mouth.c        life, what the synthesiser tells, the key of a text
 *   mouth_queue.c  what is said, in its order: out of the cache, or by the synthesiser
 *   mouth_keep.c   sound on its way into the cache; preparing
 */
#ifndef CALL_MOUTH_INT_H
#define CALL_MOUTH_INT_H

#include "mouth.h"

enum { AT_ONCE = 16 }; /* utterances with the synthesiser; nobody gives it more */

/* One utterance on its way into the cache. */
struct keep {
    uint32_t utterance; /* 0: none */
    bool for_cache_only;
    char *key;
    int16_t *samples;
    size_t n, cap;
    struct phrase *packets; /* in place of samples */
    int trimmed;
};

/* Said, but not yet given to the synthesiser. */
struct line {
    struct line *next;
    uint32_t id;
    bool keep, looked; /* looked: it is not in the directory */
    struct phrase *phrase;
    bool from_disk;
    char *key;
    char text[];
};

/* A voice may fail while the phone still rings: who listens later is told then. */
struct unheard {
    bool there;
    struct provider_failure f; /* model and detail are those below */
    char model[64], detail[200];
};

struct mouth {
    struct tts *tts;
    struct phrases *phrases;
    struct voice voice;
    char model[64];
    char language[8];
    double gain;
    const struct mouth_events *ev;
    void *arg;
    uint32_t last_id;
    struct keep keep;
    bool substituted, any_voice;
    struct unheard unheard; /* the last one */
    char *scope;
    struct pat_loop *loop;
    struct pat_task task; /* the queue moves on */
    struct line *first;
    bool loading;               /* the first of the queue, or what is prepared */
    char *prepare;              /* text, while it is looked for in the directory */
    uint32_t speaking[AT_ONCE]; /* with the synthesiser; 0: free */
    int64_t characters, saved, hits;
};

/* mouth.c */
/* Yours; NULL: no memory. */
char *mouth_key(const struct mouth *m, const char *text);
/* To whoever listens: they may cancel the utterance, and unref p. */
void mouth_tell_packet(struct mouth *m, uint32_t id, const struct phrase *p, size_t i);

/* mouth_queue.c */
/* To the synthesiser, past the queue. */
int mouth_speak(struct mouth *m, uint32_t id, const char *text, size_t len) PAT_MUST_CHECK;
/* The synthesiser is done with it. */
void mouth_speaking_drop(struct mouth *m, uint32_t id);
/* In the next turn the queue moves on. */
void mouth_queue_soon(struct mouth *m);
void mouth_queue_clear(struct mouth *m);

/* mouth_keep.c */
void mouth_keep_clear(struct keep *k);
/* These two give up what cannot be kept. */
void mouth_keep_add(struct keep *k, const int16_t *samples, size_t n);
void mouth_keep_packet(struct keep *k, const uint8_t *opus, size_t len, int level);
/* All of it has come, or none will: it becomes a phrase, or not. */
void mouth_keep_done(struct mouth *m, int err);

#endif
