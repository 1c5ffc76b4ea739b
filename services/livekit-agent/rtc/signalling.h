/* signalling.h - LiveKit's signalling socket: one connection, join or resume, pings, messages.
 *
 * Life: signalling_new -> message* -> closed -> signalling_free. closed comes once, also when it
 * never opened; it also comes when the server has been silent for its ping time-out. Every function
 * is fine inside its callbacks. Thread: the loop's.
 */
#ifndef RTC_SIGNALLING_H
#define RTC_SIGNALLING_H

#include "rtc_priv.h"

struct Livekit__JoinRequest;
struct Livekit__SignalRequest;
struct Livekit__SignalResponse;
struct signalling;

struct signalling_events {
    /* Borrowed. */
    void (*message)(const struct Livekit__SignalResponse *m, void *arg);
    /* status: HTTP's when the upgrade was refused, else 0. */
    void (*closed)(int err, int status, void *arg);
};

struct signalling_opts {
    const char *url;
    const char *token;
    const struct Livekit__JoinRequest *join;
    int64_t timeout_ms; /* to connect */
};

int signalling_new(struct signalling **out, struct rtc *r, const struct signalling_opts *opts,
                   const struct signalling_events *ev, void *arg) PAT_MUST_CHECK;
int signalling_send(struct signalling *s, const struct Livekit__SignalRequest *m);
/* As the join response says; 0 keeps what is. */
void signalling_set_ping(struct signalling *s, int interval_s, int timeout_s);
/* Without further callbacks. NULL is fine. */
void signalling_free(struct signalling *s);

/* The query value of a JoinRequest: WrappedJoinRequest with gzip, in base64url with padding. out
 * is empty at first. */
int signalling_wrap(struct pat_buf *out, const struct Livekit__JoinRequest *join) PAT_MUST_CHECK;

#endif
