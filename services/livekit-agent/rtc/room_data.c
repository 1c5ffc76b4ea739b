/* room_data.c - data packets of a room: text streams, chat and digits, both ways.
 * How: every reliable packet of ours carries the next sequence number of this session; those of
 * others are dropped when not newer than what was seen. Lossy packets are read the same way. */
#include "room.h"

#include "livekit.pb-c.h"
#include "pb.h"
#include "peer.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_ATTRS 16

static void on_text(const char *identity, const char *topic, const char *text, size_t len,
                    void *arg)
{
    struct rtc_room *r = arg;

    r->ev.text(identity, topic, text, len, r->arg);
}

static void on_digit(struct rtc_room *r, const struct person *who, const Livekit__DataPacket *p)
{
    const char *digit = pb_str(p->sip_dtmf->digit);
    struct rtc_participant from = { .sid = pb_str(p->participant_sid),
                                    .identity = pb_str(p->participant_identity),
                                    .name = "" };

    if (who)
        from = person_view(who);
    if (*digit && !digit[1] && strchr("0123456789*#ABCD", *digit))
        r->ev.dtmf(&from, *digit, r->arg);
}

/* False: seen before, after a resume of theirs. */
static bool fresh(struct person *who, const Livekit__DataPacket *p, bool reliable)
{
    if (!who || !reliable || !p->sequence)
        return true;
    if (p->sequence <= who->last_sequence)
        return false;
    who->last_sequence = p->sequence;
    return true;
}

static void on_packet(struct rtc_room *r, const struct person *who, const Livekit__DataPacket *p)
{
    int64_t now_ms = pat_loop_now_ms(r->rtc->loop);
    const char *identity = pb_str(p->participant_identity);

    switch (p->value_case) {
    case LIVEKIT__DATA_PACKET__VALUE_SIP_DTMF:
        on_digit(r, who, p);
        return;
    case LIVEKIT__DATA_PACKET__VALUE_CHAT_MESSAGE: {
        const char *text = pb_str(p->chat_message->message);

        if (pat_utf8_valid(text, strlen(text)))
            on_text(identity, "lk.chat", text, strlen(text), r);
        return;
    }
    case LIVEKIT__DATA_PACKET__VALUE_STREAM_HEADER:
        stream_on_header(&r->inbox, identity, p->stream_header, now_ms, on_text, r);
        return;
    case LIVEKIT__DATA_PACKET__VALUE_STREAM_CHUNK:
        stream_on_chunk(&r->inbox, p->stream_chunk, now_ms);
        return;
    case LIVEKIT__DATA_PACKET__VALUE_STREAM_TRAILER:
        stream_on_trailer(&r->inbox, p->stream_trailer, on_text, r);
        return;
    default:
        return;
    }
}

void room_on_data(struct rtc_room *r, bool reliable, const uint8_t *data, size_t len)
{
    if (r->state != ROOM_JOINED && r->state != ROOM_RESUMING)
        return;
    Livekit__DataPacket *p = livekit__data_packet__unpack(NULL, len, data);
    if (!p)
        return;
    struct person *who = people_by_sid(&r->people, pb_str(p->participant_sid));
    if (fresh(who, p, reliable))
        on_packet(r, who, p);
    livekit__data_packet__free_unpacked(p, NULL);
}

/* Fills in kind and sequence and sends; nothing is counted when it did not go. */
static int send_packet(struct rtc_room *r, Livekit__DataPacket *p)
{
    uint8_t *data;
    size_t len;

    if (!r->peer)
        return PAT_EAGAIN;
    p->kind = LIVEKIT__DATA_PACKET__KIND__RELIABLE;
    p->sequence = r->sequence + 1;
    int err = pb_pack(&p->base, &data, &len);
    if (err)
        return err;
    err = peer_send_data(r->peer, true, data, len);
    free(data);
    if (!err)
        r->sequence++;
    return err;
}

struct pairs {
    size_t n;
    const char *keys[TEXT_ATTRS];
    const char *values[TEXT_ATTRS];
};

static int read_pairs(struct pairs *out, const struct pat_json *j)
{
    out->n = 0;
    for (size_t i = 0; j && i < pat_json_size(j); i++) {
        const struct pat_json *item = pat_json_item(j, i);
        const char *value = pat_json_value_str(item);

        if (!value || out->n == TEXT_ATTRS)
            return value ? PAT_E2BIG : PAT_EINVAL;
        out->keys[out->n] = pat_json_key(item);
        out->values[out->n++] = value;
    }
    return PAT_OK;
}

