"""Rollouts: many users switched by one request, in steps, with a share of their calls first, and back by themselves."""

import json
import os
import threading
import time
import urllib.parse
import urllib.request
import uuid

import psycopg
import pytest

from harness.patdb import add_user
from harness.responder import Responder, RpcError
from harness.sip_leg import wait
from harness.stack import OWNER, Daemon, Stack
from test_retell_agents import SETTINGS as PROVIDER
from test_retell_provider import rpc_to
from test_stack_switcher import token
from test_switching import ADMIN, READY, SAGA, api

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
FAST = SAGA | {"PAT_SWITCH_LEASE": "500ms", "PAT_ROLLOUT_JUDGE": "100ms"}
NO_GATES = {"gates": None, "verify": {"first": 0, "every": 0}}
numbers = iter(range(15550500001, 15550599999))


@pytest.fixture(scope="module")
def stack():
    with Stack(BUILD, with_livekit=False, daemons={"retell-provider": PROVIDER, "stack-switcher": FAST,
                                                   "router": {"PAT_ROUTER_LEASE": "1500ms"}}) as s:
        yield s


@pytest.fixture(scope="module")
def responder(stack):
    with Responder(stack.nats.url) as r:
        yield r


@pytest.fixture(autouse=True)
def others(responder):
    """What a switch asks and this stack has not: an agent that is ready."""
    responder.on("agent", "verify", lambda p: READY)
    responder.on("agent", "prepare", lambda p: {})
    return responder


class One:
    def __init__(self, stack: Stack, user: uuid.UUID, number: str):
        self.stack, self.id, self.number = stack, str(user), number
        self.config = str(stack.sql("select id from public.agent_configs where user_id = %s", user)[0][0])

    def on(self) -> str:
        return self.stack.sql("select active_voice_stack::text from public.agent_configs where id = %s", self.config)[0][0]

    def explain(self, caller: str = "+12025550199") -> dict:
        return rpc_to(self.stack, "pat.rpc.v1.router.explain", {"number": self.number, "from": caller})["result"]

    def calls(self, n: int, to: str, failed: int = 0, **columns) -> list[uuid.UUID]:
        """As many calls on a stack, as if they had been; the failed ones were caught by the other."""
        ids = [uuid.uuid4() for _ in range(n)]
        other = "retell" if to == "livekit" else "livekit"
        with psycopg.connect(self.stack.pg.url(OWNER, "patchbay")) as c:  # all of them at once: somebody measures meanwhile
            for i, call in enumerate(ids):
                row = {"id": call, "user_id": self.id, "agent_config_id": self.config, "state": "ended", "outcome": "answered",
                       "stack": other if i < failed else to, "fallback": i < failed, "duration_ms": 60000} | columns
                c.execute(f"insert into patchbay.calls ({', '.join(row)}, offered_at, answered_at, ended_at) values "
                          f"({', '.join(['%s'] * len(row))}, now(), now() + interval '1 second', now())", list(row.values()))
        return ids


def people(stack: Stack, n: int, to: str = "retell", name: str = "Ada") -> list[One]:
    out = [(uuid.uuid4(), f"+{next(numbers)}") for _ in range(n)]
    with psycopg.connect(stack.pg.url(OWNER, "patchbay"), autocommit=True) as c:
        for user, number in out:
            add_user(c, user, f"{user}@example.com", name, number)
            if to == "livekit":
                c.execute("update public.agent_configs set active_voice_stack = 'livekit', retell_agent_id = null, "
                          "retell_llm_id = null where user_id = %s", (user,))
    return [One(stack, *x) for x in out]


def request(cohort: list[One], to: str = "livekit", **options) -> dict:
    return {"to_stack": to, "cohort": {"user_ids": [p.id for p in cohort]}} | NO_GATES | options


def begin(stack: Stack, cohort: list[One], switcher: str | None = None, key: str | None = None, **options) -> dict:
    status, r = api(stack, "POST", "/v1/rollouts", request(cohort, **options), switcher=switcher,
                    **({"Idempotency-Key": key} if key else {}))
    assert status == 202, r
    return r


def look(stack: Stack, r: dict, what: str = "") -> dict:
    status, now = api(stack, "GET", f"/v1/rollouts/{r['id']}{what}")
    assert status == 200, now
    return now


