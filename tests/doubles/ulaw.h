/* ulaw.h - a sample as telephones send it: ITU-T G.711, mu-law. Pure. */
#ifndef DOUBLES_ULAW_H
#define DOUBLES_ULAW_H

#include <stdint.h>

uint8_t ulaw_of(int16_t sample);

#endif
