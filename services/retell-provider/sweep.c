/* sweep.c - see sweep.h. A round at a time; its requests end by themselves, known by their ids. */
#include "sweep.h"

#include "api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DB_TIMEOUT_MS 10000
#define EVERY_MS      15000
#define BATCH         "10"

struct ask {
    struct sweep *s;
    char retell[130], call[PAT_ID_LEN + 1], user[PAT_ID_LEN + 1];
    api_id id;
    struct ask *prev, *next;
};

struct sweep {
    struct provider *p;
    struct pat_timer timer;
    struct ask *asks;
    pat_db_id fetches, ends, forgets;
    struct pat_counter *fetched, *forgotten;
};

static void ask_free(struct ask *a)
{
    if (a->prev)
        a->prev->next = a->next;
    else
        a->s->asks = a->next;
    if (a->next)
        a->next->prev = a->prev;
    free(a);
}

static struct ask *ask_new(struct sweep *s, const char *retell)
{
    struct ask *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    a->s = s;
    if (!pat_strcpy(a->retell, sizeof a->retell, retell) || strpbrk(retell, "/?#% ")) {
        free(a);
        return NULL;
    }
    a->next = s->asks;
    if (a->next)
        a->next->prev = a;
    s->asks = a;
    return a;
}

static int request(struct ask *a, const char *method, const char *path, api_fn *fn)
{
    char whole[200];

    snprintf(whole, sizeof whole, "%s/%s", path, a->retell);
    return api_call(a->s->p->api, method, whole, NULL, fn, a, &a->id);
}

/* ------------------------------------------------------------------ results that never came */

static void on_kept(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    (void)results;
    (void)n;
    (void)arg;
    if (err)
        pat_log(PAT_WARN, "retell.result_not_kept", PAT_ERR(err)); /* it is asked for again */
}

static void give_up(struct sweep *s, const char *retell, const char *why)
{
    const char *params[] = { retell, why };

    pat_log(PAT_WARN, "retell.no_result", PAT_S("retell_call", retell), PAT_S("why", why));
    if (pat_db_run1(s->p->d->db, NULL,
                    "update patchbay.retell_fetches set done_at = now(), outcome = $2 "
                    "where retell_call_id = $1",
                    params, 2, DB_TIMEOUT_MS, on_kept, NULL, NULL))
        pat_log(PAT_WARN, "retell.result_not_kept", PAT_ERR(PAT_EAGAIN));
}

static struct pat_json *news_of(const struct ask *a, const char *webhook, const char *kind)
{
    struct pat_json *data = pat_json_obj();

    pat_json_set_str(data, "source", "retell");
    pat_json_set_str(data, "webhook_id", webhook);
    pat_json_set_str(data, "kind", kind);
    pat_json_set_str(data, "call_id", a->call);
    pat_json_set_str(data, "user_id", a->user);
    return data;
}

static int keep(struct ask *a, const struct pat_json *call)
{
    const char *kind = pat_json_at(call, "call_analysis.call_summary") ||
                               pat_json_at(call, "call_analysis.call_successful")
                           ? "call_analyzed"
                           : "call_ended";
    struct pat_id webhook = pat_id_new();
    struct pat_event e = { .area = "webhook",
                           .name = "received",
                           .user_id = "retell",
                           .key = webhook.s,
                           .source = "/patchbay/retell-provider" };
    struct pat_event_text news = { 0 };
    PAT_AUTO_JSON body = pat_json_obj();
    PAT_AUTO_STR text = NULL;
    int err = pat_event_make(&news, &e, news_of(a, webhook.s, kind));

    pat_json_set_str(body, "event", kind);
    pat_json_set_take(body, "call", pat_json_dup(call));
    text = pat_json_print(body);
    if (!err && !text)
        err = PAT_ENOMEM;
    if (!err) {
        const char *params[] = { webhook.s, text, news.id.s, news.subject, news.json };

        err = pat_db_run1(a->s->p->d->db, "put_retell_fetched",
                          "select patchbay.put_retell_fetched($1, $2, $3, $4, $5::jsonb)", params,
                          5, DB_TIMEOUT_MS, on_kept, NULL, NULL);
    }
    pat_event_text_fini(&news);
    return err;
}

