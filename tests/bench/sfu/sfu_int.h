/* sfu_int.h - the inside of the server, shared by sfu*.c and nobody else.
 *
 *   sfu.c          the socket, the server API, the beat of 20 ms
 *   sfu_worker.c   the agent's worker socket: a room becomes a job
 *   sfu_signal.c   a participant's signalling socket
 */
#ifndef SFU_INT_H
#define SFU_INT_H

#include "httpd.h"
#include "leg.h"
#include "livekit.pb-c.h"
#include "sfu.h"

#include <netinet/in.h>

struct call {
    struct sfu *sfu;
    size_t index;
    char room[64], metadata[64];
    struct leg *leg; /* NULL: nobody has joined */
    struct pat_ws *ws;
    Livekit__JoinRequest *join; /* until the socket is open */
    struct sockaddr_in from;    /* of the agent, once it has asked */
    struct caller caller;
};

struct sfu {
    struct pat_loop *loop;
    struct pat_httpd *http;
    struct dtls_id *id;
    struct sctp_hub *hub;
    int fd, port;
    struct pat_poll *poll;
    struct pat_timer beat;
    int64_t due_us;
    unsigned phase;
    const struct recording *recording;
    struct figures *figures, unheard;
    struct pat_ws *worker;
    struct call *calls;
    size_t n, cap;
};

/* sfu.c */
struct call *sfu_call(struct sfu *s, const char *token); /* NULL: no such */

/* sfu_worker.c */
int sfu_on_worker(struct pat_httpd_req *r, struct pat_ws *ws, void *arg);
void sfu_offer_job(struct call *c);

/* sfu_signal.c */
int sfu_on_join(struct pat_httpd_req *r, struct pat_ws *ws, void *arg);

#endif
