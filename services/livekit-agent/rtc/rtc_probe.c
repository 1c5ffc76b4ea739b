/* rtc_probe.c - a test program: takes part in rooms by order of the integration tests.
 * How: commands come as lines on standard input, events go as JSON lines to standard output. It
 * sends a tone, echoes what it hears, or is silent. No part of the daemon.
 *
 *   rtc_probe join URL TOKEN TIMEOUT_MS
 *   rtc_probe worker URL KEY SECRET AGENT_NAME
 *   rtc_probe api URL KEY SECRET create|dispatch|delete|remove|token ROOM [ARG]
 *
 * Commands: tone HZ | echo | silent | attr NAME VALUE | text TOPIC TEXT | dtmf D | stats | leave |
 * abort | simulate FAULT | done | drain | quit
 */
#include "livekit.pb-c.h"
#include "room.h"
#include "roomapi.h"
#include "rtc.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <opus/opus.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAMPLES 960

enum sound { SILENT, TONE, ECHO };

struct probe {
    struct pat_loop *loop;
    struct pat_net *net;
    struct pat_http *http;
    struct rtc *rtc;
    struct rtc_room *room;
    struct worker *worker;
    struct roomapi *api;
    struct pat_poll *input;
    struct pat_timer pace;
    struct pat_buf line;
    char job[64];
    enum sound sound;
    double hz, phase;
    int64_t due_us;
    OpusEncoder *encoder;
    uint64_t sent, received, levels; /* levels: packets that told theirs */
    int64_t missing;                 /* of one voice: sequence numbers that never came */
    uint16_t last_seq;
    int level;
    char voices[8][64]; /* identities heard */
    size_t n_voices;
    int64_t last_received_us, longest_gap_us;
    bool quitting;
};

static void say(const char *event, const struct pat_field *fields)
{
    PAT_AUTO_JSON j = pat_json_obj();

    pat_json_set_str(j, "event", event);
    for (; fields->kind != PAT_FIELD_END; fields++) {
        if (fields->kind == PAT_FIELD_STR)
            pat_json_set_str(j, fields->name, fields->v.s);
        else
            pat_json_set_int(j, fields->name, fields->v.i);
    }
    PAT_AUTO_STR text = pat_json_print(j);
    puts(text);
    fflush(stdout);
}

#define SAY(event, ...) say((event), (const struct pat_field[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })

static void on_joined(void *arg)
{
    struct probe *p = arg;

    SAY("joined", PAT_S("identity", rtc_room_identity(p->room)),
        PAT_S("track", rtc_room_track_sid(p->room)));
}

static void on_participant(const struct rtc_participant *who, void *arg)
{
    (void)arg;
    SAY("participant", PAT_S("identity", who->identity), PAT_S("sid", who->sid),
        PAT_I("kind", who->kind), PAT_I("gone", who->gone),
        PAT_I("reason", who->disconnect_reason));
}

static void on_attribute(const struct rtc_participant *who, const char *name, const char *value,
                         void *arg)
{
    (void)arg;
    SAY("attribute", PAT_S("identity", who->identity), PAT_S("name", name), PAT_S("value", value));
}

static void on_subscribed(void *arg)
{
    (void)arg;
    SAY("subscribed");
}

/* Says each voice the first time it is heard. */
static void note_voice(struct probe *p, const char *identity)
{
    for (size_t i = 0; i < p->n_voices; i++)
        if (strcmp(p->voices[i], identity) == 0)
            return;
    if (!*identity || p->n_voices == 8 || !pat_strcpy(p->voices[p->n_voices], 64, identity))
        return;
    p->n_voices++;
    SAY("voice", PAT_S("identity", identity));
}

static void on_packet(const struct rtc_packet *packet, void *arg)
{
    struct probe *p = arg;

    note_voice(p, packet->identity);
    if (packet->audio_level >= 0) {
        p->levels++;
        p->level = packet->audio_level;
    }
    if (p->last_received_us && packet->received_us - p->last_received_us > p->longest_gap_us)
        p->longest_gap_us = packet->received_us - p->last_received_us;
    p->last_received_us = packet->received_us;
    if (p->received && (int16_t)(packet->seq - p->last_seq) <= 0) {
        p->missing--; /* it came after all */
    } else {
        p->missing += p->received ? (int16_t)(packet->seq - p->last_seq) - 1 : 0;
        p->last_seq = packet->seq;
    }
    if (p->received++ == 0)
        SAY("first_packet", PAT_S("identity", packet->identity), PAT_S("track", packet->track_sid));
    if (p->sound == ECHO &&
        rtc_room_send(
            p->room, packet->opus, packet->len,
            (uint32_t)opus_packet_get_nb_samples(packet->opus, (opus_int32)packet->len, 48000),
            false, packet->audio_level < 0 ? 30 : packet->audio_level) == PAT_OK)
        p->sent++;
}

