/* agentcfg.c - see agentcfg.h. */
#include "agentcfg.h"

#include <string.h>

static double within(double v, double lo, double hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

double pat_agentcfg_num(const struct pat_json *settings, const char *agent, const char *voice,
                        double usual, double lo, double hi)
{
    double v = pat_json_num_or(settings, agent, usual);

    return within(v != usual ? v : pat_json_num_or(settings, voice, usual), lo, hi);
}

const char *pat_agentcfg_text(const struct pat_json *settings, const char *agent, const char *voice,
                              const char *usual)
{
    const char *v = pat_json_str_or(settings, agent, usual);

    return strcmp(v, usual) != 0 ? v : pat_json_str_or(settings, voice, usual);
}

int pat_agentcfg_greeting(const char *template, const char *name, struct pat_buf *out)
{
    const char *at;

    while ((at = strstr(template, "{name}")) != NULL) {
        pat_buf_add(out, template, (size_t)(at - template));
        pat_buf_adds(out, name);
        template = at + strlen("{name}");
    }
    return pat_buf_adds(out, template);
}

struct pat_ambient pat_agentcfg_ambient(const struct pat_json *settings)
{
    const char *sound = pat_agentcfg_text(settings, "ambient_sound", "voice.ambient_sound", "off");
    bool own = strcmp(pat_json_str_or(settings, "ambient_sound", "off"), "off") != 0;
    double volume = within(
        pat_json_num_or(settings, own ? "ambient_sound_volume" : "voice.ambient_sound_volume", 1),
        0, 2);

    return (struct pat_ambient){ strcmp(sound, "off") != 0 && volume > 0 ? sound : "", volume };
}
