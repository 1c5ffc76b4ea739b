/* voice_look.c - what ElevenLabs has: one voice, all clones by pages; and its name for one.
 *
 * "Not there" is believed only where the vendor says it of this very voice: a key that lost its
 * rights, or an account out of order, is no answer.
 */
#include "voice_vendor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_MS = 15000, FORM_MAX = 4096, PAGE_MAX = 8 << 20 };

/* ElevenLabs API reference, "Errors": voice_not_found comes with 404 or 400. */
bool vendor_says_gone(const struct pat_http_res *res)
{
    PAT_AUTO_JSON j = NULL;

    if ((res->status != 404 && res->status != 400) || pat_json_parse(&j, res->body, res->len, NULL))
        return false;
    return strstr(pat_json_str_or(j, "detail.status", ""), "voice_not_found") ||
           strstr(pat_json_str_or(j, "detail.code", ""), "voice_not_found") ||
           strstr(pat_json_str_or(j, "detail.status", ""), "voice_does_not_exist");
}

/* ------------------------------------------------------------------ one voice */

static void on_look(int err, const struct pat_http_res *res, void *arg)
{
    struct vendor_ask *a = arg;
    bool gone = !err && vendor_says_gone(res);

    if (!err && !gone && res->status != 200)
        err = PAT_EUPSTREAM;
    a->then.there(err, !gone, a->arg);
    vendor_end(a);
}

static int voice_path(struct pat_buf *path, const char *voice, const char *tail)
{
    int err = pat_buf_adds(path, "/v1/voices/");

    if (!err)
        err = pat_url_encode(path, voice);
    return err ? err : pat_buf_adds(path, tail);
}

int vendor_look(struct switcher *s, const char *voice, vendor_there_fn *fn, void *arg)
{
    struct vendor_ask a = { .then.there = fn, .arg = arg };
    struct pat_buf path;
    int err;

    pat_buf_init(&path, 512);
    err = voice_path(&path, voice, "");
    if (!err)
        err = vendor_start(
            s, &(struct vendor_call){ .method = "GET", .path = path.data, .timeout_ms = SHORT_MS },
            on_look, &a);
    pat_buf_fini(&path);
    return err;
}

/* ------------------------------------------------------------------ its name */

static void on_renamed(int err, const struct pat_http_res *res, void *arg)
{
    struct vendor_ask *a = arg;

    if (!err && vendor_says_gone(res))
        err = PAT_ENOENT;
    else if (!err && res->status / 100 != 2)
        err = PAT_EUPSTREAM;
    a->then.done(err, a->arg);
    vendor_end(a);
}

int vendor_rename(struct switcher *s, const char *voice, const char *name, vendor_done_fn *fn,
                  void *arg)
{
    struct pat_id mark = pat_id_new();
    struct vendor_ask a = { .then.done = fn, .arg = arg };
    struct pat_buf path, form;
    char type[96];
    int err;

    pat_buf_init(&path, 512);
    pat_buf_init(&form, FORM_MAX);
    (void)snprintf(type, sizeof type, "Content-Type: multipart/form-data; boundary=%s", mark.s);
    vendor_form_field(&form, mark.s, "name", name);
    err = pat_buf_addf(&form, "--%s--\r\n", mark.s);
    if (!err)
        err = voice_path(&path, voice, "/edit");
    if (!err)
        err = vendor_start(s,
                           &(struct vendor_call){ .method = "POST",
                                                  .path = path.data,
                                                  .type = type,
                                                  .body = &form,
                                                  .timeout_ms = SHORT_MS },
                           on_renamed, &a);
    pat_buf_fini(&form);
    pat_buf_fini(&path);
    return err;
}

/* ------------------------------------------------------------------ all clones */

static void on_page(int err, const struct pat_http_res *res, void *arg)
{
    struct vendor_ask *a = arg;
    PAT_AUTO_JSON j = NULL;
    const struct pat_json *voices;
    const char *next = NULL;

    if (!err && (res->status != 200 || pat_json_parse(&j, res->body, res->len, NULL)))
        err = PAT_EUPSTREAM;
    voices = err ? NULL : pat_json_at(j, "voices");
    if (!err && (!voices || pat_json_kind(voices) != PAT_JSON_ARR))
        err = PAT_EUPSTREAM;
    if (!err && pat_json_bool_or(j, "has_more", false)) {
        next = pat_json_str_or(j, "next_page_token", NULL);
        if (!next) /* more, and no way to it: not the whole list */
            err = PAT_EUPSTREAM;
    }
    a->then.page(err, voices, next, a->arg);
    vendor_end(a);
}

int vendor_page(struct switcher *s, const char *token, vendor_page_fn *fn, void *arg)
{
    struct vendor_ask a = { .then.page = fn, .arg = arg };
    struct pat_buf path;
    int err;

    pat_buf_init(&path, 2048);
    err = pat_buf_adds(&path, "/v2/voices?category=cloned&page_size=100");
    if (!err && token) {
        (void)pat_buf_adds(&path, "&next_page_token=");
        err = pat_url_encode(&path, token);
    }
    if (!err)
        err = vendor_start(
            s,
            &(struct vendor_call){
                .method = "GET", .path = path.data, .timeout_ms = SHORT_MS, .max_body = PAGE_MAX },
            on_page, &a);
    pat_buf_fini(&path);
    return err;
}