def until(stack: Stack, r: dict, condition, what: str, timeout_s: float = 40) -> dict:
    def there():
        now = stack.sql("select patchbay.rollout_json(x) from patchbay.rollouts x where id = %s", r["id"])[0][0]
        return now if condition(now) else time.sleep(0.05)
    try:
        return wait(there, timeout_s, what)
    except TimeoutError as e:
        raise TimeoutError(f"{e}: {look(stack, r, '/report')}") from e


def over(stack: Stack, r: dict, outcome: str) -> dict:
    r = until(stack, r, lambda x: x["state"] == "finished", f"it is over ({outcome})")
    assert r["outcome"] == outcome, look(stack, r, "/report")
    return r


def held(stack: Stack, r: dict, what: str) -> dict:
    return until(stack, r, lambda x: x["held_for"] == what, f"it is held for {what}")


def ask(stack: Stack, r: dict, what: str, expected: int = 202, **body) -> dict:
    status, answer = api(stack, "POST", f"/v1/rollouts/{r['id']}/{what}", body)
    assert status == expected, answer
    return answer


def counts(r: dict) -> dict:
    return {k: v for k, v in r["counts"].items() if v}


def told(stack: Stack, r: dict) -> list[str]:
    return [x["event"] for x in look(stack, r, "/report")["log"]]


# ------------------------------------------------------------------ who takes part

def test_what_is_searched_for_is_no_pattern(stack):
    mark = uuid.uuid4().hex[:8]
    meant, other = people(stack, 1, name=f"{mark}_50%")[0], people(stack, 1, name=f"{mark}x50")[0]

    def plan(search):
        status, r = api(stack, "POST", "/v1/rollouts?dry_run=1", {"to_stack": "livekit", "cohort": {"filter": {"search": search}}} | NO_GATES)
        assert status == 200, r
        return r["total"]

    def users(search):
        return {u["id"] for u in api(stack, "GET", "/v1/users?" + urllib.parse.urlencode({"search": search}))[1]["users"]}

    assert (plan(f"{mark}_50"), users(f"{mark}_50")) == (1, {meant.id})
    assert (plan(f"{mark}_50%"), users(f"{mark}_50%")) == (1, {meant.id})
    assert (plan(mark.upper()), users(mark.upper())) == (2, {meant.id, other.id})
    assert (plan("\\"), users("\\"), plan("%%"), users("%%")) == (0, set(), 0, set())


# ------------------------------------------------------------------ by users

def test_a_cohort_is_switched_step_by_step(stack):
    cohort = people(stack, 6)
    r = begin(stack, cohort, steps=[{"count": 1}, {"percent": 50}], hold=True, name="First", why="cheaper", at_a_time=2)
    for moved in (1, 3):
        r = held(stack, r, "approval")
        assert counts(r) == {"total": 6, "moved": moved, "waiting": 6 - moved} and r["reason"].endswith("approval")
        assert r["may"] == ["promote", "abort", "rollback"]
        assert [p.on() for p in cohort] == ["livekit"] * moved + ["retell"] * (6 - moved)
        ask(stack, r, "promote")
    r = over(stack, r, "completed")
    assert counts(r) == {"total": 6, "moved": 6} and r["steps"] == [{"count": 1}, {"percent": 50}, {"percent": 100}]
    assert all(p.explain()["serves"] == "livekit" for p in cohort)
    report = look(stack, r, "/report")
    assert [x["event"] for x in report["log"]] == ["started", "settled", "held", "promoted", "step"] * 1 + \
        ["settled", "held", "promoted", "step", "settled", "finished"]
    assert [u["user_id"] for u in report["users"]] == [p.id for p in cohort] and report["took_s"] >= 0
    assert {x["who"] for x in report["log"] if x["event"] in ("started", "promoted")} == {str(ADMIN)}
    audit = stack.sql("select action, actor, why from patchbay.audit where subject = %s order by at", r["id"])
    assert audit[0] == ("rollout.request", str(ADMIN), "cheaper") and audit[-1][0] == "rollout.finished"
    # Each of them is an ordinary switch, asked for by the same person.
    assert stack.sql("select distinct asked_by, why from patchbay.switches where user_id = any(%s::uuid[])", [p.id for p in cohort]) == \
        [(str(ADMIN), "rollout First: cheaper")]
    listed = api(stack, "GET", "/v1/rollouts?limit=1")[1]
    assert listed["rollouts"][0]["id"] == r["id"] and "log" not in listed["rollouts"][0]


