/* lane.c - a second socket on libnice's address, and the filter between them.
 * How: sockets that share an address are a group, numbered as they joined: libnice's is 0, ours 1;
 * a classic BPF program picks one for each datagram. It sends nothing. */
#include "lane.h"

#include <linux/filter.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET_MAX 2048 /* a path carries 1,500 */
#define AT_ONCE    4
#define STUN_BELOW 20 /* first byte, RFC 7983 section 7 */

struct lane {
    struct pat_loop *loop;
    struct beat *beat;
    lane_fn *fn;
    void *arg;
    struct pat_poll *poll;
    struct pat_timer timer; /* while calm */
    int slot;               /* -1: not calm */
    int fd;
};

static void deliver(struct lane *w, uint8_t *data, size_t len)
{
    /* What came before the filter was there is asked for again. */
    if (len && len <= PACKET_MAX && data[0] >= STUN_BELOW)
        w->fn(data, len, w->arg);
}

/* One packet a turn, as they mostly come: whether there is another the loop knows anyway. */
static void on_ready(int err, int events, void *arg)
{
    struct lane *w = arg;
    uint8_t packet[PACKET_MAX];
    ssize_t len = recv(w->fd, packet, sizeof packet, MSG_DONTWAIT | MSG_TRUNC);

    (void)events;
    if (len > 0)
        deliver(w, packet, (size_t)len);
    if (err) /* an ICMP error of the past: that recv has taken it */
        (void)pat_poll_set(w->poll, w->slot < 0 ? PAT_POLL_IN : 0);
}

static void on_beat(void *arg)
{
    struct lane *w = arg;
    uint8_t packets[AT_ONCE][PACKET_MAX];
    struct iovec at[AT_ONCE];
    struct mmsghdr heads[AT_ONCE] = { 0 };
    int n;

    for (int i = 0; i < AT_ONCE; i++) {
        at[i] = (struct iovec){ packets[i], PACKET_MAX };
        heads[i].msg_hdr.msg_iov = &at[i];
        heads[i].msg_hdr.msg_iovlen = 1;
    }
    pat_timer_start_at(&w->timer, beat_after(w->slot, pat_now_us()));
    do {
        n = recvmmsg(w->fd, heads, AT_ONCE, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++)
            deliver(w, packets[i], heads[i].msg_len);
    } while (n == AT_ONCE);
}

void lane_calm(struct lane *w, bool calm)
{
    if (calm == (w->slot >= 0))
        return;
    if (calm) {
        w->slot = beat_take(w->beat);
        pat_timer_start_at(&w->timer, beat_after(w->slot, pat_now_us()));
    } else {
        beat_give(w->beat, w->slot);
        w->slot = -1;
        pat_timer_stop(&w->timer);
    }
    (void)pat_poll_set(w->poll, calm ? 0 : PAT_POLL_IN);
}

/* One socket more at the address of beside. */
static int join(int beside)
{
    struct sockaddr_storage at = { 0 };
    socklen_t len = sizeof at;
    const int on = 1;
    int fd = -1;

    if (getsockname(beside, (struct sockaddr *)&at, &len) == 0 &&
        setsockopt(beside, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0)
        fd = socket(at.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
        bind(fd, (const struct sockaddr *)&at, len) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool sort(int fd)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, STUN_BELOW, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = { sizeof steps / sizeof steps[0], steps };

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0;
}

static int listen_to(struct lane *w, int beside)
{
    int err;

    w->fd = join(beside);
    if (w->fd < 0)
        return PAT_EIO;
    err = sort(w->fd) ? pat_poll_new(&w->poll, w->loop, w->fd, on_ready, w) : PAT_EIO;
    return err ? err : pat_poll_set(w->poll, PAT_POLL_IN);
}

int lane_open(struct lane **out, struct pat_loop *l, struct beat *beat, int beside, lane_fn *fn,
              void *arg)
{
    struct lane *w = calloc(1, sizeof *w);
    int err;

    if (!w)
        return PAT_ENOMEM;
    *w = (struct lane){ .loop = l, .beat = beat, .fn = fn, .arg = arg, .slot = -1, .fd = -1 };
    err = pat_timer_init(&w->timer, l, on_beat, w);
    if (!err)
        err = listen_to(w, beside);
    if (err) {
        lane_close(w);
        return err;
    }
    *out = w;
    return PAT_OK;
}

void lane_close(struct lane *w)
{
    if (!w)
        return;
    if (w->slot >= 0)
        beat_give(w->beat, w->slot);
    pat_timer_fini(&w->timer);
    pat_poll_close(w->poll);
    if (w->fd >= 0)
        close(w->fd);
    free(w);
}
