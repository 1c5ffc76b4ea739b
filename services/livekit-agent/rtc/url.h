/* url.h - LiveKit is configured by one URL; each interface wants its own form of it. */
#ifndef RTC_URL_H
#define RTC_URL_H

#include "buf.h"

/* base (ws, wss, http or https, a path is kept) with a WebSocket scheme, and path behind it. */
int url_ws(struct pat_buf *out, const char *base, const char *path);
/* The same with an HTTP scheme. */
int url_http(struct pat_buf *out, const char *base, const char *path);
/* The host is this machine by name or number. */
bool url_is_loopback(const char *base);

#endif
