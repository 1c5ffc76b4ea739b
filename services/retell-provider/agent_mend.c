/* agent_mend.c - where the world is not as the row says: what is gone, what was made and not noted,
 * what somebody else changed.
 */
#include "agent_int.h"

#include <stdio.h>
#include <string.h>

enum { VOICES_MAX = 3, DB_TIMEOUT_MS = 15000 };

/* ------------------------------------------------------------------ what is gone */

static void on_rest_deleted(struct agent_job *j, const struct api_answer *a)
{
    static const char *const gone[] = { "agent_id", "llm_id", "version",
                                        "pushed",   "draft",  "drafted" };
    struct pat_json *fields = agent_fields(j);

    (void)a; /* gone or not: nobody uses it any more */
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        pat_json_set_null(fields, gone[i]);
    j->row.agent_id[0] = j->row.llm_id[0] = 0;
    j->row.version = j->row.draft = -1;
    agent_set(&j->row.pushed, NULL);
    agent_set(&j->row.drafted, NULL);
    j->looked = true; /* what is there under our mark is what was just missed */
    agent_save(j, fields, agent_step);
}

/* Somebody deleted it there. The other half is of no use alone; both are made again. */
void agent_lost(struct agent_job *j, const char *what)
{
    struct pat_json *drift = pat_json_obj();
    char path[AGENT_PATH_MAX];

    pat_json_set_str(drift, "deleted", what);
    pat_log(PAT_WARN, "agent.deleted_elsewhere", PAT_S("user", j->row.user_id),
            PAT_S("agent", j->row.agent_id), PAT_S("what", what));
    agent_tell(j, "drifted", NULL, drift);
    if (!strcmp(what, "llm"))
        snprintf(path, sizeof path, "/delete-agent/%s", j->row.agent_id);
    else
        snprintf(path, sizeof path, "/delete-retell-llm/%s", j->row.llm_id);
    agent_ask(j, "DELETE", path, NULL, on_rest_deleted);
}

static void on_voice_noted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct agent_job *j = arg;

    (void)results;
    (void)n;
    j->query = 0;
    if (err)
        agent_fail(j, err, pat_err_text(err));
    else
        agent_claim(j); /* the next voice comes with the settings */
}

static void note_voice_gone(struct agent_job *j)
{
    const char *voice = pat_json_str_or(j->want.agent, "voice_id", "");
    const char *params[] = { voice };
    int err;

    pat_log(PAT_WARN, "agent.voice_gone", PAT_S("user", j->row.user_id), PAT_S("voice", voice));
    err = pat_db_run1(j->p->d->db, "retell_voice_gone",
                      "update patchbay.voice_presets set offered = false "
                      "where stack = 'retell' and voice_id = $1",
                      params, 1, DB_TIMEOUT_MS, on_voice_noted, j, &j->query);
    if (err)
        agent_fail(j, err, pat_err_text(err));
}

static void on_voice(struct agent_job *j, const struct api_answer *a)
{
    if (a->err == PAT_ENOENT)
        note_voice_gone(j);
    else if (a->err)
        agent_refused(j, a);
    else
        agent_lost(j, "agent"); /* so it was not the voice that was missed */
}

/* Retell says 404 for an agent and for a voice that is not there. */
void agent_missed(struct agent_job *j, const struct api_answer *a)
{
    char path[AGENT_PATH_MAX];

    if (j->voices_missed++ >= VOICES_MAX) {
        agent_refused(j, a);
        return;
    }
    snprintf(path, sizeof path, "/get-voice/%s", pat_json_str_or(j->want.agent, "voice_id", ""));
    agent_ask(j, "GET", path, NULL, on_voice);
}

/* ------------------------------------------------------------------ finding */

static void on_agents(struct agent_job *j, const struct api_answer *a)
{
    const struct pat_json *items = pat_json_at(a->body, "items");
    struct pat_json *fields = agent_fields(j);
    char mark[64];
    size_t len;

    len = (size_t)snprintf(mark, sizeof mark, BUILD_MARK "%s", j->config_id);
    if (items && pat_json_kind(items) == PAT_JSON_ARR)
        PAT_JSON_EACH(item, items)
    if (!strncmp(pat_json_str_or(item, "agent_name", ""), mark, len) &&
        pat_strcpy(j->row.agent_id, sizeof j->row.agent_id, pat_json_str_or(item, "agent_id", "")))
        break;
    if (a->err) {
        pat_json_free(fields);
        agent_refused(j, a);
        return;
    }
    j->looked = true;
    if (*j->row.agent_id)
        pat_json_set_str(fields, "agent_id", j->row.agent_id);
    agent_save(j, fields, agent_step);
}

