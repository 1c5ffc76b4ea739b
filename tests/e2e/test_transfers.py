"""A caller who is moved in the middle of a real call: to another phone, back to the agent, to voicemail, on both stacks.

LiveKit's calls have their real agent in a real room. What the agent's own tools will ask of the router, this file asks by
RPC, with the lease the agent holds.
"""

import asyncio
import json
import os
import time
import uuid
from contextlib import contextmanager

import pytest
from livekit import api, rtc

from harness import events
from harness.sip_leg import wait
from harness.stack import LEO, RITA, http_json

SALES = "+15550142000"


@pytest.fixture
def phone(stack):
    """Who answers the other phone, and how."""
    yield lambda **person: stack.control("signalwire", phones={SALES: person})
    stack.control("signalwire", phones={})


def uuid7() -> str:
    n = int(time.time() * 1000) << 80 | 7 << 76 | int.from_bytes(os.urandom(9), "big") & ((1 << 76) - 1)
    return str(uuid.UUID(int=n & ~(3 << 62) | 2 << 62))


def epoch(watch, call: str) -> int:
    """Of the lease, as whoever serves the call knows it."""
    async def read():
        kv = await watch.connection.jetstream().key_value("pat_calls")
        return json.loads((await kv.get(f"{call}.served")).value)

    try:
        lease = asyncio.run_coroutine_threadsafe(read(), watch.loop).result(10)
    except Exception:  # nobody holds one: Retell's calls
        return 1
    return lease["epoch"] if isinstance(lease, dict) else 1


def ask(watch, method: str, user, call: str, **more) -> dict:
    params = {"call_id": call, "user_id": str(user.id), "epoch": epoch(watch, call)} | more

    async def request():
        return json.loads((await watch.connection.request(f"pat.rpc.v1.router.{method}", json.dumps(params).encode(),
                                                          timeout=5)).data)

    return asyncio.run_coroutine_threadsafe(request(), watch.loop).result(10)


def transfer(watch, user, call: str, mode: str = "cold", id_: str | None = None, **more) -> str:
    id_ = id_ or uuid7()
    params = {"transfer_id": id_, "mode": mode, "to": SALES, "label": "sales", "timeout_s": 10} | more
    answer = ask(watch, "transfer", user, call, **params)
    assert answer["result"] == {"transfer_id": id_, "state": "started"}, answer
    return id_


@contextmanager
def asker(stack, name: str):
    """In the room of a warm transfer, as whoever serves the call is before it asks for one: a voice that says nothing."""
    async def enter():
        token = api.AccessToken(stack.livekit.key, stack.livekit.secret).with_identity(f"agent-{name}-1").with_kind("agent") \
            .with_grants(api.VideoGrants(room_join=True, room=name, agent=True)).to_jwt()
        async with api.LiveKitAPI(stack.livekit.http_url, stack.livekit.key, stack.livekit.secret) as lk:
            await lk.room.create_room(api.CreateRoomRequest(name=name, empty_timeout=60))  # no agent is called to it
        room = rtc.Room(loop=stack.gate.loop)
        await room.connect(stack.livekit.url, token)
        source = rtc.AudioSource(48000, 1, loop=stack.gate.loop)
        await room.local_participant.publish_track(rtc.LocalAudioTrack.create_audio_track("voice", source))
        return room

    def run(what):
        return asyncio.run_coroutine_threadsafe(what, stack.gate.loop).result(30)
    room = run(enter())
    try:
        yield
    finally:
        run(room.disconnect())


def outcomes(watch, call: str) -> list[str]:
    return [e["data"]["outcome"] for e in watch.of("call.transfer", call)]


def wait_outcome(watch, call: str, outcome: str) -> None:
    wait(lambda: outcome in outcomes(watch, call), 30, f"the transfer is {outcome}")


def other_leg(stack) -> dict:
    return wait(lambda: [c for c in http_json("GET", stack.double("signalwire") + "/calls")["calls"] if c["to"] == SALES], 30,
                "the other phone rings")[0]


def outcome_of_call(stack, sid: str) -> str:
    return wait(lambda: stack.wait_row(sid, "ended", 30)["outcome"], 30, "the call's outcome is known")


def schemas_hold(watch, call: str) -> None:
    for e in [e for e in watch.events if call in (e.get("subject"), (e.get("data") or {}).get("call_id"))]:
        events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])


def greeted(leg) -> None:
    leg.wait_active(30)
    leg.wait_speech(leg.active_at, 30)


def test_on_livekit_the_caller_is_given_to_another_phone(stack, watch, phone):
    phone(status=200)
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    transfer(watch, LEO, leg.call)
    wait_outcome(watch, leg.call, "bridged")
    assert outcomes(watch, leg.call) == ["started", "ringing", "answered", "bridged"]
    leg.wait_end(30)  # the agent's room is left
    wait(lambda: stack.look(sid)["state"] == "bridged", 30, "the caller speaks with the other phone")
    assert not watch.of("call.ended", leg.call) and not watch.of("call.failed_over", leg.call)
    http_json("POST", f"{stack.double('signalwire')}/calls/{other_leg(stack)['sid']}/hangup", {})
    assert outcome_of_call(stack, sid) == "transferred"
    watch.wait_for("call.ended", leg.call, 30)
    schemas_hold(watch, leg.call)


