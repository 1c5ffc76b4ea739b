/* sdp_offer.c - builds our offer.
 * How: session lines, then one block per section with the transport repeated in each, as browsers
 * write it. It never removes or reorders a section: the caller's list only grows. */
#include "sdp.h"

static void add_session(struct pat_buf *out, const struct sdp_offer *o)
{
    pat_buf_addf(out,
                 "v=0\r\no=- %llu %u IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
                 "a=group:BUNDLE",
                 (unsigned long long)o->session, o->version);
    for (size_t i = 0; i < o->n_sections; i++)
        pat_buf_addf(out, " %zu", i);
    pat_buf_adds(out, "\r\na=msid-semantic: WMS *\r\na=extmap-allow-mixed\r\n");
}

static void add_transport(struct pat_buf *out, const struct sdp_offer *o, size_t mid)
{
    pat_buf_addf(out,
                 "c=IN IP4 0.0.0.0\r\n"
                 "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=ice-options:trickle\r\n"
                 "a=fingerprint:sha-256 %s\r\na=setup:actpass\r\na=mid:%zu\r\n",
                 o->ufrag, o->pwd, o->fingerprint, mid);
}

static void add_audio(struct pat_buf *out, const struct sdp_offer *o, size_t mid, bool send)
{
    pat_buf_addf(out, "m=audio 9 UDP/TLS/RTP/SAVPF %d %d\r\n", SDP_PT_OPUS, SDP_PT_RED);
    add_transport(out, o, mid);
    pat_buf_addf(out,
                 "a=extmap:%d urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
                 "a=extmap:%d urn:ietf:params:rtp-hdrext:sdes:mid\r\n",
                 SDP_EXT_LEVEL, SDP_EXT_MID);
    if (send)
        pat_buf_addf(out, "a=sendonly\r\na=msid:- %s\r\na=ssrc:%u cname:%s\r\n", o->cid, o->ssrc,
                     o->cid);
    else
        pat_buf_adds(out, "a=recvonly\r\n");
    pat_buf_addf(out,
                 "a=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:%d opus/48000/2\r\n"
                 "a=rtcp-fb:%d nack\r\na=fmtp:%d minptime=10;useinbandfec=1\r\n"
                 "a=rtpmap:%d red/48000/2\r\na=fmtp:%d %d/%d\r\n",
                 SDP_PT_OPUS, SDP_PT_OPUS, SDP_PT_OPUS, SDP_PT_RED, SDP_PT_RED, SDP_PT_OPUS,
                 SDP_PT_OPUS);
}

static void add_data(struct pat_buf *out, const struct sdp_offer *o, size_t mid)
{
    pat_buf_adds(out, "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n");
    add_transport(out, o, mid);
    pat_buf_adds(out, "a=sctp-port:5000\r\na=max-message-size:65536\r\n");
}

int sdp_offer_build(struct pat_buf *out, const struct sdp_offer *o)
{
    add_session(out, o);
    for (size_t i = 0; i < o->n_sections; i++) {
        if (o->sections[i] == SDP_DATA)
            add_data(out, o, i);
        else
            add_audio(out, o, i, o->sections[i] == SDP_SEND);
    }
    return out->err;
}
