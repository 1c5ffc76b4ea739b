/* talk.c - somebody wants to talk to an agent from a browser: see talk.h. */
#include "talk.h"

#include "door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DB_MS = 5000,
    ROUND_MS = 5000,
    GRACE_MS = 45000, /* past its longest: a goodbye, and what the vendor rounds up */
    BODY_MAX = 4096,
};

struct talk {
    struct switcher *s;
    struct pat_timer round;
    pat_db_id query;
    struct pat_counter *begun, *refused;
};

/* From the request to its answer. */
struct asking {
    struct switcher *s;
    struct pat_httpd_req *http;
    char call[PAT_ID_LEN + 1], user[PAT_ID_LEN + 1];
    struct pat_json *row; /* as talk_begin told it */
};

static void asking_free(struct asking *a)
{
    pat_json_free(a->row);
    free(a);
}

static void refuse(struct asking *a, int err, const char *why)
{
    pat_counter_add(a->s->talk->refused, 1);
    pat_httpd_reply_error(a->http, err, NULL, why);
    asking_free(a);
}

static void on_noted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    (void)results, (void)n, (void)arg;
    if (err)
        pat_log(PAT_WARN, "talk.not_noted", PAT_ERR(err));
}

static void note(struct switcher *s, const char *name, const char *sql, const char *call,
                 const char *what)
{
    const char *params[] = { call, what };

    if (pat_db_run1(s->d->db, name, sql, params, 2, DB_MS, on_noted, NULL, NULL))
        pat_log(PAT_WARN, "talk.not_noted", PAT_S("call", call));
}

/* ------------------------------------------------------------------ the stack has answered */

static void reply(struct asking *a, const char *url, const char *token)
{
    PAT_AUTO_JSON j = pat_json_obj();

    pat_json_set_str(j, "call_id", a->call);
    pat_json_set_str(j, "stack", pat_json_str_or(a->row, "stack", ""));
    pat_json_set_str(j, "url", url);
    pat_json_set_str(j, "token", token);
    pat_json_set_int(j, "join_s", a->s->conf->talk.join_ms / 1000);
    pat_json_set_int(j, "max_s", pat_json_int_or(a->row, "max_ms", 0) / 1000);
    pat_json_set_int(j, "left_s", pat_json_int_or(a->row, "left_ms", 0) / 1000);
    (void)pat_httpd_set_header(a->http, "Cache-Control", "no-store");
    pat_httpd_reply_json(a->http, 201, j);
}

static void on_ready(int err, const char *url, const char *token, const char *retell_call,
                     const char *why, void *arg)
{
    struct asking *a = arg;

    if (err) {
        note(a->s, "talk_failed", "select patchbay.talk_failed($1::uuid, $2, 'provider')", a->call,
             "not_served");
        refuse(a, err, why);
        return;
    }
    if (retell_call)
        note(a->s, "talk_retell",
             "select patchbay.put_call(jsonb_build_object('id', $1::uuid, 'retell_call_id', "
             "$2::text))",
             a->call, retell_call);
    pat_log(PAT_INFO, "talk.begun", PAT_S("call", a->call), PAT_S("user", a->user),
            PAT_S("stack", pat_json_str_or(a->row, "stack", "")));
    pat_counter_add(a->s->talk->begun, 1);
    reply(a, url, token);
    asking_free(a);
}

/* ------------------------------------------------------------------ Postgres has answered */

static void stop_call(struct switcher *s, const struct pat_json *c)
{
    if (c && pat_json_kind(c) == PAT_JSON_OBJ)
        talk_stop(s, pat_json_str_or(c, "call_id", ""), pat_json_str_or(c, "stack", ""),
                  pat_json_str_or(c, "retell_call_id", NULL));
}

static void start(struct asking *a)
{
    const struct pat_json *row = a->row, *version = pat_json_at(row, "retell_agent_version");
    struct talk_asked asked = {
        .call = a->call,
        .user = a->user,
        .agent_config = pat_json_str_or(row, "agent_config_id", ""),
        .config_version = pat_json_int_or(row, "config_version", 0),
        .max_ms = pat_json_int_or(row, "max_ms", 0),
        .retell = strcmp(pat_json_str_or(row, "stack", ""), "retell") == 0,
        .retell_agent = pat_json_str_or(row, "retell_agent_id", NULL),
        .retell_version = version && pat_json_kind(version) != PAT_JSON_NULL ? version : NULL,
        .settings = pat_json_at(row, "settings"),
    };

    stop_call(a->s, pat_json_at(row, "instead"));
    if (talk_start(a->s, &asked, on_ready, a))
        on_ready(PAT_EUNAVAIL, NULL, NULL, NULL, "no call can be made from here just now", a);
}

static int meaning(const char *word)
{
    static const struct {
        const char *word;
        int err;
    } words[] = { { "forbidden", PAT_EPERM },
                  { "not_found", PAT_ENOENT },
                  { "conflict", PAT_EEXIST },
                  { "budget", PAT_EAGAIN } };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strcmp(word, words[i].word))
            return words[i].err;
    return PAT_EINTERNAL;
}

