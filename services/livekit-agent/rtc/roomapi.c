/* roomapi.c - LiveKit's Twirp services over HTTP, protobuf bodies.
 * How: every call is one POST with its own short token; outstanding ones stand in a list, so that
 * roomapi_free leaves nothing behind. Answers are not decoded: that they are 200 is what counts. */
#include "roomapi.h"

#include "livekit.pb-c.h"
#include "pb.h"
#include "token.h"
#include "url.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN_S 600

struct call {
    struct roomapi *api;
    struct call *next;
    pat_http_id id;
    const char *method;
    roomapi_fn *done;
    void *arg;
};

struct roomapi {
    struct pat_http *http;
    char *url;
    char *key;
    char *secret;
    struct call *calls;
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
static int twirp_error(const struct call *c, const struct pat_http_res *res)
{
    PAT_AUTO_JSON j = NULL;
    const char *code = "", *msg = "";

    if (res->len && pat_json_parse(&j, res->body, res->len, NULL) == PAT_OK) {
        code = pat_json_str_or(j, "code", "");
        msg = pat_json_str_or(j, "msg", "");
    }
    if (res->status == 404 && strcmp(code, "not_found") == 0)
        return PAT_ENOENT;
    pat_log(PAT_WARN, "livekit.api_error", PAT_S("method", c->method), PAT_I("status", res->status),
            PAT_S("code", code), PAT_S("message", msg));
    return res->status == 401 || res->status == 403 ? PAT_EAUTH : PAT_EUPSTREAM;
}

static void on_done(int err, const struct pat_http_res *res, void *arg)
{
    struct call *c = arg;
    roomapi_fn *done = c->done;
    void *done_arg = c->arg;

    if (!err && res->status != 200)
        err = twirp_error(c, res);
    unlink_call(c);
    free(c);
    done(err, done_arg);
}

static int post(struct call *c, const char *url, const char *authorization,
                const ProtobufCMessage *m, int64_t timeout_ms)
{
    const char *const headers[] = { "Content-Type: application/protobuf", authorization, NULL };
    uint8_t *body;
    size_t len;
    int err = pb_pack(m, &body, &len);

    if (err)
        return err;
    const struct pat_http_req req = { .method = "POST",
                                      .url = url,
                                      .headers = headers,
                                      .body = body,
                                      .body_len = len,
                                      .timeout_ms = timeout_ms };
    err = pat_http_start(c->api->http, &req, NULL, on_done, c, &c->id);
    free(body);
    return err;
}

/* Takes grant_take, the rights this call needs. */
static int call(struct roomapi *a, const char *method, struct pat_json *grant_take,
                const ProtobufCMessage *m, int64_t timeout_ms, roomapi_fn *done, void *arg)
{
    struct call *c = calloc(1, sizeof *c);
    char *authorization =
        token_header_take(token_sign(a->key, a->secret, NULL, NULL, TOKEN_S, grant_take));
    struct pat_buf url;
    int err = PAT_ENOMEM;

    pat_buf_init(&url, 8192);
    if (c && authorization) {
        *c = (struct call){ .api = a, .method = method, .done = done, .arg = arg };
        err = url_http(&url, a->url, method);
        if (!err)
            err = post(c, url.data, authorization, m, timeout_ms);
    }
    pat_buf_fini(&url);
    free(authorization);
    if (err) {
        free(c);
        return err;
    }
    c->next = a->calls;
    a->calls = c;
    return PAT_OK;
}

static struct pat_json *grant(const char *right, const char *room)
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
    return call(a, "/twirp/livekit.RoomService/CreateRoom", grant("roomCreate", NULL), &m.base,
                timeout_ms, done, arg);
}

int roomapi_dispatch(struct roomapi *a, const char *room, const char *agent_name,
                     const char *metadata, int64_t timeout_ms, roomapi_fn *done, void *arg)
{
    Livekit__CreateAgentDispatchRequest m = LIVEKIT__CREATE_AGENT_DISPATCH_REQUEST__INIT;

    m.room = text(room);
    m.agent_name = text(agent_name);
    m.metadata = text(metadata);
    return call(a, "/twirp/livekit.AgentDispatchService/CreateDispatch", grant("roomAdmin", room),
                &m.base, timeout_ms, done, arg);
}

int roomapi_delete(struct roomapi *a, const char *room, int64_t timeout_ms, roomapi_fn *done,
                   void *arg)
{
    Livekit__DeleteRoomRequest m = LIVEKIT__DELETE_ROOM_REQUEST__INIT;

    m.room = text(room);
    return call(a, "/twirp/livekit.RoomService/DeleteRoom", grant("roomCreate", NULL), &m.base,
                timeout_ms, done, arg);
}

int roomapi_remove(struct roomapi *a, const char *room, const char *identity, int64_t timeout_ms,
                   roomapi_fn *done, void *arg)
{
    Livekit__RoomParticipantIdentity m = LIVEKIT__ROOM_PARTICIPANT_IDENTITY__INIT;

    m.room = text(room);
    m.identity = text(identity);
    return call(a, "/twirp/livekit.RoomService/RemoveParticipant", grant("roomAdmin", room),
                &m.base, timeout_ms, done, arg);
}

char *roomapi_token(struct roomapi *a, const char *room, const char *identity, int64_t ttl_s)
{
    struct pat_json *video = grant("roomJoin", room);

    if (!video)
        return NULL;
    pat_json_set_bool(video, "agent", true);
    pat_json_set_bool(video, "canPublish", true);
    pat_json_set_bool(video, "canSubscribe", true);
    pat_json_set_bool(video, "canPublishData", true);
    pat_json_set_bool(video, "canUpdateOwnMetadata", true);
    return token_sign(a->key, a->secret, identity, "agent", ttl_s, video);
}
