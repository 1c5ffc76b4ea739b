"""What catches a call whose stack cannot serve it, and a leg that dies: every rung of the ladder, both forms, both ways.

The carrier and Retell are the doubles; LiveKit is a SIP host of this file's, and so is its agent's side: it puts the marks
into KV that docs/rpc.md names. The times a caller waits are printed, not judged.
"""

import asyncio
import json
import os
import threading
import urllib.parse
import uuid
import xml.etree.ElementTree as tree

import pytest

from harness import events
from harness.carrier import Carrier, Phone, sign_form
from harness.process import http_status
from harness.sip_leg import wait
from harness.stack import LEO, LIVEKIT_SIP_HOST, RETELL_SIP_HOST, RITA, Daemon, Stack, http_json
from harness.watch import Watch
from test_retell_provider import rpc_to

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
OWNER = "+15550142777"  # the number of the rung "forward"
# One caller is forwarded more often here than any person.
NO_AGENT = {"PAT_ROUTER_NO_AGENT_MS": "1s", "PAT_ROUTER_DIAL_TIMEOUT_S": "5", "PAT_ROUTER_FORWARDS_PER_CALLER": "0"}


@pytest.fixture(scope="module")
def stack():
    with Stack(BUILD, with_livekit=False, daemons={"router": NO_AGENT}) as s:
        both_stacks(s)
        yield s
        assert all(d.process.alive() for d in s.daemons.values())


@pytest.fixture(scope="module")
def second(stack):
    """Another router on the same NATS and Postgres; the carrier's callbacks go to the first."""
    first = stack.daemons["router"]
    d = Daemon(stack, "router", first.env | {"PAT_ROUTER_SNAPSHOT_FILE": "", "PAT_ROUTER_SPOOL_FILE": ""},
               "PAT_ROUTER_LISTEN", replica="router-2")
    yield d.start()
    d.stop()


def both_stacks(s) -> None:
    agent = s.sql("select retell_agent_id from public.agent_configs where user_id = %s", RITA.id)[0][0]
    s.sql("update public.agent_configs set stack_config = '{\"livekit\": {}}' where user_id = %s", RITA.id)
    s.sql("update public.agent_configs set retell_agent_id = %s where user_id = %s", agent, LEO.id)
    for user in (RITA, LEO):
        wait_ladder(s, user)


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w
        for e in w.events:
            events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])


def put(watch, key: str, value: dict) -> None:
    async def write():
        js = watch.connection.jetstream()
        await (await js.key_value("pat_calls")).put(key, json.dumps(value).encode())

    asyncio.run_coroutine_threadsafe(write(), watch.loop).result(10)


class Agents:
    """Prepare what they are told to, and serve it, when they are there."""

    def __init__(self, watch):
        self.watch, self.serve, self.prepared = watch, True, []
        self.name, self.beating = "a", None

    async def prepare(self, m):
        call = json.loads(m.data)["call_id"]
        self.prepared.append(call)
        if self.serve:
            js = self.watch.connection.jetstream()
            epoch = self.prepared.count(call)
            await (await js.key_value("pat_calls")).put(f"{call}.served", json.dumps(
                {"agent": self.name, "epoch": epoch, "room": f"call_{call}"}).encode())
        await m.respond(b'{"result": {"room": "r"}}')

    def live(self, name: str) -> None:
        """It beats from now on, until die()."""
        async def beat():
            js = self.watch.connection.jetstream()
            kv = await js.create_key_value(bucket="pat_agents", ttl=60, storage="memory")
            while True:
                await kv.put(name, b'{"calls":0,"free":10,"draining":false}')
                await asyncio.sleep(0.4)
        self.name, self.beating = name, asyncio.run_coroutine_threadsafe(beat(), self.watch.loop)

    def die(self) -> None:
        self.beating.cancel()
        self.name = "a"  # of whom no router has ever heard


@pytest.fixture(scope="module")
def team(stack, watch):
    a = Agents(watch)
    asyncio.run_coroutine_threadsafe(watch.connection.subscribe("pat.rpc.v1.agent.prepare", cb=a.prepare), watch.loop).result(10)
    return a


