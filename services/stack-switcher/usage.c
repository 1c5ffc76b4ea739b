/* usage.c - questions about usage and cost: see usage.h.
 *
 * A user asks about himself, an admin about anybody or, without user_id, about everybody.
 */
#include "usage.h"

#include "ask.h"
#include "door.h"
#include "usage_query.h"

#include <stdio.h>
#include <string.h>

#define NOBODY   "'00000000-0000-0000-0000-000000000000'::uuid"
#define ROWS_MAX "20000"
/* Instead of an answer: no JSON and no header begins so. */
#define TOO_MANY '!'
#define NO_ZONE  '~'
#define WRONG(j) "case when " j " ->> 'error' = 'tz' then '~' when " j " ? 'error' then '!' else "

/* One row, whose id is the nil uuid for everybody. No row: not his business, or no such user. */
#define OF_WHOM                                                                                    \
    "from (select case when $3::uuid is not null then $3::uuid when " ASK_IS_ADMIN " then " NOBODY \
    " else $1::uuid end as id) x where ($3::uuid is null and x.id is not null) "                   \
    "or (" ASK_MAY_SEE(                                                                            \
        "$3::uuid") " and exists (select from public.users u where u.id = $3::uuid))"

#define REPORT                                                                                     \
    "patchbay.usage_report(x.id, $4::date, $5::date, string_to_array($6, ','), " ROWS_MAX ", $7, " \
    "$8::integer, $9::bigint)"

/* False: it has replied. *user: NULL where none is named. */
static bool read_query(struct pat_httpd_req *http, struct usage_query *q, const char **user)
{
    const char *field, *what;

    *user = pat_httpd_query_param(http, "user_id");
    if (*user && !pat_id_valid(*user)) {
        pat_httpd_reply_error(http, PAT_EINVAL, "user_id", "must be the id of a user");
        return false;
    }
    if (usage_query_read(q,
                         &(struct usage_asked){ .from = pat_httpd_query_param(http, "from"),
                                                .to = pat_httpd_query_param(http, "to"),
                                                .by = pat_httpd_query_param(http, "group_by"),
                                                .format = pat_httpd_query_param(http, "format"),
                                                .tz = pat_httpd_query_param(http, "tz"),
                                                .limit = pat_httpd_query_param(http, "limit"),
                                                .after = pat_httpd_query_param(http, "after") },
                         pat_unix_ms() / 1000, &field, &what)) {
        pat_httpd_reply_error(http, PAT_EINVAL, field, what);
        return false;
    }
    return true;
}

static bool refused(struct pat_httpd_req *http, const char *text)
{
    if (*text == TOO_MANY)
        pat_httpd_reply_error(http, PAT_EINVAL, "group_by",
                              "more than " ROWS_MAX
                              " rows in a file: a limit, a shorter time or fewer groups");
    if (*text == NO_ZONE) /* it is in the system's files, and not in the database's */
        pat_httpd_reply_error(http, PAT_EINVAL, "tz", "the database does not know this time zone");
    return *text == TOO_MANY || *text == NO_ZONE;
}

static void reply_json(struct pat_httpd_req *http, const char *text)
{
    if (refused(http, text))
        return;
    pat_httpd_allow_gzip(http);
    pat_httpd_reply(http, 200, "application/json", text, strlen(text));
}

static void reply_csv(struct pat_httpd_req *http, const char *text)
{
    if (refused(http, text))
        return;
    pat_httpd_allow_gzip(http);
    (void)pat_httpd_set_header(http, "Content-Disposition", "attachment; filename=\"usage.csv\"");
    (void)pat_httpd_set_header(http, "X-Content-Type-Options", "nosniff");
    pat_httpd_reply(http, 200, "text/csv; charset=utf-8; header=present", text, strlen(text));
}

static void on_usage(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    struct usage_query q;
    const char *user;

    if (door_who(&who, arg, http) || !read_query(http, &q, &user))
        return;
    ask(arg, http, &who,
        &(struct question){ .name = q.csv ? "usage_csv" : "usage",
                            .sql = q.csv ? "select " WRONG("r") "patchbay.usage_csv(r) end "
                                                                "from (select " REPORT
                                                                " as r " OF_WHOM " offset 0) y"
                                         : "select " WRONG("r") "r::text end "
                                                                "from (select " REPORT
                                                                " as r " OF_WHOM " offset 0) y",
                            .params = { user, q.from, q.to, q.by, q.tz, *q.limit ? q.limit : NULL,
                                        *q.after ? q.after : NULL },
                            .n = 7,
                            .reply = q.csv ? reply_csv : reply_json });
}

static void on_summary(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    struct usage_query q;
    const char *user;

    if (door_who(&who, arg, http) || !read_query(http, &q, &user))
        return;
    ask(arg, http, &who,
        &(struct question){
            .name = "usage_summary",
            .sql = "select " WRONG("r") "r::text end from (select patchbay.usage_summary(x.id, "
                                        "$4::date, $5::date, $6) as r " OF_WHOM " offset 0) y",
            .params = { user, q.from, q.to, q.tz },
            .n = 4,
            .reply = reply_json });
}

static void on_call_cost(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    const char *id;

    if (!door_who(&who, arg, http) && (id = door_id(http)))
        ask(arg, http, &who,
            &(struct question){ .name = "call_cost",
                                .sql =
                                    "select patchbay.call_costs_json(c.id) from patchbay.calls c "
                                    "where c.id = $3::uuid and " ASK_MAY_SEE("c.user_id"),
                                .params = { id },
                                .n = 1 });
}

int usage_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/v1/usage", 0, on_usage },
        { "GET", "/v1/usage/summary", 0, on_summary },
        { "GET", "/v1/calls/{id}/cost", 0, on_call_cost },
        { 0 },
    };

    return pat_httpd_routes(s->httpd, routes, s);
}