def test_a_plan_counts_what_is_lossy_and_who_is_blocked(stack):
    cloned, busy, there, fine = people(stack, 4, "livekit")
    stack.sql("insert into public.voices (user_id, voice_id, voice_name, is_cloned) values (%s, 'q9Zr2mXc7VbN4kLp8sWd', 'Mine', true)", cloned.id)
    stack.sql("update public.agent_configs set voice_id = 'q9Zr2mXc7VbN4kLp8sWd' where id = %s", cloned.config)
    stack.sql("update public.agent_configs set active_voice_stack = 'retell' where id = %s", there.config)
    stack.sql("update public.agent_configs set max_tokens = null where id = %s", fine.config)  # Retell has no such limit
    w = api(stack, "POST", f"/v1/users/{busy.id}/switch", {"stack": "retell", "hold": True})[1]
    nobody = One.__new__(One)
    nobody.id = str(uuid.uuid4())
    before = stack.sql("select count(*) from patchbay.rollouts")
    status, plan = api(stack, "POST", "/v1/rollouts?dry_run=1", request([cloned, busy, there, fine, nobody], "retell", steps=[{"percent": 50}],
                                                                        verify={"first": 4}))
    assert status == 200 and (plan["total"], plan["movable"], plan["already_there"]) == (5, 2, 1)
    assert plan["blocked_by"] == {"another switch of this user is under way": 1, "no such user, or no agent of his": 1}
    assert {b["user_id"] for b in plan["blocked"]} == {busy.id, nobody.id} and plan["blockers"] == []
    assert plan["lossy_users"] == 1 and plan["fields"]["voice_id"]["lossy"] == 1 and plan["fields"]["stability"] == {"parked": 1}
    assert plan["creates_agents"] == 2 and plan["verified_by_call"] == 2  # of the first four, who can be moved
    assert [s["users"] for s in plan["steps"]] == [3, 5]
    assert stack.sql("select count(*) from patchbay.rollouts") == before
    api(stack, "POST", f"/v1/switches/{w['id']}/abort")


def test_a_filter_is_frozen_when_it_begins(stack):
    name = f"Grp{uuid.uuid4().hex[:8]}"
    cohort = people(stack, 2, name=name)
    people(stack, 1, "livekit", name=name)  # is there already
    status, r = api(stack, "POST", "/v1/rollouts", {"to_stack": "livekit", "cohort": {"filter": {"search": name.lower()}}, "hold": True,
                                                    "steps": [{"count": 1}]} | NO_GATES)
    assert status == 202 and r["cohort"] == {"filter": {"search": name.lower()}}
    held(stack, r, "approval")
    late, = people(stack, 1, name=name)
    ask(stack, r, "promote")
    assert counts(over(stack, r, "completed")) == {"total": 2, "moved": 2}
    assert late.on() == "retell" and all(p.on() == "livekit" for p in cohort)
    pages, after = [], ""
    while after is not None:
        page = look(stack, r, f"/users?limit=1{after and '&after=' + after}")
        pages += [u["user_id"] for u in page["users"]]
        after = page["next"]
    assert sorted(pages) == sorted(p.id for p in cohort)
    assert look(stack, r, "/users?state=failed")["users"] == []


def test_one_who_cannot_be_switched_does_not_stop_the_rest(stack):
    cohort = people(stack, 4)
    busy = [api(stack, "POST", f"/v1/users/{p.id}/switch", {"stack": "livekit", "hold": True})[1] for p in cohort[:2]]
    r = begin(stack, cohort, max_failures=1, at_a_time=1, steps=[{"percent": 100}])
    r = held(stack, r, "failures")
    assert r["reason"] == "2 users could not be switched" and r["counts"]["failed"] == 2
    ask(stack, r, "promote")
    r = over(stack, r, "completed")
    assert counts(r) == {"total": 4, "moved": 2, "failed": 2}
    assert look(stack, r, "/report")["failures"] == {"another switch of this user is under way": 2}
    for w in busy:
        api(stack, "POST", f"/v1/switches/{w['id']}/abort")


