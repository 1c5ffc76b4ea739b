/* agent.h - one agent at Retell: made, kept like its settings, checked, taken away.
 *
 * A job claims the agent's row (patchbay.claim_retell_agent), takes one step after the other, each
 * noted before the next, and gives the row back. Killed anywhere, it is taken up by whoever claims
 * next: what was made and not noted is found again by its mark. What calls use is only ever a
 * published version, pinned by its number (docs.retellai.com, "Agent versions"), so nothing here
 * touches a call. Thread: the loop's.
 */
#ifndef PROVIDER_AGENT_H
#define PROVIDER_AGENT_H

#include "provider.h"

enum agent_wish {
    AGENT_SYNC,  /* as the settings are; one that nobody asked for is not made */
    AGENT_WANT,  /* the same, made if there is none */
    AGENT_CHECK, /* did somebody else change it? then as PAT_RETELL_DRIFT says */
    AGENT_RETIRE /* deleted at Retell */
};

struct agent_result {
    int err; /* PAT_EAGAIN: another replica is at it; PAT_ENOENT: no such agent config or row */
    const char *message; /* for people; NULL when fine */
    const char *user_id, *agent_id, *llm_id;
    int64_t version;
    const struct pat_json *notes; /* build.h */
};
typedef void agent_fn(const struct agent_result *r, void *arg);

struct agent_job;
/* done runs exactly once, never before this returns, unless the job is dropped. */
int agent_start(struct agent_job **out, struct provider *p, const char *config_id,
                enum agent_wish wish, agent_fn *done, void *arg) PAT_MUST_CHECK;
/* Gives the row back as it is. */
void agent_drop(struct agent_job *j);

#endif
