/* player.c - the row of pieces and the clock that empties it.
 *
 * The RTP timeline follows the wall clock: media_us is where it has come to. Speech that begins
 * out of silence starts at once, at most one packet ahead of that clock; sparse silence lets the
 * clock catch up. Mixing of several sounds is not done here.
 */
#include "player.h"

#include "../speech/opusio.h"
#include "sound.h"

#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 4800,           /* samples: 100 ms, what synthesisers send at a time */
    SPARSE_US = 200 * 1000, /* silence while the caller speaks */
    START_SAMPLES = 1920,   /* a piece begins with two packets in hand ... */
    START_WAIT_US = 20000,  /* ... or when it has waited this long */
    TRIM_MAX = 300 * 48,    /* leading silence not played */
    BURST = 3,              /* packets a late tick sends at once */
    LATE_US = 5000,
    COMPLEXITY = 3, /* a telephone carries 7 kHz at best: nobody hears more effort */
};

struct block {
    struct block *next;
    size_t n;
    int16_t pcm[BLOCK];
};

struct piece {
    struct piece *next;
    uint32_t id;
    struct phrase *phrase; /* or samples: */
    struct block *head, *tail;
    size_t head_at; /* samples of head already sent */
    size_t waiting; /* samples (or packets) not yet sent */
    int64_t gone;   /* samples sent or trimmed */
    size_t packet;  /* next of the phrase */
    int64_t born_us;
    bool trimmed, sounding, voiced, ended;
};

struct player {
    struct pat_loop *loop;
    struct pacer *pacer;
    const struct player_sink *sink;
    const struct player_events *events;
    void *arg;
    double gain;
    struct opusio_enc *enc;
    struct pat_timer timer;
    struct piece *first, *last;
    size_t waiting; /* samples of all pieces */
    bool running, paused, lead, talking;
    int64_t due_us;   /* of the next packet */
    int64_t media_us; /* the end of what was sent, on the wall clock */
    int64_t late;
};

static void on_tick(void *arg);

int player_new(struct player **out, const struct player_opts *o)
{
    struct player *p = calloc(1, sizeof *p);
    int err;

    if (!p)
        return PAT_ENOMEM;
    p->loop = o->loop;
    p->pacer = o->pacer;
    p->sink = o->sink;
    p->events = o->events;
    p->arg = o->arg;
    p->gain = o->gain;
    err = opusio_enc_new(&p->enc, COMPLEXITY);
    if (err)
        goto fail;
    err = pat_timer_init(&p->timer, o->loop, on_tick, p);
    if (err)
        goto fail_enc;
    *out = p;
    return PAT_OK;

fail_enc:
    opusio_enc_free(p->enc);
fail:
    free(p);
    return err;
}

static void piece_free(struct player *p, struct piece *pc)
{
    p->waiting -= pc->phrase ? pc->waiting * OPUSIO_FRAME : pc->waiting;
    while (pc->head) {
        struct block *b = pc->head;
        pc->head = b->next;
        free(b);
    }
    phrase_unref(pc->phrase);
    free(pc);
}

static void drop_first(struct player *p)
{
    struct piece *pc = p->first;

    p->first = pc->next;
    if (!p->first)
        p->last = NULL;
    piece_free(p, pc);
}

static void stop_talking(struct player *p)
{
    if (p->talking)
        pacer_give(p->pacer, p->due_us);
    p->talking = false;
}

void player_free(struct player *p)
{
    if (!p)
        return;
    player_flush(p);
    stop_talking(p);
    pat_timer_fini(&p->timer);
    opusio_enc_free(p->enc);
    free(p);
}

void player_start(struct player *p)
{
    if (p->running)
        return;
    p->running = true;
    p->due_us = p->media_us = pat_now_us();
    pat_timer_start_at(&p->timer, p->due_us);
}

void player_stop(struct player *p)
{
    player_flush(p);
    stop_talking(p);
    p->running = false;
    pat_timer_stop(&p->timer);
}

void player_set_gain(struct player *p, double gain)
{
    p->gain = gain;
}

static struct piece *piece_for(struct player *p, uint32_t id)
{
    struct piece *pc = p->last;

    if (pc && pc->id == id)
        return pc;
    pc = calloc(1, sizeof *pc);
    if (!pc)
        return NULL;
    pc->id = id;
    pc->born_us = pat_now_us();
    if (p->last)
        p->last->next = pc;
    else
        p->first = pc;
    p->last = pc;
    return pc;
}

/* Speech has arrived while silence goes out: do not wait for the silence's next turn. */
static bool can_start(const struct player *p)
{
    const struct piece *pc = p->first;

    if (!pc || p->paused || !p->running)
        return false;
    if (pc->phrase || pc->sounding)
        return pc->waiting > 0 || pc->ended;
    return pc->ended || pc->waiting >= START_SAMPLES ||
           (pc->waiting >= OPUSIO_FRAME && pat_now_us() - pc->born_us >= START_WAIT_US);
}

