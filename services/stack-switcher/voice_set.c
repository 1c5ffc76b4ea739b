/* voice_set.c - what may be set of a voice: see voices.h. ElevenLabs API reference, "Voice
 * settings": speed is 0.7 to 1.2 there, and so everywhere here. */
#include "voices.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name, *what;
    double min, max; /* both 0: true or false */
} known[] = {
    { "similarity_boost", "a number from 0 to 1", 0, 1 },
    { "speed", "a number from 0.7 to 1.2", 0.7, 1.2 },
    { "stability", "a number from 0 to 1", 0, 1 },
    { "style", "a number from 0 to 1", 0, 1 },
    { "use_speaker_boost", "true or false", 0, 0 },
};

static bool good(size_t i, const struct pat_json *value)
{
    double n;

    if (known[i].max <= 0)
        return pat_json_kind(value) == PAT_JSON_BOOL;
    n = pat_json_kind(value) == PAT_JSON_NUM ? pat_json_value_num(value) : NAN;
    return n >= known[i].min && n <= known[i].max;
}

int voice_set_check(const struct pat_json *set, const char **field, const char **what)
{
    *field = "settings";
    *what = "an object of settings";
    if (pat_json_kind(set) != PAT_JSON_OBJ)
        return PAT_EINVAL;
    PAT_JSON_EACH(member, set)
    {
        size_t i = 0;

        while (i < sizeof known / sizeof known[0] &&
               strcmp(known[i].name, pat_json_key(member)) != 0)
            i++;
        *field = pat_json_key(member);
        *what = i < sizeof known / sizeof known[0] ? known[i].what : "no such setting";
        if (i == sizeof known / sizeof known[0] || !good(i, member))
            return PAT_EINVAL;
    }
    return PAT_OK;
}