@pytest.mark.soak
def test_on_livekit_the_caller_comes_back_and_the_agent_speaks(stack, watch, phone):
    """An agent that has not asked for the move itself takes the caller for gone, for half a minute."""
    phone(status=486, after_ms=32000)
    sid = stack.place_call(LEO.number)
    first = stack.leg(sid)
    call = first.call
    greeted(first)
    transfer(watch, LEO, call, timeout_s=60)
    wait(lambda: "returned" in outcomes(watch, call), 60, "the transfer is returned")
    assert [o for o in outcomes(watch, call) if o != "ringing"] == ["started", "busy", "returned"]
    again = wait(lambda: stack.gate.legs.get(call) if stack.gate.legs.get(call) is not first else None, 30,
                 "the room is dialled again")
    assert again.invite["headers"]["X-Pat-Returned"] == "busy"
    greeted(again)
    stack.hang_up(sid)
    assert outcome_of_call(stack, sid) == "answered"
    schemas_hold(watch, call)


def test_on_livekit_a_colleague_is_called_into_a_room_of_its_own(stack, watch, phone):
    """His leg is a participant of its own; the caller's is not touched."""
    phone(status=200)
    sid = stack.place_call(LEO.number)
    caller = stack.leg(sid)
    greeted(caller)
    room = uuid7()
    with asker(stack, f"call_{room}"):
        id_ = transfer(watch, LEO, caller.call, mode="warm", id_=room)
        colleague = wait(lambda: stack.gate.legs.get(f"{caller.call}/consult"), 30, "he is dialled into a room of its own")
        assert colleague.invite["headers"]["X-Pat-Role"] == "consult" and colleague.invite["headers"]["X-Pat-Transfer"] == id_
        colleague.wait_active(30)
        wait_outcome(watch, caller.call, "answered")
        wait(lambda: other_leg(stack)["state"] == "bridged", 30, "he is in that room")
        assert caller.reason is None and stack.look(sid)["state"] == "bridged"
        assert ask(watch, "transfer_update", LEO, caller.call, transfer_id=id_, action="cancel")["result"]["state"] == "ended"
        wait_outcome(watch, caller.call, "failed")
        wait(lambda: other_leg(stack)["state"] == "ended", 30, "he is let go")
    schemas_hold(watch, caller.call)
    stack.hang_up(sid)
    assert outcome_of_call(stack, sid) == "answered"


def test_on_livekit_a_message_is_taken(stack, watch):
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    assert ask(watch, "voicemail", LEO, leg.call)["result"]["state"] == "recording"
    assert outcome_of_call(stack, sid) == "voicemail"
    wait(lambda: any(e["data"].get("transcript") for e in watch.of("call.voicemail", leg.call)), 30, "and written down")
    schemas_hold(watch, leg.call)


@pytest.fixture
def long_calls(stack):
    stack.control("retell", call_ms=60000)
    yield
    stack.control("retell", call_ms=1500)


@pytest.mark.parametrize("how,end", [({"status": 200}, "bridged"), ({"status": 408}, "returned")])
def test_on_retell(stack, watch, phone, long_calls, how, end):
    phone(**how)
    sid = stack.place_call(RITA.number)
    stack.wait_story(sid, "bridged")
    first = stack.dialled(sid)
    call = str(stack.wait_row(sid)["id"])
    transfer(watch, RITA, call, timeout_s=5)
    wait_outcome(watch, call, end)
    if end == "bridged":
        wait(lambda: stack.look(sid)["state"] == "bridged", 30, "they speak")
        http_json("POST", f"{stack.double('signalwire')}/calls/{other_leg(stack)['sid']}/hangup", {})
        assert outcome_of_call(stack, sid) == "transferred"
    else:
        again = wait(lambda: len(d := stack.story(sid, "dial")) == 3 and d[2]["uri"], 30, "Retell is dialled again")
        registered = [e["call_id"] for e in stack.double_log("retell", "registered")
                      if e["request"]["metadata"]["call_id"] == call]
        assert len(registered) == 2 and registered[0] == first and again.startswith(f"sip:{registered[1]}@")
        wait(lambda: stack.look(sid)["state"] == "bridged", 30, "the caller is back")
        stack.hang_up(sid)
        assert outcome_of_call(stack, sid) == "answered"
    schemas_hold(watch, call)
    # One record of it all, in the product's own table.
    wait(lambda: stack.row("select 1 as one from public.call_records where id = %s and ended_at is not null", call), 30,
         "the record is closed")
    assert stack.row("select count(*) as n from public.call_records where call_sid = %s", sid)["n"] == 1
