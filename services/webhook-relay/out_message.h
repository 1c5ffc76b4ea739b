/* out_message.h - an event as a customer gets it: {"type","timestamp","data"}. Pure. */
#ifndef OUT_MESSAGE_H
#define OUT_MESSAGE_H

#include "pat.h"

/* Adds {"id","user_id","type","key","at","body","thin"} (out_fan_out's words) for one CloudEvent to
 * a JSON array in the making. thin: the ids of data and nothing else. PAT_ENOENT: no customer is
 * told of it; PAT_EINVAL: no event. */
int out_message_add(struct pat_buf *array, const char *event, size_t len) PAT_MUST_CHECK;
/* The two bodies of one message. Yours to free; NULL: out of memory. data is borrowed. */
char *out_message_body(const char *type, const char *time, const struct pat_json *data);
char *out_message_thin(const char *type, const char *time, const char *id,
                       const struct pat_json *data);

#endif
