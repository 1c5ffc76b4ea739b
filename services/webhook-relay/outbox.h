/* outbox.h - one row of the outbox on its way, and what becomes of one that fails.
 *
 * outbox.c publishes; outbox_fail.c writes down what did not go: the row waits, each time longer,
 * and is parked when it is known to be at fault itself. Shared by these two only.
 */
#ifndef OUTBOX_H
#define OUTBOX_H

#include "relay.h"

#define OUTBOX_BATCH 100 /* rows published together: about 100 KB */

enum outbox_fate {
    ROW_WAITS, /* not its turn, or we had no room: nothing is said about it */
    ROW_KEPT,  /* its stream has it */
    ROW_FAILED,
};

struct outbox_row {
    struct outbox_lane *lane;
    struct pat_id id;
    enum outbox_fate fate;
    int err;
    char stream[32]; /* "pat.<area>": rows with the same go to the same stream */
    char why[160];
};

void outbox_row_stream(struct outbox_row *row, const char *subject);
/* err and m as pat_bus_js_publish tells them; m may be NULL. */
void outbox_row_answered(struct outbox_row *row, int err, const struct pat_msg *m);

/* The statement that notes what failed, of a batch whose every row has been answered. Borrows
 * nothing. Returns how many did. */
struct outbox_fail {
    struct pat_db_stmt stmt;
    const char *params[3];
    char *rows; /* $1 */
    char tries[24], patience_ms[24];
};
size_t outbox_fail_init(struct outbox_fail *f, const struct relay *r, const struct outbox_row *rows,
                        size_t n);
void outbox_fail_fini(struct outbox_fail *f);
void outbox_fail_log(const struct pat_db_result *noted);

#endif
