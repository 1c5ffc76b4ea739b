/* turn_log.h - writes down every event of a call's turn machine and what it led to, a line each.
 *
 * {"t":<ms since the call began>,"event":"final","n":5,"end":true,...,"state":"thinking",
 * "actions":["think","commit","play"]}. Times of events are whole, in µs ("us", "at_us"), so that
 * the log can be played again; words are not in it. Thread: the loop's; lines are collected and
 * written a few KiB at a time to a local file.
 */
#ifndef CALL_TURN_LOG_H
#define CALL_TURN_LOG_H

#include "pat.h"
#include "turn.h"

struct turn_log;

/* dir/<call id>.jsonl. opts are its first line. */
int turn_log_open(struct turn_log **out, const char *dir, const char *call_id, int64_t began_us,
                  const struct turn_opts *opts) PAT_MUST_CHECK;
void turn_log_add(struct turn_log *l, const struct turn_event *e, const struct turn *after,
                  const struct turn_out *out); /* NULL is fine */
void turn_log_close(struct turn_log *l);       /* NULL is fine */

#endif
