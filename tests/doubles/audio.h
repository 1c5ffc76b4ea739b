/* audio.h - samples as the bytes a vendor sends, and the letters that belong to them. Pure. */
#ifndef DOUBLES_AUDIO_H
#define DOUBLES_AUDIO_H

#include "buf.h"

#include <stdint.h>

struct pat_json;

/* "pcm_24000", "ulaw_8000", where there is LAME "mp3_44100_64" ... What the double cannot make is
 * not ok. */
struct audio_format {
    int rate;
    bool ulaw;
    int mp3_kbps; /* 0: no MP3 */
};
bool audio_format_parse(struct audio_format *f, const char *name);
/* Adds n samples as bytes. */
int audio_bytes(struct pat_buf *out, const struct audio_format *f, const int16_t *pcm, size_t n);
int audio_base64(struct pat_buf *out, const void *data, size_t len);

/* Letters of text[from, to) spread evenly over ms. snake: the other spelling. */
struct pat_json *audio_alignment(const char *text, size_t from, size_t to, int64_t ms, bool snake);
/* The same with seconds, as the HTTP calls have it. */
struct pat_json *audio_timestamps(const char *text, int64_t ms);

#endif
