/* sctp.c - usrsctp behind sctp.h.
 * How: AF_CONN sockets whose "address" is the link itself; one loop timer feeds usrsctp's clock. A
 * freed link stays allocated for a while without callbacks, because usrsctp knows it by pointer.
 * It does no path MTU discovery: DTLS over a 1,200-byte link is all there is. */
#include "sctp.h"

#include "buf.h"
#include "dtls.h"
#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <usrsctp.h>

#define TICK_MS       100 /* its shortest timer, the delayed SACK, is 200 ms, and may be 500 */
#define CLOSE_TICK_MS 50
#define BURIED_MS     3000
#define STREAMS       16 /* two are used; each costs memory on both sides */
#define SOCKET_ROOM   (128 * 1024)
/* DTLS 1.2 with AES-GCM: 13 header, 8 nonce, 16 tag. */
#define PATH_MTU (DTLS_MTU - 40)

struct sctp_link {
    struct sctp_hub *hub;
    struct sctp_link *next;
    struct sctp_events ev;
    void *arg;
    struct socket *sock;
    struct pat_buf partial; /* a message that comes in pieces */
    bool up;
    bool told_down;
    bool dead;
    int64_t buried_at_ms;
};

struct sctp_hub {
    struct pat_loop *loop;
    struct pat_timer tick;
    int64_t ticked_at_ms;
    struct sctp_link *links; /* also the buried ones */
    pat_loop_fn *closed;
    void *closed_arg;
};

static int on_output(void *addr, void *data, size_t len, uint8_t tos, uint8_t set_df)
{
    struct sctp_link *s = addr;

    (void)tos;
    (void)set_df;
    if (!s->dead)
        s->ev.send(data, len, s->arg);
    return 0;
}

static void tell_down(struct sctp_link *s)
{
    s->up = false;
    if (s->told_down || s->dead)
        return;
    s->told_down = true;
    s->ev.down(s->arg);
}

static void on_notification(struct sctp_link *s, const union sctp_notification *n, size_t len)
{
    if (len < sizeof n->sn_header || n->sn_header.sn_type != SCTP_ASSOC_CHANGE ||
        len < sizeof n->sn_assoc_change)
        return;
    switch (n->sn_assoc_change.sac_state) {
    case SCTP_COMM_UP:
        if (s->up)
            return;
        s->up = true;
        s->ev.up(s->arg);
        return;
    case SCTP_RESTART:
        return;
    default:
        tell_down(s);
    }
}

static void on_data(struct sctp_link *s, const struct sctp_rcvinfo *info, const void *data,
                    size_t len, bool whole)
{
    if (whole && !s->partial.len) {
        s->ev.message(info->rcv_sid, ntohl(info->rcv_ppid), data, len, s->arg);
        return;
    }
    (void)pat_buf_add(&s->partial, data, len);
    if (!whole)
        return;
    if (s->partial.err)
        pat_log(PAT_WARN, "rtc.message_too_big", PAT_I("max", SCTP_MESSAGE_MAX));
    else
        s->ev.message(info->rcv_sid, ntohl(info->rcv_ppid), (const uint8_t *)s->partial.data,
                      s->partial.len, s->arg);
    pat_buf_reset(&s->partial);
}

static int on_receive(struct socket *sock, union sctp_sockstore addr, void *data, size_t len,
                      struct sctp_rcvinfo info, int flags, void *arg)
{
    struct sctp_link *s = arg;

    (void)sock;
    (void)addr;
    if (!data)
        return 1;
    if (!s->dead) {
        if (flags & MSG_NOTIFICATION)
            on_notification(s, data, len);
        else
            on_data(s, &info, data, len, flags & MSG_EOR);
    }
    free(data);
    return 1;
}

static void set(struct socket *sock, int option, const void *value, socklen_t len, bool *ok)
{
    if (usrsctp_setsockopt(sock, IPPROTO_SCTP, option, value, len) < 0)
        *ok = false;
}

static bool configure(struct socket *sock)
{
    const struct linger linger = { .l_onoff = 1, .l_linger = 0 };
    const struct sctp_event event = { .se_assoc_id = SCTP_ALL_ASSOC,
                                      .se_type = SCTP_ASSOC_CHANGE,
                                      .se_on = 1 };
    const struct sctp_initmsg init = { .sinit_num_ostreams = STREAMS,
                                       .sinit_max_instreams = STREAMS };
    const uint32_t on = 1;
    bool ok = usrsctp_set_non_blocking(sock, 1) == 0 &&
              usrsctp_setsockopt(sock, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0;

    set(sock, SCTP_NODELAY, &on, sizeof on, &ok);
    set(sock, SCTP_EVENT, &event, sizeof event, &ok);
    set(sock, SCTP_INITMSG, &init, sizeof init, &ok);
    return ok;
}

static bool dial(struct sctp_link *s, uint16_t port)
{
    struct sockaddr_conn at = { .sconn_family = AF_CONN,
                                .sconn_port = htons(port),
                                .sconn_addr = s };
    struct sctp_paddrparams path = { .spp_flags = SPP_PMTUD_DISABLE | SPP_HB_ENABLE,
                                     .spp_pathmtu = PATH_MTU,
                                     .spp_hbinterval = 10000 };
    bool ok = true;

    if (usrsctp_bind(s->sock, (struct sockaddr *)&at, sizeof at) < 0)
        return false;
    if (usrsctp_connect(s->sock, (struct sockaddr *)&at, sizeof at) < 0 && errno != EINPROGRESS)
        return false;
    memcpy(&path.spp_address, &at, sizeof at);
    set(s->sock, SCTP_PEER_ADDR_PARAMS, &path, sizeof path, &ok);
    return ok;
}

int sctp_link_new(struct sctp_link **out, struct sctp_hub *h, uint16_t port,
                  const struct sctp_events *ev, void *arg)
{
    struct sctp_link *s = calloc(1, sizeof *s);

    if (!s)
        return PAT_ENOMEM;
    s->hub = h;
    s->ev = *ev;
    s->arg = arg;
    pat_buf_init(&s->partial, SCTP_MESSAGE_MAX);
    s->next = h->links;
    h->links = s;
    usrsctp_register_address(s);
    s->sock = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, on_receive, NULL, 0, s);
    if (!pat_timer_running(&h->tick)) {
        h->ticked_at_ms = pat_loop_now_ms(h->loop);
        pat_timer_start_rough(&h->tick, TICK_MS);
    }
    if (!s->sock || !configure(s->sock) || !dial(s, port)) {
        sctp_link_free(s);
        return PAT_EIO;
    }
    *out = s;
    return PAT_OK;
}

