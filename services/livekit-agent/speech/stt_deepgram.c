/* stt_deepgram.c - stt.h by Deepgram's WebSocket, v1 or Flux.
 *
 * How: every packet goes into the replay ring and, when the socket is open, out, at once or a few
 * together. The
 * provider's clock starts at 0 with each connection, so base_ms maps it to the stream's. A broken
 * connection is made again with what it had not answered for, to the next step of the chain at
 * once, to the same one after a pause; when every step refuses us for good, that is final. It does
 * not judge turns: it reports what was heard. */
#include "stt.h"

#include "deepgram.h"
#include "opusio.h"
#include "packets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SAMPLES_PER_MS = 48,
    FRAME = OPUSIO_FRAME,
    KEEPALIVE_MS = 4000, /* the provider gives up after 10 s without audio or KeepAlive */
    PING_MS = 5000,
    RETRY_MS = 100,
    RETRY_MAX_MS = 5000,
    MAX_UNDECODABLE = 3, /* in a row: what we are given is no Opus */
    WISHES = 3,          /* Flux, the language, another language */
};

/* What one step is asked for, best first. A 400 or 404 says that it does not know this: it is asked
 * for the next. */
struct wish {
    char *url;
    bool flux;
    char what[48];            /* for the record: "flux-general-en", "de-CH" */
    char model[80];           /* as it is billed */
    int64_t samples, open_us; /* used */
};
struct address {
    struct wish wish[WISHES];
    int n, now;
    char *auth;
};

struct stt {
    struct pat_loop *loop;
    struct pat_net *net;
    struct stt_events ev;
    void *arg;
    struct providers *providers;
    const struct provider_chain *chain;
    struct address at[PROVIDER_STEPS];
    int step;       /* of the chain */
    unsigned tried; /* steps, since one of them answered */
    unsigned final; /* those that refuse us whatever we do */
    int64_t connect_ms;
    char flux_model[48];

    struct pat_ws *ws; /* NULL: waiting for the next try, or given up */
    bool open, failed;
    bool answered; /* on this connection */
    struct pat_retry retry;
    struct pat_timer timer; /* the next try, or KeepAlive */
    int undecodable;

    struct packets packets;
    int together, waiting; /* packets; those that wait are the ring's last ones */
    int64_t pos;           /* of the stream: samples taken in */
    int64_t silence;       /* samples of silence not yet a whole frame */
    int64_t conn_samples;  /* sent on this connection */
    int64_t total_samples; /* sent on all of them */
    int64_t open_us;       /* this connection, since; 0: there is none */
    int64_t base_ms;       /* stream time of the connection's 0 */
    bool sent_lately;      /* since the last tick */
    bool bad_json_told;
};

static void connect_now(struct stt *s);

static struct wish *wish_now(struct stt *s)
{
    return &s->at[s->step].wish[s->at[s->step].now];
}

static const struct wish *wish(const struct stt *s)
{
    return &s->at[s->step].wish[s->at[s->step].now];
}

static int64_t to_stream_ms(const struct stt *s, int64_t ms)
{
    return ms + s->base_ms;
}

static void give_up(struct stt *s, int err, const char *why)
{
    s->failed = true;
    pat_timer_stop(&s->timer);
    packets_clear(&s->packets);
    pat_log(PAT_ERROR, "stt.failed", PAT_ERR(err), PAT_S("why", why));
    s->ev.failed(err, false, why, s->arg);
}

static void tell_failure(struct stt *s, int step, enum provider_fault f, const char *why, int next)
{
    const struct provider *by = s->chain->at[step];
    const struct provider_failure told = { .by = by,
                                           .model = by->model,
                                           .fault = f,
                                           .detail = why,
                                           .next = next >= 0 ? s->chain->at[next] : NULL };

    if (s->ev.provider_failed)
        s->ev.provider_failed(&told, s->arg);
}

/* The next step at once, or the same ones again after a pause; -1: it is over. */
static int next_step(struct stt *s, int64_t *pause_ms)
{
    int64_t now_ms = pat_loop_now_ms(s->loop);
    int step = provider_pick(s->chain, s->tried, now_ms);

    *pause_ms = 0;
    if (step >= 0)
        return step;
    *pause_ms = pat_retry_next_ms(&s->retry, pat_random32());
    s->tried = s->final;
    step = provider_pick(s->chain, s->tried, now_ms);
    return step;
}

