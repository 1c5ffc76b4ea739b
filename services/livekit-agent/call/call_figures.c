/* call_figures.c - what a turn of ours took and used: for its event and for the metrics.
 *
 * How: moments the reply has kept, tokens the model told, characters the voice was given since the
 * turn before. Labels are the stage and the account of our own chain: a handful of each.
 */
#include "call_int.h"

#include <string.h>

static void observe(const struct call *c, const char *stage, const char *provider, int64_t from_us,
                    int64_t to_us)
{
    size_t n = sizeof pat_buckets_latency_s / sizeof pat_buckets_latency_s[0];
    char labels[160] = "";
    struct pat_buf b;

    if (!from_us || to_us < from_us)
        return;
    pat_buf_init(&b, sizeof labels - 1);
    if (!pat_metric_label(&b, "stage", stage) &&
        !pat_metric_label(&b, "provider", provider && *provider ? provider : "none"))
        (void)pat_strcpy(labels, sizeof labels, b.data);
    pat_buf_fini(&b);
    if (*labels)
        pat_histogram_observe(pat_histogram(c->env->metrics, "pat_agent_stage_seconds",
                                            "Of a response, by stage and who took it", labels,
                                            pat_buckets_latency_s, n),
                              (double)(to_us - from_us) / 1e6);
}

void figures_observe(const struct call *c)
{
    const struct reply_times *r = reply_times(c->reply);
    const struct turn_times *t = &c->times;
    const char *ears = c->stt ? stt_listens(c->stt)->name : NULL;
    const char *voice = c->mouth ? mouth_account(c->mouth) : NULL;

    observe(c, "eot", "patchbay", t->voiced_us, t->commit_us);
    observe(c, "stt", ears, t->voiced_us, t->final_us);
    observe(c, "llm_first", reply_provider(c->reply), r->asked_us, r->token_us);
    observe(c, "llm_sentence", reply_provider(c->reply), r->asked_us, r->sentence_us);
    observe(c, "tts_first", voice, r->sentence_us, r->sound_us);
}

static struct pat_json *used(struct call *c)
{
    const struct llm_usage *u = reply_usage(c->reply);
    struct pat_json *o = pat_json_obj();

    pat_json_set_int(o, "prompt_tokens", u->prompt_tokens);
    pat_json_set_int(o, "cached_tokens", u->cached_tokens);
    pat_json_set_int(o, "completion_tokens", u->completion_tokens);
    if (c->mouth) {
        pat_json_set_int(o, "characters", mouth_characters(c->mouth) - c->told_chars);
        pat_json_set_int(o, "cached_characters", mouth_saved(c->mouth) - c->told_saved);
        c->told_chars = mouth_characters(c->mouth);
        c->told_saved = mouth_saved(c->mouth);
    }
    return o;
}

void figures_add(struct call *c, struct pat_json *data)
{
    int64_t voiced_us;

    if (!c->reply)
        return;
    voiced_us = reply_times(c->reply)->voiced_us;
    pat_json_set_take(data, "usage", used(c));
    if (!voiced_us)
        return; /* nothing of it was heard */
    pat_json_set_int(data, "started_ms", (voiced_us - c->began_us) / 1000);
    pat_json_set_int(data, "ended_ms", call_ms(c));
}
