/* agent_state.c - RPC agent.call_state: who is in a call's room, as LiveKit has it.
 *
 * Any agent answers for any call: the server is asked, not memory.
 */
#include "agent_int.h"

#include <stdio.h>
#include <string.h>

enum { MOST_MS = 5000 };

static void on_people(int err, const struct roomapi_person *people, size_t n, void *arg)
{
    struct pat_rpc_req *r = arg;
    int64_t phones = 0, agents = 0;
    struct pat_json *result;

    if (err && err != PAT_ENOENT) {
        pat_rpc_fail(r, err, NULL, "LiveKit was asked in vain");
        return;
    }
    for (size_t i = 0; !err && i < n; i++) {
        phones += people[i].kind == RTC_SIP || people[i].kind == RTC_STANDARD;
        agents += people[i].kind == RTC_AGENT;
    }
    result = pat_json_obj();
    pat_json_set_int(result, "phones", phones);
    pat_json_set_int(result, "agents", agents);
    pat_rpc_reply(r, result);
}

static void on_call_state(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    struct agent *a = arg;
    int64_t left = pat_rpc_left_ms(r);
    struct pat_json_err why;
    const char *call;
    char room[64];
    int err = pat_json_get_id(params, "call_id", &call, &why);

    if (err) {
        pat_rpc_fail(r, err, why.path, why.what);
        return;
    }
    (void)snprintf(room, sizeof room, "call_%.36s", call);
    err = roomapi_people(a->env.rooms, room, left < MOST_MS ? left : MOST_MS, on_people, r);
    if (err)
        pat_rpc_fail(r, err, NULL, pat_err_text(err));
}

int agent_serve_state(struct agent *a)
{
    return pat_rpc_serve(a->env.bus, &a->state_sub, "agent", "call_state", on_call_state, a);
}
