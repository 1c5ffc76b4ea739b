/* record_int.h - what the files of record.h share: an event of a call and what goes with it. */
#ifndef ROUTER_RECORD_INT_H
#define ROUTER_RECORD_INT_H

#include "record.h"
#include "text.h"

struct record_news {
    const char *name;        /* of the event */
    const struct pat_id *id; /* told once; NULL: each time */
    const struct pat_db_stmt *stmts;
    size_t n;
};
/* Begins an event's data. */
void record_about(struct text *data, const struct callref *c);
/* Ends and frees data. */
void record_say(struct router *r, const struct callref *c, const struct record_news *news,
                struct text *data);

#endif
