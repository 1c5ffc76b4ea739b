/* health_report.c - see health_report.h. */
#include "health_report.h"

#include <string.h>

static void add_reason(struct pat_json *reasons, const struct provider *p)
{
    struct pat_json *holder = pat_json_obj();
    struct pat_buf b;

    pat_buf_init(&b, 256);
    pat_buf_addf(&b, "%s:%s %s", p->name, p->model, provider_fault_name(p->why));
    pat_json_set_str(holder, "reason", b.data);
    pat_json_add_take(reasons, pat_json_dup(pat_json_at(holder, "reason")));
    pat_json_free(holder);
    pat_buf_fini(&b);
}

void health_changed(const struct provider *p, bool up, void *env)
{
    struct env *e = env;
    const struct provider_chain *c = providers_of(e->providers, p->part);
    const char *part = provider_part_name(p->part);
    struct pat_event event = { .area = "health",
                               .name = "stack",
                               .user_id = "livekit",
                               .key = part,
                               .source = "/patchbay/livekit-agent" };
    struct pat_json *data = pat_json_obj(), *reasons = pat_json_arr();
    size_t down = 0;

    (void)up; /* the breakers say it */
    for (size_t i = 0; i < c->n; i++)
        if (c->at[i]->breaker.state != PAT_BREAKER_CLOSED) {
            down++;
            add_reason(reasons, c->at[i]);
        }
    pat_json_set_str(data, "stack", "livekit");
    pat_json_set_str(data, "probe", part);
    pat_json_set_str(data, "state", !down ? "up" : down < c->n ? "degraded" : "down");
    pat_json_set_take(data, "reasons", reasons);
    if (pat_journal_add(e->journal, &event, data, NULL, 0))
        pat_log(PAT_WARN, "health.event_lost", PAT_S("part", part));
}
