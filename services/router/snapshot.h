/* snapshot.h - the table of numbers in a file, for a start without Postgres.
 *
 * Life: snapshot_new -> snapshot_read -> snapshot_due, as often as the table changes ->
 * snapshot_free; what a pool thread is writing then is given up. Thread: the loop's.
 */
#ifndef ROUTER_SNAPSHOT_H
#define ROUTER_SNAPSHOT_H

#include "routes.h"

struct snapshot;

/* table is borrowed. file "": none is kept, and all of this does nothing. */
int snapshot_new(struct snapshot **out, struct pat_loop *loop, struct routes_table *table,
                 const char *file) PAT_MUST_CHECK;
void snapshot_free(struct snapshot *s);
/* Into the table. Start-up only: it reads synchronously. */
void snapshot_read(struct snapshot *s);
/* The table has changed: it is written soon. */
void snapshot_due(struct snapshot *s);
/* Nothing is begun while the table is being read anew. */
void snapshot_hold(struct snapshot *s, bool hold);

#endif
