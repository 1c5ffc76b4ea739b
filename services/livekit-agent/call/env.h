/* env.h - what all calls of the process share: connections, caches, counters.
 *
 * Made and owned by agent.c; calls borrow it. Thread: the loop's.
 */
#ifndef CALL_ENV_H
#define CALL_ENV_H

#include "../record/record.h"
#include "../rtc/roomapi.h"
#include "../rtc/rtc.h"
#include "../rtc/worker.h"
#include "../speech/llm.h"
#include "../speech/stt.h"
#include "conf.h"
#include "context.h"
#include "kept.h"
#include "mouth.h"
#include "player.h"

/* Until when we may believe that our calls are ours without having asked. */
struct env_fence {
    int64_t alive_us; /* we ran then; 0: nobody keeps it */
    void (*stalled)(int64_t for_us, void *arg);
    void *arg;
};

struct env {
    struct pat_loop *loop;
    struct pat_net *net;
    struct pat_http *http;
    struct pat_bus *bus;
    struct pat_db *db;
    struct pat_metrics *metrics;
    const struct agent_conf *conf;
    struct pat_journal *journal;
    struct recorder *recorder; /* NULL: nothing is recorded */
    struct rtc *rtc;
    struct worker *worker;
    struct roomapi *rooms;
    struct providers *providers;
    struct llm *llm;
    struct phrases *phrases;
    struct ambiences *ambiences;
    struct tts_learnt tts_learnt;
    struct pat_price_book *prices;
    struct beat beat; /* of those who speak */
    struct env_fence fence;
    struct kept *kept;    /* NULL: nothing is */
    int deletes;          /* rooms being deleted, of calls that are over */
    pat_loop_fn *deleted; /* one of them is */
    void *deleted_arg;
    struct pat_gauge *calls, *load;
    struct pat_counter *answered, *taken_over, *failed, *interruptions, *late_frames;
    struct pat_histogram *greeting_s, *response_s, *own_s, *frame_late_s;
};

/* The process has just stood still (SIGSTOP, a frozen machine) for longer than a lease: others may
 * have our calls. Told to fence.stalled at once, by whoever asks first. */
bool env_stalled(struct env *e);
/* The voice a call speaks with; c NULL: the fallback voice alone, in English. */
int env_mouth(struct mouth **out, struct env *e, const struct context *c) PAT_MUST_CHECK;
/* The fallback voice; language: ISO 639-1. */
int env_fallback_mouth(struct mouth **out, struct env *e, const char *language) PAT_MUST_CHECK;

/* NULL, and no error, without a store to record into. */
int env_recorder(struct recorder **out, const struct env *e) PAT_MUST_CHECK;

#endif
