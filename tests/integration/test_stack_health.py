"""What the routers know of the stacks: shared by all of them, from calls, probes and calls of our own."""

import asyncio
import contextlib
import json
import os
import time
import uuid

import jwt
import nats
import pytest

from harness import events
from harness.carrier import Carrier, Phone
from harness.process import free_port
from harness.sip_leg import wait
from harness.stack import LEO, LIVEKIT_SIP_HOST, RETELL_SIP_HOST, RITA, Daemon, Stack, http_json
from harness.watch import Watch

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")


@pytest.fixture(scope="module")
def stack():
    s = Stack(BUILD, with_livekit=False)
    with s:
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


@pytest.fixture(scope="module")
def carrier(stack):
    return Carrier(stack.daemons["router"].url, stack.signing_key)


class Agent:
    """What a livekit-agent does for the router: prepares calls, and says when it speaks in one."""

    def __init__(self, watch):
        self.watch, self.prepared, self.silent = watch, [], False

        async def prepare(m):
            p = json.loads(m.data)
            self.prepared.append(p)
            await m.respond(json.dumps({"result": {"room": "call_" + p["call_id"]}}).encode())
            if not self.silent:
                await self.speak(p)

        async def listen():
            self.sub = await watch.connection.subscribe("pat.rpc.v1.agent.prepare", cb=prepare)
            await watch.connection.flush()

        asyncio.run_coroutine_threadsafe(listen(), watch.loop).result(10)

    async def speak(self, p: dict) -> None:
        event = {"specversion": "1.0", "id": uuid7(), "source": "/patchbay/livekit-agent", "type": "pat.call.v1.answered",
                 "subject": p["call_id"], "time": "2026-11-23T04:00:00.000Z", "datacontenttype": "application/json",
                 "userid": p["user_id"], "data": {"call_id": p["call_id"], "user_id": p["user_id"], "stack": "livekit",
                                                  "greeting_ms": 200}}
        await self.watch.connection.publish(f"pat.call.v1.answered.{p['user_id']}.{p['call_id']}", json.dumps(event).encode())

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.sub.unsubscribe(), self.watch.loop).result(10)


@pytest.fixture
def agent(watch):
    a = Agent(watch)
    yield a
    a.close()


@pytest.fixture
def room(stack):
    """LiveKit's SIP service."""
    with Phone() as phone:
        hosts = {RETELL_SIP_HOST: stack.double("retell")}
        stack.control("signalwire", sip_hosts=hosts | {LIVEKIT_SIP_HOST: phone.base})
        yield phone
        stack.control("signalwire", sip_hosts=hosts)


@pytest.fixture(autouse=True)
def healthy(stack, watch):
    yield
    stack.forget_health()


def rpc(watch, method: str, params: dict, timeout_s: float = 40) -> dict:
    async def ask():
        m = await watch.connection.request(f"pat.rpc.v1.{method}", json.dumps(params).encode(), timeout=timeout_s,
                                           headers={"Pat-Deadline-Ms": str(int(timeout_s * 1000))})
        return json.loads(m.data)

    return asyncio.run_coroutine_threadsafe(ask(), watch.loop).result(timeout_s + 10)


def uuid7() -> str:
    n = int(time.time() * 1000) << 80 | 7 << 76 | int.from_bytes(os.urandom(9), "big") & ((1 << 76) - 1)
    return str(uuid.UUID(int=n & ~(3 << 62) | 2 << 62))


def config_of(stack, user) -> str:
    return str(stack.sql("select id from public.agent_configs where user_id = %s", user.id)[0][0])


# ---------------------------------------------------------------------- calls of our own


def rehearse(stack, watch, user, name: str, **more) -> dict:
    return rpc(watch, "router.rehearse", {"agent_config_id": config_of(stack, user), "stack": name} | more)


def leg_of(stack, call: str) -> dict:
    """The carrier's side of a rehearsal."""
    sid = wait(lambda: stack.row("select carrier_call_id from patchbay.calls where id = %s", call)["carrier_call_id"], 20,
               "the leg is noted")
    return stack.look(sid)


