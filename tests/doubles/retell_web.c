/* retell_web.c - calls from a browser at the Retell double: made, begun, stopped.
 *
 * POST /v2/create-web-call answers with a token for a LiveKit server (control keys web_key,
 * web_secret), as the vendor's does; nobody speaks in that room but whoever plays the agent
 * (tests/harness/retell_web.py), who reads of it in the log (web_call, then webhook) and tells us:
 * POST /play/{call}/begin: the browser is there
 */
#include "retell.h"

#include <stdio.h>
#include <string.h>

enum {
    JOIN_MS = 30000, /* docs.retellai.com, "Create Web Call" */
    LONGEST_MS = 3600000,
    SHORTEST_MS = 60000,
};

/* LiveKit's access token (docs.livekit.io, "Tokens & grants"). */
static char *token_of(const struct retell *rt, const char *room)
{
    PAT_AUTO_JSON claims = dbl_obj("iss", *rt->web_key ? rt->web_key : "retell");
    struct pat_json *video = dbl_obj("room", room);

    pat_json_set_bool(video, "roomJoin", true);
    pat_json_set_bool(video, "canPublish", true);
    pat_json_set_bool(video, "canSubscribe", true);
    pat_json_set_bool(video, "canPublishData", true);
    pat_json_set_str(claims, "sub", "client");
    pat_json_set_int(claims, "nbf", pat_unix_ms() / 1000 - 10);
    pat_json_set_int(claims, "exp", pat_unix_ms() / 1000 + JOIN_MS / 1000);
    pat_json_set_take(claims, "video", video);
    return pat_jwt_hs256_sign(claims, *rt->web_secret ? rt->web_secret : "nobody knows it");
}

static bool refused(struct retell *rt, struct pat_httpd_req *r, const struct pat_json *req)
{
    const char *agent = pat_json_str_or(req, "agent_id", NULL);
    int64_t longest = pat_json_int_or(req, "agent_override.agent.max_call_duration_ms", LONGEST_MS);

    if (!agent)
        retell_error(r, 400, "agent_id is required");
    else if (!rt->any_agent && !retell_agent(rt, agent, pat_json_int_or(req, "agent_version", -1)))
        retell_error(r, 422, "Agent not found under this API key");
    else if (longest < SHORTEST_MS || longest > 2 * LONGEST_MS)
        retell_error(r, 400, "max_call_duration_ms must be 60000 to 7200000");
    else
        return false;
    return true;
}

static struct pat_json *body_of(const struct retell *rt, const struct pat_json *req)
{
    static const char *const copied[] = { "agent_id", "agent_version", "metadata", "agent_override",
                                          "retell_llm_dynamic_variables" };
    struct pat_json *j = dbl_obj("call_type", "web_call");
    const struct pat_json *agent = retell_agent(rt, pat_json_str_or(req, "agent_id", ""), -1);

    pat_json_set_int(j, "agent_version", pat_json_int_or(agent, "version", 0));
    pat_json_set_str(j, "agent_name", pat_json_str_or(agent, "agent_name", NULL));
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++)
        if (pat_json_at(req, copied[i]))
            pat_json_set_take(j, copied[i], pat_json_dup(pat_json_at(req, copied[i])));
    return j;
}

static void on_create(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    PAT_AUTO_JSON req = NULL;
    PAT_AUTO_JSON answer = NULL;
    PAT_AUTO_STR token = NULL;
    struct retell_call *c;
    struct pat_json *entry;
    char room[RETELL_ID_MAX + 16];

    if (!retell_admit(rt, r) || !(req = retell_body(r)) || refused(rt, r, req))
        return;
    c = retell_call_new(rt, body_of(rt, req), JOIN_MS);
    if (!c) {
        retell_error(r, 500, "out of memory");
        return;
    }
    c->web = true;
    (void)snprintf(room, sizeof room, "web_%s", c->id);
    token = token_of(rt, room);
    entry = dbl_obj("call_id", c->id);
    pat_json_set_str(entry, "room", room);
    pat_json_set_take(entry, "request", pat_json_dup(req));
    dbl_log(rt->d, "web_call", entry);
    answer = pat_json_dup(c->body);
    pat_json_set_str(answer, "access_token", token);
    pat_httpd_reply_json(r, 201, answer);
}

void retell_begin(struct retell_call *c, int64_t longest_ms)
{
    c->ongoing = true;
    pat_json_set_str(c->body, "call_status", "ongoing");
    pat_json_set_int(c->body, "start_timestamp", pat_unix_ms());
    pat_timer_stop(&c->timer);
    if (longest_ms)
        pat_timer_start(&c->timer, longest_ms);
    retell_webhook(c, "call_started", NULL, c->rt->shuffle_webhooks ? longest_ms + 60 : 0);
}

static void on_begin(struct pat_httpd_req *r, void *arg)
{
    struct retell_call *c = retell_call(arg, pat_httpd_param(r, "call"));

    if (!c || c->ended || c->ongoing) {
        retell_error(r, 404, "no call that waits");
        return;
    }
    retell_begin(c,
                 pat_json_int_or(c->body, "agent_override.agent.max_call_duration_ms", LONGEST_MS));
    dbl_reply(r, 200, pat_json_obj());
}

static void on_stop(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    struct retell_call *c;

    if (!retell_admit(rt, r))
        return;
    c = retell_call(rt, pat_httpd_param(r, "id"));
    if (!c || c->ended) {
        retell_error(r, c ? 400 : 404, c ? "Call is not ongoing" : "Not Found");
        return;
    }
    retell_end(c, "manual_stopped");
    dbl_log(rt->d, "stopped", dbl_obj("call_id", c->id));
    pat_httpd_reply(r, 204, NULL, NULL, 0);
}

bool retell_web_control(struct retell *rt, const char *key, const char *text)
{
    if (!strcmp(key, "web_key"))
        pat_strcpy(rt->web_key, sizeof rt->web_key, text);
    else if (!strcmp(key, "web_secret"))
        pat_strcpy(rt->web_secret, sizeof rt->web_secret, text);
    else
        return false;
    return true;
}

int retell_web_routes(struct retell *rt)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/v2/create-web-call", 0, on_create },
        { "POST", "/v2/stop-call/{id}", 0, on_stop },
        { "POST", "/play/{call}/begin", 0, on_begin },
        { 0 },
    };

    return pat_httpd_routes(rt->d->server, routes, rt);
}
