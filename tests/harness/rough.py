"""A stack whose agent meets the world through relays that misbehave, and calls placed without a carrier.

    with RoughStack(build_dir) as s:
        call = new_call()
        s.prepare(call)                  # the router's RPC
        leg = s.invite(call)             # the phone, ringing in a thread of its own
"""

import asyncio
import json
import threading
import time
import uuid

import nats

from harness.sip_leg import Leg
from harness.stack import LEO, Stack, http_json
from harness.vendors import Between

GREETING = "hello this is the assistant of leo how can i help you"
SETTINGS = {"user_name": "Leo", "greeting_template": "Hello, this is the assistant of {name}. How can I help you?",
            "voice_id": "EXAVITQu4vr4xnSDxMaL", "language": "en-US", "voice": {"responsiveness": 1}}


def new_call() -> str:
    """UUIDv7."""
    n = (int(time.time() * 1000) << 80) | (uuid.uuid4().int & ((1 << 80) - 1))
    n = (n & ~(0xF << 76)) | (7 << 76)
    return str(uuid.UUID(int=(n & ~(3 << 62)) | (2 << 62)))


class RoughStack(Stack):
    def __init__(self, build_dir, **agent_env: str):
        self.between = Between()
        super().__init__(build_dir, daemons={"router": {"PAT_ROUTER_DIAL_TIMEOUT_S": "5"}, "livekit-agent": {
            # What one test spends of an account, the next one shall have.
            "PAT_AGENT_REFUSED_MS": "500ms"} | agent_env})

    def start(self) -> "RoughStack":
        self._push(self.between.__enter__() and _Exits(self.between))
        self.settings["livekit-agent"] |= self.between.env
        return super().start()

    def _start_doubles(self) -> None:
        super()._start_doubles()
        self.between.aim(self.ports)

    def _daemon(self, name, listen, env):
        if name == "livekit-agent" and self.between.livekit is None:
            self.settings[name]["PAT_LIVEKIT_URL"] = self.between.gate_livekit(self.livekit.port)
        return super()._daemon(name, listen, env)

    @property
    def agent(self):
        return self.daemons["livekit-agent"]

    def rpc(self, method: str, payload: bytes, timeout_s: float = 10) -> dict:
        async def ask():
            nc = await nats.connect(self.nats.url)
            try:
                reply = await nc.request(f"pat.rpc.v1.{method}", payload, timeout=timeout_s)
            finally:
                await nc.close()
            return json.loads(reply.data)
        return asyncio.run(ask())

    def prepare(self, call: str, settings: dict | None = None, **more) -> dict:
        params = {"call_id": call, "user_id": str(LEO.id), "agent_config_id": str(LEO.id), "config_version": 1,
                  "from": "+15550109999", "to": LEO.number, "settings": SETTINGS if settings is None else settings} | more
        return self.rpc("agent.prepare", json.dumps(params).encode())

    def invite(self, call: str, headers: dict | None = None) -> Leg:
        invite = {"uri": f"sip:{call}@pat.sip.livekit.example", "from": "+15550109999", "headers": headers or {}}
        threading.Thread(target=lambda: http_json("POST", f"{self.gate.base}/sip/invite", invite, timeout_s=40),
                         daemon=True).start()
        return self.gate.wait_for_leg(call)

    def idle(self) -> bool:
        return "\npat_agent_calls 0" in self.agent.metrics()


class _Exits:
    def __init__(self, thing):
        self.stop = lambda: thing.__exit__(None, None, None)
