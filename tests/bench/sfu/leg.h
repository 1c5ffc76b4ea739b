/* leg.h - an agent's peer connection as its server sees it: ICE-lite, DTLS, SRTP, data channels.
 *
 * The socket is shared: datagrams come in by leg_input, go out by leg_events.send. Packets are read
 * and written in the clear. Thread: the loop's.
 */
#ifndef SFU_LEG_H
#define SFU_LEG_H

#include "buf.h"
#include "loop.h"
#include "rtp.h"

struct dtls_id;
struct sctp_hub;
struct leg;

struct leg_events {
    void (*send)(const uint8_t *data, size_t len, void *arg);
    void (*packet)(const struct rtp_packet *p, void *arg);
};

#define LEG_PWD "0123456789abcdef0123456789abcdef" /* nobody is kept out */

int leg_new(struct leg **out, struct pat_loop *l, struct dtls_id *id, struct sctp_hub *hub,
            const struct leg_events *ev, void *arg) PAT_MUST_CHECK;
void leg_free(struct leg *leg); /* NULL is fine */
/* The answer to the agent's offer, its data and its voice bundled with one voice to hear. */
int leg_answer(struct leg *leg, struct pat_buf *out, const char *offer, const char *ufrag, int port,
               uint32_t ssrc) PAT_MUST_CHECK;
void leg_input(struct leg *leg, uint8_t *data, size_t len); /* anything that is not STUN */
/* The next 20 ms of the caller. */
void leg_send(struct leg *leg, const uint8_t *opus, size_t len);

#endif
