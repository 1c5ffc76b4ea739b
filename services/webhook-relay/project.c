/* project.c - a stored webhook becomes rows: what the provider reported, and the call's one record.
 *
 * At once after storing, and by a sweep for what a crash, a missing call or an outage left. What
 * fails ten times, or is no call of ours, is parked: kept, told once (webhook.parked), looked at by
 * a person.
 */
#include "relay.h"

#include <stdlib.h>
#include <string.h>

#define SWEEP_MS   5000
#define TIMEOUT_MS 15000

struct projector {
    struct relay *r;
    struct pat_timer sweep;
    pat_db_id query;
};

struct one {
    struct projector *p;
    struct pat_id id;
};

/* put_retell finds or remakes the call; LiveKit's webhooks name it by their room. NULL: not a call
 * we know (yet). Passcodes do not stay in the inbox either. */
#define TAKE                                                                                                    \
    "with seen as materialized (select w.id, w.body, case when w.source = 'retell' "                            \
    "then convert_from(w.body, 'UTF8')::jsonb end as told "                                                     \
    "from patchbay.webhook_inbox w where w.id = $1 and w.state = 'received' for update skip locked), "          \
    "clean as materialized (select s.*, patchbay.retell_redacted(s.told) as kept from seen s), "                \
    "taken as materialized (select w.id, case when k.kept is distinct from k.told "                             \
    "then convert_to(k.kept::text, 'UTF8') else k.body end as body, case w.source "                             \
    "when 'retell' then patchbay.put_retell(k.kept) "                                                           \
    "else (select c.id from patchbay.calls c where c.id = w.call_id) end as call_id "                           \
    "from clean k join patchbay.webhook_inbox w on w.id = k.id) "                                               \
    "update patchbay.webhook_inbox w set attempts = w.attempts + 1, body = t.body, "                            \
    "call_id = coalesce(t.call_id, w.call_id), "                                                                \
    "state = case when t.call_id is not null then 'projected' when w.attempts + 1 >= 10 or "                    \
    "(w.source = 'livekit' and w.call_id is null) then 'parked' else 'received' end, "                          \
    "projected_at = case when t.call_id is not null then now() end, "                                           \
    "next_attempt_at = now() + least(power(2, w.attempts), 300) * interval '1 second' "                         \
    "from taken t where w.id = t.id returning w.state, w.source"

#define PROJECT                                                                                    \
    "select patchbay.project_call(call_id) from patchbay.webhook_inbox where id = $1 and state = 'projected'"

#define FAILED                                                                                     \
    "update patchbay.webhook_inbox set attempts = attempts + 1, error = left($2, 500), "           \
    "state = case when attempts + 1 >= 10 then 'parked' else state end, "                          \
    "next_attempt_at = now() + least(power(2, attempts), 300) * interval '1 second' where id = $1 and state = 'received'"

static void on_failed_noted(int err, const struct pat_db_result *const *results, size_t n,
                            void *arg)
{
    (void)results;
    (void)n;
    (void)arg;
    if (err)
        pat_log(PAT_WARN, "webhook.failure_not_noted", PAT_ERR(err)); /* the sweep tries again */
}

static void note_failure(struct one *one, int err, const char *why)
{
    const char *params[] = { one->id.s, why && *why ? why : pat_err_text(err) };

    /* An outage says nothing about this webhook: it waits, uncounted. */
    if (err == PAT_ECONN || err == PAT_ETIMEDOUT || err == PAT_ECANCELED)
        return;
    if (pat_db_run1(one->p->r->d->db, "webhook_failed", FAILED, params, 2, TIMEOUT_MS,
                    on_failed_noted, NULL, NULL))
        pat_log(PAT_WARN, "webhook.failure_not_noted", PAT_S("webhook", one->id.s));
}

static void on_projected(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct one *one = arg;
    const char *state = !err && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    if (err) {
        pat_log(PAT_WARN, "webhook.not_projected", PAT_S("webhook", one->id.s), PAT_ERR(err));
        note_failure(one, err, n ? pat_db_message(results[0]) : NULL);
    } else if (state) {
        bool parked = !strcmp(state, "parked");

        pat_log(parked ? PAT_WARN : PAT_INFO, parked ? "webhook.parked" : "webhook.seen",
                PAT_S("webhook", one->id.s), PAT_S("state", state));
    }
    free(one);
}

void projector_look(struct projector *p, const char *inbox_id)
{
    struct one *one = calloc(1, sizeof *one);
    const char *params[] = { inbox_id };
    struct pat_db_stmt unit[] = { { "webhook_take", TAKE, 1, params },
                                  { "webhook_project", PROJECT, 1, params } };
    int err = PAT_ENOMEM;

    if (one) {
        one->p = p;
        (void)pat_strcpy(one->id.s, sizeof one->id.s, inbox_id);
        err = pat_db_run(p->r->d->db, unit, 2, TIMEOUT_MS, on_projected, one, NULL);
    }
    if (err) {
        pat_log(PAT_WARN, "webhook.not_projected", PAT_S("webhook", inbox_id), PAT_ERR(err));
        free(one);
    }
}

static void on_left(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct projector *p = arg;

    (void)n;
    p->query = 0;
    for (size_t i = 0; !err && i < pat_db_rows(results[0]); i++)
        projector_look(p, pat_db_value(results[0], i, 0));
    pat_timer_start(&p->sweep, SWEEP_MS);
}

static void sweep(void *arg)
{
    static const char sql[] =
        "select id from patchbay.webhook_inbox where state = 'received' and received_at < now() - interval '3 seconds' "
        "and coalesce(next_attempt_at, received_at) <= now() order by received_at limit 50";
    struct projector *p = arg;

    if (pat_db_run1(p->r->d->db, "webhook_left", sql, NULL, 0, TIMEOUT_MS, on_left, p, &p->query))
        pat_timer_start(&p->sweep, SWEEP_MS);
}

int projector_new(struct projector **out, struct relay *r)
{
    struct projector *p = calloc(1, sizeof *p);
    int err;

    if (!p)
        return PAT_ENOMEM;
    p->r = r;
    err = pat_timer_init(&p->sweep, r->d->loop, sweep, p);
    if (err) {
        free(p);
        return err;
    }
    pat_timer_start(&p->sweep, 100);
    *out = p;
    return PAT_OK;
}

void projector_free(struct projector *p)
{
    if (!p)
        return;
    pat_db_cancel(p->r->d->db, p->query);
    pat_timer_fini(&p->sweep);
    free(p);
}
