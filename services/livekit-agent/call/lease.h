/* lease.h - who serves which call, who is alive, and which calls somebody should take. Pure.
 *
 * Two buckets are followed into these tables. `pat_agents` has a key per process, put again every
 * LEASE_BEAT_MS: one heartbeat for all of its calls. `pat_calls` has `<call id>.served`, which
 * points from a call to its process. A process that has not been heard for LEASE_MS has lost its
 * calls to whoever replaces the value first (compare-and-set); so have a process that gave one up
 * and a preparer whose call nobody has begun to serve.
 *
 * Time is measured by our own monotonic clock from when we heard of something: clocks need not
 * agree. The order among takers is weighted rendezvous hashing: each call has another first taker,
 * an agent with more room is it more often, and all agents come to the same order without talking.
 * Thread: any, one at a time. Times: ms.
 */
#ifndef CALL_LEASE_H
#define CALL_LEASE_H

#include "pat.h"

#define LEASE_BEAT_MS 400
/* The owner counts from when it sent a heartbeat that was stored, everybody else from when they
 * heard it: its own clock always runs out first. */
#define LEASE_MS       2000
#define LEASE_CLAIM_MS 1500 /* a prepared call waits so long for LiveKit's job */
/* After our own absence from NATS: the others come back at their own pace. */
#define LEASE_GRACE_MS 4000
#define LEASE_STEP_MS  300  /* between the first taker's try and the second's */
#define LEASE_AGAIN_MS 1000 /* a try that came to nothing */

#define LEASE_ROOM_MAX 128

/* The value of `<call id>.served`. */
struct lease_mark {
    char agent[PAT_ID_LEN + 1]; /* "" : given up, anybody's */
    char to[PAT_ID_LEN + 1];    /* given up in favour of this one; "" : nobody in particular */
    char room[LEASE_ROOM_MAX + 1];
    int epoch;       /* 0: prepared, not served yet */
    int deaths;      /* agents in a row that died soon after they had taken it */
    bool over;       /* the call has ended */
    int64_t over_ms; /* then; unix, 0: not said */
};
/* PAT_EPROTO: not ours. */
int lease_mark_parse(struct lease_mark *out, const char *data, size_t len) PAT_MUST_CHECK;
char *lease_mark_print(const struct lease_mark *m) PAT_MUST_CHECK;
/* "<call id>.served" -> the id. False: another key. */
bool lease_call_of_key(const char *key, char out[PAT_ID_LEN + 1]);

struct lease_call {
    struct lease_call *next;
    char id[PAT_ID_LEN + 1];
    struct lease_mark mark;
    uint64_t revision;
    int64_t seen_ms;
    int64_t tried_ms; /* 0: not yet */
};

/* The value of a process's key in `pat_agents`. */
struct lease_agent {
    struct lease_agent *next;
    char id[PAT_ID_LEN + 1];
    int free;      /* calls it could still take */
    bool draining; /* takes none */
    int64_t seen_ms;
};

/* A call we have tried to take, whose answer we may not have had. */
#define LEASE_TRIES 256

struct lease_try {
    char call_id[PAT_ID_LEN + 1];
    int epoch; /* we would be */
};

struct leases {
    struct lease_call *calls;
    struct lease_agent *agents;
    char self[PAT_ID_LEN + 1];
    /* Both listings are complete, and our own heartbeat has been stored, ever since. 0: no. */
    int64_t sound_ms;
    struct lease_try tries[LEASE_TRIES]; /* the latest last */
    size_t n_tries;
};

void leases_init(struct leases *l, const char *self);
void leases_fini(struct leases *l);

void leases_forget_calls(struct leases *l);
void leases_forget_agents(struct leases *l);
int leases_put_call(struct leases *l, const char *id, const struct lease_mark *m, uint64_t revision,
                    int64_t now) PAT_MUST_CHECK;
void leases_drop_call(struct leases *l, const char *id);
int leases_put_agent(struct leases *l, const char *id, int free, bool draining,
                     int64_t now) PAT_MUST_CHECK;
void leases_drop_agent(struct leases *l, const char *id);
/* Ended calls are forgotten after a while, and agents not heard for long. */
void leases_sweep(struct leases *l, int64_t now);

const struct lease_call *leases_find(const struct leases *l, const char *call_id);
/* Are we the one who does what one of the team does? Alive, and the first of those by id. While
 * agents do not agree there may be two, or none. */
bool leases_first(const struct leases *l, int64_t now);
bool leases_alive(const struct leases *l, const char *agent_id, int64_t now);
/* The best to hand call_id to: alive, not us, with room. NULL: nobody. */
const struct lease_agent *leases_heir(const struct leases *l, const char *call_id, int64_t now);
/* From when on it is ours to try; INT64_MAX: never. */
int64_t leases_due_ms(const struct leases *l, const struct lease_call *c, int64_t now);
/* The next call to try at this moment, marked as tried; NULL: none. A mark that names us, but comes
 * from a try whose answer was lost, is due again: nobody else would ever take that call. */
const struct lease_call *leases_next_due(struct leases *l, int64_t now);
/* We serve it now: the try is over, and the mark means what it says. */
void leases_begun(struct leases *l, const char *call_id);

#endif
