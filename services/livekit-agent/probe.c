/* probe.c - could LiveKit serve a call? See probe.h.
 *
 * RoomService.ListRooms is what a call begins with (the right to make rooms, the way there);
 * whether an agent has room stands in the heartbeats of bucket pat_agents, which are followed.
 */
#include "probe.h"

#include "call/lease.h"
#include "rtc/roomapi.h"

#include <stdlib.h>

#define ASK_MS 4000

struct probe {
    struct pat_daemon *d;
    struct roomapi *rooms;
    struct pat_kv_watch *watch;
    struct leases leases; /* only its agents */
    bool current;
    struct pat_probe *probe;
};

static void found(struct probe *b, enum pat_probe_word word, bool sure, const char *why)
{
    pat_probe_found(b->probe, &(struct pat_probe_found){ word, sure, why });
}

static bool somebody_has_room(const struct probe *b)
{
    int64_t now = pat_now_ms();

    for (const struct lease_agent *a = b->leases.agents; a; a = a->next)
        if (!a->draining && a->free > 0 && now - a->seen_ms < 2 * LEASE_MS)
            return true;
    return false;
}

static void on_rooms(int err, const struct roomapi_listed *rooms, size_t n, void *arg)
{
    struct probe *b = arg;

    (void)rooms, (void)n;
    if (err == PAT_EAUTH || err == PAT_EPERM)
        found(b, PAT_PROBE_DOWN, true, "key_refused");
    else if (err)
        found(b, PAT_PROBE_DOWN, false, pat_err_name(err));
    else if (b->current && !somebody_has_room(b))
        found(b, PAT_PROBE_DOWN, true, "no_free_agent");
    else
        found(b, PAT_PROBE_UP, false, NULL);
}

static void look(void *arg)
{
    struct probe *b = arg;
    int err = roomapi_rooms(b->rooms, ASK_MS, on_rooms, b);

    if (err)
        found(b, PAT_PROBE_DEGRADED, false, pat_err_name(err));
}

static void on_agent(const struct pat_kv_change *c, void *arg)
{
    struct probe *b = arg;
    PAT_AUTO_JSON j = NULL;

    if (c->news == PAT_KV_BEGIN) {
        b->current = false;
        leases_forget_agents(&b->leases);
    } else if (c->news == PAT_KV_CURRENT) {
        b->current = true;
    } else if (c->news == PAT_KV_GONE) {
        leases_drop_agent(&b->leases, c->key);
    } else if (pat_id_valid(c->key) && !pat_json_parse(&j, c->data, c->len, NULL) &&
               leases_put_agent(&b->leases, c->key, (int)pat_json_int_or(j, "free", 0),
                                pat_json_bool_or(j, "draining", false), pat_now_ms())) {
        pat_log(PAT_WARN, "probe.agents_full");
    }
}

int probe_new(struct probe **out, struct pat_daemon *d)
{
    const struct agent_conf *conf = d->conf;
    const struct pat_probe_opts o = { .loop = d->loop,
                                      .bus = d->bus,
                                      .metrics = d->metrics,
                                      .stack = "livekit",
                                      .source = "/patchbay/livekit-agent",
                                      .every_ms = conf->probe_ms };
    struct probe *b = calloc(1, sizeof *b);
    int err;

    if (!b)
        return PAT_ENOMEM;
    b->d = d;
    leases_init(&b->leases, "");
    err =
        roomapi_new(&b->rooms, d->http, conf->livekit_url, conf->livekit_key, conf->livekit_secret);
    if (!err && conf->probe_ms)
        err = pat_kv_watch(&b->watch, d->bus, "pat_agents", ">", on_agent, b);
    if (!err)
        err = pat_probe_new(&b->probe, &o, look, b);
    if (err) {
        probe_free(b);
        return err;
    }
    *out = b;
    return PAT_OK;
}

void probe_free(struct probe *b)
{
    if (!b)
        return;
    pat_kv_watch_close(b->watch);
    roomapi_free(b->rooms);
    pat_probe_free(b->probe);
    leases_fini(&b->leases);
    free(b);
}
