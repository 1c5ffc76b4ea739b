/* voice_care.c - voices the vendor has no more: found, and their agents moved. See voices.h.
 *
 * A round (one replica, by a lease in Postgres) reads the vendor's list of clones, then every voice
 * in use that was not in it is asked for by itself; so is the voice of an agent that a call could
 * not speak with, or of which the vendor's webhook said that it goes. What follows is decided in
 * Postgres (voice_check_told): it counts, so that another account's key does not move everybody.
 */
#include "voices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DB_MS = 5000,
    IDLE_MS = 10000, /* nothing was due */
    SOON_MS = 10,
    PAGES_MAX = 1000,
    TOKEN_MAX = 1024,
};

enum stage { RESTING, ROUND, PAGE, CLOSING, CHECK, LOOKING };

struct voice_care {
    struct switcher *s;
    struct pat_timer timer;
    struct pat_sub *failed, *unavailable;
    struct pat_counter *gone;
    struct pat_gauge *strays;
    enum stage stage;
    pat_db_id query;
    char who[PAT_ID_LEN + 1]; /* this replica, in the lease */
    char voice[64];           /* CHECK */
    char token[TOKEN_MAX];    /* PAGE: the next one */
    int pages;
};

static void rest(struct voice_care *c, int64_t ms)
{
    c->stage = RESTING;
    pat_timer_start(&c->timer, ms);
}

static int query(struct voice_care *c, enum stage stage, const char *name, const char *sql,
                 const char *const *params, int n, pat_db_fn *fn)
{
    int err = pat_db_run1(c->s->d->db, name, sql, params, n, DB_MS, fn, c, &c->query);

    c->stage = stage;
    if (err)
        rest(c, IDLE_MS);
    return err;
}

static const char *value(int err, const struct pat_db_result *const *results, size_t n)
{
    return !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
}

/* ------------------------------------------------------------------ one voice */

static void on_told(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct voice_care *c = arg;
    PAT_AUTO_JSON j = NULL;
    const char *text = value(err, results, n), *state;

    c->query = 0;
    if (text && !pat_json_parse(&j, text, strlen(text), NULL)) {
        state = pat_json_str_or(j, "state", "");
        if (!strcmp(state, "gone")) {
            pat_counter_add(c->gone, 1);
            pat_log(PAT_WARN, "voice.gone", PAT_S("voice", c->voice),
                    PAT_I("agents_moved", pat_json_int_or(j, "moved", 0)));
        } else if (!strcmp(state, "doubted")) {
            pat_log(PAT_ERROR, "voice.too_many_gone", PAT_S("voice", c->voice));
        }
    } else {
        pat_log(PAT_WARN, "voice.not_noted", PAT_S("voice", c->voice), PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    }
    rest(c, text ? SOON_MS : IDLE_MS);
}

static void tell(struct voice_care *c, const char *state)
{
    const char *params[] = { c->voice, state, c->s->conf->voice_fallback };

    (void)query(c, CHECK, "voice_check_told", "select patchbay.voice_check_told($1, $2, $3)",
                params, 3, on_told);
}

static void on_there(int err, bool there, void *arg)
{
    struct voice_care *c = arg;

    if (err)
        pat_log(PAT_WARN, "voice.not_looked_up", PAT_S("voice", c->voice), PAT_ERR(err));
    tell(c, err ? NULL : there ? "there" : "gone");
}

static void on_check(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct voice_care *c = arg;
    const char *voice = value(err, results, n);

    c->query = 0;
    if (!voice || !pat_strcpy(c->voice, sizeof c->voice, voice)) {
        rest(c, IDLE_MS);
        return;
    }
    c->stage = LOOKING;
    if (vendor_look(c->s, c->voice, on_there, c))
        tell(c, NULL);
}

static void check(struct voice_care *c)
{
    (void)query(c, CHECK, "voice_check_claim", "select patchbay.voice_check_claim(60)", NULL, 0,
                on_check);
}

/* ------------------------------------------------------------------ a round */

static void on_closed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct voice_care *c = arg;
    PAT_AUTO_JSON j = NULL;
    const char *text = value(err, results, n);

    c->query = 0;
    if (text && !pat_json_parse(&j, text, strlen(text), NULL)) {
        int64_t strays = pat_json_int_or(j, "strays", 0);

        pat_gauge_set(c->strays, (double)strays);
        pat_log(strays ? PAT_WARN : PAT_INFO, "voice.round", PAT_I("strays", strays),
                PAT_I("to_check", pat_json_int_or(j, "to_check", 0)));
    }
    rest(c, SOON_MS);
}

static void close_round(struct voice_care *c, const char *error)
{
    char every[24];
    const char *params[] = { c->who, every, error };

    (void)snprintf(every, sizeof every, "%lld", (long long)c->s->conf->voice_check_ms);
    (void)query(c, CLOSING, "voice_round_done",
                "select patchbay.voice_round_done($1, $2::bigint, $3)", params, 3, on_closed);
}

static void on_page(int err, const struct pat_json *voices, const char *next, void *arg);

static void on_page_kept(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct voice_care *c = arg;
    const char *mine = value(err, results, n);

    c->query = 0;
    if (!mine || *mine != 't') {
        rest(c, IDLE_MS); /* another replica has it, or will */
    } else if (!*c->token) {
        close_round(c, NULL);
    } else if (++c->pages >= PAGES_MAX || vendor_page(c->s, c->token, on_page, c)) {
        close_round(c, "the list has no end");
    } else {
        c->stage = LOOKING;
    }
}

