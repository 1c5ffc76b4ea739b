/* rpc.c - requests and replies as JSON, with the caller's deadline in a header.
 *
 * The transport, its timeouts and "nobody listens" are the bus's. A replica that dies tells nobody:
 * whoever waits long asks to hear, every second, that it is still at it (docs/rpc.md).
 */
#include "rpc.h"

#include "bus_int.h"
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUBJECT_MAX = 200,
    REPLY_MAX = 128,
    DEADLINE_DEFAULT_MS = 5000, /* a caller who does not say */
    DEADLINE_MAX_MS = 600000,
    ALIVE_FROM_MS = 10000, /* a caller who waits less has his deadline */
    ALIVE_MS = 1000,
    QUIET_MS = 6000, /* a loop that is busy for so long has a fault of its own */
};
#define DEADLINE   "Pat-Deadline-Ms"
#define TELL_ALIVE "Pat-Tell-Alive"

struct service {
    struct pat_bus *bus;
    pat_rpc_fn *fn;
    void *arg;
};

struct pat_rpc_req {
    struct pat_bus *bus;
    struct pat_json *params;
    int64_t due_ms;
    char reply[REPLY_MAX];            /* "": nobody waits */
    struct pat_rpc_req *next, **link; /* of those who want to hear; link NULL: not one of them */
};

static int subject_of(const char *service, const char *method, char out[SUBJECT_MAX])
{
    if (!bus_token_valid(service) || !bus_subject_valid(method) || strpbrk(method, "*>"))
        return PAT_EINVAL;
    if (snprintf(out, SUBJECT_MAX, "pat.rpc.v1.%s.%s", service, method) >= SUBJECT_MAX)
        return PAT_E2BIG;
    return PAT_OK;
}

/* ---- serving ---- */

static int64_t deadline_of(const struct pat_msg *m)
{
    const char *s = pat_msg_header(m, DEADLINE);
    long long ms = s ? strtoll(s, NULL, 10) : DEADLINE_DEFAULT_MS;

    if (ms < 1)
        ms = 1;
    return ms < DEADLINE_MAX_MS ? ms : DEADLINE_MAX_MS;
}

static void tell_alive(void *arg)
{
    static const char *const headers[] = { BUS_ALIVE ": 1", NULL };
    struct pat_bus *b = arg;
    int64_t now = pat_now_ms();

    for (const struct pat_rpc_req *r = b->working; r; r = r->next)
        if (r->due_ms > now) /* a full queue: the next one says it */
            (void)!bus_send(b, &(struct wire_text){ .subject = r->reply, .headers = headers },
                            now + ALIVE_MS);
    pat_timer_start(&b->alive, ALIVE_MS);
}

static void begin_telling(struct pat_rpc_req *r)
{
    struct pat_bus *b = r->bus;

    if (!b->working)
        pat_timer_start(&b->alive, ALIVE_MS);
    r->next = b->working;
    r->link = &b->working;
    if (r->next)
        r->next->link = &r->next;
    b->working = r;
}

static void end_telling(struct pat_rpc_req *r)
{
    if (!r->link)
        return;
    *r->link = r->next;
    if (r->next)
        r->next->link = r->link;
    r->link = NULL;
    if (!r->bus->working)
        pat_timer_stop(&r->bus->alive);
}

int bus_rpc_init(struct pat_bus *b)
{
    return pat_timer_init(&b->alive, b->loop, tell_alive, b);
}

void bus_rpc_fini(struct pat_bus *b)
{
    while (b->working)
        end_telling(b->working);
    pat_timer_fini(&b->alive);
}

static void on_request(const struct pat_msg *m, void *arg)
{
    const struct service *s = arg;
    struct pat_rpc_req *r = calloc(1, sizeof *r);
    struct pat_json_err wrong;
    int err;

    if (!r || (m->reply && !pat_strcpy(r->reply, sizeof r->reply, m->reply))) {
        free(r);
        return; /* the caller's deadline tells it */
    }
    r->bus = s->bus;
    r->due_ms = pat_now_ms() + deadline_of(m);
    if (*r->reply && pat_msg_header(m, TELL_ALIVE))
        begin_telling(r);
    err = m->len ? pat_json_parse(&r->params, m->data, m->len, &wrong) : PAT_OK;
    if (err == PAT_EINVAL) {
        pat_rpc_fail(r, err, wrong.path, wrong.what);
        return;
    }
    if (!err && !r->params)
        r->params = pat_json_obj();
    if (!r->params) {
        pat_rpc_fail(r, PAT_ENOMEM, NULL, NULL);
        return;
    }
    s->fn(r, r->params, s->arg);
}

