/* ice.h - one ICE flow (RFC 8445), controlling, one component, on libnice behind this header.
 *
 * Life: ice_new -> ice_gather -> ice_remote, ice_candidate -> up -> send, data -> down -> ice_free.
 * ice_free is not for inside a callback of the same ice. Our candidates are not told to anybody:
 * the server learns them from our checks (peer-reflexive, RFC 8445 section 7.3.1.3). Thread: the
 * loop's.
 */
#ifndef RTC_ICE_H
#define RTC_ICE_H

#include "beat.h"
#include "loop.h"
#include "sdp.h"

struct ice;

struct ice_events {
    void (*up)(void *arg);   /* a pair works: sending is possible */
    void (*down)(void *arg); /* no pair works, or consent was lost (RFC 7675) */
    /* Anything that is not STUN. Writable in place, borrowed. */
    void (*data)(uint8_t *data, size_t len, void *arg);
};

struct ice_opts {
    struct beat *beat; /* outlives it */
    bool loopback;     /* also from 127.0.0.1: the server is on this machine */
    bool tcp;          /* also dial TCP candidates: when UDP did not work */
};

/* A TURN server; libnice resolves a name off the loop. */
struct ice_relay {
    const char *address;
    uint16_t port;
    bool tcp;
    const char *username;
    const char *credential;
};

int ice_new(struct ice **out, struct pat_loop *l, const struct ice_opts *opts,
            const struct ice_events *ev, void *arg) PAT_MUST_CHECK;
const char *ice_ufrag(const struct ice *i);
const char *ice_pwd(const struct ice *i);
int ice_gather(struct ice *i, const struct ice_relay *relays, size_t n,
               bool only_relays) PAT_MUST_CHECK;
int ice_remote(struct ice *i, const char *ufrag, const char *pwd) PAT_MUST_CHECK;
void ice_candidate(struct ice *i, const struct sdp_candidate *c);
/* PAT_EAGAIN: not up, or the socket is full. */
/* Packets may reach us up to 20 ms late from now on, which saves being woken for each; or no more.
 */
void ice_calm(struct ice *i, bool calm);
int ice_send(struct ice *i, const uint8_t *data, size_t len);
/* Grows while datagrams come, the other side's checks included. False: this flow's cannot be
 * counted (relayed, or TCP). */
bool ice_heard(const struct ice *i, uint64_t *n);
void ice_free(struct ice *i);

#endif
