/* voice.h - which voice a stored id means.
 *
 * agent_configs.voice_id holds, for historical reasons, five shapes:
 *   "11labs-Kate"                   a preset known by name: a table maps it to a public ElevenLabs
 * voice "11labs-<15..25 alphanumerics>" an ElevenLabs id with prefix (clones)
 *   "<15..25 alphanumerics>"        a bare ElevenLabs id
 *   "openai-nova"                   an OpenAI voice
 *   "kate", "alloy" ...             bare legacy names
 * Anything else, and ids known to be gone, resolve to the fallback, and say so. Pure.
 */
#ifndef SPEECH_VOICE_H
#define SPEECH_VOICE_H

#include <stdbool.h>

enum voice_provider { VOICE_ELEVENLABS, VOICE_OPENAI };

struct voice {
    enum voice_provider provider;
    char id[64];     /* at the provider */
    bool substitute; /* not the voice that was asked for */
    /* ElevenLabs voice_settings; negative: not set */
    double stability, similarity, style, speed;
    int speaker_boost; /* -1 not set, 0, 1 */
};

/* Never fails: at worst the fallback (Sarah) with substitute set. stored may be NULL. */
struct voice voice_resolve(const char *stored);

/* The nearest other voice at that provider, substitute set, with the settings of v. False: nothing
 * is known of v (a clone), *out is not set. */
bool voice_near(const struct voice *v, enum voice_provider at, struct voice *out);

#endif
