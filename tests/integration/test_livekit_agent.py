"""The real livekit-agent with a real LiveKit and NATS, the doubles, and no Postgres: jobs that get lost, words that come
in the wrong order, input that is nonsense, and the end of the process."""

import asyncio
import json
import os
import subprocess
import threading
import time
import uuid
from pathlib import Path

import nats as nats_client
import pytest
from livekit import api

from harness import voice
from harness.livekit import LiveKit
from harness.nats import Nats
from harness.process import Process, free_port, http_status
from harness.sip_leg import SipGate, wait
from harness.stack import ROOT, http_json
from harness.turns import replay
from harness.watch import Watch

BUILD = Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev"))
USER, CONFIG = str(uuid.uuid4()), str(uuid.uuid4())


def uuid7() -> str:
    n = (int(time.time() * 1000) << 80) | (uuid.uuid4().int & ((1 << 80) - 1))
    return str(uuid.UUID(int=((n & ~(0xF << 76)) | (7 << 76)) & ~(3 << 62) | (2 << 62)))


def params(call: str, **more) -> dict:
    return {"call_id": call, "user_id": USER, "agent_config_id": CONFIG, "config_version": 1, "from": "+15550109999",
            "to": "+15550100002", "settings": {"greeting_template": "Hello, this is {name}.", "user_name": "Leo",
                                               "voice_id": "EXAVITQu4vr4xnSDxMaL"}} | more


class World:
    def __init__(self, folder: Path):
        self.folder = folder
        self.nats = Nats(folder / "nats").start()
        self.livekit = LiveKit(folder / "livekit").start()
        self.doubles = Process("doubles", [BUILD / "bin/patchbay-doubles"], folder / "doubles.log",
                               {"PAT_PORT_FILE": str(folder / "ports.json")}).start()
        self.doubles.wait_until((folder / "ports.json").exists, 30)
        self.ports = json.loads((folder / "ports.json").read_text())
        self.gate = SipGate(self.livekit.url, self.livekit.key, self.livekit.secret, "pat").__enter__()
        self.watch = Watch(self.nats.url).__enter__()
        self.agent = None

    @property
    def turns(self) -> Path:
        folder = self.folder / "turns"
        folder.mkdir(exist_ok=True)
        return folder

    def env(self) -> dict[str, str]:
        at = lambda scheme, vendor: f"{scheme}://127.0.0.1:{self.ports[vendor]}"  # noqa: E731
        return {"PAT_NATS_URL": self.nats.url, "PAT_DATABASE_URL": "postgres://nobody@127.0.0.1:9/none",
                "PAT_LOG_FORMAT": "json", "PAT_DRAIN_MS": "20000", "PAT_LIVEKIT_URL": self.livekit.url,
                "PAT_LIVEKIT_API_KEY": self.livekit.key, "PAT_LIVEKIT_API_SECRET": self.livekit.secret,
                "PAT_CALL_SECRET": "secret", "PAT_EVENT_LOG_DIR": str(self.turns), "PAT_DEEPGRAM_URL": at("ws", "deepgram"), "PAT_DEEPGRAM_API_KEY": "k",
                "PAT_OPENAI_URL": at("http", "openai") + "/v1", "PAT_OPENAI_API_KEY": "k",
                "PAT_ELEVENLABS_URL": at("ws", "elevenlabs"), "PAT_ELEVENLABS_API_KEY": "k"}

    def start_agent(self, **env: str) -> Process:
        self.admin = free_port()
        log = self.folder / f"agent-{self.admin}.log"
        self.agent = Process("agent", [BUILD / "bin/patchbay-livekit-agent"], log,
                             self.env() | {"PAT_ADMIN_LISTEN": f"127.0.0.1:{self.admin}"} | env).start()
        self.agent.wait_until(lambda: self.logged("agent.registered"), 20)
        return self.agent

    def logged(self, event: str, **fields) -> list[dict]:
        lines = [json.loads(x) for x in self.agent.log.read_text().splitlines() if x.startswith("{")]
        return [e for e in lines if e.get("event") == event and fields.items() <= e.items()]

    def rpc(self, method: str, body: bytes | dict) -> dict:
        async def ask():
            nc = await nats_client.connect(self.nats.url)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            reply = await nc.request(f"pat.rpc.v1.agent.{method}", data, timeout=5)
            await nc.close()
            return json.loads(reply.data)
        return asyncio.run(ask())

    def make_room(self, call: str) -> None:
        """Without a dispatch: as if LiveKit had lost it."""
        async def make():
            a = api.LiveKitAPI(self.livekit.http_url, self.livekit.key, self.livekit.secret)
            await a.room.create_room(api.CreateRoomRequest(name=f"call_{call}", empty_timeout=60))
            await a.aclose()
        asyncio.run(make())

    def rooms(self) -> list[str]:
        async def ask():
            a = api.LiveKitAPI(self.livekit.http_url, self.livekit.key, self.livekit.secret)
            found = await a.room.list_rooms(api.ListRoomsRequest())
            await a.aclose()
            return [r.name for r in found.rooms]
        return asyncio.run(ask())

    def ring(self, call: str):
        invite = {"uri": f"sip:{call}@pat.example", "from": "+15550109999", "headers": {}}
        threading.Thread(target=lambda: http_json("POST", f"{self.gate.base}/sip/invite", invite, timeout_s=60),
                         daemon=True).start()
        return self.gate.wait_for_leg(call)

    def close(self) -> None:
        if self.agent:
            self.agent.stop()
        self.gate.__exit__(None, None, None)
        self.watch.__exit__(None, None, None)
        for p in (self.doubles, self.livekit, self.nats):
            p.stop()
        assert replay(BUILD, self.turns) > 0


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("agent"))
    yield w
    w.close()


