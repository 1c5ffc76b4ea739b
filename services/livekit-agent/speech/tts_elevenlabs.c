/* tts_elevenlabs.c - a voice of ElevenLabs over one multi-context socket, opened ahead.
 *
 * Where packets are wanted the socket is asked for Opus. The vendor does not say how it packs it
 * there: what comes is judged, and if it is refused or not clean, the same is asked for as samples.
 * How: each utterance is a context; at most five live at once, the canceled ones counted until
 * their final message. A broken socket ends the contexts begun on it and is opened again; after
 * three failures in a row the provider is unusable. The wire is eleven.c. It does not retry text:
 * tts.c knows what was heard. */
#include "tts_provider.h"

#include "eleven.h"
#include "opusio.h"
#include "opuspass.h"
#include "upsample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEEP_MS = 10000, /* the vendor closes after 20 s without text unless told otherwise */
    PING_MS = 15000,
    RETRY_MS = 50,
    RETRY_MAX_MS = 2000,
    MAX_FAILURES = 3,
    POLICY = 1008, /* RFC 6455, 7.4.1: what the vendor closes with for every wrong request */
};
#define MAX_MESSAGE ((size_t)4 << 20) /* 40 s of audio as base64 */
#define MAX_TEXT    ((size_t)64 << 10)

struct context {
    uint32_t utterance;
    char id[32];
    struct pat_buf pending; /* text the socket has not taken */
    bool begun, ended, closing;
    bool zombie; /* canceled: waits for its final message */
    struct upsample up;
    int carry;             /* half a sample */
    struct opuspass *pass; /* NULL: samples */
    int64_t n_samples;     /* at 48 kHz, given on */
    struct context *next;
};

struct eleven {
    struct tts_provider base;
    const struct provider *by;
    struct pat_loop *loop;
    struct pat_net *net;
    struct tts_provider_events ev;
    void *arg;
    struct voice voice;
    struct tts_opts o; /* strings borrowed of tts.c, which outlives us */
    char *auth;
    bool opus;         /* what the socket is asked for */
    bool opus_refused; /* so it was closed; is it true of samples, too? */
    struct tts_learnt own, *learnt;
    struct pat_ws *ws;
    bool open, told_ready;
    char last_error[160]; /* said inside the socket before it closed */
    bool fatal;
    int failures; /* in a row */
    struct pat_retry retry;
    struct pat_timer timer;   /* the next try, or keep-alive */
    struct context *contexts; /* in the order begun */
    unsigned next_id;
};

static void context_free(struct eleven *p, struct context *c)
{
    struct context **at = &p->contexts;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    pat_buf_fini(&c->pending);
    opuspass_free(c->pass);
    free(c);
}

static struct context *context_of(struct eleven *p, uint32_t utterance)
{
    for (struct context *c = p->contexts; c; c = c->next)
        if (c->utterance == utterance && !c->zombie)
            return c;
    return NULL;
}

static struct context *context_named(struct eleven *p, const char *id)
{
    for (struct context *c = p->contexts; c; c = c->next)
        if (c->begun && !strcmp(c->id, id))
            return c;
    return NULL;
}

static int n_begun(const struct eleven *p)
{
    int n = 0;

    for (const struct context *c = p->contexts; c; c = c->next)
        n += c->begun;
    return n;
}

/* b holds one message, or the error of making it. A full queue means the socket is stuck: PING
 * will end it. */
static bool send_message(struct eleven *p, struct pat_buf *b, int err)
{
    if (!err)
        err = pat_ws_send(p->ws, b->data, b->len, true);
    if (err)
        pat_log(PAT_WARN, "tts.not_sent", PAT_ERR(err));
    pat_buf_reset(b);
    return !err;
}

static void pump_context(struct eleven *p, struct context *c, struct pat_buf *b)
{
    if (!c->begun && (!c->pending.len || n_begun(p) >= ELEVEN_CONTEXTS))
        return;
    if (!c->begun)
        c->begun = send_message(p, b, eleven_begin(b, c->id, &p->voice));
    if (c->begun && c->pending.len &&
        send_message(p, b, eleven_text(b, c->id, c->pending.data, c->pending.len)))
        pat_buf_reset(&c->pending);
    if (c->begun && !c->pending.len && c->ended && !c->closing)
        c->closing = send_message(p, b, eleven_close(b, c->id));
}

static void pump(struct eleven *p)
{
    struct pat_buf b;

    if (!p->open)
        return;
    pat_buf_init(&b, MAX_TEXT * 2);
    for (struct context *c = p->contexts; c; c = c->next)
        pump_context(p, c, &b);
    pat_buf_fini(&b);
}