def test_a_rehearsal_at_retell(stack, watch):
    r = rehearse(stack, watch, RITA, "retell")["result"]
    assert r["ok"] and r["why"] is None and 0 <= r["answer_ms"] < 20000
    row = wait(lambda: (x := stack.row("select * from patchbay.calls where id = %s", r["call_id"]))["state"] == "ended" and x, 20,
               "its row is ended")
    assert row["rehearsal"] and (row["stack"], row["outcome"], row["user_id"]) == ("retell", "answered", RITA.id)
    registered, = [e for e in stack.double_log("retell", "registered") if e["call_id"] == row["retell_call_id"]]
    assert registered["request"]["metadata"]["call_id"] == r["call_id"]
    wait(lambda: leg_of(stack, r["call_id"])["state"] == "ended", 20, "its leg is ended")
    # Retell's webhooks come in as for any call; nothing of it is told to the user or charged.
    wait(lambda: stack.row("select count(*) as n from patchbay.call_results where call_id = %s and event = 'call_analyzed'",
                           r["call_id"])["n"], 30, "Retell has told all of it")
    assert not stack.sql("select 1 from public.call_records where id = %s", r["call_id"])
    assert not stack.sql("select 1 from patchbay.usage where call_id = %s", r["call_id"])


def test_a_rehearsal_at_livekit(stack, watch, agent, room):
    r = rehearse(stack, watch, LEO, "livekit")["result"]
    assert r["ok"], r
    told, = [p for p in agent.prepared if p["call_id"] == r["call_id"]]
    assert told["user_id"] == str(LEO.id) and told["settings"]["extra"]["recording_enabled"] is False
    invite = room.invites[-1]
    assert invite["uri"].startswith(f"sip:{r['call_id']}@{LIVEKIT_SIP_HOST}")
    assert invite["headers"]["X-Pat-User"] == str(LEO.id) and invite["headers"]["X-Pat-Sig"]
    wait(lambda: leg_of(stack, r["call_id"])["state"] == "ended", 20, "its leg is ended")
    wait(lambda: all(d.is_set() for d in room.dialogs.values()), 20, "the room's telephone is hung up")


def test_the_stack_that_is_not_the_active_one_is_rehearsed(stack, watch, agent, room):
    assert rehearse(stack, watch, RITA, "livekit")["result"]["ok"]
    assert rehearse(stack, watch, LEO, "retell")["result"]["why"] == "no_retell_agent"


def test_a_leg_without_an_agent_is_no_success(stack, watch, agent, room):
    agent.silent = True
    r = rehearse(stack, watch, LEO, "livekit", timeout_s=5)["result"]
    assert (r["ok"], r["why"], r["answer_ms"]) == (False, "no_agent", None)
    wait(lambda: leg_of(stack, r["call_id"])["state"] == "ended", 20, "its leg is ended all the same")


def test_an_agent_without_a_leg_is_no_success(stack, watch, agent, room):
    room.status = 486
    r = rehearse(stack, watch, LEO, "livekit")["result"]
    assert (r["ok"], r["why"]) == (False, "busy")


@pytest.mark.parametrize("params,field", [({"stack": "both"}, "stack"), ({"agent_config_id": "leo"}, "agent_config_id"),
                                          ({"timeout_s": 1}, "timeout_s")])
def test_a_wrong_rehearsal_is_refused(stack, watch, params, field):
    good = {"agent_config_id": config_of(stack, LEO), "stack": "livekit"}
    error = rpc(watch, "router.rehearse", good | params)["error"]
    assert (error["code"], error["field"]) == ("invalid", field)


def test_nobody_is_rehearsed_who_is_not_there(stack, watch):
    r = rpc(watch, "router.rehearse", {"agent_config_id": str(uuid.uuid4()), "stack": "retell"})["result"]
    assert (r["ok"], r["why"]) == (False, "no_such_agent")


# ---------------------------------------------------------------------- the agent that stands by


@pytest.fixture(scope="module")
def standby_stack():
    port = free_port()
    tools = {"PAT_RETELL_TOOLS_LISTEN": f"127.0.0.1:{port}", "PAT_RETELL_TOOLS_URL": f"http://127.0.0.1:{port}/v1/retell/tools"}
    s = Stack(BUILD, with_livekit=False, daemons={"router": {"PAT_ROUTER_STANDBY": "true"},
                                                  "retell-provider": {"PAT_RETELL_STANDBY": "always"} | tools})
    with s:
        yield s


STANDBY = "00000000-0000-8000-8073-74616e646279"


