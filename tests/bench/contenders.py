"""The agents that tests/bench/agent_bench.py lets do the same work: ours, and LiveKit's Python framework.

A contender is started beside a livekit-server and the doubles, makes one call ready, and tells what it has used so far.
"""

import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path

import nats as nats_client
from livekit import api

from harness.process import Process, free_port

# One sentence: whoever splits at sentences has it spoken in the same way.
GREETING = "Hello, this is the assistant of Leo, how can I help you today?"
USER, CONFIG = str(uuid.uuid4()), str(uuid.uuid4())
HERE = Path(__file__).resolve().parent


def tree(pid: int) -> list[int]:
    """The process and all below it."""
    below: dict[int, list[int]] = {}
    for p in Path("/proc").iterdir():
        if p.name.isdigit():
            try:
                below.setdefault(int((p / "stat").read_text().rsplit(")", 1)[1].split()[1]), []).append(int(p.name))
            except OSError:
                continue
    found = [pid]
    for one in found:
        found += below.get(one, [])
    return found


class Contender:
    """prepare(call, language, responsiveness, told): told, its recogniser knows the call by its id as a keyterm."""

    name: str
    process: Process

    def used(self) -> tuple[float, float]:
        """CPU seconds so far (children that have ended included), MiB of proportional set size."""
        cpu, pss = 0, 0
        for pid in tree(self.process.pid):
            try:
                stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            cpu += sum(int(t) for t in stat[11:15])
            pss += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return cpu / os.sysconf("SC_CLK_TCK"), pss / 1024

    def stop(self) -> None:
        self.process.stop()


class Ours(Contender):
    name = "patchbay"

    def __init__(self, bench):
        self.bench = bench
        self.nats_url = bench.nats.url
        self.admin = f"127.0.0.1:{free_port()}"
        self.process = Process("agent", [bench.args.build / "bin/patchbay-livekit-agent"], bench.folder / "agent.log", {
            "PAT_NATS_URL": bench.nats.url, "PAT_DATABASE_URL": bench.args.database, "PAT_LOG_FORMAT": "text",
            "PAT_ADMIN_LISTEN": self.admin, "PAT_LIVEKIT_URL": bench.livekit.url,
            "PAT_LIVEKIT_API_KEY": bench.livekit.key, "PAT_LIVEKIT_API_SECRET": bench.livekit.secret,
            "PAT_CALL_SECRET": "secret", "PAT_DEEPGRAM_URL": bench.double("deepgram", "ws"), "PAT_DEEPGRAM_API_KEY": "k",
            "PAT_OPENAI_URL": bench.double("openai", "http") + "/v1", "PAT_OPENAI_API_KEY": "k",
            "PAT_ELEVENLABS_URL": bench.double("elevenlabs", "ws"), "PAT_ELEVENLABS_API_KEY": "k",
            "PAT_AGENT_MAX_CALLS": "400", "PAT_AGENT_REALTIME": str(getattr(bench.args, "realtime", 0)),
            "PAT_TURN_DETECTION": bench.args.detection,
            "PAT_EVENT_LOG_DIR": str(bench.folder)}).start()
        # Postgres may be away: the worker's registration is what counts here.
        self.process.wait_until(lambda: "agent.registered" in self.process.log.read_text(), 20)

    def frames_by_lateness(self) -> dict[float, int]:
        """Packets of speech sent so far, by how far behind their time at most (seconds), as the agent itself saw them."""
        text = urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=5).read().decode()
        found = re.findall(r'pat_agent_frame_late_seconds_bucket\{le="([^"]+)"\} (\d+)', text)
        return {float(le): int(n) for le, n in found}

    def prepare(self, call: str, language: str = "en-US", responsiveness: float | None = None, told: bool = False) -> None:
        settings = {"user_name": "Leo", "greeting_template": GREETING.replace("Leo", "{name}"),
                    "voice_id": "EXAVITQu4vr4xnSDxMaL", "language": language,
                    "voice": {"responsiveness": self.bench.args.responsiveness if responsiveness is None else responsiveness,
                              "interruption_sensitivity": self.bench.args.sensitivity,
                              "boosted_keywords": [call] if told else []}}
        params = {"call_id": call, "user_id": USER, "agent_config_id": CONFIG, "config_version": 1, "from": "+15550109999",
                  "to": "+15550100002", "settings": settings}

        async def ask():
            nc = await nats_client.connect(self.nats_url)
            reply = await nc.request("pat.rpc.v1.agent.prepare", json.dumps(params).encode(), timeout=5)
            await nc.close()
            return json.loads(reply.data)
        answer = asyncio.run(ask())
        assert "result" in answer, answer


class LiveKitAgents(Contender):
    name = "livekit-agents"

    def __init__(self, bench):
        self.livekit = bench.livekit
        self.process = Process("livekit-agents", [self.python(), HERE / "livekit_agents/agent.py", "start"],
                               bench.folder / "livekit-agents.log", {
            "LIVEKIT_URL": bench.livekit.url, "LIVEKIT_API_KEY": bench.livekit.key, "LIVEKIT_API_SECRET": bench.livekit.secret,
            "BENCH_TURNS": bench.args.peer_turns, "BENCH_TUNED": "1" if bench.args.peer_tuned else "",
            "BENCH_PORT": str(free_port()), "BENCH_GREETING": GREETING, "BENCH_DEEPGRAM": bench.double("deepgram", "http") + "/v1/listen",
            "BENCH_OPENAI": bench.double("openai", "http") + "/v1",
            "BENCH_ELEVENLABS": bench.double("elevenlabs", "http") + "/v1"}).start()
        self.process.wait_until(lambda: "registered worker" in self.process.log.read_text(), 60)

    @staticmethod
    def python() -> Path:
        """Of an environment with the framework in it; made when there is none."""
        wanted = HERE / "livekit_agents/requirements.txt"
        cache = Path(os.environ.get("PAT_CACHE", Path.home() / ".cache/patchbay"))
        venv = cache / f"venv-livekit-agents-{hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]}"
        if not (venv / "complete").exists():
            print("installing livekit-agents (a minute)", file=sys.stderr)
            subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
            subprocess.run([venv / "bin/pip", "install", "-q", "-r", wanted], check=True)
            (venv / "complete").touch()
        return venv / "bin/python"

    def prepare(self, call: str, language: str = "en-US", responsiveness: float | None = None, told: bool = False) -> None:
        """Room and dispatch ahead of the call, as for ours."""
        about = json.dumps({"language": language, "keyterm": call if told else ""})

        async def make():
            async with api.LiveKitAPI(self.livekit.http_url, self.livekit.key, self.livekit.secret) as lk:
                await lk.room.create_room(api.CreateRoomRequest(
                    name=f"call_{call}", agents=[api.RoomAgentDispatch(agent_name="pat", metadata=about)]))
        asyncio.run(make())
