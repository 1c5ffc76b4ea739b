/* recorder.h - recordings of the process: pieces sent to the object store, files made of them.
 *
 * A recording (record.h) gives its pieces here every few seconds; they go to the store as objects
 * of their own, tried again while it is away, within a limit of memory. When a recording ends, its
 * pieces are read back and joined into one object, and only then is it told (call.recording,
 * state stored) and the pieces deleted. A recording whose process died is joined by any other
 * process that finds its row in patchbay.recordings gone quiet: the reaper.
 * Life: recorder_new -> recordings -> recorder_close -> closed(arg) -> it is gone. Thread: the
 * loop's.
 */
#ifndef RECORDER_H
#define RECORDER_H

#include "pat.h"

struct recorder;

struct recorder_opts {
    struct pat_loop *loop;
    struct pat_http *http;
    struct pat_db *db; /* NULL: no reaper */
    struct pat_journal *journal;
    struct pat_metrics *metrics;
    struct pat_store_opts store;
    int64_t piece_ms;   /* sound in a piece */
    int64_t quiet_ms;   /* a recording not heard of for so long is joined by others */
    size_t max_waiting; /* bytes not yet stored; beyond, pieces are lost (and counted) */
};

int recorder_new(struct recorder **out, const struct recorder_opts *o) PAT_MUST_CHECK;
/* Sends what waits and finishes what ended, for at most timeout_ms; the rest is the reaper's. The
 * recordings themselves have to be ended before. */
void recorder_close(struct recorder *r, int64_t timeout_ms, pat_loop_fn *closed, void *arg);
/* At once, without ceremony. NULL is fine. */
void recorder_free(struct recorder *r);
/* The journal is closing: nothing more is told. */
size_t recorder_waiting(const struct recorder *r); /* bytes */

#endif
