"""What one livekit-agent does for N calls at once: how soon it greets and answers, what it costs.

    . scripts/env && python tests/bench/agent_bench.py --calls 4 --turns 3 [--build build/release] [--json out.json]

Real livekit-server and nats-server, the doubles as recogniser (--stt ms), model (--llm) and voice (--tts), callers by
LiveKit's official SDK. Callers run in this process: with many of them their own load shows up in the latencies, so the
agent's CPU time is printed beside its wall-clock figures.

greeting   from the later of "active" and our track's subscription to the first voiced frame heard
response   from the caller's last voiced frame sent to the first voiced frame of the reply heard
own        the agent's own share of it: the response less what recogniser, model and voice took (turn.agent's timings)
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import nats as nats_client

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import voice  # noqa: E402
from harness.livekit import LiveKit  # noqa: E402
from harness.nats import Nats  # noqa: E402
from harness.process import Process, free_port, http_status  # noqa: E402
from harness.sip_leg import SipGate  # noqa: E402
from harness.stack import ROOT, http_json  # noqa: E402
from harness.watch import Watch  # noqa: E402

USER, CONFIG = str(uuid.uuid4()), str(uuid.uuid4())
QUESTION = "hello please tell me your opening hours"


def uuid7() -> str:
    n = (int(time.time() * 1000) << 80) | (uuid.uuid4().int & ((1 << 80) - 1))
    n = (n & ~(0xF << 76)) | (7 << 76)
    return str(uuid.UUID(int=(n & ~(3 << 62)) | (2 << 62)))


class Bench:
    def __init__(self, args):
        self.args = args
        self.folder = Path(tempfile.mkdtemp(prefix="patchbay-bench-"))
        self.nats = Nats(self.folder / "nats").start()
        self.livekit = LiveKit(self.folder / "livekit").start()
        self.doubles = Process("doubles", [args.doubles or args.build / "bin/patchbay-doubles"], self.folder / "doubles.log",
                               {"PAT_PORT_FILE": str(self.folder / "ports.json")}).start()
        self.doubles.wait_until((self.folder / "ports.json").exists, 30)
        self.ports = json.loads((self.folder / "ports.json").read_text())
        self.gate = SipGate(self.livekit.url, self.livekit.key, self.livekit.secret, "pat").__enter__()
        self.watch = Watch(self.nats.url).__enter__()
        for vendor, ms in (("deepgram", args.stt), ("openai", args.llm), ("elevenlabs", args.tts)):
            if vendor in self.ports:
                self.control(vendor, latency_ms=ms)
        if "deepgram" in self.ports:
            self.control("deepgram", grammar=voice.sentences())
        self.admin = free_port()
        double = lambda v, scheme: f"{scheme}://127.0.0.1:{self.ports.get(v, 9)}"  # noqa: E731
        self.agent = Process("agent", [args.build / "bin/patchbay-livekit-agent"], self.folder / "agent.log", {
            "PAT_NATS_URL": self.nats.url, "PAT_DATABASE_URL": args.database, "PAT_LOG_FORMAT": "text",
            "PAT_ADMIN_LISTEN": f"127.0.0.1:{self.admin}", "PAT_LIVEKIT_URL": self.livekit.url,
            "PAT_LIVEKIT_API_KEY": self.livekit.key, "PAT_LIVEKIT_API_SECRET": self.livekit.secret,
            "PAT_CALL_SECRET": "secret", "PAT_DEEPGRAM_URL": double("deepgram", "ws"), "PAT_DEEPGRAM_API_KEY": "k",
            "PAT_OPENAI_URL": double("openai", "http") + "/v1", "PAT_OPENAI_API_KEY": "k",
            "PAT_ELEVENLABS_URL": double("elevenlabs", "ws"), "PAT_ELEVENLABS_API_KEY": "k",
            "PAT_EVENT_LOG_DIR": str(self.folder)}).start()
        # Postgres may be away: the worker's registration is what counts here.
        self.agent.wait_until(lambda: "agent.registered" in self.agent.log.read_text(), 20)

    def control(self, vendor, **keys):
        http_json("POST", f"http://127.0.0.1:{self.ports['control']}/control/{vendor}", keys)

    def close(self):
        for undo in (self.agent.stop, lambda: self.gate.__exit__(None, None, None), lambda: self.watch.__exit__(None, None, None),
                     self.doubles.stop, self.livekit.stop, self.nats.stop):
            undo()

    def prepare(self, call: str) -> None:
        settings = {"user_name": "Leo", "greeting_template": "Hello, this is the assistant of {name}. How can I help you?",
                    "voice_id": "EXAVITQu4vr4xnSDxMaL", "language": "en-US", "voice": {"responsiveness": 1}}
        params = {"call_id": call, "user_id": USER, "agent_config_id": CONFIG, "config_version": 1, "from": "+15550109999",
                  "to": "+15550100002", "settings": settings}

        async def ask():
            nc = await nats_client.connect(self.nats.url)
            reply = await nc.request("pat.rpc.v1.agent.prepare", json.dumps(params).encode(), timeout=5)
            await nc.close()
            return json.loads(reply.data)
        answer = asyncio.run(ask())
        assert "result" in answer, answer

    def proc(self) -> tuple[float, float]:
        """CPU seconds so far, resident MiB."""
        stat = Path(f"/proc/{self.agent.pid}/stat").read_text().rsplit(")", 1)[1].split()
        rss = next(line for line in Path(f"/proc/{self.agent.pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK"), int(rss.split()[1]) / 1024

    def call(self, out: dict) -> None:
        call = out["call"] = uuid7()
        self.prepare(call)
        time.sleep(self.args.ahead)
        invite = {"uri": f"sip:{call}@bench", "from": "+15550109999", "headers": {}}
        threading.Thread(target=lambda: http_json("POST", f"{self.gate.base}/sip/invite", invite, timeout_s=30), daemon=True).start()
        leg = self.gate.wait_for_leg(call)
        leg.wait_active()
        since = max(leg.active_at, leg.subscribed_at)
        out["greeting"] = (leg.wait_speech(since) - since) * 1000
        leg.wait_quiet()
        out["ready"].wait()
        for _ in range(self.args.turns):
            leg.say(self.speech)
            said = leg.last_voiced_sent_at
            out["response"].append((leg.wait_speech(said) - said) * 1000)
            leg.wait_quiet()
        out["done"].set()
        out["end"].wait()
        leg.hang_up()

    def run(self) -> dict:
        self.speech = voice.trim(voice.speak(QUESTION))
        idle = self.proc()
        ready, end = threading.Event(), threading.Event()
        outs = [{"response": [], "ready": ready, "end": end, "done": threading.Event()} for _ in range(self.args.calls)]
        threads = [threading.Thread(target=self.call, args=(o,), daemon=True) for o in outs]
        for t in threads:
            t.start()
            time.sleep(0.3)
        deadline = time.monotonic() + 60
        while not all("greeting" in o for o in outs) and time.monotonic() < deadline:
            time.sleep(0.1)
        began, before = time.monotonic(), self.proc()
        ready.set()
        for o in outs:
            o["done"].wait(120)
        after, took = self.proc(), time.monotonic() - began
        end.set()
        for t in threads:
            t.join(20)
        time.sleep(1)
        turns = [e["data"]["timings"] for o in outs for e in self.watch.of("turn.agent", o["call"])
                 if e["data"]["timings"].get("own_ms") is not None]
        return {"calls": self.args.calls, "greeting_ms": spread([o["greeting"] for o in outs if "greeting" in o]),
                "response_ms": spread([r for o in outs for r in o["response"]]),
                "own_ms": spread([t["own_ms"] for t in turns]),
                "agent_response_ms": spread([t["response_ms"] for t in turns]),
                "pss_idle_mib": round(idle[1], 1), "pss_per_call_mib": round((after[1] - idle[1]) / self.args.calls, 2),
                "pss_after_mib": round(self.proc()[1], 1),
                "cpu_ms_per_call_second": round((after[0] - before[0]) * 1000 / took / self.args.calls, 2)}


def spread(values: list[float]) -> dict | None:
    if not values:
        return None
    v = sorted(values)
    return {"n": len(v), "p50": round(statistics.median(v), 1), "p95": round(v[min(len(v) - 1, int(0.95 * len(v)))], 1),
            "max": round(v[-1], 1)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", type=Path, default=ROOT / "build/dev")
    p.add_argument("--doubles", type=Path, help="another build of patchbay-doubles")
    p.add_argument("--calls", type=int, default=1)
    p.add_argument("--turns", type=int, default=3)
    p.add_argument("--ahead", type=float, default=1.0, help="seconds between prepare and INVITE")
    p.add_argument("--stt", type=int, default=250)
    p.add_argument("--llm", type=int, default=250)
    p.add_argument("--tts", type=int, default=100)
    p.add_argument("--database", default="postgres://nobody@127.0.0.1:9/none")
    p.add_argument("--json", type=Path)
    p.add_argument("--keep", action="store_true", help="say where the logs are")
    args = p.parse_args()
    b = Bench(args)
    try:
        result = b.run()
    finally:
        b.close()
        if args.keep:
            print(b.folder)
    for k, v in result.items():
        print(f"{k:24} {v}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
