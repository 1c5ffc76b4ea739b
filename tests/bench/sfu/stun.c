/* stun.c - builds the answer attribute by attribute; see RFC 8489 sections 5, 14.2, 14.5, 14.7. */
#include "stun.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <zlib.h>

enum {
    HEADER = 20,
    BINDING_REQUEST = 0x0001,
    BINDING_SUCCESS = 0x0101,
    USERNAME = 0x0006,
    INTEGRITY = 0x0008,
    XOR_MAPPED_ADDRESS = 0x0020,
    FINGERPRINT = 0x8028,
};

#define COOKIE          0x2112A442U
#define FINGERPRINT_XOR 0x5354554EU

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint8_t *put16(uint8_t *p, unsigned v)
{
    *p++ = (uint8_t)(v >> 8);
    *p++ = (uint8_t)v;
    return p;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    return put16(put16(p, v >> 16), v & 0xffff);
}

bool stun_username(const uint8_t *request, size_t len, char *out, size_t cap)
{
    if (len < HEADER || get16(request) != BINDING_REQUEST)
        return false;
    for (size_t at = HEADER; at + 4 <= len;) {
        size_t n = get16(request + at + 2), end = 0;

        if (at + 4 + n > len)
            return false;
        if (get16(request + at) == USERNAME) {
            while (end < n && request[at + 4 + end] != ':')
                end++;
            if (end >= cap)
                return false;
            memcpy(out, request + at + 4, end);
            out[end] = '\0';
            return true;
        }
        at += 4 + (n + 3) / 4 * 4;
    }
    return false;
}

/* The header's length field as if the message ended `behind` bytes after p. */
static void set_length(uint8_t *out, const uint8_t *p, size_t behind)
{
    put16(out + 2, (unsigned)((size_t)(p - out) + behind - HEADER));
}

size_t stun_answer(uint8_t out[STUN_ANSWER_MAX], const uint8_t *request,
                   const struct sockaddr_in *from, const char *pwd)
{
    uint8_t *p = put16(out, BINDING_SUCCESS);
    unsigned hash_len = 0;

    memcpy(out + 4, request + 4, 16); /* cookie and transaction */
    p = put16(put16(out + HEADER, XOR_MAPPED_ADDRESS), 8);
    p = put16(put16(p, 1 /* IPv4 */), ntohs(from->sin_port) ^ (COOKIE >> 16));
    p = put32(p, ntohl(from->sin_addr.s_addr) ^ COOKIE);

    set_length(out, p, 24);
    uint8_t *integrity = put16(put16(p, INTEGRITY), 20);
    HMAC(EVP_sha1(), pwd, (int)strlen(pwd), out, (size_t)(p - out), integrity, &hash_len);
    p = integrity + hash_len;

    set_length(out, p, 8);
    uint32_t crc = (uint32_t)crc32(0, out, (unsigned)(p - out));
    p = put32(put16(put16(p, FINGERPRINT), 4), crc ^ FINGERPRINT_XOR);
    return (size_t)(p - out);
}
