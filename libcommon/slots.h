/* slots.h - things found by number: a table that hands out ids and never hands one out twice.
 *
 * An id is a place in the table and a generation, so that a late answer to something that has gone
 * finds nothing instead of somebody else. Find, add and take cost the same however full it is. 0 is
 * no id. The things stay their owners'. Thread: one.
 */
#ifndef PAT_SLOTS_H
#define PAT_SLOTS_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct pat_slot {
    void *thing;         /* NULL: free */
    uint32_t generation; /* of the present or last tenant */
    uint32_t next_free;  /* place + 1 while free, 0: none */
};

/* Zeroed is empty. */
struct pat_slots {
    struct pat_slot *slots;
    uint32_t cap;
    uint32_t free_head; /* place + 1 */
    uint32_t used;
};

void pat_slots_fini(struct pat_slots *s);
/* 0: out of memory. thing may not be NULL. */
uint64_t pat_slots_add(struct pat_slots *s, void *thing) PAT_MUST_CHECK;
/* NULL: gone, or never was. take also frees the place. */
void *pat_slots_find(const struct pat_slots *s, uint64_t id);
void *pat_slots_take(struct pat_slots *s, uint64_t id);
/* Walks: the next thing at or behind *place, NULL at the end. */
void *pat_slots_next(const struct pat_slots *s, uint32_t *place);
/* Where in a table of the same size a thing with this id would stand. */
#define PAT_SLOT_PLACE(id) ((uint32_t)((id)&0xffffffffU) - 1)

#endif
