/* fakes.c - the other ends of a call, without a network. Times are real, delays are short. */
#include "fakes.h"

#include "../../speech/opusio.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake fake;

struct rtc_room {
    int unused;
};
struct stt {
    int unused;
};
struct llm_run {
    int unused;
};
struct tts {
    struct pat_timer timer;
    uint32_t pending[64];
    size_t chars[64];
    int head, tail;
};

/* Also without assertions (release builds): what is checked must happen. */
static void must(bool held)
{
    if (!held)
        abort();
}

static struct rtc_room the_room;
static struct tts *last_tts;
static struct stt the_stt;
static struct llm_run the_run;
static uint16_t seq;
static uint32_t timestamp;
static struct opusio_enc *caller_voice;
static struct pat_task leaving;

void fake_reset(struct pat_loop *l)
{
    fake_free();
    fake.loop = l;
    fake.ms_per_char = 10;
    must(!opusio_enc_new(&caller_voice, 1));
}

void fake_free(void)
{
    free(fake.messages);
    for (int i = 0; i < fake.events; i++)
        free(fake.event[i].data);
    opusio_enc_free(caller_voice);
    caller_voice = NULL;
    memset(&fake, 0, sizeof fake);
}

bool fake_until(const bool *what, int timeout_ms)
{
    int64_t end = pat_now_ms() + timeout_ms;

    while (!*what && pat_now_ms() < end)
        pat_loop_run_once(fake.loop, 5);
    return *what;
}

/* ---- room ---- */

int rtc_room_join(struct rtc_room **out, struct rtc *r, const struct rtc_join *j,
                  const struct rtc_events *ev, void *arg)
{
    (void)r, (void)j;
    fake.rtc = ev;
    fake.rtc_arg = arg;
    fake.in_room = true;
    *out = &the_room;
    return PAT_OK;
}

static void left_by_us(void *arg)
{
    (void)arg;
    fake_leave(RTC_LEFT_BY_US);
}

void fake_leave(enum rtc_left reason)
{
    if (!fake.in_room)
        return;
    fake.in_room = false;
    fake.rtc->left(reason, fake.rtc_arg);
}

void rtc_room_leave(struct rtc_room *room)
{
    (void)room;
    pat_loop_next_turn(fake.loop, &leaving, left_by_us, NULL);
}

void rtc_room_abort(struct rtc_room *room)
{
    if (room)
        fake.in_room = false;
}

int rtc_room_send(struct rtc_room *room, const uint8_t *opus, size_t len, uint32_t samples,
                  bool marker, int level)
{
    (void)room, (void)opus, (void)len;
    if (fake.media_down)
        return PAT_EAGAIN;
    if (fake.packets < FAKE_PACKETS) {
        fake.packet[fake.packets].at_us = pat_now_us();
        fake.packet[fake.packets].level = level;
        fake.packet[fake.packets].marker = marker;
        fake.packets++;
    }
    fake.samples += samples;
    if (level < 100) {
        fake.voiced++;
        fake.last_voiced_us = pat_now_us();
    }
    return PAT_OK;
}

void rtc_room_calm(struct rtc_room *room, bool calm)
{
    (void)room, (void)calm;
}

void rtc_room_skip(struct rtc_room *room, uint32_t samples)
{
    (void)room;
    fake.samples += samples;
}

int rtc_room_text_begin(struct rtc_room *room, const char *id, const char *topic,
                        const char *sender, const struct pat_json *attributes)
{
    (void)room, (void)id, (void)attributes;
    (void)snprintf(fake.texts + strlen(fake.texts), sizeof fake.texts - strlen(fake.texts), "%s>",
                   sender ? sender : topic);
    return PAT_OK;
}

int rtc_room_text_chunk(struct rtc_room *room, const char *id, uint64_t index, const char *text,
                        size_t len)
{
    (void)room, (void)id, (void)index;
    (void)snprintf(fake.texts + strlen(fake.texts), sizeof fake.texts - strlen(fake.texts), "%.*s",
                   (int)len, text);
    return PAT_OK;
}