@pytest.fixture(autouse=True)
def quiet(stack, team):
    """What a test does is not the next one's trouble."""
    router = stack.daemons["router"]
    wait(lambda: http_status(f"{router.admin_url}/readyz") == 200, 30, "the router is ready")
    yield
    team.serve = True
    stack.control("retell", call_ms=1500, sip_status=200)
    stack.control("signalwire", phones={}, swml=False, fail=None)
    for call in stack_calls(stack):
        if call["state"] != "ended":
            stack.hang_up(call["sid"])
    if set(stack.stack_states().values()) != {"up"}:
        forgotten(stack)


def forgotten(stack) -> None:
    try:
        stack.forget_health()
    except Exception:  # no bucket is there after a restart of NATS until a router writes one: the last test's trouble
        pass


def stack_calls(stack) -> list[dict]:
    return http_json("GET", stack.double("signalwire") + "/calls")["calls"]


@pytest.fixture
def room(stack):
    """LiveKit's SIP host."""
    with Phone() as phone:
        hosts = {RETELL_SIP_HOST: stack.double("retell")}
        stack.control("signalwire", sip_hosts=hosts | {LIVEKIT_SIP_HOST: phone.base})
        yield phone
    stack.control("signalwire", sip_hosts=hosts)


@pytest.fixture
def long_calls(stack):
    stack.control("retell", call_ms=60000)


@pytest.fixture(params=["cxml", "swml"])
def form(request, stack):
    stack.control("signalwire", swml=request.param == "swml")
    return request.param


@pytest.fixture
def forward(stack):
    """Leo wants his own phone rung when nothing else serves."""
    stack.sql("insert into patchbay.user_policies (user_id, fallback, fallback_number) values (%s, %s, %s) "
              "on conflict (user_id) do update set fallback = excluded.fallback, fallback_number = excluded.fallback_number",
              LEO.id, ["forward", "other_stack"], OWNER)
    wait_ladder(stack, LEO)
    yield
    stack.sql("delete from patchbay.user_policies where user_id = %s", LEO.id)
    wait_ladder(stack, LEO)


def wait_ladder(stack, user) -> None:
    """The router has read what was written: its version of the user's route is Postgres'."""
    version = stack.sql("select max(version) from patchbay.routes where user_id = %s", user.id)[0][0]

    def known():
        r = Carrier(stack.daemons["router"].url, stack.signing_key).voice(user.number)
        call = r.dial().call if r.verbs() == ["Dial"] else None
        row = call and wait(lambda: stack.row("select config_version from patchbay.calls where id = %s", call), 20, "its row")
        return row and row["config_version"] >= version
    wait(known, 30, "the router knows the user's ladder")


def call_of(stack, sid: str) -> str:
    return str(stack.wait_row(sid)["id"])


def steps(watch, call: str) -> list[tuple]:
    return [(e["data"]["from"], e["data"]["to"], e["data"]["action"], e["data"]["reason"])
            for e in watch.of("call.failed_over", call)]


def wait_steps(watch, call: str, expected: list[tuple]) -> None:
    wait(lambda: steps(watch, call) == expected, 30, f"the steps are {expected}")


def waited(stack, sid: str, since: str, name: str) -> None:
    """From what is known to be over until the caller speaks again."""
    story = stack.look(sid)["story"]
    over = [e["at_ms"] for e in story if e["what"] == since][-1]
    spoke = [e["at_ms"] for e in story if e["what"] == "bridged"][-1]
    print(f"{name}: {spoke - over} ms")


# ---------------------------------------------------------------------- while it still rings


@pytest.mark.parametrize("status,why", [(503, "failed"), (404, "not_found"), (486, "busy"), (480, "no_answer")])
def test_livekit_does_not_answer_and_retell_does(stack, watch, room, form, long_calls, status, why):
    room.status = status
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    stack.wait_story(sid, "bridged")
    reason = why if form == "cxml" else {503: "failed", 404: "failed", 486: "busy", 480: "no_answer"}[status]
    wait_steps(watch, call, [("livekit", "retell", "stack", reason)])
    data = watch.wait_for("call.failed_over", call)["data"]
    assert data.get("sip_code") == (status if form == "cxml" else None) and data["redial"] is False
    waited(stack, sid, "leg_ended", f"LiveKit refused with {status}, {form}")


def test_retell_does_not_answer_and_livekit_does(stack, watch, room, form):
    stack.control("retell", sip_status=503)
    sid = stack.place_call(RITA.number)
    call = call_of(stack, sid)
    stack.wait_story(sid, "bridged")
    wait_steps(watch, call, [("retell", "livekit", "stack", "failed")])
    assert room.invites[0]["uri"].startswith(f"sip:{call}@")


