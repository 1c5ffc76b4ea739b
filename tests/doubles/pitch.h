/* pitch.h - how high the voice in a recording is. Pure. */
#ifndef DOUBLES_PITCH_H
#define DOUBLES_PITCH_H

#include <stddef.h>

/* Hz, of the first 20 s of a WAV file with 16-bit samples; 0: another file, or no voice in it. */
double pitch_of_wav(const void *wav, size_t len);

#endif
