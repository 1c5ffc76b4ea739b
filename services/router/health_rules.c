/* health_rules.c - how evidence turns a stack's health: see health_rules.h. Only turn() writes the
 * word. */
#include "health_rules.h"

#include <string.h>

/* Points: a failed call, one that says clearly that the stack is broken, what is too much. */
enum { POINTS_FAILED = 2, POINTS_BROKEN = 5, POINTS_DEGRADED = 4, POINTS_DOWN = 10 };
/* What good signs take away. */
enum { LESS_ACCEPTED = 1, LESS_SERVED = 2, LESS_PROBED = 4 };

static const char *const words[] = { "up", "degraded", "down" };

const char *health_word_name(enum health_word w)
{
    return words[w];
}

static void turn(struct health_record *r, enum health_word to, const char *why, int64_t now_ms)
{
    if (r->word != to)
        r->since_ms = now_ms;
    r->word = to;
    (void)pat_strcpy(r->why, sizeof r->why, to == HEALTH_UP ? "" : why);
    r->at_ms = now_ms;
}

static void drop_trial(struct health_record *r)
{
    r->trial[0] = 0;
    r->trial_until_ms = 0;
}

static void go_down(struct health_record *r, const char *why, bool by_probe, int64_t now_ms)
{
    bool again = r->word == HEALTH_DOWN || r->recovering;

    r->open_ms = again && r->open_ms ? r->open_ms * 2 : HEALTH_OPEN_MS;
    if (r->open_ms > HEALTH_OPEN_MAX_MS)
        r->open_ms = HEALTH_OPEN_MAX_MS;
    r->open_until_ms = now_ms + r->open_ms;
    r->bad = r->good = 0;
    r->recovering = false;
    r->by_probe = by_probe;
    drop_trial(r);
    turn(r, HEALTH_DOWN, why, now_ms);
}

static void recover(struct health_record *r, int good, int64_t now_ms)
{
    char why[HEALTH_WHY_MAX + 1];

    memcpy(why, r->why, sizeof why);
    drop_trial(r);
    r->recovering = true;
    r->by_probe = false;
    r->good = good;
    r->bad = 0;
    turn(r, HEALTH_DEGRADED, why, now_ms);
}

static void go_up(struct health_record *r, int64_t now_ms)
{
    r->recovering = false;
    r->good = r->bad = 0;
    r->open_ms = 0;
    turn(r, HEALTH_UP, "", now_ms);
}

/* ------------------------------------------------------------------ evidence */

static bool good_sign(struct health_record *r, int less, int64_t now_ms)
{
    if (r->recovering) {
        r->at_ms = now_ms;
        if (++r->good >= HEALTH_RECOVERED)
            go_up(r, now_ms);
        return true;
    }
    if (r->word == HEALTH_UP && !r->bad)
        return false;
    r->bad = r->bad > less ? r->bad - less : 0;
    r->at_ms = now_ms;
    if (!r->bad && (r->probed == HEALTH_UP || !r->probed_ms))
        go_up(r, now_ms);
    return true;
}

static bool on_good(struct health_record *r, const struct health_event *e)
{
    bool noted = e->kind != HEALTH_ACCEPTED && e->at_ms - r->served_ms >= HEALTH_NOTE_MS;
    int less = e->kind == HEALTH_ACCEPTED ? LESS_ACCEPTED : LESS_SERVED;

    if (noted)
        r->served_ms = e->at_ms;
    if (r->word != HEALTH_DOWN)
        return good_sign(r, less, e->at_ms) || noted;
    /* Calls from before it went down say little; a trial says much. */
    if (!r->trial[0] && e->kind != HEALTH_PROVEN)
        return noted;
    r->served_ms = e->kind == HEALTH_ACCEPTED ? r->served_ms : e->at_ms;
    recover(r, 1, e->at_ms);
    return true;
}

static bool on_bad(struct health_record *r, const struct health_event *e)
{
    if (r->word == HEALTH_DOWN && !r->trial[0])
        return false;
    if (r->word == HEALTH_DOWN || r->recovering) {
        go_down(r, e->why, false, e->at_ms);
        return true;
    }
    r->bad += e->kind == HEALTH_BROKEN ? POINTS_BROKEN : POINTS_FAILED;
    r->at_ms = e->at_ms;
    if (r->bad >= POINTS_DOWN)
        go_down(r, e->why, false, e->at_ms);
    else if (r->bad >= POINTS_DEGRADED || r->word == HEALTH_DEGRADED)
        turn(r, HEALTH_DEGRADED, e->why, e->at_ms);
    return true;
}

static void probed_up(struct health_record *r, int64_t now_ms)
{
    if (r->word != HEALTH_DOWN)
        (void)good_sign(r, LESS_PROBED, now_ms);
    else if (r->by_probe)
        recover(r, 1, now_ms);
    else if (++r->good >= HEALTH_RECOVERED) /* no caller has tried it meanwhile */
        recover(r, 0, now_ms);
}

static bool on_probed(struct health_record *r, const struct health_event *e)
{
    bool trusted = !e->sure && e->at_ms - r->served_ms < HEALTH_TRUST_MS;

    if (e->at_ms <= r->probed_ms)
        return false; /* another router was first */
    r->probed = e->probed;
    r->probed_ms = e->at_ms;
    r->at_ms = e->at_ms;
    if (e->probed == HEALTH_UP)
        probed_up(r, e->at_ms);
    else if (e->probed == HEALTH_DOWN && !trusted && r->word != HEALTH_DOWN)
        go_down(r, e->why, true, e->at_ms);
    else if (r->word == HEALTH_DOWN && r->by_probe && e->probed == HEALTH_DEGRADED)
        recover(r, 0, e->at_ms);
    else if (r->word != HEALTH_DOWN)
        turn(r, HEALTH_DEGRADED, e->why, e->at_ms);
    return true;
}

