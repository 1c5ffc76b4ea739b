/* ctl.h - for integration tests: stop, freeze and start the servers, while the loop goes on.
 *
 * The other side is tests/harness/control.py; which servers there are is the test's there.
 */
#ifndef PAT_TEST_CTL_H
#define PAT_TEST_CTL_H

#include "loop.h"

/* "nats pause". Runs the loop until it is done. Fails the test when it does not succeed. */
void ctl(struct pat_loop *l, const char *command);
/* Starts it and returns; done becomes true on the loop. */
struct ctl_job {
    char command[80];
    char answer[200];
    bool done;
};
void ctl_start(struct pat_loop *l, struct ctl_job *job, const char *command);
/* Lets ms go by with the loop turning: for outages of a given length. */
void ctl_pass(struct pat_loop *l, int64_t ms);

#endif
