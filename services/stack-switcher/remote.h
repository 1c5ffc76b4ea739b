/* remote.h - sound that is at a vendor's, by its https address, in ranges as out of our store.
 *
 * The address came in a webhook: it is followed only where it begins with one of the origins that
 * are set (PAT_RETELL_RECORDING_FROM), over TLS only to public addresses, on connections of their
 * own; redirects are not followed. An origin that is named with http is near, for tests and
 * mirrors. Whoever asks gets pieces, never more than he asked for; a server that knows no ranges is
 * of no use here. Life: remote_new -> remote_get_range -> remote_free (forgets what is left).
 * Thread: the loop's.
 */
#ifndef SWITCHER_REMOTE_H
#define SWITCHER_REMOTE_H

#include "pat.h"

#define REMOTE_BYTES_MAX ((uint64_t)2 << 30) /* no call's recording is longer: 12 h, 2 x 24 kHz */

struct remote;

/* origins: "https://a.example,https://b.example"; borrowed. */
int remote_new(struct remote **out, struct pat_daemon *d, const char *origins) PAT_MUST_CHECK;
void remote_free(struct remote *r); /* NULL is fine */

/* As pat_store_get_range. PAT_ENOENT at once: an address we do not follow, which the log tells;
 * later: it is not there, or its address is no longer good. */
int remote_get_range(struct remote *r, const char *url, uint64_t from, size_t len,
                     int64_t timeout_ms, pat_store_fn *fn, void *arg) PAT_MUST_CHECK;
void remote_forget(struct remote *r, const void *arg);

/* Pure. Whether url is an absolute address at one of these origins. */
bool remote_trusted(const char *origins, const char *url);
/* Pure. Which origins are none: the first such one's begin, or NULL. */
const char *remote_fault(const char *origins);

#endif
