"""Warm transfers against a real LiveKit and NATS, the router played: whom the agent believes, what it makes of each answer,
and what is left of it when the agent dies in the middle.

The way with the real router and carrier is tests/e2e/test_warm_transfer.py.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time

import pytest

from harness import voice
from harness.sip_leg import wait
from harness.stack import http_json
from test_agent_tools import ASK, NUMBERS, SALES, Router, control
from test_livekit_agent import World, params, uuid7

SECRET = "secret"  # of World's agents
PLAIN = "hello please tell me your opening hours"
QUESTION = "who is it and what does he want"


class WarmRouter(Router):
    """Also takes transfer_update; says each step as the real one does."""

    def __init__(self, url: str):
        super().__init__(url)
        self.updates = []

    async def open(self):
        await super().open()
        await self.nc.subscribe("pat.rpc.v1.router.transfer_update", "router", self.update)
        await self.nc.flush()

    async def update(self, m):
        asked = json.loads(m.data)
        self.updates.append(asked)
        state = {"accept": "accepted", "joined": "bridged"}.get(asked["action"], "ended")
        await m.respond(json.dumps({"result": {"transfer_id": asked["transfer_id"], "state": state}}).encode())

    def told(self) -> list[str]:
        return [u["action"] for u in self.updates]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("warm"))
    w.start_agent(PAT_AGENT_HOLD_SOUND="none")
    control(w, "deepgram", grammar=[ASK, QUESTION, "yes please", "no thank you", "never mind", *voice.sentences()])
    yield w
    w.close()


@pytest.fixture
def router(world):
    with WarmRouter(world.nats.url) as r:
        yield r


@pytest.fixture(autouse=True)
def nothing_scripted(world):
    yield
    control(world, "openai", reply=None, tool_calls=None)


def headers(call: str, role: str, transfer: str, secret: str = SECRET) -> dict:
    """As the router signs them (pat_sign_short of libcommon/sign.h)."""
    mac = hmac.new(secret.encode(), b"role\0" + f"{call}|{role}|{transfer}".encode(), hashlib.sha256).digest()
    return {"X-Pat-Call": call, "X-Pat-Role": role, "X-Pat-Transfer": transfer,
            "X-Pat-Role-Sig": base64.urlsafe_b64encode(mac[:16]).rstrip(b"=").decode()}


def dial(world, user: str, head: dict, who: str = SALES):
    """A telephone into the room call_<user>."""
    known = set(world.gate.dialogs)
    invite = {"uri": f"sip:{user}@pat.example", "from": who, "headers": head}
    threading.Thread(target=lambda: http_json("POST", f"{world.gate.base}/sip/invite", invite, timeout_s=60),
                     daemon=True).start()
    return wait(lambda: next((leg for d, leg in world.gate.dialogs.items() if d not in known), None), 20, "it rings")


def asked(world, router) -> tuple:
    """The caller wants sales, and the router is asked to call them."""
    call = uuid7()
    mine = {"greeting_template": "Hello, this is {name}.", "user_name": "Leo", "voice_id": "EXAVITQu4vr4xnSDxMaL",
            "transfer_numbers": NUMBERS, "transfer_preferences": {"mode": "warm"}}
    world.rpc("prepare", params(call, settings=mine))
    caller = world.ring(call)
    caller.wait_active()
    caller.wait_speech(caller.active_at)
    caller.wait_quiet()
    caller.say(voice.trim(voice.speak(ASK)))
    wait(lambda: router.asked, 30, "the router is asked")
    request = router.asked[-1]
    assert (request["mode"], request["to"], request["label"]) == ("warm", SALES, "sales")
    assert f"call_{request['transfer_id']}" in world.rooms()  # nobody's coming makes it, so no agent is sent there
    wait(lambda: world.logged("call.warm", call=call, state="ringing"), 20, "it has begun")
    return call, caller, request["transfer_id"]


def answered(world, router) -> tuple:
    call, caller, id_ = asked(world, router)
    human = dial(world, id_, headers(call, "consult", id_))
    human.wait_active(30)
    wait(lambda: world.logged("call.warm", call=call, state="asking"), 30, "he is told")
    return call, caller, id_, human


def caller_is_told(world, call) -> None:
    said = lambda: [e["data"]["heard"] for e in world.watch.of("turn.agent", call)]  # noqa: E731
    try:
        wait(lambda: any("sales could not be reached" in text for text in said()), 40, "the caller is told")
    except TimeoutError:
        raise AssertionError(f"the caller was only told {said()}") from None


def end(world, call, caller) -> None:
    if not caller.reason:
        caller.hang_up()
    wait(lambda: world.logged("call.ended", call=call), 30, "the agent has let go")


def test_one_who_asks_back_and_takes_the_call(world, router):
    call, caller, id_, human = answered(world, router)
    human.wait_speech(human.active_at, 30)
    human.wait_quiet()
    requests = len(http_json("GET", f"http://127.0.0.1:{world.ports['control']}/control/openai/log")["entries"])
    human.say(voice.trim(voice.speak(QUESTION)))
    human.wait_speech(human.last_voiced_sent_at, 30)
    log = http_json("GET", f"http://127.0.0.1:{world.ports['control']}/control/openai/log")["entries"][requests:]
    briefed = json.dumps([e["body"] for e in log if e["kind"] == "chat"])
    assert "please transfer me to sales" in briefed and "tools" not in briefed
    human.wait_quiet()
    human.say(voice.trim(voice.speak("yes please")))
    wait(lambda: router.told() == ["accept"], 30, "the router is told")
    human.wait_end(30)  # out of that room
    wait(lambda: f"call_{id_}" not in world.rooms(), 20, "which is gone")
    joined = dial(world, call, headers(call, "joined", id_))
    joined.wait_active(30)
    wait(lambda: router.told() == ["accept", "joined"], 30, "they are together")
    wait(lambda: world.logged("call.ended", call=call, reason="transferred"), 30, "the agent leaves")
    wait(lambda: len(joined.room.remote_participants) == 1, 20, "the two are alone")
    assert not caller.reason and f"call_{call}" in world.rooms()
    wait(lambda: mark(router, call).get("over"), 20, "nobody takes the call for lost")
    joined.hang_up()
    caller.hang_up()


def mark(router, call: str) -> dict:
    async def get():
        bucket = await router.nc.jetstream().key_value("pat_calls")
        return json.loads((await bucket.get(f"{call}.served")).value)
    return router.run(get())


@pytest.mark.parametrize("outcome", ["busy", "no_answer"])
def test_nobody_takes_the_phone(world, router, outcome):
    call, caller, id_ = asked(world, router)
    router.step(router.asked[-1], "ringing")
    router.step(router.asked[-1], outcome)
    caller_is_told(world, call)
    wait(lambda: f"call_{id_}" not in world.rooms(), 20, "the room is gone")
    assert router.told() == []  # the router knows
    end(world, call, caller)


def test_one_who_hangs_up_has_refused(world, router):
    call, caller, id_, human = answered(world, router)
    human.hang_up()
    caller_is_told(world, call)
    assert router.told() == ["refuse"]
    end(world, call, caller)


def test_the_caller_thinks_better_of_it(world, router):
    call, caller, id_, human = answered(world, router)
    caller.wait_quiet()
    caller.say(voice.trim(voice.speak("never mind")))
    wait(lambda: router.told() == ["cancel"], 30, "the router is told")
    human.wait_end(30)
    wait(lambda: any("not connecting you" in e["data"]["heard"] for e in world.watch.of("turn.agent", call)), 30,
         "the caller is told")
    end(world, call, caller)


def test_the_caller_hangs_up_while_waiting(world, router):
    call, caller, id_, human = answered(world, router)
    caller.hang_up()
    wait(lambda: "cancel" in router.told(), 30, "his phone is let go")
    human.wait_end(30)
    wait(lambda: {f"call_{id_}", f"call_{call}"}.isdisjoint(world.rooms()), 20, "both rooms are gone")


def test_who_only_says_that_he_was_sent_is_put_out_and_hears_nothing(world, router):
    """In the transfer's room and in the call's."""
    call, caller, id_ = asked(world, router)
    stranger = dial(world, id_, headers(call, "consult", id_, secret="guessed"), who="+15550100666")
    stranger.wait_end(30)
    assert not any(voice.voiced(s).any() for _, s in stranger.heard.frames)
    intruder = dial(world, call, headers(call, "joined", id_, secret="guessed"), who="+15550100667")
    intruder.wait_end(30)
    assert world.logged("call.stranger", call=call) and not router.told()
    # The right one is still welcome.
    human = dial(world, id_, headers(call, "consult", id_))
    human.wait_active(30)
    wait(lambda: world.logged("call.warm", call=call, state="asking"), 30, "he is told")
    end(world, call, caller)


def test_another_agent_goes_on_asking(world, router):
    """The one that began is killed while he is being told."""
    call, caller, id_, human = answered(world, router)
    human.wait_speech(human.active_at, 30)
    wait(lambda: state_of(router, call, 1) == "asking", 20, "it is written down")
    first = world.agent
    second = world.start_agent(PAT_AGENT_HOLD_SOUND="none")
    first.kill()
    killed = time.monotonic()
    wait(lambda: world.logged("call.warm", call=call, state="asking"), 40, "the other one asks again")
    human.wait_speech(killed, 30)
    human.press("1")
    wait(lambda: router.told() == ["accept"], 30, "the router is told")
    assert router.updates[-1]["epoch"] == 2
    joined = dial(world, call, headers(call, "joined", id_))
    joined.wait_active(30)
    wait(lambda: router.told() == ["accept", "joined"], 30, "they are together")
    wait(lambda: world.logged("call.ended", call=call, reason="transferred"), 30, "the agent leaves")
    assert second.alive() and not caller.reason
    joined.hang_up()
    caller.hang_up()


def state_of(router, call: str, epoch: int) -> str:
    async def get():
        bucket = await router.nc.jetstream().key_value("pat_calls")
        return json.loads((await bucket.get(f"{call}.state.{epoch}")).value).get("warm", {}).get("state", "")
    return router.run(get())
