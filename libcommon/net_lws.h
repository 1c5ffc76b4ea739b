/* net_lws.h - libwebsockets' types, for net.c and ws.c only. */
#ifndef PAT_NET_LWS_H
#define PAT_NET_LWS_H

#include "ca.h"
#include "net_private.h"

#include <libwebsockets.h>

#define NET_HANDLES 16
#define NET_CHANCE  256 /* random bytes fetched at once: up to so many come whole (getrandom(2)) */

struct pat_net {
    struct pat_loop *loop;
    struct lws_context *context;
    struct lws_vhost *client;
    struct lws_vhost *server;
    char *ca_file;
    X509_LOOKUP_METHOD *ca_bundle;
    struct net_server *servers;
    struct pat_ws *sockets;
    struct pat_ws *adopting;    /* its first callbacks come before it can be attached */
    uint8_t chance[NET_CHANCE]; /* of the next masks, of which left are not used yet */
    size_t chance_left;
    bool closing;
    const void *handles[NET_HANDLES]; /* the library's own on the loop */
    size_t n_handles;
    size_t handles_left;
    int close_steps;
    struct pat_timer close_timer;
    pat_loop_fn *closed;
    void *closed_arg;
};

extern const struct lws_protocols ws_protocols[];
void ws_close_all(struct pat_net *n);
/* The context of the client's side, while it is made. */
int net_trust(struct pat_net *n, SSL_CTX *ctx) PAT_MUST_CHECK;

#endif
