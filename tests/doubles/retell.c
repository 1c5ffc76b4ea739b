/* retell.c - the Retell double: registers calls, answers their SIP legs, sends signed webhooks.
 *
 * The SIP side is played over HTTP (sip.h of this folder says how): an INVITE names a registered
 * call, or gets 404. Its agent speaks all the time where the INVITE says to what address (media.h).
 * A registration nobody dials ends as registered_call_timeout. Webhooks: signed,
 * 10 s, three repetitions, as the vendor's pages say. Own control keys: webhook_url, webhook_key,
 * any_agent, register_ms, call_ms, answer_ms, sip_status, break_calls, repeat_webhooks,
 * shuffle_webhooks, gone_voice, mute_webhooks, concurrency, recording_ms, expire_recordings,
 * scrubbed, analyzed_ms, recording_bytes, recording_wav, no_ranges, web_key, web_secret
 * (retell_web.c).
 */
#include "retell.h"

#include "sip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEBHOOK_TIMEOUT_MS 10000
#define WEBHOOK_REPEATS    3

#define RETELL_SAYS                                                                                \
    "Hello, this is the assistant. We are open from nine to five on every working day, and on "    \
    "Saturday from ten in the morning. Please tell me what I can do for you today."

struct webhook {
    struct retell *rt;
    char *body;
    int sent;
};

/* ------------------------------------------------------------------ common */

void retell_error(struct pat_httpd_req *r, int status, const char *message)
{
    struct pat_json *j = dbl_obj("status", "error");

    pat_json_set_str(j, "message", message);
    dbl_reply(r, status, j);
}

bool retell_admit(struct retell *rt, struct pat_httpd_req *r)
{
    const char *auth = pat_httpd_header(r, "authorization");
    struct dbl_fail f;

    if (!dbl_key_ok(rt->d, auth && !strncmp(auth, "Bearer ", 7) ? auth + 7 : NULL)) {
        retell_error(r, 401, "Invalid API key");
        return false;
    }
    if (!dbl_fail_take(rt->d, pat_httpd_path(r), &f))
        return true;
    if (f.status < 0)
        pat_httpd_abort(r);
    else
        retell_error(r, f.status, f.message);
    return false;
}

struct pat_json *retell_body(struct pat_httpd_req *r)
{
    struct pat_json *j;
    size_t len;
    const char *text = pat_httpd_body(r, &len);

    if (pat_json_parse(&j, text, len, NULL)) {
        retell_error(r, 400, "the body must be JSON");
        return NULL;
    }
    if (pat_json_kind(j) == PAT_JSON_OBJ)
        return j;
    pat_json_free(j);
    retell_error(r, 400, "the body must be an object");
    return NULL;
}

struct retell_call *retell_call(const struct retell *rt, const char *id)
{
    for (struct retell_call *c = rt->calls; c; c = c->next)
        if (!strcmp(c->id, id))
            return c;
    return NULL;
}

/* ------------------------------------------------------------------ webhooks */

static void webhook_send(void *arg);

static void webhook_free(void *arg)
{
    struct webhook *w = arg;

    free(w->body);
    free(w);
}

static void on_webhook_answered(int err, const struct pat_http_res *res, void *arg)
{
    struct webhook *w = arg;
    struct pat_json *entry = pat_json_obj();

    pat_json_set_int(entry, "status", err ? 0 : res->status);
    pat_json_set_int(entry, "try", w->sent);
    dbl_log(w->rt->d, "webhook_answered", entry);
    if (!err && res->status / 100 == 2) {
        webhook_free(w);
        return;
    }
    if (w->sent > WEBHOOK_REPEATS ||
        dbl_after(w->rt->d, 250LL << w->sent, webhook_send, webhook_free, w))
        webhook_free(w);
}

static void webhook_send(void *arg)
{
    struct webhook *w = arg;
    struct retell *rt = w->rt;
    struct pat_buf header;
    const char *headers[] = { "Content-Type: application/json", NULL, NULL };
    pat_http_id id;
    int err;

    w->sent++;
    pat_buf_init(&header, 512);
    pat_buf_adds(&header, "X-Retell-Signature: ");
    err = pat_sign_retell(&header, rt->webhook_key, w->body, strlen(w->body), pat_unix_ms());
    headers[1] = header.data;
    if (!err)
        err = pat_http_start(rt->d->http,
                             &(struct pat_http_req){ .method = "POST",
                                                     .url = rt->webhook_url,
                                                     .headers = headers,
                                                     .body = w->body,
                                                     .body_len = strlen(w->body),
                                                     .timeout_ms = WEBHOOK_TIMEOUT_MS },
                             NULL, on_webhook_answered, w, &id);
    pat_buf_fini(&header);
    if (err)
        webhook_free(w);
}

