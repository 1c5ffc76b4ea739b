/* player.c - the row of pieces and the clock that empties it.
 *
 * The RTP timeline follows the wall clock: media_us is where it has come to. Speech that begins
 * out of silence starts at once, at most one packet ahead of that clock; sparse silence lets the
 * clock catch up. Mixing of several sounds is not done here.
 */
#include "player.h"

#include "piece.h"
#include "sound.h"

#include <stdlib.h>
#include <string.h>

enum {
    SPARSE_US = 200 * 1000, /* silence while the caller speaks */
    START_SAMPLES = 1920,   /* a piece begins with two packets in hand ... */
    START_WAIT_US = 20000,  /* ... or when it has waited this long */
    TRIM_MAX = 300 * 48,    /* leading silence not played */
    BURST = 3,              /* packets a late tick sends at once */
    LATE_US = 5000,
    QUIET_LEVEL = 75, /* fainter than this in the middle of speech is silence: not encoded */
};

struct player {
    struct pat_loop *loop;
    struct beat *beat;
    const struct player_sink *sink;
    const struct player_events *events;
    void *arg;
    double gain;
    struct opusio_enc *enc; /* NULL: nothing had to be encoded yet; it weighs 44 KB */
    enum opusio_use use;
    bool quiet; /* the last packet of speech was silence; the encoder has not heard it */
    struct player_counts counts;
    struct ambience *ambience; /* NULL: none */
    size_t ambient_at;         /* packets of it so far */
    struct opusio_dec *dec;    /* of what is mixed; NULL: not needed yet */
    struct pat_timer timer;
    struct piece *first, *last;
    size_t waiting; /* samples of all pieces */
    bool running, paused, lead, talking;
    int slot;         /* while talking */
    int64_t due_us;   /* of the next packet */
    int64_t media_us; /* the end of what was sent, on the wall clock */
    int64_t late;
    struct pat_histogram *lateness;
};

static void on_tick(void *arg);

int player_new(struct player **out, const struct player_opts *o)
{
    struct player *p = calloc(1, sizeof *p);
    int err;

    if (!p)
        return PAT_ENOMEM;
    p->loop = o->loop;
    p->beat = o->beat;
    p->sink = o->sink;
    p->events = o->events;
    p->arg = o->arg;
    p->gain = o->gain;
    p->lateness = o->late;
    err = pat_timer_init(&p->timer, o->loop, on_tick, p);
    if (err) {
        free(p);
        return err;
    }
    *out = p;
    return PAT_OK;
}

static void drop_first(struct player *p)
{
    struct piece *pc = p->first;

    p->first = pc->next;
    if (!p->first)
        p->last = NULL;
    p->waiting -= pc->waiting;
    piece_free(pc);
}

