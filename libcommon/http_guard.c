/* http_guard.c - see http_guard.h.
 *
 * How: two tables of prefixes; an IPv6 form that carries an IPv4 address is refused as a whole.
 */
#include "http_guard.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

static const struct {
    uint32_t net;
    int bits;
} closed4[] = {
    { 0x00000000, 8 },  /* this network */
    { 0x0a000000, 8 },  /* private */
    { 0x64400000, 10 }, /* shared, RFC 6598 */
    { 0x7f000000, 8 },  /* loopback */
    { 0xa9fe0000, 16 }, /* link-local: clouds' metadata */
    { 0xac100000, 12 }, /* private */
    { 0xc0000000, 24 }, /* IETF */
    { 0xc0000200, 24 }, /* documentation */
    { 0xc0586300, 24 }, /* 6to4 relays */
    { 0xc0a80000, 16 }, /* private */
    { 0xc6120000, 15 }, /* benchmarks */
    { 0xc6336400, 24 }, /* documentation */
    { 0xcb007100, 24 }, /* documentation */
    { 0xe0000000, 3 },  /* multicast, reserved, broadcast */
};

static const struct {
    uint8_t net[16];
    int bits;
} closed6[] = {
    { { 0 }, 96 },                                        /* ::, ::1, IPv4-compatible */
    { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 96 }, /* IPv4-mapped */
    { { 0x00, 0x64, 0xff, 0x9b }, 32 },                   /* NAT64, both prefixes */
    { { 0x01, 0x00 }, 64 },                               /* discard */
    { { 0x20, 0x01, 0x00 }, 23 },                         /* IETF: Teredo, ORCHID, benchmarks */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32 },                   /* documentation */
    { { 0x20, 0x02 }, 16 },                               /* 6to4 */
    { { 0x3f, 0xff }, 20 },                               /* documentation */
    { { 0x5f, 0x00 }, 16 },                               /* SRv6 */
    { { 0xfc }, 7 },                                      /* private */
    { { 0xfe, 0x80 }, 10 },                               /* link-local */
    { { 0xfe, 0xc0 }, 10 },                               /* site-local */
    { { 0xff }, 8 },                                      /* multicast */
};

static bool closed_4(uint32_t ip)
{
    for (size_t i = 0; i < sizeof closed4 / sizeof closed4[0]; i++)
        if (((ip ^ closed4[i].net) >> (32 - closed4[i].bits)) == 0)
            return true;
    return false;
}

static bool begins(const uint8_t ip[16], const uint8_t net[16], int bits)
{
    size_t bytes = (size_t)bits / 8;

    return memcmp(ip, net, bytes) == 0 &&
           (bits % 8 == 0 || ((ip[bytes] ^ net[bytes]) >> (8 - bits % 8)) == 0);
}

static bool closed_6(const uint8_t ip[16])
{
    for (size_t i = 0; i < sizeof closed6 / sizeof closed6[0]; i++)
        if (begins(ip, closed6[i].net, closed6[i].bits))
            return true;
    return false;
}

bool http_guard_public(const struct sockaddr *a)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (a->sa_family == AF_INET) {
        memcpy(&v4, a, sizeof v4);
        return !closed_4(ntohl(v4.sin_addr.s_addr));
    }
    if (a->sa_family == AF_INET6) {
        memcpy(&v6, a, sizeof v6);
        return !closed_6(v6.sin6_addr.s6_addr);
    }
    return false;
}
