"""LiveKit's own SIP service (livekit-sip, the program LIVEKIT_SIP names, or in PATH) and the Redis it needs, on loopback.

    with Redis(folder) as redis, LiveKit(folder, redis=redis.address) as lk, SipService(folder, lk, redis) as sip:
        sip.admit("user", "password")     # trunk and dispatch rule, from the files that deploy/livekit ships
        sip.address                        # host:port of its SIP
"""

import json
import os
import shutil
import urllib.request
from datetime import timedelta
from pathlib import Path

from livekit import api

from harness.livekit import LiveKit
from harness.process import Process, free_port, http_status

DEPLOY = Path(__file__).resolve().parents[2] / "deploy/livekit"
NEEDED = ("redis-server", "sipp", "baresip")


def program() -> str | None:
    return shutil.which(os.environ.get("LIVEKIT_SIP") or "livekit-sip")


def missing() -> str | None:
    """Why there can be no SIP here; None: all is there."""
    if not program():
        return "LIVEKIT_SIP names no livekit-sip binary, and PATH has none"
    gone = [p for p in NEEDED if not shutil.which(p)]
    return f"not installed: {', '.join(gone)} (scripts/setup --sip)" if gone else None


class Redis:
    def __init__(self, folder: Path):
        self.folder, self.port = Path(folder), free_port()
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> "Redis":
        self.process = Process("redis-server", ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "",
                                                "--dir", self.folder], self.folder / "redis.log").start()
        self.process.wait_until(lambda: "Ready to accept connections" in self.process.tail(), 20)
        return self

    def stop(self) -> None:
        self.process.stop()


class SipService:
    def __init__(self, folder: Path, livekit: LiveKit, redis: Redis, ringing_timeout_s: int = 60):
        self.folder, self.livekit, self.redis = Path(folder), livekit, redis
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.health = free_port(), free_port()
        self.rtp = free_port()  # and those above it
        self.ringing_timeout_s = ringing_timeout_s

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def config(self) -> dict:
        return {"api_key": self.livekit.key, "api_secret": self.livekit.secret, "ws_url": self.livekit.url,
                "redis": {"address": self.redis.address}, "sip_port": self.port, "listen_ip": "127.0.0.1",
                "nat_1_to_1_ip": "127.0.0.1", "rtp_port": f"{self.rtp}-{self.rtp + 400}", "health_port": self.health,
                "use_external_ip": False, "max_cpu_utilization": 1, "logging": {"level": "info", "json": True}}

    def start(self) -> "SipService":
        path = self.folder / "sip.yaml"
        path.write_text(json.dumps(self.config()))  # JSON is YAML
        self.process = Process("livekit-sip", [program(), "--config", path],
                               self.folder / "livekit-sip.log").start()
        self.process.wait_until(lambda: http_status(f"http://127.0.0.1:{self.health}") == 200, 30)
        return self

    def stop(self) -> None:
        self.process.stop(number=2)  # SIGTERM waits for calls to end

    def said(self, lines: int) -> str:
        """The end of its log, without what it repeats on every line."""
        out = []
        for line in self.process.tail(lines).splitlines():
            try:
                e = json.loads(line)
            except ValueError:
                out.append(line)
                continue
            out.append(f"{e.get('ts', 0):.3f} {e.get('level')} {e.get('msg')} {e.get('sipCallID', '')} {e.get('error', '')}")
        return "\n".join(out)

    # ------------------------------------------------------------------ what an operator does once

    def admit(self, username: str, password: str) -> None:
        """The trunk and the rule, as docs/livekit-setup.md has them made."""
        trunk = json.loads((DEPLOY / "inbound-trunk.json").read_text())
        trunk["trunk"] |= {"auth_username": username, "auth_password": password}
        self.trunk = self.twirp("CreateSIPInboundTrunk", trunk)
        self.rule = self.twirp("CreateSIPDispatchRule", json.loads((DEPLOY / "dispatch-rule.json").read_text()))

    def twirp(self, method: str, body: dict) -> dict:
        token = (api.AccessToken(self.livekit.key, self.livekit.secret).with_ttl(timedelta(minutes=5))
                 .with_sip_grants(api.SIPGrants(admin=True, call=True)).to_jwt())
        request = urllib.request.Request(f"{self.livekit.http_url}/twirp/livekit.SIP/{method}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json", "Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=30) as r:
            return json.loads(r.read())
