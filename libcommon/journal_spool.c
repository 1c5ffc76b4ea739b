/* journal_spool.c - a file that remembers entries until Postgres has them.
 *
 * One line of JSON per entry, appended with those of the same turn: then it is in the kernel's
 * hands. When nothing is pending a line "-" says that all above it is stored; the file is cut, or
 * rewritten without what is dead, only once it has grown.
 */
#include "journal_int.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    REWRITE_BYTES = 4 << 20,
    KEPT_BYTES = 1 << 20, /* of lines that are dead, although nothing is pending */
    ANEW_MS = 1000,       /* between tries to write all that is pending */
};

/* {"s":subject,"i":id,"e":event,"q":[{"n":name,"s":sql,"p":[text or null,...]},...]} */

static void add_text(struct pat_buf *b, const char *key, const char *s)
{
    pat_buf_adds(b, "\"");
    pat_buf_adds(b, key);
    pat_buf_adds(b, "\":");
    if (s)
        pat_json_quote(b, s, strlen(s));
    else
        pat_buf_adds(b, "null");
}

static void add_stmt(struct pat_buf *b, const struct pat_db_stmt *s)
{
    pat_buf_adds(b, "{");
    add_text(b, "n", s->name);
    pat_buf_adds(b, ",");
    add_text(b, "s", s->sql);
    pat_buf_adds(b, ",\"p\":[");
    for (int i = 0; i < s->n; i++) {
        if (i)
            pat_buf_adds(b, ",");
        if (s->params[i])
            pat_json_quote(b, s->params[i], strlen(s->params[i]));
        else
            pat_buf_adds(b, "null");
    }
    pat_buf_adds(b, "]}");
}

static int format(struct pat_buf *b, const struct entry *e)
{
    pat_buf_adds(b, "{");
    if (e->event.json) {
        add_text(b, "s", e->event.subject);
        pat_buf_adds(b, ",\"i\":\"");
        pat_buf_adds(b, e->event.id.s);
        pat_buf_adds(b, "\",\"e\":");
        pat_buf_add(b, e->event.json, e->event.len);
        pat_buf_adds(b, ",");
    }
    pat_buf_adds(b, "\"q\":[");
    for (size_t i = 0; i < e->n; i++) {
        if (i)
            pat_buf_adds(b, ",");
        add_stmt(b, &e->stmts[i]);
    }
    pat_buf_adds(b, "]}\n");
    return b->err;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return PAT_EIO;
        data += n;
        len -= (size_t)n;
    }
    return PAT_OK;
}

static void complain(const struct spool *s, const char *what)
{
    pat_log(PAT_ERROR, "journal.spool", PAT_S("path", s->path), PAT_S("what", what),
            PAT_S("reason", strerror(errno)));
}

static void rewrite(struct pat_journal *j);

/* Lines were thrown away: what waits is in memory. */
static void write_anew(struct pat_journal *j)
{
    struct spool *s = &j->spool;
    int64_t now_ms = pat_now_ms();

    if (now_ms < s->again_ms && !j->closing)
        return;
    s->again_ms = now_ms + ANEW_MS;
    rewrite(j);
}

/* What could not be written whole is cut off again, and tried again with what comes next. */
void journal_spool_write(struct pat_journal *j)
{
    struct spool *s = &j->spool;

    if (s->fd >= 0 && s->gap)
        write_anew(j);
    if (s->fd < 0 || s->gap || !s->lines.len)
        return;
    if (write_all(s->fd, s->lines.data, s->lines.len)) {
        if (!s->failing)
            complain(s, "append");
        s->failing = true;
        if (ftruncate(s->fd, (off_t)s->size))
            complain(s, "cut");
        return;
    }
    s->failing = false;
    s->size += s->lines.len;
    pat_buf_reset(&s->lines);
}

static void on_turn(void *journal)
{
    journal_spool_write(journal);
}

static void write_soon(struct pat_journal *j)
{
    pat_loop_next_turn(j->loop, &j->spool.task, on_turn, j);
}

int journal_spool_add(struct pat_journal *j, struct entry *e)
{
    struct spool *s = &j->spool;
    size_t before = s->lines.len;
    int err = PAT_OK;

    if (s->fd < 0)
        return PAT_OK;
    if (!s->gap)
        err = format(&s->lines, e);
    /* A full disk refuses nobody: Postgres may be well. */
    if (err && s->failing) {
        pat_buf_reset(&s->lines);
        s->gap = true;
    } else if (err) {
        s->lines.err = PAT_OK;
        s->lines.len = before;
        return err;
    }
    if (s->gap) {
        write_soon(j);
        return PAT_OK;
    }
    e->spooled = s->lines.len - before;
    s->live += e->spooled;
    write_soon(j);
    return PAT_OK;
}

