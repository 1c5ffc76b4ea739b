/* realtime.h - the loop's thread before all others of the machine, where the operator wants it.
 *
 * A packet every 20 ms is a promise that an ordinary process keeps only while a core is free: on a
 * busy machine it waits some 10 ms for its turn, though its own work takes a tenth of one.
 */
#ifndef CALL_REALTIME_H
#define CALL_REALTIME_H

/* SCHED_RR with this priority (1 to 99) for the calling thread, not for threads it starts; 0:
 * nothing happens. Where it may not (CAP_SYS_NICE, RLIMIT_RTPRIO) that is logged, and the agent
 * goes on as everybody. */
void realtime_begin(int priority);

#endif
