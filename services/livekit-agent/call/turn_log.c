/* turn_log.c - lines into a buffer, the buffer into a file when it is full or the call is over. */
#include "turn_log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { FLUSH_AT = 16 * 1024, BUFFER_MAX = 64 * 1024 };

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

int turn_log_open(struct turn_log **out, const char *dir, const char *call_id, int64_t began_us,
                  const struct turn_opts *o)
{
    struct turn_log *l = calloc(1, sizeof *l);
    struct pat_buf path;

    if (!l)
        return PAT_ENOMEM;
    pat_buf_init(&path, 4096);
    pat_buf_addf(&path, "%s/%s.jsonl", dir, call_id);
    l->fd = path.err ? -1 : open(path.data, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pat_buf_fini(&path);
    if (l->fd < 0) {
        free(l);
        return PAT_EIO;
    }
    l->began_us = began_us;
    pat_buf_init(&l->lines, BUFFER_MAX);
    pat_buf_addf(
        &l->lines,
        "{\"version\":1,\"call\":\"%s\",\"min_delay_ms\":%d,\"max_delay_ms\":%d,"
        "\"barge_in_ms\":%d,\"barge_in_words\":%d,\"false_ms\":%d,\"noise_ms\":%d,"
        "\"guard_ms\":%d,\"guard_words\":%d,\"think_ms\":%d,\"voice_ms\":%d,\"stall_ms\":%d,"
        "\"unheard_voice_ms\":%d,\"unheard_ms\":%d,\"unheard_max\":%d,"
        "\"speculate\":%s}\n",
        call_id, o->min_delay_ms, o->max_delay_ms, o->barge_in_ms, o->barge_in_words, o->false_ms,
        o->noise_ms, o->guard_ms, o->guard_words, o->think_ms, o->voice_ms, o->stall_ms,
        o->unheard_voice_ms, o->unheard_ms, o->unheard_max, o->speculate ? "true" : "false");
    *out = l;
    return PAT_OK;
}

void turn_log_add(struct turn_log *l, const struct turn_event *e, const struct turn *after,
                  const struct turn_out *out)
{
    if (!l)
        return;
    pat_buf_addf(&l->lines, "{\"us\":%lld,\"event\":\"%s\"", (long long)(e->now_us - l->began_us),
                 turn_event_name(e->kind));
    if (e->at_us)
        pat_buf_addf(&l->lines, ",\"at_us\":%lld", (long long)(e->at_us - l->began_us));
    if (e->reply)
        pat_buf_addf(&l->lines, ",\"reply\":%u", (unsigned)e->reply);
    if (e->n)
        pat_buf_addf(&l->lines, ",\"n\":%d", (int)e->n);
    if (e->end)
        pat_buf_adds(&l->lines, ",\"end\":true");
    if (e->open)
        pat_buf_adds(&l->lines, ",\"open\":true");
    pat_buf_addf(&l->lines, ",\"state\":\"%s\",\"actions\":[", turn_state_name(after->state));
    for (int i = 0; i < out->n; i++)
        pat_buf_addf(&l->lines, "%s\"%s\"", i ? "," : "", turn_action_name(out->act[i]));
    pat_buf_adds(&l->lines, "]}\n");
    if (l->lines.len >= FLUSH_AT || l->lines.err)
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
