/* pb.c - packs protobuf messages into memory or onto a socket. */
#include "pb.h"

#include "ws.h"

#include <stdlib.h>

int pb_pack(const ProtobufCMessage *m, uint8_t **out, size_t *len)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    uint8_t *data = malloc(n + 1);

    if (!data)
        return PAT_ENOMEM;
    *len = protobuf_c_message_pack(m, data);
    *out = data;
    return PAT_OK;
}

int pb_send(struct pat_ws *ws, const ProtobufCMessage *m)
{
    uint8_t *data;
    size_t len;
    int err = pb_pack(m, &data, &len);

    if (err)
        return err;
    err = pat_ws_send(ws, data, len, false);
    free(data);
    return err;
}

const char *pb_str(const char *s)
{
    return s ? s : "";
}
