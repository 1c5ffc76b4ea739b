/* health.c - what is known of each stack: see health.h. */
#include "health.h"

#include <stdlib.h>

#define WHY_MAX          63
#define FAILURES_TO_OPEN 5
#define OPEN_MS          10000

/* Of one stack. */
struct view {
    struct pat_breaker breaker;
    char why[WHY_MAX + 1];
};

struct health {
    struct view of[STACK_LIVEKIT + 1];
};

int health_new(struct health **out, struct router *r)
{
    struct health *h = calloc(1, sizeof *h);

    (void)r;
    if (!h)
        return PAT_ENOMEM;
    for (size_t i = 0; i < sizeof h->of / sizeof h->of[0]; i++)
        pat_breaker_init(&h->of[i].breaker, FAILURES_TO_OPEN, OPEN_MS);
    *out = h;
    return PAT_OK;
}

void health_free(struct health *h)
{
    free(h);
}

bool health_allows(struct router *r, enum stack s)
{
    return pat_breaker_allow(&r->health->of[s].breaker, pat_now_ms());
}

bool health_would_allow(const struct router *r, enum stack s)
{
    return pat_breaker_would_allow(&r->health->of[s].breaker, pat_now_ms());
}

void health_outcome(struct router *r, enum stack s, bool ok, const char *why)
{
    struct view *v = &r->health->of[s];

    if (ok) {
        pat_breaker_success(&v->breaker);
        return;
    }
    pat_strcpy(v->why, sizeof v->why, why ? why : "failed");
    pat_breaker_failure(&v->breaker, pat_now_ms());
}

enum health_word health_word(const struct router *r, enum stack s)
{
    const struct pat_breaker *b = &r->health->of[s].breaker;

    if (b->state == PAT_BREAKER_CLOSED)
        return b->failures ? HEALTH_DEGRADED : HEALTH_UP;
    return b->state == PAT_BREAKER_OPEN ? HEALTH_DOWN : HEALTH_DEGRADED;
}

const char *health_word_name(enum health_word w)
{
    static const char *const names[] = { "up", "degraded", "down" };

    return names[w];
}

const char *health_reason(const struct router *r, enum stack s)
{
    return health_word(r, s) == HEALTH_UP ? "" : r->health->of[s].why;
}
