/* sample.h - a recording somebody wants his voice made of: what it is, how long, and whether
 * anything is in it. Pure.
 *
 * The container tells format and length of WAV, MP3, MP4 (M4A), Ogg (Opus, Vorbis) and WebM; only
 * WAV is looked into for sound, and is what the console sends, whatever was chosen or recorded
 * there.
 */
#ifndef SWITCHER_SAMPLE_H
#define SWITCHER_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sample {
    const char *type;    /* "audio/wav" ...; a literal */
    int64_t duration_ms; /* 0: the file does not say */
    bool looked;         /* these are known: */
    int speech_percent;  /* of the time, louder than -45 dBFS in 20 ms */
    int clipped_percent; /* of the samples, at full scale */
};

/* PAT_EINVAL: none of these formats, or broken. data need not end with NUL. */
int sample_read(const void *data, size_t len, struct sample *out);

#endif