int rtc_room_text_end(struct rtc_room *room, const char *id, const struct pat_json *attributes)
{
    (void)room, (void)id, (void)attributes;
    (void)snprintf(fake.texts + strlen(fake.texts), sizeof fake.texts - strlen(fake.texts), ";");
    return PAT_OK;
}

int rtc_room_set_attribute(struct rtc_room *room, const char *name, const char *value)
{
    (void)room, (void)name;
    pat_strcpy(fake.state, sizeof fake.state, value);
    return PAT_OK;
}

const char *rtc_room_track_sid(const struct rtc_room *room)
{
    (void)room;
    return "TR_ours";
}

void fake_packet(bool voiced)
{
    int16_t pcm[OPUSIO_FRAME] = { 0 };
    uint8_t opus[OPUSIO_MAX_PACKET];
    struct rtc_packet p = { .identity = "sip_caller",
                            .track_sid = "TR_caller",
                            .opus = opus,
                            .timestamp = timestamp,
                            .seq = seq++,
                            .audio_level = -1,
                            .received_us = pat_now_us() };
    int n;

    /* A vowel: several harmonics, louder and softer. */
    for (int i = 0; voiced && i < OPUSIO_FRAME; i++) {
        double t = (timestamp + (uint32_t)i) / 48000.0, v = 0;
        for (int h = 1; h < 12; h++)
            v += sin(2 * M_PI * 140 * h * t) / h;
        pcm[i] = (int16_t)(v * 5000 * (0.6 + 0.4 * sin(2 * M_PI * 5 * t)));
    }
    timestamp += OPUSIO_FRAME;
    n = opusio_encode(caller_voice, pcm, opus);
    must(n > 0);
    p.len = (size_t)n;
    fake.rtc->packet(&p, fake.rtc_arg);
}

static void tick(void *arg)
{
    *(bool *)arg = true;
}

void fake_speak(int packets, bool voiced)
{
    int64_t due = pat_now_us();

    for (int i = 0; i < packets; i++) {
        struct pat_timer t;
        bool now = false;

        fake_packet(voiced);
        due += 20000;
        must(!pat_timer_init(&t, fake.loop, tick, &now));
        pat_timer_start_at(&t, due);
        fake_until(&now, 1000);
        pat_timer_fini(&t);
    }
}

int rtc_room_send_dtmf(struct rtc_room *room, char digit)
{
    size_t n = strlen(fake.keys);

    (void)room;
    if (fake.media_down)
        return PAT_EAGAIN;
    must(n + 1 < sizeof fake.keys);
    fake.keys[n] = digit;
    return PAT_OK;
}

/* ---- recogniser ---- */

int stt_open(struct stt **out, struct pat_loop *l, struct pat_net *net, const struct stt_opts *o,
             const struct stt_events *ev, void *arg)
{
    (void)l, (void)net, (void)o;
    fake.stt = ev;
    fake.stt_arg = arg;
    *out = &the_stt;
    return PAT_OK;
}

void stt_audio(struct stt *s, const uint8_t *opus, size_t len, uint32_t samples)
{
    (void)s, (void)len, (void)samples;
    if (opus)
        fake.stt_packets++;
    else
        fake.stt_silence++;
}

void stt_together(struct stt *s, int packets)
{
    (void)s, (void)packets;
}

void stt_finalize(struct stt *s)
{
    (void)s;
    fake.finalized++;
}

bool stt_judges(const struct stt *s)
{
    (void)s;
    return fake.judges;
}

const char *stt_model(const struct stt *s)
{
    (void)s;
    return "nova-3";
}

const struct provider *stt_listens(const struct stt *s)
{
    static const struct provider by = { .name = "deepgram" };

    (void)s;
    return &by;
}

size_t stt_used(const struct stt *s, struct provider_used *out, size_t max)
{
    int64_t ms = stt_audio_ms(s);

    if (!ms || !max)
        return 0;
    out[0] = (struct provider_used){ stt_listens(s), "nova-3", ms, ms + 500 };
    return 1;
}

