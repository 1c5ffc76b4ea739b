/* phrase_file.h - phrases in a directory: one file each, named by its key, for every process here.
 *
 * A file appears whole or not at all (written aside, then renamed) and carries a checksum; one that
 * is cut short or altered is removed and counts as absent. Reading renews its time, so that the
 * oldest is what was longest not asked for. The directory is the owner's alone (0700), its files
 * too. These functions block: they are for a pool thread, on arguments nobody else touches
 * meanwhile.
 */
#ifndef CALL_PHRASE_FILE_H
#define CALL_PHRASE_FILE_H

#include "phrase.h"

#define PHRASE_KEY 32 /* bytes: SHA-256 of voice, model, settings, tenant and text */

/* The keys a directory holds, by their first 8 bytes. */
struct phrase_index {
    uint64_t *keys; /* open addressing; 0: free */
    size_t n, cap;
    int64_t changed_ns; /* the directory's time when it was read */
    uint64_t bytes;     /* of all files */
};

bool phrase_index_has(const struct phrase_index *x, const uint8_t key[PHRASE_KEY]);
int phrase_index_add(struct phrase_index *x, const uint8_t key[PHRASE_KEY]);
void phrase_index_fini(struct phrase_index *x);

/* Makes the directory where it is missing. */
int phrase_dir_make(const char *dir) PAT_MUST_CHECK;
/* Reads the directory into x (its former content is replaced) when it has changed since, and
 * removes the files longest not asked for until max_bytes hold the rest. PAT_EEXIST: unchanged. */
int phrase_dir_scan(const char *dir, uint64_t max_bytes, struct phrase_index *x) PAT_MUST_CHECK;
int phrase_file_write(const char *dir, const uint8_t key[PHRASE_KEY],
                      const struct phrase *p) PAT_MUST_CHECK;
/* PAT_ENOENT: none; PAT_EPROTO: it was damaged and is gone now. */
int phrase_file_read(const char *dir, const uint8_t key[PHRASE_KEY],
                     struct phrase **out) PAT_MUST_CHECK;
/* It is used, though not read. */
void phrase_file_touch(const char *dir, const uint8_t key[PHRASE_KEY]);

#endif
