/* signalwire.c - the SignalWire double: a carrier that places calls to its customer and does what
 * the answer says.
 *
 *   POST /calls {"from","to","media"?}  a caller dials one of the customer's numbers: 201 {"sid"};
 *                                   media: he hears at this address (media.h)
 *   GET  /calls                     {"calls":[...]}: also the phones that were rung
 *   GET  /calls/{sid}               {"state","story":[...],"from","to","direction"}
 *   POST /calls/{sid}/hangup        the person at this phone hangs up
 *   the REST API under /api/laml/2010-04-01 (and, as Twilio has it, /2010-04-01), JSON commands
 *   under /api/calling/calls: signalwire_rest.c
 *
 * Own control keys: voice_url, fallback_url, status_url, signing_key, sip_hosts {"host":
 * "http://127.0.0.1:port"}, phones {"+1555..": {"status":200,"after_ms":0,"presses":"1"}}, project,
 * token, swml (true: the number's handler speaks SWML), twilio (true: ids, signature header and
 * addresses as Twilio has them), mute ("status,recording": callbacks that get lost), media_fails
 * (so many requests for a recording's file are refused yet), records ("": a message; "empty": none,
 * and its action is asked without a file; "skipped": none, and the next verb is played).
 */
#include "signalwire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* For whatever text a Say has: what counts is that somebody speaks, for as long as it takes. */
#define SW_SAYS "This is the voice of the telephone company, which reads what it was told to read."

struct sw_call *sw_find(const struct sw *sw, const char *sid)
{
    for (struct sw_call *c = sw->calls; c; c = c->next)
        if (!strcmp(c->sid.s, sid))
            return c;
    return NULL;
}

static void call_free(struct sw_call *c)
{
    pat_http_cancel(c->sw->d->http, c->http);
    pat_timer_fini(&c->timer);
    media_stop(c->said);
    cxml_doc_fini(&c->doc);
    pat_json_free(c->vars);
    pat_json_free(c->story);
    free(c);
}

struct sw_call *sw_call_new(struct sw *sw, const char *from, const char *to)
{
    struct sw_call *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->sw = sw;
    c->sid = sw_id(sw, "CA");
    c->began_at_ms = pat_unix_ms();
    c->story = pat_json_arr();
    if (!c->story || pat_timer_init(&c->timer, sw->d->loop, sw_on_timer, c)) {
        call_free(c);
        return NULL;
    }
    pat_strcpy(c->from, sizeof c->from, from);
    pat_strcpy(c->to, sizeof c->to, to);
    c->next = sw->calls;
    sw->calls = c;
    return c;
}

static void on_place(struct pat_httpd_req *r, void *arg)
{
    struct sw *sw = arg;
    PAT_AUTO_JSON body = NULL;
    struct pat_json_err why;
    struct sw_form f = { 0 };
    struct sw_call *c;
    const char *from, *to;
    size_t len;
    const char *text = pat_httpd_body(r, &len);

    if (pat_json_parse(&body, text, len, &why) || pat_json_get_str(body, "from", &from, &why) ||
        pat_json_get_str(body, "to", &to, &why)) {
        pat_httpd_reply_error(r, PAT_EINVAL, why.path, why.what);
        return;
    }
    c = sw_call_new(sw, from, to);
    if (!c) {
        pat_httpd_reply_error(r, PAT_ENOMEM, NULL, "out of memory");
        return;
    }
    pat_strcpy(c->media, sizeof c->media, pat_json_str_or(body, "media", ""));
    sw_form_call(&f, c, "ringing");
    c->swml = sw->swml;
    dbl_reply(r, 201, dbl_obj("sid", c->sid.s));
    sw_fetch(c, sw->voice_url, &f);
}

const char *sw_state_name(const struct sw_call *c)
{
    static const char *const states[] = { "asking",    "playing", "dialing", "bridged",
                                          "recording", "ringing", "ended" };

    return states[c->state];
}

static struct pat_json *seen(const struct sw_call *c)
{
    static const char *const directions[] = { "inbound", "outbound-dial", "outbound-api" };
    struct pat_json *j = dbl_obj("sid", c->sid.s);

    pat_json_set_str(j, "state", sw_state_name(c));
    pat_json_set_str(j, "from", c->from);
    pat_json_set_str(j, "to", c->to);
    pat_json_set_str(j, "direction", directions[c->direction]);
    pat_json_set_take(j, "story", pat_json_dup(c->story));
    return j;
}

static void on_list(struct pat_httpd_req *r, void *arg)
{
    const struct sw *sw = arg;
    struct pat_json *j = pat_json_obj(), *list = pat_json_arr();

    for (const struct sw_call *c = sw->calls; c; c = c->next)
        pat_json_add_take(list, seen(c));
    pat_json_set_take(j, "calls", list);
    dbl_reply(r, 200, j);
}

