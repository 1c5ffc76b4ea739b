/* limit.c - a bucket of tokens per person: per_min changes at once, then one each minute/per_min.
 *
 * People are few; beyond PEOPLE_MAX the one who has been quiet longest is forgotten.
 */
#include "switcher.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum { PEOPLE_MAX = 1024, WHO_MAX = 80 };

struct person {
    char who[WHO_MAX];
    double left;
    int64_t at_ms;
    UT_hash_handle hh; /* in the order they were last seen */
};

struct limits {
    struct person *people;
    double per_ms, most;
};

int limits_new(struct limits **out, int64_t per_min)
{
    struct limits *l = calloc(1, sizeof *l);

    if (!l)
        return PAT_ENOMEM;
    l->most = (double)per_min;
    l->per_ms = (double)per_min / 60000;
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
        p->left = l->most;
        p->at_ms = now_ms;
    }
    HASH_ADD_STR(l->people, who, p);
    return p;
}

bool limits_take(struct limits *l, const char *who, int64_t now_ms, int64_t *wait_s)
{
    struct person *p = get(l, who, now_ms);

    *wait_s = 1;
    if (!p)
        return false;
    p->left += (double)(now_ms - p->at_ms) * l->per_ms;
    p->at_ms = now_ms;
    if (p->left > l->most)
        p->left = l->most;
    if (p->left < 1) {
        *wait_s = (int64_t)((1 - p->left) / l->per_ms / 1000) + 1;
        return false;
    }
    p->left -= 1;
    return true;
}