def test_why_one_could_not_be_switched_is_told(stack, others):
    def away(_):
        raise RpcError("unavailable", "nobody")
    others.on("agent", "verify", away)
    r = over(stack, begin(stack, people(stack, 1), steps=[{"percent": 100}]), "completed")
    assert counts(r) == {"total": 1, "failed": 1} and look(stack, r, "/users?state=failed")["users"][0]["note"] == "no livekit-agent answers"


def test_paused_nothing_new_begins(stack):
    cohort = people(stack, 3)
    r = begin(stack, cohort, steps=[{"count": 1}, {"percent": 100}], gates={"bake_s": 600})
    until(stack, r, lambda x: x["settled_at"], "the first step is settled")
    assert ask(stack, r, "pause")["state"] == "paused"
    assert ask(stack, r, "pause")["state"] == "paused"  # asked twice, done once
    ask(stack, r, "promote", expected=409)
    r = ask(stack, r, "resume")
    assert r["state"] == "running" and r["may"] == ["pause", "promote", "abort", "rollback"] and r["counts"]["waiting"] == 2
    r = ask(stack, r, "abort", why="enough")
    r = over(stack, r, "aborted")
    assert counts(r) == {"total": 3, "moved": 1, "left": 2} and [p.on() for p in cohort] == ["livekit", "retell", "retell"]
    # What was left may still go back, all of it.
    assert r["may"] == ["rollback"]
    ask(stack, r, "rollback")
    assert counts(over(stack, r, "rolled_back")) == {"total": 3, "returned": 1, "left": 2}
    assert [p.on() for p in cohort] == ["retell"] * 3
    ask(stack, r, "abort", expected=409)


def test_who_cannot_go_back_is_told(stack):
    cohort = people(stack, 2)
    r = begin(stack, cohort, steps=[{"count": 1}, {"percent": 100}], hold=True)
    held(stack, r, "approval")
    # A newer switch has taken the user over.
    w = api(stack, "POST", f"/v1/users/{cohort[0].id}/switch", {"stack": "retell", "verify": False})[1]
    wait(lambda: stack.sql("select 1 from patchbay.switches where id = %s and not open", w["id"]), 30, "he is back by hand")
    ask(stack, r, "rollback")
    r = over(stack, r, "rolled_back")
    assert counts(r) == {"total": 2, "kept": 1, "left": 1} and look(stack, r, "/report")["failures"] == {"superseded": 1}


def test_the_first_ones_are_verified_by_a_call(stack):
    cohort = people(stack, 3, "livekit")
    r = over(stack, begin(stack, cohort, to="retell", steps=[{"percent": 100}], verify={"first": 1, "every": 3}), "completed")
    report = look(stack, r, "/report")
    assert [u["verify"] for u in report["users"]] == [True, False, True] and report["verified_by_call"] == 2


# ------------------------------------------------------------------ gates

def rate(**more) -> dict:
    return {"failure_rate": {"margin": 0.05, "min_calls": 30}, "bake_s": 0, "wait_s": 600} | more


def test_a_failed_gate_takes_everybody_back(stack):
    cohort = people(stack, 4)
    for p in cohort:
        p.calls(20, "retell")
    r = begin(stack, cohort, steps=[{"count": 2}], gates=rate(bake_s=600))
    until(stack, r, lambda x: x["settled_at"], "two are moved")
    cohort[0].calls(40, "livekit", failed=15)
    r = over(stack, r, "halted")
    assert r["reason"] == "failure_rate: worse than the margin allows"
    assert counts(r) == {"total": 4, "returned": 2, "left": 2} and [p.on() for p in cohort] == ["retell"] * 4
    gate, = r["gates"]
    assert gate["verdict"] == "fail" and gate["low"] > 0.05 and gate["new"]["n"] == 40 and gate["old"]["n"] == 80
    assert gate["new"]["value"] == 0.375 and gate["old"]["value"] == 0
    assert stack.sql("select actor from patchbay.audit where subject = %s and action = 'rollout.halted'", r["id"]) == [("stack-switcher",)]
    assert all(p.explain()["serves"] == "retell" for p in cohort)


