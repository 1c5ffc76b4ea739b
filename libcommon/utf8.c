/* utf8.c - what is UTF-8 and what is not (RFC 3629 section 4).
 *
 * It judges and counts only; what stands in for broken bytes is the caller's matter.
 */
#include "utf8.h"

#include "json.h"

size_t pat__utf8_char(const char *text, size_t avail)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t len;

    if (!avail)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (avail < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates and values above U+10FFFF. */
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

bool pat_utf8_valid(const char *s, size_t len)
{
    size_t n;

    for (; len; s += n, len -= n) {
        n = pat__utf8_char(s, len);
        if (!n)
            return false;
    }
    return true;
}

size_t pat_utf8_count(const char *s, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)s[i] & 0xc0) != 0x80; /* all but continuations */
    return n;
}
