/* agents.c - a user's agent: GET and PATCH /v1/users/{id}/agent.
 *
 * A change names the settings it changes; If-Match names the version it was made on, so that two
 * people on one page do not undo each other's work unseen. The trigger on agent_configs draws the
 * new version and tells the daemons. A voice that only the vendor can know is asked for there;
 * while the vendor does not say it is taken, and looked for again (voice_care.c).
 */
#include "agent_fields.h"
#include "ask.h"
#include "door.h"
#include "voices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DB_MS = 5000, BODY_MAX = 64 * 1024 };

#define EDITABLE                                                                                   \
    "agent_name, agent_volume, ambient_sound, ambient_sound_volume, greeting_template, language, " \
    "max_tokens, noise_suppression, response_style, system_prompt, temperature, "                  \
    "transfer_unknown_callers, vetting_strategy, voice_id"

/* $3 the user. */
static const char agent_sql[] =
    "select jsonb_build_object('user_id', u.id, 'user_name', u.name, 'agent_config_id', c.id, "
    "'stack', c.active_voice_stack, 'version', coalesce(v.version, 0), 'is_active', s.is_active, "
    "'settings', (select to_jsonb(e) from (select " EDITABLE
    " from public.agent_configs x where x.id = c.id) e), 'voice', "
    "jsonb_build_object('id', c.voice_id, 'name', coalesce(s.voice ->> 'voice_name', "
    "(select p.name from patchbay.voice_presets p where p.stack = c.active_voice_stack and "
    "patchbay.voice_name(p.voice_id) = patchbay.voice_name(c.voice_id) limit 1), "
    "patchbay.voice_name(c.voice_id)), 'cloned', coalesce((s.voice ->> 'is_cloned')::boolean, "
    "false)), 'transfer_numbers', s.transfer_numbers, 'numbers', coalesce((select "
    /* An agent's numbers are its user's: without saying so all numbers there are are looked at. */
    "jsonb_agg(r.number order by r.number) from patchbay.routes r where r.user_id = c.user_id and "
    "r.agent_config_id = c.id and r.is_active), '[]'), 'can', (select "
    "jsonb_object_agg(k.capability, jsonb_build_object('supported', k.supported, 'reason', "
    "k.reason)) from patchbay.stack_capabilities k where k.stack = c.active_voice_stack)) "
    "from public.users u join public.agent_configs c on c.user_id = u.id join "
    "patchbay.agent_settings s on s.agent_config_id = c.id left join patchbay.config_versions v on "
    "v.user_id = u.id and v.agent_config_id = c.id where u.id = $3::uuid and " ASK_MAY_SEE("u.id");

static void on_agent(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    const char *user;

    if (!door_who(&who, arg, http) && (user = door_id(http)))
        ask(arg, http, &who,
            &(struct question){ .name = "agent_of", .sql = agent_sql, .params = { user }, .n = 1 });
}

/* ------------------------------------------------------------------ a change */

/* Nobody speaks with another user's clone, whoever knows its id, nor with a voice his stack does
 * not know; the one he has may stay. What differs afterwards is written down. */
static const char update_sql[] =
    "with was as materialized (select x.id, (select to_jsonb(e) from (select " EDITABLE
    " from public.agent_configs y where y.id = x.id) e) as j from public.agent_configs x where "
    "x.user_id = $3::uuid), done as (update public.agent_configs c set (" EDITABLE
    ") = (select " EDITABLE
    " from jsonb_populate_record(c, $4::jsonb)) where c.user_id = $3::uuid and " ASK_MAY_SEE(
        "c.user_id") " and ($5::bigint is null or $5::bigint = coalesce((select v.version from "
                     "patchbay.config_versions v where v.user_id = c.user_id and "
                     "v.agent_config_id = c.id), 0)) and ($4::jsonb ->> 'voice_id' is null or "
                     "$4::jsonb ->> 'voice_id' = c.voice_id or patchbay.voice_known(c.user_id, "
                     "c.active_voice_stack, $4::jsonb ->> 'voice_id', $7)) and not exists "
                     "(select from public.voices o where o.is_cloned and o.user_id is distinct from c.user_id and "
                     "patchbay.voice_name(o.voice_id) = patchbay.voice_name($4::jsonb ->> "
                     "'voice_id')) returning c.id, c.user_id, to_jsonb(c) as j), noted as (select "
                     "patchbay.put_audit(x.changes || jsonb_build_object('actor', coalesce($1::uuid::text, "
                     "'service'), 'actor_id', $1::uuid, 'action', 'agent.change', 'user_id', "
                     "x.user_id, 'subject', x.id, 'peer', $6::text)) from (select d.id, d.user_id, "
                     "patchbay.json_changes(w.j, (select jsonb_object_agg(k, d.j -> k) from "
                     "jsonb_object_keys(w.j) k)) as changes from done d join was w on w.id = d.id) "
                     "x where x.changes is not null), doubted as (select patchbay.voice_doubt(null, "
                     "$4::jsonb ->> 'voice_id', 'chosen') from done where $7 = 'silent') select d.id, "
                     "(select count(*) from noted), (select count(*) from doubted) from done d";

/* Its id there, of a voice that the vendor alone can know. $1 the user, $2 the changes. */
static const char at_vendor_sql[] =
    "select patchbay.eleven_voice($2::jsonb ->> 'voice_id') from public.agent_configs c where "
    "c.user_id = $1::uuid and c.active_voice_stack = 'livekit'";