def test_a_passed_gate_goes_on_and_an_inconclusive_one_waits_for_a_person(stack):
    cohort = people(stack, 3)
    for p in cohort:
        p.calls(40, "retell", failed=1)
    r = begin(stack, cohort, steps=[{"count": 1}], gates=rate(), max_failures=0)
    r = until(stack, r, lambda x: x["verdict"] == "inconclusive" and x["settled_at"], "it is measured")
    assert r["gates"][0]["why"] == "too few calls on the new stack" and r["gates"][0]["new"] == {"n": 0} and r["wait_until"]
    cohort[0].calls(150, "livekit", failed=1)
    r = over(stack, r, "completed")  # the second step has the same calls
    assert {x["verdict"] for x in r["gates"]} == {"pass"} and r["gates"][0]["high"] <= 0.05
    log = look(stack, r, "/report")["log"]
    assert [x["verdicts"][0]["verdict"] for x in log if x["event"] == "judged"][-1] == "pass"
    # Nobody calls: after its time a person is asked.
    cohort = people(stack, 2)
    r = held(stack, begin(stack, cohort, steps=[{"count": 1}], gates=rate(wait_s=0)), "inconclusive")
    assert r["gates"][0]["verdict"] == "inconclusive"
    ask(stack, r, "promote")
    ask(stack, held(stack, until(stack, r, lambda x: x["step"] == 1, "the second step"), "inconclusive"), "promote")
    assert counts(over(stack, r, "completed")) == {"total": 2, "moved": 2}


def test_latency_and_cost_are_measured_too(stack):
    cohort = people(stack, 2)
    results = []
    for call in cohort[1].calls(12, "retell"):
        results.append((call, "retell", cohort[1].id, json.dumps({"latency": {"e2e": {"p50": 900, "num": 3}}, "call_cost": {}})))
    names = ("failure_rate", "answer_ms", "response_ms", "cost_per_minute")
    r = begin(stack, cohort, steps=[{"count": 1}], gates={g: {"margin_percent": 10, "min_calls": 6} for g in names} | {"bake_s": 600})
    until(stack, r, lambda x: x["settled_at"], "one is moved")
    turns = cohort[0].calls(12, "livekit")
    with psycopg.connect(stack.pg.url(OWNER, "patchbay")) as c:  # all of it at once: somebody measures meanwhile
        c.cursor().executemany("insert into patchbay.call_results (call_id, source, user_id, data) values (%s, %s, %s, %s)", results)
        c.cursor().executemany(
            "insert into patchbay.call_events (id, call_id, user_id, type, subject, occurred_at, data) values "
            "(gen_random_uuid(), %s, %s, 'pat.turn.v1.agent', 'x', now(), '{\"timings\": {\"response_ms\": 700}}')",
            [(call, cohort[0].id) for call in turns])
        c.cursor().executemany(
            "insert into patchbay.usage (id, call_id, user_id, leg, component, provider, unit, quantity_milli, used_at) "
            "values (gen_random_uuid(), %s, %s, 'x', 'all', %s, 'usd_cent', %s, now())",
            [(call, cohort[0].id, "livekit", 4000) for call in turns] + [(x[0], cohort[1].id, "retell", 11000) for x in results])
    r = until(stack, r, lambda x: len(x["gates"]) == 4 and x["gates"][2]["new"]["n"] == 12, "they are measured")
    g = {x["gate"]: x for x in r["gates"]}
    assert g["response_ms"]["verdict"] == "pass" and g["response_ms"]["difference"] == -200 and g["response_ms"]["margin"] == 90
    assert g["answer_ms"]["verdict"] == "pass" and g["answer_ms"]["new"]["value"] == 1000
    assert g["cost_per_minute"]["old"]["n"] == 12 and g["cost_per_minute"]["old"]["value"] >= 110000
    assert g["cost_per_minute"]["verdict"] == "pass" and g["cost_per_minute"]["difference"] == -70000
    ask(stack, r, "rollback")
    over(stack, r, "rolled_back")


# ------------------------------------------------------------------ by calls

CALLERS = [f"+1202555{n:04d}" for n in range(100, 160)]


def sides(p: One) -> dict[str, str]:
    return {c: p.explain(c)["stack"] for c in CALLERS}


