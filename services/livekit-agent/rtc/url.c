/* url.c - turns LiveKit's URL into the forms its interfaces want. */
#include "url.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *scheme;
    bool tls;
} schemes[] = {
    { "ws://", false }, { "wss://", true }, { "http://", false }, { "https://", true }
};

/* What follows the scheme; NULL when it is none of ours. */
static const char *after_scheme(const char *base, bool *tls)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t n = strlen(schemes[i].scheme);

        if (strncasecmp(base, schemes[i].scheme, n) == 0) {
            *tls = schemes[i].tls;
            return base + n;
        }
    }
    return NULL;
}

static int build(struct pat_buf *out, const char *base, const char *path, const char *plain,
                 const char *secure)
{
    bool tls = false;
    const char *rest = after_scheme(base, &tls);

    if (!rest || !*rest)
        return PAT_EINVAL;
    size_t n = strlen(rest);
    while (n && rest[n - 1] == '/')
        n--;
    pat_buf_adds(out, tls ? secure : plain);
    pat_buf_add(out, rest, n);
    return pat_buf_adds(out, path);
}

int url_ws(struct pat_buf *out, const char *base, const char *path)
{
    return build(out, base, path, "ws://", "wss://");
}

int url_http(struct pat_buf *out, const char *base, const char *path)
{
    return build(out, base, path, "http://", "https://");
}

bool url_is_loopback(const char *base)
{
    bool tls;
    const char *host = after_scheme(base, &tls);

    return host && (strncasecmp(host, "localhost", 9) == 0 || strncmp(host, "127.", 4) == 0 ||
                    strncmp(host, "[::1]", 5) == 0);
}
