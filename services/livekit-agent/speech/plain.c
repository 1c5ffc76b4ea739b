/* plain.c - see plain.h.
 *
 * How: bytes become characters; emoji go; links are held until they are whole; runs of a mark wait
 * for the character behind them, which decides; what may be the beginning of a web address waits
 * until it is one or not. Bytes that are no UTF-8 are dropped. It does not know tables or HTML. */
#include "plain.h"

#include <string.h>
#include <strings.h>

void plain_init(struct plain *p, plain_fn *fn, void *arg)
{
    *p = (struct plain){ .fn = fn, .arg = arg, .prev = '\n', .line_start = true };
}

static size_t encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

static bool is_blank(uint32_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0xA0;
}

static bool is_word(uint32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c > 0xBF;
}

/* Pictographs, their joiners and selectors (Unicode 15, emoji-data.txt, without digits, arrows,
 * (c) and (r), which have a spoken form). */
static bool is_emoji(uint32_t c)
{
    return (c >= 0x1F000 && c <= 0x1FAFF) || (c >= 0x2600 && c <= 0x27BF) ||
           (c >= 0x231A && c <= 0x231B) || (c >= 0x23E9 && c <= 0x23FA) ||
           (c >= 0x2B05 && c <= 0x2B07) || (c >= 0x2B1B && c <= 0x2B1C) || c == 0x2B50 ||
           c == 0x2B55 || c == 0xFE0F || c == 0xFE0E || c == 0x200D || c == 0x20E3 ||
           (c >= 0xE0020 && c <= 0xE007F) || c == 0xFEFF;
}

static void out(struct plain *p, uint32_t c)
{
    char utf8[4];

    p->fn(utf8, encode(c, utf8), p->arg);
}

enum match { NO_MATCH, PART_MATCH, SCHEME_MATCH, WWW_MATCH };

/* Is what has begun the beginning of an address? Behind a scheme only "www." still matters. */
static enum match url_match(const struct plain *p)
{
    static const char *const heads[] = { "https://", "http://", "www." };
    enum match best = NO_MATCH;

    for (size_t i = p->url.scheme ? 2 : 0; i < 3; i++) {
        size_t len = strlen(heads[i]);

        if (strncasecmp(p->url.begun, heads[i], p->url.n) != 0 || p->url.n > len)
            continue;
        if (p->url.n == len)
            return i == 2 ? WWW_MATCH : SCHEME_MATCH;
        best = PART_MATCH;
    }
    return best;
}

static void url_char(struct plain *p, uint32_t c);

/* It was none, or the host begins at once: what was held back is given on as that. */
static void url_release(struct plain *p)
{
    size_t n = p->url.n;

    p->url.at = p->url.scheme ? PLAIN_URL_HOST : PLAIN_NO_URL;
    p->url.n = 0;
    p->url.in_word = n > 0;
    for (size_t i = 0; i < n; i++)
        out(p, (uint8_t)p->url.begun[i]);
}

static void url_begin(struct plain *p, uint32_t c)
{
    if (c >= 0x80) {
        url_release(p);
        url_char(p, c);
        return;
    }
    p->url.begun[p->url.n++] = (char)c;
    switch (url_match(p)) {
    case PART_MATCH:
        return;
    case SCHEME_MATCH:
        p->url.scheme = true;
        p->url.n = 0;
        return;
    case WWW_MATCH:
        p->url.at = PLAIN_URL_HOST;
        p->url.n = 0;
        return;
    default:
        p->url.n--;
        url_release(p);
        url_char(p, c);
    }
}

static void url_over(struct plain *p)
{
    uint32_t trailer = p->url.trailer;

    p->url.at = PLAIN_NO_URL;
    p->url.scheme = false;
    p->url.trailer = 0;
    p->url.in_word = true;
    if (trailer)
        out(p, trailer);
}

