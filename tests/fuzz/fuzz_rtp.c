/* fuzz_rtp.c - RTP and RTCP as they come out of decryption; what parses must build again. */
#include "rtcp.h"
#include "rtp.h"
#include "tracks.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_sr(uint32_t ssrc, uint64_t ntp, void *arg)
{
    rtcp_source_report(arg, ntp, (int64_t)ssrc);
}

static void on_nack(uint32_t ssrc, uint16_t seq, void *arg)
{
    static const struct rtp_history empty;
    size_t len;

    (void)ssrc;
    (void)arg;
    if (rtp_history_find(&empty, seq, &len))
        abort();
}

static void on_report(uint32_t ssrc, uint8_t lost, uint32_t lsr, uint32_t dlsr, void *arg)
{
    (void)ssrc;
    (void)lost;
    (void)lsr;
    (void)dlsr;
    (void)arg;
}

static void try_rtp(const uint8_t *data, size_t size)
{
    struct rtp_packet p, back;
    struct tracks tracks;
    uint8_t raw[65536];
    uint16_t first;

    if (rtp_parse(&p, data, size))
        return;
    if (p.payload < data || p.payload + p.len > data + size)
        abort();
    tracks_init(&tracks);
    struct track *t = tracks_route(&tracks, &p);
    if (t && rtcp_source_packet(&t->source, p.seq, p.timestamp, 1000000, &first) > 16)
        abort();
    if (p.level < 0)
        p.level = 0;
    int n = rtp_build(raw, sizeof raw, &p);
    if (n < 0)
        return;
    if (rtp_parse(&back, raw, (size_t)n) || back.seq != p.seq || back.len != p.len ||
        strcmp(back.mid, p.mid) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct rtcp_events events = { on_sr, on_nack, on_report };
    struct rtcp_source source = { 0 };

    if (size > 60000)
        return 0;
    try_rtp(data, size);
    (void)rtcp_parse(data, size, &events, &source);
    return 0;
}