void retell_webhook(struct retell_call *c, const char *event, const struct pat_json *extra,
                    int64_t after_ms)
{
    struct retell *rt = c->rt;
    struct pat_json *j = dbl_obj("event", event);
    struct pat_json *entry = dbl_obj("event", event);

    if (extra)
        PAT_JSON_EACH(m, extra)
    if (strcmp(pat_json_key(m), "event") != 0)
        pat_json_set_take(j, pat_json_key(m), pat_json_dup(m));
    pat_json_set_take(j, "call", pat_json_dup(c->body));
    pat_json_set_str(entry, "call_id", c->id);
    dbl_log(rt->d, "webhook", entry);
    for (int n = rt->repeat_webhooks ? 2 : 1; *rt->webhook_url && !rt->mute_webhooks && n > 0;
         n--) {
        struct webhook *w = calloc(1, sizeof *w);

        if (!w)
            break;
        w->rt = rt;
        w->body = pat_json_print(j);
        if (!w->body || dbl_after(rt->d, after_ms, webhook_send, webhook_free, w))
            webhook_free(w);
    }
    pat_json_free(j);
}

/* ------------------------------------------------------------------ a call's life */

static void add_analysis(struct retell_call *c)
{
    struct pat_json *a = dbl_obj("call_summary", "The caller said hello and was answered.");

    pat_json_set_str(a, "user_sentiment", "Neutral");
    pat_json_set_bool(a, "call_successful", true);
    pat_json_set_bool(a, "in_voicemail", false);
    pat_json_set_take(a, "custom_analysis_data", pat_json_obj());
    pat_json_set_take(c->body, "call_analysis", a);
}

static void tell_carrier(struct retell_call *c)
{
    struct pat_httpd_req *r = c->waiting;

    c->waiting = NULL;
    if (r)
        dbl_reply(r, 200, sip_ended(c->reason));
}

void retell_end(struct retell_call *c, const char *reason)
{
    int64_t now = pat_unix_ms(), start = pat_json_int_or(c->body, "start_timestamp", now);
    bool shuffle = c->rt->shuffle_webhooks;

    if (c->ended)
        return;
    c->ended = true;
    media_stop(c->spoken);
    c->spoken = NULL;
    pat_timer_stop(&c->timer);
    pat_strcpy(c->reason, sizeof c->reason, reason);
    pat_json_set_str(c->body, "call_status", c->ongoing ? "ended" : "error");
    pat_json_set_str(c->body, "disconnection_reason", reason);
    pat_json_set_int(c->body, "end_timestamp", now);
    pat_json_set_int(c->body, "duration_ms", c->ongoing ? now - start : 0);
    if (c->ongoing)
        retell_finish(c, (now - start + 999) / 1000);
    retell_webhook(c, "call_ended", NULL, shuffle ? 0 : 20);
    add_analysis(c);
    if (c->ongoing)
        retell_add_recording(c);
    retell_webhook(c, "call_analyzed", NULL, shuffle ? 0 : 40 + c->rt->analyzed_ms);
    tell_carrier(c);
}

static void on_call_timer(void *arg)
{
    struct retell_call *c = arg;

    retell_end(c, c->web       ? c->ongoing ? "max_duration_reached" : "error_user_not_joined"
                  : c->ongoing ? "agent_hangup"
                               : "registered_call_timeout");
}

struct retell_call *retell_call_new(struct retell *rt, struct pat_json *body, int64_t wait_ms)
{
    struct retell_call *c = calloc(1, sizeof *c);

    if (!c || pat_timer_init(&c->timer, rt->d->loop, on_call_timer, c)) {
        free(c);
        pat_json_free(body);
        return NULL;
    }
    c->rt = rt;
    c->body = body;
    retell_new_id(c->id, "call_");
    pat_json_set_str(body, "call_id", c->id);
    pat_json_set_str(body, "call_status", "registered");
    c->next = rt->calls;
    rt->calls = c;
    pat_timer_start(&c->timer, wait_ms);
    return c;
}

static void call_free(struct retell_call *c)
{
    if (c->waiting)
        pat_httpd_reply(c->waiting, 503, NULL, NULL, 0);
    media_stop(c->spoken);
    pat_timer_fini(&c->timer);
    pat_json_free(c->body);
    free(c);
}

