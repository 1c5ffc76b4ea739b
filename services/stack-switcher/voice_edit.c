/* voice_edit.c - a voice's name and settings (PATCH), what its owner has been told and has read,
 * and for admins what a round through all voices found.
 */
#include "ask.h"
#include "door.h"
#include "verdict.h"
#include "voices.h"

#include <stdlib.h>
#include <string.h>

enum { DB_MS = 5000, BODY_MAX = 4096, NAME_MAX = 80 };

struct editing {
    struct switcher *s;
    struct pat_httpd_req *http;
};

static void reply_error(struct pat_httpd_req *http, int err)
{
    pat_httpd_reply_error(http, err == PAT_EINVAL ? err : PAT_EUNAVAIL, NULL,
                          err == PAT_EINVAL ? "the database does not take this value"
                                            : "the database did not answer, try again");
}

static void on_edited(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct editing *e = arg;
    PAT_AUTO_JSON j = NULL;
    const char *text = !err && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    if (!err && text)
        err = pat_json_parse(&j, text, strlen(text), NULL);
    if (err) {
        pat_log(PAT_ERROR, "voice.not_changed", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
        reply_error(e->http, err);
    } else if (!text) {
        pat_httpd_reply_error(e->http, PAT_ENOENT, NULL, "no such voice of this user");
    } else if (pat_json_str_or(j, "error", NULL)) {
        pat_httpd_reply_error(e->http, PAT_EINVAL, "name", pat_json_str_or(j, "error", ""));
    } else {
        voices_soon(e->s->voices); /* the vendor is told of a new name */
        pat_httpd_reply(e->http, 200, "application/json", text, strlen(text));
    }
    free(e);
}

static bool good_name(const char *name)
{
    size_t len = strlen(name);

    return len && pat_utf8_count(name, len) <= NAME_MAX && !strpbrk(name, "\r\n") &&
           strspn(name, " \t") < len;
}

/* On failure it has replied. */
static int read_edit(struct pat_httpd_req *http, const char **name, const struct pat_json **set,
                     struct pat_json **tree)
{
    const char *field = NULL, *what = "an object with a name, settings, or both", *body;
    const struct pat_json *given;
    size_t len;
    int err;

    body = pat_httpd_body(http, &len);
    err = pat_json_parse(tree, body, len, NULL);
    if (!err && pat_json_kind(*tree) != PAT_JSON_OBJ)
        err = PAT_EINVAL;
    given = err ? NULL : pat_json_at(*tree, "name");
    *set = err ? NULL : pat_json_at(*tree, "settings");
    *name = given ? pat_json_value_str(given) : NULL;
    if (!err && !given && !*set)
        err = PAT_EINVAL;
    if (!err && given && (!*name || !good_name(*name))) {
        field = "name";
        what = "1 to 80 characters, one line";
        err = PAT_EINVAL;
    }
    if (!err && *set)
        err = voice_set_check(*set, &field, &what);
    if (err)
        pat_httpd_reply_error(http, PAT_EINVAL, field, what);
    return err;
}

static void on_edit(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] =
        "select patchbay.voice_change(u.id, $4, $5, $6::jsonb, $7::jsonb) from public.users u "
        "where u.id = $3::uuid and " ASK_MAY_SEE("u.id");
    struct switcher *s = arg;
    PAT_AUTO_JSON tree = NULL;
    PAT_AUTO_STR text = NULL;
    PAT_AUTO_STR by = NULL;
    const struct pat_json *set;
    struct editing *e;
    struct who who;
    const char *user, *name;
    int err;

    if (door_who(&who, s, http) || !(user = door_id(http)) || door_json(http) ||
        read_edit(http, &name, &set, &tree))
        return;
    e = malloc(sizeof *e);
    text = set ? pat_json_print(set) : NULL;
    by = verdict_by(&who, http);
    err = e && by && (text || !set) ? PAT_OK : PAT_ENOMEM;
    if (!err) {
        const char *params[] = { *who.user ? who.user : NULL,
                                 who.admin ? "true" : "false",
                                 user,
                                 pat_httpd_param(http, "voice"),
                                 name,
                                 text,
                                 by };

        *e = (struct editing){ s, http };
        err = pat_db_run1(s->d->db, "voice_change", sql, params, 7, DB_MS, on_edited, e, NULL);
    }
    if (!err)
        return;
    free(e);
    pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "too much to do, try again");
}

/* ------------------------------------------------------------------ read, and looked after */

static void on_read(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    const char *user, *notice;

    if (door_who(&who, arg, http) || !(user = door_id(http)))
        return;
    notice = pat_httpd_param(http, "notice");
    if (!pat_id_valid(notice)) {
        pat_httpd_reply_error(http, PAT_EINVAL, "notice", "must be a UUID");
        return;
    }
    ask(arg, http, &who,
        &(struct question){
            .name = "notice_read",
            .sql = "update patchbay.voice_notices n set seen_at = "
                   "coalesce(n.seen_at, now()) where n.user_id = $3::uuid and n.id "
                   "= $4::uuid and " ASK_MAY_SEE(
                       "n.user_id") " returning "
                                    "jsonb_build_object('id', n.id, 'seen_at', n.seen_at)",
            .params = { user, notice },
            .n = 2 });
}

static void on_care(struct pat_httpd_req *http, void *arg)
{
    struct who who;

    if (!door_who(&who, arg, http))
        ask(arg, http, &who,
            &(struct question){ .name = "voice_care",
                                .sql = "select patchbay.voice_care() where " ASK_IS_ADMIN,
                                .admins_only = true });
}

int voice_edit_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "PATCH", "/v1/users/{id}/voices/{voice}", BODY_MAX, on_edit },
        { "DELETE", "/v1/users/{id}/voice-notices/{notice}", 0, on_read },
        { "GET", "/v1/voices/care", 0, on_care },
        { 0 },
    };

    return pat_httpd_routes(s->httpd, routes, s);
}
