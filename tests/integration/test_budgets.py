"""What users may spend: reserved when a call begins, settled behind it, refused at the cap by every router, told before.

Real routers, Postgres and NATS; budgets are set over HTTP and the next call obeys them.
"""

import asyncio
import json
import os
import urllib.error
import urllib.request
import uuid

import nats
import pytest

from harness import events
from harness.carrier import CALLER, Carrier
from harness.sip_leg import wait
from harness.stack import ADMIN, LEO, RITA, Daemon, Stack
from harness.watch import Watch

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
MINUTE = 100_000  # millionths of a dollar, of Leo's calls


@pytest.fixture(scope="module")
def stack():
    with Stack(BUILD, with_livekit=False, daemons={"router": {"PAT_ROUTER_CALLER_PER_MIN": "0"}}) as s:
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


@pytest.fixture(scope="module")
def second(stack):
    first = stack.daemons["router"]
    d = Daemon(stack, "router", first.env | {"PAT_ROUTER_PUBLIC_URL": "", "PAT_ROUTER_SNAPSHOT_FILE": "", "PAT_ROUTER_SPOOL_FILE": ""},
               "PAT_ROUTER_LISTEN", replica="router-2")
    d.env["PAT_ROUTER_PUBLIC_URL"] = d.url
    d.start()
    yield d
    d.stop()


def api(stack, method: str, body=None, user=LEO.id, bearer: str | None = None, match: str | None = None):
    headers = {"Content-Type": "application/json",
               "Authorization": f"Bearer {bearer or stack.token(ADMIN, app_metadata={'role': 'admin'})}"}
    if match:
        headers["If-Match"] = match
    url = f"{stack.daemons['stack-switcher'].url}/v1/users/{user}/budget"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers,
                                                           method=method), timeout=10) as r:
            return r.status, r.headers["ETag"], json.loads(r.read())
    except urllib.error.HTTPError as e:
        return e.code, None, json.loads(e.read())


def explain(stack, number: str = LEO.number) -> dict:
    async def ask():
        nc = await nats.connect(stack.nats.url)
        m = await nc.request("pat.rpc.v1.router.explain", json.dumps({"number": number, "from": CALLER}).encode(), timeout=10)
        await nc.close()
        return json.loads(m.data)["result"]

    return asyncio.run(ask())


def may(stack, number: str = LEO.number) -> bool:
    """Whether one more call would be let in, by whichever router answers."""
    return explain(stack, number)["facts"]["over_budget"] is False


def gauge(router: Daemon, name: str) -> float:
    return float(next(line for line in router.metrics().splitlines() if line.startswith(name + " ")).split()[1])


@pytest.fixture
def leo(stack, watch):
    """Has used ten minutes this month, at ten cents a minute; his calls of before are over and settled."""
    stack.sql("update patchbay.calls set state = 'ended', ended_at = now() - interval '1 hour'")
    stack.sql("delete from patchbay.user_budgets")
    stack.sql("delete from patchbay.call_money")
    stack.sql("delete from patchbay.budget_alerts")
    call = uuid.uuid4()
    stack.sql("insert into patchbay.calls (id, user_id, direction, state, stack, offered_at, ended_at, duration_ms, from_number, "
              "to_number, carrier) values (%s, %s, 'inbound', 'ended', 'livekit', now() - interval '1 second', now() - interval "
              "'1 hour', 600000, '+15550109999', %s, 'signalwire')", call, LEO.id, LEO.number)
    stack.sql("insert into patchbay.call_money (call_id, user_id, at, microusd, known) values (%s, %s, now(), %s, true)",
              call, LEO.id, 10 * MINUTE)
    for router in [d for d in stack.daemons.values() if d.program == "router"]:
        wait(lambda: gauge(router, "pat_router_budgets") == 0, 30, "nobody has a budget")
    watch.events.clear()
    yield call
    stack.sql("delete from patchbay.user_budgets")


def grant(stack, routers=(), **body) -> dict:
    status, _, told = api(stack, "PUT", body, match="*")
    assert status == 200, told
    for router in (stack.daemons["router"], *routers):
        wait(lambda: gauge(router, "pat_router_budgets") == 1, 30, "the router knows")
    return told


def place(stack, router=None) -> tuple[str, bool]:
    """A call of its own: its id at the carrier, whether a stack serves it."""
    at = Carrier((router or stack.daemons["router"]).url, stack.signing_key)
    form = at.form(LEO.number)
    served = at.post("/v1/signalwire/voice", form).verbs()[0] in ("Dial", "Connect")
    row(stack, form["CallSid"])  # what a test begins is over for the next one
    return form["CallSid"], served