def test_no_stack_answers_and_a_message_is_taken(stack, watch, room, form):
    room.status = 503
    stack.control("retell", sip_status=503)
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    stack.wait_story(sid, "recorded")
    wait_steps(watch, call, [("livekit", "retell", "stack", "failed"), ("retell", "none", "voicemail", "failed")])
    assert watch.wait_for("call.ended", call)["data"]["reason"] == "voicemail"


# ---------------------------------------------------------------------- no message comes of it


@pytest.fixture
def last_number(stack):
    """Leo's phone is rung behind the message service."""
    stack.sql("insert into patchbay.user_policies (user_id, fallback_number) values (%s, %s)", LEO.id, OWNER)
    wait_ladder(stack, LEO)
    stack.control("signalwire", phones={OWNER: {"status": 200}})
    yield
    stack.control("signalwire", phones={})
    stack.sql("delete from patchbay.user_policies where user_id = %s", LEO.id)
    wait_ladder(stack, LEO)


@pytest.fixture(params=["empty", "skipped"])
def no_message(request, stack, room):
    """Nobody serves, and the carrier records nothing: one asks the action all the same, one plays the next verb."""
    room.status = 503
    stack.control("retell", sip_status=503)
    stack.control("signalwire", records=request.param)
    yield
    stack.control("signalwire", records="")


def test_a_message_that_cannot_be_recorded_is_not_the_end(stack, watch, last_number, no_message, form):
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    wait(lambda: stack.story(sid, "bridged"), 30, "his own phone is rung")
    assert [e["uri"] for e in stack.story(sid, "dial")][-1] == OWNER and len(stack.story(sid, "not_recorded")) == 1
    wait_steps(watch, call, [("livekit", "retell", "stack", "failed"), ("retell", "none", "voicemail", "failed"),
                             ("none", "none", "forward", "not_recorded")])
    assert not watch.of("call.ended", call) and not watch.of("call.voicemail", call)


def test_without_a_message_somebody_says_sorry(stack, watch, no_message, form):
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    wait(lambda: any("We are sorry" in e["text"] for e in stack.story(sid, "say")), 30, "it is said")
    wait(lambda: steps(watch, call)[-1:] == [("none", "none", "say", "not_recorded")], 20, "the last step is told")
    assert watch.wait_for("call.ended", call)["data"]["reason"] == "not_served"


def test_who_hangs_up_instead_of_speaking_has_left_no_message(stack, watch, carrier, room):
    r = carrier.post("/v1/signalwire/fallback", form := carrier.form(LEO.number, ErrorCode="12100", ErrorUrl="http://elsewhere"))
    record = r.record()
    after = carrier.post(record["action"], form | {"CallStatus": "completed", "RecordingUrl": "", "RecordingDuration": "0"})
    assert after.verbs() == ["Hangup"]
    call = urllib.parse.urlsplit(record["action"]).path.rpartition("/")[2]
    assert watch.wait_for("call.ended", call)["data"]["reason"] == "no_message"


def test_an_agent_that_had_to_give_up_leaves_its_caller_to_the_ladder(stack, watch, room, form, long_calls):
    """Nobody was left to hear, think or speak, and the carrier's API did not take the caller to the message service."""
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    stack.wait_story(sid, "bridged")
    put(watch, f"{call}.end", {"reason": "providers_failed", "epoch": 1})
    room.hang_up("d1")
    wait(lambda: len(stack.story(sid, "bridged")) == 2, 30, "the other stack has the caller")
    wait_steps(watch, call, [("livekit", "retell", "stack", "gave_up")])
    assert not watch.of("call.ended", call)


def test_the_users_own_order_his_phone_then_the_other_stack(stack, watch, room, forward, long_calls):
    room.status = 503
    stack.control("signalwire", phones={OWNER: {"status": 486}})
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    stack.wait_story(sid, "bridged")
    wait_steps(watch, call, [("livekit", "none", "forward", "failed"), ("none", "retell", "stack", "busy")])


