/* fuzz_rtp.c - RTP and RTCP as they come out of decryption; what parses must build again. */
#include "gaps.h"
#include "red.h"
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

/* What parses lies within the packet, and the packet's own block is built again. */
static void try_red(const uint8_t *data, size_t size)
{
    static struct red_past past;
    struct red_block blocks[RED_BLOCKS], back[RED_BLOCKS];
    uint8_t raw[4096];
    int n = red_parse(blocks, data, size), len, m;

    if (n < 0)
        return;
    for (int i = 0; i < n; i++)
        if (blocks[i].data < data || blocks[i].data + blocks[i].len > data + size)
            abort();
    len = red_build(raw, sizeof raw, &past, RED_PAST, &blocks[n - 1], 960);
    red_keep(&past, &blocks[n - 1], 960);
    if (len < 0)
        return;
    m = red_parse(back, raw, (size_t)len);
    if (m < 1 || back[m - 1].len != blocks[n - 1].len)
        abort();
}

static void try_rtp(const uint8_t *data, size_t size)
{
    struct rtp_packet p, back;
    struct tracks tracks;
    uint8_t raw[65536];
    uint16_t due[GAPS_OPEN];
    size_t first;

    if (rtp_parse(&p, data, size))
        return;
    if (p.payload < data || p.payload + p.len > data + size)
        abort();
    tracks_init(&tracks);
    struct track *t = tracks_route(&tracks, &p);
    if (t) {
        rtcp_source_packet(&t->source, p.seq, p.timestamp, 1000000);
        (void)gaps_put(&t->gaps, p.seq, 1000000);
        (void)gaps_put(&t->gaps, (uint16_t)(p.seq + p.len), 1000000);
        if (gaps_due(&t->gaps, 2000000, due, &first) > GAPS_OPEN)
            abort();
    }
    try_red(p.payload, p.len);
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
