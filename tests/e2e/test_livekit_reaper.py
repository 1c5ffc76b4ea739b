"""What was left behind at LiveKit: rooms, legs and callers nobody remembers; and what only looks like it.

The agent looks every half second here and waits two seconds, instead of 30 and 60.
"""

import asyncio
import hashlib
import json
import os
import time
import uuid
from pathlib import Path

import nats
import pytest
from harness.rough import SETTINGS, RoughStack, new_call
from livekit import api, rtc

from harness.sip_leg import wait
from harness.stack import LEO, ROOT


@pytest.fixture(scope="module")
def stack():
    with RoughStack(Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev")), PAT_AGENT_REAP_MS="500ms",
                    PAT_AGENT_REAP_GRACE_MS="2s", PAT_AGENT_MAX_CALLS="1") as s:
        wait(lambda: s.agent.logged("agent.lease_held"), 30, "the agent is one of the team")
        yield s
        ended_badly = [d.name for d in s.daemons.values() if not d.process.alive()]
        assert not ended_badly, "\n".join(s.daemons[n].process.tail() for n in ended_badly)


@pytest.fixture(autouse=True)
def afterwards(stack):
    yield
    for leg in list(stack.gate.legs.values()):
        if leg.reason is None:
            leg.hang_up()
    wait(stack.idle, 40, "the agent has let its calls go")


def livekit(stack, ask):
    async def go():
        async with api.LiveKitAPI(stack.livekit.http_url, stack.livekit.key, stack.livekit.secret) as lk:
            return await ask(lk)
    return asyncio.run(go())


def make_room(stack, name: str) -> str:
    """With no dispatch; LiveKit itself would keep it for ten minutes."""
    livekit(stack, lambda lk: lk.room.create_room(api.CreateRoomRequest(name=name, empty_timeout=600, departure_timeout=600)))
    return name


def rooms(stack) -> set[str]:
    return {r.name for r in livekit(stack, lambda lk: lk.room.list_rooms(api.ListRoomsRequest())).rooms}


class Somebody:
    """In a room, through LiveKit's SDK, until they are put out."""

    def __init__(self, stack, room: str, identity: str, kind: str, **attributes: str):
        self.loop, self.room, self.out = stack.gate.loop, None, []
        token = (api.AccessToken(stack.livekit.key, stack.livekit.secret).with_identity(identity).with_kind(kind)
                 .with_attributes({k.replace("__", "."): v for k, v in attributes.items()})
                 .with_grants(api.VideoGrants(room_join=True, room=room, agent=kind == "agent")).to_jwt())
        self.call(self._join(stack.livekit.url, token))

    async def _join(self, url, token):
        self.room = rtc.Room(loop=self.loop)
        self.room.on("disconnected", lambda *why: self.out.append(why))
        await self.room.connect(url, token)

    def call(self, what):
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(20)

    def leave(self):
        self.call(self.room.disconnect())


def reaped(stack, call: str, what: str) -> list[dict]:
    return stack.agent.logged("agent.reaped", call=call, what=what)


def test_rooms_nobody_needs_are_deleted_and_no_others(stack):
    empty, with_agent, foreign, waiting, served = (new_call() for _ in range(5))
    assert "result" in stack.prepare(served)
    others = [make_room(stack, name) for name in ("meeting", "call_center", f"call_{uuid.uuid4()}_x", f"xcall_{new_call()}")]
    for call in (empty, with_agent, foreign):
        make_room(stack, f"call_{call}")
    people = [Somebody(stack, f"call_{with_agent}", f"agent-{with_agent}-1", "agent"),
              Somebody(stack, f"call_{foreign}", f"agent-{foreign}-1", "agent", lk__agent_name="somebody-elses"),
              Somebody(stack, "meeting", "alone", "agent")]
    wait(lambda: not {f"call_{empty}", f"call_{with_agent}"} & rooms(stack), 40, "both are deleted")
    # And once more, so that everything else has been looked at for as long.
    make_room(stack, f"call_{waiting}")
    wait(lambda: f"call_{waiting}" not in rooms(stack), 40, "the third is deleted")
    assert {*others, f"call_{foreign}", f"call_{served}"} <= rooms(stack)
    assert people[0].out and not people[1].out and not people[2].out
    assert {e["call"] for e in stack.agent.logged("agent.reaped")} == {empty, with_agent, waiting}
    assert 'pat_agent_reaped_total{what="room"} 3' in stack.agent.metrics()
    for somebody in people[1:]:
        somebody.leave()
    leg = stack.invite(served)
    leg.wait_active()
    leg.wait_speech(leg.active_at)


def leave(stack, values: dict[str, dict]) -> None:
    """In the bucket, as an agent that is gone would have."""
    async def put():
        nc = await nats.connect(stack.nats.url)
        bucket = await nc.jetstream().key_value("pat_calls")
        for key, value in values.items():
            await bucket.put(key, json.dumps(value).encode())
        await nc.close()
    asyncio.run(put())