struct change {
    struct switcher *s;
    struct pat_httpd_req *http;
    struct who who;
    char user[PAT_ID_LEN + 1];
    char *changes; /* ours */
    char text[DOOR_VERSION_MAX];
    const char *version; /* that of If-Match; NULL: any */
    const char *vendor;  /* what it says of the voice: patchbay.voice_known */
};

static void change_free(struct change *c)
{
    free(c->changes);
    free(c);
}

static int run_change(struct change *c);

static void on_looked(int err, bool there, void *arg)
{
    struct change *c = arg;

    c->vendor = err ? "silent" : there ? "there" : "gone";
    if (!run_change(c))
        return;
    pat_httpd_reply_error(c->http, PAT_EUNAVAIL, NULL, "too much to do, try again");
    change_free(c);
}

/* True: the vendor is being asked, and with its answer the change is tried again. */
static bool look(struct change *c, const struct pat_db_result *at_vendor)
{
    const char *voice = pat_db_rows(at_vendor) ? pat_db_value(at_vendor, 0, 0) : NULL;

    return voice && !strcmp(c->vendor, "unasked") && !vendor_look(c->s, voice, on_looked, c);
}

/* Nothing was changed. Takes c. */
static void refuse(struct change *c, const struct pat_db_result *now,
                   const struct pat_db_result *at_vendor)
{
    PAT_AUTO_JSON agent = NULL;
    const char *text = pat_db_rows(now) ? pat_db_value(now, 0, 0) : NULL;
    char why[64];

    if (!text || pat_json_parse(&agent, text, strlen(text), NULL))
        pat_httpd_reply_error(c->http, PAT_ENOENT, NULL, "no such thing");
    else if (c->version && pat_json_int_or(agent, "version", 0) != strtoll(c->version, NULL, 10))
        door_stale(c->http);
    else if (look(c, at_vendor))
        return;
    else {
        snprintf(why, sizeof why, "no voice of this user, nor one of %s's",
                 pat_json_str_or(agent, "stack", "the stack"));
        pat_httpd_reply_error(c->http, PAT_EINVAL, "voice_id", why);
    }
    change_free(c);
}

static void on_changed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct change *c = arg;
    const char *text;

    if (err) {
        pat_log(PAT_ERROR, "api.not_changed", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
        pat_httpd_reply_error(c->http, err == PAT_EINVAL ? err : PAT_EUNAVAIL, NULL,
                              err == PAT_EINVAL ? "the database does not take this value"
                                                : "the database did not answer, try again");
    } else if (!pat_db_rows(results[0])) {
        refuse(c, results[1], results[2]);
        return;
    } else {
        text = pat_db_value(results[1], 0, 0);
        pat_httpd_reply(c->http, 200, "application/json", text, strlen(text));
    }
    change_free(c);
}

/* On failure it has replied. */
static int read_changes(struct pat_httpd_req *http, struct pat_json **out)
{
    struct pat_json_err wrong = { 0 };
    const char *body, *field, *what;
    size_t len;
    int err;

    body = pat_httpd_body(http, &len);
    err = pat_json_parse(out, body, len, &wrong);
    field = wrong.path;
    what = wrong.what;
    if (!err)
        err = agent_fields_check(*out, &field, &what);
    if (err)
        pat_httpd_reply_error(http, PAT_EINVAL, field, what);
    return err;
}

static int run_change(struct change *c)
{
    const char *params[] = { *c->who.user ? c->who.user : NULL,
                             c->who.admin ? "true" : "false",
                             c->user,
                             c->changes,
                             c->version,
                             pat_httpd_peer(c->http),
                             c->vendor };
    const struct pat_db_stmt stmts[] = {
        { "agent_change", update_sql, 7, params },
        { "agent_of", agent_sql, 3, params },
        { "voice_at_vendor", at_vendor_sql, 2, params + 2 },
    };

    return pat_db_run(c->s->d->db, stmts, 3, DB_MS, on_changed, c, NULL);
}

static struct change *change_new(struct switcher *s, struct pat_httpd_req *http,
                                 const struct who *who, const struct pat_json *changes)
{
    struct change *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->s = s;
    c->http = http;
    c->who = *who;
    c->vendor = *s->conf->elevenlabs_key ? "unasked" : "unset";
    c->changes = pat_json_print(changes);
    return c;
}

static void on_change(struct pat_httpd_req *http, void *arg)
{
    PAT_AUTO_JSON changes = NULL;
    struct change *c;
    struct who who;
    const char *user, *match;
    char version[DOOR_VERSION_MAX] = "";

    if (door_who(&who, arg, http) || !(user = door_id(http)) ||
        door_match(http, false, version, &match) || door_json(http) || read_changes(http, &changes))
        return;
    c = change_new(arg, http, &who, changes);
    if (c) {
        memcpy(c->text, version, sizeof version);
        c->version = match ? c->text : NULL;
    }
    if (c && c->changes && pat_strcpy(c->user, sizeof c->user, user) && !run_change(c))
        return;
    if (c)
        change_free(c);
    pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "too much to do, try again");
}

int agents_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/v1/users/{id}/agent", 0, on_agent },
        { "PATCH", "/v1/users/{id}/agent", BODY_MAX, on_change },
        { 0 },
    };

    return pat_httpd_routes(s->httpd, routes, s);
}
