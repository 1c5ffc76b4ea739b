/* console.h - the files of the web console as console/build.mjs packs them into the program. */
#ifndef SWITCHER_CONSOLE_H
#define SWITCHER_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

struct console_asset {
    const char *path; /* "/" for the page itself */
    const char *type;
    const char *etag; /* weak, W/"...": of both forms */
    const unsigned char *packed;
    size_t packed_len; /* gzip, RFC 1952 */
    size_t len;
    bool immutable; /* its name changes with its bytes */
};

extern const struct console_asset console_assets[];
extern const size_t console_assets_n;

/* Replies with the file of this path; 404 when there is none. */
struct pat_httpd_req;
void console_reply_file(struct pat_httpd_req *http, const char *path);

#endif
