/* voice_preview.c - a voice heard before it is chosen: POST /v1/users/{id}/voices/{voice}/preview.
 *
 * Which voice, with which settings, saying what, and whether it was asked for before, is decided in
 * Postgres (preview_of); a sample paid for once is kept there (preview_keep). What is not there
 * costs money: so many a minute for a person, so many at once in all.
 */
#include "ask.h"
#include "door.h"
#include "voices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DB_MS = 5000, BODY_MAX = 8192, TEXT_MAX = 300, AUDIO_MAX = 2 << 20, AT_ONCE = 16 };

struct preview {
    struct switcher *s;
    struct pat_httpd_req *http;
    char who[PAT_ID_LEN + 1];
    char key[80], owner[PAT_ID_LEN + 1];
};

static void preview_end(struct preview *p)
{
    p->s->previews--;
    free(p);
}

static void refuse(struct preview *p, int err, const char *why)
{
    pat_httpd_reply_error(p->http, err, NULL, why);
    preview_end(p);
}

static void reply(struct pat_httpd_req *http, const char *type, const void *data, size_t len)
{
    (void)pat_httpd_set_header(http, "X-Content-Type-Options", "nosniff");
    pat_httpd_reply(http, 200, type, data, len);
}

/* ------------------------------------------------------------------ kept for the next one */

