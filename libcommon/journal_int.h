/* journal_int.h - inside the journal: entries, what was told, and the spool file. For journal*.c
 * only. */
#ifndef PAT_JOURNAL_INT_H
#define PAT_JOURNAL_INT_H

#include "journal.h"
#include "metrics.h"
#include "retry.h"

#include <sys/queue.h>

enum {
    JOURNAL_MAX = 100000,
    JOURNAL_BATCH = 64,        /* entries per commit */
    JOURNAL_BATCH_STMTS = 500, /* of theirs, likewise */
    JOURNAL_LINGER_MS = 5,     /* for a batch to fill, and for NATS to acknowledge before the row */
    JOURNAL_MARK_MS = 200,     /* for acknowledged events to gather before they are marked */
    JOURNAL_MARKS = 1000,      /* in one statement */
    /* A repetition follows within seconds; at 300 calls/s of three such events each, 4.5 s fit. */
    JOURNAL_SEEN = 4096,
    JOURNAL_STORE_MS = 10000,
    JOURNAL_PUBLISH_MS = 30000, /* longer than NATS is usually away; then the sweep takes over */
    JOURNAL_RETRY_BASE_MS = 50,
    JOURNAL_RETRY_MAX_MS = 2000,
};
#define JOURNAL_BATCH_BYTES ((size_t)4 << 20)
#define JOURNAL_LINE_MAX    ((size_t)8 << 20)

/* Lives until it is stored and NATS has answered (or its answer is no longer waited for). */
struct entry {
    TAILQ_ENTRY(entry) link;
    TAILQ_ENTRY(entry) out; /* while it waits to be published */
    struct pat_journal *j;  /* NULL: the journal has gone, free it when NATS answers */
    bool publishing;        /* an answer is due */
    bool acked;
    bool marked;                 /* its row says that NATS has it */
    bool stored;                 /* or given up */
    bool bare;                   /* its statements were refused: the event alone */
    struct pat_event_text event; /* json NULL: statements only */
    size_t spooled;              /* bytes in the spool file */
    size_t n;
    struct pat_db_stmt *stmts;
};
TAILQ_HEAD(entries, entry);

struct spool {
    int fd; /* -1: none */
    char *path;
    struct pat_buf lines; /* not yet written */
    struct pat_task task; /* writes them before the loop waits */
    bool failing;         /* said so */
    bool gap;             /* not all that waits is in file and lines: it is to be written anew, */
    int64_t again_ms;     /* but not before */
    size_t size;          /* of the file */
    size_t live;          /* of file and lines, entries not yet stored */
};

struct seen_id {
    uint64_t half[2];
};

/* The last ids of events that are told once; 80 KiB. Zeroed: none. */
struct seen {
    struct seen_id ids[JOURNAL_SEEN];
    uint16_t next[JOURNAL_SEEN];  /* in its chain: a place in ids plus 1; 0: the last */
    uint16_t heads[JOURNAL_SEEN]; /* likewise, by hash */
    uint64_t n;                   /* ever added */
};

struct pat_journal {
    struct pat_loop *loop;
    struct pat_db *db; /* NULL: none, or it has gone */
    struct pat_bus *bus;
    size_t max_entries;
    struct entries waiting; /* for Postgres, in order; the first `flying` are in a unit */
    struct entries unsent;  /* by out: to be published together */
    struct entries told;    /* stored, NATS has not answered */
    size_t n;
    size_t flying;
    size_t solo; /* entries to be tried one by one, because a batch was refused */
    pat_db_id unit;
    struct pat_id *marks; /* acknowledged events whose rows do not say so */
    size_t n_marks, cap_marks;
    size_t marks_flying; /* the first of them, in a unit */
    struct pat_buf mark_text;
    struct pat_task publish_task;
    struct pat_timer timer;
    bool hurry; /* the timer is a linger, not a pause after a failure */
    struct pat_retry retry;
    struct spool spool;
    struct seen seen;
    struct pat_buf batch;
    bool closing;
    struct pat_timer close_timer;
    struct pat_task close_task;
    pat_loop_fn *closed;
    void *closed_arg;
    struct pat_counter *stored, *refused, *parked, *unpublished;
    struct pat_gauge *pending;
};

/* journal.c */
struct entry *journal_entry_new(size_t n, const struct pat_db_stmt *stmts);
void journal_entry_free(struct entry *e);
void journal_accept(struct pat_journal *j, struct entry *e);

/* journal_seen.c */
bool journal_seen_has(struct seen *s, const struct pat_id *id);
void journal_seen_add(struct seen *s, const struct pat_id *id);

/* journal_spool.c */
/* Opens and locks the file and takes in what an earlier process left there. */
int journal_spool_open(struct pat_journal *j, const char *path) PAT_MUST_CHECK;
int journal_spool_add(struct pat_journal *j, struct entry *e) PAT_MUST_CHECK;
void journal_spool_write(struct pat_journal *j);
void journal_spool_drop(struct pat_journal *j, struct entry *e); /* it is stored */
/* Appends the entry to <path>.parked, for a person to look at. */
void journal_spool_park(struct pat_journal *j, const struct entry *e);
void journal_spool_close(struct pat_journal *j);

#endif
