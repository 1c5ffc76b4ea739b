/* build.h - what an agent at Retell should be, made of a user's stored settings.
 *
 * Every field is always there, with null or the vendor's default where the user has set nothing:
 * what somebody changes at Retell by hand is set back, and a removed setting is removed there too.
 * Ranges and closed lists are the vendor's (docs.retellai.com, create-agent, create-retell-llm).
 * Pure. Thread: any.
 */
#ifndef PROVIDER_BUILD_H
#define PROVIDER_BUILD_H

#include "pat.h"

struct build_conf {
    const char *tools_url;   /* "https://host/v1/retell/tools"; "": no tools of ours */
    const char *webhook_url; /* "": the account's */
    const char *model;       /* for models Retell does not have */
    const char *countries;   /* prefixes that may be called, as PAT_ALLOWED_PREFIXES */
    const char *time_zone;   /* where the settings name none */
    int64_t max_call_ms, silence_ms;
    bool live_text;
};

struct built {
    struct pat_json *agent; /* of create-agent, without response_engine */
    struct pat_json *llm;   /* of create-retell-llm */
    /* How each setting maps: [{"field","grade","note"}], grade exact, near, lossy, or parked: kept
     * for the other stack, no effect here. note null where there is nothing to say. */
    struct pat_json *notes;
};

/* settings: a row of patchbay.agent_settings with user_tools; voice: of patchbay.retell_voice.
 * PAT_EINVAL: they are none. */
int build_agent(struct built *out, const struct pat_json *settings, const struct pat_json *voice,
                const struct build_conf *conf) PAT_MUST_CHECK;
void built_fini(struct built *b);

/* The name our agents have there, by which one that was made and not noted is found again. */
#define BUILD_MARK "patchbay "

#endif
