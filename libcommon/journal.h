/* journal.h - write-behind: what happened goes to NATS at once and to Postgres in
 * order, without anybody waiting.
 *
 * An event is published with its id as Nats-Msg-Id, and stored (patchbay.call_events when its area
 * is call or turn, and patchbay.outbox) in the same unit as the statements added with it. Once the
 * stream has acknowledged it, its outbox row is marked published; what stays unmarked the
 * webhook-relay's sweep publishes again (consumers see the id once). Batches: up to 64 entries per
 * commit. While Postgres is away entries wait, in order, up to max_entries; beyond that adding is
 * PAT_EAGAIN and counted. With a spool file, entries are also kept there until stored, and read
 * back at start. Those added in one turn of the loop are appended by one write(2) before the loop
 * waits, or at pat_journal_sync: what was synced, and what any earlier turn added, survives the
 * death of the process (that of the machine it may not). Who answers somebody only once an entry is
 * safe calls sync before it answers. Thread: the loop's.
 */
#ifndef PAT_JOURNAL_H
#define PAT_JOURNAL_H

#include "bus.h"
#include "db.h"
#include "event.h"

struct pat_journal;

struct pat_journal_opts {
    size_t max_entries;     /* 0: 100,000 */
    const char *spool_file; /* NULL: memory only */
    struct pat_metrics *metrics;
};

/* db or bus may be NULL in tests: that half is skipped. */
int pat_journal_new(struct pat_journal **out, struct pat_loop *l, struct pat_db *db,
                    struct pat_bus *bus, const struct pat_journal_opts *opts) PAT_MUST_CHECK;
/* An event and, optionally, statements that belong to it (copied; must be idempotent: they may run
 * again after a lost connection). data is taken over. e NULL: only the statements. n 0: only the
 * event. PAT_ECANCELED: closing, or j is NULL (closed already: what ends late tells nothing more).
 * An event with an id of its own that was told already (see below) is dropped: what is left
 * are the statements. */
int pat_journal_add(struct pat_journal *j, const struct pat_event *e, struct pat_json *data_take,
                    const struct pat_db_stmt *stmts, size_t n) PAT_MUST_CHECK;
/* The same with data as text, a well-formed JSON object, borrowed. e may not be NULL. */
int pat_journal_add_text(struct pat_journal *j, const struct pat_event *e, const char *data,
                         const struct pat_db_stmt *stmts, size_t n) PAT_MUST_CHECK;
/* Puts what was added in this turn into the spool file now. Should that fail (no room), the entries
 * are on their way to NATS and Postgres all the same, and it is tried again. */
void pat_journal_sync(struct pat_journal *j);
/* Was an event with this id added already, among the last 4096 that came with one, or found in the
 * spool file? Of this process: another replica may tell it too, under the same id. */
bool pat_journal_told(struct pat_journal *j, const struct pat_id *id);
size_t pat_journal_pending(const struct pat_journal *j);
/* Stores what is pending for at most timeout_ms, then frees the journal and calls closed(arg). */
void pat_journal_close(struct pat_journal *j, int64_t timeout_ms, pat_loop_fn *closed, void *arg);

#endif
