/* voices_api.c - a user's voices by HTTP: what there is, a clone made of a recording, a clone taken
 * away.
 *
 * The recording goes to the vendor and is not kept here; what is kept is who agreed to it, in which
 * words, and its hash.
 */
#include "ask.h"
#include "door.h"
#include "sample.h"
#include "verdict.h"
#include "voices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    DB_MS = 5000,
    SAMPLE_MAX = 10 << 20, /* the vendor's limit for a file */
    SHORTEST_MS = 10000,
    LONGEST_MS = 5 * 60 * 1000,
    SPEECH_MIN = 30, /* percent */
    NAME_MAX = 80,
    CONSENT_MAX = 1000, /* characters */
    CHARACTER_MAX = 4,  /* bytes of one */
    FIELDS_MAX = 12,
};

/* ------------------------------------------------------------------ what there is */

static void on_list(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    const char *user;

    if (!door_who(&who, arg, http) && (user = door_id(http)))
        ask(arg, http, &who,
            &(struct question){ .name = "voices_of",
                                .sql = "select patchbay.voices_of(u.id) from public.users u where "
                                       "u.id = $3::uuid and " ASK_MAY_SEE("u.id"),
                                .params = { user },
                                .n = 1 });
}

/* ------------------------------------------------------------------ a clone is asked for */

/* From the request to its answer. The request's body, with the recording in it, stays until then.
 */
struct cloning {
    struct switcher *s;
    struct pat_httpd_req *http;
    struct pat_part audio;
    struct sample sample;
    char id[PAT_ID_LEN + 1];
    char name[NAME_MAX * CHARACTER_MAX + 1];
    bool denoise, use;
    char *by; /* who asks, for the audit */
};

static void cloning_free(struct cloning *c)
{
    free(c->by);
    free(c);
}

static void refuse(struct cloning *c, int err, const char *field, const char *why)
{
    pat_httpd_reply_error(c->http, err, field, why);
    cloning_free(c);
}

static void on_made(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct cloning *c = arg;
    const char *text = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    if (!text) { /* voices.c takes away what the vendor has made */
        refuse(c, PAT_EUNAVAIL, NULL, "the database did not answer, try again");
        return;
    }
    pat_log(PAT_INFO, "voice.cloned", PAT_S("clone", c->id));
    pat_httpd_reply(c->http, 201, "application/json", text, strlen(text));
    cloning_free(c);
}

static void on_failure_noted(int err, const struct pat_db_result *const *results, size_t n,
                             void *arg)
{
    (void)err;
    (void)results;
    (void)n;
    (void)arg;
}

/* Only where the vendor has said no: what it left open stays asked for, and is looked for later. */
static void note_failure(struct cloning *c, const char *why)
{
    const char *params[] = { c->id, why };

    (void)!pat_db_run1(c->s->d->db, "clone_failed",
                       "update patchbay.voice_clones set state = 'failed', error = left($2, 500), "
                       "changed_at = now() where id = $1::uuid and state = 'asked'",
                       params, 2, DB_MS, on_failure_noted, NULL, NULL);
}

static void on_vendor(int err, const char *voice, const char *why, void *arg)
{
    struct cloning *c = arg;
    const char *params[] = { c->id, voice, c->use ? "true" : "false", c->by };

    if (err) {
        pat_log(PAT_WARN, "voice.not_cloned", PAT_S("clone", c->id), PAT_ERR(err));
        if (err == PAT_EINVAL || err == PAT_E2BIG)
            note_failure(c, why);
        if (err == PAT_E2BIG)
            refuse(c, PAT_EUNAVAIL, NULL, "there is no place for another voice just now");
        else
            refuse(c, err == PAT_EINVAL ? err : PAT_EUPSTREAM, err == PAT_EINVAL ? "audio" : NULL,
                   why);
    } else if (pat_db_run1(c->s->d->db, "clone_made",
                           "select patchbay.clone_made($1::uuid, $2, $3::boolean, $4::jsonb)",
                           params, 4, DB_MS, on_made, c, NULL)) {
        refuse(c, PAT_EUNAVAIL, NULL, "too much to do, try again");
    }
}

