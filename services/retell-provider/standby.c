/* standby.c - the agent that stands by: see standby.h. Its row is patchbay.retell_agents'; here is
 * only what a call being registered needs at once. */
#include "standby.h"

#include "build.h"
#include "sync.h"

#include <stdlib.h>
#include <string.h>

#define DB_MS    5000
#define LOOK_MS  60000
#define AGAIN_MS 2000 /* while it is being made by somebody */
#define ID_MAX   128

struct standby {
    struct provider *p;
    char id[ID_MAX + 1]; /* "": not known */
    int64_t version;
    bool wanted;
    bool lost; /* Retell did not know it; to be looked at */
    pat_db_id query;
    struct pat_timer look;
    int asked; /* of sync, under way */
};

static void look(void *arg);

static void on_row(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct standby *s = arg;
    const char *id = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    s->query = 0;
    if (!err) {
        if (s->lost || !id || !pat_strcpy(s->id, sizeof s->id, id))
            s->id[0] = 0;
        s->version = id ? strtoll(pat_db_value(results[0], 0, 1), NULL, 10) : -1;
    }
    pat_timer_start(&s->look, *s->id || !s->wanted ? LOOK_MS : AGAIN_MS);
}

static void look(void *arg)
{
    struct standby *s = arg;

    if (s->query)
        return;
    if (pat_db_run1(s->p->d->db, "standby_agent",
                    "select agent_id, version from patchbay.retell_agents where agent_config_id = "
                    "patchbay.standby_config() and state <> 'retired' and version is not null and "
                    "agent_id is not null",
                    NULL, 0, DB_MS, on_row, s, &s->query))
        pat_timer_start(&s->look, AGAIN_MS);
}

static void on_made(const struct agent_result *r, void *arg)
{
    struct provider *p = arg;

    if (r->err)
        pat_log(PAT_WARN, "standby.not_made", PAT_ERR(r->err), PAT_S("why", r->message));
    if (!p->standby)
        return; /* closing */
    p->standby->asked--;
    if (!r->err)
        p->standby->lost = false;
    pat_timer_start(&p->standby->look, r->err ? AGAIN_MS : 0);
}

static void ask(struct standby *s, const char *config, enum agent_wish wish)
{
    if (s->asked || !s->p->sync)
        return;
    if (!sync_ask(s->p->sync, config, wish, on_made, s->p))
        s->asked++;
}

static void on_wanted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct standby *s = arg;
    const char *config =
        !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    s->query = 0;
    s->wanted = config;
    if (config)
        ask(s, config, s->lost ? AGENT_CHECK : AGENT_WANT);
    pat_timer_start(&s->look, AGAIN_MS);
}

static void want(struct standby *s)
{
    if (s->query || s->asked)
        return;
    if (pat_db_run1(s->p->d->db, "want_standby", "select patchbay.want_standby()", NULL, 0, DB_MS,
                    on_wanted, s, &s->query))
        pat_log(PAT_WARN, "standby.not_wanted", PAT_ERR(PAT_EAGAIN));
}

bool standby_get(struct standby *s, const char **agent_id, int64_t *version)
{
    if (!*s->id) {
        want(s);
        return false;
    }
    *agent_id = s->id;
    *version = s->version;
    return true;
}

void standby_lost(struct standby *s)
{
    pat_log(PAT_WARN, "standby.lost", PAT_S("agent", s->id));
    s->lost = true;
    s->id[0] = 0;
    want(s);
}

int standby_new(struct standby **out, struct provider *p)
{
    struct standby *s = calloc(1, sizeof *s);
    int err;

    if (!s)
        return PAT_ENOMEM;
    s->p = p;
    err = pat_timer_init(&s->look, p->d->loop, look, s);
    if (err) {
        free(s);
        return err;
    }
    *out = s;
    if (!strcmp(p->conf->standby, "always"))
        want(s);
    else
        pat_timer_start(&s->look, 0);
    return PAT_OK;
}

void standby_free(struct standby *s)
{
    if (!s)
        return;
    s->p->standby = NULL;
    pat_db_cancel(s->p->d->db, s->query);
    pat_timer_fini(&s->look);
    free(s);
}

/* ------------------------------------------------------------------ what it is told */

static int put_in(struct pat_buf *out, const char *text, const char *name, const char *value)
{
    const char *at;

    while ((at = strstr(text, name)) != NULL) {
        pat_buf_add(out, text, (size_t)(at - text));
        pat_buf_adds(out, value);
        text = at + strlen(name);
    }
    return pat_buf_adds(out, text);
}

/* A value is not looked through for variables again, so what a user's own agent has filled in is
 * filled in here. */
static int set_prompt(struct pat_json *vars, const char *prompt)
{
    struct pat_buf number, began, whole;
    int err;

    pat_buf_init(&number, (size_t)512 * 1024);
    pat_buf_init(&began, (size_t)512 * 1024);
    pat_buf_init(&whole, (size_t)512 * 1024);
    err = put_in(&number, prompt, "{{caller_number}}", pat_json_str_or(vars, "caller_number", ""));
    if (!err)
        err = put_in(&began, number.data ? number.data : "", "{{call_began}}",
                     pat_json_str_or(vars, "call_began", ""));
    if (!err) /* last: it is somebody's words, and is not looked through either */
        err = put_in(&whole, began.data ? began.data : "", "{{said_before}}",
                     pat_json_str_or(vars, "said_before", ""));
    if (!err) {
        pat_json_set_str(vars, "standby_prompt", whole.data ? whole.data : "");
        pat_json_set_str(vars, "said_before", ""); /* it is in there */
    }
    pat_buf_fini(&number);
    pat_buf_fini(&began);
    pat_buf_fini(&whole);
    return err;
}

int standby_variables(const struct provider *p, const struct pat_json *settings,
                      struct pat_json *vars)
{
    /* Not for the tools, which are the agent's: for what the prompt says of them, and of whom this
     * user's callers may be put through to. */
    const struct build_conf conf = { .tools_url = p->conf->tools_url,
                                     .webhook_url = "",
                                     .model = p->conf->model,
                                     .countries = p->conf->transfer_prefixes,
                                     .time_zone = p->conf->time_zone,
                                     .max_call_ms = p->conf->max_call_ms,
                                     .silence_ms = p->conf->silence_ms };
    struct built b;
    int err = build_agent(&b, settings, NULL, &conf);

    if (err)
        return err;
    err = set_prompt(vars, pat_json_str_or(b.llm, "general_prompt", ""));
    pat_json_set_str(vars, "standby_greeting", pat_json_str_or(b.llm, "begin_message", ""));
    built_fini(&b);
    return err;
}
