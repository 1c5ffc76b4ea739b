/* datachannel.c - opens the two channels and sorts what comes in.
 * How: DCEP OPEN on our two streams when the association is up, open when both are acknowledged; an
 * OPEN from the peer is acknowledged and its stream routed by label. All payloads are binary. */
#include "datachannel.h"

#include "bytes.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>

enum { PPID_DCEP = 50, PPID_BINARY = 53 };
enum { DCEP_ACK = 2, DCEP_OPEN = 3 };
enum { TYPE_RELIABLE = 0x00, TYPE_NO_RETRANSMIT_UNORDERED = 0x81 };
#define SCTP_PORT 5000

static const char *const labels[2] = { "_lossy", "_reliable" };

struct datachannels {
    struct datachannel_events ev;
    void *arg;
    struct sctp_link *link;
    uint16_t ids[2];     /* ours, by reliable */
    bool open[2];        /* acknowledged */
    int peer_streams[2]; /* opened by the peer, -1: none */
};

int dcep_parse_open(struct dcep_open *out, const uint8_t *data, size_t len)
{
    if (len < 12 || data[0] != DCEP_OPEN)
        return PAT_EPROTO;
    size_t label = get16(data + 8), protocol = get16(data + 10);
    if (len < 12 + label + protocol)
        return PAT_EPROTO;
    out->type = data[1];
    out->label = (const char *)data + 12;
    out->label_len = label;
    return PAT_OK;
}

int dcep_build_open(uint8_t *out, size_t cap, bool reliable, const char *label)
{
    size_t n = strlen(label);

    if (n > 64 || cap < 12 + n)
        return PAT_E2BIG;
    memset(out, 0, 12);
    out[0] = DCEP_OPEN;
    out[1] = reliable ? TYPE_RELIABLE : TYPE_NO_RETRANSMIT_UNORDERED;
    put16(out + 8, (uint16_t)n);
    memcpy(out + 12, label, n);
    return (int)(12 + n);
}

static int send_dcep(struct datachannels *d, uint16_t stream, const uint8_t *data, size_t len)
{
    const struct sctp_send how = { .stream = stream, .ppid = PPID_DCEP };

    return sctp_link_send(d->link, &how, data, len);
}

static void on_up(void *arg)
{
    struct datachannels *d = arg;

    for (int reliable = 1; reliable >= 0; reliable--) {
        uint8_t open[64];
        int n = dcep_build_open(open, sizeof open, reliable, labels[reliable]);
        int err = n < 0 ? n : send_dcep(d, d->ids[reliable], open, (size_t)n);

        if (err)
            pat_log(PAT_WARN, "rtc.channel_open_failed", PAT_ERR(err));
    }
}

static void on_ack(struct datachannels *d, uint16_t stream)
{
    bool was = datachannels_open(d);

    for (int i = 0; i < 2; i++)
        if (d->ids[i] == stream)
            d->open[i] = true;
    if (!was && datachannels_open(d))
        d->ev.open(d->arg);
}

static void on_dcep(struct datachannels *d, uint16_t stream, const uint8_t *data, size_t len)
{
    static const uint8_t ack[] = { DCEP_ACK };
    struct dcep_open open;

    if (len && data[0] == DCEP_ACK) { /* one byte by the RFC, four from pion */
        on_ack(d, stream);
        return;
    }
    if (dcep_parse_open(&open, data, len))
        return;
    for (int i = 0; i < 2; i++)
        if (open.label_len == strlen(labels[i]) &&
            memcmp(open.label, labels[i], open.label_len) == 0)
            d->peer_streams[i] = stream;
    (void)send_dcep(d, stream, ack, sizeof ack);
}

static void on_message(uint16_t stream, uint32_t ppid, const uint8_t *data, size_t len, void *arg)
{
    struct datachannels *d = arg;

    if (ppid == PPID_DCEP) {
        on_dcep(d, stream, data, len);
        return;
    }
    if (ppid != PPID_BINARY)
        return;
    for (int i = 0; i < 2; i++) {
        if (stream != d->ids[i] && (int)stream != d->peer_streams[i])
            continue;
        on_ack(d, d->ids[i]); /* data on our stream: the peer has it open */
        d->ev.message(i, data, len, d->arg);
        return;
    }
}

static void on_send(const uint8_t *data, size_t len, void *arg)
{
    struct datachannels *d = arg;

    d->ev.send(data, len, d->arg);
}

static void on_down(void *arg)
{
    struct datachannels *d = arg;

    d->open[0] = d->open[1] = false;
    d->ev.down(d->arg);
}

int datachannels_new(struct datachannels **out, struct sctp_hub *h, bool even,
                     const struct datachannel_events *ev, void *arg)
{
    static const struct sctp_events events = { on_send, on_up, on_message, on_down };
    struct datachannels *d = calloc(1, sizeof *d);

    if (!d)
        return PAT_ENOMEM;
    d->ev = *ev;
    d->arg = arg;
    d->ids[1] = even ? 0 : 1;
    d->ids[0] = even ? 2 : 3;
    d->peer_streams[0] = d->peer_streams[1] = -1;
    int err = sctp_link_new(&d->link, h, SCTP_PORT, &events, d);
    if (err) {
        free(d);
        return err;
    }
    *out = d;
    return PAT_OK;
}

void datachannels_input(struct datachannels *d, const uint8_t *data, size_t len)
{
    sctp_link_input(d->link, data, len);
}

bool datachannels_open(const struct datachannels *d)
{
    return d->open[0] && d->open[1];
}

uint16_t datachannels_id(const struct datachannels *d, bool reliable)
{
    return d->ids[reliable];
}

int datachannels_send(struct datachannels *d, bool reliable, const void *data, size_t len)
{
    const struct sctp_send how = { .stream = d->ids[reliable],
                                   .ppid = PPID_BINARY,
                                   .unreliable = !reliable };

    if (!datachannels_open(d))
        return PAT_EAGAIN;
    if (len > SCTP_MESSAGE_MAX)
        return PAT_E2BIG;
    return sctp_link_send(d->link, &how, data, len);
}

void datachannels_free(struct datachannels *d)
{
    if (!d)
        return;
    sctp_link_free(d->link);
    free(d);
}
