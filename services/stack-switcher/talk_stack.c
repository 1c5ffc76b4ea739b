/* talk_stack.c - a talk at its stack: prepared at LiveKit or made at Retell, and stopped there; see
 * talk.h.
 *
 * LiveKit's tokens and server API: docs.livekit.io, "Tokens & grants", "Server APIs".
 */
#include "switcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STACK_MS = 4000, /* a page waits for it */
    STOP_MS = 5000,
    OURS_S = 60, /* a token of our own */
    SKEW_S = 10, /* clocks of servers differ */
};

/* ------------------------------------------------------------------ tokens and addresses */

static char *sign(const struct talk_conf *conf, const char *identity, int64_t ttl_s, int64_t now_s,
                  struct pat_json *video_take)
{
    PAT_AUTO_JSON claims = pat_json_obj();

    pat_json_set_str(claims, "iss", conf->livekit_key);
    if (identity)
        pat_json_set_str(claims, "sub", identity);
    pat_json_set_int(claims, "nbf", now_s - SKEW_S);
    pat_json_set_int(claims, "exp", now_s + ttl_s);
    pat_json_set_take(claims, "video", video_take);
    return pat_jwt_hs256_sign(claims, conf->livekit_secret);
}

static struct pat_json *room_grant(const char *call)
{
    struct pat_json *v = pat_json_obj();
    char room[64];

    (void)snprintf(room, sizeof room, "call_%s", call);
    pat_json_set_str(v, "room", room);
    return v;
}

char *talk_token(const struct talk_conf *conf, const char *call, int64_t ttl_s, int64_t now_s)
{
    struct pat_json *v = room_grant(call), *sources = pat_json_arr();
    char identity[64];

    (void)snprintf(identity, sizeof identity, "web-%s", call);
    pat_json_add_str(sources, "microphone");
    pat_json_set_bool(v, "roomJoin", true);
    pat_json_set_bool(v, "canSubscribe", true);
    pat_json_set_bool(v, "canPublish", true);
    pat_json_set_take(v, "canPublishSources", sources);
    pat_json_set_bool(v, "canPublishData", false);
    pat_json_set_bool(v, "canUpdateOwnMetadata", false);
    return sign(conf, identity, ttl_s, now_s, v);
}

int talk_url(struct pat_buf *out, const char *url, bool ws)
{
    const char *rest = strstr(url, "://");
    bool tls = !strncmp(url, "wss:", 4) || !strncmp(url, "https:", 6);

    return rest ? pat_buf_addf(out, "%s%s%s", ws ? "ws" : "http", tls ? "s" : "", rest)
                : PAT_EINVAL;
}

static const char *public_url(const struct talk_conf *conf)
{
    return *conf->livekit_public_url ? conf->livekit_public_url : conf->livekit_url;
}

/* Scheme and host of it, without a path. */
static int add_host(struct pat_buf *out, const char *url, bool ws)
{
    struct pat_buf whole;
    size_t len;
    int err;

    pat_buf_init(&whole, 1024);
    err = talk_url(&whole, url, ws);
    if (!err) {
        const char *host = strstr(whole.data, "://") + 3;

        len = (size_t)(host - whole.data) + strcspn(host, "/?#; ,'\"");
        err = pat_buf_addf(out, " %.*s", (int)len, whole.data);
    }
    pat_buf_fini(&whole);
    return err;
}

int talk_hosts(const struct talk_conf *conf, struct pat_buf *out)
{
    const char *urls[] = { *conf->livekit_key ? public_url(conf) : "", conf->retell_url };
    int err = PAT_OK;

    for (size_t i = 0; i < 2 && !err; i++) {
        if (!*urls[i])
            continue;
        err = add_host(out, urls[i], true);
        if (!err)
            err = add_host(out, urls[i], false);
    }
    return err;
}

/* ------------------------------------------------------------------ begun */

struct starting {
    struct switcher *s;
    char call[PAT_ID_LEN + 1];
    talk_ready_fn *fn;
    void *arg;
};

static void ready(struct starting *g, int err, const char *url, const char *token,
                  const char *retell_call, const char *why)
{
    struct starting gone = *g;

    free(g);
    gone.fn(err, url, token, retell_call, why, gone.arg);
}

static void on_prepared(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct starting *g = arg;
    const struct talk_conf *conf = &g->s->conf->talk;
    struct pat_buf url;
    char *token;

    (void)result;
    if (err) {
        pat_log(PAT_WARN, "talk.not_prepared", PAT_S("call", g->call), PAT_ERR(err),
                PAT_S("why", message));
        ready(g, PAT_EUNAVAIL, NULL, NULL, NULL, "no agent is there to take the call just now");
        return;
    }
    pat_buf_init(&url, 1024);
    token = talk_token(conf, g->call, conf->join_ms / 1000, pat_unix_ms() / 1000);
    err = token ? talk_url(&url, public_url(conf), true) : PAT_ENOMEM;
    ready(g, err, url.data, token, NULL, pat_err_text(err));
    pat_buf_fini(&url);
    free(token);
}