def test_somebody_on_livekit_is_caught_by_the_agent_that_stands_by(standby_stack):
    stack = standby_stack
    row = wait(lambda: stack.row("select * from patchbay.retell_agents where agent_config_id = %s and state = 'ready'", STANDBY),
               30, "it is made")
    written = {e["id"]: e["body"] for e in stack.double_log("retell", "wrote") if "body" in e}
    assert written[row["agent_id"]]["agent_name"].startswith(f"patchbay {STANDBY}")
    llm = written[row["llm_id"]]
    assert llm["general_prompt"].startswith("{{standby_prompt}}") and llm["begin_message"] == "{{standby_greeting}}"
    stack.sql("update public.agent_configs set system_prompt = 'Sell garden fences.' where user_id = %s", LEO.id)
    carrier = Carrier(stack.daemons["router"].url, stack.signing_key)

    def caught():
        form = carrier.form(LEO.number)
        first = carrier.post("/v1/signalwire/voice", form).dial()
        assert first.host == LIVEKIT_SIP_HOST
        reply = carrier.dial_result(first, form, "failed", DialSipResponseCode="503")
        stack.forget_health()
        if reply.verbs() != ["Dial"]:
            return None  # the provider looks every two seconds while it is being made
        assert reply.dial().host == RETELL_SIP_HOST
        request, = [e["request"] for e in stack.double_log("retell", "registered") if e["call_id"] == reply.dial().user]
        return "Sell garden fences." in request["retell_llm_dynamic_variables"]["standby_prompt"] and request

    request = wait(caught, 30, "it is known to the provider, and the change to the router")
    told = request["retell_llm_dynamic_variables"]
    assert (request["agent_id"], request["agent_version"]) == (row["agent_id"], row["version"])
    assert "{{" not in told["standby_prompt"]
    assert told["standby_greeting"] == "Hello, this is the assistant of Leo. How can I help you?"
    # The user's own row is as it was: only the active stack's agent exists.
    assert stack.row("select retell_agent_id from public.agent_configs where user_id = %s", LEO.id)["retell_agent_id"] is None


SALES, NOBODY = "+15550177701", "+15550177702"


def test_the_agent_that_stands_by_puts_callers_through(standby_stack):
    """To whom the called user names, and to nobody else; who is not reached comes back to it."""
    stack = standby_stack
    for label, number in (("Sales", SALES), ("Ghost", NOBODY)):
        stack.sql("insert into public.transfer_numbers (user_id, label, phone_number, is_default) values (%s, %s, %s, %s)",
                  LEO.id, label, number, label == "Sales")
    stack.control("retell", call_ms=60000)
    stack.control("signalwire", phones={SALES: {"status": 200}, NOBODY: {"status": 486}})

    def standing_by():
        stack.forget_health()
        sid = stack.place_call(LEO.number)
        wait(lambda: stack.look(sid)["state"] in ("bridged", "ended"), 20, "it is somewhere")
        told = [e["request"]["retell_llm_dynamic_variables"] for e in stack.double_log("retell", "registered")]
        if stack.story(sid, "bridged") and '"Sales" (default), "Ghost"' in told[-1].get("standby_prompt", ""):
            return sid
        stack.hang_up(sid)

    sid = wait(standing_by, 30, "the agent that stands by knows whom callers may be put through to")
    row = stack.wait_row(sid, "answered")

    def use(retell_call: str, **args) -> dict:
        played = http_json("POST", f"{stack.double('retell')}/play/{retell_call}/tool", {"name": "transfer_call", "args": args})
        assert played["status"] == 200, played
        return json.loads(played["answer"])

    assert use(row["retell_call_id"], to="Boss")["status"] == "refused"
    assert use(row["retell_call_id"], to="Ghost")["status"] == "connecting"
    back = wait(lambda: stack.row("select retell_call_id from patchbay.calls where id = %s and retell_call_id <> %s", row["id"],
                                  row["retell_call_id"]), 30, "he is back, in a call of its own")
    wait(lambda: len(stack.story(sid, "bridged")) == 2, 30, "and speaks with it")
    # Retell says so of the new call, not of the row.
    assert wait(lambda: use(back["retell_call_id"]).get("status") == "connecting", 20, "nobody named: the default")
    wait(lambda: [e["uri"] for e in stack.story(sid, "dial")][-1] == SALES and len(stack.story(sid, "bridged")) == 3, 30,
         "Sales has the caller")
    stack.hang_up(sid)
    stack.sql("delete from public.transfer_numbers where user_id = %s", LEO.id)


