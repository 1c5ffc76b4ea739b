/* signalwire_rest.c - the carrier's REST API: calls are made, looked at, redirected and ended.
 *
 * The compatibility API's forms (docs.signalwire.com, "Compatibility API: Calls"), which are
 * Twilio's under another address, so both are served; and the JSON commands for legs that run SWML.
 * HTTP Basic; errors have the vendor's body.
 */
#include "signalwire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sw_refuse(struct pat_httpd_req *r, int status, const char *code, const char *message)
{
    struct pat_json *j = dbl_obj("code", code);
    char more[128];

    snprintf(more, sizeof more, "https://developer.signalwire.com/compatibility-api/errors/%s",
             code);
    pat_json_set_str(j, "message", message);
    pat_json_set_str(j, "more_info", more);
    pat_json_set_int(j, "status", status);
    dbl_reply(r, status, j);
}

static bool authorized(struct sw *sw, struct pat_httpd_req *r)
{
    const char *header = pat_httpd_header(r, "authorization");
    char want[160];
    struct pat_buf got;
    bool ok = false;

    snprintf(want, sizeof want, "%s:%s", sw->project, sw->token);
    pat_buf_init(&got, 512);
    if (header && !strncmp(header, "Basic ", 6) && *sw->token &&
        !pat_unbase64(&got, header + 6, strlen(header + 6)))
        ok = got.len == strlen(want) && !memcmp(got.data, want, got.len);
    pat_buf_fini(&got);
    return ok;
}

bool sw_turned_away(struct sw *sw, struct pat_httpd_req *r)
{
    const char *account = pat_httpd_param(r, "account");
    struct dbl_fail f;

    if (dbl_fail_take(sw->d, pat_httpd_path(r), &f))
        sw_refuse(r, f.status, *f.code ? f.code : "20500", f.message);
    else if (!authorized(sw, r))
        sw_refuse(r, 401, "20003", "Authenticate");
    else if (account && strcmp(account, sw->project))
        sw_refuse(r, 404, "20404", "The requested resource was not found");
    else
        return false;
    return true;
}

static const char *status_of(const struct sw_call *c)
{
    switch (c->state) {
    case SW_ENDED:
        return c->answered ? "completed" : "canceled";
    case SW_RINGING:
        return "ringing";
    default:
        return c->answered ? "in-progress" : "ringing";
    }
}

static struct pat_json *call_json(const struct sw_call *c)
{
    static const char *const directions[] = { "inbound", "outbound-dial", "outbound-api" };
    struct pat_json *j = dbl_obj("sid", c->sid.s);
    char uri[256], date[40];

    snprintf(uri, sizeof uri, "/api/laml/2010-04-01/Accounts/%s/Calls/%s", c->sw->project,
             c->sid.s);
    pat_json_set_str(j, "account_sid", c->sw->project);
    pat_json_set_str(j, "parent_call_sid", c->parent ? c->parent->sid.s : NULL);
    pat_json_set_str(j, "to", c->to);
    pat_json_set_str(j, "from", c->from);
    pat_json_set_str(j, "status", status_of(c));
    pat_json_set_str(j, "direction", directions[c->direction]);
    sw_date(c->began_at_ms, date);
    pat_json_set_str(j, "start_time", date);
    pat_json_set_str(j, "date_created", date);
    sw_date(c->ended_at_ms, date);
    pat_json_set_str(j, "end_time", c->ended_at_ms ? date : NULL);
    snprintf(date, sizeof date, "%lld",
             c->ended_at_ms && c->answered ? (long long)(c->ended_at_ms - c->began_at_ms) / 1000
                                           : 0LL);
    pat_json_set_str(j, "duration", date);
    pat_json_set_str(j, "api_version", "2010-04-01");
    pat_json_set_str(j, "uri", uri);
    pat_json_set_take(j, "subresource_uris", pat_json_obj());
    return j;
}

/* Ids may come with Twilio's ".json". */
static struct sw_call *named(struct sw *sw, struct pat_httpd_req *r)
{
    char sid[64];
    size_t n;

    if (!pat_strcpy(sid, sizeof sid, pat_httpd_param(r, "sid")))
        return NULL;
    n = strlen(sid);
    if (n > 5 && !strcmp(sid + n - 5, ".json"))
        sid[n - 5] = 0;
    return sw_find(sw, sid);
}

static bool is_one(struct sw *sw, const char *account_number)
{
    (void)sw;
    return *account_number == '+' || !strncmp(account_number, "sip:", 4);
}