static void on_dtmf(const struct rtc_participant *from, char digit, void *arg)
{
    const char text[2] = { digit, 0 };

    (void)arg;
    SAY("dtmf", PAT_S("identity", from->identity), PAT_S("digit", text));
}

static void on_text(const char *identity, const char *topic, const char *text, size_t len,
                    void *arg)
{
    char *copy = strndup(text, len);

    (void)arg;
    SAY("text", PAT_S("identity", identity), PAT_S("topic", topic), PAT_S("text", copy),
        PAT_I("len", len));
    free(copy);
}

static void quit(struct probe *p);

static void on_left(enum rtc_left reason, void *arg)
{
    static const char *const names[] = { "by_us",     "room_gone", "removed",
                                         "duplicate", "refused",   "unreachable" };
    struct probe *p = arg;

    p->room = NULL;
    SAY("left", PAT_S("reason", names[reason]));
    if (!p->worker)
        quit(p);
}

static const struct rtc_events room_events = { on_joined,     on_participant, on_attribute,
                                               on_subscribed, on_packet,      on_dtmf,
                                               on_text,       on_left };

static int join(struct probe *p, const char *url, const char *token, int64_t timeout_ms)
{
    const struct rtc_join j = {
        .url = url, .token = token, .track_name = "probe", .timeout_ms = timeout_ms
    };

    return rtc_room_join(&p->room, p->rtc, &j, &room_events, p);
}

static int on_offered(const char *job_id, const char *room, const char *metadata,
                      char identity[129], void *arg)
{
    struct probe *p = arg;

    SAY("offered", PAT_S("job", job_id), PAT_S("room", room), PAT_S("metadata", metadata));
    if (p->room)
        return PAT_EAGAIN;
    (void)snprintf(identity, 129, "probe-%s", job_id);
    return PAT_OK;
}

static void on_assigned(const struct worker_job *job, void *arg)
{
    struct probe *p = arg;

    SAY("assigned", PAT_S("job", job->id), PAT_S("room", job->room), PAT_S("url", job->url));
    (void)pat_strcpy(p->job, sizeof p->job, job->id);
    int err = join(p, job->url, job->token, 10000);
    if (err)
        SAY("join_failed", PAT_ERR(err));
}

static void on_terminated(const char *job_id, const char *room, void *arg)
{
    (void)arg;
    SAY("terminated", PAT_S("job", job_id), PAT_S("room", room));
}

static void on_registered(bool up, void *arg)
{
    (void)arg;
    SAY("registered", PAT_I("up", up));
}

static const struct worker_events worker_events = { on_offered, on_assigned, on_terminated,
                                                    on_registered };

static void on_api(int err, void *arg)
{
    SAY("api", PAT_S("result", pat_err_name(err)));
    quit(arg);
}

/* Absolute deadlines: a repeating timer would drift. */
static void on_pace(void *arg)
{
    struct probe *p = arg;
    opus_int16 pcm[SAMPLES];
    uint8_t opus[400];

    p->due_us += 20000;
    pat_timer_start_at(&p->pace, p->due_us);
    if (p->sound != TONE || !p->room)
        return;
    for (int i = 0; i < SAMPLES; i++, p->phase += 2 * M_PI * p->hz / 48000)
        pcm[i] = (opus_int16)(8000 * sin(p->phase));
    int n = opus_encode(p->encoder, pcm, SAMPLES, opus, sizeof opus);
    if (n > 0 && rtc_room_send(p->room, opus, (size_t)n, SAMPLES, p->sent == 0, 12) == PAT_OK)
        p->sent++;
}

static void send_text(struct probe *p, const char *topic, const char *text)
{
    struct pat_id id = pat_id_new();
    PAT_AUTO_JSON header = pat_json_obj();
    PAT_AUTO_JSON trailer = pat_json_obj();
    size_t half = strlen(text) / 2;

    pat_json_set_str(header, "lk.transcription_final", "false");
    pat_json_set_str(trailer, "lk.transcription_final", "true");
    int err = rtc_room_text_begin(p->room, id.s, topic, NULL, header);
    if (!err)
        err = rtc_room_text_chunk(p->room, id.s, 0, text, half);
    if (!err)
        err = rtc_room_text_chunk(p->room, id.s, 1, text + half, strlen(text) - half);
    if (!err)
        err = rtc_room_text_end(p->room, id.s, trailer);
    SAY("text_sent", PAT_S("result", pat_err_name(err)));
}