/* The last stage: everything that can be spoken passes here. */
static void url_char(struct plain *p, uint32_t c)
{
    bool mark = c == '.' || c == ',' || c == ';' || c == ':' || c == '!' || c == '?' || c == ')';

    if (p->url.at == PLAIN_MAYBE_URL) {
        url_begin(p, c);
    } else if (p->url.at == PLAIN_NO_URL && !p->url.in_word &&
               (c == 'h' || c == 'H' || c == 'w' || c == 'W')) {
        p->url.at = PLAIN_MAYBE_URL;
        p->url.scheme = false;
        url_begin(p, c);
    } else if (p->url.at == PLAIN_NO_URL) {
        p->url.in_word = is_word(c) || c == '@' || c == '.' || c == '/' || c == '-';
        out(p, c);
    } else if (is_blank(c)) {
        url_over(p);
        url_char(p, c);
    } else if (p->url.at == PLAIN_URL_HOST && (is_word(c) || c == '-')) {
        if (p->url.trailer)
            out(p, p->url.trailer);
        p->url.trailer = 0;
        out(p, c);
    } else {
        if (p->url.at == PLAIN_URL_HOST && c != '.')
            p->url.at = PLAIN_URL_REST;
        p->url.trailer = mark ? c : 0;
    }
}

static void put(struct plain *p, uint32_t c)
{
    p->prev = c;
    p->line_start = c == '\n' || (p->line_start && is_blank(c));
    url_char(p, c);
}

/* Two blanks in a row only come from what fell away between them. */
static void put_text(struct plain *p, uint32_t c)
{
    if (c == '\t' || c == '\r' || c == 0xA0)
        c = ' ';
    if (c == ' ' && (p->skip_blank || is_blank(p->prev)))
        return;
    p->skip_blank = false;
    put(p, c);
}

static void put_run(struct plain *p, uint32_t c, unsigned n)
{
    while (n--)
        put_text(p, c);
}

/* The run of marks is over and `next` stands behind it ('\n' at the end). */
static void decide(struct plain *p, uint32_t next)
{
    uint32_t m = p->mark;
    unsigned n = p->n_mark;
    bool start = p->line_start, between = is_word(p->prev) && is_word(next);

    p->mark = 0;
    p->n_mark = 0;
    if (m == '`') {
        p->skip_line = start && n >= 3 && next != '\n';
    } else if (start && is_blank(next) && (m == '#' ? n <= 6 : n == 1 || n >= 3) && m != '~' &&
               m != '_') {
        p->skip_blank = true; /* a heading, bullet, quote or rule */
    } else if (m == '*') {
        if (n == 1 && is_blank(p->prev) && is_blank(next))
            put_text(p, m);
    } else if (m == '_') {
        if (between)
            put_run(p, m, n);
    } else if (m != '~' || n < 2) {
        put_run(p, m, n);
    }
}

static bool is_mark(const struct plain *p, uint32_t c)
{
    if (c == '*' || c == '_' || c == '`' || c == '~')
        return true;
    return p->line_start && (c == '#' || c == '-' || c == '+' || c == '>');
}

/* Outside of links. */
static void text_char(struct plain *p, uint32_t c)
{
    if (p->skip_line) {
        p->skip_line = c != '\n';
        return;
    }
    if (p->mark && c == p->mark) {
        if (p->n_mark < 100)
            p->n_mark++;
        return;
    }
    if (p->mark)
        decide(p, c);
    if (p->skip_line) {
        p->skip_line = c != '\n';
    } else if (is_mark(p, c)) {
        p->mark = c;
        p->n_mark = 1;
    } else if (c == '\n') {
        p->skip_blank = false;
        put(p, c);
    } else {
        put_text(p, c);
    }
}

static void text_bytes(struct plain *p, const char *s, size_t len);

