/* replay.h - stored webhooks are put back, a batch at a time: for the RPC and for the command line.
 *
 * Each batch is a transaction of its own; one that fails leaves those before it put back. Thread:
 * the loop's.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "relay.h"

#include <stdio.h>

/* Which: one (id), those of a sender or of all (since, until, source), or what is parked. Texts as
 * Postgres reads them, NULL: not said. */
struct replay_which {
    char id[PAT_ID_LEN + 1]; /* "": not one */
    char source[32];
    char since[40];
    char until[40];
    bool parked;
    int64_t max;
};

/* PAT_EINVAL: nothing, or things that do not go together; why names it. */
int replay_check(const struct replay_which *w, const char **why);

/* fn gets how many were put back; with an error, how many until then. more: there are others. why:
 * Postgres' words, or NULL. On an error from the start fn does not run. */
typedef void replay_fn(int err, int64_t n, bool more, const char *why, void *arg);
int replay_start(struct pat_db *db, const struct replay_which *w, replay_fn *fn,
                 void *arg) PAT_MUST_CHECK;

#endif
