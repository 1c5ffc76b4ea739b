/* voices.c - see voices.h. */
#include "voices.h"

#include "api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DB_TIMEOUT_MS 15000
/* When it is due; then each replica asks whether another was faster. */
#define LOOK_MS 60000

struct voices {
    struct provider *p;
    struct pat_timer look;
    pat_db_id query;
    api_id request;
};

static void tell(struct voices *v, const char *voice)
{
    struct pat_json *data = pat_json_obj();
    struct pat_event e = {
        .area = "voice", .name = "unavailable", .key = voice, .source = "/patchbay/retell-provider"
    };

    pat_json_set_str(data, "voice_id", voice);
    pat_json_set_str(data, "stack", "retell");
    pat_json_set_str(data, "reason", "no longer in the vendor's list");
    if (pat_journal_add(v->p->journal, &e, data, NULL, 0))
        pat_log(PAT_WARN, "voices.not_told", PAT_S("voice", voice));
}

static void on_noted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct voices *v = arg;
    PAT_AUTO_JSON news = NULL;
    const char *text = !err && n ? pat_db_value(results[0], 0, 0) : NULL;
    const struct pat_json *gone;

    v->query = 0;
    if (!text || pat_json_parse(&news, text, strlen(text), NULL)) {
        pat_log(PAT_WARN, "voices.not_noted", PAT_ERR(err ? err : PAT_EPROTO));
        return;
    }
    gone = pat_json_at(news, "gone");
    PAT_JSON_EACH(voice, gone)
    {
        pat_log(PAT_WARN, "voices.gone", PAT_S("voice", pat_json_value_str(voice)));
        tell(v, pat_json_value_str(voice));
    }
    pat_log(PAT_INFO, "voices.checked", PAT_I("gone", pat_json_size(gone)),
            PAT_I("back", pat_json_size(pat_json_at(news, "back"))),
            PAT_I("added", pat_json_size(pat_json_at(news, "added"))));
}

static void on_list(const struct api_answer *a, void *arg)
{
    struct voices *v = arg;
    PAT_AUTO_STR text = NULL;
    const char *params[1];
    /* Samples second: a voice new in the list has its row by then. */
    const struct pat_db_stmt stmts[] = {
        { "put_retell_voices", "select patchbay.put_retell_voices($1::jsonb)::text", 1, params },
        { "put_retell_previews", "select patchbay.put_retell_previews($1::jsonb)", 1, params },
    };

    v->request = 0;
    if (a->err || !a->body || pat_json_kind(a->body) != PAT_JSON_ARR) {
        pat_log(PAT_WARN, "voices.no_list", PAT_ERR(a->err ? a->err : PAT_EPROTO),
                PAT_S("why", a->message));
        return;
    }
    text = pat_json_print(a->body);
    params[0] = text;
    if (text && pat_db_run(v->p->d->db, stmts, 2, DB_TIMEOUT_MS, on_noted, v, &v->query))
        pat_log(PAT_WARN, "voices.not_noted", PAT_ERR(PAT_EAGAIN));
}

static void on_due(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct voices *v = arg;

    v->query = 0;
    if (err || !n || strcmp(pat_db_value(results[0], 0, 0), "t") != 0 || v->request)
        return;
    err = api_call(v->p->api, "GET", "/list-voices", NULL, on_list, v, &v->request);
    if (err)
        pat_log(PAT_WARN, "voices.no_list", PAT_ERR(err));
}

static void look(void *arg)
{
    struct voices *v = arg;
    int64_t every = v->p->conf->voices_ms;
    char ms[24];
    const char *params[] = { ms };

    pat_timer_start(&v->look, every < LOOK_MS ? every : LOOK_MS);
    if (v->query || v->request)
        return;
    snprintf(ms, sizeof ms, "%lld", (long long)every);
    if (pat_db_run1(v->p->d->db, "retell_voices_due",
                    "select coalesce(max(checked_at), '-infinity') < now() - $1::bigint * "
                    "interval '1 millisecond' from patchbay.voice_presets where stack = 'retell'",
                    params, 1, DB_TIMEOUT_MS, on_due, v, &v->query))
        pat_log(PAT_WARN, "voices.not_looked_up", PAT_ERR(PAT_EAGAIN));
}

int voices_new(struct voices **out, struct provider *p)
{
    struct voices *v = calloc(1, sizeof *v);
    int err;

    if (!v)
        return PAT_ENOMEM;
    v->p = p;
    err = pat_timer_init(&v->look, p->d->loop, look, v);
    if (err) {
        free(v);
        return err;
    }
    pat_timer_start(&v->look, 0);
    *out = v;
    return PAT_OK;
}

void voices_free(struct voices *v)
{
    if (!v)
        return;
    pat_db_cancel(v->p->d->db, v->query);
    if (v->request)
        api_cancel(v->p->api, v->request);
    pat_timer_fini(&v->look);
    free(v);
}
