/* agent.c - a job's frame: the claim, the row, the end. The work is in the files beside it. */
#include "agent_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DB_TIMEOUT_MS 15000
/* Renewed three times within it while the job lasts: so long a claim outlives a provider that was
 * killed, and a switch of that user waits. */
#define CLAIM_S       15
#define RETRY_BASE_MS 2000
#define RETRY_MAX_MS  ((int64_t)15 * 60 * 1000)

static void forget(struct agent_job *j)
{
    pat_json_free(j->settings);
    pat_json_free(j->row.pushed);
    pat_json_free(j->row.drafted);
    pat_json_free(j->want_all);
    built_fini(&j->want);
    j->settings = j->row.pushed = j->row.drafted = j->want_all = NULL;
}

static void job_free(struct agent_job *j)
{
    pat_db_cancel(j->p->d->db, j->query);
    api_cancel(j->p->api, j->request);
    pat_db_cancel(j->p->d->db, j->holding);
    pat_timer_fini(&j->hold);
    pat_task_cancel(j->p->d->loop, &j->begin);
    forget(j);
    free(j);
}

void agent_finish(struct agent_job *j, const struct agent_result *result)
{
    agent_fn *done = j->done;
    void *arg = j->arg;
    struct agent_result r = *result;

    r.user_id = j->row.user_id;
    r.agent_id = *j->row.agent_id ? j->row.agent_id : NULL;
    r.llm_id = *j->row.llm_id ? j->row.llm_id : NULL;
    r.version = j->row.version;
    r.notes = j->want.notes;
    done(&r, arg);
    job_free(j);
}

/* ------------------------------------------------------------------ the row */

struct pat_json *agent_fields(const struct agent_job *j)
{
    struct pat_json *f = pat_json_obj();

    pat_json_set_str(f, "agent_config_id", j->config_id);
    pat_json_set_str(f, "claimed_by", j->p->instance);
    pat_json_set_int(f, "claim_s", CLAIM_S);
    return f;
}

static void take_id(char out[AGENT_VENDOR_ID + 1], const struct pat_json *row, const char *name)
{
    if (!pat_strcpy(out, AGENT_VENDOR_ID + 1, pat_json_str_or(row, name, "")))
        out[0] = 0;
}

static struct pat_json *dup_obj(const struct pat_json *row, const char *name)
{
    const struct pat_json *v = pat_json_at(row, name);

    return v && pat_json_kind(v) == PAT_JSON_OBJ ? pat_json_dup(v) : NULL;
}

static void read_row(struct agent_job *j, const struct pat_json *row)
{
    struct agent_row *r = &j->row;

    pat_strcpy(r->user_id, sizeof r->user_id, pat_json_str_or(row, "user_id", ""));
    take_id(r->agent_id, row, "agent_id");
    take_id(r->llm_id, row, "llm_id");
    r->version = pat_json_int_or(row, "version", -1);
    r->draft = pat_json_int_or(row, "draft", -1);
    r->pushed = dup_obj(row, "pushed");
    r->drafted = dup_obj(row, "drafted");
    r->attempts = pat_json_int_or(row, "attempts", 0);
    r->retiring = !strcmp(pat_json_str_or(row, "state", ""), "retiring");
}

static int read_claim(struct agent_job *j, const char *text)
{
    const struct provider_conf *conf = j->p->conf;
    PAT_AUTO_JSON claim = NULL;
    int err = pat_json_parse(&claim, text, strlen(text), NULL);

    if (err)
        return PAT_EPROTO;
    forget(j);
    read_row(j, pat_json_at(claim, "agent"));
    j->settings = dup_obj(claim, "settings");
    if (!j->settings)
        return PAT_OK;
    j->row.config_version = pat_json_int_or(j->settings, "version", 0);
    err = build_agent(&j->want, j->settings, pat_json_at(claim, "voice"),
                      &(struct build_conf){ .tools_url = conf->tools_url,
                                            .webhook_url = conf->webhook_url,
                                            .model = conf->model,
                                            .countries = conf->transfer_prefixes,
                                            .time_zone = conf->time_zone,
                                            .max_call_ms = conf->max_call_ms,
                                            .silence_ms = conf->silence_ms,
                                            .live_text = conf->live_text });
    if (err)
        return err;
    j->want_all = pat_json_obj();
    pat_json_set_take(j->want_all, "agent", pat_json_dup(j->want.agent));
    pat_json_set_take(j->want_all, "llm", pat_json_dup(j->want.llm));
    return PAT_OK;
}

