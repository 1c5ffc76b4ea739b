/* stun.h - the answering half of STUN (RFC 8489) that an ICE-lite server needs (RFC 8445).
 *
 * Pure. A request's integrity is not checked: whoever measures on loopback is trusted.
 */
#ifndef SFU_STUN_H
#define SFU_STUN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STUN_ANSWER_MAX 96

/* Our half of a binding request's USERNAME, "ours:theirs". false: it is not one. */
bool stun_username(const uint8_t *request, size_t len, char *out, size_t cap);
/* A success response with XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY and FINGERPRINT; its length. */
size_t stun_answer(uint8_t out[STUN_ANSWER_MAX], const uint8_t *request,
                   const struct sockaddr_in *from, const char *pwd);

#endif
