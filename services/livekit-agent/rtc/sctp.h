/* sctp.h - SCTP associations over somebody else's datagrams (RFC 8261), on usrsctp without threads.
 *
 * usrsctp is process-wide: one sctp_hub, started before the first link and closed after the last.
 * Life of a link: sctp_link_new -> up -> send, message -> down -> sctp_link_free. Freeing is fine
 * inside its own callbacks. Thread: the loop's.
 */
#ifndef RTC_SCTP_H
#define RTC_SCTP_H

#include "loop.h"

struct sctp_hub;
struct sctp_link;

int sctp_hub_new(struct sctp_hub **out, struct pat_loop *l) PAT_MUST_CHECK;
/* closed(arg) when the library has let go of everything. */
void sctp_hub_close(struct sctp_hub *h, pat_loop_fn *closed, void *arg);

#define SCTP_MESSAGE_MAX (64 * 1024) /* LiveKit's own limit is 64,000 */

struct sctp_events {
    void (*send)(const uint8_t *data, size_t len, void *arg); /* one packet to the peer */
    void (*up)(void *arg);
    void (*message)(uint16_t stream, uint32_t ppid, const uint8_t *data, size_t len, void *arg);
    void (*down)(void *arg); /* once: aborted, shut down or given up */
};

/* Connects at once. port: on both sides. */
int sctp_link_new(struct sctp_link **out, struct sctp_hub *h, uint16_t port,
                  const struct sctp_events *ev, void *arg) PAT_MUST_CHECK;
void sctp_link_input(struct sctp_link *s, const uint8_t *data, size_t len);

struct sctp_send {
    uint16_t stream;
    uint32_t ppid;
    bool unreliable; /* unordered, never sent twice */
};
/* Copies. PAT_EAGAIN: its buffer is full. PAT_ECONN: not up. */
int sctp_link_send(struct sctp_link *s, const struct sctp_send *how, const void *data, size_t len);
/* Aborts the association. NULL is fine. */
void sctp_link_free(struct sctp_link *s);

#endif
