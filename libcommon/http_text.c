/* http_text.c - the parts of the HTTP client that only look at text. */
#include "buf.h"
#include "http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The value of a "Name: value" line, or NULL; *len without the blanks around it. */
static const char *line_value(const char *line, size_t line_len, const char *name, size_t *len)
{
    size_t n = strlen(name);

    if (line_len <= n || line[n] != ':' || strncasecmp(line, name, n))
        return NULL;
    line += n + 1;
    line_len -= n + 1;
    while (line_len && (*line == ' ' || *line == '\t')) {
        line++;
        line_len--;
    }
    while (line_len && (line[line_len - 1] == ' ' || line[line_len - 1] == '\t'))
        line_len--;
    *len = line_len;
    return line;
}

const char *pat_http_header(const struct pat_http_res *res, const char *name, char *out, size_t cap)
{
    const char *line = res->headers;

    while (line && *line) {
        size_t len = strcspn(line, "\r\n"), value_len;
        const char *value = line_value(line, len, name, &value_len);

        if (value && cap) {
            if (value_len >= cap)
                value_len = cap - 1;
            memcpy(out, value, value_len);
            out[value_len] = '\0';
            return out;
        }
        line += len;
        line += strspn(line, "\r\n");
    }
    return NULL;
}

/* "bytes 0-5242879/146515" */
int pat_http_range_total(const struct pat_http_res *res, uint64_t from, uint64_t *total)
{
    char line[96];
    unsigned long long first, last, whole;

    *total = res->len;
    if (res->status == 200)
        return from ? PAT_EPROTO : PAT_OK;
    if (!pat_http_header(res, "Content-Range", line, sizeof line) ||
        sscanf(line, "bytes %llu-%llu/%llu", &first, &last, &whole) != 3 || first != from ||
        last < first || last - first + 1 != res->len || last >= whole)
        return PAT_EPROTO;
    *total = whole;
    return PAT_OK;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

int pat_url_encode(struct pat_buf *out, const char *s)
{
    static const char digits[] = "0123456789ABCDEF";

    while (*s) {
        unsigned char c = (unsigned char)*s;
        size_t run = 0;

        while (is_unreserved(s[run]))
            run++;
        if (run)
            pat_buf_add(out, s, run);
        else
            pat_buf_add(out, (const char[]){ '%', digits[c >> 4], digits[c & 15] }, 3);
        s += run ? run : 1;
    }
    return out->err;
}
