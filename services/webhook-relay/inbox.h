/* inbox.h - webhooks are stored many at a time, in one commit, and acknowledged when they are.
 *
 * While one batch is being committed the next one gathers; the news of a stored webhook goes out at
 * once (tell.c). One connection of its own, so that no other work is in front. Life: inbox_new ->
 * take -> inbox_free, which refuses what waits. Thread: the loop's.
 */
#ifndef INBOX_H
#define INBOX_H

#include "vendors.h"

struct inbox;

int inbox_new(struct inbox **out, struct relay *r) PAT_MUST_CHECK;
void inbox_free(struct inbox *ib); /* NULL is fine */

/* Replies when it is stored (200, a repeat as well), cannot be (400), or not in time (503). h is
 * borrowed; the request's body stays its own. mended_take: what is stored in its place, or NULL;
 * taken also on an error. len: of what is stored. On an error nothing has been replied. */
int inbox_take(struct inbox *ib, struct pat_httpd_req *http, const struct hook *h,
               char *mended_take, size_t len) PAT_MUST_CHECK;

#endif
