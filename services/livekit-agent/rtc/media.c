/* media.c - sends and receives RTP and RTCP.
 * How: what was sent is kept sealed, so that an answer to a NACK is one copy. Requests for what is
 * missing go out with the packets that come; there is no clock in here. */
#include "media.h"

#include "loop.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

static const char cname[] = "patchbay";

enum { RED_USUAL = 1, RED_LOSSY = 2, LOSSY_FRACTION = 13 /* of 256: 5 % */ };
#define LOSSY_US 30000000
/* A packet stays below what any path carries whole. */
#define RED_MAX 1100

int media_init(struct media *m, const struct media_events *ev, void *arg)
{
    struct {
        uint32_t ssrc;
        uint32_t timestamp;
        uint16_t seq;
    } seed;

    memset(m, 0, sizeof *m);
    if (RAND_bytes((unsigned char *)&seed, sizeof seed) != 1)
        return PAT_EINTERNAL;
    m->ev = *ev;
    m->arg = arg;
    m->ssrc = seed.ssrc | 1; /* never 0 */
    m->timestamp = seed.timestamp;
    m->seq = seed.seq & 0x7fff; /* SRTP's rollover guess wants the lower half at first */
    tracks_init(&m->tracks);
    return PAT_OK;
}

void media_fini(struct media *m)
{
    srtp_pair_free(m->srtp);
    free(m->sent);
    m->srtp = NULL;
    m->sent = NULL;
}

int media_codec(struct media *m, bool red)
{
    if (m->red || m->sent)
        return PAT_OK;
    m->red = red;
    if (!red)
        m->sent = calloc(1, sizeof *m->sent);
    return red || m->sent ? PAT_OK : PAT_ENOMEM;
}

void media_connect_take(struct media *m, struct srtp_pair *srtp)
{
    srtp_pair_free(m->srtp);
    m->srtp = srtp;
}

/* The payload with its predecessors. A packet too long for that is one of Opus alone. */
static void wrap(struct media *m, struct rtp_packet *p, uint8_t out[RED_MAX])
{
    const struct red_block own = { .pt = SDP_PT_OPUS, .data = p->payload, .len = p->len };
    bool lossy = pat_now_us() < m->lossy_until_us;
    int n = red_build(out, RED_MAX, &m->past, lossy ? RED_LOSSY : RED_USUAL, &own, p->timestamp);

    red_keep(&m->past, &own, p->timestamp);
    if (n < 0)
        return;
    p->pt = SDP_PT_RED;
    p->payload = out;
    p->len = (size_t)n;
}

int media_send(struct media *m, const uint8_t *opus, size_t len, uint32_t samples, bool marker,
               int level)
{
    uint8_t data[MEDIA_PACKET_MAX], red[RED_MAX];
    struct rtp_packet p = { .pt = SDP_PT_OPUS,
                            .marker = marker,
                            .seq = m->seq,
                            .timestamp = m->timestamp,
                            .ssrc = m->ssrc,
                            .level = level,
                            .voice = level < 60,
                            .mid = "0",
                            .payload = opus,
                            .len = len };

    if (!m->srtp)
        return PAT_EAGAIN;
    if (m->red)
        wrap(m, &p, red);
    int n = rtp_build(data, sizeof data - SRTP_TRAILER, &p);
    if (n < 0)
        return n;
    size_t sealed = (size_t)n;
    int err = srtp_pair_seal(m->srtp, data, &sealed);
    if (err)
        return err;
    if (m->sent)
        rtp_history_keep(m->sent, m->seq, data, sealed);
    m->seq++;
    m->timestamp += samples;
    m->packets++;
    m->octets += (uint32_t)len;
    m->last_sent_us = pat_now_us();
    m->ev.send(data, sealed, m->arg);
    return PAT_OK;
}

void media_skip(struct media *m, uint32_t samples)
{
    m->timestamp += samples;
}

static void send_rtcp(struct media *m, uint8_t *data, int n)
{
    size_t len = (size_t)n;

    if (n > 0 && srtp_pair_seal_rtcp(m->srtp, data, &len) == PAT_OK)
        m->ev.send(data, len, m->arg);
}

static void ask_again(struct media *m, struct track *t, int64_t now_us)
{
    uint8_t data[12 + 4 * GAPS_OPEN + SRTP_TRAILER];
    uint16_t seqs[GAPS_OPEN];
    size_t first, n = gaps_due(&t->gaps, now_us, seqs, &first);

    if (!n || t->red) /* there it comes in the next packet or not at all: nobody would answer */
        return;
    m->lost += first;
    send_rtcp(m, data,
              rtcp_build_nack(data, sizeof data - SRTP_TRAILER, m->ssrc, t->ssrc, seqs, n));
}

static void on_nack(uint32_t ssrc, uint16_t seq, void *arg)
{
    struct media *m = arg;
    size_t len;
    const uint8_t *data = ssrc == m->ssrc && m->sent ? rtp_history_find(m->sent, seq, &len) : NULL;

    if (!data)
        return;
    m->lost++;
    m->ev.send(data, len, m->arg);
}

