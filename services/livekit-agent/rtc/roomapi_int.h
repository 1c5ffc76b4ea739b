/* roomapi_int.h - asking LiveKit's server API, for roomapi*.c and nobody else. */
#ifndef RTC_ROOMAPI_INT_H
#define RTC_ROOMAPI_INT_H

#include "roomapi.h"

#include <protobuf-c/protobuf-c.h>

/* Whose answer it is: fn of the right kind is called by read, exactly once. */
typedef void roomapi_any_fn(void);
typedef void roomapi_read_fn(int err, const char *data, size_t len, roomapi_any_fn *fn, void *arg);

struct roomapi_question {
    const char *method;     /* "/twirp/..." */
    struct pat_json *grant; /* taken: the rights it needs */
    const ProtobufCMessage *m;
    size_t max_body; /* of the answer; 0: 1 MiB */
    roomapi_read_fn *read;
};
int roomapi_ask(struct roomapi *a, const struct roomapi_question *q, int64_t timeout_ms,
                roomapi_any_fn *fn, void *arg) PAT_MUST_CHECK;
/* {right: true, "room": room}; room may be NULL. */
struct pat_json *roomapi_grant(const char *right, const char *room);

#endif
