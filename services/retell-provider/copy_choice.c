/* copy_choice.c - which of a call's recordings is kept, if any; see copy.h. Pure. */
#include "copy.h"

#include <string.h>

/* As livekit-agent's: the agent's own setting, else ours beside the stack's, else the user's. */
static bool wanted(const struct copy_choice *c, const struct pat_json *settings)
{
    if (c->refused || !strcmp(c->whose, "off"))
        return false;
    if (!strcmp(c->whose, "all"))
        return true;
    return pat_json_bool_or(settings, "extra.recording_enabled",
                            pat_json_bool_or(settings, "stack_config.retell.record", c->agreed));
}

const char *copy_choose(const struct copy_choice *c, const struct pat_json *settings,
                        const struct pat_json *urls, const char **why, bool *later)
{
    static const char *const names[2][2] = {
        { "recording_url", "recording_multi_channel_url" },
        { "scrubbed_recording_url", "scrubbed_recording_multi_channel_url" },
    };
    const char *pii = pat_json_str_or(settings, "extra.pii_storage", "enabled");
    bool scrubbed = !strcmp(pii, "redacted");
    const char *name = NULL;

    *why = NULL;
    *later = false;
    if (!wanted(c, settings) || !strcmp(pii, "disabled")) {
        *why = "not wanted";
        return NULL;
    }
    if (c->both_sides && pat_json_str_or(urls, names[scrubbed][1], NULL))
        name = names[scrubbed][1];
    else if (pat_json_str_or(urls, names[scrubbed][0], NULL))
        name = names[scrubbed][0];
    if (!name)
        *why = scrubbed ? "there is none without personal data" : "there is none";
    *later = !name;
    return name;
}