def test_a_share_of_the_calls_goes_first(stack):
    cohort = people(stack, 2, "livekit")
    p = cohort[0]
    r = begin(stack, cohort, to="retell", mode="calls", steps=[{"percent": 30}, {"percent": 60}], hold=True)
    held(stack, r, "approval")
    wait(lambda: p.explain().get("share") or time.sleep(0.02), 20, "the router has heard")
    first = sides(p)
    assert 5 <= list(first.values()).count("retell") <= 35 and sides(p) == first
    new, old = (next(c for c in CALLERS if first[c] == side) for side in ("retell", "livekit"))
    said = p.explain(new)
    assert said["share"] == {"percent": 30, "to_stack": "retell", "side": "new"} and said["own_stack"] == "livekit"
    assert said["reasons"][0] == "rollout_new" and not said["is_fallback"] and p.explain(old)["reasons"][0] == "rollout_old"
    assert p.explain("anonymous")["share"]["side"] == "by_call"
    # As it says, so it is done; and what the other stack does for it is no fallback.
    for caller, to in ((new, "retell"), (old, "livekit")):
        sid = stack.place_call(p.number, caller)
        # The event, not the row: there is no LiveKit here, so that call goes on to Retell at once.
        routed = wait(lambda: stack.sql("select e.data from patchbay.call_events e join patchbay.calls c on c.id = e.call_id where "
                                        "c.carrier_call_id = %s and e.type = 'pat.call.v1.routed' order by e.occurred_at limit 1", sid), 20, "told")[0][0]
        assert (routed["stack"], routed["is_fallback"]) == (to, False)
        assert routed["reasons"][0] == ("rollout_new" if to == "retell" else "rollout_old")
        stack.hang_up(sid)
    ask(stack, r, "promote")
    until(stack, r, lambda x: x["step"] == 1 and x["held_for"] == "approval", "the second step is held")
    wait(lambda: p.explain()["share"]["percent"] == 60 or time.sleep(0.02), 20, "the router has heard")
    second = sides(p)
    # Who was on the new side is there still.
    assert all(second[c] == "retell" for c in CALLERS if first[c] == "retell") and list(second.values()).count("retell") > list(first.values()).count("retell")
    ask(stack, r, "promote")
    r = over(stack, r, "completed")
    assert counts(r) == {"total": 2, "moved": 2} and stack.sql("select count(*) from patchbay.call_shares") == [(0,)]
    assert set(sides(p).values()) == {"retell"} and "share" not in p.explain()
    assert told(stack, r)[:3] == ["started", "sharing", "settled"]


def test_calls_on_both_sides_are_compared_and_the_worse_is_left(stack):
    p, = people(stack, 1)
    r = begin(stack, [p], mode="calls", steps=[{"percent": 50}], gates=rate(bake_s=600))
    until(stack, r, lambda x: x["settled_at"], "calls are shared")
    assert p.on() == "retell" and p.explain()["share"]["percent"] == 50
    p.calls(40, "retell", failed=0)
    p.calls(40, "livekit", failed=20)
    r = over(stack, r, "halted")
    assert counts(r) == {"total": 1, "returned": 1} and r["gates"][0]["new"] == r["gates"][0]["new"] | {"n": 40, "value": 0.5}
    assert stack.sql("select outcome, cut_at from patchbay.switches where user_id = %s", p.id) == [("aborted", None)]
    wait(lambda: "share" not in p.explain() or time.sleep(0.02), 20, "the router has heard")


def test_an_agent_is_not_taken_from_a_call_of_the_new_side(stack):
    p, = people(stack, 1, "livekit")
    r = begin(stack, [p], to="retell", mode="calls", steps=[{"percent": 100}], gates={"bake_s": 600})
    until(stack, r, lambda x: x["settled_at"], "all calls go there")
    live, = p.calls(1, "retell", state="answered", outcome=None)
    ask(stack, r, "abort")
    wait(lambda: "share" not in p.explain() or time.sleep(0.02), 20, "new calls go to the old one")
    wait(lambda: stack.sql("select 1 from patchbay.rollout_users where rollout_id = %s and unshared_at < now() - interval '3 seconds'", r["id"])
         or time.sleep(0.1), 20, "calls have had their time to be written down")
    assert stack.sql("select wish from patchbay.switches where user_id = %s", p.id) == [(None,)]
    stack.sql("update patchbay.calls set state = 'ended', ended_at = now() where id = %s", live)
    assert counts(over(stack, r, "aborted")) == {"total": 1, "returned": 1}


# ------------------------------------------------------------------ killed, and two at once