static void stop_talking(struct player *p)
{
    if (p->talking)
        beat_give(p->beat, p->slot);
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
    opusio_dec_free(p->dec);
    ambience_unref(p->ambience);
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

void player_set_ambience(struct player *p, struct ambience *x_take)
{
    ambience_unref(p->ambience);
    p->ambience = x_take;
}

static bool is_ambient(const struct player *p)
{
    return p->ambience && ambience_ready(p->ambience);
}

/* Without memory the one we have goes on: it works for everybody. */
void player_set_use(struct player *p, enum opusio_use use)
{
    struct opusio_enc *enc = NULL;

    if (use == p->use || (p->enc && opusio_enc_for(&enc, use)))
        return;
    opusio_enc_free(p->enc);
    p->enc = enc;
    p->use = use;
}

static struct piece *piece_for(struct player *p, uint32_t id)
{
    struct piece *pc = p->last;

    if (pc && pc->id == id)
        return pc;
    pc = piece_new(id);
    if (!pc)
        return NULL;
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
    p->slot = beat_take(p->beat);
    p->due_us = pat_now_us();
    p->quiet = true; /* the encoder begins anew */
    pat_timer_start_at(&p->timer, p->due_us);
}

static size_t row_waiting(const struct player *p)
{
    size_t n = 0;

    for (const struct piece *pc = p->first; pc; pc = pc->next)
        n += pc->waiting;
    return n;
}

static int added(struct player *p, int err, size_t n)
{
    if (!err)
        p->waiting += n;
    else /* some of it may have found room */
        p->waiting = row_waiting(p);
    start_talking(p);
    return err;
}

int player_add(struct player *p, uint32_t piece, const int16_t *samples, size_t n)
{
    struct piece *pc;

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
    return added(p, piece_add(pc, samples, n), n);
}

int player_add_packet(struct player *p, uint32_t piece, const uint8_t *opus, size_t len, int level)
{
    struct piece *pc;

    if (p->waiting + OPUSIO_FRAME > (size_t)PLAYER_MAX_MS * SOUND_PER_MS)
        return PAT_E2BIG;
    pc = piece_for(p, piece);
    if (!pc)
        return PAT_ENOMEM;
    if (!pc->trimmed && level > SOUND_FAINT && pc->gone < TRIM_MAX) {
        pc->gone += OPUSIO_FRAME; /* silence at the very start */
        return PAT_OK;
    }
    pc->trimmed = true;
    return added(p, piece_add_packet(pc, opus, len, level), OPUSIO_FRAME);
}

int player_add_phrase(struct player *p, uint32_t piece, struct phrase *phrase)
{
    struct piece *pc = piece_for(p, piece);

    if (!pc)
        return PAT_ENOMEM;
    piece_set_phrase(pc, phrase);
    p->waiting += pc->waiting;
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
    if (on && p->running && !p->talking && p->due_us > pat_now_us() + BEAT_US) {
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
        p->media_us += BEAT_US;
    return err;
}

static void send_silence(struct player *p)
{
    const uint8_t *opus = opusio_silence;
    size_t len = OPUSIO_SILENCE_LEN;

    /* Ahead of the clock since speech began early: one packet less sets it right. */
    if (p->media_us > p->due_us + BEAT_US / 2)
        return;
    if (is_ambient(p)) {
        opus = ambience_packet(p->ambience, p->ambient_at++, &len);
        p->counts.ambient++;
    }
    (void)emit(p, opus, len, false, SOUND_SILENT);
}

static void consume(struct player *p, struct piece *pc, size_t n)
{
    p->waiting -= n;
    piece_consume(pc, n);
}

/* What the synthesiser paused with is silence as we send it everywhere: no encoder is needed. */
static int send_quiet(struct player *p, const struct piece *pc)
{
    int err = emit(p, opusio_silence, OPUSIO_SILENCE_LEN, !pc->sounding, SOUND_SILENT);

    if (!err) {
        p->quiet = true;
        p->counts.quiet++;
    }
    return err;
}

static int send_encoded(struct player *p, const struct piece *pc, const int16_t *pcm, int level)
{
    uint8_t opus[OPUSIO_MAX_PACKET];
    int len, err = p->enc ? PAT_OK : opusio_enc_for(&p->enc, p->use);

    if (err)
        return err;
    if (p->quiet) /* it must not build on what it heard before the pause */
        opusio_enc_reset(p->enc);
    p->quiet = false;
    len = opusio_encode(p->enc, pcm, opus);
    err = len < 0 ? len : emit(p, opus, (size_t)len, !pc->sounding, level);
    p->counts.encoded += !err;
    return err;
}

static int send_mixed(struct player *p, const struct piece *pc, int16_t *pcm, int level)
{
    int err;

    ambience_mix(p->ambience, p->ambient_at, pcm);
    err = send_encoded(p, pc, pcm, level);
    p->ambient_at += !err;
    return err;
}

static int send_samples(struct player *p, struct piece *pc, int *level)
{
    int16_t pcm[OPUSIO_FRAME];
    size_t n = piece_peek(pc, pcm);
    int err;

    sound_amplify(pcm, n, p->gain);
    *level = sound_level(pcm, OPUSIO_FRAME);
    if (is_ambient(p))
        err = send_mixed(p, pc, pcm, *level);
    else
        err = *level >= QUIET_LEVEL ? send_quiet(p, pc) : send_encoded(p, pc, pcm, *level);
    if (!err)
        consume(p, pc, n);
    return err;
}

/* False: it cannot be had as samples, and goes out without the place. */
static bool decode(struct player *p, const struct piece_packet *k, int16_t pcm[OPUSIO_FRAME])
{
    int16_t out[OPUSIO_MAX_48K];

    if (!p->dec && opusio_dec_new_48k(&p->dec))
        return false;
    if (opusio_decode(p->dec, k->opus, k->len, OPUSIO_FRAME, out) != OPUSIO_FRAME)
        return false;
    memcpy(pcm, out, OPUSIO_FRAME * sizeof *pcm);
    return true;
}

static int send_packet(struct player *p, struct piece *pc, const struct piece_packet *k)
{
    int16_t pcm[OPUSIO_FRAME];
    int err;

    if (is_ambient(p) && decode(p, k, pcm)) {
        err = send_mixed(p, pc, pcm, k->level);
        if (!err)
            consume(p, pc, OPUSIO_FRAME);
        return err;
    }
    err = emit(p, k->opus, k->len, !pc->sounding, k->level);
    if (!err) {
        p->quiet = true; /* the encoder has not heard this either */
        p->counts.passed++;
        consume(p, pc, OPUSIO_FRAME);
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
    struct piece_packet k;
    int level = SOUND_SILENT, err;

    while (pc && pc->ended && pc->waiting == 0) { /* a piece without sound, or its end came late */
        uint32_t id = pc->id;
        drop_first(p);
        p->events->played(id, p->arg);
        pc = p->first;
    }
    if (!pc || p->paused)
        return false;
    p->counts.underruns += pc->sounding && !pc->ended && !piece_ready(pc);
    if (!can_start(p) || !piece_ready(pc))
        return false;
    if (piece_next_packet(pc, &k)) {
        level = k.level;
        err = send_packet(p, pc, &k);
    } else {
        err = send_samples(p, pc, &level);
    }
    if (err)
        return false;
    tell(p, pc, level);
    return true;
}

/* The first packet of speech goes at once; those behind it in the slot, the second one up to a
 * packet's length early, but never further ahead of the clock than that. */
static int64_t next_packet(const struct player *p, int64_t now)
{
    int64_t us = beat_after(p->talking ? p->slot : 0, p->due_us);

    if (us < now - BURST * BEAT_US) /* the machine slept: begin anew instead of racing */
        us = beat_after(p->talking ? p->slot : 0, now);
    return p->talking && p->media_us > us + BEAT_US ? us + BEAT_US : us;
}

static void next_due(struct player *p, int64_t now)
{
    bool expecting = p->talking || p->lead || (p->first && !p->paused) || is_ambient(p);

    if (!expecting)
        p->due_us += SPARSE_US - BEAT_US;
    p->due_us = next_packet(p, now);
    pat_timer_start_at(&p->timer, p->due_us);
}

static void on_tick(void *arg)
{
    struct player *p = arg;
    int64_t now;

    start_talking(p);
    now = pat_now_us();
    if (now - p->due_us > LATE_US)
        p->late++;
    if (p->talking)
        pat_histogram_observe(p->lateness, (double)(now - p->due_us) / 1e6);
    if (!send_speech(p)) {
        /* Nothing to say just now; a piece in its middle keeps the slot and the rhythm. */
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

const struct player_counts *player_counts(const struct player *p)
{
    return &p->counts;
}
