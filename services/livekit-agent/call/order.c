/* order.c - a window of slots behind the next packet. */
#include "order.h"

#include <string.h>

static void give(struct order *o, const struct rtc_packet *p, order_fn *fn, void *arg)
{
    o->begun = true;
    o->next = (uint16_t)(p->seq + 1);
    fn(p, arg);
}

static struct order_held *slot(struct order *o, uint16_t seq)
{
    return &o->held[seq % ORDER_HELD];
}

static void give_held(struct order *o, struct order_held *h, order_fn *fn, void *arg)
{
    h->used = false;
    o->n--;
    give(o, &h->packet, fn, arg);
}

/* Those that follow without a gap. */
static void drain(struct order *o, order_fn *fn, void *arg)
{
    while (o->n && slot(o, o->next)->used)
        give_held(o, slot(o, o->next), fn, arg);
}

static bool hold(struct order *o, const struct rtc_packet *p)
{
    struct order_held *h = slot(o, p->seq);

    if (p->len > ORDER_LEN)
        return false;
    if (h->used)
        return true; /* it came twice */
    h->used = true;
    h->packet = *p;
    memcpy(h->data, p->opus, p->len);
    h->packet.opus = h->data;
    h->packet.identity = h->packet.track_sid = NULL; /* nobody asks, and they may go */
    o->n++;
    return true;
}

bool order_put(struct order *o, const struct rtc_packet *p, order_fn *fn, void *arg)
{
    int ahead = o->begun ? (int16_t)(p->seq - o->next) : 0;

    if (ahead < 0)
        return o->n > 0; /* came twice, or too late */
    if (ahead == 0) {
        give(o, p, fn, arg);
        drain(o, fn, arg);
    } else if (ahead >= ORDER_HELD || !hold(o, p)) {
        order_release(o, fn, arg);
        give(o, p, fn, arg);
    }
    return o->n > 0;
}

void order_release(struct order *o, order_fn *fn, void *arg)
{
    while (o->n) {
        while (!slot(o, o->next)->used)
            o->next++;
        drain(o, fn, arg);
    }
}

void order_restart(struct order *o)
{
    for (int i = 0; i < ORDER_HELD; i++)
        o->held[i].used = false;
    o->n = 0;
    o->begun = false;
}
