/* dtls.h - DTLS 1.2 over somebody else's datagrams: handshake, SRTP keys, SCTP's carrier.
 *
 * One dtls_id (certificate) per process, one dtls per peer connection. Life: dtls_new -> dtls_start
 * -> up -> data -> down -> dtls_free. dtls_free is not for inside a callback of the same dtls. The
 * caller bounds the handshake; retransmission is inside. Thread: the loop's.
 */
#ifndef RTC_DTLS_H
#define RTC_DTLS_H

#include "loop.h"

struct dtls_id;
struct dtls;

int dtls_id_new(struct dtls_id **out) PAT_MUST_CHECK;
void dtls_id_free(struct dtls_id *id);
/* "AB:CD:..." of the certificate's SHA-256. */
const char *dtls_id_fingerprint(const struct dtls_id *id);

/* Payload bytes of one datagram that fit the link. */
#define DTLS_MTU 1200

struct dtls_events {
    /* One datagram to the peer. Borrowed. */
    void (*send)(const uint8_t *data, size_t len, void *arg);
    /* Handshake done, the peer's certificate is the one announced. */
    void (*up)(void *arg);
    void (*data)(const uint8_t *data, size_t len, void *arg);
    /* Once: the peer said goodbye (PAT_ECONN), failed the handshake (PAT_EPROTO) or showed another
     * certificate (PAT_EAUTH). */
    void (*down)(int err, void *arg);
};

int dtls_new(struct dtls **out, struct pat_loop *l, struct dtls_id *id,
             const struct dtls_events *ev, void *arg) PAT_MUST_CHECK;
/* fingerprint: SHA-256 of the certificate the peer must show. Sends the first flight as client. */
void dtls_start(struct dtls *d, bool as_server, const uint8_t fingerprint[32]);
/* One datagram from the peer. Before dtls_start it is dropped (the peer repeats it). */
void dtls_input(struct dtls *d, const uint8_t *data, size_t len);
/* PAT_ECONN when not up. */
int dtls_send(struct dtls *d, const uint8_t *data, size_t len);
/* The SRTP profile agreed on (its IANA number) and the exported keys. */
int dtls_srtp_keys(struct dtls *d, unsigned *profile, uint8_t *material, size_t cap) PAT_MUST_CHECK;
bool dtls_is_server(const struct dtls *d);
/* Says goodbye when up. NULL is fine. */
void dtls_free(struct dtls *d);

#endif