def test_a_standby_agent_somebody_deleted_is_made_again(standby_stack):
    stack = standby_stack
    row = stack.row("select * from patchbay.retell_agents where agent_config_id = %s", STANDBY)
    http_json("DELETE", f"{stack.double('retell')}/delete-agent/{row['agent_id']}", headers={
        "Authorization": f"Bearer {stack.retell_key}"})
    carrier = Carrier(stack.daemons["router"].url, stack.signing_key)

    def caught():
        stack.forget_health()
        form = carrier.form(LEO.number)
        first = carrier.post("/v1/signalwire/voice", form).dial()
        reply = carrier.dial_result(first, form, "failed", DialSipResponseCode="503")
        # A message is taken while there is none: never a dead line.
        assert reply.verbs() in (["Dial"], ["Say", "Record", "Redirect"])
        return reply.verbs() == ["Dial"]

    wait(caught, 40, "there is one again")
    again = stack.row("select * from patchbay.retell_agents where agent_config_id = %s", STANDBY)
    assert again["agent_id"] != row["agent_id"]


# ---------------------------------------------------------------------- shared, probed, tried again


@pytest.fixture(scope="module")
def pair():
    """Two routers, and a provider that looks at Retell twice a second."""
    s = Stack(BUILD, with_livekit=False, daemons={"retell-provider": {"PAT_HEALTH_PROBE_EVERY": "500ms"}})
    with s:
        first = s.daemons["router"]
        second = Daemon(s, "router", first.env, "PAT_ROUTER_LISTEN", replica="router-2")
        second.env |= {"PAT_ROUTER_PUBLIC_URL": second.url, "PAT_ROUTER_SPOOL_FILE": str(s.folder / "router-2.spool"),
                       "PAT_ROUTER_SNAPSHOT_FILE": str(s.folder / "router-2.snapshot")}
        s.daemons["router-2"] = s._push(second).start()
        yield s


@pytest.fixture
def routers(pair):
    yield [Carrier(pair.daemons[name].url, pair.signing_key) for name in ("router", "router-2")]
    pair.control("retell", fail=None)
    pair.forget_health()


def both(pair, name: str, word: str, timeout_s: float = 30) -> None:
    wait(lambda: all(pair.stack_states(r)[name] == word for r in ("router", "router-2")), timeout_s, f"{name} is {word} at both")


def lose(carrier, times: int) -> None:
    """Legs to LiveKit that nobody there answers."""
    for _ in range(times):
        form = carrier.form(LEO.number)
        carrier.dial_result(carrier.post("/v1/signalwire/voice", form).dial(), form, "no-answer", DialSipResponseCode="408")


@contextlib.contextmanager
def told(pair):
    with Watch(pair.nats.url, "pat.health.>") as w:
        yield w


def test_what_one_router_has_seen_the_other_knows(pair, routers):
    with told(pair) as w:
        lose(routers[0], 1)
        both(pair, "livekit", "degraded")
        assert routers[1].voice(LEO.number).verbs() == ["Dial"]  # which is still tried
        lose(routers[1], 1)
        both(pair, "livekit", "down")
        for r in routers:
            assert r.voice(LEO.number).verbs() == ["Say", "Record", "Redirect"]
        states = wait(lambda: len(s := [e["data"]["state"] for e in w.of("health.stack") if e["data"]["probe"] == "overall"]) > 1
                      and s, 20, "it is told")
        assert states == ["degraded", "down"] and w.events[-1]["data"]["reasons"] in (["sip_408"], ["unavailable"])
        for e in w.events:
            events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])


def test_one_call_at_a_time_tries_whether_it_is_back(pair, routers):
    lose(routers[0], 2)
    both(pair, "livekit", "down")

    def through() -> list[bool]:
        return [r.voice(LEO.number).verbs() == ["Dial"] for r in routers * 2]

    tried = wait(lambda: any(t := through()) and t, 40, "a trial is let through")
    assert sum(tried) == 1, tried
    # Nobody prepared it, so it failed; the next trial is told to an agent.
    both(pair, "livekit", "down")
    with Watch(pair.nats.url) as w:
        agent = Agent(w)
        wait(lambda: any(through()), 60, "the next trial")
        # It was served, so are those that follow.
        wait(lambda: routers[1].voice(LEO.number).verbs() == ["Dial"] and pair.stack_states()["livekit"] == "up", 30, "it is up")
        both(pair, "livekit", "up")
        agent.close()