/* It was no link: as it stood, without its brackets where it has both. */
static void link_release(struct plain *p)
{
    char held[PLAIN_MAX_LINK];
    size_t n = p->n_held, label = p->n_label;
    bool closed = p->link == PLAIN_LINK_TEXT_END, url = p->link == PLAIN_LINK_URL;

    memcpy(held, p->held, n);
    p->link = PLAIN_TEXT;
    p->n_held = p->n_label = 0;
    if (!closed && !url)
        text_char(p, '[');
    text_bytes(p, held, label);
    if (url)
        text_char(p, '(');
    text_bytes(p, held + label, n - label);
}

static void link_hold(struct plain *p, uint32_t c)
{
    char utf8[4];
    size_t len = encode(c, utf8);

    if (p->n_held + len > sizeof p->held) {
        link_release(p);
        text_char(p, c);
        return;
    }
    memcpy(p->held + p->n_held, utf8, len);
    p->n_held += len;
    if (p->link == PLAIN_LINK_TEXT)
        p->n_label = p->n_held;
}

static void link_done(struct plain *p)
{
    char label[PLAIN_MAX_LINK];
    size_t n = p->n_label;

    memcpy(label, p->held, n);
    p->link = PLAIN_TEXT;
    p->n_held = p->n_label = 0;
    text_bytes(p, label, n);
}

static void on_char(struct plain *p, uint32_t c)
{
    if (is_emoji(c))
        return;
    if (p->link != PLAIN_TEXT && c == '\n') {
        link_release(p);
    } else if (p->link == PLAIN_LINK_TEXT) {
        if (c == ']')
            p->link = PLAIN_LINK_TEXT_END;
        else
            link_hold(p, c);
        return;
    } else if (p->link == PLAIN_LINK_TEXT_END) {
        if (c == '(') {
            p->link = PLAIN_LINK_URL;
            return;
        }
        link_release(p);
    } else if (p->link == PLAIN_LINK_URL) {
        if (c == ')')
            link_done(p);
        else
            link_hold(p, c);
        return;
    }
    if (p->bang && c != '[')
        text_char(p, '!');
    p->bang = c == '!';
    if (c == '[')
        p->link = PLAIN_LINK_TEXT;
    else if (!p->bang)
        text_char(p, c);
}

/* Well-formed UTF-8 of our own making. */
static void text_bytes(struct plain *p, const char *s, size_t len)
{
    static const uint8_t first[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };

    for (size_t i = 0, n; i < len; i += n) {
        uint8_t b = (uint8_t)s[i];
        uint32_t c;

        n = b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
        c = b & first[n];
        for (size_t k = 1; k < n; k++)
            c = c << 6 | ((uint8_t)s[i + k] & 0x3F);
        text_char(p, c);
    }
}

static void utf8_whole(struct plain *p)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint32_t c = (uint8_t)p->utf8[0] & (0x7FU >> p->want);

    for (size_t i = 1; i < p->want; i++)
        c = c << 6 | ((uint8_t)p->utf8[i] & 0x3F);
    p->have = 0;
    if (c >= least[p->want] && c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF))
        on_char(p, c);
}

void plain_feed(struct plain *p, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t b = (uint8_t)text[i];

        if (p->have && (b & 0xC0) == 0x80) {
            p->utf8[p->have++] = (char)b;
            if (p->have == p->want)
                utf8_whole(p);
            continue;
        }
        p->have = 0;
        if (b < 0x80) {
            if (b >= ' ' || b == '\n' || b == '\t' || b == '\r')
                on_char(p, b);
        } else if (b >= 0xC2 && b < 0xF5) {
            p->want = b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
            p->utf8[p->have++] = (char)b;
        }
    }
}

void plain_end(struct plain *p)
{
    p->have = 0;
    if (p->link != PLAIN_TEXT)
        link_release(p);
    if (p->bang)
        text_char(p, '!');
    p->bang = false;
    if (p->mark)
        decide(p, '\n');
    if (p->url.at == PLAIN_MAYBE_URL)
        url_release(p);
    if (p->url.at != PLAIN_NO_URL)
        url_over(p);
    plain_init(p, p->fn, p->arg);
}
