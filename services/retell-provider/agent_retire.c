/* agent_retire.c - deletes an agent and its model at Retell, and says so. */
#include "agent_int.h"

#include <stdio.h>
#include <string.h>

static void retired(struct agent_job *j)
{
    agent_tell(j, "retired", NULL, NULL);
    agent_ready(j);
}

static void on_llm_deleted(struct agent_job *j, const struct api_answer *a)
{
    struct pat_json *fields;

    if (a->err && a->err != PAT_ENOENT) {
        agent_refused(j, a);
        return;
    }
    fields = agent_fields(j);
    pat_json_set_str(fields, "state", "retired");
    pat_json_set_str(fields, "reason", j->settings ? "retired" : "the agent is gone");
    pat_json_set_bool(fields, "release", true);
    agent_save(j, fields, retired);
}

static void delete_llm(struct agent_job *j)
{
    char path[AGENT_PATH_MAX];

    snprintf(path, sizeof path, "/delete-retell-llm/%s", j->row.llm_id);
    if (*j->row.llm_id)
        agent_ask(j, "DELETE", path, NULL, on_llm_deleted);
    else
        on_llm_deleted(j, &(struct api_answer){ .message = "" });
}

static void on_agent_deleted(struct agent_job *j, const struct api_answer *a)
{
    if (a->err && a->err != PAT_ENOENT)
        agent_refused(j, a);
    else
        delete_llm(j);
}

static void delete_agent(struct agent_job *j)
{
    char path[AGENT_PATH_MAX];

    snprintf(path, sizeof path, "/delete-agent/%s", j->row.agent_id);
    if (*j->row.agent_id)
        agent_ask(j, "DELETE", path, NULL, on_agent_deleted);
    else
        delete_llm(j);
}

void agent_retire(struct agent_job *j)
{
    struct pat_json *fields;

    if (!strcmp(pat_json_str_or(j->settings, "active_voice_stack", ""), "retell")) {
        agent_fail(j, PAT_EEXIST, "the agent serves its user's calls");
        return;
    }
    if (j->row.retiring) {
        delete_agent(j);
        return;
    }
    j->row.retiring = true;
    fields = agent_fields(j);
    pat_json_set_str(fields, "state", "retiring");
    agent_save(j, fields, delete_agent);
}