static void on_web_call(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct starting *g = arg;
    const char *call = NULL, *token = NULL;

    if (!err)
        err = pat_json_get_str(result, "retell_call_id", &call, NULL);
    if (!err)
        err = pat_json_get_str(result, "access_token", &token, NULL);
    if (!err) {
        ready(g, PAT_OK, g->s->conf->talk.retell_url, token, call, NULL);
        return;
    }
    pat_log(PAT_WARN, "talk.not_made", PAT_S("call", g->call), PAT_ERR(err), PAT_S("why", message));
    ready(g, PAT_EUNAVAIL, NULL, NULL, NULL,
          err == PAT_EAGAIN ? "all lines are taken just now, try again in a minute"
                            : "the agent cannot be reached just now, try again in a minute");
}

static int ask(struct starting *g, const struct talk_asked *a)
{
    struct pat_bus *bus = g->s->d->bus;
    PAT_AUTO_JSON p = pat_json_obj();

    pat_json_set_str(p, "call_id", a->call);
    pat_json_set_str(p, "user_id", a->user);
    pat_json_set_int(p, "max_call_ms", a->max_ms);
    if (a->retell) {
        pat_json_set_str(p, "agent_id", a->retell_agent);
        if (a->retell_version)
            pat_json_set_take(p, "agent_version", pat_json_dup(a->retell_version));
        return pat_rpc_call(bus, "retell", "web_call", p, STACK_MS, on_web_call, g, NULL);
    }
    pat_json_set_str(p, "agent_config_id", a->agent_config);
    pat_json_set_int(p, "config_version", a->config_version);
    pat_json_set_null(p, "from");
    pat_json_set_null(p, "to");
    pat_json_set_str(p, "channel", "web");
    pat_json_set_take(p, "settings", pat_json_dup(a->settings));
    return pat_rpc_call(bus, "agent", "prepare", p, STACK_MS, on_prepared, g, NULL);
}

int talk_start(struct switcher *s, const struct talk_asked *a, talk_ready_fn *fn, void *arg)
{
    struct starting *g;
    int err;

    if (!pat_bus_up(s->d->bus) || (!a->retell && !*s->conf->talk.livekit_key))
        return PAT_EUNAVAIL;
    g = calloc(1, sizeof *g);
    if (!g)
        return PAT_ENOMEM;
    *g = (struct starting){ .s = s, .fn = fn, .arg = arg };
    (void)pat_strcpy(g->call, sizeof g->call, a->call);
    err = ask(g, a);
    if (err)
        free(g);
    return err;
}

/* ------------------------------------------------------------------ stopped */

static void on_deleted(int err, const struct pat_http_res *res, void *arg)
{
    (void)arg;
    if (err || (res->status / 100 != 2 && res->status != 404))
        pat_log(PAT_WARN, "talk.room_not_deleted", PAT_I("status", res->status), PAT_ERR(err));
}

static int delete_room(struct switcher *s, const char *call)
{
    const struct talk_conf *conf = &s->conf->talk;
    struct pat_json *v = room_grant(call);
    PAT_AUTO_JSON body = pat_json_dup(v);
    PAT_AUTO_STR text = pat_json_print(body);
    PAT_AUTO_STR token = NULL;
    struct pat_buf url, auth;
    const char *headers[] = { "Content-Type: application/json", NULL, NULL };
    pat_http_id id;
    int err;

    pat_json_set_bool(v, "roomCreate", true);
    pat_json_set_bool(v, "roomAdmin", true);
    token = sign(conf, NULL, OURS_S, pat_unix_ms() / 1000, v);
    pat_buf_init(&url, 1024);
    pat_buf_init(&auth, 4096);
    err = token && text ? talk_url(&url, conf->livekit_url, false) : PAT_ENOMEM;
    if (!err)
        err = pat_buf_adds(&url, "/twirp/livekit.RoomService/DeleteRoom");
    if (!err)
        err = pat_buf_addf(&auth, "Authorization: Bearer %s", token);
    headers[1] = auth.data;
    if (!err)
        err = pat_http_start(s->d->http,
                             &(struct pat_http_req){ .method = "POST",
                                                     .url = url.data,
                                                     .headers = headers,
                                                     .body = text,
                                                     .body_len = strlen(text),
                                                     .timeout_ms = STOP_MS },
                             NULL, on_deleted, NULL, &id);
    pat_buf_fini(&url);
    pat_buf_fini(&auth);
    return err;
}

static void on_stopped(int err, const struct pat_json *result, const char *message, void *arg)
{
    (void)result, (void)arg;
    if (err && err != PAT_ENOENT)
        pat_log(PAT_WARN, "talk.not_stopped", PAT_ERR(err), PAT_S("why", message));
}

void talk_stop(struct switcher *s, const char *call, const char *stack, const char *retell_call)
{
    PAT_AUTO_JSON p = NULL;
    int err = PAT_OK;

    if (strcmp(stack, "livekit") == 0) {
        err = *s->conf->talk.livekit_key ? delete_room(s, call) : PAT_OK;
    } else if (retell_call) {
        p = pat_json_obj();
        pat_json_set_str(p, "retell_call_id", retell_call);
        err = pat_rpc_call(s->d->bus, "retell", "stop_call", p, STOP_MS, on_stopped, NULL, NULL);
    }
    if (err)
        pat_log(PAT_WARN, "talk.not_stopped", PAT_S("call", call), PAT_ERR(err));
}
