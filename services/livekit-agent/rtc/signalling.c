/* signalling.c - the signalling socket of one room connection.
 * How: JoinRequest travels gzip'd in the URL, then binary protobuf both ways; our own pings,
 * because a half-open TCP connection says nothing. It knows no room: the messages go up as they
 * are. */
#include "signalling.h"

#include "livekit.pb-c.h"
#include "pb.h"
#include "url.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define PING_S      5
#define TIMEOUT_S   15
#define URL_MAX     (64 * 1024)
#define MESSAGE_MAX (1024 * 1024)

struct signalling {
    struct rtc *rtc;
    struct signalling_events ev;
    void *arg;
    struct pat_ws *ws; /* NULL: closed */
    struct pat_timer ping;
    struct pat_task burial;
    int64_t ping_ms;
    int64_t timeout_ms;
    int64_t heard_ms; /* last message of any kind */
    int64_t rtt_ms;
    bool open;
    bool dead;
};

static int gzip(struct pat_buf *out, const uint8_t *data, size_t len)
{
    z_stream z = { 0 };

    /* 16 makes it a gzip member and not a zlib stream. */
    if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return PAT_ENOMEM;
    size_t bound = deflateBound(&z, len);
    char *room = pat_buf_reserve(out, bound);
    int rc = Z_MEM_ERROR;
    if (room) {
        z.next_in = (Bytef *)(uintptr_t)data;
        z.avail_in = (uInt)len;
        z.next_out = (Bytef *)room;
        z.avail_out = (uInt)bound;
        rc = deflate(&z, Z_FINISH);
        out->len += z.total_out;
    }
    deflateEnd(&z);
    return rc == Z_STREAM_END ? PAT_OK : PAT_ENOMEM;
}

static int wrap_packed(struct pat_buf *out, struct pat_buf *packed)
{
    Livekit__WrappedJoinRequest wrapped = LIVEKIT__WRAPPED_JOIN_REQUEST__INIT;
    uint8_t *data;
    size_t len;

    wrapped.compression = LIVEKIT__WRAPPED_JOIN_REQUEST__COMPRESSION__GZIP;
    wrapped.join_request.data = (uint8_t *)packed->data;
    wrapped.join_request.len = packed->len;
    int err = pb_pack(&wrapped.base, &data, &len);
    if (err)
        return err;
    err = pat_base64url(out, data, len);
    free(data);
    while (!err && out->len % 4) /* the server insists on the padding */
        err = pat_buf_adds(out, "=");
    return err;
}

int signalling_wrap(struct pat_buf *out, const struct Livekit__JoinRequest *join)
{
    struct pat_buf packed;
    uint8_t *data;
    size_t len;
    int err = pb_pack(&join->base, &data, &len);

    if (err)
        return err;
    pat_buf_init(&packed, URL_MAX);
    err = gzip(&packed, data, len);
    free(data);
    if (!err)
        err = wrap_packed(out, &packed);
    pat_buf_fini(&packed);
    return err;
}

static void close_with(struct signalling *s, int err, int status)
{
    pat_timer_stop(&s->ping);
    if (s->dead)
        return;
    s->dead = true;
    s->ev.closed(err, status, s->arg);
}

static void on_open(struct pat_ws *ws, void *arg)
{
    struct signalling *s = arg;

    (void)ws;
    s->open = true;
    s->heard_ms = pat_loop_now_ms(s->rtc->loop);
    pat_timer_start_rough(&s->ping, s->ping_ms);
}

static void on_message(struct pat_ws *ws, const char *data, size_t len, bool text, void *arg)
{
    struct signalling *s = arg;

    (void)ws;
    if (s->dead || text)
        return;
    s->heard_ms = pat_loop_now_ms(s->rtc->loop);
    Livekit__SignalResponse *m = livekit__signal_response__unpack(NULL, len, (const uint8_t *)data);
    if (!m) {
        pat_log(PAT_WARN, "rtc.signal_undecodable", PAT_I("len", len));
        return;
    }
    if (m->message_case == LIVEKIT__SIGNAL_RESPONSE__MESSAGE_PONG_RESP)
        s->rtt_ms = pat_unix_ms() - m->pong_resp->last_ping_timestamp;
    else
        s->ev.message(m, s->arg);
    livekit__signal_response__free_unpacked(m, NULL);
}

static void on_closed(struct pat_ws *ws, int err, int status, int code, const char *reason,
                      void *arg)
{
    struct signalling *s = arg;

    (void)ws;
    (void)code;
    if (!s->dead && status >= 400)
        pat_log(PAT_WARN, "rtc.signal_refused", PAT_I("status", status), PAT_S("reason", reason));
    s->ws = NULL;
    close_with(s, err, status);
}

