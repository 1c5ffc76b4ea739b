/* worker.c - the agent worker's socket.
 * How: a table of slots, one per job we may hold. An offer reserves a slot and is answered in the
 * same turn; load is slots in use, so that two offers never count on the same one. The socket comes
 * back for ever; running jobs do not depend on it. */
#include "worker.h"

#include "livekit.pb-c.h"
#include "pb.h"
#include "token.h"
#include "url.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN_S      600
#define CONNECT_MS   5000
#define RETRY_MS     250
#define RETRY_MAX_MS 5000
#define PING_MS      10000
#define STATUS_MS    2500
#define TICK_MS      500
#define ASSIGN_MS    7500 /* what LiveKit's own workers wait for an assignment */
#define FULL_LOAD    0.7f /* the server's agents.target_load: from here on no job comes */

enum slot_state { SLOT_FREE, SLOT_RESERVED, SLOT_RUNNING };

struct slot {
    enum slot_state state;
    char id[64];
    char room[256];
    int64_t reserved_at_ms;
};

struct worker {
    struct pat_loop *loop;
    struct pat_net *net;
    struct worker_events ev;
    void *arg;
    char *url;
    char *key;
    char *secret;
    char *agent_name;
    struct slot *slots;
    int n_slots;
    struct pat_ws *ws;
    bool registered;
    bool draining;
    double load; /* as measured */
    bool full;
    struct pat_retry retry;
    struct pat_timer again; /* until the next attempt to connect */
    struct pat_timer tick;
    int64_t status_at_ms;
    struct pat_task ending;
    pat_loop_fn *closed;
    void *closed_arg;
};

static void dial(struct worker *w);

static struct slot *find(struct worker *w, const char *id)
{
    for (int i = 0; i < w->n_slots; i++)
        if (w->slots[i].state != SLOT_FREE && strcmp(w->slots[i].id, id) == 0)
            return &w->slots[i];
    return NULL;
}

static struct slot *find_free(struct worker *w)
{
    for (int i = 0; i < w->n_slots; i++)
        if (w->slots[i].state == SLOT_FREE)
            return &w->slots[i];
    return NULL;
}

static int used(const struct worker *w)
{
    int n = 0;

    for (int i = 0; i < w->n_slots; i++)
        n += w->slots[i].state != SLOT_FREE;
    return n;
}

static void send_message(struct worker *w, const Livekit__WorkerMessage *m)
{
    int err = w->ws ? pb_send(w->ws, &m->base) : PAT_ECONN;

    if (err)
        pat_log(PAT_INFO, "worker.unsent", PAT_ERR(err), PAT_I("message", m->message_case));
}

static void send_status(struct worker *w)
{
    Livekit__UpdateWorkerStatus status = LIVEKIT__UPDATE_WORKER_STATUS__INIT;
    Livekit__WorkerMessage m = LIVEKIT__WORKER_MESSAGE__INIT;
    int n = used(w);

    if (!w->registered)
        return;
    w->status_at_ms = pat_loop_now_ms(w->loop);
    status._status_case = LIVEKIT__UPDATE_WORKER_STATUS___STATUS_STATUS;
    status.status = w->draining || w->full || n == w->n_slots
                        ? LIVEKIT__WORKER_STATUS__WS_FULL
                        : LIVEKIT__WORKER_STATUS__WS_AVAILABLE;
    status.load = (float)n / (float)w->n_slots;
    if (status.load < (float)w->load)
        status.load = (float)w->load;
    status.load *= FULL_LOAD;
    status.job_count = (uint32_t)n;
    m.message_case = LIVEKIT__WORKER_MESSAGE__MESSAGE_UPDATE_WORKER;
    m.update_worker = &status;
    send_message(w, &m);
}

static void send_job_status(struct worker *w, const char *id, Livekit__JobStatus status,
                            const char *error)
{
    Livekit__UpdateJobStatus update = LIVEKIT__UPDATE_JOB_STATUS__INIT;
    Livekit__WorkerMessage m = LIVEKIT__WORKER_MESSAGE__INIT;

    update.job_id = (char *)(uintptr_t)id;
    update.status = status;
    update.error = (char *)(uintptr_t)(error ? error : "");
    m.message_case = LIVEKIT__WORKER_MESSAGE__MESSAGE_UPDATE_JOB;
    m.update_job = &update;
    send_message(w, &m);
}