def doomed(stack: Stack, at: str) -> Daemon:
    stack.daemons["doomed"] = Daemon(stack, "stack-switcher", {"PAT_SUPABASE_JWT_SECRET": stack.jwt_secret, "PAT_SWITCH_DIE_AT": at} | FAST,
                                     "PAT_SWITCHER_LISTEN", replica="doomed").start()
    return stack.daemons["doomed"]


def dies(stack: Stack, at: str, then=lambda: None):
    """A replica that kills itself there, alone; then() is done at it first."""
    d = doomed(stack, at)
    try:
        said = then()
        wait(lambda: not d.process.alive() or time.sleep(0.02), 30, f"it dies {at}")
    finally:
        d.stop()
    return said


def test_killed_at_any_act_another_goes_on(stack):
    cohort = people(stack, 3)
    main = stack.daemons["stack-switcher"]
    api(stack, "GET", "/v1/rollouts")  # what answers look like is asked of this one
    main.stop()
    try:
        r = dies(stack, "rollout_start:before", lambda: begin(stack, cohort, mode="calls", steps=[{"percent": 50}], hold=True,
                                                              gates=rate(wait_s=0), switcher="doomed"))
        for act in ("start", "phase", "share", "settle", "judge", "hold"):
            dies(stack, f"rollout_{act}:after")
        dies(stack, "rollout_step:before", lambda: api(stack, "POST", f"/v1/rollouts/{r['id']}/promote", {}, switcher="doomed"))
        for at in ("step:after", "cut:before", "cut:after", "finish:before", "finish:after"):
            dies(stack, f"rollout_{at}")
    finally:
        main.start()
    r = over(stack, r, "completed")
    assert counts(r) == {"total": 3, "moved": 3} and [p.on() for p in cohort] == ["livekit"] * 3
    # Each was switched once, and everything told once.
    assert stack.sql("select count(*), count(distinct user_id) from patchbay.switches where user_id = any(%s::uuid[])", [p.id for p in cohort]) == [(3, 3)]
    once = [x for x in told(stack, r) if x != "judged"]  # while they cut over it may be judged again
    assert once == ["started", "sharing", "settled", "held", "promoted", "step", "finished"]


def test_killed_on_the_way_back_another_goes_on(stack):
    cohort = people(stack, 3)
    for p in cohort:
        p.calls(30, "retell")
    r = begin(stack, cohort, steps=[{"count": 2}], gates=rate(bake_s=600))
    until(stack, r, lambda x: x["settled_at"], "two are moved")
    main = stack.daemons["stack-switcher"]
    main.kill()
    cohort[0].calls(40, "livekit", failed=30)
    try:
        for at in ("judge:before", "halt:before", "halt:after", "back:before", "back:after"):
            dies(stack, f"rollout_{at}")
    finally:
        main.start()
    r = over(stack, r, "halted")
    assert counts(r) == {"total": 3, "returned": 2, "left": 1} and [p.on() for p in cohort] == ["retell"] * 3
    assert told(stack, r).count("halted") == 1
    assert stack.sql("select count(*) from patchbay.audit where action = 'switch.rollback' and user_id = any(%s::uuid[])", [p.id for p in cohort]) == [(2,)]


def test_two_replicas_share_the_work_and_one_walks(stack):
    cohort = people(stack, 12)
    second = stack.daemons["second"] = Daemon(stack, "stack-switcher", {"PAT_SUPABASE_JWT_SECRET": stack.jwt_secret} | FAST,
                                              "PAT_SWITCHER_LISTEN", replica="second").start()
    try:
        r = begin(stack, cohort, steps=[{"percent": 100}], at_a_time=4, switcher="second")
        until(stack, r, lambda x: x["counts"]["moved"] >= 3, "it is under way")
        second.kill()
        r = over(stack, r, "completed")
    finally:
        second.stop()
    assert counts(r) == {"total": 12, "moved": 12}
    assert stack.sql("select count(*) from patchbay.switches where user_id = any(%s::uuid[])", [p.id for p in cohort]) == [(12,)]


# ------------------------------------------------------------------ who may, and what

