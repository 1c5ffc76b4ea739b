/* sfu.c - one UDP socket for all calls: who sent a datagram is known by its port.
 *
 * Callers speak in 20 phases of a millisecond, so that not all of them do in one. An agent that
 * leaves stays in the table: a run's calls are made once.
 */
#include "dtls.h"
#include "pb.h"
#include "sctp.h"
#include "sfu_int.h"
#include "srtp.h"
#include "stun.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PHASES = 20, PHASE_US = 1000, SOCKET_ROOM = 4 * 1024 * 1024, BURST = 256 };

struct call *sfu_call(struct sfu *s, const char *token)
{
    char *end;
    unsigned long i;

    if (strncmp(token, "call-", 5) != 0)
        return NULL;
    i = strtoul(token + 5, &end, 10);
    return *end == '\0' && i < s->n ? &s->calls[i] : NULL;
}

size_t sfu_greeted(const struct sfu *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        n += s->calls[i].caller.began_us != 0;
    return n;
}

void sfu_measure(struct sfu *s, struct figures *f)
{
    s->figures = f;
}

/* ---- the socket ---- */

static void on_stun(struct sfu *s, const uint8_t *data, size_t len, const struct sockaddr_in *from)
{
    uint8_t answer[STUN_ANSWER_MAX];
    char name[32];
    struct call *c = stun_username(data, len, name, sizeof name) ? sfu_call(s, name) : NULL;

    if (!c)
        return;
    c->from = *from;
    (void)sendto(s->fd, answer, stun_answer(answer, data, from, LEG_PWD), MSG_DONTWAIT,
                 (const struct sockaddr *)from, sizeof *from);
}

static struct call *call_from(struct sfu *s, const struct sockaddr_in *from)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->calls[i].from.sin_port == from->sin_port)
            return s->calls[i].leg ? &s->calls[i] : NULL;
    return NULL;
}

static void on_datagrams(int err, int events, void *arg)
{
    struct sfu *s = arg;

    (void)err;
    (void)events;
    for (int i = 0; i < BURST; i++) {
        uint8_t data[2048];
        struct sockaddr_in from;
        socklen_t from_len = sizeof from;
        ssize_t len =
            recvfrom(s->fd, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
        struct call *c;

        if (len <= 0)
            return;
        if (data[0] < 4)
            on_stun(s, data, (size_t)len, &from);
        else if ((c = call_from(s, &from)))
            leg_input(c->leg, data, (size_t)len);
    }
}

static int open_socket(struct sfu *s)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int room = SOCKET_ROOM;

    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&a, sizeof a) ||
        getsockname(s->fd, (struct sockaddr *)&a, &len))
        return PAT_EIO;
    (void)setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    s->port = ntohs(a.sin_port);
    int err = pat_poll_new(&s->poll, s->loop, s->fd, on_datagrams, s);
    return err ? err : pat_poll_set(s->poll, PAT_POLL_IN);
}

/* ---- the callers ---- */

static void on_beat(void *arg)
{
    struct sfu *s = arg;
    int64_t now_us = pat_now_us();

    for (; s->due_us <= now_us; s->due_us += PHASE_US) {
        for (size_t i = s->phase; i < s->n; i += PHASES) {
            struct call *c = &s->calls[i];
            size_t len;
            const uint8_t *opus = caller_next(&c->caller, s->recording, s->figures, now_us, &len);

            if (c->leg)
                leg_send(c->leg, opus, len);
        }
        s->phase = (s->phase + 1) % PHASES;
    }
    pat_timer_start_at(&s->beat, s->due_us);
}

/* ---- the server API ---- */

static void reply(struct pat_httpd_req *r, const ProtobufCMessage *m)
{
    uint8_t *data = NULL;
    size_t len = 0;

    if (m && pb_pack(m, &data, &len))
        len = 0;
    pat_httpd_reply(r, 200, "application/protobuf", data ? data : (const uint8_t *)"", len);
    free(data);
}

static void add_call(struct sfu *s, const Livekit__CreateRoomRequest *m)
{
    struct call *c = &s->calls[s->n];

    c->sfu = s;
    c->index = s->n;
    c->caller.offset_ms = s->recording->period_ms * (int64_t)s->n / (int64_t)s->cap;
    (void)snprintf(c->room, sizeof c->room, "%s", pb_str(m->name));
    (void)snprintf(c->metadata, sizeof c->metadata, "%s", pb_str(m->agents[0]->metadata));
    s->n++;
    sfu_offer_job(c);
}

static void on_create_room(struct pat_httpd_req *r, void *arg)
{
    struct sfu *s = arg;
    size_t len;
    const char *body = pat_httpd_body(r, &len);
    Livekit__CreateRoomRequest *m =
        livekit__create_room_request__unpack(NULL, len, (const uint8_t *)body);
    Livekit__Room room = LIVEKIT__ROOM__INIT;

    if (m && m->n_agents && s->n < s->cap && s->worker)
        add_call(s, m);
    room.sid = "RM_bench";
    room.name = m ? m->name : NULL;
    reply(r, &room.base);
    if (m)
        livekit__create_room_request__free_unpacked(m, NULL);
}

static void on_other(struct pat_httpd_req *r, void *arg)
{
    (void)arg;
    reply(r, NULL);
}

/* ---- life ---- */

static int serve(struct sfu *s, struct pat_net *n, int port)
{
    char listen[32];
    const struct pat_httpd_opts opts = { .listen = listen };

    (void)snprintf(listen, sizeof listen, "127.0.0.1:%d", port);
    int err = pat_httpd_new(&s->http, n, &opts);
    if (!err)
        err = pat_httpd_route(s->http, "POST", "/twirp/livekit.RoomService/CreateRoom", 0,
                              on_create_room, s);
    if (!err)
        err = pat_httpd_route(s->http, "POST", "/twirp/{service}/{method}", 0, on_other, s);
    if (!err)
        err = pat_httpd_route_ws(s->http, "/agent", 0, sfu_on_worker, s);
    if (!err)
        err = pat_httpd_route_ws(s->http, "/rtc/v1", 0, sfu_on_join, s);
    return err ? err : pat_httpd_listen(s->http);
}

int sfu_new(struct sfu **out, struct pat_loop *l, struct pat_net *n, const struct recording *r,
            size_t max_calls, int port)
{
    struct sfu *s = calloc(1, sizeof *s);

    if (!s)
        return PAT_ENOMEM;
    s->loop = l;
    s->recording = r;
    s->figures = &s->unheard;
    s->cap = max_calls;
    s->fd = -1;
    s->calls = calloc(max_calls, sizeof *s->calls);
    int err = s->calls ? srtp_global_init() : PAT_ENOMEM;
    if (!err)
        err = dtls_id_new(&s->id);
    if (!err)
        err = sctp_hub_new(&s->hub, l);
    if (!err)
        err = open_socket(s);
    if (!err)
        err = pat_timer_init(&s->beat, l, on_beat, s);
    if (!err)
        err = serve(s, n, port);
    if (err) {
        sfu_free(s);
        return err;
    }
    s->due_us = pat_now_us();
    pat_timer_start_at(&s->beat, s->due_us);
    *out = s;
    return PAT_OK;
}

void sfu_free(struct sfu *s)
{
    if (!s)
        return;
    pat_timer_fini(&s->beat);
    pat_poll_close(s->poll);
    if (s->fd >= 0)
        (void)close(s->fd);
    for (size_t i = 0; i < s->n; i++)
        leg_free(s->calls[i].leg);
    dtls_id_free(s->id);
    free(s->calls);
    free(s);
}