def test_at_the_end_of_every_ladder_somebody_says_sorry(stack, watch, room, forward):
    room.status = 503
    stack.control("retell", sip_status=503)
    sid = stack.place_call(LEO.number)  # nobody has the owner's number
    call = call_of(stack, sid)
    said = stack.wait_story(sid, "say")
    assert said["text"].startswith("We are sorry")
    wait(lambda: [s[2] for s in steps(watch, call)] == ["forward", "stack", "say"], 20, "each step is told")
    assert watch.wait_for("call.ended", call)["data"]["reason"] == "not_served"


def test_a_stack_that_is_down_is_not_dialled(stack, watch, room, long_calls):
    """As health says, before anything rings."""
    room.status = 503
    for _ in range(12):
        sid = stack.place_call(LEO.number)
        stack.wait_story(sid, "bridged")
        call = call_of(stack, sid)
        if stack.stack_states().get("livekit") == "down":
            break
    dialled = len(room.invites)
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    stack.wait_story(sid, "bridged")
    routed = watch.wait_for("call.routed", call)["data"]
    assert (routed["stack"], routed["is_fallback"], routed["reasons"]) == ("retell", True, ["livekit_down", "fallback"])
    assert len(room.invites) == dialled and not steps(watch, call)


# ---------------------------------------------------------------------- nobody behind the answer


def test_no_agent_comes_and_the_caller_is_taken_to_the_other_stack(stack, watch, team, room, form, second, long_calls):
    """Two routers look; one redirects."""
    team.serve = False
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    wait(lambda: len(stack.story(sid, "bridged")) == 2, 30, "the caller is in conversation")
    wait_steps(watch, call, [("livekit", "retell", "stack", "no_agent")])
    assert len(stack.story(sid, "redirected")) == 1
    wait(lambda: stack.daemons["router"].logged("call.leg_moved", call=call) or form == "swml", 20, "no failure of the leg's")
    assert not watch.of("call.ended", call)
    waited(stack, sid, "redirected", f"no agent in the room, {form}")


def test_an_agent_in_the_room_keeps_its_caller(stack, watch, team, room):
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    stack.wait_story(sid, "bridged")
    other = stack.place_call(LEO.number)
    stack.wait_story(other, "bridged")
    wait(lambda: {call, call_of(stack, other)} <= set(team.prepared), 20, "both have an agent")
    team.serve = False
    third = stack.place_call(LEO.number)
    wait(lambda: stack.story(third, "redirected"), 30, "one without an agent, placed later, has been given up")
    assert not stack.story(sid, "redirected") and not stack.story(other, "redirected") and not steps(watch, call)


def test_killed_between_the_failure_and_the_redirect(stack, watch, team, room, second, long_calls):
    """The router that watched is gone; another one, or itself when it is back, finds the caller."""
    team.serve = False
    router = stack.daemons["router"]
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    stack.wait_story(sid, "bridged")
    router.kill()
    router.start()
    wait(lambda: len(stack.story(sid, "bridged")) == 2, 60, "the caller is in conversation")
    wait_steps(watch, call, [("livekit", "retell", "stack", "no_agent")])
    assert len(stack.story(sid, "redirected")) == 1


def test_all_agents_die_in_mid_call_and_the_caller_is_fetched_back(stack, watch, team, room, form, second, long_calls):
    """LiveKit keeps the leg up, and nobody is in the room: two routers notice, one redirects."""
    team.live(f"mortal-{form}")
    try:
        sid = stack.place_call(LEO.number)
        call = call_of(stack, sid)
        stack.wait_story(sid, "bridged")
        wait(lambda: call in team.prepared, 20, "it is served")
        stack.sql("select patchbay.put_call(%s)", json.dumps({"id": call, "state": "answered"}))
    finally:
        team.die()
    wait(lambda: len(stack.story(sid, "bridged")) == 2, 60, "the caller is in conversation")
    wait_steps(watch, call, [("livekit", "retell", "stack", "agents_lost")])
    assert len(stack.story(sid, "redirected")) == 1 and not watch.of("call.ended", call)
    waited(stack, sid, "redirected", f"all agents dead, {form}")


# ---------------------------------------------------------------------- a leg dies


