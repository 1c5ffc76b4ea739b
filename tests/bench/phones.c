/* phones.c - what LiveKit's SIP service does for many telephones at once, in one small process:
 * each is a participant of kind SIP in a room of a real livekit-server, and what it hears goes on
 * as RTP to where the caller listens.
 *
 *   phones URL
 *
 * Commands, a line each: "ring ID MEDIA TIMEOUT_MS TOKEN" (MEDIA: "127.0.0.1:port", or "-"),
 * "bye ID". Told, a line of JSON each: {"event":"answered","id"}, {"event":"ended","id","reason"};
 * reason: "no_answer", "caller_hangup", "callee_hangup", "fault".
 *
 * A phone rings until a voice of the room is subscribed to. Each voice has an SSRC of its own. It
 * says nothing: what it sends is silence, 50 packets a second. */
#include "opusio.h"
#include "peer.h"
#include "room.h"
#include "rtc.h"

#include "../doubles/ulaw.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <opus/opus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define VOICES     4 /* of one room, one after the other */
#define PACE_US    20000
#define RTP_HEADER 12
#define PCM_MAX    960 /* 120 ms at 8 kHz */
#define JOIN_MS    15000
#define LINE_MAX_  16384
#define ID_MAX     128

struct voice {
    char identity[64];
    OpusDecoder *decoder;
    uint32_t ssrc;
    uint16_t seq;
};

struct phones;

struct phone {
    struct phones *all;
    char id[ID_MAX];
    struct rtc_room *room;
    struct sockaddr_in to;
    bool has_media, answered, byed;
    int64_t until_us; /* it rings */
    struct voice voices[VOICES];
    size_t n_voices;
    struct phone *next;
};

struct phones {
    struct pat_loop *loop;
    struct pat_net *net;
    struct rtc *rtc;
    const char *url;
    struct phone *list;
    struct pat_poll *input;
    struct pat_buf line;
    struct pat_timer pace;
    int64_t due_us;
    int fd;
    uint32_t next_ssrc;
    bool closing;
};

static void tell(const struct phone *p, const char *event, const char *reason)
{
    printf("{\"event\":\"%s\",\"id\":\"%s\",\"reason\":\"%s\"}\n", event, p->id, reason);
    (void)fflush(stdout);
}

static void gone(struct phone *p)
{
    struct phone **at = &p->all->list;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    for (size_t i = 0; i < p->n_voices; i++)
        opus_decoder_destroy(p->voices[i].decoder);
    free(p);
}

/* ------------------------------------------------------------------ the room */

static struct voice *voice_of(struct phone *p, const char *identity)
{
    struct voice *v;
    int err;

    for (size_t i = 0; i < p->n_voices; i++)
        if (!strcmp(p->voices[i].identity, identity))
            return &p->voices[i];
    if (p->n_voices == VOICES)
        return NULL;
    v = &p->voices[p->n_voices];
    *v = (struct voice){ .decoder = opus_decoder_create(8000, 1, &err) };
    if (!v->decoder || !pat_strcpy(v->identity, sizeof v->identity, identity))
        return NULL;
    v->ssrc = p->all->next_ssrc;
    p->all->next_ssrc += 2;
    p->n_voices++;
    return v;
}

static void on_packet(const struct rtc_packet *packet, void *arg)
{
    struct phone *p = arg;
    struct voice *v = p->has_media ? voice_of(p, packet->identity) : NULL;
    uint8_t out[RTP_HEADER + PCM_MAX] = { 0x80, 0 };
    int16_t pcm[PCM_MAX];
    int n;

    if (!v)
        return;
    n = opus_decode(v->decoder, packet->opus, (opus_int32)packet->len, pcm, PCM_MAX, 0);
    if (n <= 0)
        return;
    uint32_t stamp = htonl(packet->timestamp / 6), ssrc = htonl(v->ssrc);
    uint16_t seq = htons(v->seq++);

    memcpy(out + 2, &seq, sizeof seq);
    memcpy(out + 4, &stamp, sizeof stamp);
    memcpy(out + 8, &ssrc, sizeof ssrc);
    for (int i = 0; i < n; i++)
        out[RTP_HEADER + i] = ulaw_of(pcm[i]);
    (void)!sendto(p->all->fd, out, RTP_HEADER + (size_t)n, 0, (const struct sockaddr *)&p->to,
                  sizeof p->to);
}

static void on_left(enum rtc_left reason, void *arg)
{
    struct phone *p = arg;

    p->room = NULL;
    if (p->byed)
        tell(p, "ended", p->answered ? "caller_hangup" : "no_answer");
    else
        tell(p, "ended", reason == RTC_LEFT_UNREACHABLE ? "fault" : "callee_hangup");
    gone(p);
}

static void ignore(void *arg)
{
    (void)arg;
}

static void ignore_participant(const struct rtc_participant *who, void *arg)
{
    (void)who;
    (void)arg;
}

static void ignore_attribute(const struct rtc_participant *who, const char *n, const char *v,
                             void *arg)
{
    (void)who;
    (void)n;
    (void)v;
    (void)arg;
}

static void ignore_dtmf(const struct rtc_participant *from, char d, void *arg)
{
    (void)from;
    (void)d;
    (void)arg;
}

static void ignore_text(const char *i, const char *t, const char *text, size_t len, void *arg)
{
    (void)i;
    (void)t;
    (void)text;
    (void)len;
    (void)arg;
}

