/* recorder_join.c - one file out of stored pieces: list, read in order, write, tell, delete.
 *
 * How: one recording at a time, a piece at a time, so that memory is bounded by one part of an
 * upload. Whatever fails, the whole is begun anew after a pause: the pieces are still there. They
 * are deleted in order and only after the file is stored, so that a second process that joins the
 * same recording finds either all of them or the first one gone.
 */
#include "recorder_int.h"

#include <stdlib.h>
#include <string.h>

enum {
    STORE_MS = RECORD_STORE_MS,
    WRITE_MS = 60000,
    PIECE_BYTES = 4 << 20,
    PIECES_MAX = 30000, /* a day of the shortest */
    PARTS_MAX = 1000,
    TRIES = 8, /* then the reaper has it */
    TAG_MAX = 80,
};

#define WHOLE_MAX ((size_t)128 << 20) /* of a store that takes no parts */

struct joining {
    struct recorder *r;
    struct keep *keep;
    char folder[RECORD_KEY], object[RECORD_OBJECT_MAX];
    struct record_piece *pieces;
    size_t n, at;
    char last[RECORD_PIECE_NAME];
    struct record_join file;
    struct pat_buf out;
    int64_t bytes;
    bool ended; /* the last page is in out */
    char *upload;
    char *tags[PARTS_MAX];
    size_t parts;
};

static void list_more(struct joining *j);
static void read_next(struct joining *j);
static void delete_next(struct joining *j);

static void joining_free(struct joining *j)
{
    free(j->pieces);
    free(j->upload);
    for (size_t i = 0; i < j->parts; i++)
        free(j->tags[i]);
    pat_buf_fini(&j->out);
    free(j);
}

void recorder_drop_join(struct recorder *r)
{
    if (!r->joining)
        return;
    pat_store_forget(r->store, r->joining);
    joining_free(r->joining);
    r->joining = NULL;
}

static void fail(struct joining *j, int err, const char *at)
{
    struct recorder *r = j->r;
    int64_t pause_ms = pat_retry_next_ms(&r->join_retry, pat_random32());

    pat_counter_add(r->store_errors, 1);
    pat_log(PAT_WARN, "record.not_joined", PAT_S("call", j->keep->call_id), PAT_S("at", at),
            PAT_ERR(err), PAT_I("again_ms", pause_ms));
    recorder_drop_join(r);
    pat_timer_start(&r->join_again, pause_ms);
}

/* The keep is done with; the next one may begin. */
static void over(struct joining *j)
{
    struct recorder *r = j->r;
    struct keep *k = j->keep;

    pat_retry_reset(&r->join_retry);
    recorder_drop_join(r);
    keep_drop(k);
    recorder_step(r);
}

static void tell_stored(struct joining *j)
{
    const struct keep_told told = { "stored", true, j->file.pos / 48, j->file.filled / 48,
                                    j->bytes };

    pat_counter_add(j->r->stored, 1);
    pat_log(PAT_INFO, "record.stored", PAT_S("call", j->keep->call_id),
            PAT_S("name", j->keep->name), PAT_I("pieces", (int64_t)j->n), PAT_I("bytes", j->bytes),
            PAT_I("duration_ms", told.duration_ms), PAT_I("filled_ms", told.filled_ms));
    keep_tell(j->keep, &told);
}

/* ------------------------------------------------------------------ deleting */

static void on_deleted(int err, const struct pat_store_res *res, void *arg)
{
    struct joining *j = arg;

    (void)res;
    if (err) { /* they take room and do no harm */
        pat_log(PAT_WARN, "record.pieces_left", PAT_S("call", j->keep->call_id), PAT_ERR(err),
                PAT_I("pieces", (int64_t)(j->n - j->at)));
        over(j);
        return;
    }
    j->at++;
    delete_next(j);
}

static void piece_key(const struct joining *j, size_t i, char out[RECORD_KEY])
{
    char name[RECORD_PIECE_NAME];

    record_piece_name(name, &j->pieces[i]);
    (void)snprintf(out, RECORD_KEY, "%.*s%s", (int)(RECORD_KEY - RECORD_PIECE_NAME), j->folder,
                   name);
}

