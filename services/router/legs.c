/* legs.c - all legs of one call: see legs.h. Decides; asks nobody and does nothing. */
#include "legs.h"

#include <string.h>

static const char *const kinds[] = { "caller", "stack", "transfer", "consult" };
static const char *const states[] = { "initiated", "ringing", "talking", "ended" };

const char *legs_kind_name(enum legs_kind k)
{
    return kinds[k];
}

const char *legs_state_name(enum legs_state s)
{
    return states[s];
}

static struct legs_leg *find(struct legs *l, const char *id)
{
    for (int i = 0; i < l->n; i++)
        if (!strcmp(l->leg[i].id, id))
            return &l->leg[i];
    return NULL;
}

static struct legs_leg *add(struct legs *l, const struct legs_fact *f)
{
    struct legs_leg *g = &l->leg[l->n];

    if (!f->leg || !*f->leg || l->n == LEGS_MAX || strlen(f->leg) > LEGS_ID_MAX)
        return NULL;
    memset(g, 0, sizeof *g); /* they are compared as bytes */
    g->kind = f->kind;
    g->seconds = g->sequence = -1;
    pat_strcpy(g->id, sizeof g->id, f->leg);
    l->n++;
    return g;
}

static void earlier(int64_t *t, int64_t at_ms)
{
    if (at_ms && (!*t || at_ms < *t))
        *t = at_ms;
}

/* The vague ones give way to any that says more. */
static int vague(const struct pat_end_reason *e)
{
    return !strcmp(e->word, "completed") ? 1 : !strcmp(e->word, "unheard") ? 2 : 0;
}

static bool says_more(const struct pat_end_reason *a, const struct pat_end_reason *than)
{
    int d;

    if (!a || !than)
        return a && !than;
    d = vague(a) - vague(than);
    return d < 0 || (!d && strcmp(a->word, than->word) < 0);
}

static bool unanswered(const struct pat_end_reason *e)
{
    static const char *const words[] = { "busy", "no_answer", "declined", "caller_gave_up",
                                         "invalid_number" };

    for (size_t i = 0; e && i < sizeof words / sizeof words[0]; i++)
        if (!strcmp(e->word, words[i]))
            return true;
    return false;
}

static void merge(struct legs_leg *g, const struct legs_fact *f)
{
    const struct pat_end_reason *reason = pat_end_reason_find(f->reason);

    g->state = f->state > g->state ? f->state : g->state;
    earlier(&g->began_ms, f->at_ms);
    if (f->state == LEGS_RINGING)
        earlier(&g->ringing_ms, f->at_ms);
    if (f->state == LEGS_TALKING)
        earlier(&g->answered_ms, f->at_ms);
    if (f->state == LEGS_ENDED)
        earlier(&g->ended_ms, f->at_ms);
    if (says_more(reason, g->reason))
        g->reason = reason;
    g->sip_code = f->sip_code > g->sip_code ? f->sip_code : g->sip_code;
    g->seconds = f->seconds > g->seconds ? f->seconds : g->seconds;
    g->sequence = f->sequence > g->sequence ? f->sequence : g->sequence;
}

enum legs_news legs_take(struct legs *l, const struct legs_fact *f)
{
    struct legs_leg *g = f->leg ? find(l, f->leg) : NULL, old;
    bool made = !g;

    if (made)
        g = add(l, f);
    if (!g)
        return LEGS_REFUSED;
    old = *g;
    merge(g, f);
    if (g->answered_ms && unanswered(g->reason))
        return LEGS_IMPOSSIBLE;
    return made || memcmp(&old, g, sizeof old) ? LEGS_NEWS : LEGS_KNOWN;
}

static int word_of(const char *word, const char *const *words, int n)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(word, words[i]))
            return i;
    return -1;
}

static int read_leg(struct legs *out, const struct pat_json *j)
{
    int kind = word_of(pat_json_str_or(j, "kind", ""), kinds, LEGS_KINDS);
    int state = word_of(pat_json_str_or(j, "state", ""), states, LEGS_STATES);
    struct legs_leg *g;

    if (kind < 0 || state < 0)
        return PAT_EINVAL;
    g = add(out, &(struct legs_fact){ .leg = pat_json_str_or(j, "leg", NULL),
                                      .kind = (enum legs_kind)kind });
    if (!g)
        return PAT_EINVAL;
    g->state = (enum legs_state)state;
    g->began_ms = pat_json_int_or(j, "began_ms", 0);
    g->ringing_ms = pat_json_int_or(j, "ringing_ms", 0);
    g->answered_ms = pat_json_int_or(j, "answered_ms", 0);
    g->ended_ms = pat_json_int_or(j, "ended_ms", 0);
    g->reason = pat_end_reason_find(pat_json_str_or(j, "reason", NULL));
    g->sip_code = (int)pat_json_int_or(j, "sip_code", 0);
    g->seconds = pat_json_int_or(j, "seconds", -1);
    g->sequence = (int)pat_json_int_or(j, "sequence", -1);
    return PAT_OK;
}

int legs_read(struct legs *out, const struct pat_json *list)
{
    size_t n = pat_json_size(list);
    int err = pat_json_kind(list) == PAT_JSON_ARR ? PAT_OK : PAT_EINVAL;

    memset(out, 0, sizeof *out);
    for (size_t i = 0; !err && i < n && i < LEGS_MAX; i++)
        err = read_leg(out, pat_json_item(list, i));
    return err;
}

const struct legs_leg *legs_caller(const struct legs *l)
{
    for (int i = 0; i < l->n; i++)
        if (l->leg[i].kind == LEGS_CALLER)
            return &l->leg[i];
    return NULL;
}

/* Between the answer and the end; what the carrier counts goes before our clock. */
static int64_t talked_ms(const struct legs_leg *g)
{
    if (g->seconds >= 0)
        return g->seconds * 1000;
    return g->answered_ms && g->ended_ms >= g->answered_ms ? g->ended_ms - g->answered_ms : -1;
}

static int hang_up_the_rest(const struct legs *l, const struct pat_end_reason *why,
                            struct legs_todo *out)
{
    int n = 0;

    for (int i = 0; i < l->n; i++)
        if (l->leg[i].state != LEGS_ENDED)
            out[n++] = (struct legs_todo){ .what = LEGS_HANG_UP, .leg = i, .why = why };
    return n;
}

int legs_follow(const struct legs *l, int64_t now_ms, int64_t max_ms,
                struct legs_todo out[LEGS_MAX + 1])
{
    const struct legs_leg *caller = legs_caller(l);
    const struct pat_end_reason *why;
    int n;

    if (!caller)
        return 0;
    if (caller->state == LEGS_ENDED) {
        why = caller->reason ? caller->reason : pat_end_reason_find("completed");
        n = hang_up_the_rest(l, pat_end_reason_find("reaped"), out);
        out[n++] = (struct legs_todo){ .what = LEGS_END_CALL,
                                       .why = why,
                                       .at_ms = caller->ended_ms ? caller->ended_ms : now_ms,
                                       .talk_ms = talked_ms(caller) };
        return n;
    }
    if (now_ms - caller->began_ms < max_ms)
        return 0;
    why = pat_end_reason_find("max_duration");
    n = hang_up_the_rest(l, why, out);
    out[n++] =
        (struct legs_todo){ .what = LEGS_END_CALL,
                            .why = why,
                            .at_ms = now_ms,
                            .talk_ms = caller->answered_ms ? now_ms - caller->answered_ms : -1 };
    return n;
}
