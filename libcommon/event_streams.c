/* event_streams.c - what JetStream keeps, for how long and how much of it.
 *
 * Names and units are the server's (docs.nats.io, JetStream, Streams): times in nanoseconds. A
 * stream is never the only copy of an accepted event, so old messages go when a limit is reached.
 */
#include "event.h"

#define DAYS_7  "604800000000000"
#define DAYS_30 "2592000000000000"
#define DAYS_90 "7776000000000000"
#define MIB_16  "16777216"
#define MIB_64  "67108864"
#define MIB_256 "268435456"
#define MIB_512 "536870912"

/* The dedupe window of 5 minutes is longer than a publisher goes on retrying. */
#define STREAM(name, subjects, age, bytes)                                                         \
    "{\"name\":\"" name "\",\"subjects\":[" subjects "],\"retention\":\"limits\","                 \
    "\"discard\":\"old\",\"storage\":\"file\",\"max_age\":" age ",\"max_bytes\":" bytes            \
    ",\"duplicate_window\":300000000000}"

const struct pat_event_stream pat_event_streams[] = {
    { "CALL", STREAM("CALL", "\"pat.call.v1.>\"", DAYS_30, MIB_512) },
    { "CONFIG", STREAM("CONFIG", "\"pat.config.v1.>\"", DAYS_30, MIB_64) },
    /* The last word per stack and probe; made anew by the next probe. */
    { "HEALTH", "{\"name\":\"HEALTH\",\"subjects\":[\"pat.health.v1.>\"],\"retention\":\"limits\","
                "\"discard\":\"old\",\"storage\":\"memory\",\"max_msgs_per_subject\":1,"
                "\"max_bytes\":" MIB_16 ",\"duplicate_window\":300000000000}" },
    { "ROLLOUT", STREAM("ROLLOUT", "\"pat.rollout.v1.>\"", DAYS_90, MIB_16) },
    { "SWITCH", STREAM("SWITCH", "\"pat.switch.v1.>\"", DAYS_90, MIB_64) },
    /* By name: pat.turn.v1.partial is live text, stale within a second, and kept by nobody. */
    { "TURN", STREAM("TURN",
                     "\"pat.turn.v1.user.>\",\"pat.turn.v1.agent.>\",\"pat.turn.v1.tool.>\","
                     "\"pat.turn.v1.interrupted.>\"",
                     DAYS_30, MIB_512) },
    { "USAGE", STREAM("USAGE", "\"pat.usage.v1.>\"", DAYS_90, MIB_256) },
    { "VOICE", STREAM("VOICE", "\"pat.voice.v1.>\"", DAYS_90, MIB_64) },
    { "WEBHOOK", STREAM("WEBHOOK", "\"pat.webhook.v1.>\"", DAYS_7, MIB_256) },
};
const size_t pat_event_streams_n = sizeof pat_event_streams / sizeof pat_event_streams[0];
