/* snapshot.c - see snapshot.h.
 *
 * Written piece by piece: some rows are printed on the loop, the pool writes them, and so on, into
 * a new file that takes the old one's place. It holds the table up to seconds before a crash.
 */
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AFTER_MS 2000
/* At once: on the loop, and in memory. */
#define ROWS     200
#define TEXT_MAX ((size_t)64 << 20)

struct job;

struct snapshot {
    struct routes_table *table;
    struct pat_loop *loop;
    char *file;
    bool held;
    struct job *writing;
    struct pat_timer timer;
};

/* Outlives snapshot_free: the pool thread may still be writing. */
struct job {
    struct snapshot *of; /* NULL once that is gone */
    struct pat_buf text;
    char *tmp, *file;
    size_t at;
    int fd;
    bool last;
    int err;
};

static void write_work(void *arg)
{
    struct job *job = arg;

    if (job->fd < 0)
        job->fd = open(job->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (job->fd < 0) {
        job->err = PAT_EIO;
        return;
    }
    for (size_t at = 0; at < job->text.len;) {
        ssize_t n = write(job->fd, job->text.data + at, job->text.len - at);

        if (n < 0 && errno != EINTR) {
            job->err = PAT_EIO;
            return;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    if (job->last && (fsync(job->fd) || rename(job->tmp, job->file)))
        job->err = PAT_EIO;
}

static void job_free(struct job *job)
{
    if (job->err)
        pat_log(PAT_WARN, "routes.snapshot_not_written", PAT_S("file", job->file),
                PAT_ERR(job->err));
    if (job->of)
        job->of->writing = NULL;
    if (job->fd >= 0)
        close(job->fd);
    pat_buf_fini(&job->text);
    free(job->tmp);
    free(job->file);
    free(job);
}

static void write_done(void *arg);

static void write_some(struct job *job)
{
    struct snapshot *s = job->of;

    pat_buf_reset(&job->text);
    job->err = routes_table_print(s->table, &job->at, ROWS, &job->text);
    job->last = routes_table_printed(s->table, job->at);
    if (!job->err)
        job->err = pat_loop_work(s->loop, write_work, write_done, job);
    if (job->err)
        job_free(job);
}

static void write_done(void *arg)
{
    struct job *job = arg;

    if (job->err || job->last || !job->of)
        job_free(job);
    else
        write_some(job);
}

static void write_snapshot(void *arg)
{
    struct snapshot *s = arg;
    struct job *job;
    size_t n = strlen(s->file) + sizeof ".new";

    if (s->writing || s->held) {
        pat_timer_start(&s->timer, AFTER_MS);
        return;
    }
    job = calloc(1, sizeof *job);
    if (!job)
        return;
    pat_buf_init(&job->text, TEXT_MAX);
    job->fd = -1;
    job->file = strdup(s->file);
    job->tmp = malloc(n);
    if (!job->file || !job->tmp) {
        job->err = PAT_ENOMEM;
        job_free(job);
        return;
    }
    snprintf(job->tmp, n, "%s.new", s->file);
    job->of = s;
    s->writing = job;
    write_some(job);
}

static void put_line(struct snapshot *s, const char *line, size_t len)
{
    struct pat_json *row;

    if (!len)
        return;
    if (pat_json_parse(&row, line, len, NULL) || routes_table_put(s->table, row))
        pat_log(PAT_WARN, "routes.snapshot_line_ignored", PAT_I("bytes", len));
}

void snapshot_read(struct snapshot *s)
{
    FILE *f = *s->file ? fopen(s->file, "re") : NULL;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    if (!f) {
        if (*s->file && errno != ENOENT)
            pat_log(PAT_WARN, "routes.snapshot_unreadable", PAT_S("file", s->file),
                    PAT_S("why", strerror(errno)));
        return;
    }
    while ((n = getline(&line, &cap, f)) > 0)
        put_line(s, line, (size_t)n - (line[n - 1] == '\n'));
    free(line);
    fclose(f);
    pat_log(PAT_INFO, "routes.snapshot_read", PAT_I("numbers", routes_table_count(s->table)));
}

void snapshot_due(struct snapshot *s)
{
    if (*s->file && !pat_timer_running(&s->timer))
        pat_timer_start(&s->timer, AFTER_MS);
}

void snapshot_hold(struct snapshot *s, bool hold)
{
    s->held = hold;
}

int snapshot_new(struct snapshot **out, struct pat_loop *loop, struct routes_table *table,
                 const char *file)
{
    struct snapshot *s = calloc(1, sizeof *s);

    if (!s)
        return PAT_ENOMEM;
    s->loop = loop;
    s->table = table;
    s->file = strdup(file);
    if (!s->file || pat_timer_init(&s->timer, loop, write_snapshot, s)) {
        free(s->file);
        free(s);
        return PAT_ENOMEM;
    }
    *out = s;
    return PAT_OK;
}

void snapshot_free(struct snapshot *s)
{
    if (!s)
        return;
    if (s->writing)
        s->writing->of = NULL;
    pat_timer_fini(&s->timer);
    free(s->file);
    free(s);
}