int rtc_room_text_begin(struct rtc_room *r, const char *id, const char *topic, const char *sender,
                        const struct pat_json *attributes)
{
    Livekit__DataStream__TextHeader text = LIVEKIT__DATA_STREAM__TEXT_HEADER__INIT;
    Livekit__DataStream__Header header = LIVEKIT__DATA_STREAM__HEADER__INIT;
    Livekit__DataStream__Header__AttributesEntry entries[TEXT_ATTRS], *list[TEXT_ATTRS];
    Livekit__DataPacket p = LIVEKIT__DATA_PACKET__INIT;
    struct pairs pairs;
    int err = read_pairs(&pairs, attributes);

    if (err)
        return err;
    for (size_t i = 0; i < pairs.n; i++) {
        livekit__data_stream__header__attributes_entry__init(&entries[i]);
        entries[i].key = (char *)(uintptr_t)pairs.keys[i];
        entries[i].value = (char *)(uintptr_t)pairs.values[i];
        list[i] = &entries[i];
    }
    text.operation_type = LIVEKIT__DATA_STREAM__OPERATION_TYPE__CREATE;
    header.stream_id = (char *)(uintptr_t)id;
    header.timestamp = pat_unix_ms();
    header.topic = (char *)(uintptr_t)topic;
    header.mime_type = "text/plain";
    header.attributes = list;
    header.n_attributes = pairs.n;
    header.content_header_case = LIVEKIT__DATA_STREAM__HEADER__CONTENT_HEADER_TEXT_HEADER;
    header.text_header = &text;
    p.participant_identity = (char *)(uintptr_t)(sender ? sender : r->identity);
    p.value_case = LIVEKIT__DATA_PACKET__VALUE_STREAM_HEADER;
    p.stream_header = &header;
    return send_packet(r, &p);
}

int rtc_room_text_chunk(struct rtc_room *r, const char *id, uint64_t index, const char *text,
                        size_t len)
{
    Livekit__DataStream__Chunk chunk = LIVEKIT__DATA_STREAM__CHUNK__INIT;
    Livekit__DataPacket p = LIVEKIT__DATA_PACKET__INIT;

    if (len > STREAM_CHUNK)
        return PAT_E2BIG;
    chunk.stream_id = (char *)(uintptr_t)id;
    chunk.chunk_index = index;
    chunk.content.data = (uint8_t *)(uintptr_t)text;
    chunk.content.len = len;
    p.participant_identity = r->identity;
    p.value_case = LIVEKIT__DATA_PACKET__VALUE_STREAM_CHUNK;
    p.stream_chunk = &chunk;
    return send_packet(r, &p);
}

int rtc_room_text_end(struct rtc_room *r, const char *id, const struct pat_json *attributes)
{
    Livekit__DataStream__Trailer trailer = LIVEKIT__DATA_STREAM__TRAILER__INIT;
    Livekit__DataStream__Trailer__AttributesEntry entries[TEXT_ATTRS], *list[TEXT_ATTRS];
    Livekit__DataPacket p = LIVEKIT__DATA_PACKET__INIT;
    struct pairs pairs;
    int err = read_pairs(&pairs, attributes);

    if (err)
        return err;
    for (size_t i = 0; i < pairs.n; i++) {
        livekit__data_stream__trailer__attributes_entry__init(&entries[i]);
        entries[i].key = (char *)(uintptr_t)pairs.keys[i];
        entries[i].value = (char *)(uintptr_t)pairs.values[i];
        list[i] = &entries[i];
    }
    trailer.stream_id = (char *)(uintptr_t)id;
    trailer.attributes = list;
    trailer.n_attributes = pairs.n;
    p.participant_identity = r->identity;
    p.value_case = LIVEKIT__DATA_PACKET__VALUE_STREAM_TRAILER;
    p.stream_trailer = &trailer;
    return send_packet(r, &p);
}

/* RFC 4733 section 3.2: 0-9, * is 10, # is 11, A-D are 12-15. */
int rtc_room_send_dtmf(struct rtc_room *r, char digit)
{
    static const char digits[] = "0123456789*#ABCD";
    Livekit__SipDTMF dtmf = LIVEKIT__SIP_DTMF__INIT;
    Livekit__DataPacket p = LIVEKIT__DATA_PACKET__INIT;
    char text[2] = { digit, 0 };
    const char *at = digit ? strchr(digits, digit) : NULL;

    if (!at)
        return PAT_EINVAL;
    dtmf.code = (uint32_t)(at - digits);
    dtmf.digit = text;
    p.participant_identity = r->identity;
    p.value_case = LIVEKIT__DATA_PACKET__VALUE_SIP_DTMF;
    p.sip_dtmf = &dtmf;
    return send_packet(r, &p);
}
