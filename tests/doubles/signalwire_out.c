/* signalwire_out.c - the REST API's new calls to a SIP address.
 *
 * The address is invited as a dialled one is; when it answers, the call's own document is played to
 * it. Whoever hangs up first ends both.
 */
#include "signalwire.h"

#include "sip.h"

#include <stdio.h>
#include <string.h>

#define LEG_MAX_MS (4 * 3600 * 1000LL)

static const char *base_of(const struct sw *sw, const char *host)
{
    for (int i = 0; i < sw->n_hosts; i++)
        if (!strcmp(sw->hosts[i].name, host))
            return sw->hosts[i].base;
    return NULL;
}

static void on_gone(int err, const struct pat_http_res *res, void *arg)
{
    struct sw_call *c = arg;

    (void)err, (void)res;
    c->dialog[0] = 0;
    sw_end(c, "completed");
}

static void on_bye(int err, const struct pat_http_res *res, void *arg)
{
    (void)err, (void)res, (void)arg;
}

static void request(struct sw_call *c, const char *method, const char *what, int64_t timeout_ms,
                    pat_http_done_fn *fn)
{
    char url[512];
    pat_http_id id;

    snprintf(url, sizeof url, "%s/sip/dialog/%s%s", c->sip_base, c->dialog, what);
    if (pat_http_start(
            c->sw->d->http,
            &(struct pat_http_req){ .method = method, .url = url, .timeout_ms = timeout_ms }, NULL,
            fn, c, &id))
        sw_note(c, "no_request", NULL);
}

void sw_out_ended(struct sw_call *c)
{
    if (c->direction == SW_BY_API && *c->dialog)
        request(c, "POST", "/bye", 5000, on_bye);
}

static void on_answered(int err, const struct pat_http_res *res, void *arg)
{
    struct sw_call *c = arg;
    PAT_AUTO_JSON j = NULL;
    struct sw_form f = { 0 };
    int status = err == PAT_ETIMEDOUT ? 408 : 503;

    if (!err && !pat_json_parse(&j, res->body, res->len, NULL))
        status = (int)pat_json_int_or(j, "status", 503);
    if (status == 200)
        pat_strcpy(c->dialog, sizeof c->dialog, pat_json_str_or(j, "dialog", ""));
    if (c->state == SW_ENDED) { /* too late */
        sw_out_ended(c);
        return;
    }
    if (status != 200) {
        sw_end(c, status == 486 || status == 600   ? "busy"
                  : status == 408 || status == 480 ? "no-answer"
                                                   : "failed");
        return;
    }
    c->answered = true;
    c->answered_ms = pat_now_ms();
    sw_note(c, "answered", NULL);
    request(c, "GET", "", LEG_MAX_MS, on_gone);
    sw_phone_tell(c, SW_ANSWERED, "in-progress");
    sw_form_call(&f, c, "in-progress");
    sw_fetch(c, c->answer_url, &f);
}

void sw_out_ring(struct sw_call *c, const struct sw_auth *auth, int64_t timeout_ms)
{
    PAT_AUTO_JSON j = dbl_obj("uri", c->to);
    PAT_AUTO_STR body = NULL;
    const char *headers[] = { "Content-Type: application/json", NULL };
    char host[128] = "", url[512];
    const char *base;
    pat_http_id id;

    c->state = SW_RINGING;
    sw_note(c, "ringing", dbl_obj("to", c->to));
    sw_phone_tell(c, SW_INITIATED, "initiated");
    sip_host(host, sizeof host, c->to);
    base = base_of(c->sw, host);
    pat_json_set_str(j, "from", c->from);
    pat_json_set_str(j, "call_id", c->sid.s);
    pat_json_set_take(j, "headers", sip_headers(c->to));
    pat_json_set_str(j, "username", auth->user);
    pat_json_set_str(j, "password", auth->password);
    body = pat_json_print(j);
    pat_strcpy(c->sip_base, sizeof c->sip_base, base ? base : "");
    snprintf(url, sizeof url, "%s/sip/invite", c->sip_base);
    if (!base || !body ||
        pat_http_start(c->sw->d->http,
                       &(struct pat_http_req){ .method = "POST",
                                               .url = url,
                                               .headers = headers,
                                               .body = body,
                                               .body_len = strlen(body),
                                               .timeout_ms = timeout_ms },
                       NULL, on_answered, c, &id))
        sw_end(c, "failed");
}
