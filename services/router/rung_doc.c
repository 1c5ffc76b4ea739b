/* rung_doc.c - the document for a rung: see rung_doc.h. */
#include "rung_doc.h"

#include "callback.h"
#include "document.h"
#include "rest.h"
#include "voicemail.h"

#define FORWARD_RING_S 25
enum { USUAL_URL = 600 }; /* most of them fit in */

static const char leave_message[] =
    "Nobody can take your call right now. Please leave a message after the tone.";
static const char sorry[] =
    "We are sorry, nobody can take your call right now. Please try again later.";

static bool swml(const struct rung_doc *d)
{
    return d->form == CARRIER_SWML;
}

/* Whether a stack has taken the leg is worth a request only where nobody may be behind it: Retell
 * answers with an agent. SWML tells its ends there as well. */
static bool is_told(const struct rung_doc *d)
{
    return swml(d) ||
           (d->ref->stack == STACK_LIVEKIT && rest_configured(d->r) && d->r->conf->no_agent_ms);
}

static int write_stack(const struct rung_doc *d, const char *token, struct pat_buf *doc,
                       struct pat_buf *sip)
{
    struct dial dial = { .conf = d->r->conf, .ref = d->ref };
    struct pat_buf action, state;
    int err;

    pat_buf_init(&action, 4096);
    pat_buf_init(&state, 4096);
    (void)pat_buf_reserve(&action, USUAL_URL); /* one allocation; a failure sticks */
    err = callback_url_of(&action, d->r, "/v1/signalwire/dial/", d->ref, token);
    if (!err && is_told(d))
        err = callback_url_of(&state, d->r, "/v1/signalwire/leg/", d->ref, token);
    if (!err)
        err = document_sip_uri(sip, d->r->conf, d->ref);
    if (!err && d->returned && d->ref->stack == STACK_LIVEKIT)
        err = pat_buf_addf(sip, "&X-Pat-Returned=%s", d->returned);
    dial.action_url = action.data;
    dial.state_url = state.data;
    if (!err)
        err = swml(d) ? swml_dial(doc, &dial, sip->data) : cxml_dial(doc, &dial, sip->data);
    pat_buf_fini(&action);
    pat_buf_fini(&state);
    return err;
}

/* To a phone; its Dial's result asks what is next, as a stack's does. */
static int write_forward(const struct rung_doc *d, const char *token, struct pat_buf *doc)
{
    /* A number of ours: the caller's own, passed on, carries no attestation (STIR/SHAKEN). */
    struct dial_phone dial = { .conf = d->r->conf,
                               .number = d->forward,
                               .caller_id = d->ref->to,
                               .timeout_s = FORWARD_RING_S };
    struct pat_buf action, state;
    int err;

    if (!d->forward || !*d->forward)
        return PAT_EINVAL;
    pat_buf_init(&action, 4096);
    pat_buf_init(&state, 4096);
    err = callback_url_of(&action, d->r, "/v1/signalwire/dial/", d->ref, token);
    if (!err)
        err = callback_url_of(&state, d->r, "/v1/signalwire/leg/", d->ref, token);
    dial.action_url = action.data;
    dial.status_url = state.data;
    if (!err)
        err = swml(d) ? swml_dial_phone(doc, &dial) : cxml_dial_phone(doc, &dial);
    pat_buf_fini(&action);
    pat_buf_fini(&state);
    return err;
}

int rung_write(const struct rung_doc *d, struct pat_buf *doc, struct pat_buf *token,
               struct pat_buf *sip)
{
    int err = callref_token(token, d->r->conf->call_secret, d->ref);

    if (err)
        return err;
    switch (d->ref->action) {
    case DECIDE_STACK:
        return write_stack(d, token->data, doc, sip);
    case DECIDE_FORWARD:
        return write_forward(d, token->data, doc);
    case DECIDE_VOICEMAIL:
        return voicemail_write(d->r, d->ref, d->form, leave_message, doc);
    case DECIDE_REFUSE:
        return swml(d) ? swml_reject(doc, d->busy) : cxml_reject(doc, d->busy);
    default:
        return swml(d) ? swml_say_hangup(doc, sorry)
                       : cxml_say_hangup(doc, d->r->conf->say_voice, sorry);
    }
}
