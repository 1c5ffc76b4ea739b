/* agent_int.h - the inside of the process's agent, shared by agent*.c and nobody else.
 *
 *   agent.c          up, down, drain
 *   agent_jobs.c     LiveKit's offers and jobs; the table of calls
 *   agent_prepare.c  what is made ready before a job comes; RPC
 *   agent_lookup.c   the context of a call nobody here has prepared
 *   agent_question.c what we have asked and must not forget
 *   agent_left.c     what the agents before have left of a call; the end of one nobody takes
 *   agent_lease.c    heartbeat; who serves which call; whether ours are still ours
 *   agent_takeover.c calls of others become ours, ours become others'
 *   agent_reap.c     rooms, legs and callers left behind
 */
#ifndef CALL_AGENT_INT_H
#define CALL_AGENT_INT_H

#include "agent.h"
#include "call.h"
#include "lease.h"
#include "load.h"

#define AGENT_BUCKET "pat_calls" /* CALL_BUCKET of a call */

struct served {
    struct served *next;
    struct call *call;
    uint64_t revision; /* of its mark, as we last wrote or saw it */
    bool confirmed;    /* the mark names us, as far as we know */
    bool asking;       /* a renewal is on its way */
    bool again;        /* and one more is wanted after it */
    bool handing;      /* it is given up to another agent, who has not come yet */
    int64_t asked_us;  /* the last renewal */
    int64_t renewed_ms, stored_ms, handed_ms;
    int64_t stalled_us; /* since when we do not know whether it is ours; 0: we do */
    int64_t ghost_ms;   /* since when we are in the room and wait for the one before us to go */
    int ghost;          /* its epoch; 0: none */
    bool handing_in;    /* it is alive, and leaves when it sees us */
    bool release;       /* at the end: anybody's, the call goes on */
    int deaths;         /* of its agents, in a row */
    int64_t began_ms;   /* here */
};

struct prepared {
    struct prepared *next;
    struct agent *agent;
    char call_id[PAT_ID_LEN + 1];
    char room[64];
    struct context *ctx;
    struct mouth *mouth;         /* NULL: it could not be opened; the call tries again */
    struct pat_rpc_req *request; /* to be answered when the room is there */
    struct pat_timer expiry;
    int64_t at_us;
};

/* Who has it. Postgres and NATS answer at the latest when they close, LiveKit may never. */
enum question_of { OF_NATS, OF_POSTGRES, OF_LIVEKIT };

struct agent;

/* saved: yours; NULL: there is none, or it could not be had. */
typedef void agent_left_fn(struct agent *a, const char *call_id, int epoch,
                           struct pat_json *saved_take);

struct question {
    struct question *next, *prev;
    struct agent *agent; /* NULL: it is gone, nobody wants the answer */
    enum question_of of;
    char call_id[PAT_ID_LEN + 1];
    struct context_headers headers;
    struct pat_timer again;
    int tries;
    int64_t at_us;
    int epoch;           /* agent_left.c */
    agent_left_fn *left; /* likewise */
};

/* Epochs of the jobs we have accepted and were not given yet. */
#define AGENT_OFFERS 64

struct offer {
    char job[64];
    int epoch;
};

struct taking;

/* Calls whose callers have left lately. A job that comes late for one of them (two dispatches, the
 * second offered when the first was done) would sit in an empty room. */
#define AGENT_OVER    32
#define AGENT_OVER_MS 30000

struct over {
    char call_id[PAT_ID_LEN + 1];
    int64_t at_ms;
};

struct agent {
    struct pat_daemon *d;
    struct pat_id id; /* of this process, until it ends */
    struct env env;
    struct served *calls;
    int n_calls;
    struct over over[AGENT_OVER]; /* a ring */
    size_t over_next;
    struct prepared *prepared;
    int n_prepared;
    struct question *questions;
    struct offer offers[AGENT_OFFERS]; /* a ring */
    size_t offers_next;

