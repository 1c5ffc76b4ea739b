/* loop_io.c - descriptors, signals, pool work and name resolution on the loop.
 *
 * Each object is one heap block around its libuv handle or request; close detaches the callback at
 * once and the block goes when libuv lets go of it.
 */
#include "loop_private.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

/* ---- descriptors ---- */

struct pat_poll {
    uv_poll_t uv;
    pat_poll_fn *fn;
    void *arg;
};

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct pat_poll *p = (struct pat_poll *)h;
    int seen = 0;

    if (status < 0) {
        p->fn(PAT_ECONN, PAT_POLL_IN | PAT_POLL_OUT, p->arg);
        return;
    }
    if (events & UV_READABLE)
        seen |= PAT_POLL_IN;
    if (events & UV_WRITABLE)
        seen |= PAT_POLL_OUT;
    p->fn(PAT_OK, seen, p->arg);
}

int pat_poll_new(struct pat_poll **out, struct pat_loop *l, int fd, pat_poll_fn *fn, void *arg)
{
    struct pat_poll *p = calloc(1, sizeof *p);
    int err;

    if (!p)
        return PAT_ENOMEM;
    p->fn = fn;
    p->arg = arg;
    err = uv_poll_init(&l->uv, &p->uv, fd);
    if (err) {
        free(p);
        return loop_err(err);
    }
    *out = p;
    return PAT_OK;
}

int pat_poll_set(struct pat_poll *p, int events)
{
    int want = 0;

    if (events & PAT_POLL_IN)
        want |= UV_READABLE;
    if (events & PAT_POLL_OUT)
        want |= UV_WRITABLE;
    return loop_err(want ? uv_poll_start(&p->uv, want, on_poll) : uv_poll_stop(&p->uv));
}

static void free_handle(uv_handle_t *h)
{
    free(h); /* the handle is the first member of its block */
}

void pat_poll_close(struct pat_poll *p)
{
    if (p)
        uv_close((uv_handle_t *)&p->uv, free_handle);
}

/* ---- signals ---- */

struct pat_signal {
    uv_signal_t uv;
    pat_signal_fn *fn;
    void *arg;
};

static void on_signal(uv_signal_t *h, int signum)
{
    struct pat_signal *s = (struct pat_signal *)h;

    s->fn(signum, s->arg);
}

int pat_signal_new(struct pat_signal **out, struct pat_loop *l, int signum, pat_signal_fn *fn,
                   void *arg)
{
    struct pat_signal *s = calloc(1, sizeof *s);
    int err;

    if (!s)
        return PAT_ENOMEM;
    s->fn = fn;
    s->arg = arg;
    uv_signal_init(&l->uv, &s->uv);
    err = uv_signal_start(&s->uv, on_signal, signum);
    if (err) {
        uv_close((uv_handle_t *)&s->uv, free_handle);
        return loop_err(err);
    }
    *out = s;
    return PAT_OK;
}

void pat_signal_close(struct pat_signal *s)
{
    if (s)
        uv_close((uv_handle_t *)&s->uv, free_handle);
}

/* ---- pool work ---- */

struct work {
    uv_work_t uv;
    pat_loop_fn *work;
    pat_loop_fn *done;
    void *arg;
};

static void on_work(uv_work_t *req)
{
    struct work *w = (struct work *)req;

    w->work(w->arg);
}

static void on_worked(uv_work_t *req, int status)
{
    struct work *w = (struct work *)req;
    pat_loop_fn *done = w->done;
    void *arg = w->arg;

    (void)status; /* never canceled */
    free(w);
    done(arg);
}

int pat_loop_work(struct pat_loop *l, pat_loop_fn *work, pat_loop_fn *done, void *arg)
{
    struct work *w = malloc(sizeof *w);
    int err;

    if (!w)
        return PAT_ENOMEM;
    *w = (struct work){ .work = work, .done = done, .arg = arg };
    err = uv_queue_work(&l->uv, &w->uv, on_work, on_worked);
    if (err)
        free(w);
    return loop_err(err);
}

/* ---- names ---- */

struct pat_resolve {
    uv_getaddrinfo_t uv;
    struct pat_loop *loop;
    struct pat_timer deadline;
    struct pat_task numeric;
    bool asked; /* libuv has it: freed by on_addrinfo only */
    pat_resolve_fn *fn;
    void *arg;
    char address[64];
};

static bool is_numeric(const char *host, char *out, size_t cap)
{
    struct in6_addr bin;
    size_t len = strlen(host);

    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len + 1 > cap)
        return false;
    memcpy(out, host, len);
    out[len] = '\0';
    return !uv_inet_pton(AF_INET, out, &bin) || !uv_inet_pton(AF_INET6, out, &bin);
}

/* fn is told; after it r is gone or detached. */
static void resolve_finish(struct pat_resolve *r, int err)
{
    pat_resolve_fn *fn = r->fn;
    char address[sizeof r->address];
    void *arg = r->arg;

    memcpy(address, r->address, sizeof address);
    pat_resolve_cancel(r);
    fn(err, err ? NULL : address, arg);
}

static int take_address(struct pat_resolve *r, const struct addrinfo *list)
{
    const struct addrinfo *pick = list;

    /* IPv4 first: a caller tries one address, and hosts without working IPv6 are the usual trap. */
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        if (a->ai_family == AF_INET) {
            pick = a;
            break;
        }
    }
    if (!pick || getnameinfo(pick->ai_addr, pick->ai_addrlen, r->address, sizeof r->address, NULL,
                             0, NI_NUMERICHOST))
        return PAT_ECONN;
    return PAT_OK;
}

static void on_addrinfo(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct pat_resolve *r = (struct pat_resolve *)req;

    r->asked = false;
    if (!r->fn) { /* canceled or timed out meanwhile */
        r->loop->detached--;
        free(r);
    } else {
        resolve_finish(r, status ? PAT_ECONN : take_address(r, list));
    }
    uv_freeaddrinfo(list);
}

static void on_resolve_timeout(void *arg)
{
    resolve_finish(arg, PAT_ETIMEDOUT);
}

static void on_numeric(void *arg)
{
    resolve_finish(arg, PAT_OK);
}

int pat_resolve_start(struct pat_resolve **out, struct pat_loop *l, const char *host,
                      int64_t timeout_ms, pat_resolve_fn *fn, void *arg)
{
    static const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct pat_resolve *r = calloc(1, sizeof *r);
    int err;

    if (!r)
        return PAT_ENOMEM;
    r->loop = l;
    r->fn = fn;
    r->arg = arg;
    err = pat_timer_init(&r->deadline, l, on_resolve_timeout, r);
    if (err)
        goto fail;
    if (is_numeric(host, r->address, sizeof r->address)) {
        pat_loop_next_turn(l, &r->numeric, on_numeric, r);
    } else {
        err = loop_err(uv_getaddrinfo(&l->uv, &r->uv, on_addrinfo, host, NULL, &hints));
        if (err)
            goto fail_timer;
        r->asked = true;
        pat_timer_start(&r->deadline, timeout_ms);
    }
    *out = r;
    return PAT_OK;

fail_timer:
    pat_timer_fini(&r->deadline);
fail:
    free(r);
    return err;
}

void pat_resolve_cancel(struct pat_resolve *r)
{
    if (!r)
        return;
    pat_timer_fini(&r->deadline);
    pat_task_cancel(r->loop, &r->numeric);
    r->fn = NULL;
    if (!r->asked) {
        free(r);
        return;
    }
    /* One that a thread already has cannot be stopped: it is left to end by itself. */
    r->loop->detached++;
    uv_cancel((uv_req_t *)&r->uv);
}
