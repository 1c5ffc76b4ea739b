/* cxml.c - cXML documents, all through the escaping writer, and the SIP address both forms dial. */
#include "document.h"

#include <string.h>

static int add_header(struct pat_buf *out, char lead, const char *name, const char *value)
{
    pat_buf_add(out, &lead, 1);
    pat_buf_adds(out, name);
    pat_buf_adds(out, "=");
    return pat_url_encode(out, value);
}

/* The context as SIP headers, so that the agent can serve a call whose preparation was lost. */
static int add_context(struct pat_buf *out, const struct router_conf *conf,
                       const struct callref *ref)
{
    const char *const parts[] = { ref->call.s, "|", ref->user, "|", ref->agent_config, "|" };
    struct pat_buf text, sig;
    const char *version;
    int err;

    pat_buf_init(&text, 255);
    pat_buf_init(&sig, 64);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        pat_buf_adds(&text, parts[i]);
    pat_buf_addi(&text, ref->config_version);
    err = text.err;
    if (!err)
        err = pat_sign_short(&sig, conf->call_secret, "sip", text.data);
    if (!err) {
        version = strrchr(text.data, '|') + 1;
        add_header(out, '?', "X-Pat-Call", ref->call.s);
        add_header(out, '&', "X-Pat-User", ref->user);
        add_header(out, '&', "X-Pat-Agent", ref->agent_config);
        add_header(out, '&', "X-Pat-Version", version);
        err = add_header(out, '&', "X-Pat-Sig", sig.data);
    }
    pat_buf_fini(&text);
    pat_buf_fini(&sig);
    return err;
}

int document_sip_uri(struct pat_buf *out, const struct router_conf *conf, const struct callref *ref)
{
    return document_room_uri(out, conf, ref,
                             ref->stack == STACK_LIVEKIT ? ref->call.s : ref->retell_call);
}

int document_room_uri(struct pat_buf *out, const struct router_conf *conf,
                      const struct callref *ref, const char *user)
{
    bool livekit = ref->stack == STACK_LIVEKIT;

    pat_buf_adds(out, "sip:");
    pat_url_encode(out, user);
    pat_buf_adds(out, "@");
    pat_buf_adds(out, livekit ? conf->livekit_sip_host : conf->retell_sip_host);
    pat_buf_adds(out, ";transport=");
    pat_buf_adds(out, livekit ? conf->livekit_sip_transport : conf->retell_sip_transport);
    return livekit ? add_context(out, conf, ref) : out->err;
}

static const char *unless_empty(const char *s)
{
    return *s ? s : NULL;
}

int cxml_dial(struct pat_buf *out, const struct dial *d, const char *sip_uri)
{
    const struct router_conf *conf = d->conf;
    bool livekit = d->ref->stack == STACK_LIVEKIT;
    struct pat_xml x;

    pat_xml_init(&x, out);
    pat_xml_open(&x, "Response");
    pat_xml_open(&x, "Dial");
    pat_xml_attr(&x, "answerOnBridge", "true");
    pat_xml_attr_int(&x, "timeout", (long)conf->dial_timeout_s);
    pat_xml_attr_int(&x, "timeLimit", (long)conf->max_call_s);
    pat_xml_attr(&x, "callerId", d->caller_id);
    pat_xml_attr(&x, "action", d->action_url);
    pat_xml_attr(&x, "method", "POST");
    pat_xml_open(&x, "Sip");
    if (livekit) {
        pat_xml_attr(&x, "username", unless_empty(conf->livekit_sip_username));
        pat_xml_attr(&x, "password", unless_empty(conf->livekit_sip_password));
    }
    if (d->state_url && *d->state_url) {
        pat_xml_attr(&x, "statusCallback", d->state_url);
        pat_xml_attr(&x, "statusCallbackEvent", "answered");
        pat_xml_attr(&x, "statusCallbackMethod", "POST");
    }
    pat_xml_text(&x, sip_uri);
    pat_xml_close(&x);
    pat_xml_close(&x);
    pat_xml_close(&x);
    return pat_xml_end(&x);
}

static void say(struct pat_xml *x, const char *voice, const char *text)
{
    pat_xml_open(x, "Say");
    pat_xml_attr(x, "voice", unless_empty(voice));
    pat_xml_text(x, text);
    pat_xml_close(x);
}

static void hangup(struct pat_xml *x)
{
    pat_xml_open(x, "Hangup");
    pat_xml_close(x);
}

int cxml_say_hangup(struct pat_buf *out, const char *voice, const char *text)
{
    struct pat_xml x;

    pat_xml_init(&x, out);
    pat_xml_open(&x, "Response");
    say(&x, voice, text);
    hangup(&x);
    pat_xml_close(&x);
    return pat_xml_end(&x);
}

int cxml_hangup(struct pat_buf *out)
{
    struct pat_xml x;

    pat_xml_init(&x, out);
    pat_xml_open(&x, "Response");
    hangup(&x);
    pat_xml_close(&x);
    return pat_xml_end(&x);
}

int cxml_voicemail(struct pat_buf *out, const struct router_conf *conf,
                   const struct voicemail_doc *v)
{
    struct pat_xml x;

    pat_xml_init(&x, out);
    pat_xml_open(&x, "Response");
    say(&x, conf->say_voice, v->text);
    /* Without an action the carrier would ask for the present document again, for ever. */
    pat_xml_open(&x, "Record");
    pat_xml_attr(&x, "action", v->action_url);
    pat_xml_attr(&x, "method", "POST");
    pat_xml_attr_int(&x, "maxLength", (long)conf->voicemail_max_s);
    pat_xml_attr(&x, "timeout", "5");
    pat_xml_attr(&x, "playBeep", "true");
    pat_xml_attr(&x, "recordingStatusCallback", v->action_url);
    pat_xml_attr(&x, "recordingStatusCallbackMethod", "POST");
    if (v->transcribe_url) {
        pat_xml_attr(&x, "transcribe", "true");
        pat_xml_attr(&x, "transcribeCallback", v->transcribe_url);
    }
    pat_xml_close(&x);
    /* Only reached when nothing was recorded: then one carrier goes on here, the other asks the
     * action (twilio.com/docs/voice/twiml/record; SignalWire docs, "cXML Record"). */
    if (v->next_url) {
        pat_xml_open(&x, "Redirect");
        pat_xml_attr(&x, "method", "POST");
        pat_xml_text(&x, v->next_url);
        pat_xml_close(&x);
    }
    pat_xml_close(&x);
    return pat_xml_end(&x);
}
