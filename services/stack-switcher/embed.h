/* embed.h - our web components on other people's pages: their file, and which pages may call the
 * API they need (CORS).
 *
 * Nobody may unless PAT_CONSOLE_EMBED_ORIGINS names his origin, exactly. There are no cookies to be
 * abused: a page brings the user's token itself (docs/embedding.md). Fetch standard, "CORS
 * protocol".
 */
#ifndef SWITCHER_EMBED_H
#define SWITCHER_EMBED_H

#include "switcher.h"

/* Is origin one of list's (comma-separated)? Pure. */
bool embed_allowed(const char *list, const char *origin);
/* Lets the page read the answer to come, when it may. To be called before the reply. */
void embed_let(const struct switcher *s, struct pat_httpd_req *http);
int embed_routes(struct switcher *s) PAT_MUST_CHECK;

#endif
