/* subscribers.h - users who read their own events at NATS: their keys, and the consumers they read
 * by.
 *
 * patchbay.subscribers is the truth. For each user in it there is a durable consumer `user_<id>` on
 * every stream that has events of his, made when his first key comes, made again when NATS comes
 * back without it, and taken away with his last key. The keys reach nats-server as its accounts
 * (deploy/nats). Thread: the loop's.
 */
#ifndef RELAY_SUBSCRIBERS_H
#define RELAY_SUBSCRIBERS_H

#include <stdbool.h>

struct relay;
struct subscribers;

int subscribers_new(struct subscribers **out, struct relay *r);
void subscribers_free(struct subscribers *s);

/* A user's public NATS key: base32 of its prefix, 32 bytes of Ed25519 and a CRC-16, 56 characters,
 * beginning with U (github.com/nats-io/nkeys). One wrong key would make nats-server refuse its
 * whole configuration. */
bool subscribers_nkey_valid(const char *key);

#endif