/* Callbacks come last: they may close the stream. */
static void connection_failed(struct stt *s, enum provider_fault f, const char *why)
{
    int64_t pause_ms;
    int from = s->step, next;
    int err = provider_fault_err(f);

    s->tried |=
        f == FAULT_AUTH || f == FAULT_QUOTA ? provider_same_account(s->chain, from) : 1U << from;
    if (f == FAULT_AUTH || f == FAULT_QUOTA || f == FAULT_MODEL ||
        (f == FAULT_REQUEST && !s->undecodable))
        s->final |= f == FAULT_AUTH || f == FAULT_QUOTA ? provider_same_account(s->chain, from)
                                                        : 1U << from;
    provider_failed(s->providers, s->chain->at[from], f, 0, pat_loop_now_ms(s->loop));
    next = s->undecodable < MAX_UNDECODABLE ? next_step(s, &pause_ms) : -1;
    tell_failure(s, from, f, why, next);
    if (next < 0) {
        give_up(s, err, why);
        return;
    }
    s->step = next;
    pat_log(PAT_WARN, "stt.retry", PAT_S("provider", s->chain->at[from]->name),
            PAT_S("fault", provider_fault_name(f)), PAT_S("why", why),
            PAT_S("next", s->chain->at[next]->name), PAT_I("in_ms", pause_ms));
    pat_timer_start(&s->timer, pause_ms);
    s->ev.failed(err, true, why, s->arg);
}

static void count_sent(struct stt *s, uint32_t samples)
{
    s->conn_samples += samples;
    s->total_samples += samples;
    wish_now(s)->samples += samples;
    s->sent_lately = true;
}

/* Of consecutive packets. What is not taken (the queue is full, or it is closing) the ring has. */
static void send_packets(struct stt *s, const struct packet *const list[], size_t n)
{
    struct pat_ws_part parts[STT_TOGETHER_MAX];
    int64_t before = s->conn_samples;

    for (size_t i = 0; i < n; i++)
        parts[i] = (struct pat_ws_part){ list[i]->data, list[i]->len };
    if (!n || pat_ws_send_all(s->ws, parts, n, false))
        return;
    for (size_t i = 0; i < n; i++)
        count_sent(s, list[i]->samples);
    s->base_ms =
        (list[0]->pos - before) / SAMPLES_PER_MS; /* changes only where some were not taken */
}

static void send_waiting(struct stt *s)
{
    const struct packet *list[STT_TOGETHER_MAX];
    size_t n = (size_t)s->waiting < s->packets.n ? (size_t)s->waiting : s->packets.n;

    s->waiting = 0;
    for (size_t i = 0; i < n; i++)
        list[i] = packets_at(&s->packets, s->packets.n - n + i);
    if (s->open)
        send_packets(s, list, n);
}

void stt_together(struct stt *s, int packets)
{
    s->together = packets < STT_TOGETHER_MAX ? packets : STT_TOGETHER_MAX;
    if (s->waiting >= s->together)
        send_waiting(s);
}

static void send_text(struct stt *s, const char *json)
{
    send_waiting(s);
    if (s->open && pat_ws_send(s->ws, json, strlen(json), true))
        pat_log(PAT_WARN, "stt.not_sent", PAT_S("message", json));
}

static void take_packet(struct stt *s, const uint8_t *data, size_t len, uint32_t samples)
{
    uint8_t *borrowed = (uint8_t *)data;
    const struct packet one = { s->pos, samples, (uint16_t)len, borrowed };
    const struct packet *list[] = { &one };

    s->pos += samples;
    if (packets_add(&s->packets, one.pos, data, len, samples)) { /* goes out, but not again */
        send_waiting(s);
        if (s->open)
            send_packets(s, list, 1);
    } else if (s->open && ++s->waiting >= s->together) {
        send_waiting(s);
    }
}