static void start_talking(struct player *p)
{
    if (p->talking || !can_start(p))
        return;
    p->talking = true;
    p->due_us = pacer_take(p->pacer, pat_now_us());
    opusio_enc_reset(p->enc);
    pat_timer_start_at(&p->timer, p->due_us);
}

static int append(struct player *p, struct piece *pc, const int16_t *samples, size_t n)
{
    while (n) {
        struct block *b = pc->tail;
        size_t part;

        if (!b || b->n == BLOCK) {
            b = malloc(sizeof *b);
            if (!b)
                return PAT_ENOMEM;
            b->next = NULL;
            b->n = 0;
            if (pc->tail)
                pc->tail->next = b;
            else
                pc->head = b;
            pc->tail = b;
        }
        part = BLOCK - b->n < n ? BLOCK - b->n : n;
        memcpy(b->pcm + b->n, samples, part * sizeof *samples);
        b->n += part;
        samples += part;
        n -= part;
        pc->waiting += part;
        p->waiting += part;
    }
    return PAT_OK;
}

int player_add(struct player *p, uint32_t piece, const int16_t *samples, size_t n)
{
    struct piece *pc;
    int err;

    if (p->waiting + n > (size_t)PLAYER_MAX_MS * SOUND_PER_MS)
        return PAT_E2BIG;
    pc = piece_for(p, piece);
    if (!pc)
        return PAT_ENOMEM;
    if (!pc->trimmed) {
        size_t quiet = sound_leading_silence(samples, n, (size_t)(TRIM_MAX - pc->gone));
        pc->gone += (int64_t)quiet;
        samples += quiet;
        n -= quiet;
        pc->trimmed = n > 480 || pc->gone >= TRIM_MAX; /* only silence so far: go on trimming */
    }
    err = append(p, pc, samples, n);
    start_talking(p);
    return err;
}

int player_add_phrase(struct player *p, uint32_t piece, struct phrase *phrase)
{
    struct piece *pc = piece_for(p, piece);

    if (!pc)
        return PAT_ENOMEM;
    pc->phrase = phrase_ref(phrase);
    pc->waiting = phrase_packets(phrase);
    pc->ended = true;
    p->waiting += pc->waiting * OPUSIO_FRAME;
    start_talking(p);
    return PAT_OK;
}

void player_end(struct player *p, uint32_t piece)
{
    struct piece *pc = p->first;

    while (pc && pc->id != piece)
        pc = pc->next;
    if (!pc) {
        if (!(pc = piece_for(p, piece)))
            return;
    }
    pc->ended = true;
    start_talking(p);
}

void player_pause(struct player *p)
{
    p->paused = true;
}

void player_resume(struct player *p)
{
    p->paused = false;
    start_talking(p);
}

void player_flush(struct player *p)
{
    while (p->first)
        drop_first(p);
}

void player_lead(struct player *p, bool on)
{
    p->lead = on;
    if (on && p->running && !p->talking && p->due_us > pat_now_us() + PACER_FRAME_US) {
        p->due_us = pat_now_us();
        pat_timer_start_at(&p->timer, p->due_us);
    }
}

/* Moves the RTP clock up to the packet's time, and sends. */
static int emit(struct player *p, const uint8_t *opus, size_t len, bool marker, int level)
{
    int err;

    if (p->due_us > p->media_us) {
        int64_t gap = (p->due_us - p->media_us) * SOUND_PER_MS / 1000;
        if (gap > 0)
            p->sink->skip((uint32_t)gap, p->arg);
        p->media_us = p->due_us;
    }
    err = p->sink->send(opus, len, OPUSIO_FRAME, marker, level, p->arg);
    if (!err)
        p->media_us += PACER_FRAME_US;
    return err;
}

static void send_silence(struct player *p)
{
    /* Ahead of the clock since speech began early: one packet less sets it right. */
    if (p->media_us <= p->due_us + PACER_FRAME_US / 2)
        (void)emit(p, opusio_silence, OPUSIO_SILENCE_LEN, false, SOUND_SILENT);
}

/* Copies the next packet's samples, zeros behind the end. The number of true ones. */
static size_t peek(const struct piece *pc, int16_t pcm[OPUSIO_FRAME])
{
    const struct block *b = pc->head;
    size_t at = pc->head_at, n = 0;

    while (b && n < OPUSIO_FRAME) {
        size_t part = b->n - at < OPUSIO_FRAME - n ? b->n - at : OPUSIO_FRAME - n;
        memcpy(pcm + n, b->pcm + at, part * sizeof *pcm);
        n += part;
        b = b->next;
        at = 0;
    }
    memset(pcm + n, 0, (OPUSIO_FRAME - n) * sizeof *pcm);
    return n;
}

