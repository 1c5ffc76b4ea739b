/* call_dtmf.c - the telephone's keys: digits in become a typed turn, digits out go to the far end.
 *
 * LiveKit's SIP service turns RFC 4733 events into SipDTMF packets and back; tones in the sound
 * itself are not looked at. What was pressed may be a passcode: neither log nor event has it.
 */
#include "call_int.h"
#include "words.h"

#include <string.h>

enum {
    GAP_MS = 300,  /* between digits sent: some exchanges miss what comes faster */
    WAIT_MS = 500, /* of a 'w' */
    AGAIN_MS = 500,
    TRIES = 10, /* without a data channel */
};

static void tell(struct call *c, const char *direction, size_t n)
{
    struct pat_json *data = pat_json_obj();

    pat_json_set_str(data, "direction", direction);
    pat_json_set_int(data, "count", (int64_t)n);
    report_event(c, "call", "dtmf", data);
}

/* ---- in ---- */

void call_typed(struct call *c, const char *text, size_t len)
{
    if (c->said.len)
        pat_buf_adds(&c->said, " ");
    pat_buf_add(&c->said, text, len);
    call_turn_kind(c, TURN_TYPED, c->said.data ? words_total(c->said.data) : 0);
}

static void on_in_over(void *arg)
{
    struct call *c = arg;
    struct call_dtmf *d = &c->dtmf;
    struct pat_buf b;

    if (!d->n_in || c->ending)
        return;
    tell(c, "in", d->n_in);
    pat_buf_init(&b, 256);
    pat_buf_addf(&b, call_tools_secret(c->tools) ? "%.*s" : "(pressed on the phone's keypad: %.*s)",
                 (int)d->n_in, d->in);
    call_record_unpause(c, RECORD_PAUSE_KEYS);
    d->n_in = 0;
    if (!b.err)
        call_typed(c, b.data, b.len);
    pat_buf_fini(&b);
}

void call_dtmf_digit(struct call *c, char digit)
{
    struct call_dtmf *d = &c->dtmf;

    if (c->ending || !digit || !strchr("0123456789*#ABCD", digit))
        return;
    pat_log(PAT_DEBUG, "call.dtmf", PAT_S("call", c->id));
    /* "#" alone is a key like any other; behind others it says that they are all. */
    if (digit == '#' && d->n_in) {
        pat_timer_stop(&d->in_timer);
        on_in_over(c);
        return;
    }
    call_record_pause(c, RECORD_PAUSE_KEYS);
    if (d->n_in < sizeof d->in)
        d->in[d->n_in++] = digit;
    pat_timer_start(&d->in_timer, c->env->conf->dtmf_pause_ms);
}

/* ---- out ---- */

static void on_out(void *arg)
{
    struct call *c = arg;
    struct call_dtmf *d = &c->dtmf;
    char digit = d->out[d->at_out];
    int err;

    if (!digit || c->ending || !c->room) {
        d->out[0] = 0;
        d->at_out = 0;
        return;
    }
    if (digit == 'w') {
        d->at_out++;
        pat_timer_start(&d->out_timer, WAIT_MS);
        return;
    }
    err = rtc_room_send_dtmf(c->room, digit);
    if (err == PAT_EAGAIN && d->tries++ < TRIES) {
        pat_timer_start(&d->out_timer, AGAIN_MS);
        return;
    }
    if (err)
        pat_log(PAT_WARN, "call.dtmf_not_sent", PAT_S("call", c->id), PAT_ERR(err));
    d->tries = 0;
    d->at_out++;
    pat_timer_start(&d->out_timer, GAP_MS);
}

int call_send_dtmf(struct call *c, const char *digits)
{
    struct call_dtmf *d = &c->dtmf;
    size_t waiting = strlen(d->out + d->at_out), n = strlen(digits);

    if (!n || strspn(digits, "0123456789*#ABCDw") != n)
        return PAT_EINVAL;
    if (c->ending || !c->room || !c->caller_here)
        return PAT_EUNAVAIL;
    if (waiting + n >= sizeof d->out)
        return PAT_E2BIG;
    memmove(d->out, d->out + d->at_out, waiting + 1);
    d->at_out = 0;
    pat_strcpy(d->out + waiting, sizeof d->out - waiting, digits);
    tell(c, "out", n);
    if (!pat_timer_running(&d->out_timer))
        pat_timer_start(&d->out_timer, 0);
    return PAT_OK;
}

/* ---- life ---- */

int call_dtmf_init(struct call *c)
{
    int err = pat_timer_init(&c->dtmf.in_timer, c->env->loop, on_in_over, c);

    return err ? err : pat_timer_init(&c->dtmf.out_timer, c->env->loop, on_out, c);
}

void call_dtmf_stop(struct call *c)
{
    pat_timer_stop(&c->dtmf.in_timer);
    pat_timer_stop(&c->dtmf.out_timer);
}

void call_dtmf_fini(struct call *c)
{
    pat_timer_fini(&c->dtmf.in_timer);
    pat_timer_fini(&c->dtmf.out_timer);
}
