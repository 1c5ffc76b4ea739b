/* slots.c - an array with a free list; the id is (generation << 32) | (place + 1).
 *
 * Grows by doubling and never shrinks: its size is the most that was ever alive at once.
 */
#include "slots.h"

#include <stdlib.h>

enum { FIRST_CAP = 16 };

void pat_slots_fini(struct pat_slots *s)
{
    free(s->slots);
    *s = (struct pat_slots){ 0 };
}

static int grow(struct pat_slots *s)
{
    uint32_t cap = s->cap ? s->cap * 2 : FIRST_CAP;
    struct pat_slot *slots = cap > s->cap ? realloc(s->slots, cap * sizeof *slots) : NULL;

    if (!slots)
        return PAT_ENOMEM;
    for (uint32_t i = s->cap; i < cap; i++)
        slots[i] = (struct pat_slot){ .next_free = i + 1 < cap ? i + 2 : 0 };
    s->free_head = s->cap + 1;
    s->slots = slots;
    s->cap = cap;
    return PAT_OK;
}

uint64_t pat_slots_add(struct pat_slots *s, void *thing)
{
    struct pat_slot *slot;
    uint32_t place;

    if (!s->free_head && grow(s))
        return 0;
    place = s->free_head - 1;
    slot = &s->slots[place];
    s->free_head = slot->next_free;
    slot->thing = thing;
    slot->generation++;
    s->used++;
    return (uint64_t)slot->generation << 32 | (place + 1);
}

static struct pat_slot *slot_of(const struct pat_slots *s, uint64_t id)
{
    uint32_t place = PAT_SLOT_PLACE(id);

    if (place >= s->cap || !s->slots[place].thing || s->slots[place].generation != id >> 32)
        return NULL;
    return &s->slots[place];
}

void *pat_slots_find(const struct pat_slots *s, uint64_t id)
{
    struct pat_slot *slot = slot_of(s, id);

    return slot ? slot->thing : NULL;
}

void *pat_slots_take(struct pat_slots *s, uint64_t id)
{
    struct pat_slot *slot = slot_of(s, id);
    void *thing;

    if (!slot)
        return NULL;
    thing = slot->thing;
    slot->thing = NULL;
    slot->next_free = s->free_head;
    s->free_head = PAT_SLOT_PLACE(id) + 1;
    s->used--;
    return thing;
}

void *pat_slots_next(const struct pat_slots *s, uint32_t *place)
{
    while (*place < s->cap) {
        void *thing = s->slots[(*place)++].thing;

        if (thing)
            return thing;
    }
    return NULL;
}