    struct leases leases;
    struct pat_kv_watch *watch_calls, *watch_agents;
    bool calls_current, agents_current;
    struct pat_timer beat;
    int64_t beat_sent_ms, beat_stored_us;
    struct taking *takings;
    struct reaper *reaper; /* NULL: switched off */
    struct load load;
    int64_t late_before; /* late packets of calls that are over */
    bool was_sound;
    int64_t hand_by_ms; /* draining: calls that are in the middle of something wait until then */
    struct pat_sub *prepare_sub, *verify_sub, *state_sub;
    bool draining, worker_up, closing;
    struct pat_timer drain_timer;
    pat_loop_fn *drained;
    void *drained_arg;
};

/* agent.c */
void agent_drain_step(struct agent *a); /* a call has ended */

/* agent_jobs.c */
extern const struct worker_events agent_worker_events;
struct call *agent_find(const struct agent *a, const char *call_id_text);
struct served *agent_served(const struct agent *a, const char *call_id_text);
/* Prepared here, or with ctx_take (may be NULL: it is looked up). *out may be NULL. */
int agent_serve(struct agent *a, const struct call_start *s, struct context *ctx_take,
                struct served **out);
void agent_drop_calls(struct agent *a);
void agent_identity(char out[129], const char *call_id_text, int epoch);

/* agent_prepare.c */
/* agent_state.c */
int agent_serve_state(struct agent *a) PAT_MUST_CHECK;
int agent_serve_rpc(struct agent *a);
void agent_stop_rpc(struct agent *a);
/* Takes it out of the table; yours to empty and free. NULL: not prepared here. */
struct prepared *agent_take_prepared(struct agent *a, const char *call_id_text);
void prepared_free(struct prepared *p);
void agent_drop_prepared(struct agent *a);
/* Its context, for whoever gets the job or takes the call over. */
void agent_store_context(struct agent *a, const char *call_id_text, const char *params);

/* agent_lease.c */
int agent_lease_start(struct agent *a) PAT_MUST_CHECK;
void agent_lease_stop(struct agent *a);
/* Which epoch a job for this call would be. PAT_EEXIST: somebody serves it. */
int agent_lease_epoch(const struct agent *a, const char *call_id_text, int *epoch);
/* A mark of this call, by compare-and-set. */
int agent_put_mark(struct agent *a, const char *call_id_text, const struct lease_mark *m,
                   uint64_t expected, pat_kv_fn *fn, void *arg);
struct lease_mark agent_own_mark(const struct agent *a, const struct served *s);
/* Our mark again: asks whether the call is ours. */
void agent_renew(struct agent *a, struct served *s);
/* The room has put a call of ours out, or could not be reached: finds out what that means, then
 * ends it. */
void agent_ask_put_out(struct agent *a, struct call *c, enum call_lost why);
/* The call has ended here. */
void agent_lease_over(struct agent *a, const struct served *s);
/* Prepared, and waiting for its job. */
void agent_mark_prepared(struct agent *a, const struct prepared *p);

/* How many calls there is room for. */
int agent_room(const struct agent *a);

/* agent_left.c */
/* The checkpoint of this epoch's agent, or of the last before it that had written one. Once, on the
 * loop, later; never when the agent is gone. */
int agent_left_find(struct agent *a, const char *call_id_text, int epoch,
                    agent_left_fn *fn) PAT_MUST_CHECK;
/* Nobody goes on with this call: what it has used is told, and its end marked, soon. */
void agent_left_end(struct agent *a, const char *call_id_text);

/* agent_takeover.c */
void agent_take(struct agent *a, const struct lease_call *lc);
void agent_takings_drop(struct agent *a);
void agent_hand_over(struct agent *a, int64_t now_ms);
void agent_meet_ghost(struct agent *a, struct call *c, int epoch);
void agent_ghosts_step(struct agent *a, int64_t now_ms);

/* agent_reap.c */
int agent_reap_start(struct agent *a) PAT_MUST_CHECK;
void agent_reap_stop(struct agent *a);

/* agent_question.c */
struct question *question_new(struct agent *a, const char *call_id_text, enum question_of of);
void question_free(struct question *q);
void agent_drop_questions(struct agent *a); /* after roomapi_free */

/* agent_lookup.c */
void agent_look_up(struct agent *a, const char *call_id_text);
void agent_look_up_headers(struct agent *a, struct call *c, const struct context_headers *h);

#endif
