/* media.c - see media.h.
 *
 * How: one socket and one 20 ms timer per desk; a packet is 12 bytes of header and 160 of the
 * text's samples. A desk that is late sends what is due at once. It does not listen. */
#include "media.h"

#include "audio.h"
#include "pat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME     160 /* 20 ms at 8 kHz */
#define FRAME_US  20000
#define HEADER    12
#define SOUND_MAX ((size_t)8000 * 60)
#define LATE_US   1000000 /* a loop that stood still for longer leaves packets out */

struct media {
    struct media_desk *desk;
    struct sockaddr_in to;
    uint32_t ssrc, timestamp;
    uint16_t seq;
    size_t at; /* in the desk's sound */
    struct media *next;
};

struct media_desk {
    struct pat_loop *loop;
    struct pat_timer pace;
    int64_t due_us;
    int fd;
    const char *text;
    struct synth_voice voice;
    struct synth_job *job;
    bool asked;
    struct pat_buf sound; /* PCMU */
    struct media *streams;
    uint32_t next_ssrc;
};

static void put16(uint8_t *to, uint32_t v)
{
    to[0] = (uint8_t)(v >> 8);
    to[1] = (uint8_t)v;
}

static void put32(uint8_t *to, uint32_t v)
{
    put16(to, v >> 16);
    put16(to + 2, v & 0xFFFF);
}

static void send_one(struct media *m)
{
    struct media_desk *d = m->desk;
    uint8_t packet[HEADER + FRAME] = { 0x80, 0 }; /* version 2, payload type 0 */

    put16(packet + 2, m->seq++);
    put32(packet + 4, m->timestamp);
    put32(packet + 8, m->ssrc);
    memcpy(packet + HEADER, d->sound.data + m->at, FRAME);
    m->at = m->at + 2 * FRAME > d->sound.len ? 0 : m->at + FRAME;
    m->timestamp += FRAME;
    /* Nobody listens any more: so it is with telephones. */
    (void)!sendto(d->fd, packet, sizeof packet, 0, (const struct sockaddr *)&m->to, sizeof m->to);
}

static void pace(struct media_desk *d)
{
    if (d->streams && d->sound.len >= FRAME && !pat_timer_running(&d->pace)) {
        d->due_us = pat_now_us();
        pat_timer_start_at(&d->pace, d->due_us);
    }
}

static void on_pace(void *arg)
{
    struct media_desk *d = arg;

    if (pat_now_us() - d->due_us > LATE_US)
        d->due_us = pat_now_us();
    for (struct media *m = d->streams; m; m = m->next)
        send_one(m);
    d->due_us += FRAME_US;
    if (d->streams)
        pat_timer_start_at(&d->pace, d->due_us);
}

static void on_spoken(int err, const int16_t *pcm, size_t n, void *arg)
{
    const struct audio_format f = { .rate = 8000, .ulaw = true };
    struct media_desk *d = arg;

    d->job = NULL;
    if (err || audio_bytes(&d->sound, &f, pcm, n))
        pat_log(PAT_ERROR, "media.mute", PAT_ERR(err));
    pace(d);
}

int media_desk_new(struct media_desk **out, struct pat_loop *l, const char *text,
                   const struct synth_voice *v)
{
    struct media_desk *d = calloc(1, sizeof *d);
    int err = PAT_ENOMEM;

    if (!d)
        return err;
    d->loop = l;
    d->text = text;
    d->voice = *v;
    pat_buf_init(&d->sound, SOUND_MAX);
    d->next_ssrc = (uint32_t)pat_now_us() | 1;
    d->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0) {
        err = PAT_ECONN;
        goto fail;
    }
    err = pat_timer_init(&d->pace, l, on_pace, d);
    if (err)
        goto fail_fd;
    *out = d;
    return PAT_OK;

fail_fd:
    close(d->fd);
fail:
    free(d);
    return err;
}

void media_desk_free(struct media_desk *d)
{
    if (!d)
        return;
    while (d->streams)
        media_stop(d->streams);
    synth_cancel(d->job);
    pat_timer_fini(&d->pace);
    pat_buf_fini(&d->sound);
    close(d->fd);
    free(d);
}

static bool address(struct sockaddr_in *out, const char *text)
{
    const char *colon = strrchr(text, ':');
    char host[MEDIA_TO_MAX];
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;

    if (!colon || (size_t)(colon - text) >= sizeof host || port < 1 || port > 65535)
        return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    *out = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    return inet_pton(AF_INET, host, &out->sin_addr) == 1;
}

static int speak_once(struct media_desk *d)
{
    int err = d->asked ? PAT_OK
                       : synth_start(&d->job, d->loop, d->text, strlen(d->text), &d->voice, 8000,
                                     on_spoken, d);

    d->asked |= !err;
    return err;
}

int media_start(struct media **out, struct media_desk *d, const char *to)
{
    struct media *m = calloc(1, sizeof *m);
    int err;

    if (!m)
        return PAT_ENOMEM;
    err = address(&m->to, to) ? speak_once(d) : PAT_EINVAL;
    if (err) {
        free(m);
        return err;
    }
    m->desk = d;
    m->ssrc = d->next_ssrc;
    d->next_ssrc += 2;
    m->next = d->streams;
    d->streams = m;
    pace(d);
    *out = m;
    return PAT_OK;
}

void media_stop(struct media *m)
{
    struct media **at;

    if (!m)
        return;
    for (at = &m->desk->streams; *at != m; at = &(*at)->next)
        ;
    *at = m->next;
    free(m);
}
