/* dial.h - the end of a dialled leg whose Dial action no router answered.
 *
 * The carrier then asks the fallback address, naming the action's address and not what it was to
 * say. How the leg ended is asked of the carrier (dial_ask.h), else of who served it (redial.h),
 * and then the same follows as if the action had arrived: what ended in order is not a failure.
 */
#ifndef ROUTER_DIAL_H
#define ROUTER_DIAL_H

#include "carrier.h"

/* ref: as the action's address says. Replies exactly once, now or later; c_take is gone. */
void dial_lost(struct router *r, struct carrier_req *c_take, const struct callref *ref);

#endif
