/* caller.h - a person on the phone: speaks a recorded sentence again and again, and listens.
 *
 * Pure but for its counters. A caller waits for the greeting, then takes its turns at fixed times,
 * each caller at its own offset. Thread: any, one at a time.
 */
#ifndef SFU_CALLER_H
#define SFU_CALLER_H

#include "rtp.h"

/* What every caller sends, encoded once. */
struct recording {
    uint8_t (*packets)[400];
    size_t *lens;
    size_t n_speech;   /* the first so many; the last one is voiced */
    size_t n;          /* and as many of a quiet line behind them */
    int64_t period_ms; /* a turn of the conversation */
};

/* pcm_file: 16 bit, 48 kHz, mono. noise: of the quiet line, peak. */
int recording_load(struct recording *r, const char *pcm_file, int noise,
                   int64_t period_ms) PAT_MUST_CHECK;
void recording_free(struct recording *r);

enum { CALLER_LATE_STEPS = 500, CALLER_LATE_STEP_US = 100, CALLER_TURNS = 64 };

/* Of all callers. */
struct figures {
    uint64_t packets, voiced;
    uint64_t late[CALLER_LATE_STEPS + 1]; /* by how much a packet came after its slot */
    int64_t *response_us;
    size_t n_responses, cap_responses;
    uint64_t unanswered, turns;
};

struct caller {
    int64_t began_us; /* of its conversation; 0: not yet greeted */
    int64_t offset_ms;
    int64_t quiet_since_us; /* last voiced packet of the agent's */
    int64_t asked_us;       /* end of what it said; 0: nothing is open */
    size_t at;              /* next packet of the recording */
    bool speaking;
    uint32_t last_timestamp;
    int64_t last_us;
};

/* The packet to send now. */
const uint8_t *caller_next(struct caller *c, const struct recording *r, struct figures *f,
                           int64_t now_us, size_t *len);
void caller_heard(struct caller *c, struct figures *f, const struct rtp_packet *p, int64_t now_us);
/* The lateness that this share of the packets did not exceed, µs. */
int64_t figures_late_us(const struct figures *f, double share);

#endif
