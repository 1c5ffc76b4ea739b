/* sip.c - a SIP leg as the doubles play it: see sip.h. */
#include "sip.h"

#include <string.h>

struct pat_json *sip_answered(const char *dialog)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_int(j, "status", 200);
    pat_json_set_str(j, "dialog", dialog);
    return j;
}

struct pat_json *sip_refused(int status)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_int(j, "status", status);
    return j;
}

struct pat_json *sip_ended(const char *reason)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_str(j, "reason", reason);
    return j;
}

static void cut(char *out, size_t cap, const char *s, size_t len)
{
    if (!cap)
        return;
    if (len >= cap)
        len = 0;
    memcpy(out, s, len);
    out[len] = 0;
}

static const char *behind_scheme(const char *uri)
{
    return !strncmp(uri, "sips:", 5) ? uri + 5 : !strncmp(uri, "sip:", 4) ? uri + 4 : "";
}

void sip_user(char *out, size_t cap, const char *uri)
{
    const char *s = behind_scheme(uri);
    size_t n = strcspn(s, "@;?");

    cut(out, cap, s, s[n] == '@' ? n : 0);
}

void sip_host(char *out, size_t cap, const char *uri)
{
    const char *s = behind_scheme(uri);
    const char *at = strchr(s, '@');

    s = at ? at + 1 : s;
    cut(out, cap, s, strcspn(s, ";?"));
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t decode(char *out, size_t cap, const char *s, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len && n + 1 < cap; i++) {
        if (s[i] == '%' && i + 2 < len && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0) {
            out[n++] = (char)(hex(s[i + 1]) * 16 + hex(s[i + 2]));
            i += 2;
        } else {
            out[n++] = s[i];
        }
    }
    out[n] = 0;
    return n;
}

struct pat_json *sip_headers(const char *uri)
{
    struct pat_json *j = pat_json_obj();
    const char *s = strchr(uri, '?');

    s = s ? s + 1 : "";
    while (*s) {
        char name[128], value[1024];
        size_t n = strcspn(s, "=&"), v = 0;

        decode(name, sizeof name, s, n);
        s += n;
        if (*s == '=') {
            v = strcspn(++s, "&");
            decode(value, sizeof value, s, v);
            pat_json_set_str(j, name, value);
        }
        s += v;
        s += *s == '&';
    }
    return j;
}
