/* phone.c - see phone.h.
 *
 * How: characters are sorted into digits, decoration and everything else. It knows no numbering
 * plan but North America's lengths: whether a number exists is the carrier's to say.
 */
#include "phone.h"

#include <string.h>

enum { MIN_DIGITS = 7, MAX_DIGITS = 15 };

bool pat_phone_valid(const char *number)
{
    size_t digits;

    if (number[0] != '+' || number[1] == '0')
        return false;
    digits = strspn(number + 1, "0123456789");
    return digits >= MIN_DIGITS && digits <= MAX_DIGITS && !number[1 + digits];
}

/* Digits of the text; -1: something else is in it, or too many. */
static int digits_of(char out[MAX_DIGITS + 3], const char *text, bool *plus)
{
    int n = 0;

    *plus = false;
    for (; *text; text++) {
        if (*text >= '0' && *text <= '9') {
            if (n == MAX_DIGITS + 2)
                return -1;
            out[n++] = *text;
        } else if (*text == '+' && !n && !*plus) {
            *plus = true;
        } else if (!strchr(" .-/()\t", *text)) {
            return -1;
        }
    }
    return n;
}

int pat_phone_normal(char out[PAT_PHONE_LEN + 1], const char *text)
{
    char digits[MAX_DIGITS + 3], all[MAX_DIGITS + 6] = "+";
    const char *from = digits;
    bool plus;
    int n = digits_of(digits, text, &plus);
    size_t at = 1;

    if (n < 0)
        return PAT_EINVAL;
    if (!plus && n > 2 && from[0] == '0' && from[1] == '0')
        from += 2, n -= 2, plus = true;
    if (!plus && n == 10)
        all[at++] = '1';
    else if (!plus && !(n == 11 && from[0] == '1'))
        return PAT_EINVAL;
    memcpy(all + at, from, (size_t)n);
    all[at + (size_t)n] = 0;
    if (!pat_phone_valid(all))
        return PAT_EINVAL;
    memcpy(out, all, at + (size_t)n + 1);
    return PAT_OK;
}

bool pat_phone_allowed(const char *number, const char *prefixes)
{
    if (!prefixes || !*prefixes)
        return true;
    while (*prefixes) {
        size_t len = strcspn(prefixes, ", ");

        if (len && strncmp(number, prefixes, len) == 0)
            return true;
        prefixes += len;
        prefixes += strspn(prefixes, ", ");
    }
    return false;
}

void pat_phone_mask(char out[PAT_PHONE_LEN + 1], const char *number)
{
    size_t len = strnlen(number, PAT_PHONE_LEN);

    for (size_t i = 0; i < len; i++)
        out[i] = i + 4 >= len || (!i && number[0] == '+') ? number[i] : '*';
    out[len] = 0;
}
