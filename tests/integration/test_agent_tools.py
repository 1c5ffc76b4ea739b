"""Tools in a call against a real LiveKit and NATS, the router played: who is put through, who comes back, who is not."""

import asyncio
import json
import threading
import uuid

import nats as nats_client
import pytest

from harness import events, voice
from harness.sip_leg import wait
from harness.stack import http_json
from test_livekit_agent import USER, World, params, uuid7

SALES, BOSS = "+15550100077", "+15550100088"
ASK = "please transfer me to sales"
NUMBERS = [{"id": str(uuid.uuid4()), "label": "sales", "phone_number": SALES, "is_default": True, "has_passcode": False},
           {"id": str(uuid.uuid4()), "label": "boss", "phone_number": BOSS, "is_default": False, "has_passcode": True}]


class Router:
    """Answers router.transfer as it is told."""

    def __init__(self, url: str):
        self.url, self.asked, self.refusal = url, [], None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def run(self, what):
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(10)

    def __enter__(self):
        self.thread.start()
        self.run(self.open())
        return self

    def __exit__(self, *_):
        self.run(self.nc.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    async def open(self):
        self.nc = await nats_client.connect(self.url)
        await self.nc.subscribe("pat.rpc.v1.router.transfer", "router", self.answer)
        await self.nc.flush()

    async def answer(self, m):
        asked = json.loads(m.data)
        self.asked.append(asked)
        reply = {"error": {"code": "forbidden", "message": self.refusal, "retryable": False}} if self.refusal else \
            {"result": {"transfer_id": asked["transfer_id"], "state": "started"}}
        await m.respond(json.dumps(reply).encode())

    def step(self, asked: dict, outcome: str) -> None:
        data = {"call_id": asked["call_id"], "user_id": asked["user_id"], "transfer_id": asked["transfer_id"],
                "outcome": outcome}
        self.run(self.nc.publish(f"pat.call.v1.transfer.{asked['user_id']}.{asked['call_id']}",
                                 json.dumps({"data": data}).encode()))

    def kept(self, call: str) -> dict:
        async def get():
            bucket = await self.nc.jetstream().key_value("pat_calls")
            return json.loads((await bucket.get(f"{call}.transfer")).value)
        return self.run(get())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("tools"))
    w.start_agent()
    control(w, "deepgram", grammar=[ASK, *voice.sentences()])
    yield w
    w.close()


@pytest.fixture
def router(world):
    with Router(world.nats.url) as r:
        yield r


@pytest.fixture(autouse=True)
def nothing_scripted(world):
    yield
    control(world, "openai", reply=None, tool_calls=None)


def control(world, vendor: str, **keys) -> None:
    http_json("POST", f"http://127.0.0.1:{world.ports['control']}/control/{vendor}", keys)


def asked_models(world) -> list[dict]:
    entries = http_json("GET", f"http://127.0.0.1:{world.ports['control']}/control/openai/log")["entries"]
    return [e["body"] for e in entries if e["kind"] == "chat"]


def begin(world, **settings):
    call = uuid7()
    mine = {"greeting_template": "Hello, this is {name}.", "user_name": "Leo", "voice_id": "EXAVITQu4vr4xnSDxMaL",
            "transfer_numbers": NUMBERS} | settings
    world.rpc("prepare", params(call, settings=mine))
    leg = world.ring(call)
    leg.wait_active()
    leg.wait_speech(leg.active_at)
    leg.wait_quiet()
    return call, leg


def say(leg, sentence: str) -> float:
    leg.say(voice.trim(voice.speak(sentence)))
    return leg.last_voiced_sent_at


def end(world, call, leg) -> None:
    if not leg.reason:
        leg.hang_up()
    wait(lambda: world.logged("call.ended", call=call), 20, "the agent has let go")


