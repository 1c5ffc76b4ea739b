/* tz.h - local time of a named time zone, without touching the process's own.
 *
 * Reads the system's zone files (TZif, RFC 9636) itself: localtime_r knows one zone per process,
 * and changing that is a race. A zone is read once and then pure; reading is one small file.
 * Thread: any; a zone is never changed once made.
 */
#ifndef PAT_TZ_H
#define PAT_TZ_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct pat_tz;

/* "Europe/Berlin" from PAT_TZ_DIR; "UTC" always works. PAT_EINVAL: no zone's name; PAT_ENOENT: the
 * system does not have it; PAT_EPROTO: a broken file. */
#define PAT_TZ_DIR "/usr/share/zoneinfo"
int pat_tz_load(struct pat_tz **out, const char *name) PAT_MUST_CHECK;
/* The bytes of a zone file. */
int pat_tz_parse(struct pat_tz **out, const void *data, size_t len) PAT_MUST_CHECK;
void pat_tz_free(struct pat_tz *z);

/* Seconds east of UTC at that moment. */
int32_t pat_tz_offset(const struct pat_tz *z, int64_t unix_s);

struct pat_local {
    int year, month, day, hour, minute, second; /* month and day from 1 */
    int weekday;                                /* 0: Sunday; not read by pat_tz_unix */
};
void pat_tz_local(const struct pat_tz *z, int64_t unix_s, struct pat_local *out);
/* PAT_EINVAL: no such date or time; PAT_ENOENT: the clocks skip it. Of a time that comes twice the
 * first one. */
int pat_tz_unix(const struct pat_tz *z, const struct pat_local *l, int64_t *unix_s) PAT_MUST_CHECK;

/* "2026-11-23T15:30", with or without seconds, "T" or a blank. With "Z" or "+01:00" behind it:
 * *has_offset, and *offset_s. PAT_EINVAL: nothing of the kind. */
int pat_local_parse(const char *text, struct pat_local *out, bool *has_offset,
                    int32_t *offset_s) PAT_MUST_CHECK;

#endif
