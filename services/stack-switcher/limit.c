/* limit.c - buckets of tokens per principal, one for each kind of request: per_min of them at once,
 * then one each minute/per_min.
 *
 * Kept by this replica alone: n replicas let n times as much through. Beyond PEOPLE_MAX the one who
 * has been quiet longest is forgotten.
 */
#include "limit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum { PEOPLE_MAX = 4096, WHO_MAX = 80, MINUTE_MS = 60000 };

struct bucket {
    double left;
    int64_t at_ms;
};

struct person {
    char who[WHO_MAX];
    struct bucket buckets[LIMIT_KINDS];
    UT_hash_handle hh; /* in the order they were last seen */
};

struct limits {
    struct person *people;
    int64_t per_min[LIMIT_KINDS];
};

int limits_new(struct limits **out, const int64_t per_min[LIMIT_KINDS])
{
    struct limits *l = calloc(1, sizeof *l);

    if (!l)
        return PAT_ENOMEM;
    memcpy(l->per_min, per_min, sizeof l->per_min);
    *out = l;
    return PAT_OK;
}

static void forget(struct limits *l, struct person *p)
{
    HASH_DEL(l->people, p);
    free(p);
}

void limits_free(struct limits *l)
{
    if (!l)
        return;
    while (l->people)
        forget(l, l->people);
    free(l);
}

static struct person *get(struct limits *l, const char *who, int64_t now_ms)
{
    char key[WHO_MAX] = "";
    struct person *p;

    memcpy(key, who, strnlen(who, WHO_MAX - 1));
    HASH_FIND_STR(l->people, key, p);
    if (p) {
        HASH_DEL(l->people, p);
    } else {
        if (HASH_COUNT(l->people) >= PEOPLE_MAX)
            forget(l, l->people);
        p = calloc(1, sizeof *p);
        if (!p)
            return NULL;
        memcpy(p->who, key, sizeof key);
        for (int i = 0; i < LIMIT_KINDS; i++)
            p->buckets[i] = (struct bucket){ (double)l->per_min[i], now_ms };
    }
    HASH_ADD_STR(l->people, who, p);
    return p;
}

/* Whole seconds until n more are there, never less than the truth. */
static int64_t seconds(double n, int64_t per_min)
{
    return n > 0 ? (int64_t)(n * MINUTE_MS / (double)per_min / 1000) + 1 : 0;
}

bool limits_take(struct limits *l, enum limit_kind kind, const char *who, int64_t now_ms,
                 struct limit_state *out)
{
    struct person *p = get(l, who, now_ms);
    int64_t per_min = l->per_min[kind];
    struct bucket *b;
    bool may;

    *out = (struct limit_state){ .per_min = per_min, .wait_s = 1 };
    if (!p)
        return false;
    b = &p->buckets[kind];
    b->left += (double)(now_ms - b->at_ms) * (double)per_min / MINUTE_MS;
    b->at_ms = now_ms;
    if (b->left > (double)per_min)
        b->left = (double)per_min;
    may = b->left >= 1;
    out->wait_s = may ? 0 : seconds(1 - b->left, per_min);
    b->left -= may;
    out->left = (int64_t)b->left;
    out->full_s = seconds((double)per_min - b->left, per_min);
    return may;
}

const char *limit_name(enum limit_kind kind)
{
    static const char *const names[LIMIT_KINDS] = { "reads", "writes", "previews", "talks" };

    return names[kind];
}