static void on_models(struct agent_job *j, const struct api_answer *a)
{
    const struct pat_json *items = pat_json_at(a->body, "items");

    if (a->err) {
        agent_refused(j, a);
        return;
    }
    if (items && pat_json_kind(items) == PAT_JSON_ARR)
        PAT_JSON_EACH(item, items)
    if (!strcmp(pat_json_str_or(item, "default_dynamic_variables.patchbay_agent", ""),
                j->config_id) &&
        pat_strcpy(j->row.llm_id, sizeof j->row.llm_id, pat_json_str_or(item, "llm_id", "")))
        break;
    agent_ask(j, "POST", "/v2/list-agents?limit=1000", pat_json_obj(), on_agents);
}

/* What an earlier try made, and could not note. */
void agent_look(struct agent_job *j)
{
    agent_ask(j, "GET", "/v2/list-retell-llms?limit=1000", NULL, on_models);
}

/* One that is not ours, or found again: what is in it is not known, so all of it is written. */
static void on_agent(struct agent_job *j, const struct api_answer *a)
{
    const char *type = pat_json_str_or(a->body, "response_engine.type", "");
    struct pat_json *fields;

    if (a->err && a->err != PAT_ENOENT) {
        agent_refused(j, a);
        return;
    }
    fields = agent_fields(j);
    if (a->err || strcmp(type, "retell-llm") != 0) {
        /* Gone, or of a kind that is not made from settings: it is left alone. */
        j->row.agent_id[0] = j->row.llm_id[0] = 0;
        pat_json_set_null(fields, "agent_id");
        pat_json_set_null(fields, "llm_id");
    } else {
        pat_strcpy(j->row.llm_id, sizeof j->row.llm_id,
                   pat_json_str_or(a->body, "response_engine.llm_id", ""));
        j->row.version = pat_json_int_or(a->body, "version", 0);
        pat_json_set_str(fields, "llm_id", j->row.llm_id);
        pat_json_set_int(fields, "version", j->row.version);
    }
    agent_save(j, fields, agent_step);
}

void agent_read(struct agent_job *j)
{
    char path[AGENT_PATH_MAX];

    snprintf(path, sizeof path, "/get-agent/%s", j->row.agent_id);
    agent_ask(j, "GET", path, NULL, on_agent);
}

/* ------------------------------------------------------------------ what somebody else did */

static void on_checked(struct agent_job *j, const struct api_answer *a)
{
    int64_t newest = pat_json_int_or(a->body, "version", -1);
    struct pat_json *fields, *drift;

    if (a->err == PAT_ENOENT) {
        agent_lost(j, "agent");
        return;
    }
    if (a->err) {
        agent_refused(j, a);
        return;
    }
    fields = agent_fields(j);
    if (newest <= j->row.version) {
        pat_json_set_null(fields, "drift");
        agent_settle(j, fields);
        return;
    }
    drift = pat_json_obj();
    pat_json_set_int(drift, "version", newest);
    pat_json_set_bool(drift, "is_published", pat_json_bool_or(a->body, "is_published", false));
    pat_json_set_take(fields, "drift", pat_json_dup(drift));
    pat_log(PAT_WARN, "agent.changed_elsewhere", PAT_S("user", j->row.user_id),
            PAT_S("agent", j->row.agent_id), PAT_I("version", newest),
            PAT_I("ours", j->row.version));
    agent_tell(j, "drifted", NULL, drift);
    if (!strcmp(j->p->conf->drift, "adopt") && pat_json_bool_or(a->body, "is_published", false)) {
        j->row.version = newest;
        pat_json_set_int(fields, "version", newest);
        pat_json_set_take(fields, "pushed", pat_json_dup(j->want_all));
        agent_settle(j, fields);
    } else if (!strcmp(j->p->conf->drift, "repair")) {
        /* From our own version, so that ours is the newest again. */
        agent_set(&j->row.pushed, NULL);
        pat_json_set_null(fields, "pushed");
        agent_save(j, fields, agent_step);
    } else {
        agent_settle(j, fields);
    }
}

void agent_check(struct agent_job *j)
{
    char path[AGENT_PATH_MAX];

    j->wish = AGENT_SYNC;
    snprintf(path, sizeof path, "/get-agent/%s", j->row.agent_id);
    agent_ask(j, "GET", path, NULL, on_checked);
}
