/* share.c - which side of a rollout a call is on: see share.h. */
#include "share.h"

/* FNV-1a (draft-eastlake-fnv), and a last stirring: its low bits alone are not even. */
static uint64_t hash(uint64_t h, const char *s)
{
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 0x100000001b3U;
    return (h ^ 0xff) * 0x100000001b3U; /* a border, so that no two pairs read the same */
}

static uint64_t stir(uint64_t h)
{
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdU;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53U;
    return h ^ (h >> 33);
}

bool share_takes(const char *user, const char *caller, const char *call, int percent)
{
    uint64_t h = hash(0xcbf29ce484222325U, user);

    h = hash(h, *caller ? caller : call ? call : "");
    return stir(h) % 100 < (uint64_t)percent;
}

struct share share_of(const struct route *route, const char *caller, const char *call)
{
    struct share s = { route->stack, NULL };

    if (!route->share || route->stack == STACK_NONE)
        return s;
    if (!share_takes(route->user, caller, call, route->share)) {
        s.reason = "rollout_old";
        return s;
    }
    s.stack = route->stack == STACK_RETELL ? STACK_LIVEKIT : STACK_RETELL;
    s.reason = "rollout_new";
    return s;
}
