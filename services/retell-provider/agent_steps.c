/* agent_steps.c - what an agent at Retell still lacks, one request at a time.
 *
 * agent_step looks at the row and at what is wanted, and does the first thing that is missing;
 * every effect is noted in the row before the next step. Errors that mean that the world is not as
 * noted (deleted, published by somebody else, a voice that is gone) change the note and go round
 * again; STEPS_MAX ends a quarrel with somebody who undoes it each time.
 */
#include "agent_int.h"

#include <stdio.h>
#include <string.h>

enum { STEPS_MAX = 24, VOICES_MAX = 3, PATH_MAX_LEN = 400, DB_TIMEOUT_MS = 15000 };

static void on_answer(const struct api_answer *a, void *arg)
{
    struct agent_job *j = arg;

    j->request = 0;
    j->answered(j, a);
}

static void ask(struct agent_job *j, const char *method, const char *path,
                struct pat_json *body_take,
                void (*answered)(struct agent_job *j, const struct api_answer *a))
{
    int err;

    j->answered = answered;
    err = api_call(j->p->api, method, path, body_take, on_answer, j, &j->request);
    if (err)
        agent_fail(j, err, pat_err_text(err));
}

static void fail(struct agent_job *j, const struct api_answer *a)
{
    agent_fail(j, a->err, a->message);
}

static bool take_id(char out[AGENT_VENDOR_ID + 1], const struct api_answer *a, const char *name)
{
    const char *id = pat_json_str_or(a->body, name, "");

    return *id && pat_strcpy(out, AGENT_VENDOR_ID + 1, id);
}

static void set_json(struct pat_json **to, const struct pat_json *from)
{
    pat_json_free(*to);
    *to = from ? pat_json_dup(from) : NULL;
}

static struct pat_json *with_model(const struct agent_job *j)
{
    struct pat_json *body = pat_json_dup(j->want.agent), *engine = pat_json_obj();

    pat_json_set_str(engine, "type", "retell-llm");
    pat_json_set_str(engine, "llm_id", j->row.llm_id);
    pat_json_set_take(body, "response_engine", engine);
    return body;
}

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
    set_json(&j->row.pushed, NULL);
    set_json(&j->row.drafted, NULL);
    j->looked = true; /* what is there under our mark is what was just missed */
    agent_save(j, fields, agent_step);
}

/* Somebody deleted it there. The other half is of no use alone; both are made again. */
static void lost(struct agent_job *j, const char *what)
{
    struct pat_json *drift = pat_json_obj();
    char path[PATH_MAX_LEN];

    pat_json_set_str(drift, "deleted", what);
    pat_log(PAT_WARN, "agent.deleted_elsewhere", PAT_S("user", j->row.user_id),
            PAT_S("agent", j->row.agent_id), PAT_S("what", what));
    agent_tell(j, "drifted", NULL, drift);
    if (!strcmp(what, "llm"))
        snprintf(path, sizeof path, "/delete-agent/%s", j->row.agent_id);
    else
        snprintf(path, sizeof path, "/delete-retell-llm/%s", j->row.llm_id);
    ask(j, "DELETE", path, NULL, on_rest_deleted);
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
        fail(j, a);
    else
        lost(j, "agent"); /* so it was not the voice that was missed */
}

/* Retell says 404 for an agent and for a voice that is not there. */
static void missed(struct agent_job *j, const struct api_answer *a)
{
    char path[PATH_MAX_LEN];

    if (j->voices_missed++ >= VOICES_MAX) {
        fail(j, a);
        return;
    }
    snprintf(path, sizeof path, "/get-voice/%s", pat_json_str_or(j->want.agent, "voice_id", ""));
    ask(j, "GET", path, NULL, on_voice);
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
        fail(j, a);
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
        fail(j, a);
        return;
    }
    if (items && pat_json_kind(items) == PAT_JSON_ARR)
        PAT_JSON_EACH(item, items)
    if (!strcmp(pat_json_str_or(item, "default_dynamic_variables.patchbay_agent", ""),
                j->config_id) &&
        pat_strcpy(j->row.llm_id, sizeof j->row.llm_id, pat_json_str_or(item, "llm_id", "")))
        break;
    ask(j, "POST", "/v2/list-agents?limit=1000", pat_json_obj(), on_agents);
}

/* What an earlier try made, and could not note. */
static void look(struct agent_job *j)
{
    ask(j, "GET", "/v2/list-retell-llms?limit=1000", NULL, on_models);
}

