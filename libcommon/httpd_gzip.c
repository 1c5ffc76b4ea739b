/* httpd_gzip.c - whole replies compressed for clients that take it (RFC 9110, 8.4.1.3 and 12.5.3).
 *
 * On the loop, and so the fastest level and a limit: longer replies go out as they are. Streams are
 * never compressed, nor anything a handler has not allowed.
 */
#include "httpd_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define MIN_LEN   1024 /* below, a packet is a packet */
#define MAX_LEN   ((size_t)8 << 20)
#define GZIP      (15 + 16) /* the window's bits; 16: with gzip's header */
#define MEM_LEVEL 8         /* zlib's default: 256 KiB in all while it works */

/* ";q=0.5" and whatever stands around it, up to the comma. In thousandths; what is no weight: 0. */
static int weight(const char *params, size_t len)
{
    int q = 0, unit = 100;
    const char *end = params + len;

    while (params < end && strchr(" \t;", *params))
        params++;
    if (params == end)
        return 1000;
    if (end - params < 3 || (*params != 'q' && *params != 'Q') || params[1] != '=')
        return 0;
    if (params[2] == '1')
        return 1000;
    if (params[2] != '0' || params + 3 == end || params[3] != '.')
        return 0;
    for (params += 4; params < end && *params >= '0' && *params <= '9' && unit; unit /= 10)
        q += (*params++ - '0') * unit;
    return q;
}

static bool is_coding(const char *name, size_t len, const char *coding)
{
    return len == strlen(coding) && !strncasecmp(name, coding, len);
}

bool http_takes_gzip(const char *accept)
{
    int gzip = -1, any = 0, identity = 0;

    while (accept && *accept) {
        size_t all = strcspn(accept, ","), len;

        for (; all && strchr(" \t", *accept); all--)
            accept++;
        len = strcspn(accept, " \t;,");
        if (is_coding(accept, len, "gzip") || is_coding(accept, len, "x-gzip"))
            gzip = weight(accept + len, all - len);
        else if (is_coding(accept, len, "identity"))
            identity = weight(accept + len, all - len);
        else if (is_coding(accept, len, "*"))
            any = weight(accept + len, all - len);
        accept += all + (accept[all] == ',');
    }
    if (gzip < 0)
        gzip = any;
    return gzip > 0 && gzip >= identity;
}

bool pat_httpd_takes_gzip(const struct pat_httpd_req *r)
{
    return http_takes_gzip(pat_httpd_header(r, "Accept-Encoding"));
}

void pat_httpd_allow_gzip(struct pat_httpd_req *r)
{
    r->may_gzip = true;
}

void *req_gzip(const struct pat_httpd_req *r, int status, const void *body, size_t len,
               size_t *out_len)
{
    z_stream z = { 0 };
    unsigned char *out;
    bool whole;

    if (!r->may_gzip || status != 200 || len < MIN_LEN || len > MAX_LEN ||
        !pat_httpd_takes_gzip(r) || !(out = malloc(len)))
        return NULL;
    if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, GZIP, MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(out);
        return NULL;
    }
    z.next_in = (unsigned char *)body; /* zlib does not write there */
    z.avail_in = (unsigned)len;
    z.next_out = out;
    z.avail_out = (unsigned)(len - len / 8); /* hardly shorter: not worth it */
    whole = deflate(&z, Z_FINISH) == Z_STREAM_END;
    deflateEnd(&z);
    if (!whole) {
        free(out);
        return NULL;
    }
    *out_len = z.total_out;
    return out;
}