static void keep_alive(struct eleven *p)
{
    struct pat_buf b;

    pat_buf_init(&b, 1000);
    (void)send_message(p, &b, eleven_keep(&b, NULL));
    for (struct context *c = p->contexts; c; c = c->next)
        if (c->begun && !c->closing)
            (void)send_message(p, &b, eleven_keep(&b, c->id));
    pat_buf_fini(&b);
}

static void connect_now(struct eleven *p);

static void on_timer(void *arg)
{
    struct eleven *p = arg;

    if (!p->ws) {
        connect_now(p);
        return;
    }
    if (p->open) { /* for so long: what went wrong before is over */
        p->failures = 0;
        pat_retry_reset(&p->retry);
        keep_alive(p);
    }
    pat_timer_start(&p->timer, KEEP_MS);
}

static void on_open(struct pat_ws *ws, void *arg)
{
    struct eleven *p = arg;

    (void)ws;
    p->open = true;
    p->last_error[0] = '\0';
    pat_timer_start(&p->timer, KEEP_MS);
    pump(p);
    if (!p->told_ready && p->ev.ready) {
        p->told_ready = true;
        p->ev.ready(p->arg);
    }
}

static void give_samples(struct eleven *p, struct context *c, const int16_t *in, size_t n,
                         bool flush)
{
    int16_t *out = malloc((2 * n + UPSAMPLE_TAPS) * sizeof *out);
    size_t total = 2 * n;

    if (!out)
        return;
    upsample_x2(&c->up, in, n, out);
    if (flush)
        total += upsample_flush(&c->up, out + total);
    c->n_samples += (int64_t)total;
    p->ev.audio(c->utterance, out, total, p->arg);
    free(out);
}

struct word_sink {
    struct eleven *p;
    uint32_t utterance;
    int base_ms;
};

static void on_word(const char *word, size_t len, int start_ms, int end_ms, void *arg)
{
    const struct word_sink *s = arg;

    s->p->ev.aligned(s->utterance, word, len, s->base_ms + start_ms, s->base_ms + end_ms,
                     s->p->arg);
}

static bool take_samples(struct eleven *p, struct context *c, const char *base64, size_t len)
{
    int16_t *pcm = malloc((len * 3 / 8 + 2) * sizeof *pcm);
    int n = pcm ? eleven_samples(base64, len, &c->carry, pcm) : PAT_ENOMEM;

    if (n > 0)
        give_samples(p, c, pcm, (size_t)n, false);
    else if (n < 0)
        pat_log(PAT_WARN, "tts.bad_audio", PAT_ERR(n));
    free(pcm);
    if (n > 0 && p->opus_refused)
        p->learnt->no_opus = true; /* only Opus was refused */
    return n > 0;
}

struct packet_sink {
    struct eleven *p;
    struct context *c;
};

static void on_packet(const uint8_t *opus, size_t len, int level, void *arg)
{
    const struct packet_sink *s = arg;

    if (s->c->zombie)
        return;
    s->c->n_samples += OPUSIO_FRAME;
    s->p->ev.packet(s->c->utterance, opus, len, level, s->p->arg);
}

static void not_clean(struct eleven *p, const char *why);

static bool take_packets(struct eleven *p, struct context *c, const char *base64, size_t len)
{
    struct packet_sink sink = { p, c };
    uint8_t *bytes = malloc(len * 3 / 4 + 1);
    int64_t had = c->n_samples;
    const char *why = "not base64";
    int n = bytes ? eleven_bytes(base64, len, bytes) : PAT_ENOMEM;

    if (n >= 0 && !c->pass)
        n = opuspass_new(&c->pass) ? PAT_ENOMEM : n;
    if (n >= 0)
        n = opuspass_feed(c->pass, bytes, (size_t)n, on_packet, &sink, &why);
    free(bytes);
    if (n == PAT_ENOMEM) {
        pat_log(PAT_WARN, "tts.bad_audio", PAT_ERR(n));
    } else if (n < 0) {
        not_clean(p, why); /* c is gone */
        return false;
    }
    return c->n_samples > had;
}

/* The words come after their sound: who is told of a word has its samples. False: c is gone. */
static bool on_audio(struct eleven *p, struct context *c, const struct eleven_msg *m)
{
    struct word_sink sink = { p, c->utterance, (int)(c->n_samples / 48) };
    size_t len = strlen(m->audio);
    bool opus = p->opus;
    bool sounds = opus ? take_packets(p, c, m->audio, len) : take_samples(p, c, m->audio, len);

    if (opus && !p->opus)
        return false;
    if (sounds && !c->zombie) /* the receiver of the samples may have canceled it */
        eleven_words(m, on_word, &sink);
    return true;
}

/* Its slot is free again: the next in line may begin. A cancel only marks what has begun, so c
 * stays valid through the callbacks. */