static void on_net_closed(void *arg)
{
    struct probe *p = arg;

    pat_timer_fini(&p->pace);
    pat_poll_close(p->input);
    p->input = NULL;
}

static void on_rtc_closed(void *arg)
{
    struct probe *p = arg;

    roomapi_free(p->api);
    pat_http_free(p->http);
    pat_net_close(p->net, on_net_closed, p);
}

static void close_rtc(void *arg)
{
    struct probe *p = arg;

    rtc_room_abort(p->room);
    p->room = NULL;
    rtc_close(p->rtc, on_rtc_closed, p);
}

static void quit(struct probe *p)
{
    if (p->quitting)
        return;
    p->quitting = true;
    pat_timer_stop(&p->pace);
    (void)pat_poll_set(p->input, 0);
    if (p->worker)
        worker_close(p->worker, close_rtc, p);
    else
        close_rtc(p);
}

static void stats(struct probe *p)
{
    SAY("stats", PAT_I("sent", p->sent), PAT_I("received", p->received), PAT_I("levels", p->levels),
        PAT_I("loudness", p->level), PAT_I("gap_ms", p->longest_gap_us / 1000),
        PAT_I("missing", p->missing), PAT_I("media_up", p->room && rtc_room_media_up(p->room)));
    p->longest_gap_us = 0;
}

/* Asks the server to do us a wrong (SimulateScenario of LiveKit's signalling). */
static void simulate(struct probe *p, const char *what)
{
    Livekit__SimulateScenario scenario = LIVEKIT__SIMULATE_SCENARIO__INIT;
    Livekit__SignalRequest m = LIVEKIT__SIGNAL_REQUEST__INIT;

    if (strcmp(what, "server_leave") == 0)
        scenario.scenario_case = LIVEKIT__SIMULATE_SCENARIO__SCENARIO_SERVER_LEAVE;
    else if (strcmp(what, "node_failure") == 0)
        scenario.scenario_case = LIVEKIT__SIMULATE_SCENARIO__SCENARIO_NODE_FAILURE;
    else if (strcmp(what, "full_reconnect") == 0)
        scenario.scenario_case = LIVEKIT__SIMULATE_SCENARIO__SCENARIO_LEAVE_REQUEST_FULL_RECONNECT;
    else
        scenario.scenario_case = LIVEKIT__SIMULATE_SCENARIO__SCENARIO_DISCONNECT_SIGNAL_ON_RESUME;
    scenario.node_failure = true; /* the members of the oneof share their place */
    m.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_SIMULATE;
    m.simulate = &scenario;
    SAY("simulated", PAT_S("result", pat_err_name(room_send_signal(p->room, &m))));
}

static void room_command(struct probe *p, const char *verb, const char *a, const char *b)
{
    int err = PAT_OK;

    if (!p->room)
        return;
    if (strcmp(verb, "attr") == 0)
        err = rtc_room_set_attribute(p->room, a, b);
    else if (strcmp(verb, "text") == 0)
        send_text(p, a, b);
    else if (strcmp(verb, "dtmf") == 0)
        err = rtc_room_send_dtmf(p->room, *a);
    else if (strcmp(verb, "simulate") == 0)
        simulate(p, a);
    else if (strcmp(verb, "leave") == 0)
        rtc_room_leave(p->room);
    else if (strcmp(verb, "abort") == 0) {
        rtc_room_abort(p->room);
        p->room = NULL;
    }
    if (err)
        SAY("command_failed", PAT_S("command", verb), PAT_ERR(err));
}

static void command(struct probe *p, char *line)
{
    char *save = NULL;
    const char *verb = strtok_r(line, " ", &save);
    const char *a = strtok_r(NULL, " ", &save);
    const char *b = strtok_r(NULL, "", &save);

    if (!verb)
        return;
    a = a ? a : "";
    b = b ? b : "";
    if (strcmp(verb, "tone") == 0) {
        p->hz = strtod(a, NULL);
        p->sound = TONE;
    } else if (strcmp(verb, "echo") == 0) {
        p->sound = ECHO;
    } else if (strcmp(verb, "silent") == 0) {
        p->sound = SILENT;
    } else if (strcmp(verb, "stats") == 0) {
        stats(p);
    } else if (strcmp(verb, "done") == 0) {
        worker_job_done(p->worker, p->job, *a ? a : NULL);
    } else if (strcmp(verb, "drain") == 0) {
        worker_drain(p->worker);
    } else if (strcmp(verb, "quit") == 0) {
        quit(p);
    } else {
        room_command(p, verb, a, b);
    }
}

