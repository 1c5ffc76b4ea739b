/* mouth_queue.c - what is said, in its order.
 *
 * A text that may be in the cache waits until it is known to be, and until those before it are
 * done; any other goes to the synthesiser, which has an order of its own.
 */
#include "mouth_int.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is with the synthesiser ---- */

static void speaking_add(struct mouth *m, uint32_t id)
{
    for (int i = 0; i < AT_ONCE; i++)
        if (!m->speaking[i]) {
            m->speaking[i] = id;
            return;
        }
}

void mouth_speaking_drop(struct mouth *m, uint32_t id)
{
    for (int i = 0; i < AT_ONCE; i++)
        if (m->speaking[i] == id) {
            m->speaking[i] = 0;
            return;
        }
}

static bool speaking_any(const struct mouth *m)
{
    for (int i = 0; i < AT_ONCE; i++)
        if (m->speaking[i])
            return true;
    return false;
}

int mouth_speak(struct mouth *m, uint32_t id, const char *text, size_t len)
{
    int err = tts_text(m->tts, id, text, len);

    if (!err) {
        speaking_add(m, id);
        tts_end(m->tts, id);
    }
    return err;
}

/* ---- the queue ---- */

static void on_queue(void *arg);

void mouth_queue_soon(struct mouth *m)
{
    pat_loop_next_turn(m->loop, &m->task, on_queue, m);
}

/* Takes it out of the queue. */
static void line_free(struct line **at)
{
    struct line *l = *at;

    *at = l->next;
    phrase_unref(l->phrase);
    free(l->key);
    free(l);
}

void mouth_queue_clear(struct mouth *m)
{
    pat_task_cancel(m->loop, &m->task);
    while (m->first)
        line_free(&m->first);
}

static void count_hit(struct mouth *m, const char *text, bool from_disk)
{
    int64_t n = (int64_t)pat_utf8_count(text, strlen(text));

    m->hits++;
    m->saved += n;
    phrases_count_hit(m->phrases, from_disk, n);
}

void mouth_count_hit(struct mouth *m, const char *text)
{
    count_hit(m, text, false);
}

/* The first of the queue sounds, all at once; any event may cancel it or free the queue. */
static void play_first(struct mouth *m)
{
    struct phrase *p = phrase_ref(m->first->phrase);
    uint32_t id = m->first->id;

    count_hit(m, m->first->text, m->first->from_disk);
    for (size_t i = 0; i < phrase_packets(p) && m->first && m->first->id == id; i++)
        mouth_tell_packet(m, id, p, i);
    phrase_unref(p);
    if (!m->first || m->first->id != id)
        return;
    line_free(&m->first);
    if (m->ev && m->ev->done)
        m->ev->done(id, PAT_OK, m->arg);
}

/* The first of the queue goes to the synthesiser; it has left the queue, also when that failed. */
static int speak_first(struct mouth *m)
{
    struct line *l = m->first;
    uint32_t id = l->id;
    int err;

    if ((l->keep || phrases_asked_before(m->phrases, l->key)) && !m->keep.utterance &&
        !m->keep.key) {
        m->keep.utterance = id;
        m->keep.key = l->key;
        l->key = NULL;
    }
    err = mouth_speak(m, id, l->text, strlen(l->text));
    line_free(&m->first);
    if (err && m->keep.utterance == id)
        mouth_keep_clear(&m->keep);
    return err;
}

static void on_loaded(struct phrase *p, void *arg)
{
    struct mouth *m = arg;

    m->loading = false;
    if (m->first) {
        m->first->looked = true; /* or what came in its place: it is looked up in memory again */
        m->first->from_disk = p != NULL;
    }
    on_queue(m);
}

/* True: the queue has moved. */
static bool queue_step(struct mouth *m)
{
    struct line *l = m->first;

    if (!l->phrase)
        l->phrase = phrases_get(m->phrases, l->key);
    if (!l->phrase && !l->looked && phrases_on_disk(m->phrases, l->key) &&
        phrases_load(m->phrases, l->key, on_loaded, m) == PAT_OK) {
        m->loading = true;
        return false;
    }
    if (!l->phrase) {
        uint32_t id = l->id;
        int err = speak_first(m);

        if (err && m->ev && m->ev->done)
            m->ev->done(id, err, m->arg);
        return true;
    }
    if (speaking_any(m))
        return false; /* on_done goes on */
    play_first(m);
    return true;
}

static void on_queue(void *arg)
{
    struct mouth *m = arg;

    while (m->first && !m->loading && queue_step(m))
        ;
}

int mouth_say(struct mouth *m, const char *text, size_t len, bool keep, uint32_t *utterance)
{
    struct line *l = calloc(1, sizeof *l + len + 1), **at = &m->first;
    bool direct = !m->first;

    if (!l)
        return PAT_ENOMEM;
    memcpy(l->text, text, len);
    l->key = mouth_key(m, l->text);
    if (!l->key) {
        free(l);
        return PAT_ENOMEM;
    }
    l->keep = keep;
    l->id = *utterance = mouth_next_id(m);
    while (*at)
        at = &(*at)->next;
    *at = l;
    l->phrase = phrases_get(m->phrases, l->key);
    if (direct && !l->phrase && !phrases_on_disk(m->phrases, l->key))
        return speak_first(m); /* nothing to wait for */
    mouth_queue_soon(m);
    return PAT_OK;
}

void mouth_cancel(struct mouth *m, uint32_t utterance)
{
    struct line **at = &m->first;

    if (utterance == m->keep.utterance)
        mouth_keep_clear(&m->keep);
    while (*at && (*at)->id != utterance)
        at = &(*at)->next;
    if (*at) {
        line_free(at);
    } else {
        mouth_speaking_drop(m, utterance);
        tts_cancel(m->tts, utterance);
    }
    if (m->first)
        mouth_queue_soon(m);
}
