/* settings.c - reads settings.h's fields out of the row. */
#include "settings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VETTING_MAX = 8 * 1024, UNSUPPORTED_MAX = 2 * 1024 };

static char *vetting_of(const struct pat_json *s)
{
    struct pat_buf b;

    pat_buf_init(&b, VETTING_MAX);
    pat_instructions_vetting(s, &b);
    return pat_buf_take(&b);
}

/* ---- what has no effect ---- */

static void add_line(struct pat_buf *b, const char *name)
{
    pat_buf_addf(b, "%s%s", b->len ? "\n" : "", name);
}

static char *unsupported_of(const struct pat_json *s, const struct context *c)
{
    struct voice v = context_voice(c);
    struct pat_buf b;

    pat_buf_init(&b, UNSUPPORTED_MAX);
    if (c->voice_refused)
        add_line(&b, "voice_id");
    if (pat_json_num_or(s, "voice.voice_temperature", 1) != 1)
        add_line(&b, "voice_temperature");
    if (pat_json_bool_or(s, "voice.enable_backchannel", false))
        add_line(&b, "enable_backchannel");
    if (pat_json_bool_or(s, "transfer_preferences.business_hours_only", false))
        add_line(&b, "transfer_preferences.business_hours_only");
    if (v.provider == VOICE_OPENAI && fabs(pat_json_num_or(s, "voice.style", 0)) > 0)
        add_line(&b, "style");
    return pat_buf_take(&b);
}

int settings_read(struct context *c, const struct pat_json *s)
{
    struct pat_ambient ambient = pat_agentcfg_ambient(s);

    c->volume = pat_agentcfg_num(s, "agent_volume", "voice.agent_volume", 1, 0, 2);
    c->ambient_volume = ambient.volume;
    c->ambient_sound = strndup(ambient.sound, 63);
    c->noise =
        strndup(pat_agentcfg_text(s, "noise_suppression", "voice.noise_suppression", "medium"), 15);
    c->vetting = vetting_of(s);
    c->unsupported = unsupported_of(s, c);
    return c->ambient_sound && c->noise && c->vetting && c->unsupported ? PAT_OK : PAT_ENOMEM;
}