void stt_audio(struct stt *s, const uint8_t *opus, size_t len, uint32_t samples)
{
    if (s->failed)
        return;
    if (opus && len) { /* an empty binary message would end the stream */
        take_packet(s, opus, len, samples);
        return;
    }
    for (s->silence += samples; s->silence >= FRAME; s->silence -= FRAME)
        take_packet(s, opusio_silence, OPUSIO_SILENCE_LEN, FRAME);
}

static void send_silence(struct stt *s)
{
    if (!pat_ws_send(s->ws, opusio_silence, OPUSIO_SILENCE_LEN, false))
        count_sent(s, FRAME);
}

/* Without any audio at the start KeepAlive alone does not hold the stream: a frame of silence goes
 * before the stream's own time. */
static void on_timer(void *arg)
{
    struct stt *s = arg;

    if (!s->ws) {
        connect_now(s);
        return;
    }
    if (s->open && (!s->conn_samples || (wish(s)->flux && !s->sent_lately)))
        send_silence(s); /* Flux has no KeepAlive */
    else if (!s->sent_lately)
        send_text(s, "{\"type\":\"KeepAlive\"}");
    s->sent_lately = false;
    pat_timer_start_rough(&s->timer, KEEPALIVE_MS);
}

/* At most 5 s in one burst: the limit of 1.25 times real time is for what is sustained. */
static void on_open(struct pat_ws *ws, void *arg)
{
    struct stt *s = arg;
    const struct packet *p;

    (void)ws;
    s->open = true;
    s->open_us = pat_now_us();
    s->answered = false;
    s->sent_lately = false;
    s->conn_samples = 0;
    s->base_ms = s->pos / SAMPLES_PER_MS;
    s->waiting = 0;
    for (size_t i = 0; (p = packets_at(&s->packets, i)); i++)
        send_packets(s, &p, 1);
    pat_timer_start_rough(&s->timer, KEEPALIVE_MS);
    if (s->ev.ready)
        s->ev.ready(s->arg);
}

static void on_results(struct stt *s, const struct deepgram_msg *m)
{
    struct stt_transcript t = { .text = m->text,
                                .is_final = m->is_final,
                                .speech_final = m->speech_final,
                                .confidence = m->confidence,
                                .start_ms = to_stream_ms(s, m->start_ms),
                                .end_ms = to_stream_ms(s, m->end_ms) };

    if (m->is_final)
        packets_drop(&s->packets, t.end_ms * SAMPLES_PER_MS);
    s->ev.transcript(&t, s->arg);
}

/* Nothing of a turn is frozen before its end, where all of it is told again. */
static void on_turn(struct stt *s, const struct deepgram_msg *m)
{
    struct stt_transcript t = { .text = m->text,
                                .is_final = m->turn == DEEPGRAM_TURN_END,
                                .speech_final = m->turn == DEEPGRAM_TURN_END,
                                .eager = m->turn == DEEPGRAM_TURN_EAGER,
                                .confidence = m->confidence,
                                .start_ms = to_stream_ms(s, m->start_ms),
                                .end_ms = to_stream_ms(s, m->end_ms) };

    if (t.is_final)
        packets_drop(&s->packets, t.end_ms * SAMPLES_PER_MS);
    if (m->turn == DEEPGRAM_TURN_START && s->ev.speech_started)
        s->ev.speech_started(t.start_ms, s->arg);
    if (m->turn == DEEPGRAM_TURN_RESUMED && s->ev.resumed)
        s->ev.resumed(s->arg);
    if (t.is_final || *t.text)
        s->ev.transcript(&t, s->arg);
}