def test_a_leg_that_dies_is_dialled_again_into_the_same_room(stack, watch, room, form):
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    wait(lambda: len(room.invites) == 1, 30, "the room is dialled")
    stack.wait_story(sid, "bridged")
    room.hang_up("d1")  # and no agent has said that it meant to
    wait(lambda: len(room.invites) == 2 and len(stack.story(sid, "bridged")) == 2, 30, "the room is dialled again")
    assert room.invites[1]["uri"].partition("@")[0] == f"sip:{call}"
    assert room.invites[1]["headers"]["X-Pat-Returned"] == "redial"
    wait_steps(watch, call, [("livekit", "livekit", "stack", "leg_lost")])
    assert watch.of("call.failed_over", call)[0]["data"]["redial"] is True
    assert not watch.of("call.ended", call)
    waited(stack, sid, "leg_ended", f"a leg that died, LiveKit, {form}")


def test_what_dies_again_and_again_goes_down_the_ladder(stack, watch, room, long_calls):
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    for n in range(1, 4):
        wait(lambda n=n: len(room.invites) == n and len(stack.story(sid, "bridged")) == n, 30, f"dial {n}")
        forgotten(stack)  # so many legs have failed before that LiveKit would be given up
        room.hang_up(f"d{n}")
    wait_steps(watch, call, [("livekit", "livekit", "stack", "leg_lost")] * 2 + [("livekit", "retell", "stack", "leg_lost")])
    wait(lambda: len(stack.story(sid, "bridged")) == 4, 30, "Retell has the caller")


def test_an_agent_that_says_goodbye_ends_the_call(stack, watch, room, form):
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    stack.wait_story(sid, "bridged")
    put(watch, f"{call}.end", {"reason": "agent_hangup", "epoch": 1})
    room.hang_up("d1")
    stack.wait_story(sid, "ended")
    assert watch.wait_for("call.ended", call)["data"]["reason"] == "agent_hangup"
    assert len(room.invites) == 1 and not steps(watch, call)


@pytest.mark.parametrize("how", ["error_llm_websocket_lost", "vanish"])
def test_what_breaks_at_retell_is_registered_anew_under_the_same_call(stack, watch, form, long_calls, how):
    sid = stack.place_call(RITA.number)
    call = call_of(stack, sid)
    stack.wait_story(sid, "bridged")
    stack.control("retell", break_calls=how)
    wait(lambda: len(stack.story(sid, "bridged")) == 2, 30, "Retell is dialled again")
    uris = [e["uri"] for e in stack.story(sid, "dial")]
    assert len(set(uris)) == 2 and all(RETELL_SIP_HOST in u for u in uris)
    wait_steps(watch, call, [("retell", "retell", "stack", "leg_lost")])
    assert not watch.of("call.ended", call)
    waited(stack, sid, "leg_ended", f"a leg that died, Retell ({how}), {form}")


def test_retells_agent_that_hangs_up_ends_the_call(stack, watch, form):
    sid = stack.place_call(RITA.number)
    call = call_of(stack, sid)
    stack.wait_story(sid, "ended")
    assert watch.wait_for("call.ended", call) and not steps(watch, call)
    assert len(stack.story(sid, "dial")) == 1


# ---------------------------------------------------------------------- what was said before


def say(stack, call: str, user, *turns: tuple[str, str]) -> None:
    """As an agent tells it."""
    for role, text in turns:
        data = json.dumps({"call_id": call, "heard" if role == "agent" else "text": text})
        stack.sql("insert into patchbay.call_events (id, call_id, user_id, type, subject, occurred_at, data) "
                  "values (gen_random_uuid(), %s, %s, %s, %s, clock_timestamp(), %s)", call, user.id, f"pat.turn.v1.{role}",
                  f"pat.turn.v1.{role}.{user.id}.{call}", data)


def registered(stack, call: str) -> list[dict]:
    return [e["request"] for e in stack.double_log("retell", "registered") if e["request"]["metadata"]["call_id"] == call]


def test_the_other_stack_knows_what_was_said(stack, watch, room, long_calls):
    """LiveKit's agent is gone with all it knew: Retell's is told from what is stored."""
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    stack.wait_story(sid, "bridged")
    say(stack, call, LEO, ("agent", "Hello, how can I help?"), ("user", "It is about the garden fence."))
    put(watch, f"{call}.end", {"reason": "providers_failed", "epoch": 1})
    room.hang_up("d1")
    wait(lambda: len(stack.story(sid, "bridged")) == 2, 30, "Retell has the caller")
    body, = registered(stack, call)
    told = body["retell_llm_dynamic_variables"]["said_before"]
    assert told.endswith("You: Hello, how can I help?\nCaller: It is about the garden fence.")
    assert "cut off" in body["agent_override"]["retell_llm"]["begin_message"]