static bool on_claim(struct health_record *r, const struct health_event *e)
{
    if (!health_wants_trial(r, e->at_ms))
        return false;
    (void)pat_strcpy(r->trial, sizeof r->trial, e->router);
    r->trial_until_ms = e->at_ms + HEALTH_TRIAL_MS;
    r->at_ms = e->at_ms;
    return true;
}

static bool on_rehearse(struct health_record *r, const struct health_event *e)
{
    int64_t day = e->at_ms / 86400000;
    int64_t spent = day == r->day ? r->cents : 0;

    if (e->at_ms - r->rehearsed_ms < e->every_ms || e->at_ms - r->served_ms < e->every_ms ||
        spent + e->cents > e->day_cents_max)
        return false;
    r->day = day;
    r->cents = spent + e->cents;
    r->rehearsed_ms = r->at_ms = e->at_ms;
    return true;
}

bool health_step(struct health_record *r, const struct health_event *e)
{
    switch (e->kind) {
    case HEALTH_ACCEPTED:
    case HEALTH_SERVED:
    case HEALTH_PROVEN:
        return on_good(r, e);
    case HEALTH_FAILED:
    case HEALTH_BROKEN:
        return on_bad(r, e);
    case HEALTH_PROBED:
        return on_probed(r, e);
    case HEALTH_CLAIM:
        return on_claim(r, e);
    case HEALTH_REHEARSE:
        return on_rehearse(r, e);
    }
    return false;
}

/* ------------------------------------------------------------------ questions */

bool health_is_open(const struct health_record *r)
{
    return r->word != HEALTH_DOWN;
}

bool health_wants_trial(const struct health_record *r, int64_t now_ms)
{
    return r->word == HEALTH_DOWN && now_ms >= r->open_until_ms &&
           (!r->trial[0] || now_ms >= r->trial_until_ms);
}

bool health_has_trial(const struct health_record *r, const char *router, int64_t now_ms)
{
    return r->word == HEALTH_DOWN && !strcmp(r->trial, router) && now_ms < r->trial_until_ms;
}

/* ------------------------------------------------------------------ as text */

static int word_parse(const char *s, enum health_word *out)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strcmp(s, words[i])) {
            *out = (enum health_word)i;
            return PAT_OK;
        }
    return PAT_EPROTO;
}

int health_record_parse(struct health_record *out, const char *data, size_t len)
{
    struct health_record r = { 0 };
    PAT_AUTO_JSON j = NULL;

    if (pat_json_parse(&j, data, len, NULL) ||
        word_parse(pat_json_str_or(j, "state", ""), &r.word) ||
        word_parse(pat_json_str_or(j, "probed", "up"), &r.probed) ||
        !pat_strcpy(r.why, sizeof r.why, pat_json_str_or(j, "why", "")) ||
        !pat_strcpy(r.trial, sizeof r.trial, pat_json_str_or(j, "trial", "")))
        return PAT_EPROTO;
    r.since_ms = pat_json_int_or(j, "since_ms", 0);
    r.at_ms = pat_json_int_or(j, "at_ms", 0);
    r.bad = (int)pat_json_int_or(j, "bad", 0);
    r.good = (int)pat_json_int_or(j, "good", 0);
    r.recovering = pat_json_bool_or(j, "recovering", false);
    r.by_probe = pat_json_bool_or(j, "by_probe", false);
    r.open_ms = pat_json_int_or(j, "open_ms", 0);
    r.open_until_ms = pat_json_int_or(j, "open_until_ms", 0);
    r.trial_until_ms = pat_json_int_or(j, "trial_until_ms", 0);
    r.served_ms = pat_json_int_or(j, "served_ms", 0);
    r.probed_ms = pat_json_int_or(j, "probed_ms", 0);
    r.rehearsed_ms = pat_json_int_or(j, "rehearsed_ms", 0);
    r.day = pat_json_int_or(j, "day", 0);
    r.cents = pat_json_int_or(j, "cents", 0);
    *out = r;
    return PAT_OK;
}

char *health_record_print(const struct health_record *r)
{
    PAT_AUTO_JSON j = pat_json_obj();

    pat_json_set_str(j, "state", words[r->word]);
    pat_json_set_str(j, "why", r->why);
    pat_json_set_int(j, "since_ms", r->since_ms);
    pat_json_set_int(j, "at_ms", r->at_ms);
    pat_json_set_int(j, "bad", r->bad);
    pat_json_set_int(j, "good", r->good);
    pat_json_set_bool(j, "recovering", r->recovering);
    pat_json_set_bool(j, "by_probe", r->by_probe);
    pat_json_set_int(j, "open_ms", r->open_ms);
    pat_json_set_int(j, "open_until_ms", r->open_until_ms);
    pat_json_set_str(j, "trial", r->trial);
    pat_json_set_int(j, "trial_until_ms", r->trial_until_ms);
    pat_json_set_int(j, "served_ms", r->served_ms);
    pat_json_set_str(j, "probed", words[r->probed]);
    pat_json_set_int(j, "probed_ms", r->probed_ms);
    pat_json_set_int(j, "rehearsed_ms", r->rehearsed_ms);
    pat_json_set_int(j, "day", r->day);
    pat_json_set_int(j, "cents", r->cents);
    return pat_json_print(j);
}
