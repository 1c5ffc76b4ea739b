/* fallback.c - the end of the line, when the voice URL failed: a message is taken whatever else is
 * broken.
 *
 * Nothing is looked up; the call's reference is rebuilt from the request, and when the number is
 * known the message finds its user.
 */
#include "callback.h"
#include "routes.h"
#include "serve.h"

#include <string.h>

static void on_fallback(struct pat_httpd_req *http, void *arg)
{
    struct router *r = arg;
    struct serve s = { .started_us = pat_now_us() };
    char from[NUMBER_MAX], to[NUMBER_MAX];
    const struct route *route;
    struct carrier_req c;
    const char *field;

    if (carrier_read(&c, r, http, false))
        return;
    s.form = c.form;
    if (carrier_check(&c, from, to, &field) || !(route = routes_find(r->routes, to)) ||
        !route->active) {
        callback_hangup(r, http, c.form);
        goto out;
    }
    s.ref.call = pat_id_new();
    s.ref.offered_ms = pat_unix_ms();
    s.ref.config_version = route->version;
    s.ref.tried = 1u << STACK_RETELL | 1u << STACK_LIVEKIT;
    pat_strcpy(s.ref.carrier_call, sizeof s.ref.carrier_call, c.call_id);
    pat_strcpy(s.ref.user, sizeof s.ref.user, route->user);
    pat_strcpy(s.ref.agent_config, sizeof s.ref.agent_config, route->agent_config);
    pat_strcpy(s.ref.from, sizeof s.ref.from, from);
    pat_strcpy(s.ref.to, sizeof s.ref.to, to);
    pat_log(PAT_WARN, "call.fallback_asked", PAT_S("call", s.ref.call.s),
            PAT_S("carrier_call", c.call_id), PAT_S("error_code", carrier_param(&c, "ErrorCode")));
    serve_call(r, http, &s, route);
out:
    carrier_fini(&c);
}

int fallback_routes(struct router *r)
{
    int err = pat_httpd_route(r->httpd, "POST", "/v1/signalwire/fallback", 0, on_fallback, r);

    return err ? err
               : pat_httpd_route(r->httpd, "GET", "/v1/signalwire/fallback", 0, on_fallback, r);
}
