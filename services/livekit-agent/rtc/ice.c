/* ice.c - libnice on our loop.
 * How: a NiceAgent with its own GMainContext (gctx.c); its signals arrive while that is dispatched.
 * Once a pair is selected and plain UDP, packets go past it: a datagram of ours is one sendto, and
 * only STUN is left on its socket (lane.c), for libnice keeps asking for consent. That is a fifth
 * of what a packet costs through GLib's cycle.
 * It does not parse SDP and never restarts: instead of a lost flow peer.c makes another. */
#include "ice.h"

#include "gctx.h"
#include "lane.h"
#include "log.h"

#include <nice/agent.h>
#include <nice/interfaces.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define COMPONENT 1
/* Sockets cost memory and checks; a machine with more addresses does not get more reachable. */
#define ADDRESSES_MAX 4

struct ice {
    struct ice_events ev;
    void *arg;
    struct pat_loop *loop;
    struct beat *beat;
    struct gctx *ctx;
    struct lane *lane; /* NULL: libnice reads everything */
    bool calm;
    NiceAgent *agent;
    guint stream;
    gchar *ufrag;
    gchar *pwd;
    bool up;
    bool down;
    int fd;         /* of the selected pair's socket; -1: packets go through libnice */
    uint64_t heard; /* datagrams that went past libnice */
    struct sockaddr_storage remote;
    socklen_t remote_len;
};

static void on_state(NiceAgent *agent, guint stream, guint component, guint state, gpointer arg)
{
    struct ice *i = arg;

    (void)agent;
    (void)stream;
    (void)component;
    if ((state == NICE_COMPONENT_STATE_CONNECTED || state == NICE_COMPONENT_STATE_READY) &&
        !i->up) {
        i->up = true;
        i->ev.up(i->arg);
    } else if (state == NICE_COMPONENT_STATE_FAILED && !i->down) {
        i->down = true;
        i->ev.down(i->arg);
    }
}

static void on_recv(NiceAgent *agent, guint stream, guint component, guint len, gchar *buf,
                    gpointer arg)
{
    struct ice *i = arg;

    (void)agent;
    (void)stream;
    (void)component;
    i->ev.data((uint8_t *)buf, len, i->arg);
}

static void on_lane(uint8_t *data, size_t len, void *arg)
{
    struct ice *i = arg;

    i->heard++;
    i->ev.data(data, len, i->arg);
}

static void move_lane(struct ice *i, int fd)
{
    if (fd == i->fd)
        return;
    lane_close(i->lane);
    i->lane = NULL;
    i->fd = fd;
    if (fd < 0)
        return;
    int err = lane_open(&i->lane, i->loop, i->beat, fd, on_lane, i);
    if (err)
        pat_log(PAT_DEBUG, "rtc.no_lane", PAT_ERR(err));
    else
        lane_calm(i->lane, i->calm);
}

void ice_calm(struct ice *i, bool calm)
{
    i->calm = calm;
    if (i->lane)
        lane_calm(i->lane, calm);
}

static void on_selected(NiceAgent *agent, guint stream, guint component, NiceCandidate *local,
                        NiceCandidate *remote, gpointer arg)
{
    struct ice *i = arg;
    GSocket *socket = nice_agent_get_selected_socket(agent, stream, component);

    if (!socket || local->type == NICE_CANDIDATE_TYPE_RELAYED ||
        local->transport != NICE_CANDIDATE_TRANSPORT_UDP) {
        move_lane(i, -1);
        return;
    }
    memset(&i->remote, 0, sizeof i->remote);
    nice_address_copy_to_sockaddr(&remote->addr, (struct sockaddr *)&i->remote);
    i->remote_len =
        i->remote.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    move_lane(i, g_socket_get_fd(socket));
}

/* fe80::/10 and 169.254/16 reach nobody who is not on the same wire. */
static bool link_local(const char *text)
{
    return g_ascii_strncasecmp(text, "fe80:", 5) == 0 || strncmp(text, "169.254.", 8) == 0;
}

static void add_address(struct ice *i, const char *text)
{
    NiceAddress a;

    nice_address_init(&a);
    if (!link_local(text) && nice_address_set_from_string(&a, text))
        nice_agent_add_local_address(i->agent, &a);
}

/* Named one by one: left alone, libnice would take every address but loopback. */
static void add_addresses(struct ice *i, bool loopback)
{
    GList *all = nice_interfaces_get_local_ips(FALSE);
    int n = 0;

    if (loopback || !all)
        add_address(i, "127.0.0.1");
    for (GList *at = all; at && n < ADDRESSES_MAX; at = at->next, n++)
        add_address(i, at->data);
    g_list_free_full(all, g_free);
}