static void send_register(struct worker *w)
{
    Livekit__ParticipantPermission all = LIVEKIT__PARTICIPANT_PERMISSION__INIT;
    Livekit__RegisterWorkerRequest request = LIVEKIT__REGISTER_WORKER_REQUEST__INIT;
    Livekit__WorkerMessage m = LIVEKIT__WORKER_MESSAGE__INIT;

    all.can_subscribe = all.can_publish = all.can_publish_data = all.can_update_metadata = true;
    request.type = LIVEKIT__JOB_TYPE__JT_ROOM;
    request.version = "1.0.0";
    request.agent_name = w->agent_name;
    request.allowed_permissions = &all;
    m.message_case = LIVEKIT__WORKER_MESSAGE__MESSAGE_REGISTER;
    m.register_ = &request;
    send_message(w, &m);
}

/* After a reconnect: the jobs we still serve. */
static void send_migrate(struct worker *w)
{
    Livekit__MigrateJobRequest migrate = LIVEKIT__MIGRATE_JOB_REQUEST__INIT;
    Livekit__WorkerMessage m = LIVEKIT__WORKER_MESSAGE__INIT;
    char **ids = calloc((size_t)w->n_slots, sizeof *ids);

    if (!ids)
        return;
    for (int i = 0; i < w->n_slots; i++)
        if (w->slots[i].state == SLOT_RUNNING)
            ids[migrate.n_job_ids++] = w->slots[i].id;
    migrate.job_ids = ids;
    m.message_case = LIVEKIT__WORKER_MESSAGE__MESSAGE_MIGRATE_JOB;
    m.migrate_job = &migrate;
    if (migrate.n_job_ids)
        send_message(w, &m);
    free(ids);
}

static void answer(struct worker *w, const char *job_id, const char *identity)
{
    Livekit__AvailabilityResponse response = LIVEKIT__AVAILABILITY_RESPONSE__INIT;
    Livekit__WorkerMessage m = LIVEKIT__WORKER_MESSAGE__INIT;

    response.job_id = (char *)(uintptr_t)job_id;
    response.available = identity != NULL;
    response.participant_identity = (char *)(uintptr_t)(identity ? identity : "");
    response.participant_name = w->agent_name;
    m.message_case = LIVEKIT__WORKER_MESSAGE__MESSAGE_AVAILABILITY;
    m.availability = &response;
    send_message(w, &m);
}

static void on_availability(struct worker *w, const Livekit__AvailabilityRequest *a)
{
    char identity[129] = "";
    const Livekit__Job *job = a->job;
    const char *room = job && job->room ? pb_str(job->room->name) : "";
    struct slot *slot = job ? find(w, pb_str(job->id)) : NULL;

    if (!job)
        return;
    if (!slot)
        slot = find_free(w);
    if (w->draining || !slot || !pat_strcpy(slot->id, sizeof slot->id, pb_str(job->id)) ||
        !pat_strcpy(slot->room, sizeof slot->room, room) ||
        w->ev.offered(slot->id, room, pb_str(job->metadata), identity, w->arg)) {
        answer(w, pb_str(job->id), NULL);
        return;
    }
    slot->state = SLOT_RESERVED;
    slot->reserved_at_ms = pat_loop_now_ms(w->loop);
    answer(w, slot->id, identity);
    send_status(w);
}

static void on_assignment(struct worker *w, const Livekit__JobAssignment *a)
{
    struct slot *slot = a->job ? find(w, pb_str(a->job->id)) : NULL;

    if (!slot) {
        if (a->job) /* we have given it up, and the call may be elsewhere by now */
            send_job_status(w, pb_str(a->job->id), LIVEKIT__JOB_STATUS__JS_FAILED,
                            "assigned too late");
        return;
    }
    const struct worker_job job = { .id = slot->id,
                                    .room = slot->room,
                                    .metadata = pb_str(a->job->metadata),
                                    .url = *pb_str(a->url) ? a->url : w->url,
                                    .token = pb_str(a->token) };
    slot->state = SLOT_RUNNING;
    send_job_status(w, slot->id, LIVEKIT__JOB_STATUS__JS_RUNNING, NULL);
    w->ev.assigned(&job, w->arg);
}