static void on_message(struct pat_ws *ws, const char *data, size_t len, bool text, void *arg)
{
    struct stt *s = arg;
    struct deepgram_msg m;

    (void)ws;
    if (!text || deepgram_parse(&m, data, len)) {
        if (!s->bad_json_told)
            pat_log(PAT_WARN, "stt.bad_message", PAT_I("len", len));
        s->bad_json_told = true;
        return;
    }
    if (!s->answered) {
        s->answered = true;
        s->tried = s->final;
        provider_worked(s->providers, s->chain->at[s->step]);
    }
    pat_retry_reset(&s->retry);
    s->undecodable = 0;
    if (m.kind == DEEPGRAM_RESULTS)
        on_results(s, &m);
    else if (m.kind == DEEPGRAM_TURN)
        on_turn(s, &m);
    else if (m.kind == DEEPGRAM_SPEECH_STARTED && s->ev.speech_started)
        s->ev.speech_started(to_stream_ms(s, m.start_ms), s->arg);
    else if (m.kind == DEEPGRAM_UTTERANCE_END && s->ev.utterance_end)
        s->ev.utterance_end(m.end_ms < 0 ? -1 : to_stream_ms(s, m.end_ms), s->arg);
    else if (m.kind == DEEPGRAM_ERROR)
        pat_log(PAT_WARN, "stt.error", PAT_S("why", m.text));
    deepgram_msg_fini(&m);
}

/* It does not know what we asked for: the same one is asked for less, at once. */
static bool ask_for_less(struct stt *s, int status)
{
    struct address *a = &s->at[s->step];
    char why[140];

    if ((status != 400 && status != 404) || a->now + 1 >= a->n)
        return false;
    snprintf(why, sizeof why, "HTTP %d: no %s, goes on with %s", status, a->wish[a->now].what,
             a->wish[a->now + 1].what);
    pat_log(PAT_WARN, "stt.refused", PAT_S("provider", s->chain->at[s->step]->name),
            PAT_S("why", why));
    a->now++;
    pat_timer_start(&s->timer, 0);
    tell_failure(s, s->step, FAULT_REQUEST, why, s->step);
    return true;
}

static void closed_now(struct stt *s)
{
    if (s->open_us)
        wish_now(s)->open_us += pat_now_us() - s->open_us;
    s->open_us = 0;
}

static void on_closed(struct pat_ws *ws, int err, int status, int code, const char *reason,
                      void *arg)
{
    struct stt *s = arg;
    char why[200];

    (void)ws;
    s->ws = NULL;
    s->open = false;
    closed_now(s);
    if (status && status != 101)
        snprintf(why, sizeof why, "HTTP %d %.150s", status, reason ? reason : "");
    else
        snprintf(why, sizeof why, "close %d %.150s", code, reason ? reason : "");
    if (ask_for_less(s, status))
        return;
    if (code == 1008) { /* what it could not decode must not be sent again */
        packets_clear(&s->packets);
        s->undecodable++;
    }
    connection_failed(
        s, err == PAT_ETIMEDOUT ? FAULT_TIMEOUT : deepgram_fault(status, code, reason), why);
}

static void connect_now(struct stt *s)
{
    static const struct pat_ws_events events = { .open = on_open,
                                                 .message = on_message,
                                                 .closed = on_closed };
    const char *const headers[] = { s->at[s->step].auth, NULL };
    struct pat_ws_opts opts = { .url = wish(s)->url,
                                .headers = headers,
                                .connect_timeout_ms = s->connect_ms,
                                .ping_ms = PING_MS };
    int err = pat_ws_connect(&s->ws, s->net, &opts, &events, s);

    if (err)
        connection_failed(s, FAULT_CONNECTION, "cannot connect");
}

static int add_wish(struct address *a, const struct provider *p, const struct stt_opts *o,
                    const char *what, bool flux)
{
    struct wish *w = &a->wish[a->n];
    struct pat_buf b;
    int err;

    pat_buf_init(&b, (size_t)16 << 10);
    err = flux ? deepgram_flux_url(&b, p->url, o) : deepgram_url(&b, p->url, p->model, o);
    w->url = err ? NULL : pat_buf_take(&b);
    pat_buf_fini(&b);
    w->flux = flux;
    pat_strcpy(w->what, sizeof w->what, what);
    (void)snprintf(w->model, sizeof w->model, "%.70s%s", flux ? what : p->model,
                   !flux && o->language && !strcmp(o->language, "multi") ? ":multi" : "");
    a->n += w->url != NULL;
    return err || w->url ? err : PAT_ENOMEM;
}