def test_a_leg_at_retell_that_died_is_told_what_it_had_heard(stack, watch, long_calls):
    sid = stack.place_call(RITA.number)
    call = call_of(stack, sid)
    stack.wait_story(sid, "bridged")
    say(stack, call, RITA, ("user", "My name is Mallory."))
    stack.control("retell", break_calls="error_llm_websocket_lost")
    wait(lambda: len(stack.story(sid, "bridged")) == 2, 30, "Retell is dialled again")
    first, second = registered(stack, call)
    assert first["retell_llm_dynamic_variables"]["said_before"] == "" and "agent_override" not in first
    assert "Caller: My name is Mallory." in second["retell_llm_dynamic_variables"]["said_before"]


def test_a_call_that_had_not_begun_is_greeted(stack, watch, room, long_calls):
    room.status = 503
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    stack.wait_story(sid, "bridged")
    body, = registered(stack, call)
    assert body["retell_llm_dynamic_variables"]["said_before"] == "" and "agent_override" not in body


# ---------------------------------------------------------------------- the same request twice


@pytest.fixture
def carrier(stack, team):
    return Carrier(stack.daemons["router"].url, stack.signing_key)


@pytest.mark.parametrize("user", [LEO, RITA], ids=["livekit", "retell"])
def test_a_new_call_that_is_asked_for_twice_is_one_call(stack, carrier, second, user):
    form = carrier.form(user.number)
    before = len(stack.double_log("retell", "registered"))
    first = carrier.post("/v1/signalwire/voice", form)
    again = carrier.post("/v1/signalwire/voice", form)
    assert again.text == first.text
    stack.wait_row(form["CallSid"])  # and what is behind the answer is done
    url = carrier.base + "/v1/signalwire/voice"  # what the carrier signs; whichever router gets it
    there = Carrier(second.url, stack.signing_key)
    other = there.send("POST", "/v1/signalwire/voice", **signed(there.key, url, form)).dial()
    assert other.call == first.dial().call and other.uri == first.dial().uri
    assert len(stack.double_log("retell", "registered")) - before == (user is RITA)


def test_a_dials_result_that_comes_twice_goes_on_once(stack, carrier, watch, second):
    form = carrier.form(LEO.number)
    d = carrier.post("/v1/signalwire/voice", form).dial()
    result = form | {"CallStatus": "in-progress", "DialCallStatus": "failed", "DialCallSid": form["CallSid"][::-1]}
    before = len(stack.double_log("retell", "registered"))
    first = carrier.post(d.action, result)
    again = carrier.post(d.action, result)
    # The carrier's word at another router: the address is signed for the first one's, so it is sent as its proxy would.
    there = Carrier(second.url, stack.signing_key)
    other = there.send("POST", second.url + d.action.removeprefix(carrier.base), **signed(there.key, d.action, result))
    assert first.text == again.text == other.text and first.dial().host == RETELL_SIP_HOST
    assert len(stack.double_log("retell", "registered")) == before + 1
    wait(lambda: len(steps(watch, d.call)) == 1, 20, "one step is told")


def signed(key: str, url: str, params: dict) -> dict:
    """A form for url, as Carrier.send takes it."""
    pairs = list(params.items())
    return {"body": urllib.parse.urlencode(pairs).encode(), "Content_Type": "application/x-www-form-urlencoded",
            "X_SignalWire_Signature": sign_form(key, url, pairs)}


def test_the_fallback_address_goes_on_with_a_call_under_way(stack, carrier, watch):
    form = carrier.form(LEO.number)
    d = carrier.post("/v1/signalwire/voice", form).dial()
    r = carrier.post("/v1/signalwire/fallback", form | {"ErrorCode": "11200", "ErrorUrl": d.action})
    assert r.dial().host == RETELL_SIP_HOST and r.dial().call == d.call
    assert wait(lambda: steps(watch, d.call), 20, "the step is told") == [("livekit", "retell", "stack", "router_failed")]


# ---------------------------------------------------------------------- a Dial's result that no router heard


@pytest.fixture(scope="module")
def spare(stack):
    """The router behind the fallback address, with an address of its own."""
    d = Daemon(stack, "router", {k: v for k, v in stack.daemons["router"].env.items() if not k.endswith("_FILE")},
               "PAT_ROUTER_LISTEN", replica="router-spare")
    d.env["PAT_ROUTER_PUBLIC_URL"] = d.url
    yield d.start()
    d.stop()


