/* ulaw.c - see ulaw.h. */
#include "ulaw.h"

uint8_t ulaw_of(int16_t sample)
{
    int s = sample, sign = s < 0 ? 0x80 : 0, exponent = 7;

    if (s < 0)
        s = -s;
    s = s > 32635 ? 32635 + 132 : s + 132;
    for (int mask = 0x4000; exponent > 0 && !(s & mask); mask >>= 1)
        exponent--;
    return (uint8_t) ~(sign | exponent << 4 | (s >> (exponent + 3) & 0x0F));
}
