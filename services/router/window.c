/* window.c - sliding counts in fixed memory: see window.h. */
#include "window.h"

#include <stdlib.h>

enum { WAYS = 4 };

struct slot {
    uint64_t key; /* 0: free */
    int64_t began_ms;
    int64_t until_ms;
    unsigned now, before;
};

struct windows {
    int64_t span_ms;
    size_t sets;
    struct slot slots[];
};

int windows_new(struct windows **out, size_t keys, int64_t span_ms)
{
    struct windows *w = calloc(1, sizeof *w + keys * sizeof(struct slot));

    if (!w)
        return PAT_ENOMEM;
    w->span_ms = span_ms;
    w->sets = keys / WAYS;
    *out = w;
    return PAT_OK;
}

void windows_free(struct windows *w)
{
    free(w);
}

static uint64_t mix(uint64_t h, const char *s)
{
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211U;
    return (h ^ '|') * 1099511628211U;
}

/* FNV-1a, and a last stir for the low bits. */
uint64_t window_key(const char *a, const char *b)
{
    uint64_t h = mix(mix(14695981039346656037U, a), b ? b : "");

    h ^= h >> 32;
    return h ? h : 1;
}

static struct slot *set_of(const struct windows *w, uint64_t key)
{
    return (struct slot *)&w->slots[(key & (w->sets - 1)) * WAYS];
}

static struct slot *find(const struct windows *w, uint64_t key)
{
    struct slot *set = set_of(w, key);

    for (int i = 0; i < WAYS; i++)
        if (set[i].key == key)
            return &set[i];
    return NULL;
}

static int64_t last_heard(const struct slot *s)
{
    return s->until_ms > s->began_ms ? s->until_ms : s->began_ms;
}

static struct slot *get(struct windows *w, uint64_t key, int64_t now_ms)
{
    struct slot *set = set_of(w, key), *s = find(w, key);

    if (s)
        return s;
    s = &set[0];
    for (int i = 0; i < WAYS; i++) {
        if (!set[i].key) {
            s = &set[i];
            break;
        }
        if (last_heard(&set[i]) < last_heard(s))
            s = &set[i];
    }
    *s = (struct slot){ .key = key, .began_ms = now_ms };
    return s;
}

static unsigned weigh(const struct windows *w, const struct slot *s, int64_t now_ms)
{
    int64_t age = now_ms - s->began_ms;

    if (age < w->span_ms)
        return s->now + (unsigned)(s->before * (w->span_ms - age) / w->span_ms);
    if (age < 2 * w->span_ms)
        return (unsigned)(s->now * (2 * w->span_ms - age) / w->span_ms);
    return 0;
}

unsigned windows_count(const struct windows *w, uint64_t key, int64_t now_ms)
{
    const struct slot *s = find(w, key);

    return s ? weigh(w, s, now_ms) : 0;
}

unsigned windows_add(struct windows *w, uint64_t key, int64_t now_ms)
{
    struct slot *s = get(w, key, now_ms);
    int64_t age = now_ms - s->began_ms;

    if (age >= w->span_ms) {
        s->before = age < 2 * w->span_ms ? s->now : 0;
        s->began_ms += age < 2 * w->span_ms ? w->span_ms : age;
        s->now = 0;
    }
    s->now++;
    return weigh(w, s, now_ms);
}

void windows_shut(struct windows *w, uint64_t key, int64_t now_ms, int64_t until_ms)
{
    get(w, key, now_ms)->until_ms = until_ms;
}

bool windows_is_shut(const struct windows *w, uint64_t key, int64_t now_ms)
{
    const struct slot *s = find(w, key);

    return s && now_ms < s->until_ms;
}
