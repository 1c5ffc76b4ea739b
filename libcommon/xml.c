/* xml.c - elements, attributes and text, escaped as they are written.
 *
 * No reading, no namespaces, no comments: the documents we send to carriers need none.
 */
#include "xml.h"

#include "utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void fail(struct pat_xml *x, int err)
{
    if (!x->err)
        x->err = err;
}

static void put(struct pat_xml *x, const char *s, size_t len)
{
    if (!x->err)
        fail(x, pat_buf_add(x->out, s, len));
}

static void puts_(struct pat_xml *x, const char *s)
{
    put(x, s, strlen(s));
}

static const char *escape(char c, bool in_attr)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '\r':
        return "&#13;"; /* else a reader makes a line feed of it (XML 1.0 section 2.11) */
    case '"':
        return in_attr ? "&quot;" : NULL;
    case '\t':
        return in_attr ? "&#9;" : NULL; /* else a blank (section 3.3.3) */
    case '\n':
        return in_attr ? "&#10;" : NULL;
    default:
        return NULL;
    }
}

/* Length of the character at s that XML may hold as it is; 0 for one that it may not. */
static size_t legal_char(const char *s, size_t len)
{
    size_t n = pat__utf8_char(s, len);

    if (n == 1 && (unsigned char)*s < 0x20)
        return *s == '\t' || *s == '\n' || *s == '\r';
    if (n == 3 && !memcmp(s, "\xef\xbf", 2) && (unsigned char)s[2] >= 0xbe)
        return 0; /* U+FFFE and U+FFFF */
    return n;
}

/* Is one of eight bytes c? Never says no wrongly (json_text.c has the reason). */
static uint64_t has(uint64_t v, char c)
{
    return (v ^ 0x0101010101010101u * (unsigned char)c) - 0x0101010101010101u;
}

/* Most of what we write: eight characters of ASCII that are never escaped. */
static bool plain_8(const char *s)
{
    uint64_t v;

    memcpy(&v, s, sizeof v);
    return !(
        (v | (v - 0x2020202020202020u) | has(v, '&') | has(v, '<') | has(v, '>') | has(v, '"')) &
        0x8080808080808080u);
}

static void put_escaped(struct pat_xml *x, const char *s, bool in_attr)
{
    size_t len = strlen(s);
    size_t run = 0;

    while (run < len) {
        const char *instead;
        size_t n;

        if (len - run >= 8 && plain_8(s + run)) {
            run += 8;
            continue;
        }
        n = legal_char(s + run, len - run);
        instead = n ? escape(s[run], in_attr) : "\xef\xbf\xbd";
        if (!instead) {
            run += n;
            continue;
        }
        put(x, s, run);
        puts_(x, instead);
        run += n ? n : 1;
        s += run;
        len -= run;
        run = 0;
    }
    put(x, s, len);
}

static void end_tag(struct pat_xml *x)
{
    if (x->in_tag)
        puts_(x, ">");
    x->in_tag = false;
}

void pat_xml_init(struct pat_xml *x, struct pat_buf *out)
{
    *x = (struct pat_xml){ .out = out };
    puts_(x, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
}

void pat_xml_open(struct pat_xml *x, const char *name)
{
    if (x->depth == PAT_XML_DEPTH || x->done) {
        fail(x, x->done ? PAT_EINVAL : PAT_E2BIG);
        return;
    }
    end_tag(x);
    puts_(x, "<");
    puts_(x, name);
    x->open[x->depth++] = name;
    x->in_tag = true;
}

void pat_xml_attr(struct pat_xml *x, const char *name, const char *value)
{
    if (!value)
        return;
    if (!x->in_tag) {
        fail(x, PAT_EINVAL);
        return;
    }
    puts_(x, " ");
    puts_(x, name);
    puts_(x, "=\"");
    put_escaped(x, value, true);
    puts_(x, "\"");
}

void pat_xml_attr_int(struct pat_xml *x, const char *name, long value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%ld", value);
    pat_xml_attr(x, name, text);
}

void pat_xml_text(struct pat_xml *x, const char *text)
{
    if (!text || !*text)
        return;
    if (!x->depth) {
        fail(x, PAT_EINVAL);
        return;
    }
    end_tag(x);
    put_escaped(x, text, false);
}

void pat_xml_close(struct pat_xml *x)
{
    if (!x->depth) {
        fail(x, PAT_EINVAL);
        return;
    }
    x->depth--;
    if (x->in_tag) {
        puts_(x, "/>");
    } else {
        puts_(x, "</");
        puts_(x, x->open[x->depth]);
        puts_(x, ">");
    }
    x->in_tag = false;
    x->done = !x->depth;
}

int pat_xml_end(struct pat_xml *x)
{
    if (!x->done)
        fail(x, PAT_EINVAL);
    return x->err;
}
