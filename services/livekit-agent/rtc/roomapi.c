/* roomapi.c - LiveKit's Twirp services over HTTP, protobuf bodies.
 * How: every call is one POST with its own short token; outstanding ones stand in a list, so that
 * roomapi_free leaves nothing behind. Answers to what is done are not decoded: that they are 200 is
 * what counts, but for REFER's, whose request and answer are JSON (its timeout is a message of
 * Google's). What is listed is decoded by roomapi_list.c. */
#include "roomapi_int.h"

#include "livekit.pb-c.h"
#include "pb.h"
#include "token.h"
#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_S        600
#define REFER_SLACK_MS 3000 /* the server's own answer about running out of time comes first */

struct call {
    struct roomapi *api;
    struct call *next;
    pat_http_id id;
    const char *method;
    roomapi_fn *done;
    roomapi_refer_fn *referred; /* instead of done */
    roomapi_read_fn *read;      /* or: gives fn what was listed */
    roomapi_any_fn *fn;
    roomapi_id number; /* of a REFER */
    void *arg;
};

struct roomapi {
    struct pat_http *http;
    char *url;
    char *key;
    char *secret;
    struct call *calls;
    roomapi_id numbers;
};

int roomapi_new(struct roomapi **out, struct pat_http *http, const char *url, const char *api_key,
                const char *api_secret)
{
    struct roomapi *a = calloc(1, sizeof *a);

    if (!a)
        return PAT_ENOMEM;
    a->http = http;
    a->url = strdup(url);
    a->key = strdup(api_key);
    a->secret = strdup(api_secret);
    if (!a->url || !a->key || !a->secret) {
        roomapi_free(a);
        return PAT_ENOMEM;
    }
    *out = a;
    return PAT_OK;
}

static void unlink_call(struct call *c)
{
    for (struct call **at = &c->api->calls; *at; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            return;
        }
    }
}

void roomapi_free(struct roomapi *a)
{
    if (!a)
        return;
    while (a->calls) {
        struct call *c = a->calls;

        a->calls = c->next;
        pat_http_cancel(a->http, c->id);
        free(c);
    }
    free(a->url);
    free(a->key);
    free(a->secret);
    free(a);
}

/* Twirp's errors are JSON, but a proxy's are not and a refused token's is plain text. */
static int twirp_error(const struct call *c, const struct pat_http_res *res, int *sip_status)
{
    PAT_AUTO_JSON j = NULL;
    const char *code = "", *msg = "";

    *sip_status = 0;
    if (res->len && pat_json_parse(&j, res->body, res->len, NULL) == PAT_OK) {
        code = pat_json_str_or(j, "code", "");
        msg = pat_json_str_or(j, "msg", "");
        *sip_status = (int)strtol(pat_json_str_or(j, "meta.sip_status_code", "0"), NULL, 10);
    }
    if (res->status == 404 && strcmp(code, "not_found") == 0)
        return PAT_ENOENT;
    pat_log(PAT_WARN, "livekit.api_error", PAT_S("method", c->method), PAT_I("status", res->status),
            PAT_S("code", code), PAT_S("message", msg));
    return res->status == 401 || res->status == 403 ? PAT_EAUTH : PAT_EUPSTREAM;
}

/* Servers up to 1.13 answer with nothing when it is done, later ones with how it went. */
static int refer_result(const struct pat_http_res *res)
{
    PAT_AUTO_JSON j = NULL;
    const char *status;

    if (!res->len || pat_json_parse(&j, res->body, res->len, NULL))
        return PAT_OK;
    status = pat_json_str_or(j, "status", "");
    if (strcmp(status, "STS_TRANSFER_FAILED") == 0)
        return PAT_EUPSTREAM;
    return strcmp(status, "STS_TRANSFER_ONGOING") == 0 ? PAT_ETIMEDOUT : PAT_OK;
}

/* 408 stands for its own time running out as well as the other phone's. */
static int refer_error(int err, int http_status)
{
    return http_status == 408 || err == PAT_ECONN ? PAT_ETIMEDOUT : err;
}

