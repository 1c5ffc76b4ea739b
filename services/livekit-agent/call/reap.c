/* reap.c - what is wrong with a room, and for how long it has been. Knows nothing of LiveKit. */
#include "reap.h"

#include <stdlib.h>
#include <string.h>

enum { ROOMS_MAX = 10000, CLOCKS_MS = 2000 /* LiveKit's and ours differ by less */ };

enum wrong { FINE, EMPTY, GHOST_LEG, ALONE };

struct reap_room {
    struct reap_room *next;
    char call_id[PAT_ID_LEN + 1];
    enum wrong wrong;
    int64_t since_ms, look;
    int steps; /* taken against it */
};

void reap_init(struct reap *r, int64_t grace_ms)
{
    *r = (struct reap){ .grace_ms = grace_ms };
}

void reap_fini(struct reap *r)
{
    while (r->rooms) {
        struct reap_room *x = r->rooms;

        r->rooms = x->next;
        free(x);
    }
    r->n = 0;
}

void reap_begin(struct reap *r)
{
    r->look++;
}

void reap_end(struct reap *r)
{
    for (struct reap_room **at = &r->rooms, *x; (x = *at);)
        if (x->look != r->look) {
            *at = x->next;
            free(x);
            r->n--;
        } else {
            at = &x->next;
        }
}

bool reap_pending(const struct reap *r)
{
    return r->rooms != NULL;
}

/* Came when the call was over already: a caller who was put through and comes back. */
static bool came_back(const struct reap_look *l)
{
    return l->mark == REAP_OVER && l->over_ms && l->joined_ms + CLOCKS_MS > l->over_ms;
}

static enum wrong wrong_with(const struct reap_look *l)
{
    bool orphan = l->mark == REAP_UNMARKED || l->mark == REAP_OVER;

    if (l->foreign || l->phones > 1) /* two telephones talk to each other */
        return FINE;
    if (l->asked && l->agents) /* a colleague is asked */
        return FINE;
    if (!l->phones && !l->others)
        return orphan ? EMPTY : FINE;
    if (orphan && l->phones && (l->ended || (l->mark == REAP_OVER && !came_back(l))))
        return GHOST_LEG;
    if (l->ended || (l->mark == REAP_OVER && !l->phones)) /* somebody looks on */
        return FINE;
    return l->agents ? FINE : ALONE;
}

static struct reap_room *find(struct reap *r, const char *id)
{
    struct reap_room *x = r->rooms;

    while (x && strcmp(x->call_id, id) != 0)
        x = x->next;
    if (x || r->n >= ROOMS_MAX)
        return x;
    x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    pat_strcpy(x->call_id, sizeof x->call_id, id);
    x->next = r->rooms;
    r->rooms = x;
    r->n++;
    return x;
}

/* A step after each patience: first the call is offered, then given up, then the room is ended. */
static enum reap_do for_caller(struct reap_room *x, const struct reap_look *l, int64_t patience_ms,
                               int64_t for_ms)
{
    if (for_ms < patience_ms * (x->steps + 1))
        return REAP_NOTHING;
    if (x->steps == 0 && l->mark == REAP_WAITING)
        x->steps = 1; /* any agent could have taken it all the time */
    switch (x->steps++) {
    case 0:
        return REAP_OFFER;
    case 1:
        return REAP_GIVE_UP;
    default:
        return REAP_DELETE;
    }
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

enum reap_do reap_judge(struct reap *r, const struct reap_look *l, int64_t now_ms)
{
    enum wrong wrong = wrong_with(l);
    struct reap_room *x = wrong == FINE ? NULL : find(r, l->call_id);
    int64_t caller_ms = least(r->grace_ms, REAP_CALLER_MS), for_ms;

    if (!x)
        return REAP_NOTHING;
    x->look = r->look;
    if (x->wrong != wrong) {
        x->wrong = wrong;
        x->since_ms = now_ms;
        x->steps = 0;
    }
    for_ms = now_ms - x->since_ms;
    switch (wrong) {
    case EMPTY:
        return for_ms >= r->grace_ms ? REAP_DELETE : REAP_NOTHING;
    case GHOST_LEG:
        return for_ms >= caller_ms ? REAP_REMOVE : REAP_NOTHING;
    case ALONE:
        return for_caller(
            x, l, l->mark == REAP_SERVED ? least(4 * r->grace_ms, REAP_SERVED_MS) : caller_ms,
            for_ms);
    case FINE:
        break;
    }
    return REAP_NOTHING;
}

const char *reap_name(enum reap_do what)
{
    static const char *const names[] = { "", "room", "leg", "offered", "given_up" };

    return names[what];
}