static void on_begun(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct cloning *c = arg;
    PAT_AUTO_JSON reply = NULL;
    const char *text = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
    struct vendor_clone v = { c->id,         c->name,      c->sample.type,
                              c->audio.data, c->audio.len, c->denoise };
    const char *word;

    if (err || (text && pat_json_parse(&reply, text, strlen(text), NULL))) {
        refuse(c, PAT_EUNAVAIL, NULL, "the database did not answer, try again");
    } else if (!text || (word = pat_json_str_or(reply, "error", NULL))) {
        bool there = text && strcmp(pat_json_str_or(reply, "error", ""), "not_found") != 0;

        refuse(c, there ? PAT_EEXIST : PAT_ENOENT, NULL,
               pat_json_str_or(reply, "message", "no such thing"));
    } else if (vendor_clone(c->s, &v, on_vendor, c)) {
        refuse(c, PAT_EUNAVAIL, NULL, "too much to do, try again");
    }
}

/* ------------------------------------------------------------------ the form */

/* One line of at most so many characters, and not of blanks only. */
static bool text_of(char *out, size_t max, const struct pat_part *p)
{
    if (!p || !p->len || p->len > max * CHARACTER_MAX)
        return false;
    memcpy(out, p->data, p->len);
    out[p->len] = '\0';
    return !memchr(out, '\0', p->len) && !strpbrk(out, "\r\n") && strspn(out, " \t") < p->len &&
           pat_utf8_valid(out, p->len) && pat_utf8_count(out, p->len) <= max;
}

/* What a form sends for a box that nobody ticked is no consent. */
static bool is_refusal(const char *text)
{
    static const char *const words[] = { "false", "no", "0", "off", "null", "undefined" };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strcasecmp(text, words[i]))
            return true;
    return false;
}

static bool is_yes(const struct pat_part *p)
{
    return p && ((p->len == 4 && !memcmp(p->data, "true", 4)) || (p->len == 1 && *p->data == '1'));
}

/* NULL: it will do. */
static const char *wrong_sample(struct cloning *c)
{
    const struct sample *s = &c->sample;

    if (!c->audio.len || c->audio.len > SAMPLE_MAX)
        return "a recording of at most 10 MiB";
    if (sample_read(c->audio.data, c->audio.len, &c->sample))
        return "must be WAV, MP3, M4A, Ogg or WebM";
    if (s->duration_ms < SHORTEST_MS)
        return "at least 10 seconds; one to two minutes are best";
    if (s->duration_ms > LONGEST_MS)
        return "at most 5 minutes";
    if (s->looked && s->speech_percent < SPEECH_MIN)
        return "nearly nothing can be heard in it";
    return s->looked && s->clipped_percent > 5 ? "it is too loud, and distorted" : NULL;
}

/* On failure it has replied. */
static int read_form(struct cloning *c, char consent[CONSENT_MAX * CHARACTER_MAX + 1])
{
    struct pat_part parts[FIELDS_MAX];
    const struct pat_part *audio;
    size_t len, n;
    const char *body = pat_httpd_body(c->http, &len), *field = NULL, *what = NULL;

    if (pat_multipart_parse(pat_httpd_header(c->http, "content-type"), body, len, parts, FIELDS_MAX,
                            &n)) {
        what = "must be multipart/form-data";
    } else if (!text_of(c->name, NAME_MAX, pat_multipart_find(parts, n, "name"))) {
        field = "name";
        what = "1 to 80 characters, one line";
    } else if (!text_of(consent, CONSENT_MAX, pat_multipart_find(parts, n, "consent")) ||
               is_refusal(consent)) {
        field = "consent";
        what = "the words that whose voice it is has agreed to";
    } else if (!(audio = pat_multipart_find(parts, n, "audio"))) {
        field = "audio";
        what = "a recording";
    } else {
        c->audio = *audio;
        c->denoise = is_yes(pat_multipart_find(parts, n, "remove_background_noise"));
        c->use = is_yes(pat_multipart_find(parts, n, "use"));
        field = "audio";
        what = wrong_sample(c);
    }
    if (what)
        pat_httpd_reply_error(c->http, PAT_EINVAL, field, what);
    return what ? PAT_EINVAL : PAT_OK;
}