static void on_done(int err, const struct pat_http_res *res, void *arg)
{
    struct call c = *(struct call *)arg;
    int sip_status = 0;

    if (!err && res->status != 200)
        err = twirp_error(&c, res, &sip_status);
    else if (!err && c.referred)
        err = refer_result(res);
    if (err && c.referred && !sip_status)
        err = refer_error(err, res ? res->status : 0);
    unlink_call(arg);
    free(arg);
    if (c.referred)
        c.referred(err, sip_status, c.arg);
    else if (c.read)
        c.read(err, res ? res->body : NULL, res ? res->len : 0, c.fn, c.arg);
    else
        c.done(err, c.arg);
}

struct body {
    const char *type;
    const void *data;
    size_t len, max_answer;
};

/* Takes token_take and c_take, also when it fails. */
static int post(struct call *c_take, char *token_take, const struct body *b, int64_t timeout_ms)
{
    struct roomapi *a = c_take->api;
    char *authorization = token_header_take(token_take);
    const char *const headers[] = { b->type, authorization, NULL };
    struct pat_http_req req = { .method = "POST",
                                .headers = headers,
                                .body = b->data,
                                .body_len = b->len,
                                .timeout_ms = timeout_ms,
                                .max_body = b->max_answer };
    struct pat_buf url;
    int err;

    pat_buf_init(&url, 8192);
    err = authorization ? url_http(&url, a->url, c_take->method) : PAT_ENOMEM;
    req.url = url.data;
    if (!err)
        err = pat_http_start(a->http, &req, NULL, on_done, c_take, &c_take->id);
    pat_buf_fini(&url);
    free(authorization);
    if (err) {
        free(c_take);
        return err;
    }
    c_take->next = a->calls;
    a->calls = c_take;
    return PAT_OK;
}

/* Takes c_take and grant_take, the rights this call needs. */
static int send_message(struct call *c_take, struct pat_json *grant_take, const ProtobufCMessage *m,
                        size_t max_answer, int64_t timeout_ms)
{
    const struct roomapi *a = c_take ? c_take->api : NULL;
    char *token = NULL;
    struct body b = { .type = "Content-Type: application/protobuf", .max_answer = max_answer };
    uint8_t *packed;
    int err;

    if (!a) {
        pat_json_free(grant_take);
        return PAT_ENOMEM;
    }
    token = token_sign(a->key, a->secret, NULL, NULL, TOKEN_S, grant_take);
    err = token ? pb_pack(m, &packed, &b.len) : PAT_ENOMEM;
    if (err) {
        free(token);
        free(c_take);
        return err;
    }
    b.data = packed;
    err = post(c_take, token, &b, timeout_ms);
    free(packed);
    return err;
}

static struct call *call_new(const struct call *as)
{
    struct call *c = calloc(1, sizeof *c);

    if (c)
        *c = *as;
    return c;
}

/* Takes grant_take. */
static int call(struct roomapi *a, const char *method, struct pat_json *grant_take,
                const ProtobufCMessage *m, int64_t timeout_ms, roomapi_fn *done, void *arg)
{
    const struct call as = { .api = a, .method = method, .done = done, .arg = arg };

    return send_message(call_new(&as), grant_take, m, 0, timeout_ms);
}

int roomapi_ask(struct roomapi *a, const struct roomapi_question *q, int64_t timeout_ms,
                roomapi_any_fn *fn, void *arg)
{
    const struct call as = { .api = a, .method = q->method, .read = q->read, .fn = fn, .arg = arg };

    return send_message(call_new(&as), q->grant, q->m, q->max_body, timeout_ms);
}

struct pat_json *roomapi_grant(const char *right, const char *room)
{
    struct pat_json *video = pat_json_obj();

    if (!video)
        return NULL;
    pat_json_set_bool(video, right, true);
    if (room)
        pat_json_set_str(video, "room", room);
    return video;
}

static char *text(const char *s)
{
    return (char *)(uintptr_t)(s ? s : "");
}

int roomapi_create(struct roomapi *a, const struct roomapi_room *room, int64_t timeout_ms,
                   roomapi_fn *done, void *arg)
{
    Livekit__CreateRoomRequest m = LIVEKIT__CREATE_ROOM_REQUEST__INIT;
    Livekit__RoomAgentDispatch agent = LIVEKIT__ROOM_AGENT_DISPATCH__INIT;
    Livekit__RoomAgentDispatch *agents[] = { &agent };

    m.name = text(room->name);
    m.metadata = text(room->metadata);
    m.empty_timeout = (uint32_t)room->empty_timeout_s;
    m.departure_timeout = (uint32_t)room->departure_timeout_s;
    if (room->agent_name) {
        agent.agent_name = text(room->agent_name);
        agent.metadata = text(room->metadata);
        m.agents = agents;
        m.n_agents = 1;
    }
    return call(a, "/twirp/livekit.RoomService/CreateRoom", roomapi_grant("roomCreate", NULL),
                &m.base, timeout_ms, done, arg);
}

