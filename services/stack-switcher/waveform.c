/* waveform.c - how loud recordings are over time: one is reckoned at a time, the others wait.
 *
 * Pieces come from the store and are decoded on a pool thread, one after the other; the result goes
 * into the recording's row, so that it is reckoned once. Who asks for the one that is being
 * reckoned gets the same answer. What cannot be decoded here (MP3) has no peaks.
 */
#include "loud.h"
#include "recordings_int.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 512 << 10, DB_MS = 5000, JOBS_MAX = 32, ASKERS_MAX = 8 };

struct job {
    struct job *next;
    struct waveforms *w; /* NULL: gone while a thread was at it */
    struct sound sound;
    struct pat_httpd_req *askers[ASKERS_MAX];
    int n_askers;
    struct loud *loud;
    uint64_t at, total;
    char *piece; /* while a thread is at it */
    size_t piece_len;
    int err;
};

struct waveforms {
    struct recordings *r;
    struct job *jobs; /* the first is under way */
    int n;
};

static void start(struct waveforms *w);

static void job_free(struct job *j)
{
    loud_free(j->loud);
    free(j->piece);
    sound_fini(&j->sound);
    free(j);
}

/* ------------------------------------------------------------------ how it ended */

static void on_kept(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    (void)results;
    (void)n;
    (void)arg;
    if (err)
        pat_log(PAT_WARN, "waveform.not_kept", PAT_ERR(err)); /* reckoned again when asked for */
}

static void keep(struct job *j, const char *peaks)
{
    static const char ours[] = "update patchbay.recordings set peaks = $2::jsonb where call_id = "
                               "$1::uuid and name = 'recording' and state = 'stored'";
    static const char theirs[] = "update patchbay.retell_legs set peaks = $2::jsonb where call_id "
                                 "= $1::uuid and segment = 1";
    const char *params[] = { j->sound.call, peaks };

    if (pat_db_run1(j->w->r->s->d->db, j->sound.remote ? "keep_remote_peaks" : "keep_peaks",
                    j->sound.remote ? theirs : ours, params, 2, DB_MS, on_kept, NULL, NULL))
        pat_log(PAT_WARN, "waveform.not_kept");
}

static void answer(struct job *j, int err, const char *peaks)
{
    for (int i = 0; i < j->n_askers; i++) {
        if (peaks)
            pat_httpd_reply(j->askers[i], 200, "application/json", peaks, strlen(peaks));
        else
            pat_httpd_reply_error(j->askers[i], err == PAT_ENOENT ? err : PAT_EUNAVAIL, NULL,
                                  sound_problem(&j->sound, err));
    }
    j->n_askers = 0;
}

static void finish(struct job *j, int err)
{
    struct waveforms *w = j->w;
    struct pat_buf text;

    pat_buf_init(&text, 64 << 10);
    if (!err)
        err = loud_print(j->loud, &text);
    if (err == PAT_EPROTO || (err == PAT_ENOENT && j->at && j->at >= j->total)) {
        pat_buf_reset(&text);
        err = pat_buf_adds(&text, "{\"duration_ms\":null,\"peaks\":[]}");
    }
    if (!err)
        keep(j, text.data);
    else
        pat_log(PAT_WARN, "waveform.failed", PAT_S("call", j->sound.call), PAT_ERR(err));
    answer(j, err, err ? NULL : text.data);
    pat_buf_fini(&text);
    w->jobs = j->next;
    w->n--;
    job_free(j);
    start(w);
}

/* ------------------------------------------------------------------ piece by piece */

static void decode(void *arg)
{
    struct job *j = arg;

    j->err = loud_feed(j->loud, j->piece, j->piece_len);
}

static void next_piece(struct job *j);

static void on_decoded(void *arg)
{
    struct job *j = arg;

    free(j->piece);
    j->piece = NULL;
    if (!j->w) {
        job_free(j);
        return;
    }
    if (j->err || j->at >= j->total)
        finish(j, j->err);
    else
        next_piece(j);
}

static void on_piece(int err, const struct pat_store_res *res, void *arg)
{
    struct job *j = arg;

    if (!err && (!res->len || !(j->piece = malloc(res->len))))
        err = res->len ? PAT_ENOMEM : PAT_EUPSTREAM;
    if (!err) {
        memcpy(j->piece, res->data, res->len);
        j->piece_len = res->len;
        j->at += res->len;
        j->total = res->total;
        err = pat_loop_work(j->w->r->s->d->loop, decode, on_decoded, j);
    }
    if (err)
        finish(j, err == PAT_EPROTO ? PAT_EUPSTREAM : err);
}

static void next_piece(struct job *j)
{
    int err = sound_get_range(j->w->r->sounds, &j->sound, j->at, PIECE, on_piece, j);

    if (err)
        finish(j, err);
}

static void start(struct waveforms *w)
{
    struct job *j = w->jobs;
    int err;

    if (!j || j->loud)
        return;
    err = loud_new(&j->loud);
    if (err)
        finish(j, err);
    else
        next_piece(j);
}

/* ------------------------------------------------------------------ asking */

static void busy(struct pat_httpd_req *http)
{
    (void)pat_httpd_set_header(http, "Retry-After", "2");
    pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "too much to do, try again");
}

void waveforms_ask(struct waveforms *w, struct pat_httpd_req *http, const struct pat_json *row)
{
    const char *call = pat_json_str_or(row, "call_id", "");
    struct job *j, **last = &w->jobs;

    for (j = w->jobs; j; last = &j->next, j = j->next)
        if (!strcmp(j->sound.call, call))
            break;
    if (!j && w->n < JOBS_MAX && (j = calloc(1, sizeof *j))) {
        j->w = w;
        if (sound_init(&j->sound, row)) {
            free(j);
            busy(http);
            return;
        }
        *last = j;
        w->n++;
    }
    if (!j || j->n_askers == ASKERS_MAX) {
        busy(http);
        return;
    }
    j->askers[j->n_askers++] = http;
    start(w);
}

int waveforms_new(struct waveforms **out, struct recordings *r)
{
    struct waveforms *w = calloc(1, sizeof *w);

    if (!w)
        return PAT_ENOMEM;
    w->r = r;
    *out = w;
    return PAT_OK;
}

void waveforms_free(struct waveforms *w)
{
    struct job *next;

    if (!w)
        return;
    for (struct job *j = w->jobs; j; j = next) {
        next = j->next;
        answer(j, PAT_ECANCELED, NULL);
        sound_forget(w->r->sounds, j);
        j->w = NULL;
        if (!j->piece) /* else its thread has it: on_decoded */
            job_free(j);
    }
    free(w);
}
