/* agent_int.h - the inside of the process's agent, shared by agent*.c and nobody else.
 *
 *   agent.c          up, down, drain
 *   agent_jobs.c     LiveKit's offers and jobs; the table of calls
 *   agent_prepare.c  what is made ready before a job comes; RPC
 *   agent_lookup.c   the context of a call nobody here has prepared
 *   agent_question.c what we have asked and must not forget
 */
#ifndef CALL_AGENT_INT_H
#define CALL_AGENT_INT_H

#include "agent.h"
#include "call.h"

#define AGENT_BUCKET "pat_calls"

struct served {
    struct served *next;
    struct call *call;
};

struct prepared {
    struct prepared *next;
    struct agent *agent;
    char call_id[PAT_ID_LEN + 1];
    char room[64];
    struct context *ctx;
    struct mouth *mouth;         /* NULL: it could not be opened; the call tries again */
    struct pat_rpc_req *request; /* to be answered when the room is there */
    struct pat_timer claim, expiry;
    int64_t at_us;
};

/* Who has it. Postgres and NATS answer at the latest when they close, LiveKit may never. */
enum question_of { OF_NATS, OF_POSTGRES, OF_LIVEKIT };

struct question {
    struct question *next, *prev;
    struct agent *agent; /* NULL: it is gone, nobody wants the answer */
    enum question_of of;
    char call_id[PAT_ID_LEN + 1];
    struct context_headers headers;
    struct pat_timer again;
    int tries;
};

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
    struct pat_sub *prepare_sub, *verify_sub;
    struct mouth *canned_mouth; /* speaks the phrases kept for the worst case */
    int canned_next;
    struct pat_timer canned_timer; /* tries again what could not be made */
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
int agent_serve(struct agent *a, const struct call_start *s);
void agent_drop_calls(struct agent *a);

/* agent_prepare.c */
int agent_serve_rpc(struct agent *a);
void agent_stop_rpc(struct agent *a);
/* Takes it out of the table; yours to empty and free. NULL: not prepared here. */
struct prepared *agent_take_prepared(struct agent *a, const char *call_id_text);
void prepared_free(struct prepared *p);
void agent_drop_prepared(struct agent *a);
/* "serving" mark of a call, so that others do not claim it. */
void agent_mark_served(struct agent *a, const struct call_start *s);

/* agent_question.c */
struct question *question_new(struct agent *a, const char *call_id_text, enum question_of of);
void question_free(struct question *q);
void agent_drop_questions(struct agent *a); /* after roomapi_free */

/* agent_lookup.c */
void agent_look_up(struct agent *a, const char *call_id_text);
void agent_look_up_headers(struct agent *a, struct call *c, const struct context_headers *h);

#endif
