/* voice_vendor.c - ElevenLabs' voices: made, found, deleted. See voices.h. */
#include "voice_vendor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLONE_MS = 60000, SHORT_MS = 15000, FORM_MAX = 16 << 20, ANSWER_MAX = 2 << 20 };

#define LABEL "patchbay " /* and our id: a clone's description */

void vendor_end(struct vendor_ask *a)
{
    *a->at = a->next;
    if (a->next)
        a->next->at = a->at;
    free(a);
}

void vendor_stop(struct switcher *s)
{
    while (s->vendor) {
        pat_http_cancel(s->d->http, s->vendor->http);
        vendor_end(s->vendor);
    }
}

static void hang(struct switcher *s, struct vendor_ask *a)
{
    a->next = s->vendor;
    a->at = &s->vendor;
    if (a->next)
        a->next->at = &a->next;
    s->vendor = a;
}

int vendor_start(struct switcher *s, const struct vendor_call *c, pat_http_done_fn *fn,
                 const struct vendor_ask *a)
{
    struct vendor_ask *kept = malloc(sizeof *kept);
    struct pat_buf url, key;
    const char *headers[3] = { NULL };
    size_t n = 0;
    int err = PAT_ENOMEM;

    pat_buf_init(&url, 4096);
    pat_buf_init(&key, 512);
    if (kept &&
        !pat_buf_addf(&url, "%s%s", c->url ? c->url : s->conf->elevenlabs_url,
                      c->url ? "" : c->path) &&
        !pat_buf_addf(&key, "xi-api-key: %s", s->conf->elevenlabs_key)) {
        *kept = *a;
        if (c->key || !c->url)
            headers[n++] = c->key ? c->key : key.data;
        headers[n] = c->type;
        err = pat_http_start(
            s->d->http,
            &(struct pat_http_req){ .method = c->method,
                                    .url = url.data,
                                    .headers = headers,
                                    .body = c->body ? c->body->data : NULL,
                                    .body_len = c->body ? c->body->len : 0,
                                    .timeout_ms = c->timeout_ms,
                                    .public_only = c->public_only,
                                    .max_body = c->max_body ? c->max_body : ANSWER_MAX },
            NULL, fn, kept, &kept->http);
    }
    if (err)
        free(kept);
    else
        hang(s, kept);
    pat_buf_fini(&url);
    pat_buf_fini(&key);
    return err;
}

const char *vendor_said(const struct pat_json *j, const char *fallback)
{
    const char *text = pat_json_str_or(j, "detail.message", NULL);

    return text ? text : pat_json_str_or(j, "detail", fallback);
}

/* ------------------------------------------------------------------ made */

static void on_cloned(int err, const struct pat_http_res *res, void *arg)
{
    struct vendor_ask *a = arg;
    PAT_AUTO_JSON j = NULL;
    const char *voice = NULL, *why = "the voice's vendor did not answer";

    if (!err && pat_json_parse(&j, res->body, res->len, NULL))
        err = PAT_EUPSTREAM;
    if (!err && res->status == 200 && (voice = pat_json_str_or(j, "voice_id", NULL))) {
        a->then.clone(PAT_OK, voice, "", a->arg);
    } else {
        if (!err && (res->status == 400 || res->status == 422)) {
            const char *status = pat_json_str_or(j, "detail.status", "");

            err = strstr(status, "limit") ? PAT_E2BIG : PAT_EINVAL;
            why = vendor_said(j, "the voice's vendor does not take this recording");
        } else if (!err) {
            err = PAT_EUPSTREAM;
            why = vendor_said(j, "the voice's vendor refused");
        }
        a->then.clone(err, NULL, why, a->arg);
    }
    vendor_end(a);
}

void vendor_form_field(struct pat_buf *b, const char *mark, const char *name, const char *value)
{
    (void)pat_buf_addf(b, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", mark,
                       name, value);
}

/* A name with quotes or line ends would end the header; ours are texts of people. */
static int make_form(struct pat_buf *b, const char *mark, const struct vendor_clone *c)
{
    char label[PAT_ID_LEN + 16];

    (void)snprintf(label, sizeof label, LABEL "%s", c->id);
    vendor_form_field(b, mark, "name", c->name);
    vendor_form_field(b, mark, "description", label);
    vendor_form_field(b, mark, "remove_background_noise", c->denoise ? "true" : "false");
    (void)pat_buf_addf(b,
                       "--%s\r\nContent-Disposition: form-data; name=\"files\"; "
                       "filename=\"sample\"\r\nContent-Type: %s\r\n\r\n",
                       mark, c->type);
    (void)pat_buf_add(b, c->data, c->len);
    return pat_buf_addf(b, "\r\n--%s--\r\n", mark);
}