int roomapi_dispatch(struct roomapi *a, const char *room, const char *agent_name,
                     const char *metadata, int64_t timeout_ms, roomapi_fn *done, void *arg)
{
    Livekit__CreateAgentDispatchRequest m = LIVEKIT__CREATE_AGENT_DISPATCH_REQUEST__INIT;

    m.room = text(room);
    m.agent_name = text(agent_name);
    m.metadata = text(metadata);
    return call(a, "/twirp/livekit.AgentDispatchService/CreateDispatch",
                roomapi_grant("roomAdmin", room), &m.base, timeout_ms, done, arg);
}

int roomapi_delete(struct roomapi *a, const char *room, int64_t timeout_ms, roomapi_fn *done,
                   void *arg)
{
    Livekit__DeleteRoomRequest m = LIVEKIT__DELETE_ROOM_REQUEST__INIT;

    m.room = text(room);
    return call(a, "/twirp/livekit.RoomService/DeleteRoom", roomapi_grant("roomCreate", NULL),
                &m.base, timeout_ms, done, arg);
}

int roomapi_remove(struct roomapi *a, const char *room, const char *identity, int64_t timeout_ms,
                   roomapi_fn *done, void *arg)
{
    Livekit__RoomParticipantIdentity m = LIVEKIT__ROOM_PARTICIPANT_IDENTITY__INIT;

    m.room = text(room);
    m.identity = text(identity);
    return call(a, "/twirp/livekit.RoomService/RemoveParticipant", roomapi_grant("roomAdmin", room),
                &m.base, timeout_ms, done, arg);
}

static char *refer_body(const struct roomapi_refer *x)
{
    PAT_AUTO_JSON j = pat_json_obj();
    char seconds[16];

    (void)snprintf(seconds, sizeof seconds, "%ds", x->ringing_s);
    pat_json_set_str(j, "room_name", x->room);
    pat_json_set_str(j, "participant_identity", x->identity);
    pat_json_set_str(j, "transfer_to", x->to);
    pat_json_set_str(j, "ringing_timeout", seconds);
    return pat_json_print(j);
}

int roomapi_refer(struct roomapi *a, const struct roomapi_refer *x, roomapi_refer_fn *done,
                  void *arg, roomapi_id *id)
{
    struct call *c = calloc(1, sizeof *c);
    struct pat_json *sip = pat_json_obj();
    PAT_AUTO_STR json = refer_body(x);
    struct body b = { .type = "Content-Type: application/json",
                      .data = json,
                      .len = json ? strlen(json) : 0 };
    char *token;
    int err;

    pat_json_set_bool(sip, "call", true);
    token = token_sign_sip(a->key, a->secret, TOKEN_S, roomapi_grant("roomAdmin", x->room), sip);
    if (!c || !json || !token) {
        free(c);
        free(token);
        return PAT_ENOMEM;
    }
    *c = (struct call){ .api = a,
                        .method = "/twirp/livekit.SIP/TransferSIPParticipant",
                        .referred = done,
                        .number = ++a->numbers,
                        .arg = arg };
    err = post(c, token, &b, x->ringing_s * 1000 + REFER_SLACK_MS);
    if (!err)
        *id = a->numbers;
    return err;
}

void roomapi_cancel(struct roomapi *a, roomapi_id id)
{
    for (struct call *c = a->calls; c; c = c->next)
        if (c->number == id && c->referred) {
            pat_http_cancel(a->http, c->id);
            unlink_call(c);
            free(c);
            return;
        }
}

char *roomapi_token(struct roomapi *a, const char *room, const char *identity, int64_t ttl_s)
{
    struct pat_json *video = roomapi_grant("roomJoin", room);

    if (!video)
        return NULL;
    pat_json_set_bool(video, "agent", true);
    pat_json_set_bool(video, "canPublish", true);
    pat_json_set_bool(video, "canSubscribe", true);
    pat_json_set_bool(video, "canPublishData", true);
    pat_json_set_bool(video, "canUpdateOwnMetadata", true);
    return token_sign(a->key, a->secret, identity, "agent", ttl_s, video);
}
