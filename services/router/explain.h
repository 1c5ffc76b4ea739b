/* explain.h - where a call would go, and why. */
#ifndef ROUTER_EXPLAIN_H
#define ROUTER_EXPLAIN_H

#include "router.h"

/* explain_cli.c: patchbay-router --explain NUMBER [--from NUMBER] [--at TIME] [--json]: asks a
 * router that runs, over NATS, and prints for people. Returns the exit status: 0, 1 when there was
 * no answer, 2 for wrong arguments. */
int explain_cli(int argc, char **argv);
#define EXPLAIN_USAGE                                                                              \
    "  --explain NUMBER [--from NUMBER] [--at TIME] [--json]\n"                                    \
    "                   ask a running router where a call would go now, or then, and why\n"

#endif
