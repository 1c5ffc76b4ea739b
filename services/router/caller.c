/* caller.c - who calls: see caller.h. */
#include "caller.h"

#include <string.h>

static const struct {
    const char *word;
    enum caller_kind kind;
} words[] = {
    { "anonymous", CALLER_ANONYMOUS },
    { "private", CALLER_ANONYMOUS },
    { "blocked", CALLER_ANONYMOUS },
    { "withheld", CALLER_ANONYMOUS },
    { "restricted", CALLER_RESTRICTED },
    { "unavailable", CALLER_UNAVAILABLE },
    { "unknown", CALLER_UNAVAILABLE },
    /* spelled on the keys */
    { "+266696687", CALLER_ANONYMOUS },
    { "+2562533", CALLER_ANONYMOUS },
    { "+7378742833", CALLER_RESTRICTED },
    { "+86282452253", CALLER_UNAVAILABLE },
    { "+8656696", CALLER_UNAVAILABLE },
};

const char *caller_kind_name(enum caller_kind k)
{
    static const char *const names[CALLER_KINDS] = { [CALLER_NUMBER] = "number",
                                                     [CALLER_ANONYMOUS] = "anonymous",
                                                     [CALLER_RESTRICTED] = "restricted",
                                                     [CALLER_UNAVAILABLE] = "unavailable" };

    return names[k];
}

static enum caller_kind kind_of(const char *s, size_t n)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i].word) == n && !strncasecmp(words[i].word, s, n))
            return words[i].kind;
    return CALLER_KINDS;
}

/* What is between < and >, when there is such a thing; else all of it. Cut to what can matter. */
static const char *bare(char out[128], const char *sent)
{
    const char *open = strchr(sent, '<');
    size_t n;

    sent = open ? open + 1 : sent;
    n = strcspn(sent, ">");
    n = n < 127 ? n : 127;
    memcpy(out, sent, n);
    out[n] = 0;
    return out;
}

enum caller_kind caller_read(char from[NUMBER_MAX], const char *sent)
{
    char text[128];
    const char *s = bare(text, sent);
    enum caller_kind kind;

    if (!number_read(from, s)) {
        kind = kind_of(from, strlen(from));
        if (kind == CALLER_KINDS)
            return CALLER_NUMBER;
        from[0] = 0;
        return kind;
    }
    from[0] = 0;
    if (!strncasecmp(s, "sip:", 4) || !strncasecmp(s, "sips:", 5))
        s = strchr(s, ':') + 1;
    kind = kind_of(s, strcspn(s, "@;? "));
    return kind == CALLER_KINDS ? CALLER_UNAVAILABLE : kind;
}

void caller_passed_on(char out[NUMBER_MAX], const char *sent)
{
    char text[128];

    out[0] = 0;
    if (sent && number_read(out, bare(text, sent)))
        out[0] = 0;
}