def test_a_caller_is_put_through_and_comes_back_when_nobody_answers(world, router):
    call, leg = begin(world)
    say(leg, ASK)
    wait(lambda: router.asked, 20, "the router is asked")
    asked = router.asked[0]
    assert asked["call_id"] == call and asked["user_id"] == USER and asked["epoch"] == 1
    assert (asked["to"], asked["label"], asked["mode"]) == (SALES, "sales", "cold")
    assert uuid.UUID(asked["transfer_id"])
    assert router.kept(call)["label"] == "sales"

    leg.hang_up()  # the carrier has taken the caller's leg elsewhere
    wait(lambda: world.logged("call.ended", call=call, reason="transferred"), 20, "the agent lets the caller go")
    tool = world.watch.wait_for("turn.tool", call)
    assert (tool["data"]["tool"], tool["data"]["outcome"]) == ("transfer_call", "ok")
    assert "0100077" not in json.dumps(tool)
    events.validate({k: v for k, v in tool.items() if k != "_subject"}, tool["_subject"])
    wait(lambda: f"call_{call}" not in world.rooms(), 20, "the room is gone")

    world.gate.legs.pop(call, None)
    invite = {"uri": f"sip:{call}@pat.example", "from": "+15550109999", "headers": {"X-Pat-Returned": "no_answer"}}
    threading.Thread(target=lambda: http_json("POST", f"{world.gate.base}/sip/invite", invite, timeout_s=60),
                     daemon=True).start()
    back = world.gate.wait_for_leg(call)
    back.wait_active()
    back.wait_speech(back.active_at)
    back.wait_quiet()
    wait(lambda: any("sales could not be reached" in e["data"]["heard"] for e in world.watch.of("turn.agent", call)), 20,
         "they are told so")
    before = len(asked_models(world))
    say(back, "hello please call me back tomorrow morning")
    wait(lambda: len(asked_models(world)) > before, 20, "the model is asked")
    words = json.dumps(asked_models(world)[-1]["messages"])
    assert "transfer me to sales" in words and "could not be reached" in words
    back.hang_up()
    wait(lambda: len(world.logged("call.ended", call=call)) == 2, 20, "the agent has let go")


def test_what_the_router_refuses_the_caller_is_told(world, router):
    router.refusal = "not_allowed"
    call, leg = begin(world)
    said_at = say(leg, ASK)
    wait(lambda: router.asked, 20, "the router is asked")
    tool = world.watch.wait_for("turn.tool", call)
    assert (tool["data"]["outcome"], tool["data"]["error"]) == ("failed", "not_allowed")
    leg.wait_speech(said_at)
    spoken = world.watch.wait_for("turn.agent", call, n=2)["data"]["text"]
    assert "sales could not be reached" in spoken and "message" in spoken
    assert not leg.reason
    end(world, call, leg)


def test_a_failure_before_the_caller_left_is_told_too(world, router):
    call, leg = begin(world)
    say(leg, ASK)
    wait(lambda: router.asked, 20, "the router is asked")
    wait(lambda: world.logged("call.transferring", call=call), 10, "it has begun")
    router.step(router.asked[0], "ringing")
    router.step(router.asked[0], "busy")
    tool = world.watch.wait_for("turn.tool", call)
    assert (tool["data"]["outcome"], tool["data"]["error"]) == ("failed", "busy")
    assert "could not be reached" in world.watch.wait_for("turn.agent", call, n=2)["data"]["text"]
    end(world, call, leg)
    assert world.logged("call.ended", call=call)[0]["reason"] == "caller_hangup"


INJECTED = [
    {"name": "transfer_call", "arguments": {"to": "+15550666666"}},
    {"name": "transfer_call", "arguments": {"to": "sales", "number": "+15550666666"}},
    {"name": "transfer_call", "arguments": {"to": "boss"}},
    {"name": "transfer_call", "arguments": {"to": "boss", "passcode": ""}},
    {"name": "router.transfer", "arguments": {"to": "+15550666666"}},
    {"name": "send_dtmf", "arguments": {"digits": "1"}},
    {"name": "request_callback", "arguments": {"when": "2001-01-01T10:00"}},
]


def test_words_never_become_numbers_tools_or_passcodes(world, router):
    """Whatever a caller talks a model into: a number that is no label, a tool that is not offered, a missing passcode."""
    control(world, "openai", tool_calls=INJECTED)
    call, leg = begin(world)
    say(leg, "hello please tell me your opening hours")
    world.watch.wait_for("turn.tool", call, n=len(INJECTED))
    assert {t["data"]["outcome"] for t in world.watch.of("turn.tool", call)} == {"refused"}
    assert "666666" not in world.agent.log.read_text()
    world.watch.wait_for("turn.agent", call, n=2)
    assert not router.asked and not leg.reason
    end(world, call, leg)


def test_what_a_model_gets_names_no_number_and_no_passcode(world):
    asked = json.dumps(asked_models(world))
    assert "transfer_call" in asked and '"sales' in asked.replace("\\", "")
    assert "0100077" not in asked and "0100088" not in asked
