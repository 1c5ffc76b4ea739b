/* status.c - the carrier tells that a call ended: POST /v1/signalwire/status.
 *
 * The callback belongs to the number, its URL is the same for all calls, so the call is looked up
 * in Postgres by the carrier's id of it.
 */
#include "callback.h"
#include "ends.h"
#include "record.h"

#include <stdlib.h>
#include <string.h>

#define STATUS_TIMEOUT_MS 4000
#define LOOK_AGAIN_MS     200

struct status {
    struct router *r;
    struct pat_httpd_req *http;
    struct record_end end;
    char carrier_call[CALLREF_ID_MAX + 1];
    int64_t deadline_ms;
    struct pat_timer again;
};

static void status_free(struct status *s)
{
    pat_timer_fini(&s->again);
    free(s);
}

/* NULL: nothing we need to be told ("ringing", "in-progress"). */
static const struct pat_end_reason *status_end(const struct carrier_req *c)
{
    const char *status = carrier_param(c, "CallStatus");

    if (c->form == CARRIER_SWML)
        status = strcmp(pat_json_str_or(c->json, "params.call_state", ""), "ended")
                     ? NULL
                     : pat_json_str_or(c->json, "params.end_reason", "hangup");
    return ends_of_status(status);
}

static void read_ref(struct callref *c, const struct pat_db_result *row)
{
    const char *retell = pat_db_get(row, 0, "retell_call_id"),
               *config = pat_db_get(row, 0, "agent_config_id");
    const char *from = pat_db_get(row, 0, "from_number"), *to = pat_db_get(row, 0, "to_number");
    const char *stack = pat_db_get(row, 0, "stack");

    pat_strcpy(c->call.s, sizeof c->call.s, pat_db_get(row, 0, "id"));
    pat_strcpy(c->user, sizeof c->user, pat_db_get(row, 0, "user_id"));
    pat_strcpy(c->carrier_call, sizeof c->carrier_call, pat_db_get(row, 0, "carrier_call_id"));
    pat_strcpy(c->agent_config, sizeof c->agent_config, config ? config : "");
    pat_strcpy(c->retell_call, sizeof c->retell_call, retell ? retell : "");
    pat_strcpy(c->from, sizeof c->from, from ? from : "");
    pat_strcpy(c->to, sizeof c->to, to ? to : "");
    c->stack = stack_parse(stack ? stack : "");
    c->tried = 1u << c->stack;
    c->config_version = strtoll(pat_db_get(row, 0, "config_version"), NULL, 10);
    c->offered_ms = strtoll(pat_db_get(row, 0, "offered_ms"), NULL, 10);
}

static void on_found(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct status *s = arg;
    struct callref ref = { 0 };

    (void)n;
    if (!err && !pat_db_rows(results[0]) && pat_journal_pending(s->r->journal) &&
        pat_now_ms() + LOOK_AGAIN_MS < s->deadline_ms) {
        pat_timer_start(&s->again, LOOK_AGAIN_MS); /* its row may be on its way */
        return;
    }
    if (err) {
        /* Not stored: let the carrier ask again. */
        pat_httpd_reply_error(s->http, PAT_EUNAVAIL, NULL, "try again");
    } else {
        if (pat_db_rows(results[0])) {
            read_ref(&ref, results[0]);
            /* "completed" means that something answered, a voicemail's greeting as well. */
            if (!strcmp(s->end.reason, "completed") &&
                !strcmp(pat_db_get(results[0], 0, "state"), "answered"))
                s->end.outcome = "answered";
            record_ended(s->r, &ref, &s->end);
        }
        pat_httpd_reply(s->http, 204, NULL, NULL, 0);
    }
    status_free(s);
}

static int find_open_call(struct status *s)
{
    static const char sql[] =
        "select id, user_id, agent_config_id, carrier_call_id, retell_call_id, from_number, to_number, stack, state, "
        "coalesce(config_version, 0) as config_version, "
        "floor(extract(epoch from offered_at) * 1000)::bigint as offered_ms "
        "from patchbay.calls where carrier_call_id = $1 and state <> 'ended' order by offered_at desc limit 1";
    const char *params[] = { s->carrier_call };

    return pat_db_run1(s->r->d->db, "call_by_carrier_id", sql, params, 1,
                       s->deadline_ms - pat_now_ms(), on_found, s, NULL);
}

static void look_again(void *arg)
{
    struct status *s = arg;
    int err = find_open_call(s);

    if (!err)
        return;
    pat_httpd_reply_error(s->http, PAT_EUNAVAIL, NULL, "try again");
    status_free(s);
}

static int status_start(struct router *r, const struct carrier_req *c, const struct record_end *end)
{
    struct status *s = calloc(1, sizeof *s);
    int err;

    if (!s)
        return PAT_ENOMEM;
    s->r = r;
    s->http = c->http;
    s->end = *end;
    s->deadline_ms = pat_now_ms() + STATUS_TIMEOUT_MS;
    (void)pat_strcpy(s->carrier_call, sizeof s->carrier_call, c->call_id);
    err = pat_timer_init(&s->again, r->d->loop, look_again, s);
    if (!err)
        err = find_open_call(s);
    if (err) {
        status_free(s);
        return err;
    }
    return PAT_OK;
}

static void on_status(struct pat_httpd_req *http, void *arg)
{
    struct router *r = arg;
    const struct pat_end_reason *why;
    struct record_end end = { 0 };
    struct carrier_req c;
    int err;

    if (carrier_read(&c, r, http, false))
        return;
    why = *c.call_id ? status_end(&c) : NULL;
    if (!why) {
        pat_httpd_reply(http, 204, NULL, NULL, 0);
        goto out;
    }
    end.reason = why->word;
    if (!strcmp(why->word, "completed"))
        end.talk_ms = callback_seconds_ms(&c, "CallDuration");
    err = status_start(r, &c, &end);
    if (err)
        pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "try again");
out:
    carrier_fini(&c);
}

int status_routes(struct router *r)
{
    return pat_httpd_route(r->httpd, "POST", "/v1/signalwire/status", 0, on_status, r);
}
