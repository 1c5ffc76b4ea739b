/* signalwire_swml.c - SWML: its steps as the verbs that do the same, its requests, its events.
 *
 * A document's steps become the nodes signalwire_call.c plays (SignalWire docs, "SWML methods":
 * answer, play, prompt, connect, record, sleep, transfer, hangup); what SWML does differently - the
 * next step runs after a connect or a record, results are variables - the player asks of c->swml.
 */
#include "signalwire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cxml_node *add_node(struct cxml_doc *doc, const char *name, int parent)
{
    struct cxml_node *n;

    if (doc->n == CXML_VERBS)
        return NULL;
    n = &doc->nodes[doc->n++];
    pat_strcpy(n->name, sizeof n->name, name);
    n->parent = parent;
    return n;
}

static void attr(struct cxml_node *n, const char *name, const char *value)
{
    struct cxml_attr *a = &n->attrs[n->n_attrs];

    if (!value || n->n_attrs == CXML_ATTRS)
        return;
    pat_strcpy(a->name, sizeof a->name, name);
    pat_strcpy(a->value, sizeof a->value, value);
    n->n_attrs++;
}

static void attr_int(struct cxml_node *n, const char *name, int64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)value);
    attr(n, name, text);
}

/* The headers go where cXML has them, behind the address. */
static void add_sip(struct cxml_node *noun, const struct pat_json *p)
{
    const struct pat_json *headers = pat_json_at(p, "headers");
    struct pat_buf uri;
    char lead = '?';

    pat_buf_init(&uri, CXML_TEXT - 1);
    pat_buf_adds(&uri, pat_json_str_or(p, "to", ""));
    PAT_JSON_EACH(h, headers)
    {
        pat_buf_addf(&uri, "%c%s=", lead, pat_json_str_or(h, "name", ""));
        pat_url_encode(&uri, pat_json_str_or(h, "value", ""));
        lead = '&';
    }
    pat_strcpy(noun->text, sizeof noun->text, uri.data ? uri.data : "");
    pat_buf_fini(&uri);
}

static int read_connect(struct cxml_doc *doc, const struct pat_json *p)
{
    struct cxml_node *n = add_node(doc, "Dial", -1);
    bool sip = !strncmp(pat_json_str_or(p, "to", ""), "sip", 3);
    const struct pat_json *events = pat_json_at(p, "call_state_events");
    struct cxml_node *noun = add_node(doc, sip ? "Sip" : "Number", doc->n - 1);
    char names[128] = "completed";

    if (!n || !noun)
        return PAT_E2BIG;
    attr_int(n, "timeout", pat_json_int_or(p, "timeout", 60));
    attr(n, "callerId", pat_json_str_or(p, "from", NULL));
    add_sip(noun, p);
    attr(noun, "statusCallback", pat_json_str_or(p, "call_state_url", NULL));
    if (events)
        names[0] = 0;
    PAT_JSON_EACH(e, events)
    {
        const char *name = pat_json_value_str(e);

        if (name && strlen(names) + strlen(name) + 12 < sizeof names)
            snprintf(names + strlen(names), sizeof names - strlen(names), " %s",
                     strcmp(name, "ended") ? name : "completed");
    }
    attr(noun, "statusCallbackEvent", names);
    attr(noun, "url", pat_json_str_or(p, "confirm", NULL));
    return PAT_OK;
}

static int read_step(struct cxml_doc *doc, const char *verb, const struct pat_json *p)
{
    struct cxml_node *n;

    if (!strcmp(verb, "answer"))
        return PAT_OK;
    if (!strcmp(verb, "connect"))
        return read_connect(doc, p);
    n = add_node(doc,
                 !strcmp(verb, "play")       ? "Say"
                 : !strcmp(verb, "prompt")   ? "Gather"
                 : !strcmp(verb, "record")   ? "Record"
                 : !strcmp(verb, "sleep")    ? "Pause"
                 : !strcmp(verb, "transfer") ? "Redirect"
                 : !strcmp(verb, "hangup")   ? "Hangup"
                                             : "",
                 -1);
    if (!n)
        return PAT_E2BIG;
    if (!*n->name) {
        snprintf(doc->why, sizeof doc->why, "unknown step: %.60s", verb);
        return PAT_EINVAL;
    }
    pat_strcpy(n->text, sizeof n->text,
               pat_json_str_or(p, !strcmp(verb, "transfer") ? "dest" : "url",
                               pat_json_str_or(p, "play", "")));
    attr(n, "recordingStatusCallback", pat_json_str_or(p, "status_url", NULL));
    if (!strcmp(verb, "sleep"))
        attr_int(n, "length", pat_json_int_or(p, "duration", 0) / 1000);
    return PAT_OK;
}

int sw_swml_read(struct cxml_doc *doc, const char *text, size_t len)
{
    PAT_AUTO_JSON j = NULL;
    struct pat_json_err why;
    int err = PAT_OK;

    *doc = (struct cxml_doc){ .nodes = calloc(CXML_VERBS, sizeof *doc->nodes) };
    if (!doc->nodes)
        return PAT_ENOMEM;
    if (pat_json_parse(&j, text, len, &why) || strcmp(pat_json_str_or(j, "version", ""), "1.0.0") ||
        !pat_json_at(j, "sections.main")) {
        snprintf(doc->why, sizeof doc->why, "not a SWML document");
        return PAT_EINVAL;
    }
    PAT_JSON_EACH(step, pat_json_at(j, "sections.main"))
    {
        const struct pat_json *method = pat_json_first(step);

        if (!err)
            err = method ? read_step(doc, pat_json_key(method), method) : PAT_EINVAL;
    }
    return err;
}

void sw_swml_set(struct sw_call *c, const char *name, const char *value)
{
    if (!c->vars)
        c->vars = pat_json_obj();
    pat_json_set_str(c->vars, name, value);
}

char *sw_swml_body(const struct sw_call *c)
{
    PAT_AUTO_JSON j = pat_json_obj();
    struct pat_json *call = dbl_obj("call_id", c->sid.s);

    pat_json_set_str(call, "node_id", "node-1");
    pat_json_set_str(call, "segment_id", c->sid.s);
    pat_json_set_str(call, "call_state", c->answered ? "answered" : "created");
    pat_json_set_str(call, "direction", c->direction == SW_INBOUND ? "inbound" : "outbound");
    pat_json_set_str(call, "type", "phone");
    pat_json_set_str(call, "from", c->from);
    pat_json_set_str(call, "to", c->to);
    pat_json_set_str(call, "from_number", c->from);
    pat_json_set_str(call, "to_number", c->to);
    pat_json_set_take(call, "headers", pat_json_arr());
    pat_json_set_take(j, "call", call);
    pat_json_set_take(j, "vars", c->vars ? pat_json_dup(c->vars) : pat_json_obj());
    pat_json_set_take(j, "envs", pat_json_obj());
    pat_json_set_take(j, "params", pat_json_obj());
    return pat_json_print(j);
}

void sw_swml_tell(struct sw_call *c, const char *url, const char *type, struct pat_json *params)
{
    PAT_AUTO_JSON j = dbl_obj("event_type", type);

    pat_json_set_str(j, "event_channel", "swml:double");
    pat_json_set_num(j, "timestamp", (double)pat_unix_ms() / 1000);
    pat_json_set_str(j, "project_id", c->sw->project);
    pat_json_set_take(j, "params", params);
    sw_tell_json(c, url, j);
}
