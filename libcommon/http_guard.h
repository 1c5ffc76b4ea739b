/* http_guard.h - which addresses a request on behalf of others may go to: public ones.
 *
 * For http.c. A name is checked when the connection is made, by the address it really goes to: what
 * another look-up would have said does not matter. Thread: any; pure.
 */
#ifndef PAT_HTTP_GUARD_H
#define PAT_HTTP_GUARD_H

#include <stdbool.h>

struct sockaddr;

/* False: loopback, private, link-local, shared, documentation, multicast, reserved; also inside the
 * IPv6 forms that carry an IPv4 address (mapped, 6to4, NAT64). IANA's special-purpose registries.
 */
bool http_guard_public(const struct sockaddr *a);

#endif
