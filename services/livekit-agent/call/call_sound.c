/* call_sound.c - how a call sounds and hears, as its user has set it; what cannot be is reported.
 */
#include "call_int.h"

#include <string.h>

static void unsupported(struct call *c, const char *name, size_t len)
{
    char setting[64], labels[100];
    struct pat_buf b;

    pat_strcpy(setting, len + 1 < sizeof setting ? len + 1 : sizeof setting, name);
    pat_log(PAT_WARN, "call.setting_unsupported", PAT_S("call", c->id),
            PAT_S("agent_config", c->ctx->agent_config_id), PAT_S("setting", setting));
    pat_buf_init(&b, sizeof labels);
    (void)pat_metric_label(&b, "setting", setting);
    pat_counter_add(pat_counter(c->env->metrics, "pat_agent_settings_unsupported_total",
                                "Calls whose agent has a setting that has no effect here",
                                b.data ? b.data : NULL),
                    1);
    pat_buf_fini(&b);
}

static void report_unsupported(struct call *c)
{
    const char *at = c->ctx->unsupported;

    while (*at) {
        size_t len = strcspn(at, "\n");

        unsupported(c, at, len);
        at += len + (at[len] == '\n');
    }
}

static void set_ambience(struct call *c)
{
    const struct context *x = c->ctx;
    struct ambience *a;

    if (!*x->ambient_sound)
        return;
    a = ambiences_get(c->env->ambiences, x->ambient_sound, x->ambient_volume);
    if (!a)
        unsupported(c, "ambient_sound", strlen("ambient_sound"));
    player_set_ambience(c->player, a);
}

static void set_noise(struct call *c)
{
    static const char *const names[] = { "off", "low", "medium", "high" };

    for (int i = 0; i < 4; i++)
        if (strcmp(c->ctx->noise, names[i]) == 0) {
            if (ear_set_noise(c->ear, (enum ear_noise)i))
                pat_log(PAT_WARN, "call.noise_not_set", PAT_S("call", c->id));
            return;
        }
    unsupported(c, "noise_suppression", strlen("noise_suppression"));
}

void call_sound_settings(struct call *c)
{
    player_set_gain(c->player, c->ctx->volume);
    set_ambience(c);
    set_noise(c);
    report_unsupported(c);
}

static void count(struct call *c, const char *how, int64_t n)
{
    char labels[40];
    struct pat_buf b;

    pat_buf_init(&b, sizeof labels);
    (void)pat_metric_label(&b, "how", how);
    pat_counter_add(pat_counter(c->env->metrics, "pat_agent_packets_total",
                                "Packets of speech sent, by what they cost", b.data),
                    (double)n);
    pat_buf_fini(&b);
}

void call_sound_report(struct call *c)
{
    const struct player_counts *n = player_counts(c->player);

    count(c, "encoded", n->encoded);
    count(c, "passed", n->passed);
    count(c, "quiet", n->quiet);
    count(c, "ambient", n->ambient);
    pat_counter_add(pat_counter(c->env->metrics, "pat_agent_underruns_total",
                                "Packets that were due in the middle of a sentence and not there",
                                NULL),
                    (double)n->underruns);
    pat_log(PAT_INFO, "call.sound", PAT_S("call", c->id), PAT_I("encoded", n->encoded),
            PAT_I("passed", n->passed), PAT_I("quiet", n->quiet), PAT_I("ambient", n->ambient),
            PAT_I("underruns", n->underruns),
            PAT_I("phrases", c->mouth ? mouth_hits(c->mouth) : 0));
}
