/* pb.h - protobuf messages to and from the places we need them. */
#ifndef RTC_PB_H
#define RTC_PB_H

#include "err.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

struct pat_ws;

/* The message's bytes, yours to free. PAT_ENOMEM. */
int pb_pack(const ProtobufCMessage *m, uint8_t **out, size_t *len) PAT_MUST_CHECK;
/* As one binary WebSocket message. */
int pb_send(struct pat_ws *ws, const ProtobufCMessage *m) PAT_MUST_CHECK;
/* A field's text that is never NULL. */
const char *pb_str(const char *s);

#endif