/* One that is not ours, or found again: what is in it is not known, so all of it is written. */
static void on_agent(struct agent_job *j, const struct api_answer *a)
{
    const char *type = pat_json_str_or(a->body, "response_engine.type", "");
    struct pat_json *fields;

    if (a->err && a->err != PAT_ENOENT) {
        fail(j, a);
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

static void read_agent(struct agent_job *j)
{
    char path[PATH_MAX_LEN];

    snprintf(path, sizeof path, "/get-agent/%s", j->row.agent_id);
    ask(j, "GET", path, NULL, on_agent);
}

/* ------------------------------------------------------------------ making */

static void on_llm_made(struct agent_job *j, const struct api_answer *a)
{
    struct pat_json *fields;

    if (a->err || !take_id(j->row.llm_id, a, "llm_id")) {
        agent_fail(j, a->err ? a->err : PAT_EPROTO, a->err ? a->message : "no llm_id");
        return;
    }
    set_json(&j->row.drafted, NULL);
    j->row.drafted = pat_json_obj();
    pat_json_set_take(j->row.drafted, "llm", pat_json_dup(j->want.llm));
    fields = agent_fields(j);
    pat_json_set_str(fields, "llm_id", j->row.llm_id);
    pat_json_set_take(fields, "drafted", pat_json_dup(j->row.drafted));
    agent_save(j, fields, agent_step);
}

static void on_agent_made(struct agent_job *j, const struct api_answer *a)
{
    struct pat_json *fields;

    if (a->err == PAT_ENOENT && a->status == 422) {
        lost(j, "llm");
        return;
    }
    if (a->err == PAT_ENOENT) {
        missed(j, a);
        return;
    }
    if (a->err || !take_id(j->row.agent_id, a, "agent_id")) {
        agent_fail(j, a->err ? a->err : PAT_EPROTO, a->err ? a->message : "no agent_id");
        return;
    }
    /* Version 0 is a draft; the model's part may be of an earlier try, with other settings. */
    j->row.draft = pat_json_int_or(a->body, "version", 0);
    if (!j->row.drafted)
        j->row.drafted = pat_json_obj();
    pat_json_set_take(j->row.drafted, "agent", pat_json_dup(j->want.agent));
    fields = agent_fields(j);
    pat_json_set_str(fields, "agent_id", j->row.agent_id);
    pat_json_set_int(fields, "draft", j->row.draft);
    pat_json_set_take(fields, "drafted", pat_json_dup(j->row.drafted));
    agent_save(j, fields, agent_step);
}

/* ------------------------------------------------------------------ changing */

static void on_draft(struct agent_job *j, const struct api_answer *a)
{
    struct pat_json *fields;

    if (a->err == PAT_ENOENT) {
        lost(j, "agent");
        return;
    }
    if (a->err) {
        fail(j, a);
        return;
    }
    j->row.draft = pat_json_int_or(a->body, "version", -1);
    set_json(&j->row.drafted, j->row.pushed);
    fields = agent_fields(j);
    pat_json_set_int(fields, "draft", j->row.draft);
    if (j->row.drafted)
        pat_json_set_take(fields, "drafted", pat_json_dup(j->row.drafted));
    agent_save(j, fields, agent_step);
}

static void open_draft(struct agent_job *j)
{
    struct pat_json *body = pat_json_obj();
    char path[PATH_MAX_LEN];

    snprintf(path, sizeof path, "/create-agent-version/%s", j->row.agent_id);
    pat_json_set_int(body, "base_version", j->row.version);
    ask(j, "POST", path, body, on_draft);
}

static void on_draft_seen(struct agent_job *j, const struct api_answer *a)
{
    struct pat_json *fields;

    if (a->err || !pat_json_bool_or(a->body, "is_published", false)) {
        agent_fail(j, a->err ? a->err : PAT_EINVAL,
                   a->err    ? a->message
                   : *j->why ? j->why
                             : "refused");
        return;
    }
    /* Published under our hands: what is in it is not known, so the next one is written whole. */
    j->row.version = j->row.draft;
    j->row.draft = -1;
    set_json(&j->row.pushed, NULL);
    set_json(&j->row.drafted, NULL);
    fields = agent_fields(j);
    pat_json_set_int(fields, "version", j->row.version);
    pat_json_set_null(fields, "pushed");
    pat_json_set_null(fields, "draft");
    pat_json_set_null(fields, "drafted");
    agent_save(j, fields, agent_step);
}

/* A draft that may not be written: somebody has published it, or our values are wrong. */
static void refused(struct agent_job *j, const struct api_answer *a)
{
    char path[PATH_MAX_LEN];

    snprintf(j->why, sizeof j->why, "%s", a->message);
    snprintf(path, sizeof path, "/get-agent/%s?version=%lld", j->row.agent_id,
             (long long)j->row.draft);
    ask(j, "GET", path, NULL, on_draft_seen);
}

static void note_part(struct agent_job *j, const char *part, const struct pat_json *is)
{
    struct pat_json *fields = agent_fields(j);

    if (!j->row.drafted)
        j->row.drafted = pat_json_obj();
    pat_json_set_take(j->row.drafted, part, pat_json_dup(is));
    pat_json_set_take(fields, "drafted", pat_json_dup(j->row.drafted));
    agent_save(j, fields, agent_step);
}

static void on_llm_patched(struct agent_job *j, const struct api_answer *a)
{
    if (a->err == PAT_ENOENT)
        lost(j, "llm");
    else if (a->err == PAT_EINVAL)
        refused(j, a);
    else if (a->err)
        fail(j, a);
    else
        note_part(j, "llm", j->want.llm);
}

static void on_agent_patched(struct agent_job *j, const struct api_answer *a)
{
    if (a->err == PAT_ENOENT)
        missed(j, a);
    else if (a->err == PAT_EINVAL)
        refused(j, a);
    else if (a->err)
        fail(j, a);
    else
        note_part(j, "agent", j->want.agent);
}

static void patch_llm(struct agent_job *j)
{
    char path[PATH_MAX_LEN];

    snprintf(path, sizeof path, "/update-retell-llm/%s?version=%lld", j->row.llm_id,
             (long long)j->row.draft);
    ask(j, "PATCH", path, pat_json_changes(pat_json_at(j->row.drafted, "llm"), j->want.llm),
        on_llm_patched);
}

static void patch_agent(struct agent_job *j)
{
    char path[PATH_MAX_LEN];

    snprintf(path, sizeof path, "/update-agent/%s?version=%lld", j->row.agent_id,
             (long long)j->row.draft);
    ask(j, "PATCH", path, pat_json_changes(pat_json_at(j->row.drafted, "agent"), j->want.agent),
        on_agent_patched);
}

/* ------------------------------------------------------------------ publishing */

static void ready(struct agent_job *j)
{
    agent_finish(j, &(struct agent_result){ .err = PAT_OK });
}

static void settled(struct agent_job *j)
{
    struct pat_json *fields = agent_fields(j);

    pat_json_set_str(fields, "state", "ready");
    pat_json_set_int(fields, "config_version", j->row.config_version);
    pat_json_set_take(fields, "notes", pat_json_dup(j->want.notes));
    pat_json_set_int(fields, "attempts", 0);
    pat_json_set_null(fields, "error");
    pat_json_set_bool(fields, "release", true);
    agent_save(j, fields, ready);
}

static void on_published(struct agent_job *j, const struct api_answer *a)
{
    struct pat_json *fields;

    if (a->err == PAT_ENOENT) {
        lost(j, "version");
        return;
    }
    if (a->err) {
        fail(j, a);
        return;
    }
    j->row.version = j->row.draft;
    j->row.draft = -1;
    set_json(&j->row.pushed, j->row.drafted);
    set_json(&j->row.drafted, NULL);
    pat_log(PAT_INFO, "agent.published", PAT_S("user", j->row.user_id),
            PAT_S("config", j->config_id), PAT_S("agent", j->row.agent_id),
            PAT_I("version", j->row.version));
    fields = agent_fields(j);
    pat_json_set_int(fields, "version", j->row.version);
    pat_json_set_take(fields, "pushed", pat_json_dup(j->row.pushed));
    pat_json_set_null(fields, "draft");
    pat_json_set_null(fields, "drafted");
    pat_json_set_null(fields, "drift");
    agent_tell(j, "ready", NULL, NULL);
    agent_save(j, fields, settled);
}

static void publish(struct agent_job *j)
{
    struct pat_json *body = pat_json_obj();
    char path[PATH_MAX_LEN];

    snprintf(path, sizeof path, "/publish-agent-version/%s", j->row.agent_id);
    pat_json_set_int(body, "version", j->row.draft);
    ask(j, "POST", path, body, on_published);
}

/* ------------------------------------------------------------------ taking away */

static void retired(struct agent_job *j)
{
    agent_tell(j, "retired", NULL, NULL);
    ready(j);
}

static void on_llm_deleted(struct agent_job *j, const struct api_answer *a)
{
    struct pat_json *fields;

    if (a->err && a->err != PAT_ENOENT) {
        fail(j, a);
        return;
    }
    fields = agent_fields(j);
    pat_json_set_str(fields, "state", "retired");
    pat_json_set_str(fields, "reason", j->settings ? "retired" : "the agent is gone");
    pat_json_set_bool(fields, "release", true);
    agent_save(j, fields, retired);
}

static void delete_llm(struct agent_job *j)
{
    char path[PATH_MAX_LEN];

    snprintf(path, sizeof path, "/delete-retell-llm/%s", j->row.llm_id);
    if (*j->row.llm_id)
        ask(j, "DELETE", path, NULL, on_llm_deleted);
    else
        on_llm_deleted(j, &(struct api_answer){ .message = "" });
}

static void on_agent_deleted(struct agent_job *j, const struct api_answer *a)
{
    if (a->err && a->err != PAT_ENOENT)
        fail(j, a);
    else
        delete_llm(j);
}

static void delete_agent(struct agent_job *j)
{
    char path[PATH_MAX_LEN];

    snprintf(path, sizeof path, "/delete-agent/%s", j->row.agent_id);
    if (*j->row.agent_id)
        ask(j, "DELETE", path, NULL, on_agent_deleted);
    else
        delete_llm(j);
}

static void retire(struct agent_job *j)
{
    struct pat_json *fields;

    if (!strcmp(pat_json_str_or(j->settings, "active_voice_stack", ""), "retell")) {
        agent_fail(j, PAT_EEXIST, "the agent serves its user's calls");
        return;
    }
    if (j->row.retiring) {
        delete_agent(j);
        return;
    }
    j->row.retiring = true;
    fields = agent_fields(j);
    pat_json_set_str(fields, "state", "retiring");
    agent_save(j, fields, delete_agent);
}

/* ------------------------------------------------------------------ what somebody else did */

static void on_checked(struct agent_job *j, const struct api_answer *a)
{
    int64_t newest = pat_json_int_or(a->body, "version", -1);
    struct pat_json *fields, *drift;

    if (a->err == PAT_ENOENT) {
        lost(j, "agent");
        return;
    }
    if (a->err) {
        fail(j, a);
        return;
    }
    fields = agent_fields(j);
    if (newest <= j->row.version) {
        pat_json_set_null(fields, "drift");
        agent_save(j, fields, settled);
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
        agent_save(j, fields, settled);
    } else if (!strcmp(j->p->conf->drift, "repair")) {
        /* From our own version, so that ours is the newest again. */
        set_json(&j->row.pushed, NULL);
        pat_json_set_null(fields, "pushed");
        agent_save(j, fields, agent_step);
    } else {
        agent_save(j, fields, settled);
    }
}

static void check(struct agent_job *j)
{
    char path[PATH_MAX_LEN];

    j->wish = AGENT_SYNC;
    snprintf(path, sizeof path, "/get-agent/%s", j->row.agent_id);
    ask(j, "GET", path, NULL, on_checked);
}

/* ------------------------------------------------------------------ the next one */

static bool same_part(const struct pat_json *is, const struct agent_job *j, const char *part)
{
    return pat_json_same(pat_json_at(is, part), pat_json_at(j->want_all, part));
}

static void make_agent(struct agent_job *j)
{
    ask(j, "POST", "/create-agent", with_model(j), on_agent_made);
}

static void make_llm(struct agent_job *j)
{
    ask(j, "POST", "/create-retell-llm", pat_json_dup(j->want.llm), on_llm_made);
}

static void change(struct agent_job *j)
{
    bool same = pat_json_same(j->row.pushed, j->want_all);

    if (j->row.draft < 0 && same && j->wish == AGENT_CHECK)
        check(j);
    else if (j->row.draft < 0 && same)
        settled(j);
    else if (j->row.draft < 0)
        open_draft(j);
    else if (!same_part(j->row.drafted, j, "llm"))
        patch_llm(j);
    else if (!same_part(j->row.drafted, j, "agent"))
        patch_agent(j);
    else
        publish(j);
}

void agent_step(struct agent_job *j)
{
    if (j->steps++ >= STEPS_MAX)
        agent_fail(j, PAT_EUPSTREAM, "the agent does not stay as it was made");
    else if (j->wish == AGENT_RETIRE || j->row.retiring || !j->settings)
        retire(j);
    else if (!*j->row.agent_id && j->row.attempts && !j->looked)
        look(j);
    else if (*j->row.agent_id && j->row.version < 0 && j->row.draft < 0)
        read_agent(j);
    else if (!*j->row.llm_id)
        make_llm(j);
    else if (!*j->row.agent_id)
        make_agent(j);
    else
        change(j);
}