/* Of a voice only what is looked at: a page of the vendor's is megabytes. */
static char *brief(const struct pat_json *voices)
{
    static const char *const fields[] = { "voice_id", "name", "description" };
    PAT_AUTO_JSON list = pat_json_arr();

    PAT_JSON_EACH(v, voices)
    {
        struct pat_json *one = pat_json_obj();

        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
            pat_json_set_str(one, fields[i], pat_json_str_or(v, fields[i], NULL));
        pat_json_add_take(list, one);
    }
    return pat_json_print(list);
}

static void on_page(int err, const struct pat_json *voices, const char *next, void *arg)
{
    struct voice_care *c = arg;
    PAT_AUTO_STR text = err ? NULL : brief(voices);
    const char *params[] = { c->who, text };

    if (!text || !pat_strcpy(c->token, sizeof c->token, next ? next : "")) {
        pat_log(PAT_WARN, "voice.no_list", PAT_ERR(err ? err : PAT_E2BIG));
        close_round(c, "the vendor gave no list");
        return;
    }
    (void)query(c, PAGE, "voice_round_page", "select patchbay.voice_round_page($1, 120, $2::jsonb)",
                params, 2, on_page_kept);
}

static void on_round(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct voice_care *c = arg;
    const char *mine = value(err, results, n);

    c->query = 0;
    if (!mine) {
        rest(c, IDLE_MS);
    } else if (*mine != 't') {
        check(c);
    } else {
        c->pages = 0;
        c->stage = LOOKING;
        if (vendor_page(c->s, NULL, on_page, c))
            close_round(c, "too much to do");
    }
}

static void look(void *arg)
{
    struct voice_care *c = arg;
    const char *params[] = { c->who };

    if (c->stage != RESTING)
        return;
    if (!c->s->conf->voice_check_ms)
        check(c);
    else
        (void)query(c, ROUND, "voice_round_claim", "select patchbay.voice_round_claim($1, 120)",
                    params, 1, on_round);
}

/* ------------------------------------------------------------------ doubts */

static void on_doubted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    const struct switcher *s = arg; /* the care of voices may be over */

    if (err)
        pat_log(PAT_WARN, "voice.doubt_lost", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    else if (s->voice_care && s->voice_care->stage == RESTING)
        pat_timer_start(&s->voice_care->timer, SOON_MS);
}

static void doubt(struct voice_care *c, const char *user, const char *voice, const char *why)
{
    const char *params[] = { user, voice, why };

    if (pat_db_run1(c->s->d->db, "voice_doubt", "select patchbay.voice_doubt($1::uuid, $2, $3)",
                    params, 3, DB_MS, on_doubted, c->s, NULL))
        pat_log(PAT_WARN, "voice.doubt_lost", PAT_ERR(PAT_EAGAIN));
}

static void on_failed(const struct pat_msg *m, void *arg)
{
    PAT_AUTO_JSON j = NULL;
    const char *user;

    if (pat_json_parse(&j, m->data, m->len, NULL) ||
        strcmp(pat_json_str_or(j, "data.part", ""), "tts") != 0 ||
        strcmp(pat_json_str_or(j, "data.fault", ""), "voice") != 0)
        return;
    user = pat_json_str_or(j, "data.user_id", "");
    if (pat_id_valid(user))
        doubt(arg, user, NULL, "call");
}

/* The vendor's own word, by webhook; not ours, which stands at the end of a check. */
static void on_unavailable(const struct pat_msg *m, void *arg)
{
    PAT_AUTO_JSON j = NULL;

    if (!pat_json_parse(&j, m->data, m->len, NULL) &&
        !strstr(pat_json_str_or(j, "source", ""), "stack-switcher") &&
        !strcmp(pat_json_str_or(j, "data.stack", ""), "livekit"))
        doubt(arg, NULL, pat_json_str_or(j, "data.voice_id", NULL), "webhook");
}

/* ------------------------------------------------------------------ life */

int voice_care_new(struct voice_care **out, struct switcher *s)
{
    struct voice_care *c = calloc(1, sizeof *c);
    int err = c ? pat_timer_init(&c->timer, s->d->loop, look, c) : PAT_ENOMEM;

    if (err) {
        free(c);
        return err;
    }
    c->s = s;
    (void)pat_strcpy(c->who, sizeof c->who, pat_id_new().s);
    c->gone = pat_counter(s->d->metrics, "pat_switcher_voices_gone_total",
                          "Voices the vendor has no more", NULL);
    c->strays = pat_gauge(s->d->metrics, "pat_switcher_voice_strays",
                          "Voices at the vendor with our label that nobody here knows", NULL);
    err = pat_bus_subscribe(s->d->bus, &c->failed, "pat.call.v1.provider_failed.>", "voice_care",
                            on_failed, c);
    if (!err)
        err = pat_bus_subscribe(s->d->bus, &c->unavailable, "pat.voice.v1.unavailable.>",
                                "voice_care", on_unavailable, c);
    if (err) {
        voice_care_free(c);
        return err;
    }
    pat_timer_start(&c->timer, SOON_MS);
    *out = c;
    return PAT_OK;
}

void voice_care_free(struct voice_care *c)
{
    if (!c)
        return;
    pat_bus_unsubscribe(c->failed);
    pat_bus_unsubscribe(c->unavailable);
    pat_db_cancel(c->s->d->db, c->query);
    vendor_stop(c->s); /* what comes back would look for c */
    pat_timer_fini(&c->timer);
    free(c);
}