static void delete_next(struct joining *j)
{
    char key[RECORD_KEY];

    if (j->at == j->n) {
        over(j);
        return;
    }
    piece_key(j, j->at, key);
    if (pat_store_delete(j->r->store, key, STORE_MS, on_deleted, j))
        over(j);
}

/* ------------------------------------------------------------------ writing */

static void on_whole(int err, const struct pat_store_res *res, void *arg)
{
    struct joining *j = arg;

    (void)res;
    if (err) {
        fail(j, err, "write");
        return;
    }
    tell_stored(j);
    j->at = 0;
    delete_next(j);
}

static void on_part(int err, const struct pat_store_res *res, void *arg)
{
    struct joining *j = arg;
    char *tag = err ? NULL : strdup(res->data);

    if (!tag || j->parts == PARTS_MAX) {
        free(tag);
        fail(j, err ? err : PAT_E2BIG, "part");
        return;
    }
    j->tags[j->parts++] = tag;
    pat_buf_reset(&j->out);
    if (!j->ended) {
        read_next(j);
        return;
    }
    err = pat_store_end(j->r->store, j->object, j->upload, (const char *const *)j->tags, j->parts,
                        WRITE_MS, on_whole, j);
    if (err)
        fail(j, err, "end");
}

static void write_part(struct joining *j)
{
    int err;

    j->bytes += (int64_t)j->out.len;
    err = pat_store_part(j->r->store, j->object, j->upload, (int)j->parts + 1, j->out.data,
                         j->out.len, WRITE_MS, on_part, j);
    if (err)
        fail(j, err, "part");
}

static void on_upload(int err, const struct pat_store_res *res, void *arg)
{
    struct joining *j = arg;

    if (!err && !(j->upload = strdup(res->data)))
        err = PAT_ENOMEM;
    if (err)
        fail(j, err, "begin");
    else
        write_part(j);
}

static void write_out(struct joining *j)
{
    int err;

    if (j->upload) {
        write_part(j);
    } else if (j->ended) {
        j->bytes = (int64_t)j->out.len;
        err = pat_store_put(j->r->store, j->object, RECORD_TYPE, j->out.data, j->out.len, WRITE_MS,
                            on_whole, j);
        if (err)
            fail(j, err, "write");
    } else {
        err = pat_store_begin(j->r->store, j->object, RECORD_TYPE, STORE_MS, on_upload, j);
        if (err)
            fail(j, err, "begin");
    }
}

/* ------------------------------------------------------------------ reading */

/* When the epoch after this piece's began. */
static int64_t successor(const struct joining *j, size_t i)
{
    int64_t before = INT64_MAX;

    for (size_t k = i + 1; k < j->n; k++)
        if (j->pieces[k].epoch > j->pieces[i].epoch && j->pieces[k].from < before)
            before = j->pieces[k].from;
    return before;
}

static void on_piece(int err, const struct pat_store_res *res, void *arg)
{
    struct joining *j = arg;

    if (!err)
        err = record_join_piece(&j->file, &j->pieces[j->at], successor(j, j->at), res->data,
                                res->len, j->keep->call_id, &j->out);
    if (err == PAT_EPROTO) { /* silence where it was broken */
        pat_log(PAT_ERROR, "record.piece_broken", PAT_S("call", j->keep->call_id),
                PAT_I("piece", j->pieces[j->at].number));
        err = PAT_OK;
    }
    if (err) {
        fail(j, err, "read");
        return;
    }
    j->at++;
    read_next(j);
}

static void read_next(struct joining *j)
{
    size_t part = pat_store_part_min(j->r->store);
    char key[RECORD_KEY];
    int err;

    if (j->at == j->n && !j->ended) {
        j->ended = true;
        err = record_join_end(&j->file, &j->out);
        if (err) {
            fail(j, err, "end");
            return;
        }
    }
    if (j->ended || (part && j->out.len >= part)) {
        write_out(j);
        return;
    }
    piece_key(j, j->at, key);
    err = pat_store_get(j->r->store, key, PIECE_BYTES, STORE_MS, on_piece, j);
    if (err)
        fail(j, err, "read");
}

