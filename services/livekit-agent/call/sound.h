/* sound.h - small arithmetic on 48 kHz samples: how loud, louder, where the sound begins. Pure. */
#ifndef CALL_SOUND_H
#define CALL_SOUND_H

#include <stddef.h>
#include <stdint.h>

#define SOUND_PER_MS 48
#define SOUND_SILENT 127 /* level of digital silence */
#define SOUND_FAINT  60  /* fainter than this at the start of an utterance is silence */
#define SOUND_VOICED 55  /* louder (smaller) than this is speech, not breath */

/* -dBov as RTP carries it (RFC 6464): 0 is the loudest, 127 silence. */
int sound_level(const int16_t *pcm, size_t n);
/* In place, with saturation. */
void sound_amplify(int16_t *pcm, size_t n, double gain);
/* Leading samples that may be left out: quieter than anything audible, at most max. */
size_t sound_leading_silence(const int16_t *pcm, size_t n, size_t max);

#endif
