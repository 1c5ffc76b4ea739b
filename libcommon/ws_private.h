/* ws_private.h - one WebSocket, for ws.c and ws_open.c only. */
#ifndef PAT_WS_PRIVATE_H
#define PAT_WS_PRIVATE_H

#include "buf.h"
#include "net_lws.h"

#define WS_ABNORMAL   1006 /* RFC 6455, 7.1.5: closed without a close frame */
#define WS_MAX_REASON 123
#define WS_MAX_KEPT   8

enum ws_state { WS_CONNECTING, WS_OPEN, WS_CLOSING, WS_ENDED };

struct frame {
    struct frame *next;
    size_t len;
    bool text;
    unsigned char data[]; /* LWS_PRE bytes of room, then len */
};

struct pat_ws {
    struct pat_net *net;
    struct lws *wsi;
    enum ws_state state;
    struct pat_ws_events ev;
    void *arg;
    struct pat_resolve *resolve;
    struct pat_timer timer; /* connecting, then closing */
    struct pat_timer ping;
    int64_t ping_ms;
    int unanswered;
    bool ping_due;
    size_t max_message;
    size_t max_queue;
    struct pat_buf message; /* pieces of the one coming in */
    struct frame *queue;
    struct frame **queue_tail;
    size_t queued;
    char *host; /* with port when not the scheme's own */
    char *path;
    char *protocol;
    char *headers; /* lines, CRLF-ended: the request's, or the 101's on the server side */
    int port;
    bool tls;
    int close_code;
    char close_reason[WS_MAX_REASON + 1];
    bool peer_closed;
    bool is_server;
    size_t *counter; /* of the server it came through, NULL after it was let go */
    bool close_sent;
    bool given_up; /* closed before it was open */
    struct kept {
        char *name; /* "x-request-id:" */
        char *value;
    } kept[WS_MAX_KEPT];
    int busy;  /* its callback is on the stack */
    bool dead; /* to be freed when that returns */
    struct pat_ws *next;
    struct pat_ws **prev;
};

/* ws.c */
void ws_free(struct pat_ws *ws);
/* Lets it go without a word; freed when nothing of it is on the stack. */
void ws_drop(struct pat_ws *ws);
/* The one place closed is told. */
void ws_finish(struct pat_ws *ws, int err, int status, int code, const char *reason);
void ws_on_timeout(void *arg);
void ws_on_ping(void *arg);

/* ws_open.c */
void ws_keep_headers(struct pat_ws *ws);

#endif