def test_only_an_admin_rolls_out(stack):
    p, = people(stack, 1)
    mine = token(stack, p.id)
    status, body = api(stack, "POST", "/v1/rollouts", request([p]), bearer=mine)
    assert (status, body["error"]["message"]) == (403, "only an admin switches stacks")
    assert api(stack, "POST", "/v1/rollouts?dry_run=1", request([p]), bearer=mine)[0] == 403
    r = begin(stack, [p], mode="calls", steps=[{"percent": 1}], hold=True)
    for what in ("pause", "resume", "promote", "abort", "rollback"):
        assert api(stack, "POST", f"/v1/rollouts/{r['id']}/{what}", {}, bearer=mine)[0] == 403
    for path in ("", "/users", "/report"):
        assert api(stack, "GET", f"/v1/rollouts/{r['id']}{path}", bearer=mine)[0] == 404
    assert api(stack, "GET", "/v1/rollouts", bearer=mine)[0] == 403
    assert stack.sql("select action, allowed from patchbay.audit where actor_id = %s order by at", p.id) == [
        (f"rollout.{x}", False) for x in ("request", "plan", "pause", "resume", "promote", "abort", "rollback")]
    ask(stack, r, "abort")
    over(stack, r, "aborted")


def test_the_same_key_is_the_same_rollout(stack):
    p, q = people(stack, 2)
    key = str(uuid.uuid4())
    first = begin(stack, [p], key=key, hold=True)
    assert begin(stack, [p], key=key, hold=True)["id"] == first["id"]
    status, body = api(stack, "POST", "/v1/rollouts", request([q], hold=True), **{"Idempotency-Key": key})
    assert (status, body["error"]["field"]) == (409, "Idempotency-Key") and q.on() == "retell"
    over(stack, first, "completed")
    status, body = api(stack, "POST", "/v1/rollouts", request([p]))
    assert (status, body["error"]["message"]) == (409, "there is nobody to move")


@pytest.mark.parametrize("body,field", [
    ({}, "to_stack"), ({"to_stack": "livekit"}, "cohort"), ({"to_stack": "livekit", "cohort": {"filter": {"x": 1}}}, "cohort.filter"),
    ({"to_stack": "livekit", "cohort": {"filter": {}}, "steps": [{"percent": 0}]}, "steps"),
    ({"to_stack": "livekit", "cohort": {"filter": {}}, "at_a_time": 0}, "at_a_time")])
def test_bad_input_is_named(stack, body, field):
    status, answer = api(stack, "POST", "/v1/rollouts", body)
    assert (status, answer["error"]["field"]) == (400, field)


# ------------------------------------------------------------------ watching, RPC

def test_a_rollout_is_watched_as_it_goes(stack):
    r = held(stack, begin(stack, people(stack, 2), steps=[{"count": 1}], hold=True), "approval")
    stream = urllib.request.Request(f"{stack.daemons['stack-switcher'].url}/v1/rollouts/{r['id']}/events", headers={
        "Authorization": f"Bearer {token(stack, ADMIN, app_metadata={'role': 'admin'})}"})
    seen = []
    with urllib.request.urlopen(stream, timeout=30) as answer:
        for line in answer:
            if line.startswith(b"data: "):
                seen.append(json.loads(line[6:]))
                if len(seen) == 1:
                    threading.Thread(target=ask, args=(stack, r, "promote")).start()
    # It ends by itself when the rollout is over.
    assert seen[0]["state"] == "held" and seen[-1]["outcome"] == "completed" and seen[-1]["counts"]["moved"] == 2
    assert [x["version"] for x in seen] == sorted({x["version"] for x in seen})


def test_by_rpc(stack):
    cohort = people(stack, 2)

    def call(method, **params):
        return rpc_to(stack, f"pat.rpc.v1.rollout.{method}", params)
    body = request(cohort, steps=[{"count": 1}], hold=True) | {"who": "patchbayctl:root"}
    assert call("plan", **body)["result"]["movable"] == 2
    r = call("start", **body)["result"]
    assert r["asked_by"] == "patchbayctl:root"
    held(stack, r, "approval")
    assert call("get", rollout_id=r["id"])["result"]["counts"]["moved"] == 1
    assert call("resume", rollout_id=r["id"], who="x")["error"]["code"] == "conflict"
    call("rollback", rollout_id=r["id"], who="x")
    over(stack, r, "rolled_back")
    assert call("start", **request(cohort))["error"]["field"] == "who"
    assert call("get", rollout_id=str(uuid.uuid4()))["error"]["code"] == "not_found"
    assert "pat_switcher_rollout_actions_total" in stack.daemons["stack-switcher"].metrics()