static void place(struct sw *sw, struct pat_httpd_req *r, const struct pat_param *p, size_t n)
{
    const char *to = pat_param_find(p, n, "To"), *from = pat_param_find(p, n, "From");
    const char *url = pat_param_find(p, n, "Url"), *cb = pat_param_find(p, n, "StatusCallback");
    const char *timeout = pat_param_find(p, n, "Timeout");
    int64_t ring_ms = (timeout ? strtoll(timeout, NULL, 10) : 60) * 1000;
    const char *user = pat_param_find(p, n, "SipAuthUsername");
    const char *password = pat_param_find(p, n, "SipAuthPassword");
    struct sw_auth auth = { 0 };
    struct sw_call *c;

    if (!to || !from || !is_one(sw, to) || !is_one(sw, from)) {
        sw_refuse(r, 422, "21201", "To and From must be phone numbers in E.164 format");
        return;
    }
    if (!url || strncmp(url, "http", 4)) {
        sw_refuse(r, 422, "21205", "Url parameter is required");
        return;
    }
    c = sw_call_new(sw, from, to);
    if (!c) {
        sw_refuse(r, 503, "20503", "out of memory");
        return;
    }
    c->direction = SW_BY_API;
    pat_strcpy(c->answer_url, sizeof c->answer_url, url);
    pat_strcpy(c->status_cb, sizeof c->status_cb, cb ? cb : "");
    for (size_t i = 0; i < n; i++)
        if (!strcmp(p[i].name, "StatusCallbackEvent"))
            c->status_events |= sw_phone_events(p[i].value);
    if (!c->status_events)
        c->status_events = SW_COMPLETED;
    pat_strcpy(auth.user, sizeof auth.user, user ? user : "");
    pat_strcpy(auth.password, sizeof auth.password, password ? password : "");
    dbl_reply(r, 201, call_json(c)); /* and the form is gone */
    if (!strncmp(c->to, "sip:", 4))
        sw_out_ring(c, &auth, ring_ms);
    else
        sw_phone_ring(c, ring_ms);
}

static void on_create(struct pat_httpd_req *r, void *arg)
{
    const struct pat_param *p;
    size_t n;

    if (sw_turned_away(arg, r))
        return;
    if (pat_httpd_form(r, &p, &n))
        sw_refuse(r, 400, "20001", "the body is not a form");
    else
        place(arg, r, p, n);
}

static void update(struct pat_httpd_req *r, struct sw_call *c, const struct pat_param *p, size_t n)
{
    const char *url = pat_param_find(p, n, "Url"), *status = pat_param_find(p, n, "Status");
    bool end = status && (!strcmp(status, "completed") || !strcmp(status, "canceled"));

    if (!url && !end) {
        sw_refuse(r, 400, "20001", "Url or Status is required");
        return;
    }
    if (c->state == SW_ENDED) {
        sw_refuse(r, 400, "21220", "Call is not in-progress. Cannot redirect.");
        return;
    }
    if (end && !strcmp(status, "canceled") && c->answered) {
        sw_refuse(r, 400, "21220", "Call is in-progress. Cannot cancel.");
        return;
    }
    if (end)
        sw_api_end(c);
    else
        sw_redirect(c, url);
    dbl_reply(r, 200, call_json(c));
}

static void on_update(struct pat_httpd_req *r, void *arg)
{
    const struct pat_param *p;
    struct sw_call *c;
    size_t n;

    if (sw_turned_away(arg, r))
        return;
    c = named(arg, r);
    if (!c)
        sw_refuse(r, 404, "20404", "The requested resource was not found");
    else if (pat_httpd_form(r, &p, &n))
        sw_refuse(r, 400, "20001", "the body is not a form");
    else
        update(r, c, p, n);
}

static void on_get(struct pat_httpd_req *r, void *arg)
{
    struct sw_call *c;

    if (sw_turned_away(arg, r))
        return;
    c = named(arg, r);
    if (c)
        dbl_reply(r, 200, call_json(c));
    else
        sw_refuse(r, 404, "20404", "The requested resource was not found");
}

/* The leg this call has dialled last: a SIP address's has no call of its own here. */
static struct pat_json *dialled_json(const struct sw_call *c)
{
    struct pat_json *j = dbl_obj("sid", c->dial_sid.s);
    bool over = *c->dial_status, talked = !strcmp(c->dial_status, "completed");
    char text[40];

    pat_json_set_str(j, "account_sid", c->sw->project);
    pat_json_set_str(j, "parent_call_sid", c->sid.s);
    pat_json_set_str(j, "status", over ? c->dial_status : c->answered ? "in-progress" : "ringing");
    pat_json_set_str(j, "direction", "outbound-dial");
    pat_json_set_str(j, "to", c->dial_to);
    sw_date(c->dial_at_ms, text);
    pat_json_set_str(j, "date_created", text);
    snprintf(text, sizeof text, "%lld",
             talked ? (long long)(pat_now_ms() - c->answered_ms + 999) / 1000 : 0LL);
    pat_json_set_str(j, "duration", text);
    if (over && !c->sw->twilio)
        pat_json_set_int(j, "sip_result_code", c->dial_code);
    return j;
}