static void give_up(struct worker *w, struct slot *slot)
{
    struct slot was = *slot;

    slot->state = SLOT_FREE;
    send_status(w);
    w->ev.terminated(was.id, was.room, w->arg);
}

static void on_register(struct worker *w, const Livekit__RegisterWorkerResponse *r)
{
    pat_log(PAT_INFO, "worker.registered", PAT_S("worker", r->worker_id),
            PAT_S("server", r->server_info ? r->server_info->version : NULL),
            PAT_S("agent", w->agent_name));
    w->registered = true;
    pat_retry_reset(&w->retry);
    send_migrate(w);
    send_status(w);
    w->ev.registered(true, w->arg);
}

static void on_server_message(struct worker *w, const Livekit__ServerMessage *m)
{
    struct slot *slot;

    switch (m->message_case) {
    case LIVEKIT__SERVER_MESSAGE__MESSAGE_REGISTER:
        on_register(w, m->register_);
        return;
    case LIVEKIT__SERVER_MESSAGE__MESSAGE_AVAILABILITY:
        on_availability(w, m->availability);
        return;
    case LIVEKIT__SERVER_MESSAGE__MESSAGE_ASSIGNMENT:
        on_assignment(w, m->assignment);
        return;
    case LIVEKIT__SERVER_MESSAGE__MESSAGE_TERMINATION:
        slot = find(w, pb_str(m->termination->job_id));
        if (slot)
            give_up(w, slot);
        return;
    default:
        return;
    }
}

static void on_open(struct pat_ws *ws, void *arg)
{
    (void)ws;
    send_register(arg);
}

static void on_message(struct pat_ws *ws, const char *data, size_t len, bool text, void *arg)
{
    struct worker *w = arg;

    (void)ws;
    if (text || w->closed)
        return;
    Livekit__ServerMessage *m = livekit__server_message__unpack(NULL, len, (const uint8_t *)data);
    if (!m) {
        pat_log(PAT_WARN, "worker.undecodable", PAT_I("len", len));
        return;
    }
    on_server_message(w, m);
    livekit__server_message__free_unpacked(m, NULL);
}

static void destroy(void *arg)
{
    struct worker *w = arg;
    pat_loop_fn *closed = w->closed;
    void *closed_arg = w->closed_arg;

    pat_ws_abort(w->ws);
    pat_timer_fini(&w->again);
    pat_timer_fini(&w->tick);
    free(w->slots);
    free(w->url);
    free(w->key);
    free(w->secret);
    free(w->agent_name);
    free(w);
    if (closed)
        closed(closed_arg);
}

static void on_closed(struct pat_ws *ws, int err, int status, int code, const char *reason,
                      void *arg)
{
    struct worker *w = arg;
    bool was = w->registered;

    (void)ws;
    w->ws = NULL;
    w->registered = false;
    if (w->closed) {
        pat_loop_next_turn(w->loop, &w->ending, destroy, w);
        return;
    }
    int64_t pause_ms = pat_retry_next_ms(&w->retry, pat_random32());
    pat_log(PAT_WARN, "worker.lost", PAT_ERR(err), PAT_I("status", status), PAT_I("code", code),
            PAT_S("reason", reason), PAT_I("retry_ms", pause_ms));
    pat_timer_start(&w->again, pause_ms);
    if (was)
        w->ev.registered(false, w->arg);
}

