/* peer.c - wires ICE, DTLS, SRTP and SCTP together.
 * How: datagrams are told apart by their first byte (RFC 7983); each layer starts when the one
 * below is up. Freeing waits for the next turn, because a layer below may be on the stack. */
#include "peer.h"

#include "datachannel.h"
#include "dtls.h"
#include "ice.h"
#include "media.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { SILENT_REPORTS = 3 }; /* LiveKit says something every 2 s, and gives us up after 15 */

struct path {
    struct peer *peer;
    struct ice *ice; /* NULL: none */
};

struct peer {
    struct rtc *rtc;
    struct peer_events ev;
    void *arg;
    char cid[64];
    bool loopback;
    struct path paths[2]; /* the one in use, and the one that shall replace it */
    int used;
    bool restarting;
    uint64_t heard; /* of the path in use, at the last report */
    int silent;     /* reports since then with nothing new */
    bool failed;    /* ICE says so of the path in use */
    bool calm;
    struct dtls *dtls;
    struct datachannels *channels;
    struct media media;
    struct pat_timer report;
    struct pat_task burial;
    uint64_t session;
    uint32_t version;
    bool answered;
    bool as_server;
    uint8_t fingerprint[32];
    char ufrag[257];
    bool dead; /* freed, or down has been told */
};

static void go_down(struct peer *p, int err)
{
    if (p->dead)
        return;
    p->dead = true;
    pat_timer_stop(&p->report);
    p->ev.down(err, p->arg);
}

static struct ice *ice_used(const struct peer *p)
{
    return p->paths[p->used].ice;
}

/* The one that is being negotiated. */
static struct ice *ice_newest(const struct peer *p)
{
    return p->paths[p->restarting ? !p->used : p->used].ice;
}

static void send_datagram(const uint8_t *data, size_t len, void *arg)
{
    struct peer *p = arg;

    (void)ice_send(ice_used(p), data, len); /* a full socket loses it, as the network would */
}

static void on_sctp_send(const uint8_t *data, size_t len, void *arg)
{
    struct peer *p = arg;

    (void)dtls_send(p->dtls, data, len);
}

static void on_channels_open(void *arg)
{
    struct peer *p = arg;

    if (!p->dead)
        p->ev.channels(p->arg);
}

static void on_channel_message(bool reliable, const uint8_t *data, size_t len, void *arg)
{
    struct peer *p = arg;

    if (!p->dead)
        p->ev.data(reliable, data, len, p->arg);
}

static void on_channels_down(void *arg)
{
    go_down(arg, PAT_ECONN);
}

static int start_media(struct peer *p)
{
    static const struct datachannel_events events = { on_sctp_send, on_channels_open,
                                                      on_channel_message, on_channels_down };
    uint8_t material[SRTP_MATERIAL_MAX];
    struct srtp_pair *srtp;
    unsigned profile;
    int err = dtls_srtp_keys(p->dtls, &profile, material, sizeof material);

    if (err)
        return err;
    err = srtp_pair_new(&srtp, profile, material, dtls_is_server(p->dtls));
    OPENSSL_cleanse(material, sizeof material);
    if (err)
        return err;
    media_connect_take(&p->media, srtp);
    return datachannels_new(&p->channels, p->rtc->hub, !dtls_is_server(p->dtls), &events, p);
}

static void on_dtls_up(void *arg)
{
    struct peer *p = arg;
    int err = start_media(p);

    if (err) {
        go_down(p, err);
        return;
    }
    /* Reports of many calls shall not fall into one tick. */
    pat_timer_start_rough(&p->report,
                          MEDIA_REPORT_MS / 2 + (int64_t)(p->session % MEDIA_REPORT_MS) / 2);
    if (!p->dead)
        p->ev.up(p->arg);
}

static void on_dtls_data(const uint8_t *data, size_t len, void *arg)
{
    struct peer *p = arg;

    if (p->channels && !p->dead)
        datachannels_input(p->channels, data, len);
}

static void on_dtls_down(int err, void *arg)
{
    go_down(arg, err);
}

static bool is_used(const struct path *path)
{
    return path == &path->peer->paths[path->peer->used];
}

/* The new path works. The old one goes; it is not on the stack, being another ice's. */
static void swap_paths(struct peer *p)
{
    struct path *old = &p->paths[p->used];

    p->used = !p->used;
    p->restarting = false;
    p->silent = 0;
    p->heard = 0;
    p->failed = false;
    ice_free(old->ice);
    old->ice = NULL;
    ice_calm(ice_used(p), p->calm);
    p->ev.path_mended(p->arg);
}

static void on_ice_up(void *arg)
{
    struct path *path = arg;
    struct peer *p = path->peer;

    if (p->dead)
        return;
    if (!is_used(path))
        swap_paths(p);
    else if (!p->as_server)
        dtls_start(p->dtls, false, p->fingerprint);
}

