/* recorder_int.h - the inside of the recorder, shared by record*.c and nobody else.
 *
 *   record.c         one recording: clocks, mix, pages, pieces
 *   recorder.c       life; the recordings kept, their rows and events
 *   recorder_send.c  pieces on their way to the store
 *   recorder_join.c  one file out of stored pieces
 *   recorder_reap.c  signs of life; those of others that ended without a word
 */
#ifndef RECORDER_INT_H
#define RECORDER_INT_H

#include "piece.h"
#include "record.h"
#include "recorder.h"

#define RECORD_TYPE "audio/ogg"

enum {
    RECORD_SENDING = 4, /* pieces under way at once */
    RECORD_STORE_MS = 10000,
    RECORD_KEY = RECORD_OBJECT_MAX + RECORD_PIECE_NAME + 8,
};

/* A recording as the recorder knows it, until it is joined or left. */
struct keep {
    struct keep *next;
    struct recorder *r;
    char call_id[PAT_ID_LEN + 1], user_id[PAT_ID_LEN + 1], name[RECORD_NAME_MAX];
    int epoch;
    int64_t began_ms;
    int sending; /* pieces not stored yet */
    bool over;   /* no more pieces come */
    bool left;   /* and others go on with it */
    bool reaped; /* it was another process's */
};

struct sending {
    struct sending *next;
    struct recorder *r;
    struct keep *keep;
    char key[RECORD_KEY];
    struct pat_buf data;
    bool out; /* at the store just now */
};

struct joining;

struct recorder {
    struct recorder_opts o;
    struct pat_store *store;
    struct keep *keeps;

    struct sending *first, *last;
    size_t waiting; /* bytes */
    int out;
    bool held; /* after a failure: one try at a time */
    struct pat_retry retry;
    struct pat_timer again;

    struct joining *joining; /* one at a time */
    struct pat_timer join_again;
    struct pat_retry join_retry;

    struct pat_timer life;
    int up_for; /* signs of life in a row that Postgres was there */
    pat_db_id reaping;

    bool closing;
    struct pat_timer close_limit;
    struct pat_task close_task;
    pat_loop_fn *closed;
    void *closed_arg;

    struct pat_counter *pieces, *dropped, *store_errors, *stored, *failed;
    struct pat_gauge *waiting_gauge;
};

/* recorder.c */
struct keep *keep_new(struct recorder *r, const struct record_opts *o, int64_t began_ms);
void keep_object(const struct keep *k, char out[RECORD_OBJECT_MAX]);
void keep_folder(const struct keep *k, char out[RECORD_KEY]); /* of its pieces */
struct keep_told {
    const char *state;
    bool once;                             /* the event's id is made of the state */
    int64_t duration_ms, filled_ms, bytes; /* negative: not known */
};
void keep_tell(const struct keep *k, const struct keep_told *t);
void keep_step(struct keep *k); /* a piece is stored, or it is over */
void keep_drop(struct keep *k);
void recorder_step(struct recorder *r); /* something ended: the next join, or the close */

/* recorder_send.c */
void recorder_send(struct keep *k, const struct record_piece *p, struct pat_buf *data_take);
void recorder_send_next(struct recorder *r);
void recorder_drop_sending(struct recorder *r);

/* recorder_join.c */
void recorder_join_next(struct recorder *r);
void recorder_drop_join(struct recorder *r);

/* recorder_reap.c */
int recorder_live(struct recorder *r);
void recorder_die(struct recorder *r);

#endif
