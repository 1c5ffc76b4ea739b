/* voices.h - Retell's list of voices, looked up once a day (PAT_RETELL_VOICES_EVERY), by one
 * replica.
 *
 * What the list no longer has is not offered any more (patchbay.voice_presets), event
 * voice.unavailable; agents that speak with it get another voice at once. Thread: the loop's.
 */
#ifndef PROVIDER_VOICES_H
#define PROVIDER_VOICES_H

#include "provider.h"

int voices_new(struct voices **out, struct provider *p) PAT_MUST_CHECK;
void voices_free(struct voices *v);

#endif
