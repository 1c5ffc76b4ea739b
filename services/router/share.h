/* share.h - which side of a rollout a call is on: pure.
 *
 * While a user's stack is changed by calls, so many of a hundred of his new calls go to the new
 * stack. One caller always meets the same side, and who was on the new one stays there when the
 * percentage grows: a caller's place is a hash of the user and his number (withheld: of the call).
 * Thread: any.
 */
#ifndef ROUTER_SHARE_H
#define ROUTER_SHARE_H

#include "routes.h"

/* caller "" : withheld; then call decides, NULL where there is none yet. */
bool share_takes(const char *user, const char *caller, const char *call, int percent);

struct share {
    enum stack stack;   /* where the call belongs */
    const char *reason; /* of call.routed; NULL: nothing is shared */
};
struct share share_of(const struct route *route, const char *caller, const char *call);

#endif