void sctp_link_input(struct sctp_link *s, const uint8_t *data, size_t len)
{
    if (!s->dead)
        usrsctp_conninput(s, data, len, 0);
}

int sctp_link_send(struct sctp_link *s, const struct sctp_send *how, const void *data, size_t len)
{
    struct sctp_sendv_spa spa = {
        .sendv_flags = SCTP_SEND_SNDINFO_VALID,
        .sendv_sndinfo = { .snd_sid = how->stream, .snd_ppid = htonl(how->ppid) },
    };

    if (!s->up)
        return PAT_ECONN;
    spa.sendv_sndinfo.snd_flags = SCTP_EOR;
    if (how->unreliable) {
        spa.sendv_sndinfo.snd_flags |= SCTP_UNORDERED;
        spa.sendv_flags |= SCTP_SEND_PRINFO_VALID;
        spa.sendv_prinfo.pr_policy = SCTP_PR_SCTP_RTX;
        spa.sendv_prinfo.pr_value = 0;
    }
    if (usrsctp_sendv(s->sock, data, len, NULL, 0, &spa, sizeof spa, SCTP_SENDV_SPA, 0) >= 0)
        return PAT_OK;
    return errno == EWOULDBLOCK || errno == EAGAIN ? PAT_EAGAIN : PAT_ECONN;
}

void sctp_link_free(struct sctp_link *s)
{
    if (!s || s->dead)
        return;
    if (s->sock)
        usrsctp_close(s->sock); /* with linger 0: an ABORT goes out, while send still works */
    s->dead = true;
    s->sock = NULL;
    usrsctp_deregister_address(s);
    s->buried_at_ms = pat_loop_now_ms(s->hub->loop);
}

static void bury(struct sctp_hub *h, int64_t before_ms)
{
    for (struct sctp_link **at = &h->links; *at;) {
        struct sctp_link *s = *at;

        if (!s->dead || s->buried_at_ms > before_ms) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        pat_buf_fini(&s->partial);
        free(s);
    }
}

static void finish(struct sctp_hub *h)
{
    pat_loop_fn *closed = h->closed;
    void *arg = h->closed_arg;

    bury(h, INT64_MAX);
    pat_timer_fini(&h->tick);
    free(h);
    closed(arg);
}

static void on_tick(void *arg)
{
    struct sctp_hub *h = arg;
    int64_t now_ms = pat_loop_now_ms(h->loop);

    if (h->closed) {
        /* Nothing talks any more: let its timers run out in fast motion. */
        usrsctp_handle_timers(500);
        if (usrsctp_finish() == 0) {
            finish(h);
            return;
        }
    } else {
        usrsctp_handle_timers((uint32_t)(now_ms - h->ticked_at_ms));
        h->ticked_at_ms = now_ms;
        bury(h, now_ms - BURIED_MS);
    }
    if (h->links || h->closed)
        pat_timer_start_rough(&h->tick, h->closed ? CLOSE_TICK_MS : TICK_MS);
}

int sctp_hub_new(struct sctp_hub **out, struct pat_loop *l)
{
    struct sctp_hub *h = calloc(1, sizeof *h);

    if (!h)
        return PAT_ENOMEM;
    int err = pat_timer_init(&h->tick, l, on_tick, h);
    if (err) {
        free(h);
        return err;
    }
    h->loop = l;
    usrsctp_init_nothreads(0, on_output, NULL);
    usrsctp_sysctl_set_sctp_sendspace(SOCKET_ROOM);
    usrsctp_sysctl_set_sctp_recvspace(SOCKET_ROOM);
    usrsctp_sysctl_set_sctp_nr_outgoing_streams_default(STREAMS);
    usrsctp_sysctl_set_sctp_ecn_enable(0);
    usrsctp_sysctl_set_sctp_asconf_enable(0);
    usrsctp_sysctl_set_sctp_auth_enable(0);
    usrsctp_sysctl_set_sctp_blackhole(2);
    *out = h;
    return PAT_OK;
}

void sctp_hub_close(struct sctp_hub *h, pat_loop_fn *closed, void *arg)
{
    h->closed = closed;
    h->closed_arg = arg;
    pat_timer_start(&h->tick, 0);
}
