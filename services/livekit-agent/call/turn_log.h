/* turn_log.h - writes down every event of a call's turn machine and what it led to, a line each;
 * and runs what was written again.
 *
 * {"version":2,"call":"<id>"}                                      first
 * {"opts":{"min_delay_ms":190,...}}                                before the first event, and when
 *                                                                  they change
 * {"us":812345,"event":"final","n":5,"end":true,"state":"thinking","actions":["think","commit",
 * "play"]}
 *
 * Times are µs since the call began; a field that is 0 or false is left out. No word of anybody is
 * in it. Thread: the loop's; lines are collected and written a few KiB at a time to a local file.
 */
#ifndef CALL_TURN_LOG_H
#define CALL_TURN_LOG_H

#include "pat.h"
#include "turn.h"

#include <stdio.h>

struct turn_log;

/* dir/<call id>.jsonl; when there is one (the call was served before), dir/<call id>.2.jsonl and so
 * on. */
int turn_log_open(struct turn_log **out, const char *dir, const char *call_id,
                  int64_t began_us) PAT_MUST_CHECK;
void turn_log_opts(struct turn_log *l,
                   const struct turn_opts *o); /* NULL is fine, here and below */
void turn_log_add(struct turn_log *l, const struct turn_event *e, const struct turn *after,
                  const struct turn_out *out);
void turn_log_close(struct turn_log *l);

/* Runs a log again: every event must lead to the same state and actions. What differs first is
 * told to report, with file and line. PAT_EINVAL: it differs, or is no log; PAT_EIO: cannot be
 * read. An unfinished last line is what a killed process leaves: it is passed over. */
int turn_replay(const char *path, FILE *report) PAT_MUST_CHECK;

#endif
