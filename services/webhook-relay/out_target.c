/* out_target.c - see out_target.h. */
#include "out_target.h"

#include "http_guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- where ---- */

struct parts {
    char host[256];
    const char *path; /* "" or from the slash on */
    long port;        /* 0: none said */
    bool tls;
};

static bool read_port(struct parts *p, const char *s, const char *end)
{
    char *stop;

    if (s == end)
        return true;
    if (*s != ':')
        return false;
    p->port = strtol(s + 1, &stop, 10);
    return stop == end && s[1] >= '0' && s[1] <= '9' && p->port > 0 && p->port < 65536;
}

static bool split(struct parts *p, const char *url)
{
    const char *at, *end, *close;
    size_t len;

    p->tls = !strncasecmp(url, "https://", 8);
    if (!p->tls && strncasecmp(url, "http://", 7) != 0)
        return false;
    at = url + (p->tls ? 8 : 7);
    end = at + strcspn(at, "/?#");
    p->path = end;
    close = *at == '[' ? memchr(at, ']', (size_t)(end - at)) : NULL;
    len = close ? (size_t)(close - at) - 1
                : (size_t)(end - at) -
                      (memchr(at, ':', (size_t)(end - at))
                           ? strlen(memchr(at, ':', (size_t)(end - at))) - strlen(end)
                           : 0);
    if (!len || len >= sizeof p->host)
        return false;
    memcpy(p->host, close ? at + 1 : at, len);
    p->host[len] = '\0';
    return read_port(p, close ? close + 1 : at + len, end);
}

/* All ways to write an IPv4 address that anybody reads as one: 2130706433, 0x7f.1. */
static bool address_closed(const char *host)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

    if (inet_aton(host, &v4.sin_addr))
        return !http_guard_public((const struct sockaddr *)&v4);
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)
        return !http_guard_public((const struct sockaddr *)&v6);
    return strchr(host, ':') || !strcasecmp(host, "localhost") ||
           (strlen(host) > 10 && !strcasecmp(host + strlen(host) - 10, ".localhost"));
}

static bool plain(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || (unsigned char)*s > '~' || strchr("\\\"<>^`{|}", *s))
            return false;
    return true;
}

/* /functions/v1/<name>, and nothing but a query behind it. */
static bool edge_path(const char *path)
{
    static const char prefix[] = "/functions/v1/";
    size_t n;

    if (strncmp(path, prefix, sizeof prefix - 1) != 0)
        return false;
    path += sizeof prefix - 1;
    n = strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return n && (!path[n] || path[n] == '?' || path[n] == '/');
}

const char *out_target_wrong(const char *url, bool edge, bool private_nets)
{
    struct parts p = { .host = "" };
    const char *host_end = strstr(url, "://");

    if (strlen(url) > OUT_URL_MAX)
        return "must have at most 2048 characters";
    if (!plain(url))
        return "must be an absolute URL, percent-encoded";
    if (host_end && memchr(host_end + 3, '@', strcspn(host_end + 3, "/?#")))
        return "must have no user or password";
    if (!split(&p, url))
        return "must be an absolute URL: https://host/path";
    if (strchr(url, '#'))
        return "must have no fragment";
    if (edge && !edge_path(p.path))
        return "must be that of an Edge Function: https://<project>.supabase.co/functions/v1/<name>";
    if (private_nets)
        return NULL;
    if (!p.tls)
        return "must be https";
    if (p.port && p.port != 443 && p.port != 8443)
        return "must be on port 443 or 8443";
    return address_closed(p.host) ? "must be a public address" : NULL;
}

/* ---- what ---- */

static const char *const areas[] = {
    "call", "config", "switch", "turn", "usage", "voice", "webhook"
};

static bool area_known(const char *s, size_t len)
{
    for (size_t i = 0; i < sizeof areas / sizeof areas[0]; i++)
        if (strlen(areas[i]) == len && !memcmp(areas[i], s, len))
            return true;
    return false;
}

bool out_pattern_valid(const char *pattern)
{
    const char *dot = strchr(pattern, '.');
    size_t area;

    if (!strcmp(pattern, "*"))
        return true;
    if (!dot || strlen(pattern) > OUT_PATTERN_MAX)
        return false;
    area = (size_t)(dot - pattern);
    if (!(area == 1 && *pattern == '*') && !area_known(pattern, area))
        return false;
    return !strcmp(dot + 1, "*") ||
           (dot[1] && !dot[1 + strspn(dot + 1, "abcdefghijklmnopqrstuvwxyz_")]);
}

bool out_pattern_matches(const char *pattern, const char *type)
{
    const char *dot = strchr(type, '.'), *p = strchr(pattern, '.');

    if (!strcmp(pattern, "*"))
        return true;
    if (!dot || !p)
        return false;
    if (strncmp(pattern, "*.", 2) != 0 &&
        (p - pattern != dot - type || strncmp(pattern, type, (size_t)(p - pattern)) != 0))
        return false;
    return !strcmp(p, ".*") || !strcmp(p, dot);
}

bool out_type_of(char *out, size_t cap, const char *event_type)
{
    const char *area = event_type + 4, *version, *name;

    if (strncmp(event_type, "pat.", 4) != 0)
        return false;
    version = strchr(area, '.');
    if (!version || strncmp(version, ".v1.", 4) != 0 || !area_known(area, (size_t)(version - area)))
        return false;
    name = version + 4;
    if (!*name || name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] ||
        (size_t)(version - area) + strlen(name) + 2 > cap)
        return false;
    memcpy(out, area, (size_t)(version - area));
    out[version - area] = '.';
    (void)pat_strcpy(out + (version - area) + 1, cap - (size_t)(version - area) - 1, name);
    /* Of webhooks only what an owner can act on: telling of each delivery would never end. And live
     * text is stale before it is sent. */
    return (strncmp(out, "webhook.", 8) != 0 || !strcmp(out, "webhook.endpoint_disabled")) &&
           strcmp(out, "turn.partial") != 0;
}
