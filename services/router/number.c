/* number.c - phone numbers as carriers write them: see number.h. */
#include "number.h"

#include <ctype.h>
#include <string.h>

bool number_e164(const char *s)
{
    size_t n;

    if (*s != '+' || s[1] < '1' || s[1] > '9')
        return false;
    n = strspn(s + 1, "0123456789");
    return n >= 2 && n <= 15 && !s[1 + n];
}

static const char *skip_scheme(const char *s)
{
    static const char *const schemes[] = { "sip:", "sips:", "tel:" };

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (!strncasecmp(s, schemes[i], strlen(schemes[i])))
            return s + strlen(schemes[i]);
    return s;
}

int number_read(char out[NUMBER_MAX], const char *s)
{
    char text[NUMBER_MAX] = "+";
    size_t n;

    s = skip_scheme(s);
    if (*s == '+' || *s == ' ')
        s++;
    n = strcspn(s, "@;?");
    if (n > 15)
        return PAT_EINVAL;
    memcpy(text + 1, s, n);
    text[1 + n] = 0;
    if (!number_e164(text))
        return PAT_EINVAL;
    memcpy(out, text, sizeof text);
    return PAT_OK;
}

void number_mask(char out[NUMBER_MAX], const char *number)
{
    size_t n = strlen(number), shown = n > 8 ? 4 : 0;

    if (n >= NUMBER_MAX)
        n = NUMBER_MAX - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(i + shown >= n || number[i] == '+' ? number[i] : '*');
    out[n] = 0;
}