static void retry_after(struct pat_httpd_req *http, int64_t seconds)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%lld", (long long)seconds);
    (void)pat_httpd_set_header(http, "Retry-After", text);
}

static void on_begun(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct asking *a = arg;
    const char *text = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
    const char *word;

    if (!text || pat_json_parse(&a->row, text, strlen(text), NULL)) {
        pat_log(PAT_ERROR, "talk.not_asked", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
        refuse(a, PAT_EUNAVAIL, "the database did not answer, try again");
    } else if ((word = pat_json_str_or(a->row, "error", NULL))) {
        if (pat_json_at(a->row, "retry_s"))
            retry_after(a->http, pat_json_int_or(a->row, "retry_s", 60));
        refuse(a, meaning(word), pat_json_str_or(a->row, "message", word));
    } else {
        start(a);
    }
}

/* ------------------------------------------------------------------ the request */

static int begin(struct asking *a, const struct who *who)
{
    const struct talk_conf *conf = &a->s->conf->talk;
    PAT_AUTO_JSON p = pat_json_obj();
    PAT_AUTO_STR text = NULL;
    const char *params[] = { NULL, who->admin ? "true" : "false" };

    pat_json_set_str(p, "id", a->call);
    pat_json_set_str(p, "user_id", a->user);
    pat_json_set_str(p, "actor", *who->user ? who->user : "service");
    pat_json_set_str(p, "actor_id", *who->user ? who->user : NULL);
    pat_json_set_str(p, "peer", pat_httpd_peer(a->http));
    pat_json_set_int(p, "max_ms", conf->max_ms);
    pat_json_set_int(p, "day_ms", conf->day_ms);
    pat_json_set_int(p, "join_ms", conf->join_ms);
    params[0] = text = pat_json_print(p);
    return text ? pat_db_run1(a->s->d->db, "talk_begin",
                              "select patchbay.talk_begin($1::jsonb, $2::boolean)", params, 2,
                              DB_MS, on_begun, a, NULL)
                : PAT_ENOMEM;
}

static void on_talk(struct pat_httpd_req *http, void *arg)
{
    struct switcher *s = arg;
    struct asking *a;
    struct who who;
    const char *user;

    if (door_who(&who, s, http) || !(user = door_id(http)) ||
        door_limit(s, http, LIMIT_TALKS, *who.user ? who.user : "service"))
        return;
    a = calloc(1, sizeof *a);
    if (!a) {
        pat_httpd_reply_error(http, PAT_ENOMEM, NULL, NULL);
        return;
    }
    a->s = s;
    a->http = http;
    (void)pat_strcpy(a->call, sizeof a->call, pat_id_new().s);
    (void)pat_strcpy(a->user, sizeof a->user, user);
    if (begin(a, &who))
        refuse(a, PAT_EUNAVAIL, "too much to do, try again");
}

int talk_routes(struct switcher *s)
{
    return pat_httpd_route(s->httpd, "POST", "/v1/users/{id}/talk", BODY_MAX, on_talk, s);
}

/* ------------------------------------------------------------------ what nobody ended */

static void on_swept(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct talk *t = arg;
    PAT_AUTO_JSON closed = NULL;
    const char *text = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    t->query = 0;
    pat_timer_start(&t->round, ROUND_MS);
    if (!text || pat_json_parse(&closed, text, strlen(text), NULL)) {
        pat_log(PAT_WARN, "talk.not_swept", PAT_ERR(err));
        return;
    }
    PAT_JSON_EACH(c, closed)
    {
        pat_log(PAT_INFO, "talk.closed", PAT_S("call", pat_json_str_or(c, "call_id", "")));
        stop_call(t->s, c);
    }
}

static void on_round(void *arg)
{
    struct talk *t = arg;
    char grace[24];
    const char *params[] = { grace };

    (void)snprintf(grace, sizeof grace, "%d", GRACE_MS);
    if (pat_db_run1(t->s->d->db, "talk_sweep", "select patchbay.talk_sweep($1::bigint)", params, 1,
                    DB_MS, on_swept, t, &t->query))
        pat_timer_start(&t->round, ROUND_MS);
}

/* ------------------------------------------------------------------ life */

int talk_new(struct talk **out, struct switcher *s)
{
    struct talk *t = calloc(1, sizeof *t);
    int err = t ? pat_timer_init(&t->round, s->d->loop, on_round, t) : PAT_ENOMEM;

    if (err) {
        free(t);
        return err;
    }
    t->s = s;
    t->begun =
        pat_counter(s->d->metrics, "pat_switcher_talks_total", "Calls begun from a browser", NULL);
    t->refused = pat_counter(s->d->metrics, "pat_switcher_talks_refused_total",
                             "Calls from a browser that could not begin", NULL);
    pat_timer_start(&t->round, ROUND_MS);
    *out = t;
    return PAT_OK;
}

void talk_free(struct talk *t)
{
    if (!t)
        return;
    pat_db_cancel(t->s->d->db, t->query);
    pat_timer_fini(&t->round);
    free(t);
}
