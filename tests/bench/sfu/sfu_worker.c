/* sfu_worker.c - one worker: every job is offered to it, every yes is an assignment. */
#include "pb.h"
#include "sfu_int.h"

#include <stdio.h>

static void fill_job(struct call *c, Livekit__Job *job, Livekit__Room *room, char id[32])
{
    (void)snprintf(id, 32, "call-%zu", c->index);
    livekit__room__init(room);
    room->sid = id;
    room->name = c->room;
    room->metadata = c->metadata;
    livekit__job__init(job);
    job->id = job->dispatch_id = id;
    job->room = room;
    job->metadata = c->metadata;
}

static void say(struct sfu *s, const Livekit__ServerMessage *m)
{
    if (s->worker && pb_send(s->worker, &m->base))
        (void)fprintf(stderr, "the worker's socket is full\n");
}

void sfu_offer_job(struct call *c)
{
    Livekit__AvailabilityRequest ask = LIVEKIT__AVAILABILITY_REQUEST__INIT;
    Livekit__ServerMessage m = LIVEKIT__SERVER_MESSAGE__INIT;
    Livekit__Job job;
    Livekit__Room room;
    char id[32];

    fill_job(c, &job, &room, id);
    ask.job = &job;
    m.message_case = LIVEKIT__SERVER_MESSAGE__MESSAGE_AVAILABILITY;
    m.availability = &ask;
    say(c->sfu, &m);
}

static void assign(struct call *c)
{
    Livekit__JobAssignment assignment = LIVEKIT__JOB_ASSIGNMENT__INIT;
    Livekit__ServerMessage m = LIVEKIT__SERVER_MESSAGE__INIT;
    Livekit__Job job;
    Livekit__Room room;
    char id[32];

    fill_job(c, &job, &room, id);
    assignment.job = &job;
    assignment.token = id;
    m.message_case = LIVEKIT__SERVER_MESSAGE__MESSAGE_ASSIGNMENT;
    m.assignment = &assignment;
    say(c->sfu, &m);
}

static void registered(struct sfu *s)
{
    Livekit__RegisterWorkerResponse response = LIVEKIT__REGISTER_WORKER_RESPONSE__INIT;
    Livekit__ServerMessage m = LIVEKIT__SERVER_MESSAGE__INIT;

    response.worker_id = "AW_bench";
    m.message_case = LIVEKIT__SERVER_MESSAGE__MESSAGE_REGISTER;
    m.register_ = &response;
    say(s, &m);
}

static void on_message(struct pat_ws *ws, const char *data, size_t len, bool text, void *arg)
{
    struct sfu *s = arg;
    Livekit__WorkerMessage *m = livekit__worker_message__unpack(NULL, len, (const uint8_t *)data);
    struct call *c;

    (void)ws;
    (void)text;
    if (!m)
        return;
    if (m->message_case == LIVEKIT__WORKER_MESSAGE__MESSAGE_REGISTER)
        registered(s);
    else if (m->message_case == LIVEKIT__WORKER_MESSAGE__MESSAGE_AVAILABILITY &&
             m->availability->available && (c = sfu_call(s, pb_str(m->availability->job_id))))
        assign(c);
    livekit__worker_message__free_unpacked(m, NULL);
}

static void on_closed(struct pat_ws *ws, int err, int status, int code, const char *reason,
                      void *arg)
{
    struct sfu *s = arg;

    (void)err;
    (void)status;
    (void)code;
    (void)reason;
    if (s->worker == ws)
        s->worker = NULL;
}

int sfu_on_worker(struct pat_httpd_req *r, struct pat_ws *ws, void *arg)
{
    static const struct pat_ws_events events = { .message = on_message, .closed = on_closed };
    struct sfu *s = arg;

    (void)r;
    s->worker = ws;
    pat_ws_set(ws, &events, s);
    return PAT_OK;
}