static void on_ice_down(void *arg)
{
    struct path *path = arg;
    struct peer *p = path->peer;

    if (!is_used(path) || !p->media.srtp) {
        go_down(p, PAT_ECONN);
        return;
    }
    p->failed = true;
    if (!p->restarting && !p->dead)
        p->ev.path_lost(p->arg);
}

static void on_ice_data(uint8_t *data, size_t len, void *arg)
{
    struct peer *p = ((struct path *)arg)->peer;

    if (p->dead || !len)
        return;
    if (data[0] >= 128 && data[0] <= 191)
        media_input(&p->media, data, len, pat_now_us());
    else if (data[0] >= 20 && data[0] <= 63)
        dtls_input(p->dtls, data, len);
}

static void on_packet(const struct rtp_packet *packet, struct track *t, int64_t received_us,
                      void *arg)
{
    struct peer *p = arg;

    p->ev.packet(packet, t, received_us, p->arg);
}

/* Reports are counted, not time: after a standstill of ours what has come is read first. */
static void watch_path(struct peer *p)
{
    uint64_t heard;

    if (!ice_heard(ice_used(p), &heard) || heard != p->heard) {
        p->heard = heard;
        p->silent = 0;
        return;
    }
    if (++p->silent == SILENT_REPORTS && !p->restarting)
        p->ev.path_lost(p->arg);
}

static void on_report(void *arg)
{
    struct peer *p = arg;

    media_report(&p->media, pat_now_us(), pat_unix_ms() * 1000);
    pat_timer_start_rough(&p->report, MEDIA_REPORT_MS);
    watch_path(p);
}

static int make_path(struct peer *p, struct path *path, bool tcp)
{
    static const struct ice_events events = { on_ice_up, on_ice_down, on_ice_data };
    const struct ice_opts opts = { .beat = &p->rtc->beat, .loopback = p->loopback, .tcp = tcp };

    path->peer = p;
    return ice_new(&path->ice, p->rtc->loop, &opts, &events, path);
}

static int build(struct peer *p, const struct peer_opts *opts)
{
    static const struct dtls_events dtls_ev = { send_datagram, on_dtls_up, on_dtls_data,
                                                on_dtls_down };
    static const struct media_events media_ev = { send_datagram, on_packet };
    int err = pat_timer_init(&p->report, p->rtc->loop, on_report, p);

    if (!err)
        err = media_init(&p->media, &media_ev, p);
    if (!err)
        err = make_path(p, &p->paths[0], opts->tcp);
    if (!err)
        err = dtls_new(&p->dtls, p->rtc->loop, p->rtc->id, &dtls_ev, p);
    if (!err && RAND_bytes((unsigned char *)&p->session, sizeof p->session) != 1)
        err = PAT_EINTERNAL;
    p->session >>= 2; /* JSEP: 62 bits at most (RFC 8829 section 5.2.1) */
    return err;
}

static void count_losses(struct peer *p)
{
    if (p->rtc->metrics.lost_packets)
        pat_counter_add(p->rtc->metrics.lost_packets, (double)p->media.lost);
    if (p->rtc->metrics.mended_packets)
        pat_counter_add(p->rtc->metrics.mended_packets, (double)p->media.mended);
    if (p->rtc->metrics.refused_packets)
        pat_counter_add(p->rtc->metrics.refused_packets, (double)p->media.refused);
}

static void destroy(void *arg)
{
    struct peer *p = arg;
    struct rtc *r = p->rtc;

    pat_timer_fini(&p->report);
    datachannels_free(p->channels);
    dtls_free(p->dtls);
    for (int i = 0; i < 2; i++)
        ice_free(p->paths[i].ice);
    media_fini(&p->media);
    count_losses(p);
    free(p);
    rtc_release(r);
}

int peer_new(struct peer **out, struct rtc *r, const struct peer_opts *opts,
             const struct peer_events *ev, void *arg)
{
    struct peer *p = calloc(1, sizeof *p);

    if (!p)
        return PAT_ENOMEM;
    p->rtc = r;
    p->ev = *ev;
    p->arg = arg;
    p->loopback = opts->loopback;
    rtc_hold(r);
    int err = pat_strcpy(p->cid, sizeof p->cid, opts->cid) ? build(p, opts) : PAT_E2BIG;
    if (err) {
        destroy(p);
        return err;
    }
    *out = p;
    return PAT_OK;
}

void peer_free(struct peer *p)
{
    if (!p)
        return;
    p->dead = true;
    pat_timer_stop(&p->report);
    pat_loop_next_turn(p->rtc->loop, &p->burial, destroy, p);
}