static void on_ping(void *arg)
{
    struct signalling *s = arg;
    Livekit__Ping ping = LIVEKIT__PING__INIT;
    Livekit__SignalRequest m = LIVEKIT__SIGNAL_REQUEST__INIT;

    if (pat_loop_now_ms(s->rtc->loop) - s->heard_ms > s->timeout_ms) {
        pat_log(PAT_WARN, "rtc.signal_silent", PAT_I("timeout_ms", s->timeout_ms));
        close_with(s, PAT_ETIMEDOUT, 0);
        return;
    }
    ping.timestamp = pat_unix_ms();
    ping.rtt = s->rtt_ms;
    m.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING_REQ;
    m.ping_req = &ping;
    (void)signalling_send(s, &m);
    pat_timer_start_rough(&s->ping, s->ping_ms);
}

static int build_url(struct pat_buf *url, const struct signalling_opts *opts)
{
    struct pat_buf query;
    int err = url_ws(url, opts->url, "/rtc/v1?join_request=");

    if (err)
        return err;
    pat_buf_init(&query, URL_MAX);
    err = signalling_wrap(&query, opts->join);
    if (!err)
        err = pat_buf_add(url, query.data, query.len);
    pat_buf_fini(&query);
    return err;
}

static int dial(struct signalling *s, const struct signalling_opts *opts)
{
    static const struct pat_ws_events events = { on_open, on_message, on_closed };
    struct pat_buf url, header;
    const char *headers[2] = { NULL, NULL };
    int err;

    pat_buf_init(&url, URL_MAX);
    pat_buf_init(&header, URL_MAX);
    err = build_url(&url, opts);
    if (!err)
        err = pat_buf_addf(&header, "Authorization: Bearer %s", opts->token);
    if (!err) {
        const struct pat_ws_opts ws = { .url = url.data,
                                        .headers = headers,
                                        .connect_timeout_ms = opts->timeout_ms,
                                        .max_message = MESSAGE_MAX };
        headers[0] = header.data;
        err = pat_ws_connect(&s->ws, s->rtc->net, &ws, &events, s);
    }
    pat_buf_fini(&url);
    pat_buf_fini(&header);
    return err;
}

int signalling_new(struct signalling **out, struct rtc *r, const struct signalling_opts *opts,
                   const struct signalling_events *ev, void *arg)
{
    struct signalling *s = calloc(1, sizeof *s);

    if (!s)
        return PAT_ENOMEM;
    s->rtc = r;
    s->ev = *ev;
    s->arg = arg;
    signalling_set_ping(s, PING_S, TIMEOUT_S);
    int err = pat_timer_init(&s->ping, r->loop, on_ping, s);
    if (err)
        goto fail;
    err = dial(s, opts);
    if (err)
        goto fail_timer;
    rtc_hold(r);
    *out = s;
    return PAT_OK;

fail_timer:
    pat_timer_fini(&s->ping);
fail:
    free(s);
    return err;
}

int signalling_send(struct signalling *s, const struct Livekit__SignalRequest *m)
{
    return s->ws && s->open ? pb_send(s->ws, &m->base) : PAT_ECONN;
}

void signalling_set_ping(struct signalling *s, int interval_s, int timeout_s)
{
    if (interval_s > 0 && interval_s <= 3600)
        s->ping_ms = interval_s * INT64_C(1000);
    if (timeout_s > 0 && timeout_s <= 3600)
        s->timeout_ms = timeout_s * INT64_C(1000);
}

static void on_farewell_closed(struct pat_ws *ws, int err, int status, int code, const char *reason,
                               void *arg)
{
    (void)ws;
    (void)err;
    (void)status;
    (void)code;
    (void)reason;
    rtc_release(arg);
}

/* What is still queued is a leave: it goes out without us, or we would stay as a ghost. */
static void destroy(void *arg)
{
    static const struct pat_ws_events farewell = { .closed = on_farewell_closed };
    struct signalling *s = arg;
    struct rtc *r = s->rtc;

    pat_timer_fini(&s->ping);
    if (s->ws && s->open && pat_ws_queued(s->ws)) {
        pat_ws_set(s->ws, &farewell, r);
        pat_ws_close(s->ws, 1000, "");
    } else {
        pat_ws_abort(s->ws);
        rtc_release(r);
    }
    free(s);
}

void signalling_free(struct signalling *s)
{
    if (!s)
        return;
    s->dead = true;
    pat_timer_stop(&s->ping);
    pat_loop_next_turn(s->rtc->loop, &s->burial, destroy, s);
}
