/* out_schedule.h - when an attempt is made again, and what its answer meant. Pure.
 *
 * The pauses are those of Standard Webhooks 1.0.0 unless set otherwise, each a fifth longer or
 * shorter so that a receiver that comes back is not met by everybody at once. Whose fault a failure
 * was is kept apart: what is ours counts neither against the schedule nor against the endpoint.
 */
#ifndef OUT_SCHEDULE_H
#define OUT_SCHEDULE_H

#include "pat.h"

#define OUT_SCHEDULE_MAX 32
/* What Retry-After may ask for at most. */
#define OUT_RETRY_AFTER_MAX_MS (24LL * 3600 * 1000)

struct out_schedule {
    int64_t pause_ms[OUT_SCHEDULE_MAX]; /* before the second attempt, the third ... */
    size_t n;
};

/* "5s,5m,30m": units as of any setting. PAT_EINVAL: none, too many, or one that is no time. */
int out_schedule_parse(struct out_schedule *out, const char *text) PAT_MUST_CHECK;
bool out_schedule_valid(const char *text);
/* After `tries` attempts (1 and more), of max_tries (0: as many as the schedule has). -1: that was
 * the last one. random: any 32 random bits. */
int64_t out_schedule_next_ms(const struct out_schedule *s, int tries, int max_tries,
                             uint32_t random);
/* A Retry-After header, seconds or a date (RFC 9110, section 10.2.3): ms from now, at most
 * OUT_RETRY_AFTER_MAX_MS; 0: none, broken, or past. */
int64_t out_retry_after_ms(const char *value, int64_t now_s);

struct out_verdict {
    bool taken;
    bool gone;         /* 410: nothing more is wanted */
    bool busy;         /* 429, 502, 503, 504, or too slow: less at once */
    const char *fault; /* "receiver", "network", "ours"; NULL when taken */
    const char *error; /* a word; NULL when taken */
};

/* err, status and fault as of pat_http_res; status also with an error, if one had come. */
struct out_verdict out_verdict_of(int err, int status, const char *fault);

#endif
