/* json_text.c - the strict grammar, mending and quoting.
 *
 * cJSON is lenient: it takes invalid UTF-8, cuts strings at \u0000, reads "01" and "{}x". So the
 * text is checked here first, in one pass, and only what is right reaches it.
 */
#include "json_text.h"

#include "utf8.h"

#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cJSON copies a number into 64 bytes and would quietly read the rest as something else. */
enum { NUMBER_MAX = 63 };

struct scan {
    const char *start;
    const char *at;
    const char *end;
    int depth;
    const char *what; /* set by the first fault */
};

static bool fault(struct scan *c, const char *what)
{
    if (!c->what)
        c->what = what;
    return false;
}

static int peek(const struct scan *c)
{
    return c->at < c->end ? (unsigned char)*c->at : -1;
}

static void skip_blank(struct scan *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
        c->at++;
}

static bool word(struct scan *c, const char *w)
{
    size_t len = strlen(w);

    if ((size_t)(c->end - c->at) < len || memcmp(c->at, w, len) != 0)
        return fault(c, "expected a value");
    c->at += len;
    return true;
}

static bool digits(struct scan *c)
{
    const char *from = c->at;

    while (peek(c) >= '0' && peek(c) <= '9')
        c->at++;
    return c->at > from || fault(c, "broken number");
}

static bool number(struct scan *c)
{
    const char *from = c->at;

    if (peek(c) == '-')
        c->at++;
    if (peek(c) == '0')
        c->at++;
    else if (!digits(c))
        return false;
    if (peek(c) == '.') {
        c->at++;
        if (!digits(c))
            return false;
    }
    if (peek(c) == 'e' || peek(c) == 'E') {
        c->at++;
        if (peek(c) == '+' || peek(c) == '-')
            c->at++;
        if (!digits(c))
            return false;
    }
    return c->at - from <= NUMBER_MAX || fault(c, "number too long");
}

/* Four hex digits behind \u; -1 when they are not. */
static long hex4(struct scan *c)
{
    long v = 0;

    if (c->end - c->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char h = *c->at++;

        if (h >= '0' && h <= '9')
            v = v * 16 + (h - '0');
        else if ((h | 0x20) >= 'a' && (h | 0x20) <= 'f')
            v = v * 16 + ((h | 0x20) - 'a' + 10);
        else
            return -1;
    }
    return v;
}

static bool unicode_escape(struct scan *c)
{
    long v = hex4(c);

    if (v < 0)
        return fault(c, "broken \\u escape");
    if (v == 0)
        return fault(c, "U+0000 in a string");
    if (v >= 0xdc00 && v <= 0xdfff)
        return fault(c, "unpaired surrogate");
    if (v < 0xd800 || v > 0xdbff)
        return true;
    if (c->end - c->at < 6 || c->at[0] != '\\' || c->at[1] != 'u')
        return fault(c, "unpaired surrogate");
    c->at += 2;
    v = hex4(c);
    return (v >= 0xdc00 && v <= 0xdfff) || fault(c, "unpaired surrogate");
}

static bool escape(struct scan *c)
{
    int e;

    c->at++;
    e = peek(c);
    if (e <= 0 || !strchr("\"\\/bfnrtu", e))
        return fault(c, "broken escape");
    c->at++;
    return e == 'u' ? unicode_escape(c) : true;
}

static bool string(struct scan *c)
{
    size_t n;

    c->at++;
    for (;;) {
        int ch = peek(c);

        if (ch < 0)
            return fault(c, "string without an end");
        if (ch == '"')
            break;
        if (ch < 0x20)
            return fault(c, "control character in a string");
        if (ch == '\\') {
            if (!escape(c))
                return false;
            continue;
        }
        n = pat__utf8_char(c->at, (size_t)(c->end - c->at));
        if (!n)
            return fault(c, "not UTF-8");
        c->at += n;
    }
    c->at++;
    return true;
}

static bool value(struct scan *c);

static bool member(struct scan *c)
{
    skip_blank(c);
    if (peek(c) != '"')
        return fault(c, "expected a name");
    if (!string(c))
        return false;
    skip_blank(c);
    if (peek(c) != ':')
        return fault(c, "expected ':'");
    c->at++;
    return value(c);
}