@pytest.fixture
def lonely(stack, spare):
    """The first router is away from when it is killed; what it cannot answer the spare one is asked."""
    router = stack.daemons["router"]
    stack.control("signalwire", fallback_url=f"{spare.url}/v1/signalwire/fallback")
    yield router
    stack.control("signalwire", fallback_url=f"{router.url}/v1/signalwire/fallback")
    if not router.process.alive():
        router.start()


def lose_result(stack, router, number: str, end) -> tuple[str, str]:
    """A call is answered, its router dies, and then end(call) ends the leg. (the carrier's id, ours)"""
    sid = stack.place_call(number)
    call = call_of(stack, sid)
    stack.wait_story(sid, "bridged")
    router.kill()
    end(call)
    stack.wait_story(sid, "error")
    return sid, call


def test_an_end_in_order_whose_router_is_dead_is_an_end_in_order(stack, watch, room, lonely):
    def goodbye(call):
        put(watch, f"{call}.end", {"reason": "agent_hangup", "epoch": 1})
        room.hang_up("d1")

    sid, call = lose_result(stack, lonely, LEO.number, goodbye)
    assert watch.wait_for("call.ended", call)["data"]["reason"] == "agent_hangup"
    stack.wait_story(sid, "ended")
    row = wait(lambda: stack.row("select * from patchbay.calls where id = %s and state = 'ended'", call), 20, "its row is ended")
    assert row["outcome"] == "answered" and not steps(watch, call) and len(room.invites) == 1


def test_retells_end_whose_router_is_dead_is_an_end_in_order(stack, watch, lonely, long_calls):
    sid, call = lose_result(stack, lonely, RITA.number, lambda _: stack.control("retell", break_calls="agent_hangup"))
    stack.wait_story(sid, "ended")
    assert watch.wait_for("call.ended", call)["data"]["owner"] != "provider" and not steps(watch, call)
    assert len(stack.story(sid, "dial")) == 1


def test_a_message_whose_router_died_is_a_message(stack, carrier, room):
    """The fallback address is asked in place of the Record's action, and asks the carrier what it has."""
    room.status = 503
    stack.control("retell", sip_status=503)
    stack.control("signalwire", mute="recording")
    sid = stack.place_call(LEO.number)
    stack.wait_story(sid, "recorded")
    stack.control("signalwire", mute="")
    action = tree.fromstring(stack.story(sid, "answer")[-1]["document"]).find("Record").attrib["action"]
    asked = carrier.form(LEO.number, CallSid=sid, CallStatus="in-progress", ErrorCode="11200", ErrorUrl=action)
    assert carrier.post("/v1/signalwire/fallback", asked).verbs() == ["Hangup"]


def test_a_message_the_carrier_has_not_got_is_none(stack, carrier):
    form = carrier.form(LEO.number, CallStatus="in-progress", ErrorCode="12100", ErrorUrl="http://elsewhere")
    action = carrier.post("/v1/signalwire/fallback", form).record()["action"]
    lost = carrier.post("/v1/signalwire/fallback", form | {"ErrorCode": "11200", "ErrorUrl": action})
    assert lost.verbs() == ["Say", "Hangup"] and "We are sorry" in lost.text


def test_a_leg_that_died_with_its_router_is_dialled_again(stack, watch, room, lonely):
    sid, call = lose_result(stack, lonely, LEO.number, lambda _: room.hang_up("d1"))
    wait(lambda: len(room.invites) == 2, 30, "the room is dialled again")
    assert room.invites[1]["headers"]["X-Pat-Returned"] == "redial"
    wait_steps(watch, call, [("livekit", "livekit", "stack", "leg_lost")])
    assert not watch.of("call.ended", call)


def test_a_leg_that_failed_with_its_router_is_told_as_what_it_was(stack, watch, room, lonely, long_calls):
    """Nobody was to blame the router for: the next rung knows the stack's own failure."""
    room.status, room.rings = 503, threading.Event()
    sid = stack.place_call(LEO.number)
    call = call_of(stack, sid)
    wait(lambda: room.invites, 30, "it rings")
    lonely.kill()
    room.rings.set()
    stack.wait_story(sid, "bridged", 30)
    wait_steps(watch, call, [("livekit", "retell", "stack", "failed")])
    assert watch.of("call.failed_over", call)[0]["data"]["sip_code"] == 503


