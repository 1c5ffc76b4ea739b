/* inbound.c - the carrier asks what to do with a new call: POST (or GET) /v1/signalwire/voice.
 *
 * Always a valid document for an authentic request, within the carrier's five seconds; Postgres is
 * never waited for.
 */
#include "carrier.h"
#include "document.h"
#include "guard.h"
#include "repeat.h"
#include "routes.h"
#include "serve.h"

#include <string.h>

static void say_and_hang_up(struct router *r, struct pat_httpd_req *http, enum carrier_form form,
                            const char *text)
{
    struct pat_buf doc;
    int err;

    pat_buf_init(&doc, DOCUMENT_MAX);
    err = form == CARRIER_SWML ? swml_say_hangup(&doc, text)
                               : cxml_say_hangup(&doc, r->conf->say_voice, text);
    carrier_answer(r, http, form, err, &doc);
    pat_buf_fini(&doc);
}

/* The phone that sent the caller on to us, if it did. */
static void read_passed_on(char out[NUMBER_MAX], const struct carrier_req *c)
{
    const char *sent = c->form == CARRIER_SWML ? NULL : carrier_param(c, "ForwardedFrom");

    if (c->form == CARRIER_SWML)
        PAT_JSON_EACH(h, pat_json_at(c->json, "call.headers"))
    if (!strcasecmp(pat_json_str_or(h, "name", ""), "Diversion"))
        sent = pat_json_str_or(h, "value", NULL);
    caller_passed_on(out, sent);
}

void inbound_begin(struct router *r, const struct carrier_req *c, const char *from,
                   const struct route *route, int64_t started_us)
{
    struct serve s = { .form = c->form, .is_new = true, .started_us = started_us };
    char known[NUMBER_MAX], passed_on_from[NUMBER_MAX];
    struct guard_call call = { .from = from, .passed_on_from = passed_on_from };
    struct policy_facts facts;

    s.ref.offered_ms = pat_unix_ms();
    s.ref.call = repeat_call_id(r, c->call_id, route->number, s.ref.offered_ms, &s.before);
    s.ref.config_version = route->version;
    pat_strcpy(s.ref.carrier_call, sizeof s.ref.carrier_call, c->call_id);
    pat_strcpy(s.ref.user, sizeof s.ref.user, route->user);
    pat_strcpy(s.ref.agent_config, sizeof s.ref.agent_config, route->agent_config);
    pat_strcpy(s.ref.from, sizeof s.ref.from, from);
    pat_strcpy(s.ref.to, sizeof s.ref.to, route->number);
    read_passed_on(passed_on_from, c);
    call.caller = caller_read(known, c->from);
    call.call = s.ref.call.s;
    guard_facts(&facts, r, route, &call, s.ref.offered_ms);
    s.policy = &facts;
    serve_call(r, c->http, &s, route);
}

static void on_voice(struct pat_httpd_req *http, void *arg)
{
    struct router *r = arg;
    int64_t started_us = pat_now_us();
    char from[NUMBER_MAX], to[NUMBER_MAX];
    const struct route *route;
    struct carrier_req c;
    const char *field;

    if (carrier_read(&c, r, http, false))
        return;
    if (carrier_check(&c, from, to, &field)) {
        pat_log(PAT_WARN, "call.refused", PAT_S("field", field), PAT_S("carrier_call", c.call_id));
        pat_httpd_reply_error(http, PAT_EINVAL, field, "missing or malformed");
        goto out;
    }
    route = routes_find(r->routes, to);
    if (!route && !routes_loaded(r->routes)) { /* another router may know: the fallback address */
        pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "numbers are not known yet");
        goto out;
    }
    if (!route || !route->active) {
        pat_log(PAT_WARN, route ? "call.number_inactive" : "call.number_unknown", PAT_S("to", to),
                PAT_S("carrier_call", c.call_id));
        say_and_hang_up(r, http, c.form, "The number you have called is not in service.");
        goto out;
    }
    inbound_begin(r, &c, from, route, started_us);
out:
    carrier_fini(&c);
}

int inbound_routes(struct router *r)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/v1/signalwire/voice", 0, on_voice },
        { "GET", "/v1/signalwire/voice", 0, on_voice },
        { 0 },
    };

    return pat_httpd_routes(r->httpd, routes, r);
}