int vendor_clone(struct switcher *s, const struct vendor_clone *c, vendor_clone_fn *fn, void *arg)
{
    struct pat_id mark = pat_id_new(); /* in no recording */
    struct vendor_ask a = { .then.clone = fn, .arg = arg };
    struct pat_buf form;
    char type[96];
    int err;

    pat_buf_init(&form, FORM_MAX);
    err = make_form(&form, mark.s, c);
    (void)snprintf(type, sizeof type, "Content-Type: multipart/form-data; boundary=%s", mark.s);
    if (!err)
        err = vendor_start(s,
                           &(struct vendor_call){ .method = "POST",
                                                  .path = "/v1/voices/add",
                                                  .type = type,
                                                  .body = &form,
                                                  .timeout_ms = CLONE_MS },
                           on_cloned, &a);
    pat_buf_fini(&form);
    return err;
}

/* ------------------------------------------------------------------ deleted */

static void on_deleted(int err, const struct pat_http_res *res, void *arg)
{
    struct vendor_ask *a = arg;

    if (!err && !vendor_says_gone(res) && res->status != 404 && res->status / 100 != 2)
        err = PAT_EUPSTREAM;
    a->then.done(err, a->arg);
    vendor_end(a);
}

static int ask_about(const struct vendor_ask *a, const char *method, pat_http_done_fn *fn)
{
    struct pat_buf path;
    int err;

    pat_buf_init(&path, 512);
    err = pat_buf_adds(&path, "/v1/voices/");
    if (!err)
        err = pat_url_encode(&path, a->voice);
    if (!err)
        err = vendor_start(
            a->s,
            &(struct vendor_call){ .method = method, .path = path.data, .timeout_ms = SHORT_MS },
            fn, a);
    pat_buf_fini(&path);
    return err;
}

/* Made of a recording in this account. A voice of somebody else's that was taken in from the
 * library may be professional as well, and then is_owner is false (ElevenLabs API reference, "Get
 * voice"). */
static bool is_clone(const struct pat_json *voice)
{
    const char *category = pat_json_str_or(voice, "category", "");
    const char *label = pat_json_str_or(voice, "description", "");

    return !strcmp(category, "cloned") || !strncmp(label, LABEL, strlen(LABEL)) ||
           (!strcmp(category, "professional") && pat_json_bool_or(voice, "is_owner", true));
}

static void on_whose(int err, const struct pat_http_res *res, void *arg)
{
    struct vendor_ask *a = arg;
    bool gone = !err && (vendor_says_gone(res) || res->status == 404);
    PAT_AUTO_JSON j = NULL;

    if (!err && !gone && (res->status != 200 || pat_json_parse(&j, res->body, res->len, NULL)))
        err = PAT_EUPSTREAM;
    if (!err && !gone)
        err = is_clone(j) ? ask_about(a, "DELETE", on_deleted) : PAT_EPERM;
    if (err || gone)
        a->then.done(err, a->arg);
    vendor_end(a);
}

/* Looked at first: a row of the product's says of any voice that it is cloned when it says
 * nothing. */
int vendor_delete(struct switcher *s, const char *voice, vendor_done_fn *fn, void *arg)
{
    struct vendor_ask a = { .then.done = fn, .arg = arg, .s = s };

    return pat_strcpy(a.voice, sizeof a.voice, voice) ? ask_about(&a, "GET", on_whose) : PAT_EINVAL;
}

/* ------------------------------------------------------------------ found */

static void on_found(int err, const struct pat_http_res *res, void *arg)
{
    struct vendor_ask *a = arg;
    PAT_AUTO_JSON j = NULL;
    const char *voice = "";

    if (!err && (res->status != 200 || pat_json_parse(&j, res->body, res->len, NULL)))
        err = PAT_EUPSTREAM;
    PAT_JSON_EACH(v, pat_json_at(j, "voices"))
    if (strstr(pat_json_str_or(v, "description", ""), a->id))
        voice = pat_json_str_or(v, "voice_id", "");
    a->then.find(err, voice, a->arg);
    vendor_end(a);
}

int vendor_find(struct switcher *s, const char *id, vendor_find_fn *fn, void *arg)
{
    struct vendor_ask a = { .then.find = fn, .arg = arg };
    char path[160];

    (void)pat_strcpy(a.id, sizeof a.id, id);
    (void)snprintf(path, sizeof path, "/v2/voices?search=%s&category=cloned&page_size=100", id);
    return vendor_start(
        s, &(struct vendor_call){ .method = "GET", .path = path, .timeout_ms = SHORT_MS }, on_found,
        &a);
}
