/* datachannel.h - LiveKit's two data channels over one SCTP association (RFC 8831, RFC 8832).
 *
 * "_reliable" (ordered) and "_lossy" (unordered, no retransmission) are opened by us, both
 * directions of one peer connection use them. Freeing is fine inside callbacks. Thread: the loop's.
 */
#ifndef RTC_DATACHANNEL_H
#define RTC_DATACHANNEL_H

#include "sctp.h"

struct datachannels;

struct datachannel_events {
    void (*send)(const uint8_t *data, size_t len, void *arg); /* one SCTP packet to the peer */
    void (*open)(void *arg);                                  /* both are */
    void (*message)(bool reliable, const uint8_t *data, size_t len, void *arg);
    void (*down)(void *arg);
};

/* even: we were the DTLS client, so our stream ids are even (RFC 8832 section 6). */
int datachannels_new(struct datachannels **out, struct sctp_hub *h, bool even,
                     const struct datachannel_events *ev, void *arg) PAT_MUST_CHECK;
void datachannels_input(struct datachannels *d, const uint8_t *data, size_t len);
bool datachannels_open(const struct datachannels *d);
/* PAT_EAGAIN: not open yet, or its buffer is full. PAT_E2BIG. */
int datachannels_send(struct datachannels *d, bool reliable, const void *data, size_t len);
uint16_t datachannels_id(const struct datachannels *d, bool reliable);
void datachannels_free(struct datachannels *d);

/* DCEP's DATA_CHANNEL_OPEN (RFC 8832 section 5.1); the label is borrowed. */
struct dcep_open {
    uint8_t type;
    const char *label; /* label_len bytes */
    size_t label_len;
};
int dcep_parse_open(struct dcep_open *out, const uint8_t *data, size_t len) PAT_MUST_CHECK;
int dcep_build_open(uint8_t *out, size_t cap, bool reliable, const char *label) PAT_MUST_CHECK;

#endif
