/* loop_until.h - for tests: run the loop until something is true, or fail naming what was awaited.
 *
 * Include after cmocka.h.
 */
#ifndef PAT_TEST_LOOP_UNTIL_H
#define PAT_TEST_LOOP_UNTIL_H

#include "loop.h"

/* Far above what any test needs, so that a busy machine does not fail it. */
#define LOOP_UNTIL_MS 10000

#define loop_until(loop, cond)                                                                     \
    do {                                                                                           \
        int64_t until_ms = pat_now_ms() + LOOP_UNTIL_MS;                                           \
        while (!(cond)) {                                                                          \
            if (pat_now_ms() >= until_ms)                                                          \
                fail_msg("did not happen in time: %s", #cond);                                     \
            pat_loop_run_once((loop), until_ms - pat_now_ms());                                    \
        }                                                                                          \
    } while (0)

#endif
