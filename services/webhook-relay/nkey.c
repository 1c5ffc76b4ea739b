/* nkey.c - is this a user's public NATS key: see subscribers.h. */
#include "subscribers.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { TEXT = 56, RAW = 35, PREFIX_USER = 20 << 3 };

/* RFC 4648, section 6, without padding: 56 characters are 35 bytes to the bit. */
static bool decode(uint8_t out[RAW], const char *text)
{
    uint32_t bits = 0;
    int have = 0;
    size_t n = 0;

    for (; *text; text++) {
        char c = *text;
        uint32_t v = c >= 'A' && c <= 'Z' ? (uint32_t)(c - 'A') : (uint32_t)(c - '2' + 26);

        if (!(c >= 'A' && c <= 'Z') && !(c >= '2' && c <= '7'))
            return false;
        bits = bits << 5 | v;
        have += 5;
        if (have >= 8) {
            have -= 8;
            out[n++] = (uint8_t)(bits >> have);
        }
    }
    return true;
}

/* CRC-16/XMODEM. */
static uint16_t crc16(const uint8_t *data, size_t len)
{
    uint16_t crc = 0;

    for (size_t i = 0; i < len; i++) {
        crc ^= (uint16_t)(data[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}

bool subscribers_nkey_valid(const char *key)
{
    uint8_t raw[RAW];

    return strlen(key) == TEXT && decode(raw, key) && raw[0] == PREFIX_USER &&
           crc16(raw, RAW - 2) == (raw[RAW - 2] | raw[RAW - 1] << 8);
}