int pat_rpc_serve(struct pat_bus *b, struct pat_sub **out, const char *service, const char *method,
                  pat_rpc_fn *fn, void *arg)
{
    char subject[SUBJECT_MAX];
    struct service *s;
    int err = subject_of(service, method, subject);

    if (err)
        return err;
    s = malloc(sizeof *s);
    if (!s)
        return PAT_ENOMEM;
    *s = (struct service){ b, fn, arg };
    err = pat_bus_subscribe(b, out, subject, service, on_request, s);
    if (err)
        free(s);
    else
        bus_sub_own(*out, free);
    return err;
}

int64_t pat_rpc_left_ms(const struct pat_rpc_req *r)
{
    return r->due_ms - pat_now_ms();
}

static int send_tree(struct pat_rpc_req *r, const struct pat_json *j)
{
    PAT_AUTO_STR text = pat_json_print(j);

    if (!text)
        return PAT_ENOMEM;
    return *r->reply ? pat_bus_publish(r->bus, r->reply, text, strlen(text)) : PAT_OK;
}

static void req_free(struct pat_rpc_req *r)
{
    end_telling(r);
    pat_json_free(r->params);
    free(r);
}

void pat_rpc_reply(struct pat_rpc_req *r, struct pat_json *result_take)
{
    PAT_AUTO_JSON j = pat_json_obj();
    int err;

    pat_json_set_take(j, "result", result_take ? result_take : pat_json_obj());
    err = send_tree(r, j);
    if (err) {
        pat_rpc_fail(r, err, NULL, NULL);
        return;
    }
    req_free(r);
}

void pat_rpc_fail(struct pat_rpc_req *r, int err, const char *field, const char *message)
{
    PAT_AUTO_JSON j = pat_json_obj();
    struct pat_json *e = pat_json_obj();
    int sent;

    pat_json_set_str(e, "code", pat_err_name(err));
    pat_json_set_str(e, "message", message && *message ? message : pat_err_text(err));
    pat_json_set_bool(e, "retryable", pat_err_retryable(err));
    if (field && *field)
        pat_json_set_str(e, "field", field);
    pat_json_set_take(j, "error", e);
    sent = send_tree(r, j);
    if (sent)
        pat_log(PAT_WARN, "rpc.reply", PAT_ERR(sent));
    req_free(r);
}

/* ---- calling ---- */

struct call {
    pat_rpc_done_fn *fn;
    void *arg;
};

static void on_reply(int err, const struct pat_msg *m, void *arg)
{
    struct call c = *(struct call *)arg;
    const struct pat_json *result;
    PAT_AUTO_JSON j = NULL;

    free(arg);
    if (!err)
        err = pat_json_parse(&j, m->data, m->len, NULL);
    if (err) {
        if (err == PAT_EINVAL)
            err = PAT_EPROTO;
        c.fn(err, NULL, pat_err_text(err), c.arg);
        return;
    }
    result = pat_json_at(j, "result");
    if (result) {
        c.fn(PAT_OK, result, NULL, c.arg);
        return;
    }
    if (!pat_json_at(j, "error")) {
        c.fn(PAT_EPROTO, NULL, pat_err_text(PAT_EPROTO), c.arg);
        return;
    }
    err = pat_err_from_name(pat_json_str_or(j, "error.code", ""));
    c.fn(err ? err : PAT_EPROTO, pat_json_at(j, "error"),
         pat_json_str_or(j, "error.message", pat_err_text(err)), c.arg);
}

int pat_rpc_call_text(struct pat_bus *b, const char *service, const char *method,
                      const char *params, int64_t timeout_ms, pat_rpc_done_fn *fn, void *arg,
                      pat_bus_id *id)
{
    char subject[SUBJECT_MAX];
    bool slow = timeout_ms >= ALIVE_FROM_MS;
    char deadline[64];
    const char *headers[] = { deadline, slow ? TELL_ALIVE ": 1" : NULL, NULL };
    struct call *c;
    pat_bus_id ours;
    int err = subject_of(service, method, subject);

    if (err)
        return err;
    c = malloc(sizeof *c);
    if (!c)
        return PAT_ENOMEM;
    *c = (struct call){ fn, arg };
    snprintf(deadline, sizeof deadline, DEADLINE ": %lld", (long long)timeout_ms);
    err = pat_bus_request(b, subject, params, strlen(params), headers, timeout_ms, on_reply, c,
                          &ours);
    if (err) {
        free(c);
        return err;
    }
    bus_request_own(b, ours, free);
    if (slow)
        bus_request_watch(b, ours, QUIET_MS);
    if (id)
        *id = ours;
    return PAT_OK;
}

int pat_rpc_call(struct pat_bus *b, const char *service, const char *method,
                 const struct pat_json *params, int64_t timeout_ms, pat_rpc_done_fn *fn, void *arg,
                 pat_bus_id *id)
{
    PAT_AUTO_STR text = params ? pat_json_print(params) : strdup("{}");

    return text ? pat_rpc_call_text(b, service, method, text, timeout_ms, fn, arg, id) : PAT_ENOMEM;
}