static void on_kept(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    (void)arg;
    if (err)
        pat_log(PAT_WARN, "voice.preview_not_kept", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
}

static void keep(const struct preview *p, const char *type, const char *data, size_t len)
{
    struct pat_buf text;
    char most[24];

    pat_buf_init(&text, AUDIO_MAX * 4 / 3 + 8);
    (void)snprintf(most, sizeof most, "%lld", (long long)p->s->conf->preview_cache);
    if (p->s->conf->preview_cache && !pat_base64(&text, data, len)) {
        const char *params[] = { p->key, *p->owner ? p->owner : NULL, type, text.data, most };

        (void)!pat_db_run1(p->s->d->db, "preview_keep",
                           "select patchbay.preview_keep($1, $2::uuid, $3, $4, $5::bigint)", params,
                           5, DB_MS, on_kept, NULL, NULL);
    }
    pat_buf_fini(&text);
}

static void on_speech(int err, const char *type, const char *data, size_t len, void *arg)
{
    struct preview *p = arg;

    if (err == PAT_ENOENT) {
        refuse(p, PAT_EUPSTREAM, "the vendor does not have this voice any more");
    } else if (err) {
        refuse(p, err == PAT_ETIMEDOUT ? err : PAT_EUPSTREAM, "the voice's vendor did not answer");
    } else {
        keep(p, type, data, len);
        reply(p->http, type, data, len);
        preview_end(p);
    }
}

/* ------------------------------------------------------------------ what there is */

static void reply_kept(struct preview *p, const struct pat_json *j)
{
    const char *audio = pat_json_str_or(j, "audio", "");
    struct pat_buf bytes;

    pat_buf_init(&bytes, AUDIO_MAX);
    if (pat_unbase64(&bytes, audio, strlen(audio)))
        pat_httpd_reply_error(p->http, PAT_EINTERNAL, NULL, "the sample cannot be read");
    else
        reply(p->http, pat_json_str_or(j, "type", "audio/mpeg"), bytes.data, bytes.len);
    pat_buf_fini(&bytes);
    preview_end(p);
}

static void speak(struct preview *p, const struct pat_json *j)
{
    int err;

    (void)pat_strcpy(p->key, sizeof p->key, pat_json_str_or(j, "key", ""));
    (void)pat_strcpy(p->owner, sizeof p->owner, pat_json_str_or(j, "owner", ""));
    if (door_limit(p->s, p->http, LIMIT_PREVIEWS, p->who)) {
        preview_end(p);
        return;
    }
    pat_counter_add(p->s->previews_spoken, 1);
    err = vendor_speech(p->s, j, on_speech, p);
    if (err)
        refuse(p, err == PAT_EUPSTREAM ? err : PAT_EUNAVAIL,
               err == PAT_EUNAVAIL ? "no vendor of this voice is set up here"
                                   : "it cannot be asked for just now");
}

static void on_preview_row(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct preview *p = arg;
    PAT_AUTO_JSON j = NULL;
    const char *text = !err && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
    const char *word;

    if (!err && text)
        err = pat_json_parse(&j, text, strlen(text), NULL);
    if (err) {
        pat_log(PAT_ERROR, "voice.no_preview", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
        refuse(p, PAT_EUNAVAIL, "the database did not answer, try again");
    } else if (!text) {
        refuse(p, PAT_ENOENT, "no such voice of this user");
    } else if ((word = pat_json_str_or(j, "error", NULL))) {
        refuse(p, strcmp(word, "conflict") ? PAT_ENOENT : PAT_EEXIST,
               pat_json_str_or(j, "message", ""));
    } else if (pat_json_at(j, "audio")) {
        reply_kept(p, j);
    } else {
        speak(p, j);
    }
}

/* ------------------------------------------------------------------ the request */

/* On failure it has replied. *text, *set: NULL where absent. */
static int read_wish(struct pat_httpd_req *http, struct pat_json **tree, const char **text,
                     const struct pat_json **set)
{
    const char *field = NULL, *what = "an object with a text, or nothing", *body;
    const struct pat_json *said;
    size_t len;
    int err = PAT_OK;

    *text = NULL;
    *set = NULL;
    body = pat_httpd_body(http, &len);
    if (!len)
        return PAT_OK;
    err = pat_json_parse(tree, body, len, NULL);
    if (!err && pat_json_kind(*tree) != PAT_JSON_OBJ)
        err = PAT_EINVAL;
    said = err ? NULL : pat_json_at(*tree, "text");
    if (said && pat_json_kind(said) != PAT_JSON_NULL) {
        *text = pat_json_value_str(said);
        if (!*text || pat_utf8_count(*text, strlen(*text)) > TEXT_MAX ||
            strspn(*text, " \t\r\n") == strlen(*text)) {
            field = "text";
            what = "1 to 300 characters to be spoken";
            err = PAT_EINVAL;
        }
    }
    *set = err ? NULL : pat_json_at(*tree, "settings");
    if (*set)
        err = voice_set_check(*set, &field, &what);
    if (err)
        pat_httpd_reply_error(http, PAT_EINVAL, field, what);
    return err;
}

static int ask_postgres(struct preview *p, const struct who *who, const char *user,
                        const char *text, const struct pat_json *set)
{
    static const char sql[] =
        "select patchbay.preview_of(u.id, $4, $5, $6::jsonb, $7) from public.users u where u.id = "
        "$3::uuid and " ASK_MAY_SEE("u.id");
    PAT_AUTO_STR printed = set ? pat_json_print(set) : NULL;
    const char *params[] = { *who->user ? who->user : NULL,
                             who->admin ? "true" : "false",
                             user,
                             pat_httpd_param(p->http, "voice"),
                             text,
                             printed,
                             p->s->conf->preview_model };

    if (set && !printed)
        return PAT_ENOMEM;
    return pat_db_run1(p->s->d->db, "preview_of", sql, params, 7, DB_MS, on_preview_row, p, NULL);
}

static void on_preview(struct pat_httpd_req *http, void *arg)
{
    struct switcher *s = arg;
    PAT_AUTO_JSON tree = NULL;
    const struct pat_json *set;
    struct preview *p;
    struct who who;
    const char *user, *text;

    if (door_who(&who, s, http) || !(user = door_id(http)) || door_json(http) ||
        read_wish(http, &tree, &text, &set))
        return;
    p = s->previews < AT_ONCE ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        (void)pat_httpd_set_header(http, "Retry-After", "2");
        pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "too much to do, try again");
        return;
    }
    s->previews++;
    p->s = s;
    p->http = http;
    (void)pat_strcpy(p->who, sizeof p->who, *who.user ? who.user : "service");
    if (ask_postgres(p, &who, user, text, set))
        refuse(p, PAT_EUNAVAIL, "too much to do, try again");
}

int voice_preview_routes(struct switcher *s)
{
    return pat_httpd_route(s->httpd, "POST", "/v1/users/{id}/voices/{voice}/preview", BODY_MAX,
                           on_preview, s);
}
