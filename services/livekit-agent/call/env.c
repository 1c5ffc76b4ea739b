/* env.c - what is made from shared settings more than once. */
#include "env.h"

#include "lease.h"

#include <string.h>

static int open_mouth(struct mouth **out, struct env *e, const struct context *c,
                      const char *language)
{
    const struct agent_conf *f = e->conf;
    struct tts_opts tts = {
        .providers = e->providers,
        .connect_ms = f->connect_ms,
        .voice = c && !c->voice_refused ? context_voice(c) : voice_resolve(f->voice_fallback),
        .fallback = voice_resolve(f->voice_fallback),
        .language = language,
        /* What is made louder has to be made of samples. */
        .packets = f->elevenlabs_opus && (!c || (c->volume == 1 && !*c->ambient_sound)),
        .learnt = &e->tts_learnt,
    };
    struct mouth_opts o = { .loop = e->loop,
                            .net = e->net,
                            .http = e->http,
                            .phrases = e->phrases,
                            .tts = &tts,
                            .gain = c ? c->volume : 1,
                            .any_voice = !c,
                            .scope = c ? c->user_id : NULL };

    return mouth_new(out, &o);
}

int env_mouth(struct mouth **out, struct env *e, const struct context *c)
{
    char code[3];

    if (c && *c->ambient_sound) /* it is made while the phone rings */
        ambience_unref(ambiences_get(e->ambiences, c->ambient_sound, c->ambient_volume));
    return open_mouth(out, e, c, c ? pat_language_code(c->language, code) : "en");
}

int env_fallback_mouth(struct mouth **out, struct env *e, const char *language)
{
    return open_mouth(out, e, NULL, language);
}

int env_recorder(struct recorder **out, const struct env *e)
{
    const struct record_conf *f = &e->conf->recording;
    const struct recorder_opts o = { .loop = e->loop,
                                     .http = e->http,
                                     .db = e->db,
                                     .journal = e->journal,
                                     .metrics = e->metrics,
                                     .store = pat_store_conf_opts(&f->store),
                                     .piece_ms = f->piece_ms,
                                     .quiet_ms = f->quiet_ms,
                                     .max_waiting = (size_t)f->memory };

    *out = NULL;
    return *f->store.url ? recorder_new(out, &o) : PAT_OK;
}

bool env_stalled(struct env *e)
{
    int64_t now = pat_now_us(), was = e->fence.alive_us;

    if (!was || now - was < LEASE_MS * 1000LL)
        return false;
    e->fence.alive_us = now;
    e->fence.stalled(now - was, e->fence.arg);
    return true;
}
