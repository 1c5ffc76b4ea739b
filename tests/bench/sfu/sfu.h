/* sfu.h - as much of a LiveKit server as N phone calls need, in one process on one socket.
 *
 * The agent's worker registers at /agent, rooms made by the server API become jobs, each job's
 * participant joins at /rtc/v1 and finds a caller of kind SIP on an active line. Nothing is
 * verified: it is for measuring on loopback. Thread: the loop's.
 */
#ifndef SFU_SFU_H
#define SFU_SFU_H

#include "caller.h"
#include "loop.h"

struct pat_net;
struct sfu;

int sfu_new(struct sfu **out, struct pat_loop *l, struct pat_net *n, const struct recording *r,
            size_t max_calls, int port) PAT_MUST_CHECK;
size_t sfu_greeted(const struct sfu *s); /* calls whose conversation runs */
/* Counts from now on. */
void sfu_measure(struct sfu *s, struct figures *f);
void sfu_free(struct sfu *s);

#endif
