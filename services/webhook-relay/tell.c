/* tell.c - see tell.h.
 *
 * Marks gather for a moment, and while one is under way: one statement for many rows. Nobody waits
 * for them but who stands behind: then they go at once. A mark that is lost costs a repetition,
 * which the stream drops by the event's id.
 */
#include "tell.h"

#include <stdlib.h>

#define PUBLISH_MS 1500 /* before the outbox comes for it */
#define MARK_MS    5000
#define GATHER_MS  50
#define MARKS_MAX  ((size_t)256 << 10) /* of ids: 7,000 */

struct teller {
    struct relay *r;
    struct pat_buf marks; /* "{id,id" of what its stream has */
    size_t n_marks;
    size_t waiting; /* publishes not answered yet */
    pat_db_id query;
    struct pat_timer soon;
    bool behind;
    bool closing;
};

struct told {
    struct teller *t;
    struct pat_id id;
};

static void mark(void *arg);

static void mark_soon(struct teller *t)
{
    if (t->query || !t->n_marks || t->closing)
        return;
    if (t->behind || !pat_timer_running(&t->soon))
        pat_timer_start(&t->soon, t->behind ? 0 : GATHER_MS);
}

/* The last one is marked: who stood behind it may go. */
static void look_behind(struct teller *t)
{
    if (!t->behind || t->waiting || t->n_marks || t->query)
        return;
    t->behind = false;
    outbox_look(t->r->outbox);
}

static void on_marked(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct teller *t = arg;

    (void)results;
    (void)n;
    t->query = 0;
    if (err)
        pat_log(PAT_WARN, "webhook.not_marked", PAT_ERR(err)); /* told again, kept once */
    mark_soon(t);
    look_behind(t);
}

static void mark(void *arg)
{
    static const char sql[] =
        "update patchbay.outbox set published_at = now() where id = any ($1::uuid[]) and published_at is null";
    struct teller *t = arg;
    const char *params[1];

    if (t->query || !t->n_marks)
        return;
    pat_buf_adds(&t->marks, "}");
    params[0] = t->marks.data;
    if (t->marks.err ||
        pat_db_run1(t->r->d->db, "webhooks_told", sql, params, 1, MARK_MS, on_marked, t, &t->query))
        pat_log(PAT_WARN, "webhook.not_marked", PAT_ERR(PAT_EAGAIN));
    pat_buf_reset(&t->marks);
    t->n_marks = 0;
}

static void on_told(int err, const struct pat_msg *m, void *arg)
{
    struct told *told = arg;
    struct teller *t = told->t;

    (void)m;
    t->waiting--;
    if (!err) {
        pat_buf_addf(&t->marks, "%s%s", t->n_marks++ ? "," : "{", told->id.s);
        mark_soon(t);
    }
    free(told);
    if (t->closing && !t->waiting) {
        pat_buf_fini(&t->marks);
        free(t);
        return;
    }
    look_behind(t);
}

void tell(struct teller *t, const struct pat_event_text *news)
{
    struct told *told;

    if (!pat_bus_up(t->r->d->bus))
        return;
    told = malloc(sizeof *told);
    if (!told)
        return;
    *told = (struct told){ t, news->id };
    if (pat_bus_js_publish(t->r->d->bus, news->subject, news->id.s, news->json, news->len,
                           PUBLISH_MS, on_told, told))
        free(told);
    else
        t->waiting++;
}

void tell_after(struct teller *t)
{
    t->behind = true;
    mark_soon(t);
    look_behind(t);
}

int teller_new(struct teller **out, struct relay *r)
{
    struct teller *t = calloc(1, sizeof *t);
    int err;

    if (!t)
        return PAT_ENOMEM;
    t->r = r;
    err = pat_timer_init(&t->soon, r->d->loop, mark, t);
    if (err) {
        free(t);
        return err;
    }
    pat_buf_init(&t->marks, MARKS_MAX);
    *out = t;
    return PAT_OK;
}

void teller_free(struct teller *t)
{
    if (!t)
        return;
    t->closing = true;
    pat_db_cancel(t->r->d->db, t->query);
    pat_timer_fini(&t->soon);
    if (t->waiting)
        return; /* the bus answers each when it closes */
    pat_buf_fini(&t->marks);
    free(t);
}