def test_a_probe_closes_a_stack_for_everybody_and_opens_it_again(pair, routers):
    assert all(r.voice(RITA.number).verbs() == ["Dial"] for r in routers)
    with told(pair) as w:
        pair.control("retell", fail={"status": 401, "times": -1, "path": "/get-concurrency", "message": "who?"})
        both(pair, "retell", "down")
        asked = len(pair.double_log("retell", "registered"))
        for r in routers:
            assert r.voice(RITA.number).verbs() == ["Say", "Record", "Redirect"]
        assert len(pair.double_log("retell", "registered")) == asked  # Retell was not even asked
        pair.control("retell", fail=None)
        both(pair, "retell", "up")
        assert all(r.voice(RITA.number).verbs() == ["Dial"] for r in routers)
        found = [e["data"] for e in w.of("health.stack") if e["data"]["probe"] == "api"]
        assert {"state": "down", "sure": True, "reasons": ["key_refused"]}.items() <= next(
            d for d in found if d["state"] == "down").items()


def test_without_nats_each_router_goes_by_what_it_sees(pair, routers):
    pair.nats.stop()
    try:
        wait(lambda: all(pair.daemons[r].logged("bus.down") for r in ("router", "router-2")), 20, "both have noticed")
        lose(routers[0], 2)
        assert pair.stack_states("router")["livekit"] == "down" and pair.stack_states("router-2")["livekit"] == "up"
        assert routers[0].voice(LEO.number).verbs() == ["Say", "Record", "Redirect"]
        assert routers[1].voice(LEO.number).verbs() == ["Dial"]
    finally:
        pair.nats.start()
    both(pair, "livekit", "down")  # it is news to the other


def test_a_rehearsal_that_lost_nats_says_so_at_once(pair, routers):
    """What it waited for may have been told meanwhile: that is nobody's failure."""
    hosts = {RETELL_SIP_HOST: pair.double("retell")}
    before = len(rehearsed(pair))
    with Watch(pair.nats.url) as w, Phone() as phone:
        pair.control("signalwire", sip_hosts=hosts | {LIVEKIT_SIP_HOST: phone.base})
        agent = Agent(w)
        agent.silent = True
        asked = {"agent_config_id": config_of(pair, LEO), "stack": "livekit", "timeout_s": 60}
        asyncio.run_coroutine_threadsafe(w.connection.publish(
            "pat.rpc.v1.router.rehearse", json.dumps(asked).encode(), headers={"Pat-Deadline-Ms": "60000"}), w.loop).result(10)
        wait(lambda: agent.prepared or time.sleep(0.02), 30, "it is under way")
        pair.nats.kill()
        try:
            why = wait(lambda: rehearsed(pair)[before:] or time.sleep(0.05), 30, "it is over")
            assert [e["why"] for e in why] == ["nats_lost"]
        finally:
            pair.nats.start()
            pair.control("signalwire", sip_hosts=hosts)
    # The stack is not thought the worse of.
    both(pair, "livekit", "up")
    wait(lambda: buckets_are_back(pair) or time.sleep(0.1), 30, "NATS is as it was")


def buckets_are_back(pair) -> bool:
    try:
        pair.forget_health()
        return True
    except (nats.errors.Error, OSError):
        return False


def rehearsed(pair) -> list[dict]:
    return [e for r in ("router", "router-2") for e in pair.daemons[r].logged("call.rehearsed")]


def test_without_calls_a_stack_is_rehearsed(stack, watch):
    """Of its own accord, with the agent it is told, and not for more than a day may cost."""
    router = stack.daemons["router"]
    before = dict(router.env)
    router.stop()
    router.env |= {"PAT_HEALTH_REHEARSE_AGENT": config_of(stack, RITA), "PAT_HEALTH_REHEARSE_EVERY": "1s",
                   "PAT_HEALTH_REHEARSE_DAY_CENTS": "10"}
    n = len(router.logged("call.rehearsed"))
    try:
        router.start()

        def made() -> list[tuple]:
            return sorted((e["stack"], e["ok"]) for e in router.logged("call.rehearsed")[n:])

        wait(lambda: len(made()) >= 4, 60, "two of each have been made")
        stack.place_call(RITA.number)  # time passes: the third would be due
        wait(lambda: (stack.row("select count(*) as n from patchbay.calls where not rehearsal and ended_at is not null "
                                "and offered_at > now() - interval '10 s'")["n"]), 30, "a call is over")
        assert made() == [("livekit", False)] * 2 + [("retell", True)] * 2
        assert stack.stack_states() == {"livekit": "down", "retell": "up"}
    finally:
        router.stop()
        router.env = before
        router.start()


