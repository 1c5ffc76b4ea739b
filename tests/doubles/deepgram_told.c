/* deepgram_told.c - what a caller is about to say, told to the Deepgram double beforehand.
 *
 * How: a connection is known by its first keyterm. The next voice of it begins the telling: each
 * word is heard when its time has passed since then, so that texts, interim results and pauses are
 * those of a recogniser that makes no mistakes, in any language and with any voice. A word is told
 * once; a noise has no words. It hears nothing itself. */
#include "deepgram.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LINES = 256 };

struct dg_told {
    char key[DG_KEYTERM_MAX];
    struct asr_word words[DG_TOLD_MAX];
    size_t n, given;
    int64_t began_ms; /* audio time of the connection; negative: not yet */
    struct dg_told *next;
};

static struct dg_told *find(const struct deepgram *g, const char *key)
{
    struct dg_told *t = *key ? g->told : NULL;

    while (t && strcmp(t->key, key) != 0)
        t = t->next;
    return t;
}

static void read_words(struct dg_told *t, const struct pat_json *words)
{
    t->n = t->given = 0;
    t->began_ms = -1;
    for (size_t i = 0; i < pat_json_size(words) && t->n < DG_TOLD_MAX; i++) {
        const struct pat_json *one = pat_json_item(words, i);
        struct asr_word *w = &t->words[t->n++];

        pat_strcpy(w->word, sizeof w->word, pat_json_str_or(one, "word", ""));
        w->start_ms = (int)pat_json_int_or(one, "start_ms", 0);
        w->end_ms = (int)pat_json_int_or(one, "end_ms", w->start_ms);
    }
}

/* Of many calls the first is long over. */
static void drop_oldest(struct deepgram *g)
{
    struct dg_told **at = &g->told;
    int lines = 0;

    while (*at && ++lines < MAX_LINES)
        at = &(*at)->next;
    if (*at) {
        free(*at);
        *at = NULL;
    }
}

bool dg_told_set(struct deepgram *g, const struct pat_json *v)
{
    const char *key = pat_json_str_or(v, "keyterm", "");
    struct dg_told *t = find(g, key);

    if (!*key)
        return false;
    if (!t) {
        drop_oldest(g);
        t = calloc(1, sizeof *t);
        if (!t)
            return false;
        pat_strcpy(t->key, sizeof t->key, key);
        t->next = g->told;
        g->told = t;
    }
    read_words(t, pat_json_at(v, "words"));
    return true;
}

void dg_told_clear(struct deepgram *g)
{
    while (g->told) {
        struct dg_told *t = g->told;

        g->told = t->next;
        free(t);
    }
}

bool dg_told_known(const struct deepgram *g, const char *key)
{
    return find(g, key) != NULL;
}

size_t dg_told_voice(struct deepgram *g, const char *key, int64_t voice_ms, int64_t start_ms,
                     struct asr_word *words)
{
    struct dg_told *t = find(g, key);
    size_t n = 0;

    if (!t)
        return 0;
    if (t->began_ms < 0)
        t->began_ms = voice_ms;
    for (size_t i = t->given; i < t->n; i++, n++) {
        words[n] = t->words[i];
        words[n].start_ms += (int)(t->began_ms - start_ms);
        words[n].end_ms += (int)(t->began_ms - start_ms);
    }
    return n;
}

void dg_told_given(struct deepgram *g, const char *key, size_t n)
{
    struct dg_told *t = find(g, key);

    if (t)
        t->given = t->given + n < t->n ? t->given + n : t->n;
}
