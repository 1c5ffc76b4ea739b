/* journal_seen.c - which events were told lately, so that none is told twice.
 *
 * A ring of the last ids, and chains through it from a hash table of as many heads. The oldest is
 * forgotten when a new one needs its place. Nothing is allocated.
 */
#include "journal_int.h"

#include <assert.h>

static_assert(JOURNAL_SEEN <= UINT16_MAX, "places are uint16_t, 0 is none");

/* 32 digits; dashes do not count. */
static struct seen_id pack(const struct pat_id *id)
{
    struct seen_id out = { { 0, 0 } };
    int n = 0;

    for (const char *s = id->s; *s; s++) {
        unsigned digit = (unsigned)(*s <= '9' ? *s - '0' : *s - 'a' + 10) & 15;

        if (*s == '-')
            continue;
        out.half[n / 16] = out.half[n / 16] << 4 | digit;
        if (++n == 32)
            break;
    }
    return out;
}

/* Fibonacci hashing: the high bits are the mixed ones. */
static uint16_t *head_of(struct seen *s, struct seen_id id)
{
    uint64_t mixed = (id.half[0] ^ id.half[1]) * UINT64_C(0x9e3779b97f4a7c15);

    return &s->heads[(mixed >> 32) % JOURNAL_SEEN];
}

static bool same(struct seen_id a, struct seen_id b)
{
    return a.half[0] == b.half[0] && a.half[1] == b.half[1];
}

bool journal_seen_has(struct seen *s, const struct pat_id *id)
{
    struct seen_id want = pack(id);

    for (uint16_t at = *head_of(s, want); at; at = s->next[at - 1])
        if (same(s->ids[at - 1], want))
            return true;
    return false;
}

static void forget(struct seen *s, uint16_t place)
{
    uint16_t *at = head_of(s, s->ids[place - 1]);

    while (*at != place)
        at = &s->next[*at - 1];
    *at = s->next[place - 1];
}

void journal_seen_add(struct seen *s, const struct pat_id *id)
{
    uint16_t place = (uint16_t)(s->n % JOURNAL_SEEN + 1);
    uint16_t *head;

    if (journal_seen_has(s, id))
        return;
    if (s->n >= JOURNAL_SEEN)
        forget(s, place);
    s->ids[place - 1] = pack(id);
    head = head_of(s, s->ids[place - 1]);
    s->next[place - 1] = *head;
    *head = place;
    s->n++;
}