int64_t stt_audio_ms(const struct stt *s)
{
    (void)s;
    return 20 * (int64_t)(fake.stt_packets + fake.stt_silence);
}

void stt_close(struct stt *s)
{
    if (s)
        fake.stt_closed++;
}

void fake_heard(const char *text, bool is_final, bool speech_final)
{
    struct stt_transcript t = { .text = text, .is_final = is_final, .speech_final = speech_final };

    fake.stt->transcript(&t, fake.stt_arg);
}

void fake_eager(const char *text)
{
    struct stt_transcript t = { .text = text, .eager = true };

    fake.stt->transcript(&t, fake.stt_arg);
}

/* ---- model ---- */

int llm_start(struct llm_run **out, struct llm *m, const struct llm_req *req,
              const struct llm_events *ev, void *arg)
{
    (void)m;
    fake.llm = ev;
    fake.llm_arg = arg;
    fake.llm_runs++;
    free(fake.messages);
    fake.messages = pat_json_print(req->messages);
    fake.tools_listed = req->tools != NULL;
    fake.tools_off = req->no_tools;
    *out = &the_run;
    return PAT_OK;
}

void llm_asked(const struct llm_run *r, const char **account, const char **model)
{
    (void)r;
    *account = "fake";
    *model = "a-model";
}

void llm_cancel(struct llm_run *r)
{
    if (r) {
        fake.llm_canceled++;
        fake.llm = NULL;
    }
}

void fake_model(const char *text)
{
    if (fake.llm)
        fake.llm->text(text, strlen(text), fake.llm_arg);
}

void fake_model_calls(const char *id, const char *name, const char *arguments)
{
    if (fake.llm)
        fake.llm->tool_call(0, id, name, arguments, fake.llm_arg);
}

void fake_model_done(int err)
{
    const struct llm_events *ev = fake.llm;
    struct llm_usage u = { 100, 40, 10, .provider = "fake" };

    fake.llm = NULL;
    if (ev)
        ev->done(err, "stop", "fake-model", &u, fake.llm_arg);
}

/* ---- voice: a tone of ms_per_char for each character ---- */

static void speak_next(void *arg)
{
    struct tts *t = arg;
    static int16_t pcm[480];
    uint32_t id;
    size_t ms;

    if (t->head == t->tail)
        return;
    id = t->pending[t->head % 64];
    ms = t->chars[t->head % 64] * (size_t)fake.ms_per_char;
    t->head++;
    for (int i = 0; i < 480; i++)
        pcm[i] = (int16_t)(8000 * sin(2 * M_PI * 400 * i / 48000.0));
    for (size_t done = 0; !fake.tts_fails && done < ms; done += 10)
        fake.tts->audio(id, pcm, 480, fake.tts_arg);
    if (t->head != t->tail)
        pat_timer_start(&t->timer, 2);
    fake.tts->done(id, fake.tts_fails ? PAT_EUPSTREAM : PAT_OK, (int64_t)ms / fake.ms_per_char,
                   fake.tts_arg);
}

int tts_open(struct tts **out, struct pat_loop *l, struct pat_net *net, struct pat_http *http,
             const struct tts_opts *o, const struct tts_events *ev, void *arg)
{
    struct tts *t = calloc(1, sizeof *t);

    (void)net, (void)http, (void)o;
    fake.tts = ev;
    fake.tts_arg = arg;
    must(!pat_timer_init(&t->timer, l, speak_next, t));
    last_tts = *out = t;
    return PAT_OK;
}

void fake_voice(void)
{
    fake.tts_holds = false;
    pat_timer_start(&last_tts->timer, 0);
}

int tts_text(struct tts *t, uint32_t utterance, const char *text, size_t len)
{
    fake.tts_texts++;
    (void)snprintf(fake.tts_said + strlen(fake.tts_said),
                   sizeof fake.tts_said - strlen(fake.tts_said), "%.*s;", (int)len, text);
    t->pending[t->tail % 64] = utterance;
    t->chars[t->tail % 64] = len;
    t->tail++;
    return PAT_OK;
}

