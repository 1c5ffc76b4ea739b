/* audit.c - who changed what: see audit.h. */
#include "audit.h"

#include "ask.h"
#include "calls_query.h"
#include "door.h"

#include <stdlib.h>
#include <string.h>

#define DB_MS 10000

/* ------------------------------------------------------------------ writing */

static void on_written(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    char *text = arg;

    if (err)
        pat_log(PAT_ERROR, "audit.not_written", PAT_ERR(err), PAT_S("row", text),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    free(text);
}

static void set_copy(struct pat_json *j, const char *key, const struct pat_json *value)
{
    struct pat_json *copy = value ? pat_json_dup(value) : NULL;

    if (copy)
        pat_json_set_take(j, key, copy);
}

void audit_write(struct switcher *s, struct pat_httpd_req *http, const struct who *who,
                 const struct audit_row *row)
{
    PAT_AUTO_JSON j = pat_json_obj();
    char *text;

    pat_json_set_str(j, "actor", *who->user ? who->user : "service");
    pat_json_set_str(j, "actor_id", *who->user ? who->user : NULL);
    pat_json_set_str(j, "action", row->action);
    pat_json_set_bool(j, "allowed", !row->refused);
    pat_json_set_str(j, "user_id", row->user_id);
    pat_json_set_str(j, "subject", row->subject);
    pat_json_set_str(j, "peer", pat_httpd_peer(http));
    set_copy(j, "before", row->before);
    set_copy(j, "after", row->after);
    text = pat_json_print(j);
    if (text && !pat_db_run1(s->d->db, "put_audit", "select patchbay.put_audit($1::jsonb)",
                             (const char *[]){ text }, 1, DB_MS, on_written, text, NULL))
        return;
    pat_log(PAT_ERROR, "audit.not_written", PAT_S("row", text));
    free(text);
}

/* ------------------------------------------------------------------ reading */

/* $3 limit, $4 before, $5 {"user_id", "actor", "action", "since", "until", "allowed"}. An action is
 * given whole, or up to a dot. */
static const char sql[] =
    "with page as (select a.* from patchbay.audit a where " ASK_IS_ADMIN
    " and ($5::jsonb ->> 'user_id' is null or a.user_id = ($5::jsonb ->> 'user_id')::uuid) "
    "and ($5::jsonb ->> 'actor' is null or a.actor = $5::jsonb ->> 'actor') "
    "and ($5::jsonb ->> 'action' is null or a.action = $5::jsonb ->> 'action' or "
    "starts_with(a.action, ($5::jsonb ->> 'action') || '.')) "
    "and ($5::jsonb ->> 'allowed' is null or a.allowed = ($5::jsonb ->> 'allowed')::boolean) "
    "and ($5::jsonb ->> 'since' is null or a.at >= ($5::jsonb ->> 'since')::timestamptz) "
    "and ($5::jsonb ->> 'until' is null or a.at < ($5::jsonb ->> 'until')::timestamptz) "
    "and ($4::uuid is null or (a.at, a.id) < (select b.at, b.id from patchbay.audit b where b.id = "
    "$4::uuid)) order by a.at desc, a.id desc limit $3::integer) "
    "select " ASK_PAGE(
        "before", "$4::uuid", "select from patchbay.audit b where b.id = $4::uuid",
        "jsonb_build_object('entries', coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'at', "
        "p.at, 'actor', p.actor, 'actor_id', p.actor_id, 'actor_name', (select u.name from "
        "public.users u where u.id = p.actor_id), 'action', p.action, 'allowed', p.allowed, "
        "'user_id', p.user_id, 'user_name', (select u.name from public.users u where u.id = "
        "p.user_id), 'subject', p.subject, 'why', p.why, 'before', p.before, 'after', p.after, "
        "'peer', p.peer) order by p.at desc, p.id desc), '[]'), 'next', case when count(*) = "
        "$3::integer then (array_agg(p.id order by p.at, p.id))[1] end)") " from page p having " ASK_IS_ADMIN;

static bool action_valid(const char *s)
{
    return strlen(s) <= 60 && !s[strspn(s, "abcdefghijklmnopqrstuvwxyz_.")];
}

static bool actor_valid(const char *s)
{
    return pat_id_valid(s) || (strlen(s) <= 60 && !s[strspn(s, "abcdefghijklmnopqrstuvwxyz_-")]);
}

static bool bool_valid(const char *s)
{
    return !strcmp(s, "true") || !strcmp(s, "false");
}

static int read_filters(struct pat_json *j, struct pat_httpd_req *http, const char **field,
                        const char **what)
{
    static const struct {
        const char *name, *what;
        bool (*valid)(const char *s);
    } table[] = {
        { "user_id", "must be the id of a user", pat_id_valid },
        { "actor", "must be the id of a user, or service", actor_valid },
        { "action", "must be an action, or its beginning up to a dot", action_valid },
        { "allowed", "must be true or false", bool_valid },
        { "since", "must be a day or a time", calls_time_valid },
        { "until", "must be a day or a time", calls_time_valid },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *s = pat_httpd_query_param(http, table[i].name);
        char text[80];

        *field = table[i].name;
        *what = table[i].what;
        if (!s || !*s)
            continue;
        if (!table[i].valid(s) || !pat_strcpy(text, sizeof text, s))
            return PAT_EINVAL;
        for (char *c = text; *c; c++)
            *c = *c == ' ' ? '+' : *c; /* an offset's, in a query */
        pat_json_set_str(j, table[i].name, text);
    }
    return PAT_OK;
}

static void on_audit(struct pat_httpd_req *http, void *arg)
{
    PAT_AUTO_JSON filters = pat_json_obj();
    PAT_AUTO_STR text = NULL;
    struct who who;
    struct page page;
    const char *field, *what;

    if (door_who(&who, arg, http))
        return;
    if (page_read(&page, pat_httpd_query_param(http, "limit"),
                  pat_httpd_query_param(http, "before"), &field, &what) ||
        read_filters(filters, http, &field, &what)) {
        pat_httpd_reply_error(http, PAT_EINVAL, field,
                              strcmp(field, "before") ? what : "must be the id of an entry");
        return;
    }
    text = pat_json_print(filters);
    ask(arg, http, &who,
        &(struct question){ .name = "audit",
                            .sql = sql,
                            .params = { page.limit, *page.before ? page.before : NULL, text },
                            .n = 3,
                            .admins_only = true });
}

int audit_routes(struct switcher *s)
{
    return pat_httpd_route(s->httpd, "GET", "/v1/audit", 0, on_audit, s);
}
