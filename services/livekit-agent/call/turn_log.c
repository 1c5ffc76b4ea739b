/* turn_log.c - lines into a buffer, the buffer into a file when it is full or the call is over. */
#include "turn_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUNS_MAX = 20, FLUSH_AT = 16 * 1024, BUFFER_MAX = 64 * 1024 };

struct turn_log {
    int fd;
    int64_t began_us;
    struct pat_buf lines;
};

static void flush(struct turn_log *l)
{
    if (l->lines.len && write(l->fd, l->lines.data, l->lines.len) < 0)
        pat_log(PAT_WARN, "turn_log.lost", PAT_I("bytes", l->lines.len));
    pat_buf_reset(&l->lines);
}

static int open_new(const char *dir, const char *call_id)
{
    struct pat_buf path;
    int fd = -1;

    pat_buf_init(&path, 4096);
    for (int i = 1; i <= RUNS_MAX && fd < 0 && (i == 1 || errno == EEXIST); i++) {
        pat_buf_reset(&path);
        pat_buf_addf(&path, "%s/%s", dir, call_id);
        if (i > 1)
            pat_buf_addf(&path, ".%d", i);
        pat_buf_adds(&path, ".jsonl");
        errno = 0;
        if (!path.err)
            fd = open(path.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    pat_buf_fini(&path);
    return fd;
}

int turn_log_open(struct turn_log **out, const char *dir, const char *call_id, int64_t began_us)
{
    struct turn_log *l = calloc(1, sizeof *l);

    if (!l)
        return PAT_ENOMEM;
    l->fd = open_new(dir, call_id);
    if (l->fd < 0) {
        free(l);
        return PAT_EIO;
    }
    l->began_us = began_us;
    pat_buf_init(&l->lines, BUFFER_MAX);
    pat_buf_addf(&l->lines, "{\"version\":2,\"call\":\"%s\"}\n", call_id);
    *out = l;
    return PAT_OK;
}

void turn_log_opts(struct turn_log *l, const struct turn_opts *o)
{
    if (!l)
        return;
    pat_buf_adds(&l->lines, "{\"opts\":{");
    for (size_t i = 0; i < turn_opt_n; i++) {
        int32_t value;

        memcpy(&value, (const char *)o + turn_opt_list[i].offset, sizeof value);
        pat_buf_addf(&l->lines, "%s\"%s\":%d", i ? "," : "", turn_opt_list[i].name, (int)value);
    }
    pat_buf_adds(&l->lines, "}}\n");
}

static void add_number(struct pat_buf *b, const char *name, long long value)
{
    if (value)
        pat_buf_addf(b, ",\"%s\":%lld", name, value);
}

static void add_flag(struct pat_buf *b, const char *name, bool value)
{
    if (value)
        pat_buf_addf(b, ",\"%s\":true", name);
}

void turn_log_add(struct turn_log *l, const struct turn_event *e, const struct turn *after,
                  const struct turn_out *out)
{
    struct pat_buf *b;

    if (!l)
        return;
    b = &l->lines;
    pat_buf_addf(b, "{\"us\":%lld,\"event\":\"%s\"", (long long)(e->now_us - l->began_us),
                 turn_event_name(e->kind));
    if (e->at_us) /* may be the moment the call began */
        pat_buf_addf(b, ",\"at_us\":%lld", (long long)(e->at_us - l->began_us));
    add_number(b, "reply", e->reply);
    add_number(b, "n", e->n);
    add_number(b, "soft", e->soft);
    add_flag(b, "end", e->end);
    add_flag(b, "open", e->open);
    add_flag(b, "asked", e->asked);
    add_flag(b, "changed", e->changed);
    add_flag(b, "firm", e->firm);
    pat_buf_addf(b, ",\"state\":\"%s\",\"actions\":[", turn_state_name(after->state));
    for (int i = 0; i < out->n; i++)
        pat_buf_addf(b, "%s\"%s\"", i ? "," : "", turn_action_name(out->act[i]));
    pat_buf_adds(b, "]}\n");
    if (b->len >= FLUSH_AT || b->err)
        flush(l);
}

void turn_log_close(struct turn_log *l)
{
    if (!l)
        return;
    flush(l);
    pat_buf_fini(&l->lines);
    (void)close(l->fd);
    free(l);
}
