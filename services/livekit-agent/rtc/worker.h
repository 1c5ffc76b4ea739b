/* worker.h - our registration as a LiveKit agent worker: jobs come in here.
 *
 * Keeps one worker socket per process registered for ever (reconnects with back-off, tells the
 * server about running jobs). The answer to an availability request leaves in the same turn of the
 * loop (the server forgets a job after 2.8 s). Load is counted in slots: reported at once when one
 * is taken. Thread: the loop's.
 */
#ifndef RTC_WORKER_H
#define RTC_WORKER_H

#include "pat.h"

struct worker;

/* Borrowed until the callback returns. */
struct worker_job {
    const char *id;
    const char *room;     /* name */
    const char *metadata; /* of the dispatch */
    const char *url;      /* where to join */
    const char *token;
};

struct worker_events {
    /* A dispatch is offered. PAT_OK takes it, with identity (<= 128 bytes, ours: must be unique in
     * the room); PAT_EAGAIN: another worker is asked. */
    int (*offered)(const char *job_id, const char *room, const char *metadata, char identity[129],
                   void *arg);
    void (*assigned)(const struct worker_job *job, void *arg);
    /* Taken, but never assigned (7.5 s), or the server ended the job: stop talking and leave. */
    void (*terminated)(const char *job_id, const char *room, void *arg);
    void (*registered)(bool up, void *arg);
};

struct worker_opts {
    const char *url; /* LiveKit's */
    const char *api_key;
    const char *api_secret;
    const char *agent_name;
    int max_jobs;
};

int worker_new(struct worker **out, struct pat_loop *l, struct pat_net *net,
               const struct worker_opts *opts, const struct worker_events *ev,
               void *arg) PAT_MUST_CHECK;
/* The call of this job is over: JS_SUCCESS, or JS_FAILED with error. Call it before leaving the
 * room. */
void worker_job_done(struct worker *w, const char *job_id, const char *error);
/* What is measured: 0 idle, 1 full. Never less than what the slots say. full: no job more. */
void worker_load(struct worker *w, double load, bool full);
/* Refuse new jobs from now on (WS_FULL). */
void worker_drain(struct worker *w);
void worker_close(struct worker *w, pat_loop_fn *closed, void *arg);

#endif