/* ------------------------------------------------------------------ API */

static struct pat_json *call_body(const struct pat_json *req)
{
    static const char *const copied[] = { "agent_id",      "agent_version",
                                          "from_number",   "to_number",
                                          "metadata",      "retell_llm_dynamic_variables",
                                          "agent_override" };
    struct pat_json *j = dbl_obj("call_type", "phone_call");

    pat_json_set_str(j, "direction", pat_json_str_or(req, "direction", "inbound"));
    pat_json_set_int(j, "agent_version", 0);
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++) {
        const struct pat_json *v = pat_json_at(req, copied[i]);

        if (v)
            pat_json_set_take(j, copied[i], pat_json_dup(v));
    }
    return j;
}

struct registering {
    struct retell *rt;
    struct pat_httpd_req *r;
    struct pat_json *req;
};

static void registering_drop(void *arg)
{
    struct registering *g = arg;

    pat_httpd_reply(g->r, 503, NULL, NULL, 0);
    pat_json_free(g->req);
    free(g);
}

static void register_now(void *arg)
{
    struct registering *g = arg;
    struct retell_call *c = retell_call_new(g->rt, call_body(g->req), g->rt->register_ms);
    struct pat_json *entry;

    if (!c) {
        registering_drop(g);
        return;
    }
    entry = dbl_obj("call_id", c->id);
    pat_json_set_take(entry, "request", pat_json_dup(g->req));
    dbl_log(g->rt->d, "registered", entry);
    pat_httpd_reply_json(g->r, 201, c->body);
    pat_json_free(g->req);
    free(g);
}

static void on_register(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    struct registering *g;
    struct pat_json *req;
    const char *agent;

    if (!retell_admit(rt, r) || !(req = retell_body(r)))
        return;
    agent = pat_json_str_or(req, "agent_id", NULL);
    if (!agent ||
        (!rt->any_agent && !retell_agent(rt, agent, pat_json_int_or(req, "agent_version", -1)))) {
        retell_error(r, agent ? 422 : 400,
                     agent ? "Agent not found under this API key" : "agent_id is required");
        pat_json_free(req);
        return;
    }
    g = calloc(1, sizeof *g);
    if (!g) {
        pat_json_free(req);
        retell_error(r, 500, "out of memory");
        return;
    }
    *g = (struct registering){ rt, r, req };
    if (dbl_after(rt->d, rt->d->latency_ms, register_now, registering_drop, g))
        registering_drop(g);
}

static void on_get_call(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    struct retell_call *c;

    if (!retell_admit(rt, r))
        return;
    c = retell_call(rt, pat_httpd_param(r, "id"));
    dbl_log(rt->d, "got_call", dbl_obj("call_id", pat_httpd_param(r, "id")));
    if (c && c->ended && c->ongoing)
        retell_add_recording(c);
    if (c)
        pat_httpd_reply_json(r, 200, c->body);
    else
        retell_error(r, 404, "Not Found");
}

static void on_delete_call(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    struct retell_call **at = &rt->calls, *c;

    if (!retell_admit(rt, r))
        return;
    while (*at && strcmp((*at)->id, pat_httpd_param(r, "id")) != 0)
        at = &(*at)->next;
    c = *at;
    if (!c) {
        retell_error(r, 404, "Not Found");
        return;
    }
    *at = c->next;
    dbl_log(rt->d, "call_deleted", dbl_obj("call_id", c->id));
    call_free(c);
    pat_httpd_reply(r, 204, NULL, NULL, 0);
}

/* Of the filters it knows start_timestamp, as a range. */
static bool in_range(const struct pat_json *call, const struct pat_json *body)
{
    const struct pat_json *bounds = pat_json_at(body, "filter_criteria.start_timestamp.value");
    double at = pat_json_num_or(call, "start_timestamp", 0);

    if (!bounds || pat_json_size(bounds) != 2)
        return true;
    return at >= pat_json_value_num(pat_json_item(bounds, 0)) &&
           at <= pat_json_value_num(pat_json_item(bounds, 1));
}

