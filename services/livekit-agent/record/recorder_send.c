/* recorder_send.c - pieces on their way to the store.
 *
 * How: a queue, a few under way at once; after a failure one at a time and after a pause, until the
 * store answers again. A piece is tried for as long as there is memory for those behind it.
 */
#include "recorder_int.h"

#include <stdlib.h>
#include <string.h>

static void on_put(int err, const struct pat_store_res *res, void *arg);

static void remove_sending(struct sending *s)
{
    struct recorder *r = s->r;
    struct sending **at = &r->first, *before = NULL;

    while (*at != s) {
        before = *at;
        at = &(*at)->next;
    }
    *at = s->next;
    if (r->last == s)
        r->last = before;
    r->waiting -= s->data.len;
    pat_gauge_set(r->waiting_gauge, (double)r->waiting);
    pat_buf_fini(&s->data);
    free(s);
}

void recorder_drop_sending(struct recorder *r)
{
    while (r->first) {
        pat_store_forget(r->store, r->first);
        remove_sending(r->first);
    }
    r->out = 0;
}

static int begin(struct sending *s)
{
    int err = pat_store_put(s->r->store, s->key, RECORD_TYPE, s->data.data, s->data.len,
                            RECORD_STORE_MS, on_put, s);

    if (!err) {
        s->out = true;
        s->r->out++;
    }
    return err;
}

static void hold(struct recorder *r, const struct sending *s, int err)
{
    int64_t pause_ms = pat_retry_next_ms(&r->retry, pat_random32());

    pat_counter_add(r->store_errors, 1);
    pat_log(PAT_WARN, "record.not_stored", PAT_S("call", s->keep->call_id), PAT_ERR(err),
            PAT_I("again_ms", pause_ms), PAT_I("waiting", (int64_t)r->waiting));
    r->held = true;
    pat_timer_start(&r->again, pause_ms);
}

void recorder_send_next(struct recorder *r)
{
    int at_once = r->retry.attempts ? 1 : RECORD_SENDING;
    int err;

    for (struct sending *s = r->first; s && !r->held && r->out < at_once; s = s->next)
        if (!s->out && (err = begin(s)))
            hold(r, s, err);
}

static void on_put(int err, const struct pat_store_res *res, void *arg)
{
    struct sending *s = arg;
    struct recorder *r = s->r;
    struct keep *k = s->keep;

    (void)res;
    s->out = false;
    r->out--;
    if (err) {
        if (!r->held)
            hold(r, s, err);
        return;
    }
    pat_retry_reset(&r->retry);
    pat_counter_add(r->pieces, 1);
    remove_sending(s);
    k->sending--;
    recorder_send_next(r);
    keep_step(k);
}

void recorder_send(struct keep *k, const struct record_piece *p, struct pat_buf *data_take)
{
    struct recorder *r = k->r;
    struct sending *s = NULL;
    char name[RECORD_PIECE_NAME], folder[RECORD_KEY];

    if (r->waiting + data_take->len <= r->o.max_waiting)
        s = calloc(1, sizeof *s);
    if (!s) {
        pat_counter_add(r->dropped, 1);
        pat_log(PAT_ERROR, "record.piece_dropped", PAT_S("call", k->call_id),
                PAT_I("waiting", (int64_t)r->waiting));
        pat_buf_fini(data_take);
        return;
    }
    s->r = r;
    s->keep = k;
    s->data = *data_take;
    keep_folder(k, folder);
    record_piece_name(name, p);
    (void)snprintf(s->key, sizeof s->key, "%.*s%s", (int)(sizeof s->key - sizeof name), folder,
                   name);
    if (r->last)
        r->last->next = s;
    else
        r->first = s;
    r->last = s;
    r->waiting += s->data.len;
    k->sending++;
    pat_gauge_set(r->waiting_gauge, (double)r->waiting);
    recorder_send_next(r);
}
