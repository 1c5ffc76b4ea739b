/* piece.h - the pieces a recording leaves the process in, and one file out of them. Pure.
 *
 * A piece is a few seconds of whole Ogg pages. Its name says all that is needed to put it in its
 * place, whoever wrote it: the epoch of the agent, its number within it, the time it begins and
 * ends at. Times are samples at 48 kHz since the recording began, so that an agent that takes a
 * call over needs to know nothing but when that was. Names sort in the order of time.
 * What is missing between pieces becomes silence; what an agent wrote after its successor had
 * begun is left out.
 */
#ifndef RECORD_PIECE_H
#define RECORD_PIECE_H

#include "ogg.h"

struct record_piece {
    int epoch;
    int number;
    int64_t from, to;
};

#define RECORD_PIECE_NAME 64 /* bytes, with the end */
void record_piece_name(char out[RECORD_PIECE_NAME], const struct record_piece *p);
/* name: the last segment of a key. PAT_EINVAL: not the name of a piece. */
int record_piece_parse(struct record_piece *p, const char *name) PAT_MUST_CHECK;
/* In the order of joining. */
int record_piece_compare(const void *a, const void *b);

/* One file in the making. */
struct record_join {
    struct ogg_page page;
    int64_t pos;    /* written up to here */
    int64_t filled; /* of it, silence for what is missing */
    bool begun;
};

void record_join_init(struct record_join *j, uint32_t serial);
/* The next piece's data, in order; appends to out. before: when the next epoch begins (INT64_MAX:
 * none does). PAT_EPROTO: a part of it was broken and is silence now. PAT_E2BIG: a gap of hours. */
int record_join_piece(struct record_join *j, const struct record_piece *p, int64_t before,
                      const void *data, size_t len, const char *title, struct pat_buf *out);
/* The last page. */
int record_join_end(struct record_join *j, struct pat_buf *out) PAT_MUST_CHECK;

#endif