static int connect_socket(struct worker *w)
{
    static const struct pat_ws_events events = { on_open, on_message, on_closed };
    struct pat_json *grant = pat_json_obj();
    const char *headers[2] = { NULL, NULL };
    struct pat_buf url;

    pat_json_set_bool(grant, "agent", true);
    char *header = token_header_take(token_sign(w->key, w->secret, NULL, NULL, TOKEN_S, grant));
    pat_buf_init(&url, 8192);
    int err = header ? url_ws(&url, w->url, "/agent?protocol=1") : PAT_ENOMEM;
    if (!err) {
        const struct pat_ws_opts opts = { .url = url.data,
                                          .headers = headers,
                                          .connect_timeout_ms = CONNECT_MS,
                                          .ping_ms = PING_MS,
                                          .max_message = 2 * 1024 * 1024 };
        headers[0] = header;
        err = pat_ws_connect(&w->ws, w->net, &opts, &events, w);
    }
    pat_buf_fini(&url);
    free(header);
    return err;
}

static void dial(struct worker *w)
{
    int err = connect_socket(w);

    if (!err)
        return;
    w->ws = NULL;
    pat_log(PAT_WARN, "worker.connect_failed", PAT_ERR(err));
    pat_timer_start(&w->again, pat_retry_next_ms(&w->retry, pat_random32()));
}

static void on_again(void *arg)
{
    dial(arg);
}

static void on_tick(void *arg)
{
    struct worker *w = arg;
    int64_t now_ms = pat_loop_now_ms(w->loop);

    pat_timer_start_rough(&w->tick, TICK_MS);
    for (int i = 0; i < w->n_slots; i++) {
        struct slot *s = &w->slots[i];

        if (s->state == SLOT_RESERVED && now_ms - s->reserved_at_ms >= ASSIGN_MS)
            give_up(w, s);
    }
    if (now_ms - w->status_at_ms >= STATUS_MS)
        send_status(w);
}

static int fill(struct worker *w, const struct worker_opts *o)
{
    w->n_slots = o->max_jobs > 0 ? o->max_jobs : 1;
    w->slots = calloc((size_t)w->n_slots, sizeof *w->slots);
    w->url = strdup(o->url);
    w->key = strdup(o->api_key);
    w->secret = strdup(o->api_secret);
    w->agent_name = strdup(o->agent_name);
    if (!w->slots || !w->url || !w->key || !w->secret || !w->agent_name)
        return PAT_ENOMEM;
    int err = pat_timer_init(&w->again, w->loop, on_again, w);
    if (!err)
        err = pat_timer_init(&w->tick, w->loop, on_tick, w);
    return err;
}

int worker_new(struct worker **out, struct pat_loop *l, struct pat_net *net,
               const struct worker_opts *opts, const struct worker_events *ev, void *arg)
{
    struct worker *w = calloc(1, sizeof *w);

    if (!w)
        return PAT_ENOMEM;
    w->loop = l;
    w->net = net;
    w->ev = *ev;
    w->arg = arg;
    w->retry = PAT_RETRY(RETRY_MS, RETRY_MAX_MS);
    int err = fill(w, opts);
    if (err) {
        destroy(w);
        return err;
    }
    pat_timer_start_rough(&w->tick, TICK_MS);
    pat_timer_start(&w->again, 0);
    *out = w;
    return PAT_OK;
}

void worker_job_done(struct worker *w, const char *job_id, const char *error)
{
    struct slot *slot = find(w, job_id);

    if (!slot)
        return;
    send_job_status(
        w, job_id, error ? LIVEKIT__JOB_STATUS__JS_FAILED : LIVEKIT__JOB_STATUS__JS_SUCCESS, error);
    slot->state = SLOT_FREE;
    send_status(w);
}

void worker_load(struct worker *w, double load, bool full)
{
    bool tell = full != w->full;

    w->load = load;
    w->full = full;
    if (tell)
        send_status(w);
}

void worker_drain(struct worker *w)
{
    w->draining = true;
    send_status(w);
}

void worker_close(struct worker *w, pat_loop_fn *closed, void *arg)
{
    w->closed = closed;
    w->closed_arg = arg;
    pat_timer_stop(&w->again);
    pat_timer_stop(&w->tick);
    if (w->ws)
        pat_ws_close(w->ws, 1000, "");
    else
        pat_loop_next_turn(w->loop, &w->ending, destroy, w);
}
