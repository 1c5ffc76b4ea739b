"""Switching a user's stack: the saga from end to end, its replicas killed at each step, and everything that is in its way."""

import json
import os
import threading
import time
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
import psycopg
import pytest
import retell
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from harness import events
from harness.patdb import add_user
from harness.process import http_status
from harness.responder import Responder, RpcError
from harness.sip_leg import wait
from harness.stack import OWNER, Daemon, Stack
from harness.watch import Watch
from test_retell_agents import SETTINGS as PROVIDER
from test_retell_agents import Customer
from test_retell_provider import rpc_to
from test_stack_switcher import check_form, token

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
SAGA = {"PAT_SWITCH_LEASE": "1s", "PAT_SWITCH_SWEEP": "100ms", "PAT_SWITCH_RETRY": "50ms", "PAT_SWITCH_SETTLE": "0",
        "PAT_SWITCH_TRIES": "3", "PAT_SWITCHER_WRITES_PER_MIN": "10000"}
ADMIN = uuid.UUID("00000000-0000-4000-8000-0000000000ad")
CLONE = "q9Zr2mXc7VbN4kLp8sWd"
READY = {"registered": True, "calls": 0, "max_calls": 100, "voice_substituted": False}
FORWARD = ["requested", "validated", "provisioned", "verified", "cutover", "observed", "drained", "retired"]


@pytest.fixture(scope="module")
def stack():
    with Stack(BUILD, with_livekit=False, daemons={"retell-provider": PROVIDER, "stack-switcher": SAGA,
                                                   "router": {"PAT_ROUTER_LEASE": "1500ms"}}) as s:
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    # Not pat.>: who hears requests too would be taken for somebody who answers them.
    with Watch(stack.nats.url, "pat.switch.>") as w:
        yield w


@pytest.fixture(scope="module")
def client(stack) -> retell.Retell:
    return retell.Retell(api_key=stack.retell_key, base_url=stack.double("retell"), max_retries=0, timeout=5)


@pytest.fixture(scope="module")
def responder(stack):
    with Responder(stack.nats.url) as r:
        yield r


@pytest.fixture
def others(responder):
    """What a switch asks and this stack has not: an agent that is ready."""
    responder.on("agent", "verify", lambda p: READY)
    responder.requests.clear()
    return responder


@pytest.fixture
def ada(stack):
    """On LiveKit, with nothing at Retell."""
    return Person(stack)


class Person(Customer):
    def columns(self) -> dict:
        return self.stack.row("select * from public.agent_configs where id = %s", self.config)

    def on_retell(self) -> "Person":
        self.provision()
        self.change(active_voice_stack="retell")
        return self

    def explain(self) -> dict:
        return rpc_to(self.stack, "pat.rpc.v1.router.explain", {"number": self.number})["result"]