static void on_held(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct agent_job *j = arg;

    j->holding = 0;
    if (err) /* lost, or given back: the next save says which */
        pat_log(PAT_WARN, "agent.claim_not_renewed", PAT_S("config", j->config_id), PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
}

static void hold(void *arg)
{
    struct agent_job *j = arg;
    char s[24];
    const char *params[] = { j->config_id, j->p->instance, s };

    pat_timer_start(&j->hold, CLAIM_S * 1000 / 3);
    snprintf(s, sizeof s, "%d", CLAIM_S);
    if (!j->holding && pat_db_run1(j->p->d->db, "hold_retell_agent",
                                   "select patchbay.hold_retell_agent($1::uuid, $2, $3::integer)",
                                   params, 3, DB_TIMEOUT_MS, on_held, j, &j->holding))
        j->holding = 0;
}

static void on_claimed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct agent_job *j = arg;
    const char *text = !err && n ? pat_db_value(results[0], 0, 0) : NULL;

    j->query = 0;
    if (!err && !text) {
        agent_finish(j, &(struct agent_result){ .err = PAT_EAGAIN,
                                                .message = "another replica is at it, or there is "
                                                           "no such agent" });
        return;
    }
    if (!err) {
        j->claimed = true;
        pat_timer_start(&j->hold, CLAIM_S * 1000 / 3);
        err = read_claim(j, text);
    }
    if (err)
        agent_fail(j, err, pat_err_text(err));
    else
        agent_step(j);
}

void agent_claim(struct agent_job *j)
{
    char s[24];
    const char *params[] = { j->config_id, j->p->instance, s,
                             j->wish == AGENT_WANT || j->wish == AGENT_RETIRE ? "true" : "false" };
    int err;

    snprintf(s, sizeof s, "%d", CLAIM_S);
    err = pat_db_run1(j->p->d->db, "claim_retell_agent",
                      "select patchbay.claim_retell_agent($1::uuid, $2, $3::integer, "
                      "$4::boolean)::text",
                      params, 4, DB_TIMEOUT_MS, on_claimed, j, &j->query);
    if (err)
        agent_finish(j, &(struct agent_result){ .err = err, .message = pat_err_text(err) });
}

static void on_saved(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct agent_job *j = arg;

    j->query = 0;
    if (!err && (!n || strcmp(pat_db_value(results[0], 0, 0), "t") != 0)) {
        j->claimed = false;
        err = PAT_ESTALE;
    }
    /* Not noted: whoever claims next finds what was made by its mark. */
    if (err)
        agent_finish(j, &(struct agent_result){ .err = err,
                                                .message = err == PAT_ESTALE
                                                               ? "another replica took over"
                                                               : pat_err_text(err) });
    else
        j->then(j);
}

static int write_fields(struct agent_job *j, const struct pat_json *fields, pat_db_fn *fn,
                        pat_db_id *id)
{
    PAT_AUTO_STR text = pat_json_print(fields);
    const char *params[] = { text };

    return text ? pat_db_run1(j->p->d->db, "put_retell_agent",
                              "select patchbay.put_retell_agent($1::jsonb)", params, 1,
                              DB_TIMEOUT_MS, fn, j, id)
                : PAT_ENOMEM;
}

void agent_save(struct agent_job *j, struct pat_json *fields_take,
                void (*then)(struct agent_job *j))
{
    int err;

    j->then = then;
    err = write_fields(j, fields_take, on_saved, &j->query);
    pat_json_free(fields_take);
    if (err)
        agent_finish(j, &(struct agent_result){ .err = err, .message = pat_err_text(err) });
}

/* ------------------------------------------------------------------ requests */

static void on_answer(const struct api_answer *a, void *arg)
{
    struct agent_job *j = arg;

    j->request = 0;
    j->answered(j, a);
}

void agent_ask(struct agent_job *j, const char *method, const char *path,
               struct pat_json *body_take,
               void (*answered)(struct agent_job *j, const struct api_answer *a))
{
    int err;

    j->answered = answered;
    err = api_call(j->p->api, method, path, body_take, on_answer, j, &j->request);
    if (err)
        agent_fail(j, err, pat_err_text(err));
}

void agent_refused(struct agent_job *j, const struct api_answer *a)
{
    agent_fail(j, a->err, a->message);
}

