/* order.h - puts a stream's packets back into order: lost ones that were asked for again come late.
 *
 * Without a loss nothing waits. Behind a gap packets are held until it is filled, until ORDER_US
 * have passed since it was seen, or until ORDER_HELD are held; each gap has its own time. Pure but
 * for memory, taken at the first gap: the owner keeps the time, that of the packets' arrival.
 * Life: zeroed -> order_put ... -> order_fini.
 */
#ifndef CALL_ORDER_H
#define CALL_ORDER_H

#include "../rtc/rtc.h"

#define ORDER_HELD 16
#define ORDER_US                                                                                   \
    160000            /* what is lost is surely asked for after 100 ms (rtc/gaps.h), and a path    \
                       */
#define ORDER_LEN 400 /* a longer packet (160 kb/s) is never held */

struct order {
    struct order_held {
        bool used;
        struct rtc_packet packet; /* opus points to data; the strings are borrowed from the room */
        uint8_t data[ORDER_LEN];
    } * held; /* ORDER_HELD by seq modulo that; NULL: not needed yet */
    int n;
    bool begun;
    uint16_t next; /* the one to come */
};

typedef void order_fn(const struct rtc_packet *p, void *arg);

/* Gives what is in order to fn, which may be p itself. */
void order_put(struct order *o, const struct rtc_packet *p, order_fn *fn, void *arg);
/* When the gap in front is given up; 0: nothing is held. */
int64_t order_due_us(const struct order *o);
/* Gives up the gaps whose time has come, and gives what they held. */
void order_release(struct order *o, int64_t now_us, order_fn *fn, void *arg);
/* A new stream: what was held is forgotten. */
void order_restart(struct order *o);
void order_fini(struct order *o);

#endif