# ---------------------------------------------------------------------- a month of it


def test_the_month_is_counted_by_the_hour_and_shown(stack, carrier):
    stack.sql("delete from patchbay.stack_hours")
    stack.sql("insert into patchbay.stack_hours (hour, stack, attempts, failed) values "
              "(date_trunc('hour', now()) - interval '5 days', 'livekit', 9990, 5), "
              "(date_trunc('hour', now()) - interval '29 days', 'livekit', 10, 0), "
              "(date_trunc('hour', now()) - interval '40 days', 'livekit', 10, 10)")
    # What calls are by their rows and events: served, failed over, kept away, given up, rehearsed.
    user = LEO.id
    for n, (stack_name, answered, outcome, owner, rehearsal, event) in enumerate([
            ("retell", True, "answered", "caller", False, None), ("livekit", True, "answered", "caller", False, "failed_over"),
            ("livekit", True, "answered", "caller", False, "retell_down"), ("retell", False, "failed", "caller", False, None),
            ("retell", False, "failed", "provider", False, None), ("retell", False, "failed", "provider", True, None)]):
        call = uuid7()
        stack.sql("insert into patchbay.calls (id, user_id, stack, state, answered_at, ended_at, outcome, ended_owner, rehearsal, "
                  "offered_at) values (%s, %s, %s, 'ended', case when %s then now() end, now(), %s, %s, %s, now())",
                  call, user, stack_name, answered, outcome, owner, rehearsal)
        data = {"failed_over": {"from": "retell", "to": "livekit"}, "retell_down": {"reasons": ["retell_down", "fallback"]}}
        if event:
            kind = "failed_over" if event == "failed_over" else "routed"
            stack.sql("insert into patchbay.call_events (id, call_id, user_id, type, subject, occurred_at, data) values "
                      "(%s, %s, %s, %s, 's', now(), %s)", uuid7(), call, user, f"pat.call.v1.{kind}", json.dumps(data[event]))
    before = stack.row("select coalesce(sum(attempts), 0) as n from patchbay.stack_hours where stack = 'retell'")["n"]
    stack.sql("select patchbay.count_stack_hours()")
    stack.sql("select patchbay.count_stack_hours()")  # twice is once
    rows = {r[0]: r[1:] for r in stack.sql("select stack::text, sum(attempts), sum(failed) from patchbay.stack_hours "
                                           "where hour > now() - interval '30 days' group by 1")}
    assert before == 0
    others = stack.sql("select count(*) from patchbay.calls where not rehearsal and offered_at > now() - interval '3 hours' "
                       "and user_id <> %s and answered_at is not null", user)[0][0]
    # One answered, one went on to LiveKit, one was kept away, one ended unanswered; who gave up and rehearsals do not count.
    assert rows["retell"] == (4 + others, 3)
    month = stack.sql("select patchbay.stack_availability(99900)")[0][0]["livekit"]
    assert month["attempts"] >= 10002 and month["failed"] >= 5 and month["goal"] == 0.999
    assert month["budget_left"] == pytest.approx(1 - month["failed"] / month["attempts"] / 0.001, abs=0.0002)
    assert not stack.sql("select 1 from patchbay.stack_hours where hour < now() - interval '31 days'")


def test_the_api_says_how_the_stacks_are(stack, carrier):
    lose(carrier, 2)
    token = jwt.encode({"sub": str(LEO.id), "role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + 600},
                       stack.jwt_secret, "HS256")

    def answer():
        return http_json("GET", f"{stack.daemons['stack-switcher'].url}/v1/health/stacks", headers={
            "Authorization": f"Bearer {token}"})["stacks"]

    livekit = wait(lambda: (s := answer()["livekit"])["state"] == "down" and s, 30, "the routers have said it")
    assert livekit["reasons"] and livekit["changed_at"] and livekit["month"]["days"] == 30
    metrics = wait(lambda: (m := stack.daemons["stack-switcher"].metrics()).count("pat_stack_availability_ratio{") == 2 and m, 30, "")
    assert 'pat_stack_error_budget_left_ratio{stack="livekit"}' in metrics
