/* out_deliver.c - which deliveries are begun, and when: claims, sweeps, and leaving.
 *
 * A lane (out_lanes.h) is an endpoint that may have something due: the fan-out says so, a sweep
 * finds what is due of other relays' and of retries. Claims take only as many rows as their lanes
 * have places, so nothing waits in memory, and a million queued rows cost no more than ten.
 */
#include "out.h"

#include "version.h"

#include <stdlib.h>
#include <string.h>

enum {
    PUMP_MS = 2, /* claims gather what becomes free meanwhile */
    SWEEP_MS = 500,
    SWEEP_MAX = 200, /* endpoints looked at by one sweep */
    CLAIM_MAX = 128, /* rows of one claim */
    AGAIN_MS = 1000,
    CONNECTIONS_SPARE = 64,
};
#define NIL_ID "00000000-0000-0000-0000-000000000000"

/* ---- claims ---- */

enum claimed { C_ENDPOINT = 1, C_MAX_CONCURRENCY = 12, C_FAILURES = 16 };

static void lane_row(struct out *o, const struct pat_db_result *rows, size_t i)
{
    struct out_lane *lane = out_lanes_find(&o->lanes, pat_db_value(rows, i, C_ENDPOINT));

    if (!lane) /* asked lanes stay: they have places asked for */
        return;
    lane->limit = (int)strtol(pat_db_value(rows, i, C_MAX_CONCURRENCY), NULL, 10);
    if (!lane->failed && strtol(pat_db_value(rows, i, C_FAILURES), NULL, 10) > 0)
        lane->failed = (int)strtol(pat_db_value(rows, i, C_FAILURES), NULL, 10);
    if (lane->failed)
        lane->cap = 1; /* it has failed before: one at a time until one is taken */
    lane->in_flight++;
    o->in_flight++;
    lane->asked--;
}

/* Lanes that got all they asked for may have more. */
static void lanes_answered(struct out *o, bool claimed)
{
    for (size_t i = 0; i < o->n_asked; i++) {
        struct out_lane *lane = o->asked[i];

        lane->hungry = !claimed || !lane->asked;
        lane->asked = 0;
        out_lanes_leave(&o->lanes, lane);
    }
    o->n_asked = 0;
}

static void on_claimed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct out *o = arg;
    size_t rows = err ? 0 : pat_db_rows(results[0]);

    o->claim = 0;
    if (err)
        pat_log(PAT_WARN, "webhook.not_claimed", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    for (size_t i = 0; i < rows; i++)
        lane_row(o, results[0], i);
    lanes_answered(o, !err);
    for (size_t i = 0; i < rows; i++)
        out_send(o, results[0], i);
    pat_gauge_set(o->m.in_flight, o->in_flight);
    if (err)
        pat_timer_start(&o->pump, AGAIN_MS);
    else
        out_pump_soon(o);
    out_check_left(o);
}

static int claim(struct out *o, const char *ids, const char *places)
{
    static const char sql[] =
        "select id, endpoint_id, event_id, user_id, type, attempts, tries, max_tries, body, url, "
        "secrets, timeout_ms, max_concurrency, kind, api_key, region, failures, ordered "
        "from patchbay.webhook_claim($1::uuid[], $2::integer[], $3::integer, $4::integer)";
    char margin[24], body_max[24];
    const char *params[] = { ids, places, margin, body_max };

    (void)snprintf(margin, sizeof margin, "%lld", (long long)o->r->conf->out_lease_ms);
    (void)snprintf(body_max, sizeof body_max, "%lld", (long long)o->r->conf->out_payload_max);
    return pat_db_run1(o->r->d->db, "webhook_claim", sql, params, 4, OUT_DB_MS, on_claimed, o,
                       &o->claim);
}

/* How many may be begun now: of those not yet written down, too, there is a limit. */
static int room(const struct out *o)
{
    int64_t left = o->inflight_max - o->in_flight - (int64_t)out_settle_pending(o->settle);

    return left < CLAIM_MAX ? (int)left : CLAIM_MAX;
}

