/* rtc.c - what all rooms of the process share, and its orderly end.
 * How: parts that end asynchronously hold the rtc; when the last has let go, SCTP is closed, then
 * the rest. Rooms themselves live in room.c. */
#include "rtc_priv.h"

#include "dtls.h"
#include "sctp.h"
#include "srtp.h"

#include <assert.h>
#include <stdlib.h>

static struct pat_counter *count(struct pat_metrics *m, const char *name, const char *help,
                                 const char *labels)
{
    return m ? pat_counter(m, name, help, labels) : NULL;
}

static void find_metrics(struct rtc_metrics *x, struct pat_metrics *m)
{
    static const char *const reasons[] = { "reason=\"by_us\"",   "reason=\"room_gone\"",
                                           "reason=\"removed\"", "reason=\"duplicate\"",
                                           "reason=\"refused\"", "reason=\"unreachable\"" };

    x->joined = count(m, "rtc_joined_total", "Rooms joined, first time and again.", NULL);
    x->resumed = count(m, "rtc_resumed_total", "Signalling resumed while media flowed.", NULL);
    x->reconnected = count(m, "rtc_reconnected_total", "Full reconnects begun.", NULL);
    x->restarted = count(m, "rtc_ice_restarts_total", "Paths of media made anew in place.", NULL);
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        x->left[i] = count(m, "rtc_left_total", "Rooms left, by reason.", reasons[i]);
    x->lost_packets = count(m, "rtc_packets_lost_total",
                            "Voice packets asked for again, in both directions.", NULL);
    x->mended_packets = count(
        m, "rtc_packets_mended_total",
        "Voice packets to us that were lost or late and came after all, in RED or again.", NULL);
    x->refused_packets = count(m, "rtc_packets_refused_total",
                               "Packets that did not decrypt or belong to no track.", NULL);
    x->rooms = m ? pat_gauge(m, "rtc_rooms", "Rooms we are in or on the way to.", NULL) : NULL;
}

int rtc_new(struct rtc **out, struct pat_loop *l, struct pat_net *net, struct pat_metrics *m)
{
    struct rtc *r = calloc(1, sizeof *r);
    int err;

    if (!r)
        return PAT_ENOMEM;
    r->loop = l;
    r->net = net;
    find_metrics(&r->metrics, m);
    err = srtp_global_init();
    if (err)
        goto fail;
    err = dtls_id_new(&r->id);
    if (err)
        goto fail_srtp;
    err = sctp_hub_new(&r->hub, l);
    if (err)
        goto fail_id;
    *out = r;
    return PAT_OK;

fail_id:
    dtls_id_free(r->id);
fail_srtp:
    srtp_global_fini();
fail:
    free(r);
    return err;
}

static void on_hub_closed(void *arg)
{
    struct rtc *r = arg;
    pat_loop_fn *closed = r->closed;
    void *closed_arg = r->closed_arg;

    dtls_id_free(r->id);
    srtp_global_fini();
    free(r);
    closed(closed_arg);
}

static void close_now(void *arg)
{
    struct rtc *r = arg;

    sctp_hub_close(r->hub, on_hub_closed, r);
}

void rtc_hold(struct rtc *r)
{
    r->busy++;
}

void rtc_release(struct rtc *r)
{
    assert(r->busy > 0);
    r->busy--;
    if (!r->busy && r->closed)
        pat_loop_next_turn(r->loop, &r->closing, close_now, r);
}

void rtc_close(struct rtc *r, pat_loop_fn *closed, void *arg)
{
    r->closed = closed;
    r->closed_arg = arg;
    if (!r->busy)
        pat_loop_next_turn(r->loop, &r->closing, close_now, r);
}