static bool agent_new(struct ice *i, const struct ice_opts *opts)
{
    i->agent =
        nice_agent_new_full(gctx_native(i->ctx), NICE_COMPATIBILITY_RFC5245,
                            NICE_AGENT_OPTION_ICE_TRICKLE | NICE_AGENT_OPTION_CONSENT_FRESHNESS);
    g_object_set(i->agent, "controlling-mode", TRUE, "upnp", FALSE, "ice-tcp",
                 opts->tcp ? TRUE : FALSE, "ice-udp", TRUE, NULL);
    add_addresses(i, opts->loopback);
    i->stream = nice_agent_add_stream(i->agent, 1);
    if (!i->stream || !nice_agent_get_local_credentials(i->agent, i->stream, &i->ufrag, &i->pwd))
        return false;
    g_signal_connect(i->agent, "component-state-changed", G_CALLBACK(on_state), i);
    g_signal_connect(i->agent, "new-selected-pair-full", G_CALLBACK(on_selected), i);
    return nice_agent_attach_recv(i->agent, i->stream, COMPONENT, gctx_native(i->ctx), on_recv, i);
}

int ice_new(struct ice **out, struct pat_loop *l, const struct ice_opts *opts,
            const struct ice_events *ev, void *arg)
{
    struct ice *i = calloc(1, sizeof *i);

    if (!i)
        return PAT_ENOMEM;
    i->ev = *ev;
    i->arg = arg;
    i->loop = l;
    i->beat = opts->beat;
    i->fd = -1;
    int err = gctx_new(&i->ctx, l);
    if (err) {
        free(i);
        return err;
    }
    if (!agent_new(i, opts)) {
        ice_free(i);
        return PAT_EIO;
    }
    gctx_kick(i->ctx);
    *out = i;
    return PAT_OK;
}

void ice_free(struct ice *i)
{
    if (!i)
        return;
    lane_close(i->lane);
    if (i->agent) {
        g_signal_handlers_disconnect_by_data(i->agent, i);
        if (i->stream)
            nice_agent_remove_stream(i->agent, i->stream);
        g_object_unref(i->agent);
    }
    gctx_free(i->ctx);
    g_free(i->ufrag);
    g_free(i->pwd);
    free(i);
}

const char *ice_ufrag(const struct ice *i)
{
    return i->ufrag;
}

const char *ice_pwd(const struct ice *i)
{
    return i->pwd;
}

int ice_gather(struct ice *i, const struct ice_relay *relays, size_t n, bool only_relays)
{
    for (size_t k = 0; k < n; k++)
        nice_agent_set_relay_info(i->agent, i->stream, COMPONENT, relays[k].address, relays[k].port,
                                  relays[k].username, relays[k].credential,
                                  relays[k].tcp ? NICE_RELAY_TYPE_TURN_TCP
                                                : NICE_RELAY_TYPE_TURN_UDP);
    if (only_relays && n)
        g_object_set(i->agent, "force-relay", TRUE, NULL);
    gboolean ok = nice_agent_gather_candidates(i->agent, i->stream);
    gctx_kick(i->ctx);
    return ok ? PAT_OK : PAT_EIO;
}

int ice_remote(struct ice *i, const char *ufrag, const char *pwd)
{
    gboolean ok = nice_agent_set_remote_credentials(i->agent, i->stream, ufrag, pwd);

    gctx_kick(i->ctx);
    return ok ? PAT_OK : PAT_EPROTO;
}

static NiceCandidateType native_type(enum sdp_candidate_type t)
{
    switch (t) {
    case SDP_SRFLX:
        return NICE_CANDIDATE_TYPE_SERVER_REFLEXIVE;
    case SDP_PRFLX:
        return NICE_CANDIDATE_TYPE_PEER_REFLEXIVE;
    case SDP_RELAY:
        return NICE_CANDIDATE_TYPE_RELAYED;
    default:
        return NICE_CANDIDATE_TYPE_HOST;
    }
}

void ice_candidate(struct ice *i, const struct sdp_candidate *c)
{
    NiceCandidate *n = nice_candidate_new(native_type(c->type));

    n->component_id = COMPONENT;
    n->stream_id = i->stream;
    n->priority = c->priority;
    n->transport = c->transport == SDP_UDP ? NICE_CANDIDATE_TRANSPORT_UDP
                                           : NICE_CANDIDATE_TRANSPORT_TCP_PASSIVE;
    (void)g_strlcpy(n->foundation, c->foundation, sizeof n->foundation);
    if (nice_address_set_from_string(&n->addr, c->address)) {
        nice_address_set_port(&n->addr, c->port);
        n->base_addr = n->addr;
        GSList *list = g_slist_append(NULL, n);
        if (nice_agent_set_remote_candidates(i->agent, i->stream, COMPONENT, list) < 0)
            pat_log(PAT_DEBUG, "rtc.candidate_refused", PAT_S("address", c->address));
        g_slist_free(list);
        gctx_kick(i->ctx);
    }
    nice_candidate_free(n);
}

int ice_send(struct ice *i, const uint8_t *data, size_t len)
{
    ssize_t n = i->fd >= 0 ? sendto(i->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL,
                                    (const struct sockaddr *)&i->remote, i->remote_len)
                           : nice_agent_send(i->agent, i->stream, COMPONENT, (guint)len,
                                             (const gchar *)data);

    return n == (ssize_t)len ? PAT_OK : PAT_EAGAIN;
}

bool ice_heard(const struct ice *i, uint64_t *n)
{
    *n = i->heard + gctx_woken(i->ctx, i->fd);
    return i->fd >= 0;
}
