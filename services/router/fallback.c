/* fallback.c - the end of the line, when another address of ours failed.
 *
 * The carrier says which (ErrorUrl). One of a call under way has the call's token in it, and the
 * call goes on from there: the result of a Dial, a transfer or a Record as dial.h, transfer.h and
 * voicemail.h say, else on the next rung of its ladder. A new call whose router could not be
 * reached is begun here as it would have been there. Of one whose router answered something the
 * carrier could not use, or that failed in a way we do not know, nothing is looked up: its
 * reference is rebuilt from the request, and a message is taken, whatever else is broken; when the
 * number is known it finds its user.
 */
#include "callback.h"
#include "dial.h"
#include "repeat.h"
#include "routes.h"
#include "serve.h"
#include "transfer.h"
#include "voicemail.h"

#include <string.h>

#define VOICE_PATH       "/v1/signalwire/voice"
#define DIAL_PATH        "/v1/signalwire/dial/"
#define TRANSFERRED_PATH "/v1/signalwire/transferred/"
#define RECORDING_PATH   "/v1/signalwire/recording/"
#define UNRECORDED_PATH  "/v1/signalwire/unrecorded/"

/* True: that of a call under way. */
static bool read_error_url(struct callref *out, const struct router *r, const struct carrier_req *c)
{
    char token[CALLREF_TOKEN_MAX + 1];

    return callback_url_part(token, sizeof token, carrier_param(c, "ErrorUrl"), "?t=") &&
           !callref_parse(out, r->conf->call_secret, token, pat_unix_ms()) &&
           !strcmp(out->carrier_call, c->call_id);
}

/* Takes c. */
static void go_on(struct router *r, struct carrier_req *c, const struct callref *ref)
{
    const char *url = carrier_param(c, "ErrorUrl");
    struct serve s = {
        .ref = *ref, .form = c->form, .failed_over = "router_failed", .started_us = pat_now_us()
    };

    pat_log(PAT_WARN, "call.fallback_asked", PAT_S("call", ref->call.s),
            PAT_S("carrier_call", c->call_id), PAT_S("error_code", carrier_param(c, "ErrorCode")),
            PAT_S("stack", stack_name(ref->stack)));
    if (strstr(url, DIAL_PATH)) {
        dial_lost(r, c, ref);
        return;
    }
    if (strstr(url, RECORDING_PATH) || strstr(url, UNRECORDED_PATH)) {
        voicemail_lost(r, c, ref);
        return;
    }
    if (strstr(url, TRANSFERRED_PATH) && transfer_lost(r, c, ref))
        return;
    serve_call(r, c->http, &s, routes_find(r->routes, ref->to));
    carrier_fini(c);
}

/* The carrier got no answer (its errors 112xx) to its very first question. */
static bool was_away(const struct carrier_req *c)
{
    const char *code = carrier_param(c, "ErrorCode"), *url = carrier_param(c, "ErrorUrl");
    size_t n = url ? strcspn(url, "?#") : 0, len = strlen(VOICE_PATH);

    return code && !strncmp(code, "112", 3) && n >= len && !strncmp(url + n - len, VOICE_PATH, len);
}

static void take_message(struct router *r, const struct carrier_req *c, const char *from,
                         const struct route *route)
{
    struct serve s = { .form = c->form, .started_us = pat_now_us() };
    struct pat_id before;

    s.ref.offered_ms = pat_unix_ms();
    s.ref.call = repeat_call_id(r, c->call_id, route->number, s.ref.offered_ms, &before);
    s.ref.config_version = route->version;
    s.ref.tried = LADDER_TRIED(STACK_RETELL) | LADDER_TRIED(STACK_LIVEKIT);
    pat_strcpy(s.ref.carrier_call, sizeof s.ref.carrier_call, c->call_id);
    pat_strcpy(s.ref.user, sizeof s.ref.user, route->user);
    pat_strcpy(s.ref.agent_config, sizeof s.ref.agent_config, route->agent_config);
    pat_strcpy(s.ref.from, sizeof s.ref.from, from);
    pat_strcpy(s.ref.to, sizeof s.ref.to, route->number);
    pat_log(PAT_WARN, "call.fallback_asked", PAT_S("call", s.ref.call.s),
            PAT_S("carrier_call", c->call_id), PAT_S("error_code", carrier_param(c, "ErrorCode")));
    serve_call(r, c->http, &s, route);
}

static void on_fallback(struct pat_httpd_req *http, void *arg)
{
    struct router *r = arg;
    int64_t started_us = pat_now_us();
    char from[NUMBER_MAX], to[NUMBER_MAX];
    const struct route *route;
    struct carrier_req c;
    struct callref ref;
    const char *field;

    if (carrier_read(&c, r, http, false))
        return;
    if (read_error_url(&ref, r, &c)) {
        go_on(r, &c, &ref);
        return;
    }
    if (carrier_check(&c, from, to, &field) || !(route = routes_find(r->routes, to)) ||
        !route->active)
        callback_hangup(r, http, c.form);
    else if (was_away(&c))
        inbound_begin(r, &c, from, route, started_us);
    else
        take_message(r, &c, from, route);
    carrier_fini(&c);
}

/* The static document's (static_doc.h) message is recorded; nobody knows of which call. The
 * recording itself is found at the carrier. */
static void on_recorded(struct pat_httpd_req *http, void *arg)
{
    struct carrier_req c;

    if (carrier_read(&c, arg, http, false))
        return;
    callback_hangup(arg, http, c.form);
    carrier_fini(&c);
}

int fallback_routes(struct router *r)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/v1/signalwire/fallback", 0, on_fallback },
        { "GET", "/v1/signalwire/fallback", 0, on_fallback },
        { "POST", "/v1/signalwire/recorded", 0, on_recorded },
        { 0 },
    };

    return pat_httpd_routes(r->httpd, routes, r);
}