@pytest.fixture
def agent(world):
    if not world.agent or not world.agent.alive():
        world.start_agent()
    return world


GREETING = "hello this is leo"


def heard_greeting(leg) -> bool:
    leg.wait_active()
    leg.wait_speech(leg.active_at)
    leg.wait_quiet()
    return voice.hear(leg.heard.since(0), [GREETING, *voice.sentences()[:20]]) == GREETING


def test_a_lost_job_is_taken_by_who_prepared_it(agent):
    call = uuid7()
    agent.make_room(call)
    assert agent.rpc("prepare", params(call))["result"] == {"room": f"call_{call}"}
    leg = agent.ring(call)
    assert heard_greeting(leg)
    assert agent.logged("agent.job_lost", call=call)
    leg.hang_up()
    wait(lambda: agent.logged("call.ended", call=call), 10, "the agent has let go")
    wait(lambda: f"call_{call}" not in agent.rooms(), 10, "the room is gone")


def test_preparing_twice_is_preparing_once(agent):
    call = uuid7()
    for _ in range(3):
        assert agent.rpc("prepare", params(call))["result"] == {"room": f"call_{call}"}
    leg = agent.ring(call)
    assert heard_greeting(leg)
    assert agent.rpc("prepare", params(call))["result"] == {"room": f"call_{call}"}
    assert len(agent.logged("call.joining", call=call)) == 1
    leg.hang_up()
    wait(lambda: agent.logged("call.ended", call=call), 10, "the agent has let go")


def test_the_telephone_may_be_faster_than_the_router(agent):
    call = uuid7()
    leg = agent.ring(call)
    wait(lambda: agent.logged("call.joining", call=call, context=False), 10, "the agent joins knowing nothing")
    agent.rpc("prepare", params(call))
    assert heard_greeting(leg)
    leg.hang_up()
    wait(lambda: agent.logged("call.ended", call=call), 10, "the agent has let go")


def test_a_call_nobody_knows_gets_an_apology_and_its_end(agent):
    call = uuid7()
    leg = agent.ring(call)
    leg.wait_active()
    leg.wait_speech(leg.active_at)
    assert leg.wait_end(30) == "callee_hangup"
    wait(lambda: agent.logged("call.ended", call=call), 10, "the agent has let go")


@pytest.mark.parametrize(("body", "field"), [
    (b"{", None), (b"[]", None), (b"{}", "call_id"), ({"call_id": "7"}, "call_id"),
    ({"call_id": uuid7(), "user_id": None}, "user_id"), ({"call_id": uuid7(), "user_id": USER}, "agent_config_id")])