/* An array or an object, by its closing character. */
static bool items(struct scan *c, char close, bool (*item)(struct scan *))
{
    if (++c->depth > PAT_JSON_DEPTH)
        return fault(c, "nested too deeply");
    c->at++;
    skip_blank(c);
    if (peek(c) == close) {
        c->at++;
        c->depth--;
        return true;
    }
    for (;;) {
        if (!item(c))
            return false;
        skip_blank(c);
        if (peek(c) == close)
            break;
        if (peek(c) != ',')
            return fault(c, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
        c->at++;
    }
    c->at++;
    c->depth--;
    return true;
}

static bool value(struct scan *c)
{
    skip_blank(c);
    switch (peek(c)) {
    case '{':
        return items(c, '}', member);
    case '[':
        return items(c, ']', value);
    case '"':
        return string(c);
    case 't':
        return word(c, "true");
    case 'f':
        return word(c, "false");
    case 'n':
        return word(c, "null");
    default:
        if (peek(c) == '-' || (peek(c) >= '0' && peek(c) <= '9'))
            return number(c);
        return fault(c, c->at == c->end ? "unexpected end" : "expected a value");
    }
}

int pat__json_check(const char *text, size_t len, struct pat_json_err *err)
{
    struct scan c = { .start = text, .at = text, .end = text + len };

    if (value(&c)) {
        skip_blank(&c);
        if (c.at != c.end)
            fault(&c, "something behind the value");
    }
    if (!c.what)
        return PAT_OK;
    if (err) {
        err->path[0] = '\0';
        (void)snprintf(err->what, sizeof err->what, "%s at byte %zu", c.what,
                       (size_t)(c.at - c.start));
    }
    return PAT_EINVAL;
}

/* The code of "\\uXXXX" at `at`; -1: that is not there. */
static long escaped_code(const char *at, const char *end)
{
    struct scan c = { .at = at + 2, .end = end };

    return end - at >= 6 && at[0] == '\\' && at[1] == 'u' ? hex4(&c) : -1;
}

/* The next escape from `at` on that stands for no character; NULL: none. */
static const char *next_broken(const char *at, const char *end)
{
    while ((at = memchr(at, '\\', (size_t)(end - at)))) {
        long code = escaped_code(at, end), low;

        if (code < 0) {
            at += end - at < 2 ? 1 : 2;
            continue;
        }
        if (code == 0 || (code >= 0xdc00 && code <= 0xdfff))
            return at;
        at += 6;
        if (code < 0xd800 || code > 0xdbff)
            continue;
        low = escaped_code(at, end);
        if (low < 0xdc00 || low > 0xdfff)
            return at - 6;
        at += 6;
    }
    return NULL;
}

static size_t count_not_utf8(const char *text, size_t len)
{
    size_t bad = 0;

    for (size_t at = 0, n; at < len; at += n ? n : 1) {
        n = pat__utf8_char(text + at, len - at);
        bad += !n;
    }
    return bad;
}

/* Each byte that is no UTF-8 becomes a U+FFFD, which takes three. Returns the new length. */
static size_t copy_as_utf8(char *to, const char *text, size_t len)
{
    char *p = to;

    for (size_t at = 0, n; at < len; at += n ? n : 1) {
        n = pat__utf8_char(text + at, len - at);
        memcpy(p, n ? text + at : "\xef\xbf\xbd", n ? n : 3);
        p += n ? n : 3;
    }
    *p = '\0';
    return (size_t)(p - to);
}

char *pat_json_mended(const char *text, size_t *len)
{
    size_t bad = pat_utf8_valid(text, *len) ? 0 : count_not_utf8(text, *len);
    const char *end, *broken;
    char *copy;

    if (!bad && !next_broken(text, text + *len))
        return NULL;
    copy = malloc(*len + 2 * bad + 1);
    if (!copy)
        return NULL;
    *len = copy_as_utf8(copy, text, *len);
    end = copy + *len;
    for (broken = next_broken(copy, end); broken; broken = next_broken(broken + 6, end))
        memcpy(copy + (broken - copy) + 2, "fffd", 4);
    return copy;
}

static const char *short_escape(unsigned char ch)
{
    switch (ch) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

/* Of eight bytes at once, the top bit of each that is a control, a quote, a backslash or beyond
 * ASCII. A borrow out of one byte may reach the next only when that one is found, so the lowest is
 * always right, and so is none. */
static uint64_t unclean_8(const char *s)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t v, quote, backslash;

    memcpy(&v, s, sizeof v);
    quote = v ^ (ones * '"');
    backslash = v ^ (ones * '\\');
    return (v | (v - ones * 0x20) | (quote - ones) | (backslash - ones)) & tops;
}

/* Length of the run that needs no escape. */
static size_t clean_run(const char *s, size_t len)
{
    size_t at = 0;

    for (; len - at >= 8 && !unclean_8(s + at); at += 8)
        ;
    while (at < len) {
        unsigned char ch = (unsigned char)s[at];
        size_t n = ch >= 0x20 && ch < 0x80 && ch != '"' && ch != '\\' ? 1 : 0;

        if (ch >= 0x80)
            n = pat__utf8_char(s + at, len - at);
        if (!n)
            break;
        at += n;
    }
    return at;
}

/* ASCII without controls, as nearly everything is, into room for two bytes each. Returns how far it
 * came. */
static size_t quote_plain(char **to, const char *s, size_t len)
{
    char *p = *to;
    size_t at = 0;

    while (at < len) {
        unsigned char ch;

        if (len - at >= 8) {
            uint64_t unclean = unclean_8(s + at);
            size_t clean = unclean ? (size_t)__builtin_ctzll(le64toh(unclean)) / 8 : 8;

            memcpy(p, s + at, 8); /* there is room, and what is too much is overwritten */
            p += clean;
            at += clean;
            if (!unclean)
                continue;
        }
        ch = (unsigned char)s[at];
        if (ch < 0x20 || ch >= 0x80)
            break;
        if (ch == '"' || ch == '\\')
            *p++ = '\\';
        *p++ = (char)ch;
        at++;
    }
    *to = p;
    return at;
}

int pat_json_quote(struct pat_buf *out, const char *s, size_t len)
{
    size_t at = 0;
    bool fits = !out->err && len < out->max / 2 && 2 * len + 2 <= out->max - out->len;
    char *to = fits ? pat_buf_reserve(out, 2 * len + 2) : NULL;

    if (to) {
        *to++ = '"';
        at = quote_plain(&to, s, len);
        out->len = (size_t)(to - out->data);
        *to = '\0';
    } else {
        pat_buf_add(out, "\"", 1);
    }
    while (at < len && !out->err) {
        size_t run = clean_run(s + at, len - at);
        unsigned char ch;

        if (run)
            pat_buf_add(out, s + at, run);
        at += run;
        if (at == len)
            break;
        ch = (unsigned char)s[at++];
        if (short_escape(ch))
            pat_buf_adds(out, short_escape(ch));
        else
            pat_buf_addf(out, "\\u%04x", ch < 0x20 ? ch : 0xfffdU);
    }
    return pat_buf_add(out, "\"", 1);
}