static void consume(struct player *p, struct piece *pc, size_t n)
{
    pc->waiting -= n;
    p->waiting -= n;
    pc->gone += (int64_t)n;
    while (n) {
        size_t part = pc->head->n - pc->head_at;
        if (part > n) {
            pc->head_at += n;
            return;
        }
        struct block *b = pc->head;
        pc->head = b->next;
        pc->head_at = 0;
        if (!pc->head)
            pc->tail = NULL;
        free(b);
        n -= part;
    }
}

static int send_samples(struct player *p, struct piece *pc, int *level)
{
    int16_t pcm[OPUSIO_FRAME];
    uint8_t opus[OPUSIO_MAX_PACKET];
    size_t n = peek(pc, pcm);
    int len, err;

    sound_amplify(pcm, n, p->gain);
    *level = sound_level(pcm, OPUSIO_FRAME);
    len = opusio_encode(p->enc, pcm, opus);
    err = len < 0 ? len : emit(p, opus, (size_t)len, !pc->sounding, *level);
    if (!err)
        consume(p, pc, n);
    return err;
}

static int send_packet(struct player *p, struct piece *pc, int *level)
{
    size_t len;
    const uint8_t *opus = phrase_packet(pc->phrase, pc->packet, &len, level);
    int err = emit(p, opus, len, !pc->sounding, *level);

    if (!err) {
        pc->packet++;
        pc->waiting--;
        p->waiting -= OPUSIO_FRAME;
        pc->gone += OPUSIO_FRAME;
    }
    return err;
}

/* What has to be told of the first piece after a packet of it. Each callback may flush, add or
 * pause. */
static void tell(struct player *p, struct piece *pc, int level)
{
    uint32_t id = pc->id;
    bool sounding = !pc->sounding, voiced = !pc->voiced && level < SOUND_VOICED;
    bool over = pc->ended && pc->waiting == 0;

    pc->sounding = true;
    pc->voiced |= voiced;
    if (over)
        drop_first(p);
    if (sounding)
        p->events->sounding(id, p->arg);
    if (voiced)
        p->events->voiced(id, p->arg);
    if (over)
        p->events->played(id, p->arg);
}

/* True: there was something to say, and it was said. */
static bool send_speech(struct player *p)
{
    struct piece *pc = p->first;
    int level = SOUND_SILENT, err;

    while (pc && pc->ended && pc->waiting == 0) { /* a piece without sound, or its end came late */
        uint32_t id = pc->id;
        drop_first(p);
        p->events->played(id, p->arg);
        pc = p->first;
    }
    if (!pc || p->paused || !can_start(p))
        return false;
    if (!pc->phrase && pc->waiting < OPUSIO_FRAME && !pc->ended)
        return false;
    err = pc->phrase ? send_packet(p, pc, &level) : send_samples(p, pc, &level);
    if (err)
        return false;
    tell(p, pc, level);
    return true;
}

static void next_due(struct player *p, int64_t now)
{
    bool expecting = p->talking || p->lead || (p->first && !p->paused);

    p->due_us += expecting ? PACER_FRAME_US : SPARSE_US;
    /* Behind by more than a burst (the machine slept): begin anew instead of racing. */
    if (p->due_us < now - BURST * PACER_FRAME_US) {
        if (p->talking) {
            pacer_give(p->pacer, p->due_us);
            p->due_us = pacer_take(p->pacer, now);
        } else {
            p->due_us = now;
        }
    }
    pat_timer_start_at(&p->timer, p->due_us);
}

static void on_tick(void *arg)
{
    struct player *p = arg;
    int64_t now = pat_now_us();

    if (now - p->due_us > LATE_US)
        p->late++;
    if (!p->talking)
        start_talking(p);
    if (p->talking && p->due_us > now) { /* it has just taken a phase of its own */
        pat_timer_start_at(&p->timer, p->due_us);
        return;
    }
    if (!send_speech(p)) {
        /* Nothing to say just now; a piece in its middle keeps the phase and the rhythm. */
        send_silence(p);
        if (!p->first || p->paused)
            stop_talking(p);
    }
    if (p->running) /* a callback may have stopped it */
        next_due(p, now);
}

int64_t player_played_ms(const struct player *p, uint32_t piece)
{
    return p->first && p->first->id == piece ? p->first->gone / SOUND_PER_MS : 0;
}

int64_t player_waiting_ms(const struct player *p)
{
    return (int64_t)p->waiting / SOUND_PER_MS;
}

bool player_idle(const struct player *p)
{
    return !p->first;
}

int64_t player_late_frames(const struct player *p)
{
    return p->late;
}