static void on_input(int err, int events, void *arg)
{
    struct probe *p = arg;
    char data[4096];
    ssize_t n = read(0, data, sizeof data);

    (void)err;
    (void)events;
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            quit(p);
        return;
    }
    (void)pat_buf_add(&p->line, data, (size_t)n);
    for (char *nl; !p->quitting && p->line.len && (nl = strchr(p->line.data, '\n'));) {
        *nl = 0;
        command(p, p->line.data);
        pat_buf_drop(&p->line, (size_t)(nl - p->line.data) + 1);
    }
}

static int api_command(struct probe *p, int argc, char **argv)
{
    const char *verb = argc > 5 ? argv[5] : "", *room = argc > 6 ? argv[6] : "";
    const char *arg = argc > 7 ? argv[7] : NULL;
    const struct roomapi_room r = {
        .name = room, .metadata = "probe", .agent_name = arg, .empty_timeout_s = 60
    };
    int err = roomapi_new(&p->api, p->http, argv[2], argv[3], argv[4]);

    if (err)
        return err;
    if (strcmp(verb, "create") == 0)
        return roomapi_create(p->api, &r, 5000, on_api, p);
    if (strcmp(verb, "dispatch") == 0)
        return roomapi_dispatch(p->api, room, arg, "probe", 5000, on_api, p);
    if (strcmp(verb, "delete") == 0)
        return roomapi_delete(p->api, room, 5000, on_api, p);
    if (strcmp(verb, "remove") == 0)
        return roomapi_remove(p->api, room, arg, 5000, on_api, p);
    PAT_AUTO_STR token = roomapi_token(p->api, room, arg ? arg : "probe", 600);
    SAY("token", PAT_S("token", token));
    quit(p);
    return PAT_OK;
}

static int start(struct probe *p, int argc, char **argv)
{
    if (argc > 4 && strcmp(argv[1], "join") == 0)
        return join(p, argv[2], argv[3], strtol(argv[4], NULL, 10));
    if (argc > 5 && strcmp(argv[1], "worker") == 0) {
        const struct worker_opts o = { .url = argv[2],
                                       .api_key = argv[3],
                                       .api_secret = argv[4],
                                       .agent_name = argv[5],
                                       .max_jobs = 2 };
        return worker_new(&p->worker, p->loop, p->net, &o, &worker_events, p);
    }
    if (argc > 5 && strcmp(argv[1], "api") == 0)
        return api_command(p, argc, argv);
    return PAT_EINVAL;
}

static int build(struct probe *p)
{
    int opus_err = 0;
    int err = pat_loop_new(&p->loop);

    pat_buf_init(&p->line, 128 * 1024);
    p->encoder = opus_encoder_create(48000, 1, OPUS_APPLICATION_AUDIO, &opus_err);
    if (!err)
        err = pat_net_new(&p->net, p->loop, NULL);
    if (!err)
        err = pat_http_new(&p->http, p->loop, &(struct pat_http_opts){ 0 });
    if (!err)
        err = rtc_new(&p->rtc, p->loop, p->net, NULL);
    if (!err)
        err = pat_timer_init(&p->pace, p->loop, on_pace, p);
    if (!err)
        err = pat_poll_new(&p->input, p->loop, 0, on_input, p);
    if (!err)
        err = pat_poll_set(p->input, PAT_POLL_IN);
    return err;
}

int main(int argc, char **argv)
{
    struct probe p = { 0 };
    const struct pat_log_opts log = { .service = "rtc_probe", .level = PAT_DEBUG, .fd = 2 };

    pat_log_setup(&log);
    (void)fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    int err = build(&p);
    if (!err)
        err = start(&p, argc, argv);
    if (err) {
        fprintf(stderr, "rtc_probe: %s\n", pat_err_text(err));
        return 2;
    }
    p.due_us = pat_now_us();
    on_pace(&p);
    pat_loop_run(p.loop);
    pat_buf_fini(&p.line);
    opus_encoder_destroy(p.encoder);
    return pat_loop_free(p.loop) == PAT_OK ? 0 : 3;
}