static void on_call(const struct api_answer *answer, void *arg)
{
    struct ask *a = arg;
    const char *state = pat_json_str_or(answer->body, "call_status", "");
    bool over =
        !strcmp(state, "ended") || !strcmp(state, "error") || !strcmp(state, "not_connected");

    if (answer->err == PAT_ENOENT) {
        give_up(a->s, a->retell, "gone");
    } else if (!answer->err && over) {
        int err = keep(a, answer->body);

        pat_log(err ? PAT_WARN : PAT_INFO, "retell.result_fetched", PAT_S("call", a->call),
                PAT_S("retell_call", a->retell), PAT_S("error", err ? pat_err_name(err) : NULL));
        pat_counter_add(a->s->fetched, err ? 0 : 1);
    } else if (answer->err) {
        pat_log(PAT_WARN, "retell.result_not_fetched", PAT_S("call", a->call), PAT_ERR(answer->err),
                PAT_S("why", answer->message));
    }
    ask_free(a);
}

static void on_fetches(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct sweep *s = arg;

    (void)n;
    s->fetches = 0;
    for (size_t i = 0; !err && i < pat_db_rows(results[0]); i++) {
        const char *retell = pat_db_get(results[0], i, "retell_call_id");
        struct ask *a;

        if (strtol(pat_db_get(results[0], i, "attempts"), NULL, 10) > 10) {
            give_up(s, retell, "ten tries");
            continue;
        }
        a = ask_new(s, retell);
        if (!a)
            continue;
        pat_strcpy(a->call, sizeof a->call, pat_db_get(results[0], i, "call_id"));
        pat_strcpy(a->user, sizeof a->user, pat_db_get(results[0], i, "user_id"));
        if (request(a, "GET", "/v2/get-call", on_call))
            ask_free(a);
    }
}

/* ------------------------------------------------------------------ ends the carrier did not tell
 */

static struct pat_json *ids_of(const struct pat_db_result *r, size_t i)
{
    struct pat_json *ids = pat_json_obj();
    const char *carrier = pat_db_get(r, i, "carrier_call_id");

    pat_json_set_str(ids, "carrier_call_id", carrier ? carrier : "");
    pat_json_set_str(ids, "retell_call_id", pat_db_get(r, i, "retell_call_id"));
    pat_json_set_str(ids, "livekit_room", pat_db_get(r, i, "livekit_room"));
    return ids;
}

static void tell_end(struct sweep *s, const struct pat_db_result *r, size_t i)
{
    const char *call = pat_db_get(r, i, "id"), *user = pat_db_get(r, i, "user_id");
    const char *talk = pat_db_get(r, i, "duration_ms");
    struct pat_id id = pat_event_id_once(call, "ended"); /* the router's own */
    struct pat_event e = { .area = "call",
                           .name = "ended",
                           .user_id = user,
                           .key = call,
                           .source = "/patchbay/retell-provider",
                           .time_ms = strtoll(pat_db_get(r, i, "ended_ms"), NULL, 10),
                           .id = &id };
    struct pat_json *data = pat_json_obj();

    pat_json_set_str(data, "call_id", call);
    pat_json_set_str(data, "user_id", user);
    pat_json_set_str(data, "stack", "retell");
    pat_json_set_str(data, "reason", pat_db_get(r, i, "ended_reason"));
    pat_json_set_str(data, "owner", pat_db_get(r, i, "ended_owner"));
    pat_json_set_int(data, "duration_ms", strtoll(pat_db_get(r, i, "whole_ms"), NULL, 10));
    if (talk)
        pat_json_set_int(data, "talk_ms", strtoll(talk, NULL, 10));
    else
        pat_json_set_null(data, "talk_ms");
    pat_json_set_take(data, "ids", ids_of(r, i));
    pat_log(PAT_WARN, "call.end_noticed", PAT_S("call", call));
    if (pat_journal_add(s->p->journal, &e, data, NULL, 0))
        pat_log(PAT_WARN, "call.end_not_told", PAT_S("call", call));
}

static void on_ends(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct sweep *s = arg;

    (void)n;
    s->ends = 0;
    for (size_t i = 0; !err && i < pat_db_rows(results[0]); i++)
        tell_end(s, results[0], i);
}

/* ------------------------------------------------------------------ what Retell need not keep */

