/* transcript.c - text streams, as LiveKit's own agents send them. */
#include "transcript.h"

#include <string.h>

static const char topic[] = "lk.transcription";

void transcript_init(struct transcript *t)
{
    memset(t, 0, sizeof *t);
}

static struct pat_json *attributes(const char *segment, const char *track_sid, bool final)
{
    struct pat_json *a = pat_json_obj();

    pat_json_set_str(a, "lk.segment_id", segment);
    pat_json_set_str(a, "lk.transcription_final", final ? "true" : "false");
    if (track_sid)
        pat_json_set_str(a, "lk.transcribed_track_id", track_sid);
    return a;
}

void transcript_user(struct transcript *t, const char *identity, const char *track_sid,
                     const char *text, bool final)
{
    struct pat_id stream = pat_id_new();
    struct pat_json *a;

    if (!t->room || !*text)
        return;
    if (!t->user_open)
        t->user_segment = pat_id_new();
    t->user_open = !final;
    a = attributes(t->user_segment.s, track_sid, final);
    if (!rtc_room_text_begin(t->room, stream.s, topic, identity, a)) {
        (void)rtc_room_text_chunk(t->room, stream.s, 0, text, strlen(text));
        (void)rtc_room_text_end(t->room, stream.s, NULL);
    }
    pat_json_free(a);
}

static bool open_stream(struct transcript *t)
{
    struct pat_json *a;
    int err;

    if (t->agent_open)
        return true;
    t->agent_stream = pat_id_new();
    a = attributes(t->agent_stream.s, rtc_room_track_sid(t->room), false);
    err = rtc_room_text_begin(t->room, t->agent_stream.s, topic, NULL, a);
    pat_json_free(a);
    t->agent_open = !err;
    t->chunks = t->agent_sent = 0;
    return t->agent_open;
}

void transcript_agent(struct transcript *t, const char *heard, size_t len)
{
    if (!t->room || !len || (t->agent_open && len <= t->agent_sent) || !open_stream(t))
        return;
    if (!rtc_room_text_chunk(t->room, t->agent_stream.s, t->chunks, heard + t->agent_sent,
                             len - t->agent_sent)) {
        t->chunks++;
        t->agent_sent = len;
    }
}

void transcript_agent_end(struct transcript *t)
{
    struct pat_json *a;

    if (!t->room || !t->agent_open)
        return;
    a = attributes(t->agent_stream.s, rtc_room_track_sid(t->room), true);
    (void)rtc_room_text_end(t->room, t->agent_stream.s, a);
    pat_json_free(a);
    t->agent_open = false;
}
