/* out_tell.c - webhook.delivered and webhook.failed: what became of a delivery, as an event.
 *
 * The row in Postgres is the truth and these are the news of it, sent straight to the stream: by
 * way of the outbox a great many of them would stand before configuration and switches. What the
 * stream does not take is only logged.
 */
#include "out.h"

#include <stdlib.h>
#include <string.h>

enum { PUBLISH_MS = 5000 };

static struct pat_json *data_of(const struct out_result *r)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_str(j, "user_id", r->user.s);
    pat_json_set_str(j, "endpoint_id", r->endpoint.s);
    pat_json_set_str(j, "delivery_id", r->delivery.s);
    pat_json_set_str(j, "event_id", r->event.s);
    pat_json_set_str(j, "event_type", r->type);
    pat_json_set_int(j, "attempts", r->attempt);
    if (r->status)
        pat_json_set_int(j, "status", r->status);
    else
        pat_json_set_null(j, "status");
    pat_json_set_int(j, "duration_ms", r->ms);
    if (r->fault) {
        pat_json_set_str(j, "fault", r->fault);
        pat_json_set_str(j, "error", r->error);
    }
    return j;
}

static void on_kept(int err, const struct pat_msg *m, void *arg)
{
    (void)m, (void)arg;
    if (err && err != PAT_ECANCELED)
        pat_log(PAT_DEBUG, "webhook.not_told", PAT_ERR(err));
}

void out_tell(struct out *o, const struct out_result *r)
{
    bool delivered = !strcmp(r->what, "delivered");
    struct pat_id id;
    struct pat_event e = { .area = "webhook",
                           .name = delivered ? "delivered" : "failed",
                           .user_id = r->user.s,
                           .key = r->delivery.s,
                           .source = "/patchbay/webhook-relay",
                           .id = &id };
    struct pat_event_text t;
    char what[40];
    int err;

    if (delivered && !o->r->conf->out_tell_delivered)
        return;
    (void)snprintf(what, sizeof what, "webhook.%s.%d", e.name, r->attempt);
    id = pat_event_id_once(r->delivery.s, what);
    err = pat_event_make(&t, &e, data_of(r));
    if (err)
        return;
    err = pat_bus_js_publish(o->r->d->bus, t.subject, t.id.s, t.json, t.len, PUBLISH_MS, on_kept,
                             NULL);
    if (err)
        on_kept(err, NULL, NULL);
    pat_event_text_fini(&t);
}
