/* multipart.c - multipart/form-data: see multipart.h. */
#include "multipart.h"

#include "buf.h"

#include <string.h>
#include <strings.h>

#define BOUNDARY_MAX 70 /* RFC 2046, section 5.1.1 */

/* The value of a header's parameter: bare or quoted; \" within quotes. */
static bool param(char *out, size_t cap, const char *header, size_t len, const char *name)
{
    size_t want = strlen(name), n = 0;
    const char *end = header + len;

    for (const char *at = memchr(header, ';', len); at; at = memchr(at, ';', (size_t)(end - at))) {
        at += 1 + strspn(at + 1, " \t");
        if (at + want >= end || strncasecmp(at, name, want) != 0 || at[want] != '=')
            continue;
        at += want + 1;
        if (at < end && *at == '"') {
            for (at++; at < end && *at != '"' && n + 1 < cap; at++) {
                at += *at == '\\' && at + 1 < end && at[1] == '"';
                out[n++] = *at;
            }
        } else {
            for (; at < end && !strchr("; \t\r", *at) && n + 1 < cap; at++)
                out[n++] = *at;
        }
        out[n] = '\0';
        return true;
    }
    return false;
}

static bool is_header(const char *line, size_t len, const char *name)
{
    size_t n = strlen(name);

    return len > n && !strncasecmp(line, name, n) && line[n] == ':';
}

static void take_type(struct pat_part *p, const char *value, size_t len)
{
    size_t n = 0;

    while (len && (*value == ' ' || *value == '\t')) {
        value++;
        len--;
    }
    while (n < len && n + 1 < sizeof p->type && value[n] != ';' && value[n] != ' ') {
        p->type[n] = value[n];
        n++;
    }
    p->type[n] = '\0';
}

static void take_filename(struct pat_part *p, const char *line, size_t len)
{
    char given[sizeof p->filename];
    const char *last = given;

    if (!param(given, sizeof given, line, len, "filename"))
        return;
    for (const char *c = given; *c; c++)
        if (*c == '/' || *c == '\\')
            last = c + 1;
    (void)pat_strcpy(p->filename, sizeof p->filename, *last ? last : "file");
}

/* The part's headers up to the empty line; what lies behind it, or NULL. */
static const char *read_headers(struct pat_part *p, const char *at, const char *end)
{
    while (at < end) {
        const char *eol = memmem(at, (size_t)(end - at), "\r\n", 2);
        size_t len = eol ? (size_t)(eol - at) : 0;

        if (!eol)
            return NULL;
        if (!len)
            return *p->name ? eol + 2 : NULL;
        if (is_header(at, len, "content-disposition")) {
            if (!param(p->name, sizeof p->name, at, len, "name"))
                return NULL;
            take_filename(p, at, len);
        } else if (is_header(at, len, "content-type")) {
            take_type(p, at + sizeof "content-type", len - sizeof "content-type");
        }
        at = eol + 2;
    }
    return NULL;
}

/* "\r\n--" and the boundary; its length, or 0. */
static size_t read_boundary(char *out, size_t cap, const char *content_type)
{
    static const char form[] = "multipart/form-data";
    char boundary[BOUNDARY_MAX + 1];

    if (!content_type || strncasecmp(content_type, form, sizeof form - 1) != 0 ||
        !param(boundary, sizeof boundary, content_type, strlen(content_type), "boundary") ||
        !*boundary)
        return 0;
    memcpy(out, "\r\n--", 4);
    if (!pat_strcpy(out + 4, cap - 4, boundary))
        return 0;
    return strlen(out);
}

int pat_multipart_parse(const char *content_type, const char *body, size_t len,
                        struct pat_part *parts, size_t max, size_t *n)
{
    char mark[BOUNDARY_MAX + 5];
    size_t mark_len = read_boundary(mark, sizeof mark, content_type);
    const char *at = body, *end = body + len;

    *n = 0;
    /* The first line has no line before it. */
    if (!mark_len || len < mark_len || memcmp(at, mark + 2, mark_len - 2) != 0)
        return PAT_EINVAL;
    at += mark_len - 2;
    while (end - at >= 2 && memcmp(at, "--", 2) != 0) {
        struct pat_part p = { 0 };
        const char *stop;

        if (memcmp(at, "\r\n", 2) != 0 || !(at = read_headers(&p, at + 2, end)))
            return PAT_EINVAL;
        stop = memmem(at, (size_t)(end - at), mark, mark_len);
        if (!stop)
            return PAT_EINVAL;
        if (*n == max)
            return PAT_E2BIG;
        p.data = at;
        p.len = (size_t)(stop - at);
        parts[(*n)++] = p;
        at = stop + mark_len;
    }
    return end - at >= 2 ? PAT_OK : PAT_EINVAL;
}

const struct pat_part *pat_multipart_find(const struct pat_part *parts, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(parts[i].name, name))
            return &parts[i];
    return NULL;
}