static int address(struct address *a, const struct provider *p, const struct stt_opts *o)
{
    const char *language = o->language && *o->language ? o->language : NULL;
    struct stt_opts other = *o;
    int err = o->flux ? add_wish(a, p, o, o->flux->model, true) : PAT_OK;

    if (!err)
        err = add_wish(a, p, o, language ? language : "no language", false);
    if (!err && language) {
        other.language = deepgram_other_language(p->model, language);
        err = add_wish(a, p, &other, other.language ? other.language : "no language", false);
    }
    if (!err && asprintf(&a->auth, "Authorization: Token %s", p->key) < 0)
        err = PAT_ENOMEM;
    return err;
}

static int addresses(struct stt *s, const struct stt_opts *o)
{
    int err = s->chain->n ? PAT_OK : PAT_EINVAL;

    for (size_t i = 0; i < s->chain->n && !err; i++)
        err = address(&s->at[i], s->chain->at[i], o);
    s->step = err ? 0 : provider_pick(s->chain, 0, pat_loop_now_ms(s->loop));
    if (s->step < 0) /* none has a chance; the first one may tell why */
        s->step = 0;
    return err;
}

static void stt_free(struct stt *s)
{
    pat_timer_fini(&s->timer);
    packets_fini(&s->packets);
    for (int i = 0; i < PROVIDER_STEPS; i++) {
        for (int k = 0; k < s->at[i].n; k++)
            free(s->at[i].wish[k].url);
        free(s->at[i].auth);
    }
    free(s);
}

int stt_open(struct stt **out, struct pat_loop *l, struct pat_net *net, const struct stt_opts *o,
             const struct stt_events *ev, void *arg)
{
    struct stt *s = calloc(1, sizeof *s);
    int err;

    if (!s)
        return PAT_ENOMEM;
    s->loop = l;
    s->net = net;
    s->ev = *ev;
    s->arg = arg;
    s->retry = PAT_RETRY(RETRY_MS, RETRY_MAX_MS);
    s->together = 1;
    packets_init(&s->packets);
    s->providers = o->providers;
    s->chain = providers_of(o->providers, PROVIDER_STT);
    s->connect_ms = o->connect_ms;
    pat_strcpy(s->flux_model, sizeof s->flux_model, o->flux ? o->flux->model : "");
    err = addresses(s, o);
    if (!err)
        err = pat_timer_init(&s->timer, l, on_timer, s);
    if (err) {
        stt_free(s);
        return err;
    }
    /* The first try is a timer too: a failure is told by the callback, never from inside here. */
    pat_timer_start(&s->timer, 0);
    *out = s;
    return PAT_OK;
}

void stt_finalize(struct stt *s)
{
    send_text(s, wish(s)->flux ? "{\"type\":\"ForceEndTurn\"}" : "{\"type\":\"Finalize\"}");
}

bool stt_judges(const struct stt *s)
{
    return wish(s)->flux;
}

const char *stt_model(const struct stt *s)
{
    return wish(s)->flux ? s->flux_model : s->chain->at[s->step]->model;
}

const struct provider *stt_listens(const struct stt *s)
{
    return s->chain->at[s->step];
}

int64_t stt_audio_ms(const struct stt *s)
{
    return s->total_samples / SAMPLES_PER_MS;
}

size_t stt_used(const struct stt *s, struct provider_used *out, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < s->chain->n && i < PROVIDER_STEPS; i++)
        for (int k = 0; k < s->at[i].n; k++) {
            const struct wish *w = &s->at[i].wish[k];
            int64_t open_us =
                w->open_us + (w == wish(s) && s->open_us ? pat_now_us() - s->open_us : 0);

            if ((open_us || w->samples) && n < max)
                out[n++] = (struct provider_used){ s->chain->at[i], w->model,
                                                   w->samples / SAMPLES_PER_MS, open_us / 1000 };
        }
    return n;
}

/* The socket ends on its own; nobody listens to it any more. */
void stt_close(struct stt *s)
{
    if (!s)
        return;
    if (s->open) {
        send_text(s, "{\"type\":\"CloseStream\"}");
        pat_ws_set(s->ws, NULL, NULL);
        pat_ws_close(s->ws, 1000, "");
    } else {
        pat_ws_abort(s->ws);
    }
    stt_free(s);
}