static void on_sender_report(uint32_t ssrc, uint64_t ntp, void *arg)
{
    struct media *m = arg;

    for (size_t i = 0; i < m->tracks.n; i++)
        if (m->tracks.list[i].bound && m->tracks.list[i].ssrc == ssrc)
            rtcp_source_report(&m->tracks.list[i].source, ntp, pat_now_us());
}

/* What the server lost of ours; with its audio.enable_loss_proxying also what the listener did. */
static void on_report(uint32_t ssrc, uint8_t lost, uint32_t lsr, uint32_t dlsr, void *arg)
{
    struct media *m = arg;

    (void)lsr;
    (void)dlsr;
    if (ssrc == m->ssrc && lost >= LOSSY_FRACTION)
        m->lossy_until_us = pat_now_us() + LOSSY_US;
}

static void input_rtcp(struct media *m, uint8_t *data, size_t len)
{
    static const struct rtcp_events events = { on_sender_report, on_nack, on_report };

    if (srtp_pair_open_rtcp(m->srtp, data, &len)) {
        m->refused++;
        return;
    }
    (void)rtcp_parse(data, len, &events, m);
}

/* Tells one packet. False: it has come before, or holds nothing. */
static bool tell(struct media *m, struct track *t, const struct rtp_packet *p, int64_t now_us)
{
    /* Padding alone carries no sound (RFC 3550 section 5.1): probes and keep-alives. */
    if (!gaps_put(&t->gaps, p->seq, now_us) || p->pt != SDP_PT_OPUS || !p->len)
        return false;
    m->ev.packet(p, t, now_us, m->arg);
    return true;
}

/* The older ones first: those that were lost are new to us. */
static void unwrap(struct media *m, struct track *t, const struct rtp_packet *p, int64_t now_us)
{
    struct red_block blocks[RED_BLOCKS];
    int n = red_parse(blocks, p->payload, p->len);

    for (int i = 0; i < n; i++) {
        struct rtp_packet one = *p;

        one.pt = blocks[i].pt;
        one.payload = blocks[i].data;
        one.len = blocks[i].len;
        one.seq = (uint16_t)(p->seq - (n - 1 - i));
        one.timestamp = p->timestamp - blocks[i].ago;
        if (i == n - 1)
            (void)tell(m, t, &one, now_us);
        else if (t->gaps.begun)
            m->mended += tell(m, t, &one, now_us);
    }
}

static void input_rtp(struct media *m, uint8_t *data, size_t len, int64_t now_us)
{
    struct rtp_packet p;

    struct track *t = srtp_pair_open(m->srtp, data, &len) || rtp_parse(&p, data, len)
                          ? NULL
                          : tracks_route(&m->tracks, &p);
    if (!t) {
        m->refused++;
        return;
    }
    bool late = t->gaps.begun && (uint16_t)(p.seq - t->gaps.newest) >= 0x8000;
    rtcp_source_packet(&t->source, p.seq, p.timestamp, now_us);
    t->red = p.pt == SDP_PT_RED;
    if (t->red)
        unwrap(m, t, &p, now_us);
    else
        m->mended += tell(m, t, &p, now_us) && late;
    ask_again(m, t, now_us);
}

void media_input(struct media *m, uint8_t *data, size_t len, int64_t now_us)
{
    if (!m->srtp || len < 8)
        return;
    if (data[1] >= 192 && data[1] <= 223)
        input_rtcp(m, data, len);
    else
        input_rtp(m, data, len, now_us);
}

static size_t take_sources(struct media *m, struct track **from, struct rtcp_source *out)
{
    size_t n = 0;

    for (size_t i = 0; i < m->tracks.n && n < RTCP_REPORTS; i++) {
        struct track *t = &m->tracks.list[i];

        if (!t->source.started || t->source.received == t->source.received_prior)
            continue;
        from[n] = t;
        out[n++] = t->source;
    }
    return n;
}

void media_report(struct media *m, int64_t now_us, int64_t unix_us)
{
    uint8_t data[RTCP_MAX + SRTP_TRAILER];
    struct rtcp_source sources[RTCP_REPORTS];
    struct track *from[RTCP_REPORTS];

    if (!m->srtp)
        return;
    size_t n = take_sources(m, from, sources);
    const struct rtcp_sender me = {
        .ssrc = m->ssrc,
        .ntp = rtcp_ntp(unix_us),
        .timestamp = m->timestamp + (uint32_t)((now_us - m->last_sent_us) * 48 / 1000),
        .packets = m->packets,
        .octets = m->octets,
        .cname = cname,
    };
    int len = rtcp_build(data, RTCP_MAX, &me, sources, n, now_us);
    for (size_t i = 0; i < n; i++)
        from[i]->source = sources[i];
    send_rtcp(m, data, len);
}