void agent_set(struct pat_json **to, const struct pat_json *from)
{
    pat_json_free(*to);
    *to = from ? pat_json_dup(from) : NULL;
}

/* ------------------------------------------------------------------ the end */

void agent_tell(struct agent_job *j, const char *state, const char *error,
                struct pat_json *drift_take)
{
    struct pat_json *data = pat_json_obj();
    struct pat_event e = { .area = "config",
                           .name = "agent",
                           .user_id = j->row.user_id,
                           .key = j->config_id,
                           .source = "/patchbay/retell-provider" };

    pat_json_set_str(data, "user_id", j->row.user_id);
    pat_json_set_str(data, "agent_config_id", j->config_id);
    pat_json_set_str(data, "stack", "retell");
    pat_json_set_str(data, "state", state);
    pat_json_set_str(data, "agent_id", *j->row.agent_id ? j->row.agent_id : NULL);
    if (j->row.version >= 0)
        pat_json_set_int(data, "version", j->row.version);
    else
        pat_json_set_null(data, "version");
    pat_json_set_str(data, "error", error);
    if (drift_take)
        pat_json_set_take(data, "drift", drift_take);
    if (pat_journal_add(j->p->journal, &e, data, NULL, 0))
        pat_log(PAT_WARN, "agent.not_told", PAT_S("config", j->config_id), PAT_S("state", state));
}

static void after_failure(struct agent_job *j)
{
    agent_finish(j, &(struct agent_result){ .err = j->failed, .message = j->why });
}

/* What trying again soon would not change. */
static bool is_lasting(int err)
{
    return err == PAT_EINVAL || err == PAT_EAUTH || err == PAT_EPERM || err == PAT_EEXIST;
}

void agent_fail(struct agent_job *j, int err, const char *message)
{
    struct pat_retry retry = PAT_RETRY(RETRY_BASE_MS, RETRY_MAX_MS);
    struct pat_json *fields;

    pat_log(PAT_WARN, "agent.failed", PAT_S("user", j->row.user_id), PAT_S("config", j->config_id),
            PAT_S("agent", j->row.agent_id), PAT_ERR(err), PAT_S("why", message),
            PAT_I("attempts", j->row.attempts + 1));
    pat_counter_add(j->p->agents_failed, 1);
    if (!j->claimed) {
        agent_finish(j, &(struct agent_result){ .err = err, .message = message });
        return;
    }
    snprintf(j->why, sizeof j->why, "%s", message);
    j->failed = err;
    retry.attempts = is_lasting(err) ? 16 : (unsigned)(j->row.attempts < 16 ? j->row.attempts : 16);
    fields = agent_fields(j);
    /* One that is being taken away stays so. */
    if (!j->row.retiring)
        pat_json_set_str(fields, "state", "failed");
    pat_json_set_str(fields, "error", message);
    pat_json_set_int(fields, "attempts", j->row.attempts + 1);
    pat_json_set_int(fields, "retry_after_ms", pat_retry_next_ms(&retry, pat_random32()));
    pat_json_set_bool(fields, "release", true);
    if (!j->row.attempts)
        agent_tell(j, "failed", message, NULL);
    agent_save(j, fields, after_failure);
}

static void begin(void *arg)
{
    agent_claim(arg);
}

int agent_start(struct agent_job **out, struct provider *p, const char *config_id,
                enum agent_wish wish, agent_fn *done, void *arg)
{
    struct agent_job *j = calloc(1, sizeof *j);

    if (!j)
        return PAT_ENOMEM;
    if (pat_timer_init(&j->hold, p->d->loop, hold, j)) {
        free(j);
        return PAT_ENOMEM;
    }
    j->p = p;
    pat_strcpy(j->config_id, sizeof j->config_id, config_id);
    j->wish = wish;
    j->row.version = j->row.draft = -1;
    j->done = done;
    j->arg = arg;
    pat_loop_next_turn(p->d->loop, &j->begin, begin, j);
    *out = j;
    return PAT_OK;
}

static void on_released(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    (void)err;
    (void)results;
    (void)n;
    (void)arg;
}

void agent_drop(struct agent_job *j)
{
    struct pat_json *fields = agent_fields(j);

    pat_json_set_bool(fields, "release", true);
    if (j->claimed && write_fields(j, fields, on_released, NULL))
        pat_log(PAT_INFO, "agent.claim_left_to_lapse", PAT_S("config", j->config_id));
    pat_json_free(fields);
    job_free(j);
}
