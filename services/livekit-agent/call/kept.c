/* kept.c - one language after the other, one phrase after the other.
 *
 * The voice is let go between two languages, not within its own event.
 */
#include "kept.h"

#include "env.h"

#include <stdlib.h>
#include <string.h>

enum { AGAIN_MS = 30000 };

struct language {
    struct language *next;
    const char *code; /* of own_language */
    struct phrase *phrases[OWN_KEPT];
    bool tried; /* until the next time round */
};

struct kept {
    struct env *env;
    struct language *first; /* in the order they were wanted in */
    struct language *now;   /* being made; NULL: none */
    int which;              /* of its phrases */
    struct mouth *mouth;    /* that speaks it */
    struct pat_task task;   /* the next language */
    struct pat_timer again;
    bool failed;
};

static struct language *find(const struct kept *k, const char *language)
{
    const char *code = own_language(language);
    struct language *l = k->first;

    while (l && strcmp(l->code, code) != 0)
        l = l->next;
    return l;
}

static struct language *find_or_add(struct kept *k, const char *language)
{
    struct language *l = find(k, language), **at = &k->first;

    if (l)
        return l;
    l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->code = own_language(language);
    while (*at)
        at = &(*at)->next;
    *at = l;
    return l;
}

/* ---- making ---- */

static void on_next_language(void *arg);

static void language_done(struct kept *k)
{
    k->now->tried = true;
    pat_loop_next_turn(k->env->loop, &k->task, on_next_language, k);
}

static void not_made(struct kept *k)
{
    pat_log(PAT_WARN, "agent.phrase_not_made", PAT_S("language", k->now->code),
            PAT_I("phrase", k->which));
    if (!k->failed)
        pat_timer_start(&k->again, AGAIN_MS);
    k->failed = true;
}

static void next_phrase(struct kept *k)
{
    for (; k->which < OWN_KEPT; k->which++) {
        if (k->now->phrases[k->which])
            continue;
        if (!mouth_prepare(k->mouth, own_words((enum own_words)k->which, k->now->code)))
            return;
        not_made(k);
    }
    language_done(k);
}

static void on_prepared(struct phrase *p, void *arg)
{
    struct kept *k = arg;

    if (p)
        kept_put(k, (enum own_words)k->which, k->now->code, phrase_ref(p));
    else
        not_made(k);
    k->which++;
    next_phrase(k);
}

static bool is_whole(const struct language *l)
{
    for (int i = 0; i < OWN_KEPT; i++)
        if (!l->phrases[i])
            return false;
    return true;
}

static void on_next_language(void *arg)
{
    static const struct mouth_events ev = { .prepared = on_prepared };
    struct kept *k = arg;
    struct language *l = k->first;

    mouth_free(k->mouth);
    k->mouth = NULL;
    while (l && (l->tried || is_whole(l)))
        l = l->next;
    k->now = l;
    k->which = 0;
    if (!l)
        return;
    if (env_fallback_mouth(&k->mouth, k->env, l->code)) {
        not_made(k);
        language_done(k);
        return;
    }
    mouth_listen(k->mouth, &ev, k);
    next_phrase(k);
}

static void on_again(void *arg)
{
    struct kept *k = arg;

    k->failed = false;
    for (struct language *l = k->first; l; l = l->next)
        l->tried = false;
    if (!k->now)
        pat_loop_next_turn(k->env->loop, &k->task, on_next_language, k);
}

void kept_want(struct kept *k, const char *language)
{
    const struct language *l = find_or_add(k, language);

    if (l && !k->now && !l->tried && !is_whole(l))
        pat_loop_next_turn(k->env->loop, &k->task, on_next_language, k);
}

/* ---- having ---- */

/* That language, or English. NULL: it is made in neither. */
static const struct language *find_made(const struct kept *k, enum own_words which,
                                        const char *language)
{
    const struct language *l = find(k, language);

    if (!l || !l->phrases[which])
        l = find(k, "en");
    return l && l->phrases[which] ? l : NULL;
}

bool kept_has(const struct kept *k, enum own_words which, const char *language)
{
    return find_made(k, which, language) != NULL;
}

struct kept_words kept_get(const struct kept *k, enum own_words which, const char *language)
{
    const struct language *l = find_made(k, which, language);

    return (struct kept_words){ .phrase = l ? phrase_ref(l->phrases[which]) : NULL,
                                .text = own_words(which, l ? l->code : language) };
}

void kept_put(struct kept *k, enum own_words which, const char *language, struct phrase *take)
{
    struct language *l = find_or_add(k, language);

    if (!l) {
        phrase_unref(take);
        return;
    }
    phrase_unref(l->phrases[which]);
    l->phrases[which] = take;
}

int kept_new(struct kept **out, struct env *e)
{
    struct kept *k = calloc(1, sizeof *k);
    int err;

    if (!k)
        return PAT_ENOMEM;
    k->env = e;
    err = pat_timer_init(&k->again, e->loop, on_again, k);
    if (err) {
        free(k);
        return err;
    }
    *out = k;
    return PAT_OK;
}

void kept_free(struct kept *k)
{
    if (!k)
        return;
    pat_task_cancel(k->env->loop, &k->task);
    pat_timer_fini(&k->again);
    mouth_free(k->mouth);
    while (k->first) {
        struct language *l = k->first;

        k->first = l->next;
        for (int i = 0; i < OWN_KEPT; i++)
            phrase_unref(l->phrases[i]);
        free(l);
    }
    free(k);
}
