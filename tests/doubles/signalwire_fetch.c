/* signalwire_fetch.c - the carrier's requests to its customer, signed, with the carrier's own
 * patience.
 *
 * Limits (SignalWire docs, "cXML voice: webhooks"): connect 2 s, first byte 5 s, overridden by #ot=
 * and #rt= in the configured address; a valid content type; no repetition of document requests.
 */
#include "signalwire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS 2000
#define READ_MS    5000
#define TELL_TRIES 3
#define REDIRECTS  3

struct told {
    struct sw *sw;
    char *url, *body, *signature;
    int tries;
    bool json;
};

void sw_form_add(struct sw_form *f, const char *name, const char *value)
{
    if (f->n < SW_FIELDS)
        f->fields[f->n++] = (struct pat_param){ name, value };
}

void sw_form_call(struct sw_form *f, const struct sw_call *c, const char *status)
{
    static const char *const directions[] = { "inbound", "outbound-dial", "outbound-api" };

    sw_form_add(f, "CallSid", c->sid.s);
    sw_form_add(f, "AccountSid",
                *c->sw->project ? c->sw->project : "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee");
    sw_form_add(f, "ApiVersion", "2010-04-01");
    sw_form_add(f, "From", c->from);
    sw_form_add(f, "To", c->to);
    sw_form_add(f, "CallStatus", status);
    sw_form_add(f, "Direction", directions[c->direction]);
    if (c->parent)
        sw_form_add(f, "ParentCallSid", c->parent->sid.s);
}

static char *form_body(const struct sw_form *f)
{
    struct pat_buf b;
    char *text;

    pat_buf_init(&b, 65536);
    for (size_t i = 0; i < f->n; i++) {
        if (i)
            pat_buf_adds(&b, "&");
        pat_url_encode(&b, f->fields[i].name);
        pat_buf_adds(&b, "=");
        pat_url_encode(&b, f->fields[i].value);
    }
    text = pat_buf_take(&b);
    pat_buf_fini(&b);
    return text;
}

static char *signature_header(const struct sw *sw, const char *url, const struct sw_form *f)
{
    struct pat_buf b;
    char *text;

    pat_buf_init(&b, 512);
    pat_buf_adds(&b, sw->twilio ? "X-Twilio-Signature: " : "X-SignalWire-Signature: ");
    if (pat_sign_signalwire_form(&b, sw->signing_key, url, f->fields, f->n))
        b.err = PAT_EINTERNAL;
    text = pat_buf_take(&b);
    pat_buf_fini(&b);
    return text;
}

/* "#ot=500&rt=1000": the customer's own limits. */
static int64_t fragment_ms(const char *url, const char *key, int64_t fallback, int64_t max)
{
    const char *s = strchr(url, '#');
    size_t len = strlen(key);

    for (s = s ? s + 1 : ""; *s; s += strcspn(s, "&"), s += *s == '&')
        if (!strncmp(s, key, len) && s[len] == '=') {
            int64_t ms = strtoll(s + len + 1, NULL, 10);

            return ms >= 100 && ms <= max ? ms : fallback;
        }
    return fallback;
}

static void use_fallback(struct sw_call *c, const char *code)
{
    struct sw_form f = { 0 };
    char failed[SW_URL_MAX]; /* c->url is the fallback's from now on */

    pat_strcpy(failed, sizeof failed, c->url);

    sw_note(c, "error", dbl_obj("code", code));
    if (c->fallback_used || !*c->sw->fallback_url) {
        sw_end(c, "failed");
        return;
    }
    c->fallback_used = true;
    sw_form_call(&f, c, c->answered ? "in-progress" : "ringing");
    sw_form_add(&f, "ErrorCode", code);
    sw_form_add(&f, "ErrorUrl", failed);
    sw_fetch(c, c->sw->fallback_url, &f);
}

/* Scheme A, over the body as sent. */
static char *json_signature(const struct sw *sw, const char *url, const char *body)
{
    struct pat_buf b;
    char *text;

    pat_buf_init(&b, 512);
    pat_buf_adds(&b, "X-SignalWire-Signature: ");
    if (pat_sign_signalwire_json(&b, sw->signing_key, url, body, strlen(body), false))
        b.err = PAT_EINTERNAL;
    text = pat_buf_take(&b);
    pat_buf_fini(&b);
    return text;
}

static bool is_json(const struct pat_http_res *res)
{
    char type[128];

    return pat_http_header(res, "content-type", type, sizeof type) &&
           !strncmp(type, "application/json", 16);
}

static bool is_xml(const struct pat_http_res *res)
{
    char type[128];

    return pat_http_header(res, "content-type", type, sizeof type) &&
           (!strncmp(type, "text/xml", 8) || !strncmp(type, "application/xml", 15));
}

static void note_answer(struct sw_call *c, int err, const struct pat_http_res *res)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_str(j, "url", c->url);
    pat_json_set_int(j, "status", err ? 0 : res->status);
    pat_json_set_num(j, "answer_ms", (double)(pat_now_us() - c->asked_ms) / 1000);
    if (!err)
        pat_json_set_str(j, "document", res->body);
    else
        pat_json_set_str(j, "error", pat_err_name(err));
    sw_note(c, "answer", j);
}

