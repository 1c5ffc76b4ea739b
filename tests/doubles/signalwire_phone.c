/* signalwire_phone.c - phones that are rung: by <Dial><Number> or by the REST API's new calls.
 *
 * A phone's leg is a call of its own. Somebody answers, is busy, refuses or is not there, as the
 * control's "phones" say; a number nobody has fails with 404. What is heard before the bridge (the
 * Number's url, or the new call's) is a document the leg plays like any other.
 */
#include "signalwire.h"

#include <stdio.h>
#include <string.h>

#define NOT_THERE 408

static void find_phone(struct sw_call *c)
{
    const struct sw *sw = c->sw;

    c->phone = (struct sw_phone){ .status = 404 };
    for (int i = 0; i < sw->n_phones; i++)
        if (!strcmp(sw->phones[i].number, c->to))
            c->phone = sw->phones[i];
}

unsigned sw_phone_events(const char *names)
{
    static const char *const table[] = { "initiated", "ringing", "answered", "completed" };
    unsigned bits = 0;

    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strstr(names, table[i]))
            bits |= 1u << i;
    return bits;
}

/* SWML's words for the same. */
static void tell_swml(struct sw_call *c, unsigned event, const char *status)
{
    static const char *const ends[][2] = { { "completed", "hangup" },
                                           { "busy", "busy" },
                                           { "no-answer", "no_answer" },
                                           { "canceled", "cancel" } };
    struct pat_json *p = dbl_obj("call_id", c->sid.s);
    const char *reason = "error";

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (!strcmp(status, ends[i][0]))
            reason = ends[i][1];
    pat_json_set_str(p, "call_state",
                     event == SW_COMPLETED  ? "ended"
                     : event == SW_ANSWERED ? "answered"
                                            : "ringing");
    pat_json_set_str(p, "direction", "outbound");
    if (event == SW_COMPLETED)
        pat_json_set_str(p, "end_reason", reason);
    sw_swml_tell(c, c->status_cb, "calling.call.state", p);
}

void sw_phone_tell(struct sw_call *c, unsigned event, const char *status)
{
    struct sw_form f = { 0 };
    char sequence[24];

    if (!(c->status_events & event) || !*c->status_cb)
        return;
    if (c->swml) {
        tell_swml(c, event, status);
        return;
    }
    snprintf(sequence, sizeof sequence, "%d", c->sequence++);
    sw_form_call(&f, c, status);
    sw_form_add(&f, "SequenceNumber", sequence);
    sw_form_add(&f, "CallbackSource", "call-progress-events");
    sw_tell(c, c->status_cb, &f);
}

void sw_phone_ring(struct sw_call *c, int64_t timeout_ms)
{
    int64_t after_ms;

    find_phone(c);
    after_ms = c->phone.after_ms;
    if (c->phone.status == NOT_THERE || after_ms > timeout_ms) {
        c->phone.status = NOT_THERE;
        after_ms = timeout_ms;
    }
    c->state = SW_RINGING;
    sw_note(c, "ringing", dbl_obj("to", c->to));
    sw_phone_tell(c, SW_INITIATED, "initiated");
    if (c->phone.status != 404)
        sw_phone_tell(c, SW_IS_RINGING, "ringing");
    pat_timer_start(&c->timer, after_ms);
}

static const char *end_status(int sip)
{
    return sip == 486 || sip == 600         ? "busy"
           : sip == NOT_THERE || sip == 480 ? "no-answer"
                                            : "failed";
}

void sw_phone_bridge(struct sw_call *c)
{
    struct sw_call *caller = c->parent;

    c->state = SW_BRIDGED;
    caller->state = SW_BRIDGED;
    caller->answered = true;
    caller->answered_ms = pat_now_ms();
    sw_note(c, "bridged", dbl_obj("with", caller->sid.s));
    sw_note(caller, "bridged", dbl_obj("with", c->sid.s));
}

void sw_phone_timer(struct sw_call *c)
{
    struct sw_form f = { 0 };

    if (c->phone.status != 200) {
        sw_end(c, end_status(c->phone.status));
        return;
    }
    c->answered = true;
    c->answered_ms = pat_now_ms();
    sw_note(c, "answered", NULL);
    sw_phone_tell(c, SW_ANSWERED, "in-progress");
    if (*c->answer_url) {
        sw_form_call(&f, c, "in-progress");
        sw_fetch(c, c->answer_url, &f);
    } else if (c->parent) {
        sw_phone_bridge(c);
    } else {
        sw_end(c, "completed");
    }
}
