/* realtime.c - one system call.
 *
 * Threads of the pool (phrases being encoded, names resolved) keep the usual class: they may wait.
 */
#include "realtime.h"

#include "log.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

void realtime_begin(int priority)
{
    const struct sched_param p = { .sched_priority = priority };

    if (!priority)
        return;
    if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &p))
        pat_log(PAT_WARN, "agent.no_realtime", PAT_I("priority", priority),
                PAT_S("why", strerror(errno)));
    else
        pat_log(PAT_INFO, "agent.realtime", PAT_I("priority", priority));
}