static void on_final(struct eleven *p, struct context *c)
{
    uint32_t utterance = c->utterance;
    bool zombie;

    if (!c->ended && !c->zombie) { /* gone without our word: the next text begins it anew */
        c->begun = false;
        pump(p);
        return;
    }
    if (!c->zombie && c->n_samples && !c->pass)
        give_samples(p, c, NULL, 0, true);
    if (!c->zombie && c->n_samples)
        *(c->pass ? &p->learnt->opus : &p->learnt->pcm) += 1;
    zombie = c->zombie;
    context_free(p, c);
    pump(p);
    if (!zombie)
        p->ev.done(utterance, PAT_OK, "", p->arg);
}

static void on_message(struct pat_ws *ws, const char *data, size_t len, bool text, void *arg)
{
    struct eleven *p = arg;
    struct eleven_msg m;
    struct context *c;

    (void)ws;
    (void)text;
    if (eleven_parse(&m, data, len)) {
        pat_log(PAT_WARN, "tts.bad_message", PAT_I("len", len));
        return;
    }
    if (m.error) { /* the close that follows says the rest */
        pat_strcpy(p->last_error, sizeof p->last_error, m.error);
        p->fatal = p->fatal || m.fatal;
    }
    c = context_named(p, m.context);
    if (c && m.audio && *m.audio && !c->zombie) {
        p->failures = 0;
        pat_retry_reset(&p->retry);
        if (!on_audio(p, c, &m))
            c = NULL;
    }
    if (c && m.is_final)
        on_final(p, c);
    eleven_msg_fini(&m);
}

/* Contexts begun on the lost socket end; those not begun wait for the next one. */
static void fail_begun(struct eleven *p, int err, const char *why)
{
    for (;;) {
        struct context *c = p->contexts;
        uint32_t utterance;
        bool zombie;

        while (c && !c->begun)
            c = c->next;
        if (!c)
            return;
        utterance = c->utterance;
        zombie = c->zombie;
        context_free(p, c);
        if (!zombie)
            p->ev.done(utterance, err, why, p->arg);
    }
}

static bool refusal_is_final(int status)
{
    return status >= 400 && status < 500 && status != 408 && status != 425 && status != 429;
}

/* Whatever was begun is begun anew as samples; tts.c gives the text again. */
static void without_opus(struct eleven *p, const char *why)
{
    p->opus = false;
    p->fatal = false;
    p->failures = 0;
    pat_log(PAT_INFO, "tts.without_opus", PAT_S("provider", "elevenlabs"), PAT_S("why", why));
    pat_timer_start(&p->timer, 0);
    fail_begun(p, PAT_ECONN, why);
}

static void not_clean(struct eleven *p, const char *why)
{
    p->learnt->no_opus = true;
    pat_ws_abort(p->ws);
    p->ws = NULL;
    p->open = false;
    without_opus(p, why);
}

/* Could it be the format that is refused? Voice, key and quota are not better as samples. */
static bool perhaps_the_format(const struct eleven *p, int status, const char *why)
{
    static const char *const others[] = { "voice", "quota", "api_key", "payment" };

    if (!p->opus || status == 401 || status == 402 || status == 404)
        return false;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcasestr(why, others[i]))
            return false;
    return true;
}

static void on_closed(struct pat_ws *ws, int err, int status, int code, const char *reason,
                      void *arg)
{
    struct eleven *p = arg;
    char why[200];

    (void)ws;
    p->ws = NULL;
    p->open = false;
    snprintf(why, sizeof why, "%s %d %.120s", status ? "HTTP" : "close", status ? status : code,
             *p->last_error ? p->last_error
             : reason       ? reason
                            : "");
    p->failures++;
    p->fatal = p->fatal || eleven_is_fatal(reason) || (status && refusal_is_final(status));
    if ((p->fatal || code == POLICY) && perhaps_the_format(p, status, why)) {
        p->opus_refused = true;
        without_opus(p, why);
        return;
    }
    /* Too many at once: who waits for a slot keeps the caller waiting. */
    if (p->fatal || p->failures >= MAX_FAILURES || eleven_fault(status, why) == FAULT_RATE) {
        pat_log(PAT_ERROR, "tts.unusable", PAT_S("provider", "elevenlabs"), PAT_S("why", why));
        p->ev.unusable(eleven_fault(status, why), why, p->arg);
        return;
    }
    pat_log(PAT_WARN, "tts.retry", PAT_S("provider", "elevenlabs"), PAT_S("why", why));
    pat_timer_start(&p->timer, pat_retry_next_ms(&p->retry, pat_random32()));
    fail_begun(p, err ? err : PAT_ECONN, why);
}