# ---------------------------------------------------------------------- a transfer's result that no router heard


SALES = "+15550142888"


@pytest.fixture
def transferring(stack, watch, lonely, spare, long_calls):
    """transferring(mode, **phone): a caller of Rita's whom the first router is moving to SALES; the spare one does not know."""
    def begin(mode: str, **phone) -> tuple[str, str]:
        stack.control("signalwire", phones={SALES: phone})
        sid = stack.place_call(RITA.number)
        stack.wait_story(sid, "bridged")
        call = call_of(stack, sid)
        spare.stop()  # the first router is asked, and its address is in what the carrier gets
        try:
            asked = {"call_id": call, "user_id": str(RITA.id), "epoch": 1, "transfer_id": str(uuid.uuid4()), "mode": mode, "to": SALES,
                     "label": "sales", "timeout_s": 20, "briefing": "A caller."}
            assert "result" in rpc_to(stack, "pat.rpc.v1.router.transfer", asked, patience_ms=5000, timeout_s=10)
            wait(lambda: phones_of(stack, SALES), 30, "the other phone rings")
        finally:
            spare.start()
        return sid, call

    return begin


def phones_of(stack, number: str) -> list[dict]:
    return [c for c in stack_calls(stack) if c["to"] == number and c["state"] != "ended"]


def outcomes(watch, call: str) -> list[str]:
    return [e["data"]["outcome"] for e in watch.of("call.transfer", call)]


def test_a_transfer_that_ended_in_order_whose_router_is_dead_is_the_end(stack, watch, lonely, transferring):
    sid, call = transferring("cold", status=200)
    wait(lambda: "bridged" in outcomes(watch, call), 30, "they speak")
    lonely.kill()
    stack.hang_up(phones_of(stack, SALES)[0]["sid"])
    stack.wait_story(sid, "ended")
    row = wait(lambda: stack.row("select * from patchbay.calls where id = %s and state = 'ended'", call), 30, "its row is ended")
    assert (row["outcome"], row["ended_reason"]) == ("transferred", "transferred")
    assert len(stack.story(sid, "dial")) == 2 and not steps(watch, call), "nobody rang the caller's agent up again"


def test_a_transfer_nobody_took_whose_router_is_dead_goes_back_to_the_agent(stack, watch, lonely, transferring):
    sid, call = transferring("cold", status=486, after_ms=6000)
    lonely.kill()
    wait(lambda: len(stack.story(sid, "dial")) == 3, 30, "the agent is dialled")
    wait(lambda: outcomes(watch, call)[-1:] == ["returned"], 30, "he is back")
    assert [o for o in outcomes(watch, call) if o != "ringing"] == ["started", "busy", "returned"]
    assert not steps(watch, call) and not watch.of("call.ended", call)


def test_a_whispered_transfer_nobody_accepted_whose_router_is_dead_goes_back(stack, watch, lonely, transferring):
    """The carrier says that the leg was answered and ended; that nobody has pressed a key is in our mark."""
    sid, call = transferring("warm", status=200, presses="")
    wait(lambda: "answered" in outcomes(watch, call), 30, "somebody hears the briefing")
    lonely.kill()
    for phone in phones_of(stack, SALES):
        stack.hang_up(phone["sid"])
    wait(lambda: len(stack.story(sid, "dial")) == 3, 30, "the agent is dialled")
    wait(lambda: "returned" in outcomes(watch, call), 30, "he is back")
    assert "refused" in outcomes(watch, call) and "bridged" not in outcomes(watch, call) and not watch.of("call.ended", call)


# ---------------------------------------------------------------------- without NATS


def test_without_nats_every_rung_is_there(stack, room, long_calls):
    room.status = 503
    stack.nats.stop()
    try:
        sid = stack.place_call(LEO.number)
        stack.wait_story(sid, "bridged", 30)
        assert [RETELL_SIP_HOST in e["uri"] for e in stack.story(sid, "dial")] == [False, True]
        stack.control("retell", sip_status=503)
        sid = stack.place_call(LEO.number)
        stack.wait_story(sid, "recorded", 30)
    finally:
        stack.nats.start()
    router = stack.daemons["router"]
    wait(lambda: http_status(f"{router.admin_url}/readyz") == 200, 30, "the router has NATS again")
