/* gctx.h - a GMainContext of GLib driven by our loop, so that libnice needs no thread.
 *
 * Each ICE agent has its own: a shared one costs O(agents) per wake. It runs GLib's own cycle
 * (prepare, query, check, dispatch) with our loop waiting on its descriptors and time-out.
 * Life: gctx_new -> use -> gctx_free, never from inside one of its own callbacks.
 * Thread: the loop's.
 */
#ifndef RTC_GCTX_H
#define RTC_GCTX_H

#include "loop.h"

struct gctx;
struct _GMainContext;

int gctx_new(struct gctx **out, struct pat_loop *l) PAT_MUST_CHECK;
void gctx_free(struct gctx *g);
struct _GMainContext *gctx_native(struct gctx *g);
/* Sources were added, removed or changed from outside a dispatch: look again soon. */
void gctx_kick(struct gctx *g);
/* How often something was to be done with this descriptor, errors left out. */
uint64_t gctx_woken(const struct gctx *g, int fd);

#endif
