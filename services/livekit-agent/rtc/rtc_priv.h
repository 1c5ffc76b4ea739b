/* rtc_priv.h - what the parts of this folder share of the process-wide struct rtc. */
#ifndef RTC_PRIV_H
#define RTC_PRIV_H

#include "beat.h"
#include "rtc.h"

struct dtls_id;
struct sctp_hub;

struct rtc_metrics {
    struct pat_counter *joined;
    struct pat_counter *resumed;
    struct pat_counter *reconnected;
    struct pat_counter *restarted;
    struct pat_counter *left[RTC_LEFT_UNREACHABLE + 1]; /* by reason */
    struct pat_counter *lost_packets;
    struct pat_counter *mended_packets;
    struct pat_counter *refused_packets;
    struct pat_gauge *rooms;
};

struct rtc {
    struct pat_loop *loop;
    struct pat_net *net;
    struct dtls_id *id;
    struct sctp_hub *hub;
    struct rtc_metrics metrics;
    struct beat beat; /* of those who are read in it */
    int busy;         /* objects that still have to let go: rooms, peers, sockets */
    pat_loop_fn *closed;
    void *closed_arg;
    struct pat_task closing;
};

void rtc_hold(struct rtc *r);
void rtc_release(struct rtc *r); /* the last one lets rtc_close finish */

#endif