def told_id(call: str, what: str) -> str:
    """The id of what is told once of a call."""
    b = bytearray(uuid.UUID(call).bytes[:6] + hashlib.sha256(f"{call}|{what}".encode()).digest()[:10])
    b[6], b[8] = b[6] & 0x0F | 0x70, b[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(b)))


def test_a_caller_nobody_serves_is_served(stack):
    """No mark, no job: who prepared it is gone, and LiveKit had its room already."""
    call = new_call()
    params = {"call_id": call, "user_id": str(LEO.id), "agent_config_id": str(LEO.id), "config_version": 1,
              "from": "+15550109999", "to": LEO.number, "settings": SETTINGS}

    leave(stack, {call: params})
    make_room(stack, f"call_{call}")
    leg = stack.invite(call)
    leg.wait_active(40)
    leg.wait_speech(leg.active_at)
    leg.wait_quiet()
    assert len(reaped(stack, call, "offered")) == 1 and not reaped(stack, call, "given_up")


def test_a_caller_nobody_can_serve_is_given_back(stack):
    """Every agent is full: the leg fails, and the carrier asks the router what now."""
    busy, call = new_call(), new_call()
    assert "result" in stack.prepare(busy)
    leg = stack.invite(busy)
    leg.wait_active()
    make_room(stack, f"call_{call}")
    other = stack.invite(call)
    assert other.wait_end(40) == "callee_hangup"
    assert other.active_at is None
    assert len(reaped(stack, call, "offered")) == 1 and len(reaped(stack, call, "given_up")) == 1
    assert leg.reason is None


def test_what_a_call_had_used_that_nobody_could_take_is_told(stack, watch):
    """The third of its agents died before it had written anything; the mark names no room that one could go on in."""
    call = new_call()
    began = int(time.time() * 1000) - 60000
    leave(stack, {f"{call}.state.2": {
        "epoch": 2, "began_ms": began, "hears_ms": began + 1000, "at_ms": began + 31000, "sip": True, "state": "listening", "answered": True,
        "used": {"segment": 3, "user_id": str(LEO.id), "lines": [
            {"component": "llm_out", "account": "openai-2", "model": "gpt-4o-mini", "milli": 321000},
            {"component": "agent", "account": "livekit", "model": "", "milli": 30500}]}},
        f"{call}.served": {"agent": "", "to": "", "room": "", "epoch": 3, "deaths": 0, "over": False}})
    make_room(stack, f"call_{call}")
    # What an agent had told that was not as dead as it seemed stands.
    stack.sql("select patchbay.put_usage(%s)", json.dumps({
        "id": told_id(call, "usage|3|agent|livekit|"), "call_id": call, "user_id": str(LEO.id), "leg": "livekit", "segment": 3, "component": "agent",
        "provider": "livekit", "account": "livekit", "unit": "second", "quantity_milli": 31000}))
    caller = Somebody(stack, f"call_{call}", "sip_1", "sip", sip__callStatus="active")
    wait(lambda: reaped(stack, call, "given_up"), 40, "the call is given up")
    told = wait(lambda: len(e := [e["data"] for e in watch.of("usage.recorded", call)]) == 3 and e, 20, "what it had used is told")
    assert {(d["component"], d["account"], d["provider"], d["model"], d["segment"], d["quantity"]) for d in told} == {
        ("llm_out", "openai-2", "openai", "gpt-4o-mini", 3, 321), ("agent", "livekit", "livekit", None, 3, 30.5), ("sip", "livekit", "livekit", None, 3, 30)}
    rows = wait(lambda: len(r := stack.sql("select id::text, component, quantity_milli from patchbay.usage where call_id = %s", call)) == 3 and r, 20,
                "and stored")
    assert set(rows) == {(told_id(call, "usage|3|llm_out|openai-2|gpt-4o-mini"), "llm_out", 321000),
                         (told_id(call, "usage|3|agent|livekit|"), "agent", 31000), (told_id(call, "usage|3|sip|livekit|"), "sip", 30000)}
    caller.leave()


def test_the_leg_of_an_ended_call_is_removed(stack, watch):
    call, talk = new_call(), new_call()
    for c in (call, talk):
        make_room(stack, f"call_{c}")
        stack.sql("insert into patchbay.calls (id, user_id, state, ended_at) values (%s, %s, 'ended', now())", c, LEO.id)
    # Two who talk to each other are none of our business, whatever the record says.
    pair = [Somebody(stack, f"call_{talk}", f"sip_{n}", "sip", sip__callStatus="active") for n in (1, 2)]
    ghost = Somebody(stack, f"call_{call}", "sip_1", "sip", sip__callStatus="active")
    wait(lambda: ghost.out, 40, "it is put out")
    wait(lambda: f"call_{call}" not in rooms(stack), 40, "and its room deleted")
    told = {e["data"]["what"] for e in (watch.wait_for("call.reaped", call, n=2) and watch.of("call.reaped", call))}
    assert told == {"leg", "room"}
    assert not any(p.out for p in pair)
    for p in pair:
        p.leave()