static void on_list_calls(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    PAT_AUTO_JSON body = NULL;
    struct pat_json *page, *items;
    const char *text, *after, *last = NULL;
    bool more = false;
    int64_t limit;
    size_t len;

    if (!retell_admit(rt, r))
        return;
    text = pat_httpd_body(r, &len);
    if (len && pat_json_parse(&body, text, len, NULL)) {
        retell_error(r, 400, "Bad Request");
        return;
    }
    limit = pat_json_int_or(body, "limit", 50);
    after = pat_json_str_or(body, "pagination_key", NULL);
    page = pat_json_obj();
    items = pat_json_arr();
    for (const struct retell_call *c = rt->calls; c; c = c->next) {
        if (!after && in_range(c->body, body)) {
            more = (int64_t)pat_json_size(items) == limit;
            if (more)
                break;
            pat_json_add_take(items, pat_json_dup(c->body));
            last = c->id;
        } else if (after && !strcmp(after, c->id)) {
            after = NULL;
        }
    }
    pat_json_set_take(page, "items", items);
    pat_json_set_bool(page, "has_more", more);
    if (more)
        pat_json_set_str(page, "pagination_key", last);
    dbl_reply(r, 200, page);
}

/* ------------------------------------------------------------------ SIP */

struct ringing {
    struct retell *rt;
    struct pat_httpd_req *r;
    char id[RETELL_ID_MAX];
    char media[MEDIA_TO_MAX];
};

static void ringing_drop(void *arg)
{
    struct ringing *g = arg;

    pat_httpd_reply(g->r, 503, NULL, NULL, 0);
    free(g);
}

static void answer_leg(void *arg)
{
    struct ringing *g = arg;
    struct retell_call *c = retell_call(g->rt, g->id);

    if (c && !c->ended && !c->ongoing) {
        if (*g->media && media_start(&c->spoken, g->rt->voice, g->media))
            pat_log(PAT_WARN, "retell.no_media", PAT_S("to", g->media));
        retell_begin(c, g->rt->call_ms);
        dbl_reply(g->r, 200, sip_answered(c->id));
    } else {
        dbl_reply(g->r, 200, sip_refused(404));
    }
    free(g);
}

static void on_invite(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    PAT_AUTO_JSON body = retell_body(r);
    const struct retell_call *c;
    struct ringing *g;
    char user[RETELL_ID_MAX];
    int status;

    if (!body)
        return;
    sip_user(user, sizeof user, pat_json_str_or(body, "uri", ""));
    dbl_log(rt->d, "invite", pat_json_dup(body));
    c = retell_call(rt, user);
    status = !c || c->ended || c->ongoing ? 404 : rt->sip_status;
    g = status == 200 ? calloc(1, sizeof *g) : NULL;
    if (!g) {
        dbl_reply(r, 200, sip_refused(status == 200 ? 500 : status));
        return;
    }
    *g = (struct ringing){ .rt = rt, .r = r };
    pat_strcpy(g->id, sizeof g->id, user);
    pat_strcpy(g->media, sizeof g->media, pat_json_str_or(body, "media", ""));
    if (dbl_after(rt->d, rt->answer_ms, answer_leg, ringing_drop, g))
        ringing_drop(g);
}

/* The carrier waits here until the leg has ended. */
static void on_wait(struct pat_httpd_req *r, void *arg)
{
    struct retell_call *c = retell_call(arg, pat_httpd_param(r, "dialog"));

    if (!c || c->waiting)
        dbl_reply(r, 404, pat_json_obj());
    else if (c->ended)
        dbl_reply(r, 200, sip_ended(c->reason));
    else
        c->waiting = r;
}

static void on_bye(struct pat_httpd_req *r, void *arg)
{
    struct retell_call *c = retell_call(arg, pat_httpd_param(r, "dialog"));

    if (c)
        retell_end(c, "user_hangup");
    dbl_reply(r, c ? 200 : 404, pat_json_obj());
}

/* Something breaks in all calls under way: Retell knows by what, or ("vanish") does not know. */
static void break_calls(struct retell *rt, const char *reason)
{
    for (struct retell_call *c = rt->calls; c; c = c->next) {
        if (!c->ongoing || c->ended)
            continue;
        if (strcmp(reason, "vanish")) {
            retell_end(c, reason);
            continue;
        }
        pat_strcpy(c->reason, sizeof c->reason, reason);
        tell_carrier(c);
    }
}

/* ------------------------------------------------------------------ the desk */