void tts_end(struct tts *t, uint32_t utterance)
{
    (void)utterance;
    if (!fake.tts_holds)
        pat_timer_start(&t->timer, 2);
}

void tts_cancel(struct tts *t, uint32_t utterance)
{
    fake.tts_canceled++;
    while (t->head != t->tail && t->pending[t->head % 64] <= utterance)
        t->head++;
}

const struct tts_hop *tts_speaks(const struct tts *t)
{
    static struct provider by = { .vendor = VENDOR_ELEVENLABS, .name = "elevenlabs" };
    static const struct tts_hop hop = { .by = &by, .own = true, .voice = { .id = "fake" } };

    (void)t;
    return &hop;
}

size_t tts_used(const struct tts *t, struct provider_used *out, size_t max)
{
    if (!fake.tts_texts || !max)
        return 0;
    out[0] =
        (struct provider_used){ tts_speaks(t)->by, "a-model", (int64_t)strlen(fake.tts_said), 0 };
    return 1;
}

void tts_close(struct tts *t)
{
    if (!t)
        return;
    pat_timer_fini(&t->timer);
    free(t);
}

/* ---- server and journal ---- */

void worker_job_done(struct worker *w, const char *job_id, const char *error)
{
    (void)w, (void)job_id, (void)error;
    fake.job_done++;
}

int roomapi_delete(struct roomapi *a, const char *room, int64_t timeout_ms, roomapi_fn *done,
                   void *arg)
{
    (void)a, (void)room, (void)timeout_ms, (void)done, (void)arg;
    fake.room_deleted++;
    return PAT_OK;
}

int roomapi_create(struct roomapi *a, const struct roomapi_room *room, int64_t timeout_ms,
                   roomapi_fn *done, void *arg)
{
    (void)a, (void)room, (void)timeout_ms, (void)done, (void)arg;
    return PAT_EUNAVAIL;
}

int roomapi_remove(struct roomapi *a, const char *room, const char *identity, int64_t timeout_ms,
                   roomapi_fn *done, void *arg)
{
    (void)a, (void)room, (void)identity, (void)timeout_ms, (void)done, (void)arg;
    return PAT_OK;
}

char *roomapi_token(struct roomapi *a, const char *room, const char *identity, int64_t ttl_s)
{
    (void)a, (void)room, (void)identity, (void)ttl_s;
    return strdup("token");
}

const char *rtc_room_attribute(const struct rtc_room *room, const char *identity, const char *name)
{
    (void)room, (void)identity, (void)name;
    return NULL;
}

int roomapi_refer(struct roomapi *a, const struct roomapi_refer *x, roomapi_refer_fn *done,
                  void *arg, roomapi_id *id)
{
    (void)a;
    (void)snprintf(fake.refer_to, sizeof fake.refer_to, "%s", x->to);
    (void)snprintf(fake.refer_whom, sizeof fake.refer_whom, "%s", x->identity);
    fake.referred = done;
    fake.referred_arg = arg;
    *id = 1;
    return PAT_OK;
}

void roomapi_cancel(struct roomapi *a, roomapi_id id)
{
    (void)a, (void)id;
    fake.referred = NULL;
}

int pat_journal_add(struct pat_journal *j, const struct pat_event *e, struct pat_json *data_take,
                    const struct pat_db_stmt *stmts, size_t n)
{
    (void)j, (void)stmts, (void)n;
    if (fake.events < FAKE_EVENTS) {
        (void)snprintf(fake.event[fake.events].name, sizeof fake.event[0].name, "%s.%s", e->area,
                       e->name);
        fake.event[fake.events++].data = pat_json_print(data_take);
    }
    pat_json_free(data_take);
    return PAT_OK;
}

const char *fake_event(const char *name)
{
    for (int i = fake.events - 1; i >= 0; i--)
        if (strcmp(fake.event[i].name, name) == 0)
            return fake.event[i].data;
    return NULL;
}

int fake_count(const char *name)
{
    int n = 0;

    for (int i = 0; i < fake.events; i++)
        n += strcmp(fake.event[i].name, name) == 0;
    return n;
}
