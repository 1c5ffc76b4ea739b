/* bus_int.h - inside the bus: its parts, for bus*.c only. */
#ifndef PAT_BUS_INT_H
#define PAT_BUS_INT_H

#include "bus.h"
#include "bus_wire.h"
#include "metrics.h"
#include "slots.h"

enum {
    BUS_TURN_MAX = 256, /* messages handled before the loop serves others */
    BUS_TOKEN_MAX = 255,
    BUS_ENSURE_MS = 5000, /* making streams and buckets again after a reconnect */
    BUS_WATCH_MS = 10000, /* a silent server is asked to speak, and left after so many in vain */
    BUS_SILENT_MAX = 2,
};

/* A stream that somebody asked to be there: made again when a server comes back without it (a
 * bucket in memory does not survive a restart). */
struct bus_asset {
    struct bus_asset *next;
    char *name;
    char *config;
};

struct pat_sub {
    struct pat_bus *bus;
    uint64_t id;
    pat_msg_fn *fn;
    void *arg;
    void (*drop)(void *arg); /* frees arg with the subscription; NULL: arg is somebody's */
};

struct bus_meters {
    struct pat_counter *published, *received, *refused, *dropped, *retries, *connects;
    struct pat_gauge *up, *queue;
};

struct pat_bus {
    struct pat_loop *loop;
    struct pat_wire *wire;
    struct pat_slots subs;
    struct pat_slots requests;
    struct pat_rpc_req *working; /* requests of others that hear that we are at it (rpc.c) */
    struct pat_timer alive;
    char inbox[64]; /* "_INBOX.<unique>." */
    char why[WIRE_WHY_MAX];
    struct wire_inbox batch;
    size_t batch_at;
    struct wire_state seen;
    bool up;
    bool closing;
    struct pat_task cancel_all;
    struct pat_timer watch;   /* that the server is there */
    uint64_t heard;           /* of it, when we looked last */
    int silent;               /* looks in a row that found nothing new */
    struct pat_timer give_up; /* of closing */
    pat_loop_fn *closed;
    void *closed_arg;
    void (*state)(bool up, void *arg);
    void *state_arg;
    struct bus_asset *assets;
    int64_t assets_at_ms; /* when they were last missed */
    struct pat_consumer *consumers;
    struct pat_kv_watch *watches;
    struct pat_metrics *metrics;
    struct bus_meters meters;
};

/* bus.c */
int bus_send(struct pat_bus *b, const struct wire_text *t, int64_t expires_ms) PAT_MUST_CHECK;
bool bus_subject_valid(const char *subject);
bool bus_token_valid(const char *token);

void bus_sub_own(struct pat_sub *s, void (*drop)(void *arg));

/* bus_request.c */
/* What a reply means; PAT_OK when it is what was asked for. */
typedef int bus_judge_fn(const struct pat_msg *m);
int bus_request(struct pat_bus *b, const struct wire_text *t, int64_t timeout_ms,
                bus_judge_fn *judge, pat_reply_fn *fn, void *arg, pat_bus_id *id) PAT_MUST_CHECK;
/* arg goes with the request when it is canceled: drop(arg) runs instead of fn. */
void bus_request_own(struct pat_bus *b, pat_bus_id id, void (*drop)(void *arg));
/* The responder says every now and then that it is still at it (BUS_ALIVE); after quiet_ms without
 * a word it is gone, and the request ends with PAT_ETIMEDOUT before its deadline. */
void bus_request_watch(struct pat_bus *b, pat_bus_id id, int64_t quiet_ms);
#define BUS_ALIVE "Pat-Alive"
void bus_on_inbox(const struct pat_msg *m, void *bus);
void bus_requests_cancel(struct pat_bus *b);
int bus_judge_plain(const struct pat_msg *m);

/* rpc.c */
int bus_rpc_init(struct pat_bus *b) PAT_MUST_CHECK;
/* Nobody is told any more that we are at it. */
void bus_rpc_fini(struct pat_bus *b);

/* bus_js.c */
/* A reply of the JetStream API: {"error":{"err_code":..}} becomes a PAT_E*. */
int bus_judge_js(const struct pat_msg *m);
/* The number behind "seq": in a publish acknowledgement; 0: none. */
uint64_t bus_ack_seq(const struct pat_msg *m);
/* Judges the answer to a message for a stream: no answer means that no stream takes it. */
int bus_judge_stored(const struct pat_msg *m);
void bus_assets_ensure(struct pat_bus *b);
/* Somebody has deleted a stream under us: they are made again, at most every 5 s. */
void bus_assets_missing(struct pat_bus *b);
void bus_assets_free(struct pat_bus *b);

/* bus_consumer.c */
void bus_consumers_up(struct pat_bus *b, bool up);
void bus_consumers_free(struct pat_bus *b);
/* What a message's reply subject says of it. False: it is none of a consumer. */
struct bus_delivery {
    const char *stream, *consumer;
    size_t stream_len, consumer_len;
    uint64_t deliveries, seq, consumer_seq, pending;
};
bool bus_delivery_parse(const char *reply, struct bus_delivery *out);

/* bus_watch.c */
void bus_watches_up(struct pat_bus *b, bool up);
void bus_watches_free(struct pat_bus *b);

#endif
