/* tool_transfer.h - the inside of transfer_call, shared by its ways and nobody else.
 *
 *   tool_transfer.c  whom, whether it is allowed, the passcode; and by the router's redirect
 *   tool_refer.c     by SIP REFER, where the carrier's API cannot reach the caller's leg
 *   warm.h           while the caller waits here; its call of the tool is over when it has begun
 */
#ifndef CALL_TOOL_TRANSFER_H
#define CALL_TOOL_TRANSFER_H

#include "tool_int.h"

enum { TRANSFER_RING_S = 25 };

struct transfer {
    struct tool_run *run;
    struct pat_target to;
    struct pat_id id;
    struct pat_timer ask;
    pat_bus_id rpc;
    struct pat_sub *sub;
    bool warm;           /* somebody is asked first, see warm.h */
    roomapi_id refer;    /* outstanding; 0: none */
    bool refer_unknown;  /* nobody could say how it went */
    const char *outcome; /* of a REFER: the last one told */
};

/* tool_transfer.c. Not by the router, and so without a key that others go by. */
bool transfer_by_refer(const struct call *c);
/* The end of it, once. */
void transfer_over(struct tool_run *r, enum tool_outcome how, const char *error, const char *status,
                   const char *text);
void transfer_not_reached(struct tool_run *r, const char *why);

/* tool_refer.c */
void refer_ask(struct tool_run *r);
/* The run ends, or the call does. */
void refer_let_go(struct transfer *x);

#endif