def api(s: Stack, method: str, path: str, body: dict | None = None, bearer: str | None = None, switcher: str | None = None,
        timeout_s: float = 20, **headers) -> tuple[int, dict]:
    request = urllib.request.Request(
        s.daemons["stack-switcher" if not switcher else switcher].url + path,
        data=None if body is None else json.dumps(body).encode(), method=method,
        headers={"Authorization": f"Bearer {bearer or token(s, ADMIN, app_metadata={'role': 'admin'})}",
                 "Content-Type": "application/json"} | headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as r:
            status, answer = r.status, json.loads(r.read())
    except urllib.error.HTTPError as e:
        status, answer = e.code, json.loads(e.read())
    check_form(s, path, status, answer, method.lower())
    return status, answer


def begin(p: Person, to: str, key: str | None = None, switcher: str | None = None, **options) -> dict:
    status, w = api(p.stack, "POST", f"/v1/users/{p.id}/switch", {"stack": to, "verify": False} | options, switcher=switcher,
                    **({"Idempotency-Key": key} if key else {}))
    assert status == 202, w
    return w


def look(s: Stack, w: dict) -> dict:
    return api(s, "GET", f"/v1/switches/{w['id']}")[1]


def until(s: Stack, w: dict, condition, what: str, timeout_s: float = 40) -> dict:
    def there():
        now = s.sql("select patchbay.switch_json(x) from patchbay.switches x where id = %s", w["id"])[0][0]
        return now if condition(now) else time.sleep(0.05)
    try:
        return wait(there, timeout_s, what)
    except TimeoutError as e:
        raise TimeoutError(f"{e}: {look(s, w)}") from e


def finished(s: Stack, w: dict, outcome: str) -> dict:
    w = until(s, w, lambda x: x["finished_at"], f"the switch is over ({outcome})")
    assert w["outcome"] == outcome, w
    return w


def reached(s: Stack, w: dict, step: str) -> dict:
    return until(s, w, lambda x: step in x["done"], f"{step} is done")


def told(s: Stack, w: dict) -> list[str]:
    """The events of this switch, each as often as it was written."""
    rows = s.sql("select payload ->> 'type' from patchbay.outbox where payload ->> 'subject' = %s and subject like 'pat.switch.%%' "
                 "order by created_at, id", w["id"])
    return [r[0].split(".")[-1] for r in rows]


def agents_of(client, p: Person) -> list:
    return [a for a in client.agent.list().items if p.config in (a.agent_name or "")]


# ------------------------------------------------------------------ the whole way

def test_from_retell_to_livekit(stack, watch, others, client, ada):
    ada.on_retell()
    before = ada.columns()
    w = begin(ada, "livekit", why="wants her own voice", retire="delete")
    w = finished(stack, w, "retired")
    assert told(stack, w) == FORWARD and w["done"] == ["validate", "provision", "verify", "cutover", "observe", "drain", "retire"]
    after = ada.columns()
    assert after["active_voice_stack"] == "livekit" and ada.explain()["serves"] == "livekit"
    assert after["stack_config"]["previous"]["stack"] == "retell"
    # What text messages read is there still, though the agent is not.
    assert after["retell_agent_id"] == before["retell_agent_id"] and after["prompt"] == before["prompt"]
    assert agents_of(client, ada) == []
    steps = {x["step"]: x for x in w["steps"]}
    assert steps["verify"]["result"] == {"by": None, "note": "not wanted"} and len(steps["observe"]["result"]["confirmed"]) == 1
    for name in FORWARD:
        event = watch.wait_for(f"switch.{name}", w["id"])
        events.validate(event, event["_subject"])
    audit = stack.sql("select actor, action, allowed, why, before ->> 'active_voice_stack', after ->> 'active_voice_stack' "
                      "from patchbay.audit where subject = %s order by at", w["id"])
    assert audit == [(str(ADMIN), "switch.request", True, "wants her own voice", None, None),
                     (str(ADMIN), "switch.cutover", True, "wants her own voice", "retell", "livekit")]


def test_from_livekit_to_retell_makes_an_agent(stack, others, client, ada):
    w = finished(stack, begin(ada, "retell", retire="delete", verify=True), "retired")
    agent, = agents_of(client, ada)
    verified = next(x for x in w["steps"] if x["step"] == "verify")["result"]
    assert verified["by"] == "router.rehearse" and verified["answer_ms"] > 0
    after = ada.columns()
    assert after["retell_agent_id"] == agent.agent_id and after["active_voice_stack"] == "retell"
    assert w["made"] and ada.explain()["serves"] == "retell"
    assert "livekit" not in after["stack_config"]


def test_every_column_is_as_it_was_there_and_back(stack, others, ada):
    stack.sql("insert into public.voices (user_id, voice_id, voice_name, is_cloned, stability, responsiveness, boosted_keywords) "
              "values (%s, %s, 'Mine', true, 0.31, 0.4, '{Patchbay}')", ada.id, CLONE)
    ada.change(voice_id=CLONE, ambient_sound="high-school-hallway", temperature=0.3, max_tokens=99, agent_name="Ida",
               stack_config={"livekit": {"model": "gpt-4.1"}})
    before, settings = ada.columns(), settings_of(ada)
    there = finished(stack, begin(ada, "retell", retire="delete"), "retired")
    on_retell = ada.columns()
    assert on_retell["voice_id"].startswith("11labs-") and on_retell["stack_config"]["parked"]["livekit"]["voice_id"] == CLONE
    # The sliders are the user's, whoever speaks; what belongs to the clone alone stays with it.
    assert settings_of(ada)["voice"]["responsiveness"] == 0.4 and settings_of(ada)["voice"]["boosted_keywords"] == ["Patchbay"]
    assert "stability" not in settings_of(ada)["voice"]
    assert on_retell["stack_config"]["livekit"] == {"model": "gpt-4.1"}
    changed = {k for k in before if on_retell[k] != before[k]}
    assert changed == {"active_voice_stack", "voice_id", "stack_config", "retell_agent_id", "retell_llm_id", "updated_at"}
    ada.change(voice_id="11labs-Brian")  # another preset meanwhile
    finished(stack, begin(ada, "livekit", retire="delete"), "retired")
    after = ada.columns()
    ours = {"stack_config", "updated_at", "retell_agent_id", "retell_llm_id"}  # the ids: text messages read them
    assert {k: v for k, v in after.items() if k not in ours} == {k: v for k, v in before.items() if k not in ours}
    assert after["stack_config"]["livekit"] == {"model": "gpt-4.1"} and after["retell_agent_id"]
    assert settings_of(ada)["voice"] == settings["voice"]
    # And Retell's is there when she goes again.
    assert after["stack_config"]["parked"] == {"retell": {"voice_id": "11labs-Brian", "cloned": False}}
    finished(stack, begin(ada, "retell", retire="delete"), "retired")
    assert ada.columns()["voice_id"] == "11labs-Brian"
    assert there["before"]["voice_id"] == CLONE


def settings_of(p: Person) -> dict:
    return p.stack.sql("select patchbay.settings_of(%s)", p.config)[0][0]


def test_a_new_user_is_on_retell(stack):
    user = uuid.uuid4()
    with psycopg.connect(stack.pg.url(OWNER, "patchbay"), autocommit=True) as c:
        add_user(c, user, f"{user}@example.com", "Neu", "+15550399999")
    assert stack.sql("select active_voice_stack::text from public.agent_configs where user_id = %s", user) == [("retell",)]


# ------------------------------------------------------------------ the plan

def plan_of(p: Person, to: str) -> dict:
    status, plan = api(p.stack, "POST", f"/v1/users/{p.id}/switch?dry_run=1", {"stack": to})
    assert status == 200, plan
    return plan


def test_a_plan_changes_nothing_and_tells_all(stack, others, ada):
    clone = uuid.uuid4().hex[:20]  # nobody else's
    stack.sql("insert into public.voices (user_id, voice_id, voice_name, is_cloned) values (%s, %s, 'Mine', true)", ada.id, clone)
    ada.change(voice_id=clone, max_tokens=99)
    before = ada.columns()
    plan = plan_of(ada, "retell")
    fields = {f["field"]: f for f in plan["fields"]}
    assert fields["voice_id"]["grade"] == "lossy" and fields["voice_id"]["value"] == clone
    assert fields["voice_id"]["becomes"] == fields["voice_id"]["spoken_by"] == "11labs-Kate"
    assert fields["stability"]["grade"] == "parked" and fields["max_tokens"]["grade"] == "lossy"
    assert fields["system_prompt"] == {"field": "system_prompt", "grade": "exact", "note": None, "value": "Be kind.", "becomes": "Be kind."}
    assert fields["phone_numbers"]["value"] == [ada.number]
    assert plan["creates_agent"] and plan["warnings"] == ["the voice will sound different"]
    assert plan["cost"]["retell"]["basis"] == "list_price" and plan["cost"]["saving_percent"] < 0
    assert ada.columns() == before and stack.sql("select 1 from patchbay.switches where user_id = %s", ada.id) == []


def test_a_plan_says_what_a_minute_costs(stack, others, ada):
    ada.on_retell()
    call = uuid.uuid4()
    stack.sql("insert into patchbay.calls (id, user_id, agent_config_id, stack, state, duration_ms, answered_at) values "
              "(%s, %s, %s, 'retell', 'ended', 120000, now())", call, ada.id, ada.config)
    stack.sql("insert into patchbay.call_results (call_id, source, user_id, data) values (%s, 'retell', %s, %s)", call, ada.id, json.dumps(
        {"call_cost": {"combined_cost": 22}, "transcript_object": [{"role": "agent", "content": "x" * 600}, {"role": "user", "content": "y" * 999}]}))
    cost = plan_of(ada, "livekit")["cost"]
    # 22 cents in two minutes, and the carrier's 0.0096 a minute.
    assert cost["retell"]["microusd_per_minute"] == 110000 + 9600 and cost["retell"]["basis"] == "measured"
    # agent 0.01, sip 0.004, stt 0.0048, llm 0.00099, 300 characters 0.012, carrier 0.0096
    assert cost["livekit"]["microusd_per_minute"] == 41390 and cost["livekit"]["basis"] == "reckoned"
    assert cost["saving_percent"] == pytest.approx(65.4, abs=0.1)


def test_without_an_agent_it_is_not_begun(stack, others, ada):
    def away(_):
        raise RpcError("unavailable", "nobody")
    ada.on_retell()
    others.on("agent", "verify", away)
    assert plan_of(ada, "livekit")["blockers"] == ["no livekit-agent answers"]
    w = finished(stack, begin(ada, "livekit"), "failed")
    assert w["steps"][0]["state"] == "failed" and w["steps"][0]["error"] == "no livekit-agent answers"
    assert told(stack, w) == ["requested", "failed"] and ada.columns()["active_voice_stack"] == "retell"
    forced = reached(stack, begin(ada, "livekit", force=True, verify=False), "observe")
    assert forced["plan"]["blockers"] and ada.columns()["active_voice_stack"] == "livekit"


# ------------------------------------------------------------------ one at a time, and once

def test_two_at_once_are_one(stack, others, ada):
    barrier, answers = threading.Barrier(2), []

    def go(to):
        barrier.wait(10)
        answers.append(api(stack, "POST", f"/v1/users/{ada.id}/switch", {"stack": to, "hold": True}))
    threads = [threading.Thread(target=go, args=("retell",)) for _ in range(2)]
    [t.start() for t in threads]
    [t.join(30) for t in threads]
    assert sorted(status for status, _ in answers) == [202, 409]
    first = next(a for status, a in answers if status == 202)
    refused = next(a for status, a in answers if status == 409)
    assert refused["error"]["switch_id"] == first["id"]
    assert stack.sql("select count(*) from patchbay.switches where user_id = %s", ada.id) == [(1,)]
    api(stack, "POST", f"/v1/switches/{first['id']}/abort")
    finished(stack, first, "aborted")


def test_the_same_key_is_the_same_switch(stack, others, ada):
    key = str(uuid.uuid4())
    first = begin(ada, "retell", key=key, hold=True)
    assert begin(ada, "retell", key=key, hold=True)["id"] == first["id"]
    status, other = api(stack, "POST", f"/v1/users/{ada.id}/switch", {"stack": "livekit"}, **{"Idempotency-Key": key})
    assert (status, other["error"]["field"]) == (409, "Idempotency-Key")
    api(stack, "POST", f"/v1/switches/{first['id']}/abort")
    finished(stack, first, "aborted")
    assert begin(ada, "retell", key=key, hold=True)["id"] == first["id"]


def test_to_where_the_user_is_nothing_is_to_do(stack, others, ada):
    status, body = api(stack, "POST", f"/v1/users/{ada.id}/switch", {"stack": "livekit"})
    assert (status, body["error"]["message"]) == (409, "the user is on livekit already")
    assert api(stack, "POST", f"/v1/users/{uuid.uuid4()}/switch", {"stack": "livekit"})[0] == 404
    assert api(stack, "POST", f"/v1/users/{uuid.uuid4()}/switch?dry_run=1", {"stack": "livekit"})[0] == 404


# ------------------------------------------------------------------ the way back

def test_held_and_promoted(stack, others, ada):
    w = begin(ada, "retell", hold=True)
    w = until(stack, w, lambda x: x["state"] == "verified" and x["error"], "it is held")
    assert w["may"] == ["abort", "promote"] and ada.columns()["active_voice_stack"] == "livekit"
    assert api(stack, "POST", f"/v1/switches/{w['id']}/promote")[0] == 202
    reached(stack, w, "drain")
    assert ada.columns()["active_voice_stack"] == "retell"


def test_abort_before_the_cut_over_takes_away_what_was_made(stack, others, client, ada):
    w = until(stack, begin(ada, "retell", hold=True), lambda x: x["state"] == "verified", "verified")
    assert len(agents_of(client, ada)) == 1
    before = ada.columns()
    status, _ = api(stack, "POST", f"/v1/switches/{w['id']}/abort", {"why": "not today"})
    assert status == 202
    w = finished(stack, w, "aborted")
    assert agents_of(client, ada) == [] and w["state"] == "rolled_back" and told(stack, w)[-1] == "rolled_back"
    assert ada.columns()["active_voice_stack"] == before["active_voice_stack"] == "livekit"
    assert ada.explain()["serves"] == "livekit"
    assert stack.sql("select why, before ->> 'wish', after ->> 'wish', after ->> 'state' from patchbay.audit where subject = %s "
                     "and action = 'switch.abort'", w["id"]) == [("not today", None, "abort", "verified")]
    assert api(stack, "POST", f"/v1/switches/{w['id']}/rollback")[0] == 409


def test_roll_back_within_the_window(stack, others, client, ada):
    ada.on_retell()
    before = ada.columns()
    w = reached(stack, begin(ada, "livekit"), "drain")
    assert w["may"] == ["rollback", "promote"] and w["window_left_ms"] > 23 * 3600 * 1000
    assert len(agents_of(client, ada)) == 1  # kept
    assert api(stack, "POST", f"/v1/switches/{w['id']}/rollback")[0] == 202
    w = finished(stack, w, "rolled_back")
    after = ada.columns()
    assert {k for k in before if after[k] != before[k]} == {"stack_config", "updated_at"}
    assert ada.explain()["serves"] == "retell" and len(agents_of(client, ada)) == 1
    assert told(stack, w) == FORWARD[:7] + ["rolled_back"]
    assert api(stack, "POST", f"/v1/switches/{w['id']}/rollback")[0] == 202  # asked twice, done once
    assert told(stack, w) == FORWARD[:7] + ["rolled_back"]


def test_roll_back_from_an_agent_that_was_made(stack, others, client, ada):
    w = reached(stack, begin(ada, "retell"), "observe")
    assert ada.columns()["stack_config"]["livekit"] == {"kept": True}  # a failed call still finds it
    api(stack, "POST", f"/v1/switches/{w['id']}/rollback")
    finished(stack, w, "rolled_back")
    assert ada.columns()["active_voice_stack"] == "livekit" and agents_of(client, ada) == []
    assert "livekit" not in ada.columns()["stack_config"]


def test_the_window_ends(stack, others, client, ada):
    ada.on_retell()
    w = begin(ada, "livekit", keep_s=1)
    w = reached(stack, w, "cutover")
    w = finished(stack, w, "retired")
    assert agents_of(client, ada) == []
    status, body = api(stack, "POST", f"/v1/switches/{w['id']}/rollback")
    assert (status, body["error"]["code"]) == (409, "conflict")


def test_promote_ends_the_window(stack, others, client, ada):
    ada.on_retell()
    w = reached(stack, begin(ada, "livekit"), "drain")
    assert api(stack, "POST", f"/v1/switches/{w['id']}/promote")[0] == 202
    finished(stack, w, "retired")
    assert agents_of(client, ada) == []


def test_a_newer_switch_keeps_what_an_older_one_would_delete(stack, others, client, ada):
    ada.on_retell()
    first = reached(stack, begin(ada, "livekit"), "drain")
    second = reached(stack, begin(ada, "retell"), "drain")
    assert finished(stack, first, "superseded")["id"] == first["id"]
    assert not second["made"] and len(agents_of(client, ada)) == 1 and ada.explain()["serves"] == "retell"


# ------------------------------------------------------------------ what fails

def test_an_agent_that_cannot_be_made_changes_nothing(stack, others, client, ada):
    before = ada.columns()
    stack.control("retell", fail={"status": 402, "times": 1000, "message": "no money"})
    try:
        w = begin(ada, "retell")
        w = until(stack, w, lambda x: x["undo"], "it is given up")
        # Another may begin at once, though what was made is not yet taken away.
        assert not w["open"] and w["steps"][1]["step"] == "provision" and "no money" in w["steps"][1]["error"]
        assert ada.explain()["serves"] == "livekit"
    finally:
        stack.control("retell", fail=None)
    w = finished(stack, w, "failed")
    assert agents_of(client, ada) == [] and told(stack, w) == ["requested", "validated", "failed"]
    after = ada.columns()
    assert {k for k in before if after[k] != before[k]} <= {"retell_agent_id", "retell_llm_id", "updated_at"}


def test_an_agent_that_does_not_answer_is_taken_away(stack, others, client, ada):
    before = ada.columns()
    stack.control("retell", sip_status=486)
    try:
        w = finished(stack, begin(ada, "retell", verify=True), "failed")
    finally:
        stack.control("retell", sip_status=200)
    assert w["steps"][2]["attempts"] == 3 and w["steps"][2]["error"] == "busy"
    assert [x["step"] for x in w["steps"]] == ["validate", "provision", "verify", "clean_up"]
    assert agents_of(client, ada) == [] and ada.explain()["serves"] == "livekit"
    after = ada.columns()
    assert {k for k in before if after[k] != before[k]} <= {"retell_agent_id", "retell_llm_id", "updated_at"}


def test_without_a_test_call_the_stack_speaks_for_itself(stack, others, ada):
    stack.daemons["router"].stop()  # nobody who could place one
    try:
        w = reached(stack, begin(ada, "retell", verify=True), "observe")
    finally:
        stack.daemons["router"].start()
    result = next(x for x in w["steps"] if x["step"] == "verify")["result"]
    assert result["by"] == "retell.verify" and "no test call" in result["note"]


def test_a_stack_changed_by_hand_stops_it(stack, others, client, ada):
    w = until(stack, begin(ada, "retell", hold=True), lambda x: x["state"] == "verified", "verified")
    ada.change(active_voice_stack="retell")
    api(stack, "POST", f"/v1/switches/{w['id']}/promote")
    w = finished(stack, w, "failed")
    assert next(x for x in w["steps"] if x["step"] == "cutover")["error"] == "somebody else has put the user on retell"
    assert len(agents_of(client, ada)) == 1  # it serves him: not taken away


def test_two_of_one_agent_do_not_wait_for_each_other(stack, others, client, ada):
    ada.on_retell()
    stack.control("retell", fail={"status": 500, "times": 1000, "message": "not now"})
    try:
        old = begin(ada, "livekit", retire="delete")
        until(stack, old, lambda x: x["step"] == "retire" and x["error"], "the agent cannot be taken away")
        new = begin(ada, "retell")
        until(stack, new, lambda x: x["error"] == "another switch of this agent is at work", "it waits for that")
    finally:
        stack.control("retell", fail=None)
    finished(stack, old, "retired")
    reached(stack, new, "observe")
    assert len(agents_of(client, ada)) == 1 and ada.explain()["serves"] == "retell"


def test_calls_under_way_are_waited_for(stack, others, client, ada):
    ada.on_retell()
    call = uuid.uuid4()
    stack.sql("insert into patchbay.calls (id, user_id, agent_config_id, stack, state) values (%s, %s, %s, 'retell', 'answered')",
              call, ada.id, ada.config)
    w = begin(ada, "livekit", retire="delete")
    w = until(stack, w, lambda x: x["step"] == "drain" and x["error"], "it waits")
    assert w["error"] == "1 calls on the old stack" and w["may"] == ["rollback"] and len(agents_of(client, ada)) == 1
    stack.sql("update patchbay.calls set state = 'ended', ended_at = now() where id = %s", call)
    finished(stack, w, "retired")
    assert agents_of(client, ada) == []


# ------------------------------------------------------------------ routers

def second_router(stack, **settings: str) -> Daemon:
    first = stack.daemons["router"]
    env = {k: v for k, v in first.env.items() if k.startswith("PAT_") and k not in
           ("PAT_ADMIN_LISTEN", "PAT_ROUTER_LISTEN", "PAT_ROUTER_SNAPSHOT_FILE", "PAT_ROUTER_SPOOL_FILE")}
    return Daemon(stack, "router", env | {"PAT_ROUTER_LEASE": "3s"} | settings, "PAT_ROUTER_LISTEN", replica="router-2").start()


def test_every_router_confirms(stack, others, ada):
    second = second_router(stack)
    try:
        w = reached(stack, begin(ada, "retell"), "observe")
        result = next(x for x in w["steps"] if x["step"] == "observe")["result"]
        assert len(result["confirmed"]) == 2 and result["fenced"] == []
    finally:
        second.stop()
    # One that leaves in order gives its lease back.
    assert stack.sql("select count(*) from patchbay.router_leases where lease_until > now()") == [(1,)]


def test_a_router_that_does_not_confirm_is_waited_for_until_it_is_fenced(stack, others, client, ada):
    ada.on_retell()
    second = second_router(stack)
    wait(lambda: second.metrics().find("pat_router_fenced 0") > 0 or time.sleep(0.05), 20, "it has a lease")
    second.process.send(19)  # SIGSTOP
    try:
        w = begin(ada, "livekit", retire="delete")
        w = until(stack, w, lambda x: x["step"] == "observe" and x["error"], "it waits for the router")
        assert w["error"].startswith("not confirmed by router-") and len(agents_of(client, ada)) == 1
        w = finished(stack, w, "retired")
        result = next(x for x in w["steps"] if x["step"] == "observe")["result"]
        assert len(result["fenced"]) == 1 and len(result["confirmed"]) == 1
    finally:
        second.process.send(18)  # SIGCONT
        second.stop()


def leases(stack) -> set[str]:
    return {r for r, in stack.sql("select router_id from patchbay.router_leases where lease_until > now()")}


def test_a_killed_router_is_not_waited_for_once_another_holds_its_spool(stack, others, ada, tmp_path):
    before = leases(stack)
    spool = tmp_path / "router-2.spool"
    second = second_router(stack, PAT_ROUTER_LEASE="10m", PAT_ROUTER_SPOOL_FILE=str(spool))
    try:
        dead = wait(lambda: leases(stack) - before or time.sleep(0.05), 20, "it has a lease")
        second.kill()
        w = begin(ada, "retell")
        w = until(stack, w, lambda x: x["step"] == "observe" and x["error"], "it waits for the router")
        assert w["error"].startswith("not confirmed by router-")
        # One of another boot may live on another machine, one whose folder was copied lives beside us: nothing is known of them.
        alive = {"router-elsewhere", "router-copied"}
        for name in alive:
            stack.sql("insert into patchbay.router_leases (router_id, lease_until) values (%s, now() + interval '10 minutes')", name)
        notes = spool.with_name(spool.name + ".leases")
        name, boot, folder = notes.read_text().split()
        assert {name} == dead
        notes.write_text(f"router-elsewhere {uuid.uuid4()} {folder}\nrouter-copied {boot} {folder}1\n{name} {boot} {folder}\n")
        second.start()
        wait(lambda: not dead & leases(stack) or time.sleep(0.05), 20, "the dead one's lease is over")
        assert alive < leases(stack) and second.logged("router.lease_inherited", **{"from": next(iter(dead))})
        stack.sql("delete from patchbay.router_leases where router_id = any(%s)", list(alive))
        w = reached(stack, w, "observe")
        result = next(x for x in w["steps"] if x["step"] == "observe")["result"]
        assert dead <= set(result["fenced"]) and len(result["confirmed"]) == 2
        # Its own name is all that is left to the next one.
        wait(lambda: len(notes.read_text().splitlines()) == 1 or time.sleep(0.05), 20, "one name is left")
    finally:
        second.stop()
        stack.sql("delete from patchbay.router_leases where lease_until > now() + interval '1 minute'")


def test_who_holds_the_spool_keeps_others_out(stack, tmp_path):
    second = second_router(stack, PAT_ROUTER_SPOOL_FILE=str(tmp_path / "router-2.spool"))
    third = Daemon(stack, "router", {k: v for k, v in second.env.items() if k not in ("PAT_ADMIN_LISTEN", "PAT_ROUTER_LISTEN")},
                   "PAT_ROUTER_LISTEN", replica="router-3")
    try:
        wait(lambda: any("router-2.spool" in p.name for p in tmp_path.iterdir()) or time.sleep(0.05), 20, "it has its spool")
        second.process.send(19)  # SIGSTOP: as good as dead, and not dead
        third.start(ready=False)
        assert third.process.wait(30) != 0 and third.logged("journal.spool")
    finally:
        second.process.send(18)  # SIGCONT
        third.stop()
        second.stop()


# ------------------------------------------------------------------ killed

KILLS = [("retell", step) for step in ("validate", "provision", "verify", "cutover", "observe", "drain")] + \
    [("livekit", "retire")] + [("back", step) for step in ("cut_back", "observe_back", "drain_back", "clean_up")]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("way,step", KILLS)
def test_killed_at_any_step_another_goes_on(stack, others, client, ada, way, step, when):
    main = stack.daemons["stack-switcher"]
    if way == "livekit":
        ada.on_retell()
    if way == "back":
        w = reached(stack, begin(ada, "retell"), "drain")
    main.stop()
    doomed = stack.daemons["doomed"] = Daemon(stack, "stack-switcher", {
        "PAT_SUPABASE_JWT_SECRET": stack.jwt_secret, "PAT_SWITCH_DIE_AT": f"{step}:{when}"} | SAGA, "PAT_SWITCHER_LISTEN",
        replica="doomed").start()
    try:
        if way == "back":
            assert api(stack, "POST", f"/v1/switches/{w['id']}/rollback", switcher="doomed")[0] == 202
        else:
            w = begin(ada, way, retire="delete", verify=step == "verify", switcher="doomed")
        wait(lambda: not doomed.process.alive() or time.sleep(0.02), 30, f"it dies {when} {step}")
    finally:
        doomed.stop()
        main.start()
    w = finished(stack, w, "rolled_back" if way == "back" else "retired")
    target = "livekit" if way in ("back", "livekit") else "retell"
    assert ada.columns()["active_voice_stack"] == target and ada.explain()["serves"] == target
    assert len(agents_of(client, ada)) == (1 if way == "retell" else 0)
    # Each event once, each step once, however often it was begun.
    assert len(set(told(stack, w))) == len(told(stack, w)) and len(set(w["done"])) == len(w["done"])
    assert [x["state"] for x in w["steps"]] == ["done"] * len(w["steps"])
    assert stack.sql("select count(*) from patchbay.audit where subject = %s and action in ('switch.cutover', 'switch.cut_back')",
                     w["id"]) == [(2 if way == "back" else 1,)]


# ------------------------------------------------------------------ who may

def test_only_an_admin_switches(stack, others, ada):
    mine = token(stack, ada.id)
    status, body = api(stack, "POST", f"/v1/users/{ada.id}/switch", {"stack": "retell"}, bearer=mine)
    assert (status, body["error"]["code"]) == (403, "forbidden")
    assert api(stack, "POST", f"/v1/users/{ada.id}/switch?dry_run=1", {"stack": "retell"}, bearer=mine)[0] == 403
    assert api(stack, "POST", "/v1/switch-voice-stack", {"userId": str(ada.id), "newStack": "retell"}, bearer=mine)[0] == 403
    refused = stack.sql("select action, allowed, user_id from patchbay.audit where actor_id = %s order by at", ada.id)
    assert refused == [("switch.request", False, ada.id), ("switch.plan", False, ada.id), ("switch.request", False, ada.id)]
    w = begin(ada, "retell", hold=True)
    for what in ("abort", "rollback", "promote"):
        assert api(stack, "POST", f"/v1/switches/{w['id']}/{what}", bearer=mine)[0] == 403
        assert stack.sql("select allowed, user_id, subject::text from patchbay.audit where actor_id = %s and action = %s",
                         ada.id, f"switch.{what}") == [(False, ada.id, w["id"])]
    # She may look at her own.
    assert api(stack, "GET", f"/v1/switches/{w['id']}", bearer=mine)[1]["id"] == w["id"]
    assert [x["id"] for x in api(stack, "GET", "/v1/switches", bearer=mine)[1]["switches"]] == [w["id"]]
    assert api(stack, "GET", f"/v1/switches/{w['id']}", bearer=token(stack, uuid.uuid4()))[0] == 404
    api(stack, "POST", f"/v1/switches/{w['id']}/abort")
    finished(stack, w, "aborted")


def test_a_user_who_makes_himself_admin_is_none(stack, others, ada):
    mine = token(stack, ada.id)
    stack.sql("alter table public.users add column if not exists role text default 'user'")
    try:
        stack.sql("update public.users set role = 'admin' where id = %s", ada.id)  # nobody guards the column
        assert api(stack, "POST", f"/v1/users/{ada.id}/switch", {"stack": "retell"}, bearer=mine)[0] == 403
        with open("migrations/20261122000200_voice_stack_guard.sql") as f:
            stack.sql(f.read().replace("%", "%%"))
        # Now somebody does: what is written there counts, and is not his to write.
        assert api(stack, "POST", f"/v1/users/{ada.id}/switch?dry_run=1", {"stack": "retell"}, bearer=mine)[0] == 200
        stack.sql("alter table public.users disable trigger zz_patchbay_guard_role")
        assert api(stack, "POST", f"/v1/users/{ada.id}/switch?dry_run=1", {"stack": "retell"}, bearer=mine)[0] == 403
    finally:
        stack.sql("drop trigger if exists zz_patchbay_guard_role on public.users; alter table public.users drop column role")


def test_an_admin_of_our_table_and_a_service_may(stack, others, ada):
    admin = uuid.uuid4()
    assert api(stack, "POST", f"/v1/users/{ada.id}/switch?dry_run=1", {"stack": "retell"}, bearer=token(stack, admin))[0] == 403
    stack.sql("insert into patchbay.admins (user_id) values (%s)", admin)
    for bearer in (token(stack, admin), token(stack, None, role="service_role", aud=None)):
        assert api(stack, "POST", f"/v1/users/{ada.id}/switch?dry_run=1", {"stack": "retell"}, bearer=bearer)[0] == 200


class KeyList(BaseHTTPRequestHandler):
    """The project's public keys, as Supabase lists them."""

    def do_GET(self):
        body = json.dumps({"keys": self.server.keys}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def key_list():
    server = HTTPServer(("127.0.0.1", 0), KeyList)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_tokens_signed_with_the_project_s_keys(stack, others, ada, key_list):
    first, second = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def listed(key, kid):
        return json.loads(ECAlgorithm.to_jwk(key.public_key())) | {"kid": kid, "alg": "ES256", "use": "sig"}

    def signed(key, kid):
        return jwt.encode({"sub": str(ADMIN), "role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + 600,
                           "app_metadata": {"role": "admin"}}, key, algorithm="ES256", headers={"kid": kid})
    key_list.keys = [listed(first, "one")]
    keyed = stack.daemons["keyed"] = Daemon(stack, "stack-switcher", SAGA | {
        "PAT_SUPABASE_JWKS_URL": f"http://127.0.0.1:{key_list.server_port}/jwks.json"}, "PAT_SWITCHER_LISTEN", replica="keyed").start()

    def status(bearer):
        return api(stack, "GET", "/v1/switches", bearer=bearer, switcher="keyed")[0]
    try:
        wait(lambda: status(signed(first, "one")) == 200 or time.sleep(0.05), 20, "the keys are fetched")
        assert status(signed(second, "one")) == 401 and status(token(stack, ADMIN)) == 401
        # A new key: the first token of it has it looked for.
        key_list.keys.append(listed(second, "two"))
        wait(lambda: status(signed(second, "two")) == 200 or time.sleep(0.05), 20, "the new key is fetched")
    finally:
        keyed.stop()


def test_the_spec_s_names(stack, others, ada):
    status, body = api(stack, "POST", "/v1/switch-voice-stack", {"userId": str(ada.id), "newStack": "retell"})
    assert status == 202 and body["success"] and body["newStack"] == "retell"
    reached(stack, {"id": body["switchId"]}, "observe")
    assert ada.columns()["active_voice_stack"] == "retell"


@pytest.mark.parametrize("body,field", [({}, "stack"), ({"stack": "vapi"}, "stack"), ({"stack": "retell", "agent_config_id": "x"}, "agent_config_id"),
                                        ({"stack": "retell", "retire": "burn"}, "retire"), ({"stack": "retell", "keep_s": -1}, "keep_s"),
                                        # What was asked for must not pass for not said.
                                        ({"stack": "retell", "hold": "true"}, "hold"), ({"stack": "retell", "verify": 1}, "verify"),
                                        ({"stack": "retell", "retire": True}, "retire"), ({"stack": "retell", "force": "no"}, "force"),
                                        ({"stack": "retell", "agent_config_id": 7}, "agent_config_id"), ({"stack": "retell", "why": ["x"]}, "why"),
                                        ({"stack": "retell", "dry_run": True}, "dry_run")])
def test_bad_input_is_named(stack, ada, body, field):
    status, answer = api(stack, "POST", f"/v1/users/{ada.id}/switch", body)
    assert (status, answer["error"]["field"]) == (400, field)


@pytest.mark.parametrize("query", ["dry_run=1&why=100%", "dry_run=1&x=%zz", "x=%00&dry_run=1", "dry_run=1&x=%ff"])
def test_a_plan_asked_for_in_a_broken_query_is_not_the_switch(stack, ada, query):
    status, answer = api(stack, "POST", f"/v1/users/{ada.id}/switch?{query}", {"stack": "retell"})
    assert (status, answer["error"]["field"]) == (400, "query")
    assert not stack.sql("select 1 from patchbay.switches where user_id = %s", ada.id)


def test_too_many_changes_are_refused(stack, ada):
    slow = stack.daemons["slow"] = Daemon(stack, "stack-switcher", {
        "PAT_SUPABASE_JWT_SECRET": stack.jwt_secret} | SAGA | {"PAT_SWITCHER_WRITES_PER_MIN": "2"}, "PAT_SWITCHER_LISTEN", replica="slow").start()
    try:
        path = f"/v1/users/{ada.id}/switch"
        got = [api(stack, "POST", path, {"stack": "x"}, switcher="slow")[0] for _ in range(3)]
        assert got == [400, 400, 429]
        assert api(stack, "GET", "/v1/switches", switcher="slow")[0] == 200
    finally:
        slow.stop()


# ------------------------------------------------------------------ watching, RPC

def test_a_switch_is_watched_as_it_goes(stack, others, ada):
    w = until(stack, begin(ada, "retell", hold=True), lambda x: x["state"] == "verified", "verified")
    request = urllib.request.Request(f"{stack.daemons['stack-switcher'].url}/v1/switches/{w['id']}/events", headers={
        "Authorization": f"Bearer {token(stack, ADMIN, app_metadata={'role': 'admin'})}"})
    seen = []
    with urllib.request.urlopen(request, timeout=30) as r:
        assert r.headers["Content-Type"] == "text/event-stream"
        for line in r:
            if line.startswith(b"data: "):
                seen.append(json.loads(line[6:]))
                if len(seen) == 1:
                    api(stack, "POST", f"/v1/switches/{w['id']}/promote")
                if "observe" in seen[-1]["done"] and not seen[-1]["wish"]:
                    api(stack, "POST", f"/v1/switches/{w['id']}/rollback")
    # It ends by itself when the switch is over.
    assert seen[0]["state"] == "verified" and seen[-1]["outcome"] == "rolled_back"
    assert [x["version"] for x in seen] == sorted({x["version"] for x in seen})
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(urllib.request.Request(request.full_url, headers={"Authorization": f"Bearer {token(stack, uuid.uuid4())}"}), timeout=10)
    assert e.value.code == 404


def test_watching_ends_with_the_token(stack, others, ada):
    w = until(stack, begin(ada, "retell", hold=True), lambda x: x["state"] == "verified", "verified")
    # Good for some seconds more, by what clocks may differ.
    request = urllib.request.Request(f"{stack.daemons['stack-switcher'].url}/v1/switches/{w['id']}/events", headers={
        "Authorization": f"Bearer {token(stack, ADMIN, app_metadata={'role': 'admin'}, exp=int(time.time()) - 26)}"})
    begun, pictures = time.monotonic(), 0
    with urllib.request.urlopen(request, timeout=30) as r:
        for line in r:
            pictures += line.startswith(b"data: ")
            assert time.monotonic() - begun < 12, "it goes on without end"
    assert pictures == 1
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(request, timeout=10)
    assert e.value.code == 401
    api(stack, "POST", f"/v1/switches/{w['id']}/abort")
    finished(stack, w, "aborted")


def test_by_rpc(stack, others, ada):
    def ask(method, **params):
        return rpc_to(stack, f"pat.rpc.v1.switch.{method}", params)
    plan = ask("plan", user_id=str(ada.id), stack="retell", who="patchbayctl:root")["result"]
    assert plan["to"] == "retell" and plan["fields"]
    w = ask("start", user_id=str(ada.id), stack="retell", who="patchbayctl:root", hold=True, why="a try")["result"]
    assert w["asked_by"] == "patchbayctl:root"
    until(stack, w, lambda x: x["state"] == "verified", "verified")
    assert ask("get", switch_id=w["id"])["result"]["state"] == "verified"
    assert ask("rollback", switch_id=w["id"], who="x")["error"]["code"] == "conflict"
    ask("abort", switch_id=w["id"], who="x")
    finished(stack, w, "aborted")
    assert ask("start", user_id=str(ada.id), stack="retell")["error"]["field"] == "who"
    assert ask("get", switch_id=str(uuid.uuid4()))["error"]["code"] == "not_found"


def test_lists_and_pages(stack, others, ada):
    for to in ("retell", "livekit", "retell"):
        finished(stack, begin(ada, to, retire="delete"), "retired")
    path, seen = f"/v1/switches?user_id={ada.id}&limit=2", []
    while path:
        status, body = api(stack, "GET", path)
        assert status == 200
        seen += [x["to_stack"] for x in body["switches"]]
        path = body["next"] and f"/v1/switches?user_id={ada.id}&limit=2&before={body['next']}"
    assert seen == ["retell", "livekit", "retell"]
    assert api(stack, "GET", f"/v1/switches?user_id={ada.id}&open=true")[1]["switches"] == []


def test_readiness_and_the_log(stack):
    switcher = stack.daemons["stack-switcher"]
    assert http_status(f"{switcher.admin_url}/readyz") == 200
    assert "pat_switcher_steps_total" in switcher.metrics() and "eyJ" not in switcher.process.log.read_text()