static void on_document(int err, const struct pat_http_res *res, void *arg)
{
    struct sw_call *c = arg;
    char url[SW_URL_MAX];

    c->http = 0;
    note_answer(c, err, res);
    if (c->hung_up) {
        sw_end(c, "completed");
        return;
    }
    if (!err && res->status / 100 == 3 && c->redirects++ < REDIRECTS &&
        pat_http_header(res, "location", url, sizeof url)) {
        struct sw_form f = { 0 };

        sw_form_call(&f, c, "ringing");
        sw_fetch(c, url, &f);
        return;
    }
    if (err || res->status / 100 != 2 || !(c->swml ? is_json(res) : is_xml(res))) {
        use_fallback(c, "11200");
        return;
    }
    cxml_doc_fini(&c->doc);
    if (c->swml ? sw_swml_read(&c->doc, res->body, res->len)
                : cxml_read(&c->doc, res->body, res->len)) {
        sw_note(c, "bad_document", dbl_obj("why", c->doc.why));
        use_fallback(c, "12100");
        return;
    }
    c->at = 0;
    sw_play(c);
}

/* NULL: SWML asks unsigned once its call runs; only the first request is the number's own. */
static char *fetch_signature(struct sw_call *c, const char *bare, const char *body,
                             const struct sw_form *f)
{
    if (!c->swml)
        return signature_header(c->sw, bare, f);
    return c->answered || c->redirects || strncmp(c->sw->voice_url, bare, strlen(bare))
               ? strdup("X-Nothing: 1")
               : json_signature(c->sw, bare, body);
}

static int ask(struct sw_call *c, const char *url, const struct sw_form *f)
{
    PAT_AUTO_STR body = c->swml ? sw_swml_body(c) : form_body(f);
    PAT_AUTO_STR signature = NULL;
    const char *headers[] = { c->swml ? "Content-Type: application/json"
                                      : "Content-Type: application/x-www-form-urlencoded",
                              NULL, NULL };
    char bare[SW_URL_MAX];

    /* The fragment is the customer's advice to us and stays out of request and signature. */
    pat_strcpy(bare, sizeof bare, url);
    bare[strcspn(bare, "#")] = 0;
    signature = body ? fetch_signature(c, bare, body, f) : NULL;
    if (!signature)
        return PAT_ENOMEM;
    headers[1] = signature;
    return pat_http_start(
        c->sw->d->http,
        &(struct pat_http_req){ .method = "POST",
                                .url = bare,
                                .headers = headers,
                                .body = body,
                                .body_len = strlen(body),
                                .timeout_ms = fragment_ms(url, "rt", READ_MS, 15000),
                                .connect_timeout_ms = fragment_ms(url, "ot", CONNECT_MS, 10000),
                                .max_body = 1 << 20 },
        NULL, on_document, c, &c->http);
}

void sw_fetch(struct sw_call *c, const char *url, const struct sw_form *f)
{
    if (url != c->url)
        pat_strcpy(c->url, sizeof c->url, url);
    c->state = SW_ASKING;
    c->asked_ms = pat_now_us();
    if (ask(c, url, f))
        sw_end(c, "failed");
}

/* ------------------------------------------------------------------ status callbacks */

static void told_free(void *arg)
{
    struct told *t = arg;

    free(t->url);
    free(t->body);
    free(t->signature);
    free(t);
}

static void tell_again(void *arg);

static void on_told(int err, const struct pat_http_res *res, void *arg)
{
    struct told *t = arg;

    if ((!err && res->status / 100 == 2) || t->tries == TELL_TRIES ||
        dbl_after(t->sw->d, 200LL * t->tries, tell_again, told_free, t))
        told_free(t);
}

static void tell_again(void *arg)
{
    struct told *t = arg;
    const char *headers[] = { t->json ? "Content-Type: application/json"
                                      : "Content-Type: application/x-www-form-urlencoded",
                              t->signature, NULL };
    pat_http_id id;

    t->tries++;
    if (pat_http_start(t->sw->d->http,
                       &(struct pat_http_req){ .method = "POST",
                                               .url = t->url,
                                               .headers = headers,
                                               .body = t->body,
                                               .body_len = strlen(t->body),
                                               .timeout_ms = READ_MS },
                       NULL, on_told, t, &id))
        told_free(t);
}

void sw_tell(struct sw_call *c, const char *url, const struct sw_form *f)
{
    struct told *t = calloc(1, sizeof *t);

    if (!t)
        return;
    t->sw = c->sw;
    t->url = strdup(url);
    t->body = form_body(f);
    if (t->url)
        t->url[strcspn(t->url, "#")] = 0;
    t->signature = t->url ? signature_header(c->sw, t->url, f) : NULL;
    if (t->body && t->signature)
        tell_again(t);
    else
        told_free(t);
}

void sw_tell_json(struct sw_call *c, const char *url, const struct pat_json *body)
{
    struct told *t = calloc(1, sizeof *t);

    if (!t)
        return;
    t->sw = c->sw;
    t->json = true;
    t->url = strdup(url);
    t->body = pat_json_print(body);
    if (t->url)
        t->url[strcspn(t->url, "#")] = 0;
    t->signature = strdup("X-Nothing: 1"); /* events of a running SWML call are not signed */
    if (t->body && t->signature && t->url)
        tell_again(t);
    else
        told_free(t);
}
