/* log.c - formats a line on the stack and writes it with one write(2).
 *
 * A line never exceeds PIPE_BUF, so that lines of several processes on one pipe do not mix: a long
 * value is cut, and a field that has no room left is dropped and the line marked "cut".
 * It does not buffer, rotate or wait: a line the descriptor does not take is lost.
 */
#include "log.h"

#include "loop.h"
#include "utf8.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    VALUE_MAX = 1024,                 /* bytes of one string */
    TAIL = sizeof ",\"cut\":true}\n", /* always kept free for the end of the line */
    ROOM = PIPE_BUF - TAIL,
};

struct line {
    char s[PIPE_BUF];
    size_t len;
    bool full;
};

static struct pat_log_opts sink = { .service = "patchbay", .level = PAT_INFO, .fd = STDERR_FILENO };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

void pat_log_setup(const struct pat_log_opts *opts)
{
    sink = *opts;
}

bool pat_log_enabled(enum pat_level level)
{
    return level >= sink.level;
}

int pat_level_parse(const char *s, enum pat_level *out)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof level_names[0]; i++)
        if (!strcmp(s, level_names[i])) {
            *out = (enum pat_level)i;
            return PAT_OK;
        }
    return PAT_EINVAL;
}

static void put(struct line *l, const char *s, size_t len)
{
    if (len > ROOM - l->len)
        l->full = true;
    if (l->full)
        return;
    memcpy(l->s + l->len, s, len);
    l->len += len;
}

static void puts_(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

/* Length of the character at s when it can stand as it is: 0 for broken bytes and for controls,
 * which could steer a terminal (C1 controls are two bytes, 0xc2 0x80..0x9f). */
static size_t clean_char(const char *s, size_t avail)
{
    size_t len = pat__utf8_char(s, avail);
    unsigned char c = (unsigned char)s[0];

    if (len == 1)
        return c >= 0x20 && c != 0x7f && c != '"' && c != '\\';
    if (len == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0)
        return 0;
    return len;
}

static void put_escape(struct line *l, unsigned char c)
{
    char hex[7];

    switch (c) {
    case '"':
        puts_(l, "\\\"");
        return;
    case '\\':
        puts_(l, "\\\\");
        return;
    case '\n':
        puts_(l, "\\n");
        return;
    case '\t':
        puts_(l, "\\t");
        return;
    default:
        (void)snprintf(hex, sizeof hex, "\\u%04x", c < 0x80 ? c : 0xfffdU);
        puts_(l, hex);
    }
}

/* Where to cut so that no character is split. */
static size_t cut_at(const char *s, size_t max)
{
    size_t len = strnlen(s, max + 1);

    if (len <= max)
        return len;
    len = max;
    while (len > max - 4 && ((unsigned char)s[len] & 0xc0) == 0x80)
        len--;
    return len;
}

/* Runs of plain characters are copied at once. */
static void put_quoted(struct line *l, const char *s)
{
    const char *end = s + cut_at(s, VALUE_MAX);
    const char *run = s;
    size_t n;

    puts_(l, "\"");
    while (s < end) {
        n = clean_char(s, (size_t)(end - s));
        s += n;
        if (n)
            continue;
        put(l, run, (size_t)(s - run));
        put_escape(l, (unsigned char)*s);
        run = ++s;
    }
    put(l, run, (size_t)(s - run));
    puts_(l, *end ? "\xe2\x80\xa6\"" : "\"");
}

/* In text form a plain word goes without quotes. */
static bool plain(const char *s)
{
    size_t n = 0;

    for (; s[n] && n < VALUE_MAX; n++)
        if ((unsigned char)s[n] <= 0x20 || (unsigned char)s[n] >= 0x7f || strchr("\"\\='", s[n]))
            return false;
    return n > 0 && s[n] == '\0';
}

static void put_int(struct line *l, int64_t v)
{
    char digits[24];
    size_t i = sizeof digits;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    do
        digits[--i] = (char)('0' + u % 10);
    while (u /= 10);
    if (v < 0)
        digits[--i] = '-';
    put(l, digits + i, sizeof digits - i);
}

static void put_value(struct line *l, const struct pat_field *f)
{
    char number[32];

    switch (f->kind) {
    case PAT_FIELD_STR:
        if (!sink.json && plain(f->v.s))
            puts_(l, f->v.s);
        else
            put_quoted(l, f->v.s);
        break;
    case PAT_FIELD_INT:
        put_int(l, f->v.i);
        break;
    case PAT_FIELD_NUM:
        (void)snprintf(number, sizeof number, "%.9g", f->v.f);
        puts_(l, isfinite(f->v.f) ? number : "null");
        break;
    case PAT_FIELD_BOOL:
        puts_(l, f->v.i ? "true" : "false");
        break;
    case PAT_FIELD_END:
        break;
    }
}

/* All of the field or nothing of it. */
static void put_field(struct line *l, const struct pat_field *f)
{
    size_t before = l->len;

    if (f->kind == PAT_FIELD_STR && !f->v.s)
        return;
    puts_(l, sink.json ? ",\"" : " ");
    puts_(l, f->name);
    puts_(l, sink.json ? "\":" : "=");
    put_value(l, f);
    if (l->full)
        l->len = before;
}

static void put_time(struct line *l)
{
    char text[PAT_TIME_LEN + 1];

    pat_time_format(pat_unix_ms(), text);
    put(l, text, PAT_TIME_LEN);
}

static void put_head(struct line *l, enum pat_level level, const char *event)
{
    if (!sink.json) {
        put_time(l);
        puts_(l, " ");
        puts_(l, level_names[level]);
        puts_(l, level == PAT_INFO || level == PAT_WARN ? "  " : " ");
        puts_(l, sink.service);
        puts_(l, " ");
        puts_(l, event);
        return;
    }
    puts_(l, "{\"time\":\"");
    put_time(l);
    puts_(l, "\",\"level\":\"");
    puts_(l, level_names[level]);
    puts_(l, "\",\"service\":\"");
    puts_(l, sink.service);
    puts_(l, "\",\"event\":\"");
    puts_(l, event);
    puts_(l, "\"");
}

static void finish(struct line *l)
{
    const char *tail =
        sink.json ? (l->full ? ",\"cut\":true}\n" : "}\n") : (l->full ? " cut=true\n" : "\n");
    size_t len = strlen(tail);
    ssize_t n;

    memcpy(l->s + l->len, tail, len);
    l->len += len;
    do
        n = write(sink.fd, l->s, l->len);
    while (n < 0 && errno == EINTR);
}

void pat_log_write(enum pat_level level, const char *event, const struct pat_field *fields)
{
    struct line l;
    int saved = errno;

    if (!pat_log_enabled(level))
        return;
    l.len = 0;
    l.full = false;
    put_head(&l, level, event);
    for (; fields->kind != PAT_FIELD_END && !l.full; fields++)
        put_field(&l, fields);
    finish(&l);
    errno = saved;
}