static void connect_now(struct eleven *p)
{
    static const struct pat_ws_events events = { .open = on_open,
                                                 .message = on_message,
                                                 .closed = on_closed };
    const char *const headers[] = { p->auth, NULL };
    struct pat_ws_opts opts = { .url = NULL,
                                .headers = headers,
                                .connect_timeout_ms = p->o.connect_ms,
                                .ping_ms = PING_MS,
                                .max_message = MAX_MESSAGE };
    struct pat_buf url;
    int err;

    pat_buf_init(&url, 4096);
    err = eleven_url(&url, p->by->url, p->by->model, p->o.language, &p->voice,
                     p->opus ? "opus_48000_32" : "pcm_24000");
    opts.url = url.data;
    if (!err)
        err = pat_ws_connect(&p->ws, p->net, &opts, &events, p);
    pat_buf_fini(&url);
    if (!err)
        return;
    if (++p->failures >= MAX_FAILURES)
        p->ev.unusable(FAULT_CONNECTION, "cannot connect", p->arg);
    else
        pat_timer_start(&p->timer, pat_retry_next_ms(&p->retry, pat_random32()));
}

static struct context *context_new(struct eleven *p, uint32_t utterance)
{
    struct context *c = calloc(1, sizeof *c), **at = &p->contexts;

    if (!c)
        return NULL;
    c->utterance = utterance;
    c->carry = -1;
    snprintf(c->id, sizeof c->id, "u%u-%u", utterance, p->next_id++);
    pat_buf_init(&c->pending, MAX_TEXT);
    while (*at)
        at = &(*at)->next;
    *at = c;
    return c;
}

static int eleven_op_text(struct tts_provider *base, uint32_t utterance, const char *text,
                          size_t len)
{
    struct eleven *p = (struct eleven *)base;
    struct context *c = context_of(p, utterance);

    if (!c)
        c = context_new(p, utterance);
    if (!c)
        return PAT_ENOMEM;
    if (c->pending.len && c->pending.data[c->pending.len - 1] != ' ')
        pat_buf_adds(&c->pending, " ");
    if (pat_buf_add(&c->pending, text, len))
        return c->pending.err;
    pump(p);
    return PAT_OK;
}

static void eleven_op_end(struct tts_provider *base, uint32_t utterance)
{
    struct eleven *p = (struct eleven *)base;
    struct context *c = context_of(p, utterance);

    if (!c)
        return;
    c->ended = true;
    pump(p);
}

static void eleven_op_cancel(struct tts_provider *base, uint32_t utterance)
{
    struct eleven *p = (struct eleven *)base;
    struct context *c = context_of(p, utterance);
    struct pat_buf b;

    if (!c)
        return;
    if (!c->begun) {
        context_free(p, c);
        return;
    }
    c->zombie = true;
    pat_buf_reset(&c->pending);
    if (c->closing || !p->open)
        return;
    pat_buf_init(&b, 1000);
    c->closing = send_message(p, &b, eleven_close(&b, c->id));
    pat_buf_fini(&b);
}

static void eleven_op_close(struct tts_provider *base)
{
    struct eleven *p = (struct eleven *)base;

    while (p->contexts)
        context_free(p, p->contexts);
    if (p->open) {
        (void)!pat_ws_send(p->ws, "{\"close_socket\":true}", strlen("{\"close_socket\":true}"),
                           true);
        pat_ws_set(p->ws, NULL, NULL);
        pat_ws_close(p->ws, 1000, "");
    } else {
        pat_ws_abort(p->ws);
    }
    pat_timer_fini(&p->timer);
    free(p->auth);
    free(p);
}

int tts_elevenlabs_open(struct tts_provider **out, struct pat_loop *l, struct pat_net *net,
                        const struct tts_opts *o, const struct tts_hop *hop,
                        const struct tts_provider_events *ev, void *arg)
{
    static const struct tts_provider_ops ops = { eleven_op_text, eleven_op_end, eleven_op_cancel,
                                                 eleven_op_close };
    struct eleven *p = calloc(1, sizeof *p);
    int err;

    if (!p)
        return PAT_ENOMEM;
    *p = (struct eleven){ .base = { &ops },
                          .loop = l,
                          .net = net,
                          .ev = *ev,
                          .arg = arg,
                          .voice = hop->voice,
                          .by = hop->by,
                          .o = *o };
    p->learnt = o->learnt ? o->learnt : &p->own;
    p->opus = o->packets && !p->learnt->no_opus;
    p->retry = PAT_RETRY(RETRY_MS, RETRY_MAX_MS);
    err = pat_timer_init(&p->timer, l, on_timer, p);
    if (!err && asprintf(&p->auth, "xi-api-key: %s", hop->by->key) < 0)
        err = PAT_ENOMEM;
    if (err) {
        eleven_op_close(&p->base);
        return err;
    }
    pat_timer_start(&p->timer, 0); /* the first try; its failure is told by a callback */
    *out = &p->base;
    return PAT_OK;
}
