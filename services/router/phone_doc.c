/* phone_doc.c - documents that connect a caller to another phone, in cXML and in SWML: see
 * document.h.
 */
#include "document.h"
#include "swml_build.h"

#define ACCEPT_S 10

int cxml_dial_phone(struct pat_buf *out, const struct dial_phone *d)
{
    struct pat_xml x;

    pat_xml_init(&x, out);
    pat_xml_open(&x, "Response");
    pat_xml_open(&x, "Dial");
    pat_xml_attr(&x, "answerOnBridge", "true");
    pat_xml_attr_int(&x, "timeout", d->timeout_s);
    pat_xml_attr_int(&x, "timeLimit", (long)d->conf->max_call_s);
    pat_xml_attr(&x, "callerId", d->caller_id);
    pat_xml_attr(&x, "action", d->action_url);
    pat_xml_attr(&x, "method", "POST");
    pat_xml_open(&x, "Number");
    if (d->status_url) {
        pat_xml_attr(&x, "statusCallback", d->status_url);
        pat_xml_attr(&x, "statusCallbackEvent", "ringing answered");
        pat_xml_attr(&x, "statusCallbackMethod", "POST");
    }
    if (d->whisper_url) {
        pat_xml_attr(&x, "url", d->whisper_url);
        pat_xml_attr(&x, "method", "POST");
    }
    pat_xml_text(&x, d->number);
    pat_xml_close(&x);
    pat_xml_close(&x);
    pat_xml_close(&x);
    return pat_xml_end(&x);
}

int cxml_whisper(struct pat_buf *out, const struct router_conf *conf, const char *briefing,
                 const char *accept_url)
{
    struct pat_xml x;

    pat_xml_init(&x, out);
    pat_xml_open(&x, "Response");
    pat_xml_open(&x, "Gather");
    pat_xml_attr(&x, "input", "dtmf");
    pat_xml_attr_int(&x, "numDigits", 1);
    pat_xml_attr_int(&x, "timeout", ACCEPT_S);
    pat_xml_attr(&x, "action", accept_url);
    pat_xml_attr(&x, "method", "POST");
    pat_xml_open(&x, "Say");
    pat_xml_attr(&x, "voice", *conf->say_voice ? conf->say_voice : NULL);
    pat_xml_text(&x, briefing);
    pat_xml_close(&x);
    pat_xml_close(&x);
    pat_xml_open(&x, "Hangup"); /* no key, or a machine */
    pat_xml_close(&x);
    pat_xml_close(&x);
    return pat_xml_end(&x);
}

int cxml_go_on(struct pat_buf *out)
{
    struct pat_xml x;

    pat_xml_init(&x, out);
    pat_xml_open(&x, "Response");
    pat_xml_close(&x);
    return pat_xml_end(&x);
}

int cxml_wait(struct pat_buf *out, int seconds)
{
    struct pat_xml x;

    pat_xml_init(&x, out);
    pat_xml_open(&x, "Response");
    pat_xml_open(&x, "Pause");
    pat_xml_attr_int(&x, "length", seconds);
    pat_xml_close(&x);
    pat_xml_close(&x);
    return pat_xml_end(&x);
}

/* ------------------------------------------------------------------ SWML */

static struct pat_json *obj1(const char *key, const char *value)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_str(j, key, value);
    return j;
}

int swml_dial_phone(struct pat_buf *out, const struct dial_phone *d)
{
    static const char *const told[] = { "ringing", "answered", "ended" };
    struct pat_json *steps = pat_json_arr(), *c = pat_json_obj(), *events;

    pat_json_set_str(c, "to", d->number);
    pat_json_set_str(c, "from", d->caller_id);
    pat_json_set_bool(c, "answer_on_bridge", true);
    pat_json_set_int(c, "timeout", d->timeout_s);
    pat_json_set_int(c, "max_duration", d->conf->max_call_s);
    if (d->status_url) {
        events = pat_json_arr();
        for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
            pat_json_add_str(events, told[i]);
        pat_json_set_str(c, "call_state_url", d->status_url);
        pat_json_set_take(c, "call_state_events", events);
    }
    if (d->whisper_url)
        pat_json_set_str(c, "confirm", d->whisper_url);
    swml_step(steps, "connect", c);
    swml_step(steps, "transfer", obj1("dest", d->action_url));
    return swml_finish(out, steps);
}

int swml_whisper(struct pat_buf *out, const char *briefing, const char *accept_url)
{
    struct pat_json *steps = pat_json_arr(), *p = pat_json_obj();
    struct pat_buf say;

    pat_buf_init(&say, 2048);
    pat_buf_addf(&say, "say:%s", briefing);
    pat_json_set_str(p, "play", say.data);
    pat_json_set_int(p, "max_digits", 1);
    pat_json_set_int(p, "initial_timeout", ACCEPT_S);
    swml_step(steps, "prompt", p);
    swml_step(steps, "transfer", obj1("dest", accept_url));
    pat_buf_fini(&say);
    return swml_finish(out, steps);
}

int swml_go_on(struct pat_buf *out)
{
    return swml_finish(out, pat_json_arr());
}

int swml_wait(struct pat_buf *out, int seconds)
{
    struct pat_json *steps = pat_json_arr(), *s = pat_json_obj();

    pat_json_set_int(s, "duration", seconds * 1000);
    swml_step(steps, "sleep", s);
    return swml_finish(out, steps);
}