static bool control(struct dbl *d, const char *key, const struct pat_json *value)
{
    struct retell *rt = d->state;
    const char *text = pat_json_value_str(value);

    if (!strcmp(key, "webhook_url"))
        pat_strcpy(rt->webhook_url, sizeof rt->webhook_url, text ? text : "");
    else if (!strcmp(key, "webhook_key"))
        pat_strcpy(rt->webhook_key, sizeof rt->webhook_key, text ? text : "");
    else if (!strcmp(key, "any_agent"))
        rt->any_agent = dbl_flag(value);
    else if (!strcmp(key, "gone_voice"))
        pat_strcpy(rt->gone_voice, sizeof rt->gone_voice, text ? text : "");
    else if (!strcmp(key, "register_ms"))
        rt->register_ms = (int64_t)pat_json_value_num(value);
    else if (!strcmp(key, "call_ms"))
        rt->call_ms = (int64_t)pat_json_value_num(value);
    else if (!strcmp(key, "answer_ms"))
        rt->answer_ms = (int64_t)pat_json_value_num(value);
    else if (!strcmp(key, "sip_status"))
        rt->sip_status = (int)pat_json_value_num(value);
    else if (!strcmp(key, "break_calls"))
        break_calls(rt, text ? text : "error_unknown");
    else if (!strcmp(key, "repeat_webhooks"))
        rt->repeat_webhooks = dbl_flag(value);
    else if (!strcmp(key, "shuffle_webhooks"))
        rt->shuffle_webhooks = dbl_flag(value);
    else if (!strcmp(key, "mute_webhooks"))
        rt->mute_webhooks = dbl_flag(value);
    else if (!strcmp(key, "concurrency"))
        rt->concurrency = (int64_t)pat_json_value_num(value);
    else if (!strcmp(key, "recording_ms"))
        rt->recording_ms = (int64_t)pat_json_value_num(value);
    else if (!strcmp(key, "expire_recordings"))
        rt->expired++;
    else if (!strcmp(key, "scrubbed"))
        rt->scrubbed = dbl_flag(value);
    else if (!strcmp(key, "analyzed_ms"))
        rt->analyzed_ms = (int64_t)pat_json_value_num(value);
    else if (!strcmp(key, "recording_bytes"))
        rt->recording_bytes = (size_t)pat_json_value_num(value);
    else if (!strcmp(key, "recording_wav"))
        rt->recording_wav = dbl_flag(value);
    else if (!strcmp(key, "no_ranges"))
        rt->no_ranges = dbl_flag(value);
    else
        return retell_web_control(rt, key, text ? text : "");
    return true;
}

static void reset(struct dbl *d)
{
    struct retell *rt = d->state;

    rt->webhook_url[0] = rt->webhook_key[0] = rt->gone_voice[0] = 0;
    rt->web_key[0] = rt->web_secret[0] = 0;
    rt->any_agent = rt->repeat_webhooks = rt->shuffle_webhooks = false;
    rt->mute_webhooks = rt->no_ranges = rt->recording_wav = rt->scrubbed = false;
    rt->analyzed_ms = 0;
    rt->concurrency = 100000;
    rt->recording_ms = 600000;
    rt->recording_bytes = 100000;
    rt->register_ms = 300000;
    rt->call_ms = 0;
    rt->answer_ms = 0;
    rt->sip_status = 200;
}

static int start(struct dbl *d)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/v2/register-phone-call", 0, on_register },
        { "GET", "/v2/get-call/{id}", 0, on_get_call },
        { "DELETE", "/v2/delete-call/{id}", 0, on_delete_call },
        { "POST", "/v3/list-calls", 0, on_list_calls },
        { "POST", "/sip/invite", 0, on_invite },
        { "GET", "/sip/dialog/{dialog}", 0, on_wait },
        { "POST", "/sip/dialog/{dialog}/bye", 0, on_bye },
        { 0 },
    };
    static const struct synth_voice voice = { "slt", 1, 1 };
    struct retell *rt = calloc(1, sizeof *rt);
    int err;

    if (!rt)
        return PAT_ENOMEM;
    rt->d = d;
    d->state = rt;
    err = media_desk_new(&rt->voice, d->loop, RETELL_SAYS, &voice);
    if (!err)
        err = pat_httpd_routes(d->server, routes, rt);
    if (!err)
        err = retell_tools_routes(rt);
    if (!err)
        err = retell_story_routes(rt);
    return err ? err : retell_agents_routes(rt);
}

static void stop(struct dbl *d)
{
    struct retell *rt = d->state;

    while (rt->calls) {
        struct retell_call *c = rt->calls;

        rt->calls = c->next;
        call_free(c);
    }
    retell_agents_free(rt);
    media_desk_free(rt->voice);
    free(rt);
}

const struct dbl_vendor dbl_vendor_retell = { "retell", start, control, reset, stop };
