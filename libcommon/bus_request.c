/* bus_request.c - request and reply: one wildcard inbox, the request's id is its last token.
 *
 * A request is sent, answered, overdue (its responder quiet for too long, where it says that it is
 * at it) or canceled; whichever comes first takes it out of the table, and what comes later finds
 * nothing.
 */
#include "bus_int.h"

#include <stdlib.h>
#include <string.h>

struct request {
    struct pat_bus *bus;
    uint64_t id;
    struct pat_timer timer;
    int64_t due_ms, quiet_ms; /* quiet_ms 0: only the deadline counts */
    bus_judge_fn *judge;
    pat_reply_fn *fn;
    void *arg;
    void (*drop)(void *arg);
};

static void finish(struct request *r, int err, const struct pat_msg *m)
{
    struct request done = *r;

    pat_slots_take(&r->bus->requests, r->id);
    pat_timer_fini(&r->timer);
    free(r);
    done.fn(err, m, done.arg);
}

static void on_overdue(void *arg)
{
    struct request *r = arg;

    /* Quiet is no answer; "nobody listens" would be one. */
    finish(r, r->bus->up || pat_now_ms() < r->due_ms ? PAT_ETIMEDOUT : PAT_EUNAVAIL, NULL);
}

static void wait_on(struct request *r)
{
    int64_t left = r->due_ms - pat_now_ms();

    pat_timer_start(&r->timer, r->quiet_ms && r->quiet_ms < left ? r->quiet_ms : left);
}

void bus_request_watch(struct pat_bus *b, pat_bus_id id, int64_t quiet_ms)
{
    struct request *r = pat_slots_find(&b->requests, id);

    if (!r)
        return;
    r->quiet_ms = quiet_ms;
    wait_on(r);
}

/* The server answers "503" in place of the responder that is not there (NATS protocol, no
 * responders). */
int bus_judge_plain(const struct pat_msg *m)
{
    const char *status;

    if (m->len)
        return PAT_OK;
    status = pat_msg_header(m, "Status");
    return status && !strcmp(status, "503") ? PAT_EUNAVAIL : PAT_OK;
}

void bus_on_inbox(const struct pat_msg *m, void *bus)
{
    struct pat_bus *b = bus;
    const char *token = strrchr(m->subject, '.');
    struct request *r;
    int err;

    if (!token)
        return;
    r = pat_slots_find(&b->requests, strtoull(token + 1, NULL, 16));
    if (!r)
        return;
    if (r->quiet_ms && pat_msg_header(m, BUS_ALIVE)) {
        wait_on(r);
        return;
    }
    err = r->judge(m);
    if (err == PAT_EUNAVAIL && r->judge == bus_judge_stored)
        bus_assets_missing(b);
    finish(r, err, m);
}

/* b->inbox and the id in 16 hexadecimal digits. */
static void name_inbox(const struct pat_bus *b, uint64_t id, char *out)
{
    size_t len = strlen(b->inbox);

    memcpy(out, b->inbox, len);
    for (int i = 15; i >= 0; i--, id >>= 4)
        out[len + (size_t)i] = "0123456789abcdef"[id & 15];
    out[len + 16] = '\0';
}

int bus_request(struct pat_bus *b, const struct wire_text *t, int64_t timeout_ms,
                bus_judge_fn *judge, pat_reply_fn *fn, void *arg, pat_bus_id *id)
{
    struct wire_text text = *t;
    char inbox[sizeof b->inbox + 20];
    struct request *r;
    int err;

    if (timeout_ms <= 0)
        return PAT_EINVAL;
    r = calloc(1, sizeof *r);
    if (!r)
        return PAT_ENOMEM;
    *r = (struct request){ .bus = b, .judge = judge, .fn = fn, .arg = arg };
    r->id = pat_slots_add(&b->requests, r);
    err = r->id ? pat_timer_init(&r->timer, b->loop, on_overdue, r) : PAT_ENOMEM;
    if (err)
        goto fail;
    name_inbox(b, r->id, inbox);
    text.reply = inbox;
    err = bus_send(b, &text, pat_now_ms() + timeout_ms);
    if (err)
        goto fail_timer;
    r->due_ms = pat_now_ms() + timeout_ms;
    wait_on(r);
    if (id)
        *id = r->id;
    return PAT_OK;

fail_timer:
    pat_timer_fini(&r->timer);
fail:
    pat_slots_take(&b->requests, r->id);
    free(r);
    return err;
}

int pat_bus_request(struct pat_bus *b, const char *subject, const void *data, size_t len,
                    const char *const *headers, int64_t timeout_ms, pat_reply_fn *fn, void *arg,
                    pat_bus_id *id)
{
    return bus_request(
        b, &(struct wire_text){ .subject = subject, .data = data, .len = len, .headers = headers },
        timeout_ms, bus_judge_plain, fn, arg, id);
}

void pat_bus_cancel(struct pat_bus *b, pat_bus_id id)
{
    struct request *r = pat_slots_take(&b->requests, id);

    if (!r)
        return;
    pat_timer_fini(&r->timer);
    if (r->drop)
        r->drop(r->arg);
    free(r);
}

void bus_request_own(struct pat_bus *b, pat_bus_id id, void (*drop)(void *arg))
{
    struct request *r = pat_slots_find(&b->requests, id);

    if (r)
        r->drop = drop;
}

void bus_requests_cancel(struct pat_bus *b)
{
    uint32_t place = 0;

    for (struct request *r; (r = pat_slots_next(&b->requests, &place));)
        finish(r, PAT_ECANCELED, NULL);
}