static void pump(void *arg)
{
    struct out *o = arg;
    struct pat_buf ids, places;
    int left = room(o);
    size_t picked;

    if (o->claim || o->leaving || left <= 0)
        return;
    picked = out_lanes_pick(&o->lanes, o->asked, sizeof o->asked / sizeof o->asked[0]);
    pat_buf_init(&ids, 4096);
    pat_buf_init(&places, 4096);
    for (o->n_asked = 0; o->n_asked < picked && left > 0; o->n_asked++) {
        struct out_lane *lane = o->asked[o->n_asked];
        int want = out_lane_free(lane) < left ? out_lane_free(lane) : left;

        pat_buf_adds(&ids, o->n_asked ? "," : "{");
        pat_buf_adds(&ids, lane->endpoint);
        pat_buf_adds(&places, o->n_asked ? "," : "{");
        pat_buf_addi(&places, want);
        lane->asked = want;
        left -= want;
    }
    pat_buf_adds(&ids, "}");
    pat_buf_adds(&places, "}");
    if (o->n_asked && (ids.err || places.err || claim(o, ids.data, places.data))) {
        lanes_answered(o, false);
        pat_timer_start(&o->pump, AGAIN_MS);
    }
    pat_buf_fini(&ids);
    pat_buf_fini(&places);
}

void out_pump_soon(struct out *o)
{
    if (!pat_timer_running(&o->pump))
        pat_timer_start(&o->pump, PUMP_MS);
}

void out_touch(struct out *o, const char *endpoint)
{
    if (endpoint && out_lanes_get(&o->lanes, endpoint))
        out_pump_soon(o);
}

/* ---- what is due and nobody has told us of ---- */

static void on_due(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct out *o = arg;
    size_t rows = err ? 0 : pat_db_rows(results[0]);

    (void)n;
    o->due = 0;
    for (size_t i = 0; i < rows; i++)
        if (*pat_db_value(results[0], i, 1) == 't')
            out_touch(o, pat_db_value(results[0], i, 0));
    /* All of them in turn, however many there are; then from the first one on. */
    (void)pat_strcpy(o->sweep_after, sizeof o->sweep_after,
                     rows == SWEEP_MAX ? pat_db_value(results[0], rows - 1, 0) : NIL_ID);
    pat_timer_start(&o->sweep, rows == SWEEP_MAX ? SWEEP_MS / 10 : SWEEP_MS);
}

static void sweep(void *arg)
{
    static const char sql[] =
        "select endpoint_id, due from patchbay.webhook_due($1::uuid, 0, $2::integer)";
    struct out *o = arg;
    char max[16];
    const char *params[] = { o->sweep_after, max };

    if (o->leaving)
        return;
    (void)snprintf(max, sizeof max, "%d", SWEEP_MAX);
    if (pat_db_run1(o->r->d->db, "webhook_due", sql, params, 2, OUT_DB_MS, on_due, o, &o->due))
        pat_timer_start(&o->sweep, SWEEP_MS);
}

/* ---- ends ---- */

void out_ended(struct out *o, struct out_result *result)
{
    struct out_lane *lane = out_lanes_find(&o->lanes, result->endpoint.s);

    o->in_flight--;
    pat_gauge_set(o->m.in_flight, o->in_flight);
    if (lane) {
        out_lane_ended(lane, !strcmp(result->what, "delivered"));
        if (lane->hungry)
            out_pump_soon(o);
        else
            out_lanes_leave(&o->lanes, lane);
    }
    out_settle_add(o->settle, result);
}

/* ---- leaving ---- */

void out_check_left(struct out *o)
{
    pat_loop_fn *left = o->left;

    if (!left || o->in_flight || o->claim || out_settle_pending(o->settle))
        return;
    o->left = NULL;
    pat_timer_stop(&o->leave_deadline);
    left(o->left_arg);
}

static void on_patience(void *arg)
{
    struct out *o = arg;
    pat_loop_fn *left = o->left;

    if (o->in_flight) { /* back into the queue, and a moment to write that down */
        out_send_cancel_all(o);
        out_settle_flush(o->settle);
        pat_timer_start(&o->leave_deadline, AGAIN_MS);
        out_check_left(o);
        return;
    }
    o->left = NULL; /* Postgres does not answer: they are due again when their time is over */
    if (left)
        left(o->left_arg);
}

void out_leave(struct out *o, int64_t timeout_ms, pat_loop_fn *left, void *arg)
{
    o->leaving = true;
    o->left = left;
    o->left_arg = arg;
    pat_timer_stop(&o->pump);
    pat_timer_stop(&o->sweep);
    pat_timer_start(&o->leave_deadline, timeout_ms);
    out_settle_flush(o->settle);
    out_check_left(o);
}

