/* move.c - what is being done to a leg, and a small memory of it: see move.h.
 *
 * The table is a hash with a short window per place: a full window loses its oldest entry. Calls
 * live for minutes, and what is lost here is still in KV.
 */
#include "move.h"

#include <stdlib.h>
#include <string.h>

#define PLACES 4096 /* some 1.5 MB; ten minutes of seven calls a second, all of them moved */
#define WINDOW 8

static const char *const kinds[] = {
    [MOVE_TRANSFER] = "transfer",
    [MOVE_VOICEMAIL] = "voicemail",
    [MOVE_HANGUP] = "hangup",
    [MOVE_FALLBACK] = "fallback",
};
static const char *const states[] = {
    [MOVE_NONE] = "none",         [MOVE_ASKED] = "asked",       [MOVE_STARTED] = "started",
    [MOVE_ANSWERED] = "answered", [MOVE_ACCEPTED] = "accepted", [MOVE_BRIDGED] = "bridged",
    [MOVE_OVER] = "over"
};

struct move move_merge(const struct move *a, const struct move *b)
{
    bool b_later = b->n > a->n || (b->n == a->n && b->state > a->state);
    struct move m = b_later ? *b : *a;
    const struct move *other = b_later ? a : b;

    /* The leg may be known to one of them only. */
    if (m.n == other->n && !*m.leg)
        memcpy(m.leg, other->leg, sizeof m.leg);
    return m;
}

bool move_busy(const struct move *m, int64_t now_ms)
{
    return m->n && m->kind == MOVE_TRANSFER && m->state != MOVE_OVER && now_ms < m->until_ms;
}

int move_print(const struct move *m, struct pat_buf *out)
{
    PAT_AUTO_JSON j = pat_json_obj();

    pat_json_set_int(j, "n", m->n);
    pat_json_set_str(j, "kind", kinds[m->kind]);
    pat_json_set_str(j, "state", states[m->state]);
    pat_json_set_bool(j, "consult", m->consult);
    pat_json_set_str(j, "id", m->id);
    pat_json_set_str(j, "leg", m->leg);
    pat_json_set_str(j, "to", m->to);
    pat_json_set_str(j, "label", m->label);
    pat_json_set_int(j, "until_ms", m->until_ms);
    return pat_json_print_to(j, out);
}

static int find_name(const char *const *names, int n, const char *s)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], s))
            return i;
    return -1;
}

int move_read(struct move *out, const char *data, size_t len)
{
    PAT_AUTO_JSON j = NULL;
    struct move m = { 0 };
    int kind, state;
    int64_t n;

    if (pat_json_parse(&j, data, len, NULL))
        return PAT_EINVAL;
    n = pat_json_int_or(j, "n", 0);
    kind = find_name(kinds, MOVE_KINDS, pat_json_str_or(j, "kind", ""));
    state = find_name(states, MOVE_STATES, pat_json_str_or(j, "state", ""));
    if (n < 1 || n > 1000000 || kind < 0 || state < 0 ||
        !pat_strcpy(m.id, sizeof m.id, pat_json_str_or(j, "id", "")) ||
        !pat_strcpy(m.leg, sizeof m.leg, pat_json_str_or(j, "leg", "")) ||
        !pat_strcpy(m.to, sizeof m.to, pat_json_str_or(j, "to", "")) ||
        !pat_strcpy(m.label, sizeof m.label, pat_json_str_or(j, "label", "")))
        return PAT_EINVAL;
    m.n = (unsigned)n;
    m.kind = (enum move_kind)kind;
    m.state = (enum move_state)state;
    m.consult = pat_json_bool_or(j, "consult", false);
    m.until_ms = pat_json_int_or(j, "until_ms", 0);
    *out = m;
    return PAT_OK;
}

/* ------------------------------------------------------------------ the table */

struct entry {
    char call[PAT_ID_LEN + 1]; /* "" : free */
    int64_t epoch;
    uint64_t used_at; /* counts uses */
    struct move move;
};

struct moves {
    uint64_t uses;
    struct entry entries[PLACES + WINDOW];
};

int moves_new(struct moves **out)
{
    struct moves *m = calloc(1, sizeof *m);

    if (!m)
        return PAT_ENOMEM;
    *out = m;
    return PAT_OK;
}

void moves_free(struct moves *m)
{
    free(m);
}

/* FNV-1a: ids are random enough for anything. */
static size_t place(const char *call)
{
    uint32_t h = 2166136261U;

    for (; *call; call++)
        h = (h ^ (unsigned char)*call) * 16777619U;
    return h % PLACES;
}

static const struct entry *find(const struct moves *m, const char *call)
{
    const struct entry *e = &m->entries[place(call)];

    for (int i = 0; i < WINDOW; i++)
        if (!strcmp(e[i].call, call))
            return &e[i];
    return NULL;
}

static struct entry *find_or_make(struct moves *m, const char *call)
{
    struct entry *e = &m->entries[place(call)], *oldest = e;

    for (int i = 0; i < WINDOW; i++) {
        if (!strcmp(e[i].call, call)) {
            oldest = &e[i];
            break;
        }
        if (e[i].used_at < oldest->used_at)
            oldest = &e[i];
    }
    if (strcmp(oldest->call, call)) {
        *oldest = (struct entry){ 0 };
        pat_strcpy(oldest->call, sizeof oldest->call, call);
    }
    oldest->used_at = ++m->uses;
    return oldest;
}

const struct move *moves_find(const struct moves *m, const char *call)
{
    static const struct move none = { 0 };
    const struct entry *e = find(m, call);

    return e ? &e->move : &none;
}

void moves_put(struct moves *m, const char *call, const struct move *mv)
{
    struct entry *e = find_or_make(m, call);

    e->move = move_merge(&e->move, mv);
}

int64_t moves_epoch(const struct moves *m, const char *call)
{
    const struct entry *e = find(m, call);

    return e ? e->epoch : 0;
}

void moves_see_epoch(struct moves *m, const char *call, int64_t epoch)
{
    struct entry *e = find_or_make(m, call);

    if (epoch > e->epoch)
        e->epoch = epoch;
}