int peer_offer(struct peer *p, struct pat_buf *out)
{
    enum sdp_kind kinds[SDP_SECTIONS];
    const struct sdp_offer o = { .session = p->session,
                                 .version = ++p->version,
                                 .ufrag = ice_ufrag(ice_newest(p)),
                                 .pwd = ice_pwd(ice_newest(p)),
                                 .fingerprint = dtls_id_fingerprint(p->rtc->id),
                                 .cid = p->cid,
                                 .ssrc = p->media.ssrc,
                                 .sections = kinds,
                                 .n_sections = p->media.tracks.n };

    tracks_kinds(&p->media.tracks, kinds);
    return sdp_offer_build(out, &o);
}

int peer_gather(struct peer *p, const struct ice_relay *relays, size_t n, bool only_relays)
{
    return ice_gather(ice_newest(p), relays, n, only_relays);
}

int peer_restart(struct peer *p)
{
    if (p->dead || !p->media.srtp)
        return PAT_EAGAIN;
    if (p->restarting)
        return PAT_OK;
    int err = make_path(p, &p->paths[!p->used], true);

    p->restarting = !err;
    return err;
}

bool peer_restarting(const struct peer *p)
{
    return p->restarting;
}

bool peer_path_doubtful(const struct peer *p)
{
    return p->silent > 0 || p->failed;
}

static int apply_credentials(struct peer *p, const struct sdp_answer *a)
{
    int err = ice_remote(ice_newest(p), a->ufrag, a->pwd);

    if (!err)
        (void)pat_strcpy(p->ufrag, sizeof p->ufrag, a->ufrag);
    return err;
}

/* An answer of the server's we know: other credentials are a restart's, the same ones answer what
 * we offered before it. */
static int apply_again(struct peer *p, const struct sdp_answer *a)
{
    if (memcmp(a->fingerprint, p->fingerprint, sizeof p->fingerprint) != 0)
        return PAT_ESTALE;
    if (strcmp(a->ufrag, p->ufrag) == 0)
        return PAT_OK;
    return p->restarting ? apply_credentials(p, a) : PAT_ESTALE;
}

/* The first answer starts the transport. */
static int apply_transport(struct peer *p, const struct sdp_answer *a)
{
    if (p->answered)
        return apply_again(p, a);
    if (!a->has_fingerprint || a->setup == SDP_SETUP_UNKNOWN)
        return PAT_EPROTO;
    int err = apply_credentials(p, a);
    if (err)
        return err;
    p->answered = true;
    p->as_server = a->setup == SDP_SETUP_ACTIVE;
    memcpy(p->fingerprint, a->fingerprint, sizeof p->fingerprint);
    if (p->as_server) /* as client we wait for ICE: the first flight would be lost */
        dtls_start(p->dtls, true, p->fingerprint);
    return PAT_OK;
}

int peer_answer(struct peer *p, const char *sdp, size_t len)
{
    struct sdp_answer a;
    int err = sdp_answer_parse(&a, sdp, len);

    if (!err)
        err = apply_transport(p, &a);
    if (!err)
        err = tracks_apply(&p->media.tracks, &a);
    if (!err)
        err = media_codec(&p->media, a.sections[0].red);
    for (size_t i = 0; !err && i < a.n_candidates; i++)
        ice_candidate(ice_newest(p), &a.candidates[i]);
    return err;
}

void peer_candidate(struct peer *p, const char *json)
{
    PAT_AUTO_JSON j = NULL;
    struct sdp_candidate c;

    if (pat_json_parse(&j, json, strlen(json), NULL))
        return;
    const char *text = pat_json_str_or(j, "candidate", "");
    if (sdp_candidate_parse(&c, text, strlen(text)) == PAT_OK)
        ice_candidate(ice_newest(p), &c);
}

struct tracks *peer_tracks(struct peer *p)
{
    return &p->media.tracks;
}

bool peer_is_up(const struct peer *p)
{
    return p->media.srtp && !p->dead;
}

int peer_send(struct peer *p, const uint8_t *opus, size_t len, uint32_t samples, bool marker,
              int level)
{
    return p->dead ? PAT_EAGAIN : media_send(&p->media, opus, len, samples, marker, level);
}

void peer_skip(struct peer *p, uint32_t samples)
{
    media_skip(&p->media, samples);
}

void peer_calm(struct peer *p, bool calm)
{
    p->calm = calm;
    ice_calm(ice_used(p), calm);
}

int peer_send_data(struct peer *p, bool reliable, const void *data, size_t len)
{
    return p->channels && !p->dead ? datachannels_send(p->channels, reliable, data, len)
                                   : PAT_EAGAIN;
}

uint16_t peer_channel_id(const struct peer *p, bool reliable)
{
    return p->channels ? datachannels_id(p->channels, reliable) : 0xffff;
}
