/* agent_int.h - the inside of agent*.c, and of nobody else. */
#ifndef PROVIDER_AGENT_INT_H
#define PROVIDER_AGENT_INT_H

#include "agent.h"
#include "api.h"
#include "build.h"

#define AGENT_VENDOR_ID 128

/* patchbay.retell_agents, as it is stored. */
struct agent_row {
    char user_id[PAT_ID_LEN + 1];
    char agent_id[AGENT_VENDOR_ID + 1], llm_id[AGENT_VENDOR_ID + 1]; /* "": none */
    int64_t version, draft;                                          /* -1: none */
    struct pat_json *pushed, *drafted; /* {"agent","llm"}; NULL: not known */
    int64_t attempts;
    int64_t config_version;
    bool retiring;
};

struct agent_job {
    struct provider *p;
    char config_id[PAT_ID_LEN + 1];
    enum agent_wish wish;
    struct agent_row row;
    bool claimed;
    struct pat_timer hold; /* the claim, while the job lasts */
    pat_db_id holding;
    struct pat_json *settings; /* NULL: the agent's config is gone */
    struct built want;
    struct pat_json *want_all; /* {"agent","llm"} of it */
    int steps;
    bool looked;       /* for what was made and not noted */
    int voices_missed; /* presets that turned out to be gone */
    pat_db_id query;
    api_id request;
    void (*then)(struct agent_job *j); /* after a save */
    void (*answered)(struct agent_job *j, const struct api_answer *a);
    struct pat_task begin;
    int failed; /* told once the row says so */
    char why[200];
    agent_fn *done;
    void *arg;
};

/* agent.c */
void agent_claim(struct agent_job *j);
/* Writes the fields (taken) into the row, then goes on with then. */
void agent_save(struct agent_job *j, struct pat_json *fields_take,
                void (*then)(struct agent_job *j));
/* Ends the job: noted, tried again later, told. */
void agent_fail(struct agent_job *j, int err, const char *message);
void agent_finish(struct agent_job *j, const struct agent_result *result);
void agent_tell(struct agent_job *j, const char *state, const char *error,
                struct pat_json *drift_take);
struct pat_json *agent_fields(const struct agent_job *j);

/* One request; answered runs when it is. */
#define AGENT_PATH_MAX 400
void agent_ask(struct agent_job *j, const char *method, const char *path,
               struct pat_json *body_take,
               void (*answered)(struct agent_job *j, const struct api_answer *a));
/* agent_fail with what Retell said. */
void agent_refused(struct agent_job *j, const struct api_answer *a);
/* *to becomes a copy of from, or NULL. */
void agent_set(struct pat_json **to, const struct pat_json *from);

/* agent_steps.c: the next step towards what is wanted; the last one, which notes these fields
 * (taken) with the rest and gives the row back. */
void agent_step(struct agent_job *j);
void agent_settle(struct agent_job *j, struct pat_json *fields);
void agent_ready(struct agent_job *j);

/* agent_mend.c: somebody deleted it there ("agent", "llm", "version"); a 404 that may be the
 * agent's or its voice's; what an earlier try made and could not note; an agent whose content is
 * not known; is it as published? */
void agent_lost(struct agent_job *j, const char *what);
void agent_missed(struct agent_job *j, const struct api_answer *a);
void agent_look(struct agent_job *j);
void agent_read(struct agent_job *j);
void agent_check(struct agent_job *j);

/* agent_retire.c */
void agent_retire(struct agent_job *j);

#endif
