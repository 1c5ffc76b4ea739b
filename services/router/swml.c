/* swml.c - the same answers as SWML documents in JSON.
 *
 * {"version":"1.0.0","sections":{"main":[step, ...]}}; after `connect` the next step runs, a
 * `transfer` to our Dial result URL, which gets the outcome in vars.connect_result.
 */
#include "document.h"
#include "swml_build.h"

#include <string.h>

int swml_finish(struct pat_buf *out, struct pat_json *steps_take)
{
    struct pat_json *doc = pat_json_obj(), *sections = pat_json_obj();
    int err;

    pat_json_set_take(sections, "main", steps_take);
    pat_json_set_str(doc, "version", "1.0.0");
    pat_json_set_take(doc, "sections", sections);
    err = pat_json_print_to(doc, out);
    pat_json_free(doc);
    return err;
}

void swml_step(struct pat_json *steps, const char *verb, struct pat_json *params_take)
{
    struct pat_json *step = pat_json_obj();

    pat_json_set_take(step, verb, params_take);
    pat_json_add_take(steps, step);
}

static void add_say(struct pat_json *steps, const char *text)
{
    struct pat_json *play = pat_json_obj();
    struct pat_buf url;

    pat_buf_init(&url, 2048);
    pat_buf_adds(&url, "say:");
    pat_buf_adds(&url, text);
    pat_json_set_str(play, "url", url.data);
    pat_buf_fini(&url);
    swml_step(steps, "play", play);
}

/* "sip:u@h;transport=tls?A=1&B=2": SWML wants the headers apart. Values are percent-encoded in the
 * address and plain in the list; ours need no decoding, they are ids, numbers and base64url. */
static struct pat_json *headers_of(const char *query)
{
    struct pat_json *list = pat_json_arr();

    while (*query) {
        size_t name = strcspn(query, "=&");
        size_t value = query[name] == '=' ? strcspn(query + name + 1, "&") : 0;
        struct pat_json *h = pat_json_obj();

        pat_json_set_strn(h, "name", query, name);
        pat_json_set_strn(h, "value", query + name + (query[name] == '='), value);
        pat_json_add_take(list, h);
        query += name + (query[name] == '=') + value;
        query += *query == '&';
    }
    return list;
}

int swml_dial(struct pat_buf *out, const struct dial *d, const char *sip_uri)
{
    const struct router_conf *conf = d->conf;
    struct pat_json *steps = pat_json_arr(), *c = pat_json_obj(), *t = pat_json_obj(), *events;
    const char *query = strchr(sip_uri, '?');

    pat_json_set_strn(c, "to", sip_uri, query ? (size_t)(query - sip_uri) : strlen(sip_uri));
    if (query)
        pat_json_set_take(c, "headers", headers_of(query + 1));
    if (d->caller_id)
        pat_json_set_str(c, "from", d->caller_id);
    pat_json_set_bool(c, "answer_on_bridge", true);
    pat_json_set_int(c, "timeout", conf->dial_timeout_s);
    pat_json_set_int(c, "max_duration", conf->max_call_s);
    if (d->ref->stack == STACK_LIVEKIT && *conf->livekit_sip_username) {
        pat_json_set_str(c, "username", conf->livekit_sip_username);
        pat_json_set_str(c, "password", conf->livekit_sip_password);
    }
    if (d->state_url && *d->state_url) {
        events = pat_json_arr();
        pat_json_add_str(events, "answered");
        pat_json_add_str(events, "ended");
        pat_json_set_str(c, "call_state_url", d->state_url);
        pat_json_set_take(c, "call_state_events", events);
    }
    swml_step(steps, "connect", c);
    pat_json_set_str(t, "dest", d->action_url);
    swml_step(steps, "transfer", t);
    return swml_finish(out, steps);
}

int swml_say_hangup(struct pat_buf *out, const char *text)
{
    struct pat_json *steps = pat_json_arr();

    add_say(steps, text);
    swml_step(steps, "hangup", pat_json_obj());
    return swml_finish(out, steps);
}

int swml_hangup(struct pat_buf *out)
{
    struct pat_json *steps = pat_json_arr();

    swml_step(steps, "hangup", pat_json_obj());
    return swml_finish(out, steps);
}

int swml_voicemail(struct pat_buf *out, const struct router_conf *conf,
                   const struct voicemail_doc *v)
{
    struct pat_json *steps = pat_json_arr(), *r = pat_json_obj(), *next = pat_json_obj();

    swml_step(steps, "answer", pat_json_obj());
    add_say(steps, v->text);
    pat_json_set_bool(r, "beep", true);
    pat_json_set_str(r, "format", "wav");
    pat_json_set_int(r, "max_length", conf->voicemail_max_s);
    if (v->action_url)
        pat_json_set_str(r, "status_url", v->action_url);
    swml_step(steps, "record", r);
    if (v->next_url)
        pat_json_set_str(next, "dest", v->next_url);
    swml_step(steps, v->next_url ? "transfer" : "hangup", next);
    return swml_finish(out, steps);
}
