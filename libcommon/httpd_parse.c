/* httpd_parse.c - HTTP/1.1 text (RFC 9112), without I/O: heads, chunked bodies, paths, forms,
 * patterns.
 *
 * Strict where leniency lets two servers read one message in two ways: bare line feeds, folded or
 * blank-ended names, two lengths, a length beside chunks are refused.
 */
#include "httpd_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_CHUNK_LINE 256
#define MAX_TRAILER    4096

static bool is_token(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* Bytes a field value or target may hold: no controls but TAB. */
static bool is_text(unsigned char c)
{
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

size_t http_head_end(const char *data, size_t len, size_t *scanned, bool *bad)
{
    size_t at = *scanned;

    *bad = false;
    while (at < len) {
        const char *lf = memchr(data + at, '\n', len - at);

        if (!lf)
            break;
        at = (size_t)(lf - data);
        if (at == 0 || data[at - 1] != '\r') {
            *bad = true;
            return 0;
        }
        if (at >= 3 && data[at - 2] == '\n')
            return at + 1;
        at++;
    }
    *scanned = len;
    return 0;
}

static char *cut(char **at, char sep)
{
    char *start = *at, *end = strchr(start, sep);

    if (!end)
        return NULL;
    *end = '\0';
    *at = end + 1;
    return start;
}

static int parse_target(struct http_head *h, char *target)
{
    char *query;

    /* absolute-form: what a client sends to a proxy, and must be understood (RFC 9112, 3.2.2). */
    if (!strncasecmp(target, "http://", 7) || !strncasecmp(target, "https://", 8)) {
        target = strchr(strchr(target, ':') + 3, '/');
        if (!target)
            return 400;
    }
    if (*target != '/' || strchr(target, '#'))
        return 400;
    query = strchr(target, '?');
    if (query)
        *query++ = '\0';
    h->path = target;
    h->query = query ? query : "";
    return 0;
}

static int parse_request_line(struct http_head *h, char *line)
{
    char *method = cut(&line, ' '), *target;
    size_t n = 0;

    if (!method)
        return 400;
    while (is_token((unsigned char)method[n]))
        n++;
    if (n == 0 || n > 16 || method[n])
        return 400;
    h->method = method;
    target = cut(&line, ' ');
    if (!target)
        return 400;
    if (strncmp(line, "HTTP/", 5))
        return 400;
    if (strcmp(line, "HTTP/1.1") && strcmp(line, "HTTP/1.0"))
        return 505;
    h->minor = line[7] - '0';
    h->keep_alive = h->minor == 1;
    return parse_target(h, target);
}

static int parse_header(struct http_head *h, char *line)
{
    char *end, *value = line;

    while (is_token((unsigned char)*value))
        value++;
    if (value == line || *value != ':')
        return 400; /* a folded line begins with a blank, and ends here, too */
    *value++ = '\0';
    value += strspn(value, " \t");
    for (end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t'); end--)
        end[-1] = '\0';
    if (h->n_headers == HTTPD_MAX_HEADERS)
        return 431;
    h->headers[h->n_headers++] = (struct http_header){ line, value };
    return 0;
}

static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);

    while (list && *list) {
        size_t n;

        list += strspn(list, " \t,");
        n = strcspn(list, " \t,");
        if (n == len && !strncasecmp(list, word, len))
            return true;
        list += n;
    }
    return false;
}

static int parse_length(struct http_head *h, const char *value)
{
    size_t digits = strspn(value, "0123456789");

    if (h->content_length >= 0 || digits == 0 || digits > 18 || value[digits])
        return 400;
    h->content_length = strtoll(value, NULL, 10);
    return 0;
}

static int interpret(struct http_head *h, const struct http_header *f, int *hosts)
{
    if (!strcasecmp(f->name, "Host")) {
        ++*hosts;
    } else if (!strcasecmp(f->name, "Content-Length")) {
        return parse_length(h, f->value);
    } else if (!strcasecmp(f->name, "Transfer-Encoding")) {
        if (h->chunked || h->minor == 0)
            return 400;
        if (strcasecmp(f->value, "chunked"))
            return 501;
        h->chunked = true;
    } else if (!strcasecmp(f->name, "Connection")) {
        if (has_word(f->value, "close"))
            h->keep_alive = false;
        else if (has_word(f->value, "keep-alive"))
            h->keep_alive = true;
    } else if (!strcasecmp(f->name, "Expect")) {
        if (strcasecmp(f->value, "100-continue"))
            return 417;
        h->expects_continue = h->minor == 1;
    }
    return 0;
}

static bool wants_websocket(const struct http_head *h)
{
    const char *key = http_head_find(h, "Sec-WebSocket-Key");

    return !strcmp(h->method, "GET") && h->minor == 1 && key && strlen(key) == 24 &&
           has_word(http_head_find(h, "Upgrade"), "websocket") &&
           has_word(http_head_find(h, "Connection"), "upgrade");
}

int http_head_parse(struct http_head *h, char *text, size_t len)
{
    char *at = text, *line;
    int status, hosts = 0;

    /* What is refused half read has to be sound, too. */
    *h = (struct http_head){
        .method = "", .path = text + len, .query = "", .minor = 1, .content_length = -1
    };
    for (size_t i = 0; i < len; i++)
        if (!is_text((unsigned char)text[i]) && text[i] != '\r' && text[i] != '\n')
            return 400;
    text[len - 2] = '\0';
    line = cut(&at, '\n');
    for (bool first = true; line; first = false) {
        char *cr = strchr(line, '\r');

        if (!cr || cr[1])
            return 400;
        *cr = '\0';
        status = first ? parse_request_line(h, line) : parse_header(h, line);
        if (!status && !first)
            status = interpret(h, &h->headers[h->n_headers - 1], &hosts);
        if (status)
            return status;
        line = cut(&at, '\n');
    }
    if (!*h->method || hosts > 1 || (h->minor == 1 && !hosts))
        return 400;
    if (h->chunked && h->content_length >= 0)
        return 400;
    h->upgrades = wants_websocket(h);
    return 0;
}

const char *http_head_find(const struct http_head *h, const char *name)
{
    for (size_t i = 0; i < h->n_headers; i++)
        if (!strcasecmp(h->headers[i].name, name))
            return h->headers[i].value;
    return NULL;
}

static int unhex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* ---- chunked bodies (RFC 9112, 7.1) ---- */

static int chunk_size_byte(struct chunked *c, char b)
{
    if (++c->line > MAX_CHUNK_LINE)
        return PAT_EPROTO;
    if (b == '\n') {
        if (!c->cr || !c->digits)
            return PAT_EPROTO;
        c->state = c->left ? CHUNK_DATA : CHUNK_TRAILER;
        c->line = 0;
        c->cr = false;
        return PAT_OK;
    }
    if (c->cr)
        return PAT_EPROTO;
    if (b == '\r') {
        c->cr = true;
    } else if (c->in_ext) {
        return is_text((unsigned char)b) ? PAT_OK : PAT_EPROTO;
    } else if (unhex(b) >= 0) {
        if (c->left > SIZE_MAX >> 5 || c->line > 15)
            return PAT_EPROTO;
        c->left = c->left << 4 | (size_t)unhex(b);
        c->digits = true;
    } else if ((b == ';' || b == ' ' || b == '\t') && c->digits) {
        c->in_ext = true;
    } else {
        return PAT_EPROTO;
    }
    return PAT_OK;
}

static int chunk_end_byte(struct chunked *c, char b)
{
    if (b != (c->cr ? '\n' : '\r'))
        return PAT_EPROTO;
    if (c->cr)
        *c = (struct chunked){ .state = CHUNK_SIZE };
    else
        c->cr = true;
    return PAT_OK;
}

/* Trailers are read and thrown away. */
static int trailer_byte(struct chunked *c, char b)
{
    if (++c->trailer > MAX_TRAILER || (c->cr && b != '\n') || (b == '\n' && !c->cr))
        return PAT_EPROTO;
    if (b == '\r') {
        c->cr = true;
    } else if (b == '\n') {
        if (c->line == 0)
            c->state = CHUNK_DONE;
        c->line = 0;
        c->cr = false;
    } else {
        c->line++;
    }
    return PAT_OK;
}

static int chunk_byte(struct chunked *c, char b)
{
    switch (c->state) {
    case CHUNK_SIZE:
        return chunk_size_byte(c, b);
    case CHUNK_DATA_END:
        return chunk_end_byte(c, b);
    default:
        return trailer_byte(c, b);
    }
}

int chunked_feed(struct chunked *c, const char *in, size_t len, size_t *used, struct pat_buf *out)
{
    size_t at = 0;
    int err = PAT_OK;

    while (at < len && c->state != CHUNK_DONE && !err) {
        if (c->state == CHUNK_DATA) {
            size_t n = len - at < c->left ? len - at : c->left;

            err = pat_buf_add(out, in + at, n);
            at += n;
            c->left -= n;
            if (!c->left)
                c->state = CHUNK_DATA_END;
        } else {
            err = chunk_byte(c, in[at++]);
        }
    }
    *used = at;
    return err;
}

/* ---- paths and forms ---- */

/* In place; 0 for an escape that is broken or stands for NUL. */
static bool percent_decode(char *s, bool plus)
{
    char *out = s;

    for (; *s; s++) {
        if (*s == '%') {
            int hi = unhex(s[1]), lo = hi < 0 ? -1 : unhex(s[2]);

            if (lo < 0 || (hi == 0 && lo == 0))
                return false;
            *out++ = (char)(hi << 4 | lo);
            s += 2;
        } else {
            *out++ = plus && *s == '+' ? ' ' : *s;
        }
    }
    *out = '\0';
    return true;
}

static bool has_dot_segment(const char *path)
{
    for (const char *s = path; (s = strchr(s, '/')); s++) {
        size_t n = strcspn(s + 1, "/");

        if ((n == 1 && s[1] == '.') || (n == 2 && s[1] == '.' && s[2] == '.'))
            return true;
    }
    return false;
}

bool path_decode(char *path)
{
    return !strcasestr(path, "%2f") && percent_decode(path, false) && !has_dot_segment(path);
}

bool form_decode_str(char *s)
{
    return percent_decode(s, true);
}

int form_parse(char *text, struct pat_param *out, size_t max, size_t *n)
{
    *n = 0;
    while (text && *text) {
        char *next = strchr(text, '&'), *value;

        if (next)
            *next++ = '\0';
        if (*text) {
            value = strchr(text, '=');
            if (value)
                *value++ = '\0';
            else
                value = text + strlen(text);
            if (*n == max || !form_decode_str(text) || !form_decode_str(value))
                return PAT_EINVAL;
            out[(*n)++] = (struct pat_param){ text, value };
        }
        text = next;
    }
    return PAT_OK;
}

/* ---- patterns ---- */

static bool match_param(const char **pattern, const char **path, struct route_param *param)
{
    const char *name = *pattern + 1, *end = strchr(name, '}');
    bool rest = end && end > name && end[-1] == '*';
    size_t len = rest ? strlen(*path) : strcspn(*path, "/");

    if (!end || !len)
        return false;
    *param = (struct route_param){ name, (size_t)(end - name) - rest, *path, len };
    *pattern = end + 1;
    *path += len;
    return true;
}

bool route_match(const char *pattern, const char *path, struct route_param *params, size_t *n)
{
    *n = 0;
    while (*pattern) {
        if (*pattern == '{') {
            if (*n == HTTPD_MAX_PARAMS || !match_param(&pattern, &path, &params[*n]))
                return false;
            ++*n;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return !*path;
}
