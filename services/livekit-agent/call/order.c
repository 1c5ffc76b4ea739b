/* order.c - a window of slots behind the next packet. */
#include "order.h"

#include <stdlib.h>
#include <string.h>

static void give(struct order *o, const struct rtc_packet *p, order_fn *fn, void *arg)
{
    o->begun = true;
    o->next = (uint16_t)(p->seq + 1);
    fn(p, arg);
}

static struct order_held *slot(const struct order *o, uint16_t seq)
{
    return &o->held[seq % ORDER_HELD];
}

/* Those that follow without a gap. */
static void drain(struct order *o, order_fn *fn, void *arg)
{
    while (o->n && slot(o, o->next)->used) {
        struct order_held *h = slot(o, o->next);

        h->used = false;
        o->n--;
        give(o, &h->packet, fn, arg);
    }
}

/* The gap in front is lost. */
static void give_up(struct order *o, order_fn *fn, void *arg)
{
    while (!slot(o, o->next)->used)
        o->next++;
    drain(o, fn, arg);
}

static bool hold(struct order *o, const struct rtc_packet *p)
{
    struct order_held *h;

    if (!o->held)
        o->held = calloc(ORDER_HELD, sizeof *o->held);
    if (!o->held || p->len > ORDER_LEN)
        return false;
    h = slot(o, p->seq);
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

static int ahead(const struct order *o, const struct rtc_packet *p)
{
    return o->begun ? (int16_t)(p->seq - o->next) : 0;
}

void order_put(struct order *o, const struct rtc_packet *p, order_fn *fn, void *arg)
{
    if (ahead(o, p) < 0)
        return; /* came twice, or too late */
    while (o->n && ahead(o, p) >= ORDER_HELD)
        give_up(o, fn, arg);
    if (ahead(o, p) > 0 && ahead(o, p) < ORDER_HELD && hold(o, p))
        return;
    while (o->n && ahead(o, p) > 0)
        give_up(o, fn, arg);
    give(o, p, fn, arg);
    drain(o, fn, arg);
}

int64_t order_due_us(const struct order *o)
{
    int64_t first = INT64_MAX;

    if (!o->n)
        return 0;
    for (int i = 0; i < ORDER_HELD; i++)
        if (o->held[i].used && o->held[i].packet.received_us < first)
            first = o->held[i].packet.received_us;
    return first + ORDER_US;
}

void order_release(struct order *o, int64_t now_us, order_fn *fn, void *arg)
{
    while (o->n && order_due_us(o) <= now_us)
        give_up(o, fn, arg);
}

void order_restart(struct order *o)
{
    for (int i = 0; o->held && i < ORDER_HELD; i++)
        o->held[i].used = false;
    o->n = 0;
    o->begun = false;
}

void order_fini(struct order *o)
{
    free(o->held);
    o->held = NULL;
    o->n = 0;
}