/* ------------------------------------------------------------------ listing */

/* Another process has joined it, or nothing was ever stored. */
static void on_probe(int err, const struct pat_store_res *res, void *arg)
{
    struct joining *j = arg;

    (void)res;
    if (!err || err == PAT_E2BIG) {
        pat_log(PAT_INFO, "record.joined_already", PAT_S("call", j->keep->call_id));
        j->at = 0;
        delete_next(j);
    } else if (err == PAT_ENOENT && j->n) {
        read_next(j);
    } else if (err == PAT_ENOENT) {
        const struct keep_told told = { "failed", true, -1, -1, -1 };
        pat_counter_add(j->r->failed, 1);
        pat_log(PAT_ERROR, "record.nothing_stored", PAT_S("call", j->keep->call_id));
        keep_tell(j->keep, &told);
        over(j);
    } else {
        fail(j, err, "probe");
    }
}

static void listed(struct joining *j)
{
    int err;

    qsort(j->pieces, j->n, sizeof *j->pieces, record_piece_compare);
    if (j->n && j->pieces[0].number == 0) {
        read_next(j);
        return;
    }
    err = pat_store_get(j->r->store, j->object, 1, STORE_MS, on_probe, j);
    if (err)
        fail(j, err, "probe");
}

static int add_names(struct joining *j, const struct pat_store_res *res)
{
    struct record_piece *more = realloc(j->pieces, (j->n + res->n + 1) * sizeof *more);

    if (!more || j->n + res->n > PIECES_MAX)
        return more ? (j->pieces = more, PAT_E2BIG) : PAT_ENOMEM;
    j->pieces = more;
    for (size_t i = 0; i < res->n; i++)
        if (!record_piece_parse(&j->pieces[j->n], res->names[i]))
            j->n++;
    if (res->n)
        (void)pat_strcpy(j->last, sizeof j->last, res->names[res->n - 1]);
    return PAT_OK;
}

static void on_list(int err, const struct pat_store_res *res, void *arg)
{
    struct joining *j = arg;

    if (!err)
        err = add_names(j, res);
    if (err)
        fail(j, err, "list");
    else if (res->more)
        list_more(j);
    else
        listed(j);
}

static void list_more(struct joining *j)
{
    int err =
        pat_store_list(j->r->store, j->folder, j->n, j->n ? j->last : NULL, STORE_MS, on_list, j);

    if (err)
        fail(j, err, "list");
}

static struct keep *ready(struct recorder *r)
{
    for (struct keep *k = r->keeps; k; k = k->next)
        if (k->over && !k->left && !k->sending)
            return k;
    return NULL;
}

void recorder_join_next(struct recorder *r)
{
    struct keep *k = r->joining || pat_timer_running(&r->join_again) ? NULL : ready(r);
    struct joining *j;
    uint8_t hash[32];

    if (!k)
        return;
    if (r->join_retry.attempts >= TRIES) {
        /* Its row goes quiet, and somebody tries again in a while. */
        pat_log(PAT_ERROR, "record.given_up", PAT_S("call", k->call_id));
        pat_retry_reset(&r->join_retry);
        keep_drop(k);
        recorder_step(r);
        return;
    }
    j = calloc(1, sizeof *j);
    if (!j) {
        pat_timer_start(&r->join_again, STORE_MS);
        return;
    }
    j->r = r;
    j->keep = k;
    keep_folder(k, j->folder);
    keep_object(k, j->object);
    pat_sha256(k->call_id, strlen(k->call_id), hash);
    record_join_init(&j->file, (uint32_t)(hash[0] | hash[1] << 8 | hash[2] << 16) | 1);
    pat_buf_init(&j->out, WHOLE_MAX);
    r->joining = j;
    list_more(j);
}
