/* order.h - puts a stream's packets back into order: lost ones that were asked for again come late.
 *
 * Without a loss nothing waits. Behind a gap packets are held until it is filled, until ORDER_MS
 * have passed since it was seen, or until ORDER_HELD are held. Pure: the owner keeps the time.
 */
#ifndef CALL_ORDER_H
#define CALL_ORDER_H

#include "../rtc/rtc.h"

#define ORDER_HELD 8
#define ORDER_MS   60 /* a request and its answer over a long path; half of a usual jitter buffer */
#define ORDER_LEN  400 /* a longer packet (160 kb/s) is never held */

struct order {
    struct order_held {
        bool used;
        struct rtc_packet packet; /* opus points to data; the strings are borrowed from the room */
        uint8_t data[ORDER_LEN];
    } held[ORDER_HELD]; /* by seq modulo ORDER_HELD */
    int n;
    bool begun;
    uint16_t next; /* the one to come */
};

typedef void order_fn(const struct rtc_packet *p, void *arg);

/* Gives what is in order to fn, which may be p itself. True: something is held, order_release is
 * due ORDER_MS after the first time this was true. */
bool order_put(struct order *o, const struct rtc_packet *p, order_fn *fn, void *arg);
/* Gives everything held, the gaps in it are lost. */
void order_release(struct order *o, order_fn *fn, void *arg);
/* A new stream: what was held is forgotten. */
void order_restart(struct order *o);

#endif
