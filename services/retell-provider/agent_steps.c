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

enum { STEPS_MAX = 24 };

static bool take_id(char out[AGENT_VENDOR_ID + 1], const struct api_answer *a, const char *name)
{
    const char *id = pat_json_str_or(a->body, name, "");

    return *id && pat_strcpy(out, AGENT_VENDOR_ID + 1, id);
}

static struct pat_json *with_model(const struct agent_job *j)
{
    struct pat_json *body = pat_json_dup(j->want.agent), *engine = pat_json_obj();

    pat_json_set_str(engine, "type", "retell-llm");
    pat_json_set_str(engine, "llm_id", j->row.llm_id);
    pat_json_set_take(body, "response_engine", engine);
    return body;
}

/* ------------------------------------------------------------------ making */

static void on_llm_made(struct agent_job *j, const struct api_answer *a)
{
    struct pat_json *fields;

    if (a->err || !take_id(j->row.llm_id, a, "llm_id")) {
        agent_fail(j, a->err ? a->err : PAT_EPROTO, a->err ? a->message : "no llm_id");
        return;
    }
    agent_set(&j->row.drafted, NULL);
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
        agent_lost(j, "llm");
        return;
    }
    if (a->err == PAT_ENOENT) {
        agent_missed(j, a);
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
        agent_lost(j, "agent");
        return;
    }
    if (a->err) {
        agent_refused(j, a);
        return;
    }
    j->row.draft = pat_json_int_or(a->body, "version", -1);
    agent_set(&j->row.drafted, j->row.pushed);
    fields = agent_fields(j);
    pat_json_set_int(fields, "draft", j->row.draft);
    if (j->row.drafted)
        pat_json_set_take(fields, "drafted", pat_json_dup(j->row.drafted));
    agent_save(j, fields, agent_step);
}

static void open_draft(struct agent_job *j)
{
    struct pat_json *body = pat_json_obj();
    char path[AGENT_PATH_MAX];

    snprintf(path, sizeof path, "/create-agent-version/%s", j->row.agent_id);
    pat_json_set_int(body, "base_version", j->row.version);
    agent_ask(j, "POST", path, body, on_draft);
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
    agent_set(&j->row.pushed, NULL);
    agent_set(&j->row.drafted, NULL);
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
    char path[AGENT_PATH_MAX];

    snprintf(j->why, sizeof j->why, "%s", a->message);
    snprintf(path, sizeof path, "/get-agent/%s?version=%lld", j->row.agent_id,
             (long long)j->row.draft);
    agent_ask(j, "GET", path, NULL, on_draft_seen);
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
        agent_lost(j, "llm");
    else if (a->err == PAT_EINVAL)
        refused(j, a);
    else if (a->err)
        agent_refused(j, a);
    else
        note_part(j, "llm", j->want.llm);
}

static void on_agent_patched(struct agent_job *j, const struct api_answer *a)
{
    if (a->err == PAT_ENOENT)
        agent_missed(j, a);
    else if (a->err == PAT_EINVAL)
        refused(j, a);
    else if (a->err)
        agent_refused(j, a);
    else
        note_part(j, "agent", j->want.agent);
}

static void patch_llm(struct agent_job *j)
{
    char path[AGENT_PATH_MAX];

    snprintf(path, sizeof path, "/update-retell-llm/%s?version=%lld", j->row.llm_id,
             (long long)j->row.draft);
    agent_ask(j, "PATCH", path, pat_json_changes(pat_json_at(j->row.drafted, "llm"), j->want.llm),
              on_llm_patched);
}

static void patch_agent(struct agent_job *j)
{
    char path[AGENT_PATH_MAX];

    snprintf(path, sizeof path, "/update-agent/%s?version=%lld", j->row.agent_id,
             (long long)j->row.draft);
    agent_ask(j, "PATCH", path,
              pat_json_changes(pat_json_at(j->row.drafted, "agent"), j->want.agent),
              on_agent_patched);
}

/* ------------------------------------------------------------------ publishing */

void agent_ready(struct agent_job *j)
{
    agent_finish(j, &(struct agent_result){ .err = PAT_OK });
}

void agent_settle(struct agent_job *j, struct pat_json *fields)
{
    pat_json_set_str(fields, "state", "ready");
    pat_json_set_int(fields, "config_version", j->row.config_version);
    pat_json_set_take(fields, "notes", pat_json_dup(j->want.notes));
    pat_json_set_int(fields, "attempts", 0);
    pat_json_set_null(fields, "error");
    pat_json_set_bool(fields, "release", true);
    agent_save(j, fields, agent_ready);
}

static void on_published(struct agent_job *j, const struct api_answer *a)
{
    struct pat_json *fields;

    if (a->err == PAT_ENOENT) {
        agent_lost(j, "version");
        return;
    }
    if (a->err) {
        agent_refused(j, a);
        return;
    }
    j->row.version = j->row.draft;
    j->row.draft = -1;
    agent_set(&j->row.pushed, j->row.drafted);
    agent_set(&j->row.drafted, NULL);
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
    agent_settle(j, fields);
}

static void publish(struct agent_job *j)
{
    struct pat_json *body = pat_json_obj();
    char path[AGENT_PATH_MAX];

    snprintf(path, sizeof path, "/publish-agent-version/%s", j->row.agent_id);
    pat_json_set_int(body, "version", j->row.draft);
    agent_ask(j, "POST", path, body, on_published);
}

/* ------------------------------------------------------------------ the next one */

static bool same_part(const struct pat_json *is, const struct agent_job *j, const char *part)
{
    return pat_json_same(pat_json_at(is, part), pat_json_at(j->want_all, part));
}

static void make_agent(struct agent_job *j)
{
    agent_ask(j, "POST", "/create-agent", with_model(j), on_agent_made);
}

static void make_llm(struct agent_job *j)
{
    agent_ask(j, "POST", "/create-retell-llm", pat_json_dup(j->want.llm), on_llm_made);
}

static void change(struct agent_job *j)
{
    bool same = pat_json_same(j->row.pushed, j->want_all);

    if (j->row.draft < 0 && same && j->wish == AGENT_CHECK)
        agent_check(j);
    else if (j->row.draft < 0 && same)
        agent_settle(j, agent_fields(j));
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
        agent_retire(j);
    else if (!*j->row.agent_id && j->row.attempts && !j->looked)
        agent_look(j);
    else if (*j->row.agent_id && j->row.version < 0 && j->row.draft < 0)
        agent_read(j);
    else if (!*j->row.llm_id)
        make_llm(j);
    else if (!*j->row.agent_id)
        make_agent(j);
    else
        change(j);
}