static void on_gone(const struct api_answer *answer, void *arg)
{
    struct ask *a = arg;
    const char *params[] = { a->retell };

    if (answer->err && answer->err != PAT_ENOENT) {
        pat_log(PAT_WARN, "retell.not_forgotten", PAT_S("retell_call", a->retell),
                PAT_ERR(answer->err), PAT_S("why", answer->message));
    } else {
        pat_counter_add(a->s->forgotten, 1);
        pat_log(PAT_INFO, "retell.forgotten", PAT_S("retell_call", a->retell));
        if (pat_db_run1(a->s->p->d->db, NULL,
                        "update patchbay.retell_legs set forgotten_at = now() "
                        "where retell_call_id = $1",
                        params, 1, DB_TIMEOUT_MS, on_kept, NULL, NULL))
            pat_log(PAT_WARN, "retell.result_not_kept", PAT_ERR(PAT_EAGAIN));
    }
    ask_free(a);
}

static void on_forgets(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct sweep *s = arg;

    (void)n;
    s->forgets = 0;
    for (size_t i = 0; !err && i < pat_db_rows(results[0]); i++) {
        struct ask *a = ask_new(s, pat_db_value(results[0], i, 0));

        if (a && request(a, "DELETE", "/v2/delete-call", on_gone))
            ask_free(a);
    }
}

/* ------------------------------------------------------------------ life */

static void look(void *arg)
{
    static const char ends_sql[] =
        "select id, user_id, carrier_call_id, retell_call_id, livekit_room, duration_ms, "
        "coalesce(ended_reason, 'completed') as ended_reason, coalesce(ended_owner, 'caller') as "
        "ended_owner, floor(extract(epoch from ended_at) * 1000)::bigint as ended_ms, "
        "greatest(0, floor(extract(epoch from ended_at - offered_at) * 1000))::bigint as whole_ms "
        "from patchbay.untold_retell_ends($1::bigint * interval '1 millisecond', " BATCH ")";
    struct sweep *s = arg;
    int64_t after = s->p->conf->results_ms, every = after / 4;
    struct pat_db *db = s->p->d->db;
    char ms[24];
    const char *params[] = { ms };

    pat_timer_start(&s->timer, every < EVERY_MS ? every : EVERY_MS);
    snprintf(ms, sizeof ms, "%lld", (long long)after);
    if (!s->fetches && !s->asks &&
        pat_db_run1(db, "retell_fetches",
                    "select * from patchbay.claim_retell_fetches($1::bigint * interval '1 "
                    "millisecond', $1::bigint * interval '1 millisecond', " BATCH ")",
                    params, 1, DB_TIMEOUT_MS, on_fetches, s, &s->fetches))
        s->fetches = 0;
    if (!s->ends &&
        pat_db_run1(db, "retell_ends", ends_sql, params, 1, DB_TIMEOUT_MS, on_ends, s, &s->ends))
        s->ends = 0;
    if (s->p->conf->forget_calls && !s->forgets && !s->asks &&
        pat_db_run1(db, "retell_forgets", "select * from patchbay.retell_to_forget(" BATCH ")",
                    NULL, 0, DB_TIMEOUT_MS, on_forgets, s, &s->forgets))
        s->forgets = 0;
}

int sweep_new(struct sweep **out, struct provider *p)
{
    struct sweep *s = calloc(1, sizeof *s);
    int err;

    if (!s)
        return PAT_ENOMEM;
    s->p = p;
    s->fetched = pat_counter(p->d->metrics, "pat_retell_fetched_total",
                             "Calls whose results were asked for, for no webhook had come", NULL);
    s->forgotten =
        pat_counter(p->d->metrics, "pat_retell_forgotten_total", "Calls deleted at Retell", NULL);
    err = pat_timer_init(&s->timer, p->d->loop, look, s);
    if (err) {
        free(s);
        return err;
    }
    pat_timer_start(&s->timer, 1000);
    *out = s;
    return PAT_OK;
}

void sweep_free(struct sweep *s)
{
    if (!s)
        return;
    pat_db_cancel(s->p->d->db, s->fetches);
    pat_db_cancel(s->p->d->db, s->ends);
    pat_db_cancel(s->p->d->db, s->forgets);
    while (s->asks) {
        api_cancel(s->p->api, s->asks->id);
        ask_free(s->asks);
    }
    pat_timer_fini(&s->timer);
    free(s);
}
