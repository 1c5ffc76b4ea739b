/* repeat.c - the same answer to the same request: see repeat.h.
 *
 * The memory is a hash with a short window per place: a full window loses its oldest entry.
 */
#include "repeat.h"

#include "leg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BORDER_MS (300 * 1000LL)
#define PLACES    16384 /* some 8 MB when all are used: 800 new calls a second */
#define WINDOW    8
#define LOOK_MS   150 /* a caller waits for it */

struct entry {
    struct callref ref; /* ref.call "": free */
    int64_t at_ms;
};

struct repeats {
    struct entry entries[PLACES + WINDOW];
};

int repeat_new(struct repeats **out)
{
    struct repeats *p = calloc(1, sizeof *p);

    if (!p)
        return PAT_ENOMEM;
    *out = p;
    return PAT_OK;
}

void repeat_free(struct repeats *p)
{
    free(p);
}

struct pat_id repeat_call_id(const struct router *r, const char *carrier_call, const char *to,
                             int64_t now_ms, struct pat_id *before)
{
    const char *secret = r->conf->call_secret;
    int64_t border_ms = now_ms - now_ms % BORDER_MS;
    uint8_t hash[32] = { 0 };
    char text[CALLREF_ID_MAX + 64];

    before->s[0] = 0;
    snprintf(text, sizeof text, "call|%s|%s", carrier_call, to);
    if (pat_hmac_sha256(secret, strlen(secret), text, strlen(text), hash))
        return pat_id_new();
    if (now_ms - border_ms < REPEAT_MS)
        *before = pat_id_at(border_ms - BORDER_MS, hash);
    return pat_id_at(border_ms, hash);
}

/* FNV-1a over the end: the beginning is the time. */
static size_t place(const char *call)
{
    uint32_t h = 2166136261U;

    for (; *call; call++)
        h = (h ^ (unsigned char)*call) * 16777619U;
    return h % PLACES;
}

void repeat_note(struct router *r, const struct callref *ref)
{
    struct entry *e = &r->repeats->entries[place(ref->call.s)], *oldest = e;

    for (int i = 0; i < WINDOW; i++) {
        if (!strcmp(e[i].ref.call.s, ref->call.s)) {
            oldest = &e[i];
            break;
        }
        if (e[i].at_ms < oldest->at_ms)
            oldest = &e[i];
    }
    oldest->ref = *ref;
    oldest->at_ms = pat_now_ms();
}

const struct callref *repeat_find(const struct router *r, const char *call)
{
    const struct entry *e = &r->repeats->entries[place(call)];

    for (int i = 0; i < WINDOW; i++)
        if (!strcmp(e[i].ref.call.s, call))
            return pat_now_ms() - e[i].at_ms < REPEAT_MS ? &e[i].ref : NULL;
    return NULL;
}

/* ------------------------------------------------------------------ of other routers */

struct looking {
    struct router *r;
    struct pat_id call;
    repeat_fn *fn;
    void *arg;
};

static void on_kv(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct looking *l = arg;
    enum carrier_form form;
    struct callref ref;
    bool found = !err && !leg_read_note(&ref, &form, l->r, l->call.s, data, len);

    (void)revision;
    l->fn(found ? &ref : NULL, l->arg);
    free(l);
}

int repeat_look(struct router *r, const char *call, repeat_fn *fn, void *arg)
{
    struct looking *l;
    char key[64];
    int err;

    if (!pat_bus_up(r->d->bus))
        return PAT_EUNAVAIL;
    l = malloc(sizeof *l);
    if (!l)
        return PAT_ENOMEM;
    *l = (struct looking){ .r = r, .fn = fn, .arg = arg };
    pat_strcpy(l->call.s, sizeof l->call.s, call);
    snprintf(key, sizeof key, "%s.leg", call);
    err = pat_kv_get(r->d->bus, LEG_BUCKET, key, LOOK_MS, on_kv, l);
    if (err)
        free(l);
    return err;
}