/* ---- life ---- */

static void make_metrics(struct out *o)
{
    struct pat_metrics *m = o->r->d->metrics;
    static const char *const faults[] = { "fault=\"receiver\"", "fault=\"network\"",
                                          "fault=\"ours\"" };
    static const char ended[] = "Attempts to deliver a webhook, by what became of it.";

    o->m.fanned_out = pat_counter(m, "pat_relay_fanned_out_total",
                                  "Events looked at for customers' endpoints.", NULL);
    o->m.not_fanned_out = pat_counter(m, "pat_relay_not_fanned_out_total",
                                      "Events that could not be queued and were left out.", NULL);
    o->m.delivered = pat_counter(m, "pat_relay_deliveries_total", ended, "outcome=\"delivered\"");
    o->m.retried = pat_counter(m, "pat_relay_deliveries_total", ended, "outcome=\"retry\"");
    o->m.dead = pat_counter(m, "pat_relay_deliveries_total", ended, "outcome=\"dead\"");
    o->m.put_back = pat_counter(m, "pat_relay_deliveries_total", ended, "outcome=\"back\"");
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        o->m.faults[i] = pat_counter(m, "pat_relay_delivery_faults_total",
                                     "Attempts that failed, by whose fault it was.", faults[i]);
    o->m.disabled = pat_counter(m, "pat_relay_endpoints_disabled_total",
                                "Endpoints disabled: gone, or failing for days.", NULL);
    o->m.in_flight = pat_gauge(m, "pat_relay_deliveries_in_flight", "Deliveries under way.", NULL);
    o->m.seconds = pat_histogram(
        m, "pat_relay_delivery_seconds", "From the start of an attempt to its answer.", NULL,
        pat_buckets_latency_s, sizeof pat_buckets_latency_s / sizeof pat_buckets_latency_s[0]);
}

static int open_http(struct out *o)
{
    struct pat_http_opts opts = { .user_agent = "Patchbay-Webhooks/" PAT_VERSION,
                                  .ca_file = o->r->d->ca_file,
                                  .public_only = !o->r->conf->out_private_nets,
                                  .max_connections = (long)o->inflight_max + CONNECTIONS_SPARE };

    return pat_http_new(&o->http, o->r->d->loop, &opts);
}

static int start_timers(struct out *o)
{
    struct pat_loop *l = o->r->d->loop;
    int err = pat_timer_init(&o->pump, l, pump, o);

    if (!err)
        err = pat_timer_init(&o->sweep, l, sweep, o);
    if (!err)
        err = pat_timer_init(&o->leave_deadline, l, on_patience, o);
    if (!err)
        pat_timer_start(&o->sweep, PUMP_MS);
    return err;
}

int out_new(struct out **out, struct relay *r)
{
    struct out *o = calloc(1, sizeof *o);
    int err;

    if (!o)
        return PAT_ENOMEM;
    o->r = r;
    o->inflight_max = r->conf->out_inflight;
    (void)pat_strcpy(o->sweep_after, sizeof o->sweep_after, NIL_ID);
    make_metrics(o);
    err = out_schedule_parse(&o->schedule, r->conf->out_schedule);
    if (!err)
        err = open_http(o);
    if (!err)
        err = out_settle_new(&o->settle, o);
    if (!err)
        err = start_timers(o);
    if (!err)
        err = out_fan_out_new(&o->fan_out, o);
    if (!err)
        err = out_endpoints_new(&o->endpoints, o);
    if (!err)
        err = out_deliveries_new(&o->deliveries, o);
    if (!err)
        err = out_upkeep_new(&o->upkeep, o);
    if (err)
        out_free(o);
    else
        *out = o;
    return err;
}

void out_free(struct out *o)
{
    if (!o)
        return;
    out_upkeep_free(o->upkeep);
    out_deliveries_free(o->deliveries);
    out_endpoints_free(o->endpoints);
    out_fan_out_free(o->fan_out);
    pat_db_cancel(o->r->d->db, o->claim);
    pat_db_cancel(o->r->d->db, o->due);
    out_send_cancel_all(o);
    out_settle_free(o->settle);
    pat_timer_fini(&o->pump);
    pat_timer_fini(&o->sweep);
    pat_timer_fini(&o->leave_deadline);
    pat_http_free(o->http);
    out_lanes_fini(&o->lanes);
    free(o);
}