def row(stack, sid: str) -> dict:
    return wait(lambda: stack.row("select * from patchbay.calls where carrier_call_id = %s and state <> 'offered'", sid), 30, "stored")


# ---------------------------------------------------------------------- over HTTP


def test_admins_set_it_and_users_see_their_own(stack, leo):
    status, etag, told = api(stack, "GET")
    assert (status, etag, told["monthly_microusd"], told["reserve_minutes"], told["alert_percents"]) == (200, '"0"', None, 5, [80, 100])
    assert (told["periods"]["month"]["used_microusd"], told["per_minute_microusd"], told["allows"]) == (10 * MINUTE, MINUTE, True)

    assert api(stack, "PUT", {"monthly_microusd": 1})[0] == 428
    status, etag, told = api(stack, "PUT", {"monthly_microusd": 20 * MINUTE, "daily_microusd": 18.0 * MINUTE}, match='"0"')
    assert (status, etag) == (200, '"1"')
    assert (told["periods"]["day"]["left_microusd"], told["periods"]["month"]["left_microusd"]) == (8 * MINUTE, 10 * MINUTE)
    assert api(stack, "PUT", {}, match='"0"')[0] == 412
    for body, named in (({"monthly_microusd": -1}, "monthly_microusd"), ({"alert_percents": [90, 80]}, "alert_percents"), ({"x": 1}, "x")):
        status, _, wrong = api(stack, "PUT", body, match="*")
        assert (status, wrong["error"]["field"]) == (400, named)

    own = stack.token(LEO.id)
    assert api(stack, "GET", bearer=own)[2]["monthly_microusd"] == 20 * MINUTE
    assert api(stack, "PUT", {"monthly_microusd": None}, bearer=own, match="*")[0] == 403
    assert api(stack, "GET", bearer=stack.token(RITA.id))[0] == 404
    assert api(stack, "PUT", {}, user=uuid.uuid4(), match="*")[0] == 404
    assert stack.sql("select allowed, actor from patchbay.audit where action = 'budget.set' order by at") == [
        (True, str(ADMIN)), (False, str(LEO.id))]
    assert api(stack, "GET")[2]["version"] == 1
    assert api(stack, "PUT", {"monthly_microusd": 21 * MINUTE, "daily_microusd": 18 * MINUTE}, match='"1"')[0] == 200
    rows = stack.sql("select before, after from patchbay.audit where action = 'budget.set' and allowed order by at")
    assert [(b and b["monthly_microusd"], a["monthly_microusd"], a["daily_microusd"]) for b, a in rows] == [
        (None, 20 * MINUTE, 18 * MINUTE), (20 * MINUTE, 21 * MINUTE, 18 * MINUTE)]


# ---------------------------------------------------------------------- calls