static void on_look(struct pat_httpd_req *r, void *arg)
{
    const struct sw_call *c = sw_find(arg, pat_httpd_param(r, "sid"));

    if (!c)
        pat_httpd_reply_error(r, PAT_ENOENT, "sid", "no such call");
    else
        dbl_reply(r, 200, seen(c));
}

static void on_hangup(struct pat_httpd_req *r, void *arg)
{
    struct sw_call *c = sw_find(arg, pat_httpd_param(r, "sid"));

    if (!c) {
        pat_httpd_reply_error(r, PAT_ENOENT, "sid", "no such call");
        return;
    }
    dbl_reply(r, 200, dbl_obj("sid", c->sid.s));
    sw_hangup(c);
}

static void set_hosts(struct sw *sw, const struct pat_json *hosts)
{
    sw->n_hosts = 0;
    for (size_t i = 0; i < pat_json_size(hosts) && sw->n_hosts < SW_HOSTS; i++) {
        const struct pat_json *v = pat_json_item(hosts, i);
        const char *base = pat_json_value_str(v);
        struct sw_host *h = &sw->hosts[sw->n_hosts++];

        pat_strcpy(h->name, sizeof h->name, pat_json_key(v));
        pat_strcpy(h->base, sizeof h->base, base ? base : "");
    }
}

static void set_phones(struct sw *sw, const struct pat_json *phones)
{
    sw->n_phones = 0;
    for (size_t i = 0; i < pat_json_size(phones) && sw->n_phones < SW_PHONES; i++) {
        const struct pat_json *v = pat_json_item(phones, i);
        struct sw_phone *p = &sw->phones[sw->n_phones++];

        *p = (struct sw_phone){ .status = (int)pat_json_int_or(v, "status", 200),
                                .after_ms = (int)pat_json_int_or(v, "after_ms", 0) };
        pat_strcpy(p->number, sizeof p->number, pat_json_key(v));
        pat_strcpy(p->presses, sizeof p->presses, pat_json_str_or(v, "presses", ""));
    }
}

static bool control(struct dbl *d, const char *key, const struct pat_json *value)
{
    struct sw *sw = d->state;
    const char *text = pat_json_value_str(value);
    struct {
        const char *key;
        char *to;
        size_t cap;
    } table[] = {
        { "voice_url", sw->voice_url, sizeof sw->voice_url },
        { "fallback_url", sw->fallback_url, sizeof sw->fallback_url },
        { "status_url", sw->status_url, sizeof sw->status_url },
        { "signing_key", sw->signing_key, sizeof sw->signing_key },
        { "project", sw->project, sizeof sw->project },
        { "token", sw->token, sizeof sw->token },
        { "mute", sw->mute, sizeof sw->mute },
        { "records", sw->records, sizeof sw->records },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (!strcmp(key, table[i].key)) {
            pat_strcpy(table[i].to, table[i].cap, text ? text : "");
            return true;
        }
    if (!strcmp(key, "sip_hosts"))
        set_hosts(sw, value);
    else if (!strcmp(key, "phones"))
        set_phones(sw, value);
    else if (!strcmp(key, "swml"))
        sw->swml = dbl_flag(value);
    else if (!strcmp(key, "twilio"))
        sw->twilio = dbl_flag(value);
    else if (!strcmp(key, "media_fails"))
        sw->media_fails = (int)pat_json_value_num(value);
    else
        return false;
    return true;
}

static void reset(struct dbl *d)
{
    struct sw *sw = d->state;

    sw->voice_url[0] = sw->fallback_url[0] = sw->status_url[0] = sw->signing_key[0] = 0;
    sw->project[0] = sw->token[0] = 0;
    sw->n_hosts = sw->n_phones = 0;
    sw->swml = sw->twilio = false;
    sw->mute[0] = sw->records[0] = 0;
    sw->media_fails = 0;
}

static int start(struct dbl *d)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/calls", 0, on_place },
        { "GET", "/calls", 0, on_list },
        { "GET", "/calls/{sid}", 0, on_look },
        { "POST", "/calls/{sid}/hangup", 0, on_hangup },
        { 0 },
    };
    static const struct synth_voice voice = { "rms", 1, 1 };
    struct sw *sw = calloc(1, sizeof *sw);
    int err;

    if (!sw)
        return PAT_ENOMEM;
    sw->d = d;
    d->state = sw;
    err = media_desk_new(&sw->voice, d->loop, SW_SAYS, &voice);
    if (!err)
        err = pat_httpd_routes(d->server, routes, sw);
    if (!err)
        err = sw_rest_routes(sw);
    return err ? err : sw_files_routes(sw);
}

static void stop(struct dbl *d)
{
    struct sw *sw = d->state;

    while (sw->calls) {
        struct sw_call *c = sw->calls;

        sw->calls = c->next;
        call_free(c);
    }
    sw_files_free(sw);
    media_desk_free(sw->voice);
    free(sw);
}

const struct dbl_vendor dbl_vendor_signalwire = { "signalwire", start, control, reset, stop };