/* ---- getting rid of what is stored ---- */

/* Between open and flock its holder may have put another file in this one's place (rewrite): the
 * lock of a file that is no longer there keeps nobody out. */
static bool is_there(int fd, const char *path)
{
    struct stat ours, there;

    return !fstat(fd, &ours) && !stat(path, &there) && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

static int open_locked(const char *path, int flags)
{
    int fd = open(path, flags | O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    if (fd >= 0 && (flock(fd, LOCK_EX | LOCK_NB) || !is_there(fd, path))) {
        close(fd);
        return -1;
    }
    return fd;
}

static int write_pending(struct pat_journal *j, int fd, size_t *size)
{
    struct pat_buf line;
    struct entry *e;
    int err = PAT_OK;

    *size = 0;
    pat_buf_init(&line, JOURNAL_LINE_MAX);
    TAILQ_FOREACH(e, &j->waiting, link)
    {
        pat_buf_reset(&line);
        err = format(&line, e);
        if (!err)
            err = write_all(fd, line.data, line.len);
        if (err)
            break;
        e->spooled = line.len;
        *size += line.len;
    }
    pat_buf_fini(&line);
    return err;
}

static void rewrite(struct pat_journal *j)
{
    struct spool *s = &j->spool;
    char tmp[4096];
    size_t size;
    int fd;

    if (snprintf(tmp, sizeof tmp, "%s.tmp", s->path) >= (int)sizeof tmp)
        return;
    fd = open_locked(tmp, O_TRUNC);
    if (fd < 0 || write_pending(j, fd, &size) || rename(tmp, s->path)) {
        if (!s->failing)
            complain(s, "rewrite");
        s->failing = true;
        if (fd >= 0) {
            unlink(tmp); /* there may be no room for it */
            close(fd);
        }
        return;
    }
    close(s->fd);
    s->fd = fd;
    s->size = s->live = size;
    s->failing = s->gap = false;
    pat_buf_reset(&s->lines); /* they are in it */
}

static void empty(struct spool *s)
{
    if (ftruncate(s->fd, 0))
        complain(s, "empty");
    else
        s->size = 0;
}

/* Cutting a file and growing it anew costs ten times what a short line does. */
static void mark_empty(struct pat_journal *j)
{
    pat_buf_adds(&j->spool.lines, "-\n");
    write_soon(j);
}

void journal_spool_drop(struct pat_journal *j, struct entry *e)
{
    struct spool *s = &j->spool;

    if (s->fd < 0)
        return;
    s->live -= e->spooled < s->live ? e->spooled : s->live;
    e->spooled = 0;
    if (TAILQ_EMPTY(&j->waiting)) {
        pat_buf_reset(&s->lines);
        s->live = 0;
        if (s->size > KEPT_BYTES || s->gap || j->closing)
            empty(s);
        else if (s->size)
            mark_empty(j);
        s->gap = false;
    } else if (s->size > REWRITE_BYTES + 2 * s->live) {
        rewrite(j);
    }
}

static void park_text(struct pat_journal *j, const char *text, size_t len)
{
    char path[4096];
    int fd;

    if (snprintf(path, sizeof path, "%s.parked", j->spool.path) >= (int)sizeof path)
        return;
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write_all(fd, text, len))
        complain(&j->spool, "park");
    if (fd >= 0)
        close(fd);
}

void journal_spool_park(struct pat_journal *j, const struct entry *e)
{
    struct pat_buf line;

    if (j->spool.fd < 0)
        return;
    pat_buf_init(&line, JOURNAL_LINE_MAX);
    if (!format(&line, e))
        park_text(j, line.data, line.len);
    pat_buf_fini(&line);
}

/* ---- reading back ---- */

static int read_stmt(const struct pat_json *j, struct pat_db_stmt *out, const char **params)
{
    const struct pat_json *p = pat_json_at(j, "p");
    size_t n = pat_json_size(p);

    *out = (struct pat_db_stmt){ pat_json_str_or(j, "n", NULL), pat_json_str_or(j, "s", NULL),
                                 (int)n, params };
    for (size_t i = 0; i < n; i++)
        params[i] = pat_json_value_str(pat_json_item(p, i));
    return out->sql ? PAT_OK : PAT_EINVAL;
}

static size_t count_params(const struct pat_json *q)
{
    size_t n = 0;

    for (size_t i = 0; i < pat_json_size(q); i++)
        n += pat_json_size(pat_json_at(pat_json_item(q, i), "p"));
    return n;
}

static int read_stmts(struct entry **out, const struct pat_json *q)
{
    size_t n = pat_json_size(q);
    struct pat_db_stmt *stmts = calloc(n + 1, sizeof *stmts);
    const char **params = calloc(count_params(q) + 1, sizeof *params);
    const char **at = params;
    int err = stmts && params ? PAT_OK : PAT_ENOMEM;

    for (size_t i = 0; i < n && !err; i++) {
        err = read_stmt(pat_json_item(q, i), &stmts[i], at);
        at += stmts[i].n;
    }
    if (!err) {
        *out = journal_entry_new(n, stmts);
        err = *out ? PAT_OK : PAT_ENOMEM;
    }
    free(stmts);
    free(params);
    return err;
}

static int read_event(struct entry *e, const struct pat_json *j)
{
    const char *id = pat_json_str_or(j, "i", "");
    const struct pat_json *event = pat_json_at(j, "e");

    if (!event)
        return e->n ? PAT_OK : PAT_EINVAL;
    if (!pat_id_valid(id) ||
        !pat_strcpy(e->event.subject, sizeof e->event.subject, pat_json_str_or(j, "s", "")))
        return PAT_EINVAL;
    pat_strcpy(e->event.id.s, sizeof e->event.id.s, id);
    e->event.json = pat_json_print(event);
    if (!e->event.json)
        return PAT_ENOMEM;
    e->event.len = strlen(e->event.json);
    return PAT_OK;
}

static int read_line(struct pat_journal *j, const char *line, size_t len)
{
    PAT_AUTO_JSON tree = NULL;
    struct entry *e = NULL;
    int err = pat_json_parse(&tree, line, len, NULL);

    if (!err)
        err = read_stmts(&e, pat_json_at(tree, "q"));
    if (!err)
        err = read_event(e, tree);
    if (err) {
        if (e)
            journal_entry_free(e);
        return err;
    }
    e->spooled = len + 1;
    if (e->event.json)
        journal_seen_add(&j->seen, &e->event.id);
    journal_accept(j, e);
    return PAT_OK;
}

/* Behind the last "-": all above it is stored. */
static size_t live_from(const char *text, size_t size)
{
    for (size_t at = size; at >= 2; at--)
        if (!memcmp(text + at - 2, "-\n", 2) && (at == 2 || text[at - 3] == '\n'))
            return at;
    return 0;
}

/* The last line may be torn: it was never accepted. A broken one elsewhere is parked. */
static int read_back(struct pat_journal *j, char *text, size_t size)
{
    size_t entries = 0, broken = 0, at = live_from(text, size);

    while (at < size) {
        char *end = memchr(text + at, '\n', size - at);
        size_t len = end ? (size_t)(end - text) - at : 0;
        int err;

        if (!end)
            break;
        err = read_line(j, text + at, len);
        if (err == PAT_ENOMEM)
            return err;
        if (err) {
            broken++;
            park_text(j, text + at, len + 1);
        } else {
            entries++;
        }
        at += len + 1;
    }
    if (entries || broken || at < size)
        pat_log(broken ? PAT_ERROR : PAT_INFO, "journal.replay", PAT_I("entries", entries),
                PAT_I("broken", broken), PAT_I("torn_bytes", size - at));
    return PAT_OK;
}

static int load(struct pat_journal *j)
{
    struct spool *s = &j->spool;
    struct stat st;
    char *text;
    size_t got = 0;
    int err;

    if (fstat(s->fd, &st))
        return PAT_EIO;
    text = malloc((size_t)st.st_size + 1);
    if (!text)
        return PAT_ENOMEM;
    while (got < (size_t)st.st_size) {
        ssize_t n = pread(s->fd, text + got, (size_t)st.st_size - got, (off_t)got);

        if (n <= 0)
            break;
        got += (size_t)n;
    }
    s->size = s->live = got;
    err = read_back(j, text, got);
    free(text);
    if (!err && got)
        rewrite(j); /* without the torn line */
    return err;
}

int journal_spool_open(struct pat_journal *j, const char *path)
{
    struct spool *s = &j->spool;
    int err;

    s->fd = -1;
    pat_buf_init(&s->lines, JOURNAL_LINE_MAX);
    if (!path || !*path)
        return PAT_OK;
    s->path = strdup(path);
    if (!s->path)
        return PAT_ENOMEM;
    s->fd = open_locked(path, 0);
    if (s->fd < 0) {
        complain(s, "open (another process may hold it)");
        free(s->path);
        s->path = NULL;
        return PAT_EIO;
    }
    err = load(j);
    if (err)
        journal_spool_close(j);
    return err;
}

void journal_spool_close(struct pat_journal *j)
{
    struct spool *s = &j->spool;

    pat_task_cancel(j->loop, &s->task);
    journal_spool_write(j);
    if (s->fd >= 0) {
        if (!s->live)
            empty(s);
        close(s->fd);
    }
    s->fd = -1;
    pat_buf_fini(&s->lines);
    free(s->path);
    s->path = NULL;
}