def test_calls_stop_at_the_cap_and_what_is_reserved_counts(stack, watch, leo, second):
    """Ten minutes are left; each call takes five until it is settled: two fit, at whichever router they come in."""
    grant(stack, [second], monthly_microusd=20 * MINUTE, alert_percents=[80, 100])
    first = stack.daemons["router"]
    one, served = place(stack)
    assert served and row(stack, one)["stack"] == "livekit"
    assert place(stack, second)[1]
    wait(lambda: not may(stack) and not may(stack), 30, "no more fits")
    refused, served = place(stack)
    assert not served
    told = watch.wait_for("call.routed", str(row(stack, refused)["id"]))["data"]
    assert (told["policy"], told["reasons"], told["action"]) == ("budget", ["budget_spent"], "voicemail")
    assert gauge(first, "pat_router_budget_refused_total") == 1
    assert api(stack, "GET")[2]["periods"]["month"]["reserved_microusd"] == 10 * MINUTE
    assert api(stack, "GET")[2]["allows"] is False

    # The first one ends, and cost half a minute: so much is back.
    stack.sql("update patchbay.calls set state = 'ended', ended_at = now() - interval '10 seconds', duration_ms = 30000 "
              "where carrier_call_id = %s", one)
    stack.sql("insert into patchbay.call_money (call_id, user_id, at, microusd, known) select id, user_id, offered_at, %s, true "
              "from patchbay.calls where carrier_call_id = %s", MINUTE // 2, one)
    stack.sql("update patchbay.user_budgets set reserve_minutes = 4")  # the routers look at once
    wait(lambda: all(may(stack) for _ in range(4)), 45, "it fits again")
    assert place(stack)[1]


def test_of_many_at_once_only_those_that_fit_are_let_in(stack, leo):
    from concurrent.futures import ThreadPoolExecutor
    grant(stack, monthly_microusd=30 * MINUTE)  # 20 left: four
    with ThreadPoolExecutor(12) as pool:
        served = [ok for _, ok in pool.map(lambda _: place(stack), range(12))]
    assert served.count(True) == 4


def test_a_router_that_was_killed_knows_again_what_is_reserved(stack, leo):
    grant(stack, monthly_microusd=15 * MINUTE)
    sid, served = place(stack)
    assert served
    row(stack, sid)
    router = stack.daemons["router"]
    router.kill()
    router.start()
    wait(lambda: not may(stack), 30, "the call under way is counted again")
    assert not place(stack)[1]
    # A call nobody will ever end: after the longest call its reservation is gone.
    stack.sql("update patchbay.calls set offered_at = now() - interval '6 hours' where carrier_call_id = %s", sid)
    assert api(stack, "GET")[2]["periods"]["month"]["reserved_microusd"] == 0


def test_a_call_that_is_refused_or_leaves_a_message_reserves_nothing(stack, leo):
    grant(stack, monthly_microusd=20 * MINUTE)
    stack.sql("insert into patchbay.user_policies (user_id, block_list, block_action) values (%s, '{+15550109999}', 'voicemail')", LEO.id)
    try:
        wait(lambda: explain(stack)["policy"] == "block_list", 30, "the caller is blocked")
        assert not place(stack)[1] and not place(stack)[1]
        assert may(stack)
        assert api(stack, "GET")[2]["periods"]["month"]["reserved_microusd"] == 0
    finally:
        stack.sql("delete from patchbay.user_policies")


# ---------------------------------------------------------------------- settled, told


def test_costs_that_come_in_are_settled_and_told_once_in_a_period(stack, watch, leo):
    grant(stack, monthly_microusd=100 * MINUTE, daily_microusd=15 * MINUTE)
    call = uuid.uuid4()
    stack.sql("select patchbay.put_call(jsonb_build_object('id', %s::text, 'user_id', %s::text, 'direction', 'inbound', 'state', "
              "'ended', 'stack', 'retell', 'offered_at', now(), 'ended_at', now(), 'from_number', '+15550109999', 'to_number', %s::text))",
              str(call), str(LEO.id), LEO.number)

    def bill(cents: float) -> None:
        stack.sql("select patchbay.put_result(%s, 'retell', 'call_analyzed', %s)", call,
                  json.dumps({"call_id": "c", "call_cost": {"combined_cost": cents, "product_costs": []}}))
        stack.sql("select patchbay.project_call(%s)", call)

    bill(10)
    assert api(stack, "GET")[2]["periods"]["day"]["used_microusd"] == 11 * MINUTE
    first = watch.wait_for("usage.budget_reached", str(LEO.id))
    assert first["data"] == {"user_id": str(LEO.id), "period": "day", "starts": first["data"]["starts"], "percent": 100,
                             "cap_microusd": 15 * MINUTE, "spent_microusd": 11 * MINUTE, "stopped": True}
    events.validate(json.dumps({k: v for k, v in first.items() if k != "_subject"}), first["_subject"])
    bill(20)  # 12 of 15: 80 %
    wait(lambda: len(watch.of("usage.budget_reached")) == 2, 30, "told of 80 % too")
    bill(30)
    bill(20)
    assert [(e["data"]["period"], e["data"]["percent"]) for e in watch.of("usage.budget_reached")] == [("day", 100), ("day", 80)]
    assert [(a["period"], a["percent"]) for a in api(stack, "GET")[2]["alerts"]] == [("day", 80), ("day", 100)]
    grant(stack, monthly_microusd=13 * MINUTE, alert_percents=[50])
    wait(lambda: [e["data"]["period"] for e in watch.of("usage.budget_reached")][2:] == ["month"], 30, "a lower cap is reached at once")


def test_somebody_else_has_no_budget(stack, leo):
    grant(stack, monthly_microusd=0)
    wait(lambda: not may(stack), 30, "nothing is left")
    assert may(stack, RITA.number)
    assert stack.sql("select patchbay.budget_allows(%s), patchbay.budget_allows(%s)", LEO.id, RITA.id) == [(False, True)]