def test_nonsense_is_refused_by_name(agent, body, field):
    error = agent.rpc("prepare", body)["error"]
    assert error["code"] == "invalid_argument" or error["code"].startswith("invalid"), error
    assert not field or error["field"] == field


def test_odd_settings_are_answered_with_defaults(agent):
    call = uuid7()
    odd = {"greeting_template": 7, "greeting": GREETING, "temperature": "hot", "voice_id": None, "voice": [],
           "agent_volume": -3, "language": {}, "system_prompt": None}
    assert "result" in agent.rpc("prepare", params(call, settings=odd | {"agent_volume": 1}))
    leg = agent.ring(call)
    assert heard_greeting(leg)
    leg.hang_up()
    wait(lambda: agent.logged("call.ended", call=call), 10, "the agent has let go")


def test_what_it_says_keeps_to_the_contract(agent):
    from harness import events
    call = uuid7()
    agent.rpc("prepare", params(call))
    leg = agent.ring(call)
    assert heard_greeting(leg)
    leg.hang_up()
    agent.watch.wait_for("usage.recorded", call)
    wait(lambda: agent.logged("call.ended", call=call), 10, "the agent has let go")
    told = [e for e in agent.watch.events if e.get("subject") == call]
    assert {e["type"] for e in told} >= {"pat.call.v1.answered", "pat.turn.v1.agent", "pat.usage.v1.recorded"}
    for e in told:
        events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])


def test_verify_says_whether_it_could_serve(agent):
    result = agent.rpc("verify", {"voice_id": "no such voice"})["result"]
    assert result["registered"] is True and result["voice_substituted"] is True and result["max_calls"] == 100


def test_a_full_agent_refuses_jobs(agent):
    agent.agent.stop()
    agent.start_agent(PAT_AGENT_MAX_CALLS="1")
    try:
        first, second = uuid7(), uuid7()
        agent.rpc("prepare", params(first))
        leg = agent.ring(first)
        leg.wait_active()
        agent.rpc("prepare", params(second))
        time.sleep(2.5)  # longer than it takes to claim a lost job: it must not
        assert not agent.logged("call.joining", call=second)
        assert not leg.reason
        leg.hang_up()
        wait(lambda: agent.logged("call.ended", call=first), 10, "the agent has let go")
    finally:
        agent.agent.stop()


def test_sigterm_lets_a_live_call_finish_and_takes_no_new_one(agent):
    call, late = uuid7(), uuid7()
    agent.rpc("prepare", params(call))
    leg = agent.ring(call)
    leg.wait_active()
    process = agent.agent.child
    process.terminate()
    wait(lambda: http_status(f"http://127.0.0.1:{agent.admin}/readyz") == 503, 5, "it is not ready any more")
    agent.gate.legs.pop(late, None)
    agent.ring(late)
    leg.wait_speech(leg.active_at)
    leg.wait_quiet()
    assert not leg.reason, "the live call was cut"
    assert not agent.logged("call.joining", call=late)
    leg.hang_up()
    assert process.wait(10) == 0
    assert agent.logged("call.ended", call=call)[0]["reason"] == "caller_hangup"


def test_settings_are_checked_before_anything_is_connected():
    program = BUILD / "bin/patchbay-livekit-agent"
    env = {k: v for k, v in os.environ.items() if not k.startswith("PAT_")}
    done = subprocess.run([program, "--check-config"], env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert "PAT_LIVEKIT_API_KEY" in done.stderr + done.stdout
    good = env | {"PAT_LIVEKIT_API_KEY": "k", "PAT_LIVEKIT_API_SECRET": "a secret long enough",
                  "PAT_DATABASE_URL": "postgres://x@127.0.0.1/x", "PAT_NATS_URL": "nats://127.0.0.1:4222"}
    done = subprocess.run([program, "--check-config"], env=good, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr + done.stdout
    done = subprocess.run([program, "--check-config"], env=good | {"PAT_EVENT_LOG_DIR": "/nowhere"},
                          capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and "PAT_EVENT_LOG_DIR" in done.stderr + done.stdout
    assert "a secret long enough" not in done.stderr + done.stdout
