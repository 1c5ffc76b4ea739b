/* room_relays.c - the TURN servers we were told at joining or at a resume, for each gathering of
 * candidates.
 * How: "turn:HOST:PORT?transport=udp" taken apart and kept with its credentials. turns: is beyond
 * libnice (see its TURN types), stun: is not needed towards a server. */
#include "room.h"

#include "ice.h"
#include "livekit.pb-c.h"
#include "pb.h"
#include "peer.h"

#include <stdlib.h>
#include <string.h>

void room_relays_drop(struct room_relays *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->at[i].host);
        free(l->at[i].username);
        free(l->at[i].credential);
    }
    memset(l, 0, sizeof *l);
}

/* The last colon before end; end: none. */
static size_t port_at(const char *text, size_t end)
{
    for (size_t i = end; i > 0; i--)
        if (text[i - 1] == ':')
            return i;
    return end;
}

static void add_relay(struct room_relays *l, const char *url, const Livekit__ICEServer *s)
{
    if (strncmp(url, "turn:", 5) != 0 || l->n == ROOM_RELAYS)
        return;
    const char *rest = url + 5, *query = strchr(rest, '?');
    size_t end = query ? (size_t)(query - rest) : strlen(rest), port_from = port_at(rest, end);
    size_t host_len = port_from < end ? port_from - 1 : end;
    long port = port_from < end ? strtol(rest + port_from, NULL, 10) : 3478;

    if (!host_len || port < 1 || port > 65535)
        return;
    l->at[l->n].host = strndup(rest, host_len);
    l->at[l->n].username = strdup(pb_str(s->username));
    l->at[l->n].credential = strdup(pb_str(s->credential));
    l->at[l->n].port = (uint16_t)port;
    l->at[l->n].tcp = query && strstr(query, "transport=tcp");
    l->n++;
}

static void keep(struct room_relays *l, Livekit__ICEServer *const *servers, size_t n,
                 const Livekit__ClientConfiguration *conf)
{
    room_relays_drop(l);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < servers[i]->n_urls; k++)
            add_relay(l, pb_str(servers[i]->urls[k]), servers[i]);
    l->only = conf && conf->force_relay == LIVEKIT__CLIENT_CONFIG_SETTING__ENABLED;
}

void room_relays_joined(struct rtc_room *r, const Livekit__JoinResponse *j)
{
    keep(&r->relays, j->ice_servers, j->n_ice_servers, j->client_configuration);
}

void room_relays_resumed(struct rtc_room *r, const Livekit__ReconnectResponse *m)
{
    if (m->n_ice_servers)
        keep(&r->relays, m->ice_servers, m->n_ice_servers, m->client_configuration);
}

int room_gather(struct rtc_room *r)
{
    struct ice_relay relays[ROOM_RELAYS];
    size_t n = 0;

    for (size_t i = 0; i < r->relays.n; i++) {
        relays[n] = (struct ice_relay){ .address = r->relays.at[i].host,
                                        .port = r->relays.at[i].port,
                                        .tcp = r->relays.at[i].tcp,
                                        .username = r->relays.at[i].username,
                                        .credential = r->relays.at[i].credential };
        if (relays[n].address && relays[n].username && relays[n].credential)
            n++;
    }
    return peer_gather(r->peer, relays, n, r->relays.only);
}