static struct pat_json *list_of(const struct sw *sw, const char *status, const char *parent)
{
    struct pat_json *list = pat_json_arr();

    for (const struct sw_call *c = sw->calls; c; c = c->next)
        if (parent && !strcmp(parent, c->sid.s) && *c->dial_sid.s)
            pat_json_add_take(list, dialled_json(c));
        else if (!parent && (!status || !strcmp(status, status_of(c))))
            pat_json_add_take(list, call_json(c));
    return list;
}

static void on_list(struct pat_httpd_req *r, void *arg)
{
    struct sw *sw = arg;
    struct pat_json *j, *list;
    char uri[200];

    if (sw_turned_away(sw, r))
        return;
    j = pat_json_obj();
    list =
        list_of(sw, pat_httpd_query_param(r, "Status"), pat_httpd_query_param(r, "ParentCallSid"));
    snprintf(uri, sizeof uri, "/api/laml/2010-04-01/Accounts/%s/Calls?Page=0&PageSize=50",
             sw->project);
    pat_json_set_int(j, "page", 0);
    pat_json_set_int(j, "page_size", 50);
    pat_json_set_int(j, "start", 0);
    pat_json_set_int(j, "end", (int64_t)pat_json_size(list) - 1);
    pat_json_set_str(j, "uri", uri);
    pat_json_set_str(j, "first_page_uri", uri);
    pat_json_set_null(j, "next_page_uri");
    pat_json_set_null(j, "previous_page_uri");
    pat_json_set_take(j, "calls", list);
    dbl_reply(r, 200, j);
}

/* ------------------------------------------------------------------ JSON commands */

static void refuse_json(struct pat_httpd_req *r, int status, const char *code, const char *what)
{
    struct pat_json *j = pat_json_obj(), *list = pat_json_arr(), *e = dbl_obj("code", code);

    pat_json_set_str(e, "type", "validation_error");
    pat_json_set_str(e, "message", what);
    pat_json_add_take(list, e);
    pat_json_set_take(j, "errors", list);
    dbl_reply(r, status, j);
}

static void run(struct pat_httpd_req *r, struct sw *sw, const struct pat_json *j)
{
    const char *command = pat_json_str_or(j, "command", "");
    bool redirect = !strcmp(command, "update");
    const char *id = pat_json_str_or(j, redirect ? "params.id" : "id", "");
    const char *url = pat_json_str_or(j, "params.url", NULL);
    struct sw_call *c = sw_find(sw, id);

    if (!redirect && strcmp(command, "calling.end")) {
        refuse_json(r, 422, "invalid_command", "command is not one this double knows");
        return;
    }
    if (!c || c->state == SW_ENDED) {
        refuse_json(r, 404, "not_found", "no such call");
        return;
    }
    if (redirect && !url) {
        refuse_json(r, 422, "missing_required_parameter", "url is required");
        return;
    }
    if (redirect)
        sw_redirect(c, url);
    else
        sw_api_end(c);
    dbl_reply(r, 200, dbl_obj("id", c->sid.s));
}

static void on_command(struct pat_httpd_req *r, void *arg)
{
    PAT_AUTO_JSON j = NULL;
    size_t len;
    const char *body = pat_httpd_body(r, &len);

    if (sw_turned_away(arg, r))
        return;
    if (pat_json_parse(&j, body, len, NULL))
        refuse_json(r, 422, "invalid", "the body is not JSON");
    else
        run(r, arg, j);
}

int sw_rest_routes(struct sw *sw)
{
    static const struct pat_httpd_route routes[] = {
#define CALLS(base)                                                                                \
    { "POST", base "/2010-04-01/Accounts/{account}/Calls", 0, on_create },                         \
        { "POST", base "/2010-04-01/Accounts/{account}/Calls.json", 0, on_create },                \
        { "GET", base "/2010-04-01/Accounts/{account}/Calls", 0, on_list },                        \
        { "GET", base "/2010-04-01/Accounts/{account}/Calls.json", 0, on_list },                   \
        { "POST", base "/2010-04-01/Accounts/{account}/Calls/{sid}", 0, on_update },               \
        { "GET", base "/2010-04-01/Accounts/{account}/Calls/{sid}", 0, on_get }
        CALLS("/api/laml"),
        CALLS(""),
        { "POST", "/api/calling/calls", 0, on_command },
        { 0 },
    };

    return pat_httpd_routes(sw->d->server, routes, sw);
}
