/* net_private.h - what net.c, ws.c and httpd.c share. Nobody else includes it. */
#ifndef PAT_NET_PRIVATE_H
#define PAT_NET_PRIVATE_H

#include "ws.h"

/* A server, as its pat_net sees it: ended and freed by free_fn when the net closes. */
struct net_server {
    void (*free_fn)(struct net_server *s);
    struct net_server *next;
};

struct pat_loop *net_loop(struct pat_net *n);
void net_add_server(struct pat_net *n, struct net_server *s);

/* Server side of a WebSocket: made before the handler says yes or no, counted in *counter while it
 * lives ... */
int ws_server_new(struct pat_ws **out, struct pat_net *n, size_t max_message, size_t *counter);
/* ... then either given up, or handed its descriptor (taken over, also when it fails) with the
 * client's key, response header lines (CRLF-ended) and the bytes already read behind the head. */
void ws_server_drop(struct pat_ws *ws);
void ws_server_start(struct pat_ws *ws, int fd, const char *key, const char *header_lines,
                     const char *rest, size_t rest_len);

#endif
