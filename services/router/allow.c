/* allow.c - may this call be transferred to that number: see allow.h. */
#include "allow.h"

#include <string.h>

#define RING (sizeof((struct allow_rate){ 0 }.at_ms) / sizeof(int64_t))

static size_t trim(const char **s)
{
    size_t n;

    *s += strspn(*s, " ,");
    n = strcspn(*s, ", ");
    return n;
}

bool allow_prefix(const char *prefixes, const char *number)
{
    size_t best = 0;
    bool allowed = false;

    for (const char *s = prefixes; trim(&s); s += trim(&s)) {
        size_t n = trim(&s);
        bool no = *s == '!';
        const char *p = s + no;
        size_t len = n - no;

        if (len >= best && len && !strncmp(p, number, len)) {
            best = len;
            allowed = !no;
        }
    }
    return allowed;
}

const char *allow_transfer(const struct allow_in *in)
{
    if (!strcmp(in->to, in->caller) || !strcmp(in->to, in->called))
        return "loop";
    if (in->to_is_ours)
        return "own_number";
    if (in->before >= in->max)
        return "loop";
    return allow_prefix(in->prefixes, in->to) ? NULL : "not_allowed";
}

const char *allow_forward(const struct allow_forward *in)
{
    const char *to = in->number;

    if (!*to)
        return "no_forward_number";
    if (!strcmp(to, in->from) || !strcmp(to, in->called) || !strcmp(to, in->passed_on_from) ||
        in->from_is_ours)
        return "forward_loop";
    if (in->number_is_ours)
        return "forward_own_number";
    if (!allow_prefix(in->prefixes, to))
        return "forward_not_allowed";
    if (!in->country_allowed)
        return "country_not_allowed";
    if (in->burst)
        return "forward_burst";
    return in->over_cap ? "spend_cap" : NULL;
}

bool allow_rate(struct allow_rate *r, unsigned max, int64_t now_ms)
{
    unsigned recent = 0;

    for (size_t i = 0; i < RING; i++)
        recent += r->at_ms[i] && now_ms - r->at_ms[i] < 60000;
    if (recent >= max)
        return false;
    r->at_ms[r->next++ % RING] = now_ms;
    return true;
}