static void hash_of(const struct cloning *c, char out[2 * 32 + 1])
{
    uint8_t hash[32];

    pat_sha256(c->audio.data, c->audio.len, hash);
    for (size_t i = 0; i < sizeof hash; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

static int begin(struct cloning *c, const struct who *who, const char *user, const char *consent)
{
    PAT_AUTO_JSON p = pat_json_obj();
    PAT_AUTO_STR text = NULL;
    char hash[2 * 32 + 1];
    const char *params[] = { *who->user ? who->user : NULL, who->admin ? "true" : "false", user,
                             NULL };
    int err;

    hash_of(c, hash);
    pat_json_set_str(p, "id", c->id);
    pat_json_set_str(p, "user_id", user);
    pat_json_set_str(p, "name", c->name);
    pat_json_set_str(p, "sample_type", c->sample.type);
    pat_json_set_int(p, "sample_bytes", (int64_t)c->audio.len);
    pat_json_set_int(p, "sample_ms", c->sample.duration_ms);
    pat_json_set_str(p, "sample_sha256", hash);
    pat_json_set_str(p, "consent_text", consent);
    pat_json_set_str(p, "consent_by", *who->user ? who->user : "service");
    pat_json_set_int(p, "max", c->s->conf->voices_per_user);
    params[3] = text = pat_json_print(p);
    err = text ? PAT_OK : PAT_ENOMEM;
    return err ? err
               : pat_db_run1(c->s->d->db, "clone_begin",
                             "select patchbay.clone_begin($4::jsonb) from public.users u where "
                             "u.id = $3::uuid and " ASK_MAY_SEE("u.id"),
                             params, 4, DB_MS, on_begun, c, NULL);
}

static void on_clone(struct pat_httpd_req *http, void *arg)
{
    struct switcher *s = arg;
    char consent[CONSENT_MAX * CHARACTER_MAX + 1];
    struct cloning *c;
    struct who who;
    const char *user;

    if (door_who(&who, s, http) || !(user = door_id(http)) || door_form(http))
        return;
    if (!*s->conf->elevenlabs_key) {
        pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "no vendor of voices is set up here");
        return;
    }
    c = calloc(1, sizeof *c);
    if (!c) {
        pat_httpd_reply_error(http, PAT_ENOMEM, NULL, "too much to do, try again");
        return;
    }
    c->s = s;
    c->http = http;
    (void)pat_strcpy(c->id, sizeof c->id, pat_id_new().s);
    c->by = verdict_by(&who, http);
    if (read_form(c, consent))
        cloning_free(c);
    else if (!c->by || begin(c, &who, user, consent))
        refuse(c, PAT_EUNAVAIL, NULL, "too much to do, try again");
}

/* ------------------------------------------------------------------ a clone leaves */

static void on_delete(struct pat_httpd_req *http, void *arg)
{
    struct switcher *s = arg;
    PAT_AUTO_STR by = NULL;
    struct who who;
    const char *user;

    if (door_who(&who, s, http) || !(user = door_id(http)))
        return;
    by = verdict_by(&who, http);
    if (!by) {
        pat_httpd_reply_error(http, PAT_ENOMEM, NULL, NULL);
        return;
    }
    ask(s, http, &who,
        &(struct question){
            .name = "voice_leave",
            .sql = "select patchbay.voice_leave(u.id, $4, $5, 'asked for', $6::jsonb) from "
                   "public.users u where u.id = $3::uuid and " ASK_MAY_SEE("u.id"),
            .params = { user, pat_httpd_param(http, "voice"), s->conf->voice_fallback, by },
            .n = 4 });
}

int voices_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/v1/users/{id}/voices", 0, on_list },
        { "POST", "/v1/users/{id}/voices", SAMPLE_MAX + ((size_t)64 << 10), on_clone },
        { "DELETE", "/v1/users/{id}/voices/{voice}", 0, on_delete },
        { 0 },
    };
    int err = pat_httpd_routes(s->httpd, routes, s);

    if (!err)
        err = voice_edit_routes(s);
    return err ? err : voice_preview_routes(s);
}