static const struct rtc_events room_events = { ignore,           ignore_participant,
                                               ignore_attribute, ignore,
                                               on_packet,        ignore_dtmf,
                                               ignore_text,      on_left };

/* Somebody's voice has been subscribed to: LiveKit's SIP service answers the INVITE now. */
static bool has_voice(const struct phone *p)
{
    const struct tracks *t = p->room && p->room->peer ? peer_tracks(p->room->peer) : NULL;

    for (size_t i = 1; t && i < t->n; i++)
        if (t->list[i].kind == SDP_RECV && t->list[i].sends && t->list[i].sid[0])
            return true;
    return false;
}

/* ------------------------------------------------------------------ commands */

static bool address(struct sockaddr_in *out, char *text)
{
    char *colon = strrchr(text, ':');

    if (!colon)
        return false;
    *colon = 0;
    *out = (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)) };
    return inet_pton(AF_INET, text, &out->sin_addr) == 1;
}

static void ring(struct phones *all, char *id, char *media, int64_t timeout_ms, const char *token)
{
    struct phone *p = calloc(1, sizeof *p);
    const struct rtc_join j = {
        .url = all->url, .token = token, .track_name = "phone", .timeout_ms = JOIN_MS
    };

    if (!p)
        return;
    p->all = all;
    p->next = all->list;
    all->list = p;
    p->has_media = address(&p->to, media);
    p->until_us = pat_now_us() + timeout_ms * 1000;
    if (!pat_strcpy(p->id, sizeof p->id, id) ||
        rtc_room_join(&p->room, all->rtc, &j, &room_events, p)) {
        tell(p, "ended", "fault");
        gone(p);
    }
}

static void bye(struct phone *p)
{
    if (!p->byed && p->room)
        rtc_room_leave(p->room);
    p->byed = true;
}

static void on_line(struct phones *all, char *line)
{
    char *save = NULL, *word[5] = { NULL };

    for (int i = 0; i < 5; i++)
        word[i] = strtok_r(i ? NULL : line, " ", &save);
    if (word[4] && !strcmp(word[0], "ring")) {
        ring(all, word[1], word[2], strtoll(word[3], NULL, 10), word[4]);
    } else if (word[1] && !strcmp(word[0], "bye")) {
        for (struct phone *p = all->list; p; p = p->next)
            if (!strcmp(p->id, word[1]))
                bye(p);
    }
}

static void on_net_closed(void *arg)
{
    struct phones *all = arg;

    pat_timer_fini(&all->pace);
    pat_poll_close(all->input);
    all->input = NULL;
}

static void on_rtc_closed(void *arg)
{
    struct phones *all = arg;

    pat_net_close(all->net, on_net_closed, all);
}

static void close_all(struct phones *all)
{
    if (all->closing)
        return;
    all->closing = true;
    (void)pat_poll_set(all->input, 0);
    pat_timer_stop(&all->pace);
    while (all->list) {
        rtc_room_abort(all->list->room);
        gone(all->list);
    }
    rtc_close(all->rtc, on_rtc_closed, all);
}

static void on_input(int err, int events, void *arg)
{
    struct phones *all = arg;
    char bytes[4096], *end;
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);

    (void)events;
    if (err || n <= 0) { /* whoever started us has gone */
        close_all(all);
        return;
    }
    pat_buf_add(&all->line, bytes, (size_t)n);
    while (all->line.data && (end = memchr(all->line.data, '\n', all->line.len))) {
        size_t used = (size_t)(end - all->line.data) + 1;

        *end = 0;
        on_line(all, all->line.data);
        memmove(all->line.data, all->line.data + used, all->line.len - used);
        all->line.len -= used;
    }
}

static void on_pace(void *arg)
{
    struct phones *all = arg;
    int64_t now = pat_now_us();

    for (struct phone *p = all->list; p; p = p->next) {
        if (!p->room || p->byed)
            continue;
        (void)rtc_room_send(p->room, opusio_silence, OPUSIO_SILENCE_LEN, OPUSIO_FRAME, false, 127);
        if (!p->answered && has_voice(p)) {
            p->answered = true;
            (void)rtc_room_set_attribute(p->room, "sip.callStatus", "active");
            tell(p, "answered", "");
        } else if (!p->answered && now > p->until_us) {
            bye(p);
        }
    }
    all->due_us = all->due_us + PACE_US > now ? all->due_us + PACE_US : now + PACE_US;
    pat_timer_start_at(&all->pace, all->due_us);
}

int main(int argc, char **argv)
{
    struct phones all = { .next_ssrc = 2 };
    const struct pat_log_opts log = { .service = "phones", .level = PAT_WARN, .fd = 2 };

    if (argc != 2)
        return 2;
    pat_log_setup(&log);
    all.url = argv[1];
    all.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    pat_buf_init(&all.line, LINE_MAX_);
    if (all.fd < 0 || pat_loop_new(&all.loop) || pat_net_new(&all.net, all.loop, NULL) ||
        rtc_new(&all.rtc, all.loop, all.net, NULL) ||
        pat_timer_init(&all.pace, all.loop, on_pace, &all) ||
        pat_poll_new(&all.input, all.loop, STDIN_FILENO, on_input, &all) ||
        pat_poll_set(all.input, PAT_POLL_IN))
        return 2;
    pat_timer_start(&all.pace, 0);
    pat_loop_run(all.loop);
    pat_buf_fini(&all.line);
    close(all.fd);
    return pat_loop_free(all.loop) ? 1 : 0;
}
