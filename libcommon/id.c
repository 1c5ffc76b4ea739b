/* id.c - UUIDv7: 48 bits of time, 12 bits of counter, 62 bits of chance.
 *
 * The counter starts at a random value below half its range in each millisecond; when it runs over
 * it carries into the time field, which keeps the order (RFC 9562 section 6.2).
 * A fork would repeat its parent's chance (no daemon forks).
 * It does not guard against a clock set back by hours: ids then run on from the last one made.
 */
#include "id.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { COUNTER_BITS = 12, COUNTER_SEED_MASK = 0x7ff };

static const char digits[] = "0123456789abcdef";

struct pat_id pat_id_at(int64_t unix_ms, const uint8_t random[10])
{
    struct pat_id id;
    uint8_t b[16];
    char *s = id.s;

    for (int i = 0; i < 6; i++)
        b[i] = (uint8_t)(unix_ms >> (40 - 8 * i));
    memcpy(b + 6, random, 10);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x70);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *s++ = '-';
        *s++ = digits[b[i] >> 4];
        *s++ = digits[b[i] & 15];
    }
    *s = '\0';
    return id;
}

/* The next (time, counter) pair of this process: the larger of "now, fresh counter" and "last plus
 * one". */
static uint64_t tick(uint64_t fresh)
{
    static _Atomic uint64_t last;
    uint64_t seen = atomic_load_explicit(&last, memory_order_relaxed);
    uint64_t next;

    do
        next = fresh >> COUNTER_BITS > seen >> COUNTER_BITS ? fresh : seen + 1;
    while (!atomic_compare_exchange_weak_explicit(&last, &seen, next, memory_order_relaxed,
                                                  memory_order_relaxed));
    return next;
}

enum { CHANCE = 10, POOL = 250 }; /* bytes of an id, and of what is fetched at once */

/* Ids are no secrets, so chance for the next 25 of a thread may lie about: a system call for each
 * was a fiftieth of what a call costs the router. */
static void take_chance(uint8_t out[CHANCE])
{
    static _Thread_local uint8_t pool[POOL];
    static _Thread_local size_t left;

    /* Up to 256 bytes come whole once the kernel is seeded (getrandom(2)); without randomness ids
     * would collide between processes, so there is no going on. */
    if (!left && getrandom(pool, sizeof pool, 0) != (ssize_t)sizeof pool)
        abort();
    if (!left)
        left = sizeof pool;
    left -= CHANCE;
    memcpy(out, pool + left, CHANCE);
}

struct pat_id pat_id_new(void)
{
    uint8_t random[CHANCE];
    struct timespec now;
    uint64_t fresh;

    take_chance(random);
    clock_gettime(CLOCK_REALTIME, &now);
    fresh = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    fresh = fresh << COUNTER_BITS | ((unsigned)(random[0] << 8 | random[1]) & COUNTER_SEED_MASK);
    fresh = tick(fresh);
    random[0] = (uint8_t)(fresh >> 8 & 0x0f);
    random[1] = (uint8_t)fresh;
    return pat_id_at((int64_t)(fresh >> COUNTER_BITS), random);
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c);
}

static bool spelt(const char *s, bool any_case)
{
    if (!s)
        return false;
    for (int i = 0; i < PAT_ID_LEN; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? s[i] != '-' : digit(any_case ? lower(s[i]) : s[i]) < 0)
            return false;
    }
    return s[PAT_ID_LEN] == '\0';
}

bool pat_id_valid(const char *s)
{
    return spelt(s, false);
}

bool pat_id_lower(char *s)
{
    if (!spelt(s, true))
        return false;
    for (; *s; s++)
        *s = lower(*s);
    return true;
}

int64_t pat_id_time_ms(const char *s)
{
    int64_t ms = 0;

    if (!pat_id_valid(s) || s[14] != '7')
        return -1;
    for (int i = 0; i < 13; i++)
        if (s[i] != '-')
            ms = ms << 4 | digit(s[i]);
    return ms;
}
