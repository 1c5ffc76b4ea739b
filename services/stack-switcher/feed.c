/* feed.c - a switch or a rollout as it goes, as server-sent events (WHATWG HTML, 9.2): each event
 * is a whole picture of it, with the row's version as its id, so that a reader who missed some
 * missed nothing.
 *
 * What changes is told by Postgres (feed_news); one question at a time per reader. Nobody reads on
 * whose token would let him in no more: his stream ends, and he comes again with another one.
 */
#include "ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READERS_MAX = 256, PICTURE_MAX = 256 << 10, IDLE_MS = 15000, ASK_MS = 10000, DAY_S = 86400 };

struct reader {
    struct feed *f;
    const struct feed_kind *kind;
    struct pat_httpd_req *http;
    char id[PAT_ID_LEN + 1];
    struct who who;
    int64_t seen; /* version last sent; -1: none */
    bool begun, again;
    pat_db_id query;
    struct pat_timer expiry; /* of his token */
    struct reader *next, **prev;
};

struct feed {
    struct switcher *s;
    struct reader *readers;
    int n;
    struct pat_timer idle;
};

const struct feed_kind feed_switch = {
    "switch", "switch_by_id",
    "select patchbay.switch_json(w) from patchbay.switches w where "
    "w.id = $3::uuid and " ASK_MAY_SEE("w.user_id")
};

static void look(struct reader *r);

/* err: told when nothing was sent yet. */
static void gone(struct reader *r, int err)
{
    struct feed *f = r->f;

    *r->prev = r->next;
    if (r->next)
        r->next->prev = r->prev;
    f->n--;
    pat_db_cancel(f->s->d->db, r->query);
    pat_timer_fini(&r->expiry);
    if (r->begun)
        pat_httpd_stream_end(r->http);
    else
        pat_httpd_reply_error(r->http, err, NULL,
                              err == PAT_ENOENT ? "no such thing" : "not now, try again");
    free(r);
}

/* A day at most at a time: a clock may be set, and a token be good for ever. */
static void watch_expiry(void *arg)
{
    struct reader *r = arg;
    int64_t left_s = r->who.until_s - pat_unix_ms() / 1000;

    if (left_s <= 0)
        gone(r, PAT_EUNAVAIL); /* the door tells him why when he comes again */
    else
        pat_timer_start(&r->expiry, (left_s < DAY_S ? left_s : DAY_S) * 1000);
}

static int send_picture(struct reader *r, const struct pat_json *j)
{
    PAT_AUTO_STR text = pat_json_print(j);
    struct pat_buf out;
    int err;

    if (!text)
        return PAT_ENOMEM;
    pat_buf_init(&out, PICTURE_MAX);
    pat_buf_addf(&out, "id: %lld\nevent: %s\ndata: ", (long long)r->seen, r->kind->event);
    pat_buf_adds(&out, text);
    err = pat_buf_adds(&out, "\n\n");
    if (!err)
        err = pat_httpd_stream_send(r->http, out.data, out.len);
    pat_buf_fini(&out);
    return err;
}

static void show(struct reader *r, const struct pat_json *j)
{
    bool over = *pat_json_str_or(j, "finished_at", "");
    int64_t version = pat_json_int_or(j, "version", 0);
    int err = PAT_OK;

    if (!r->begun) {
        err = pat_httpd_stream_begin(r->http, 200, "text/event-stream");
        r->begun = true;
    }
    if (!err && version > r->seen) {
        r->seen = version;
        err = send_picture(r, j);
    }
    if (err || over)
        gone(r, PAT_EUNAVAIL);
}

static void on_picture(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct reader *r = arg;
    PAT_AUTO_JSON j = NULL;

    r->query = 0;
    err = switch_reply_read(&j, err, results, n, r->kind->question);
    if (err || !j) {
        gone(r, err ? PAT_EUNAVAIL : PAT_ENOENT);
        return;
    }
    if (r->again) {
        r->again = false;
        look(r);
    }
    show(r, j);
}

static void look(struct reader *r)
{
    const char *params[] = { *r->who.user ? r->who.user : NULL, r->who.admin ? "true" : "false",
                             r->id };
    int err = PAT_OK;

    if (r->query)
        r->again = true;
    else
        err = pat_db_run1(r->f->s->d->db, r->kind->question, r->kind->sql, params, 3, ASK_MS,
                          on_picture, r, &r->query);
    if (err) /* the next idle line asks again */
        pat_log(PAT_WARN, "feed.not_asked", PAT_S(r->kind->event, r->id), PAT_ERR(err));
}

void feed_news(const char *id, void *arg)
{
    struct feed *f = arg;
    struct reader *next;

    for (struct reader *r = f->readers; r; r = next) {
        next = r->next;
        if (pat_httpd_gone(r->http))
            gone(r, PAT_EUNAVAIL);
        else if (!id || !strcmp(id, r->id))
            look(r);
    }
}

/* A line nobody reads: proxies keep the connection, and readers who left are noticed. */
static void on_idle(void *arg)
{
    struct feed *f = arg;
    struct reader *next;

    pat_timer_start(&f->idle, IDLE_MS);
    for (struct reader *r = f->readers; r; r = next) {
        next = r->next;
        if (pat_httpd_gone(r->http) ||
            (r->begun && pat_httpd_stream_send(r->http, ": still here\n\n", 14)))
            gone(r, PAT_EUNAVAIL);
        else
            look(r);
    }
}

void feed_open(struct feed *f, struct pat_httpd_req *http, const struct feed_kind *kind,
               const char *id, const struct who *who)
{
    const char *last = pat_httpd_header(http, "last-event-id");
    struct reader *r = f->n < READERS_MAX ? calloc(1, sizeof *r) : NULL;

    if (!r || pat_timer_init(&r->expiry, f->s->d->loop, watch_expiry, r)) {
        free(r);
        (void)pat_httpd_set_header(http, "Retry-After", "10");
        pat_httpd_reply_error(http, PAT_EAGAIN, NULL, "too many are watching");
        return;
    }
    r->f = f;
    r->kind = kind;
    r->http = http;
    r->who = *who;
    r->seen = last && *last ? strtoll(last, NULL, 10) : -1;
    pat_strcpy(r->id, sizeof r->id, id);
    r->next = f->readers;
    r->prev = &f->readers;
    if (r->next)
        r->next->prev = &r->next;
    f->readers = r;
    f->n++;
    look(r);
    watch_expiry(r); /* may free it */
}

int feed_new(struct feed **out, struct switcher *s)
{
    struct feed *f = calloc(1, sizeof *f);
    int err = PAT_ENOMEM;

    if (!f)
        return err;
    f->s = s;
    err = pat_timer_init(&f->idle, s->d->loop, on_idle, f);
    if (!err)
        err = switches_listen(s->switches, feed_news, f);
    if (err) {
        pat_timer_fini(&f->idle);
        free(f);
        return err;
    }
    pat_timer_start(&f->idle, IDLE_MS);
    *out = f;
    return PAT_OK;
}

void feed_close(struct feed *f)
{
    while (f->readers)
        gone(f->readers, PAT_EUNAVAIL);
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    feed_close(f);
    pat_timer_fini(&f->idle);
    free(f);
}
