/* leg.c - the agent's own layers with the roles turned round: we are the DTLS server and answer.
 *
 * Data channels: an association that acknowledges whatever channel is opened (RFC 8832 section 5.2)
 * and drops what is said on it. No RTCP is sent.
 */
#include "leg.h"

#include "dtls.h"
#include "log.h"
#include "sctp.h"
#include "sdp.h"
#include "srtp.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { SCTP_PORT = 5000, PPID_DCEP = 50, DCEP_ACK = 2, DCEP_OPEN = 3, FRAME = 960 };

struct leg {
    struct leg_events ev;
    void *arg;
    struct dtls_id *id;
    struct sctp_hub *hub;
    struct dtls *dtls;
    struct sctp_link *sctp;
    struct srtp_pair *srtp;
    uint32_t ssrc, timestamp;
    uint16_t seq;
};

static void on_dtls_send(const uint8_t *data, size_t len, void *arg)
{
    struct leg *leg = arg;

    leg->ev.send(data, len, leg->arg);
}

static void on_sctp_send(const uint8_t *data, size_t len, void *arg)
{
    struct leg *leg = arg;

    (void)dtls_send(leg->dtls, data, len);
}

static void on_sctp_message(uint16_t stream, uint32_t ppid, const uint8_t *data, size_t len,
                            void *arg)
{
    static const uint8_t ack = DCEP_ACK;
    const struct sctp_send how = { .stream = stream, .ppid = PPID_DCEP };
    struct leg *leg = arg;

    if (ppid == PPID_DCEP && len && data[0] == DCEP_OPEN)
        (void)sctp_link_send(leg->sctp, &how, &ack, 1);
}

static void ignore(void *arg)
{
    (void)arg;
}

static void on_dtls_up(void *arg)
{
    static const struct sctp_events events = { on_sctp_send, ignore, on_sctp_message, ignore };
    struct leg *leg = arg;
    uint8_t material[SRTP_MATERIAL_MAX];
    unsigned profile;

    if (dtls_srtp_keys(leg->dtls, &profile, material, sizeof material) ||
        srtp_pair_new(&leg->srtp, profile, material, true) ||
        sctp_link_new(&leg->sctp, leg->hub, SCTP_PORT, &events, leg))
        pat_log(PAT_WARN, "leg.failed", PAT_I("ssrc", leg->ssrc));
}

static void on_dtls_data(const uint8_t *data, size_t len, void *arg)
{
    struct leg *leg = arg;

    if (leg->sctp)
        sctp_link_input(leg->sctp, data, len);
}

static void on_dtls_down(int err, void *arg)
{
    (void)err;
    (void)arg;
}

int leg_new(struct leg **out, struct pat_loop *l, struct dtls_id *id, struct sctp_hub *hub,
            const struct leg_events *ev, void *arg)
{
    static const struct dtls_events events = { on_dtls_send, on_dtls_up, on_dtls_data,
                                               on_dtls_down };
    struct leg *leg = calloc(1, sizeof *leg);

    if (!leg)
        return PAT_ENOMEM;
    leg->ev = *ev;
    leg->arg = arg;
    leg->id = id;
    leg->hub = hub;
    int err = dtls_new(&leg->dtls, l, id, &events, leg);
    if (err) {
        free(leg);
        return err;
    }
    *out = leg;
    return PAT_OK;
}

void leg_free(struct leg *leg)
{
    if (!leg)
        return;
    sctp_link_free(leg->sctp);
    dtls_free(leg->dtls);
    srtp_pair_free(leg->srtp);
    free(leg);
}

static void add_transport(struct pat_buf *out, const struct leg *leg, const char *ufrag, int port,
                          int mid)
{
    pat_buf_addf(out,
                 "c=IN IP4 127.0.0.1\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\n"
                 "a=fingerprint:sha-256 %s\r\na=setup:passive\r\na=mid:%d\r\n"
                 "a=candidate:1 1 udp 2130706431 127.0.0.1 %d typ host\r\n",
                 ufrag, LEG_PWD, dtls_id_fingerprint(leg->id), mid, port);
}

int leg_answer(struct leg *leg, struct pat_buf *out, const char *offer, const char *ufrag, int port,
               uint32_t ssrc)
{
    struct sdp_answer o; /* an offer has the same lines */
    int err = sdp_answer_parse(&o, offer, strlen(offer));

    if (err)
        return err;
    leg->ssrc = ssrc;
    dtls_start(leg->dtls, true, o.fingerprint);
    pat_buf_adds(out, "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\n"
                      "a=group:BUNDLE 0 1 2\r\n");
    for (int mid = 0; mid < 2; mid++) {
        pat_buf_addf(out, "m=audio 9 UDP/TLS/RTP/SAVPF %d\r\n", SDP_PT_OPUS);
        add_transport(out, leg, ufrag, port, mid);
        pat_buf_addf(out, "a=rtcp-mux\r\na=rtpmap:%d opus/48000/2\r\n", SDP_PT_OPUS);
        if (mid == 0)
            pat_buf_adds(out, "a=recvonly\r\n");
        else
            pat_buf_addf(out,
                         "a=sendonly\r\na=msid:PA_caller|TR_caller TR_caller\r\n"
                         "a=ssrc:%u cname:caller\r\n",
                         ssrc);
    }
    pat_buf_adds(out, "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n");
    add_transport(out, leg, ufrag, port, 2);
    pat_buf_addf(out, "a=sctp-port:%d\r\n", SCTP_PORT);
    return out->err;
}

void leg_input(struct leg *leg, uint8_t *data, size_t len)
{
    struct rtp_packet p;

    if (data[0] < 128) {
        dtls_input(leg->dtls, data, len);
        return;
    }
    /* RFC 5761 section 4: 192 to 223 in the second byte is RTCP, which nobody waits for. */
    if (!leg->srtp || len < 2 || (data[1] >= 192 && data[1] <= 223))
        return;
    if (srtp_pair_open(leg->srtp, data, &len) == PAT_OK && rtp_parse(&p, data, len) == PAT_OK)
        leg->ev.packet(&p, leg->arg);
}

/* Without header extensions, as livekit-server 1.13 forwards a phone's voice. */
static size_t build(uint8_t *out, const struct leg *leg, const uint8_t *opus, size_t len)
{
    const uint32_t words[3] = { htonl(0x80000000U | SDP_PT_OPUS << 16 | leg->seq),
                                htonl(leg->timestamp), htonl(leg->ssrc) };

    memcpy(out, words, sizeof words);
    memcpy(out + sizeof words, opus, len);
    return sizeof words + len;
}

void leg_send(struct leg *leg, const uint8_t *opus, size_t len)
{
    uint8_t packet[1500];
    size_t total = build(packet, leg, opus, len);

    leg->seq++;
    leg->timestamp += FRAME;
    if (leg->srtp && srtp_pair_seal(leg->srtp, packet, &total) == PAT_OK)
        leg->ev.send(packet, total, leg->arg);
}
