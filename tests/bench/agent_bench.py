"""What a voice agent does for N calls at once: how soon it greets, answers and falls silent, and what it costs.

    scripts/bench agent --calls 4 --turns 3 [--peer] [--runs 3] [--json out.json]

Real livekit-server and nats-server, the doubles as recogniser (--stt ms), model (--llm) and voice (--tts), callers by
LiveKit's official SDK. --peer lets LiveKit's Python framework do the same work afterwards, and prints the ratios. With
--runs the medians of the runs are shown. Callers and doubles share the machine with the agent: with many calls their
load shows up in the latencies, so the agent's CPU time is printed beside its wall-clock figures.

greeting   from the later of "active" and our track's subscription to the first voiced frame heard
response   from the caller's last voiced frame sent to the first voiced frame of the reply heard
beyond     the response less the vendors' configured delays: end-of-turn delay, first sentence's tokens, own work, network
own        ours only: the response less what recogniser, model and voice really took, and the turn's delay (turn.agent's timings)
stop       from the caller's first voiced frame into a long reply to the last voiced frame of it heard
cpu        ms of CPU per second of a call, the agent's processes only, while caller and agent take turns
pss        MiB of proportional set size: idle, and what each call added
"""

import argparse
import json
import signal
import statistics
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.contenders import LiveKitAgents, Ours  # noqa: E402
from harness import voice  # noqa: E402
from harness.livekit import LiveKit  # noqa: E402
from harness.nats import Nats  # noqa: E402
from harness.process import Process  # noqa: E402
from harness.sip_leg import SipGate  # noqa: E402
from harness.stack import ROOT, http_json  # noqa: E402
from harness.watch import Watch  # noqa: E402

QUESTION = "hello please tell me your opening hours"
# Without a pause a listener could take for the end.
LONG = "We are open on " + " and ".join(["Monday and Tuesday and Wednesday and Thursday and Friday and Saturday"] * 4)


def uuid7() -> str:
    n = (int(time.time() * 1000) << 80) | (uuid.uuid4().int & ((1 << 80) - 1))
    n = (n & ~(0xF << 76)) | (7 << 76)
    return str(uuid.UUID(int=(n & ~(3 << 62)) | (2 << 62)))


def ring(bench, call: str):
    """The caller's leg."""
    invite = {"uri": f"sip:{call}@bench", "from": "+15550109999", "headers": {}}
    threading.Thread(target=lambda: http_json("POST", f"{bench.gate.base}/sip/invite", invite, timeout_s=30), daemon=True).start()
    return bench.gate.wait_for_leg(call)


class Bench:
    """Servers and doubles, a contender between them, and the callers."""

    def __init__(self, args, contender):
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
            self.control(vendor, latency_ms=ms)
        self.control("deepgram", grammar=voice.sentences())
        self.control("openai", token_ms=args.token)
        self.agent = contender(self)

    def double(self, vendor: str, scheme: str) -> str:
        return f"{scheme}://127.0.0.1:{self.ports[vendor]}"

    def control(self, vendor, **keys):
        http_json("POST", f"http://127.0.0.1:{self.ports['control']}/control/{vendor}", keys)

    def close(self):
        for undo in (self.agent.stop, lambda: self.gate.__exit__(None, None, None), lambda: self.watch.__exit__(None, None, None),
                     self.doubles.stop, self.livekit.stop, self.nats.stop):
            undo()

    def call(self, out: dict) -> None:
        call = out["call"] = uuid7()
        self.agent.prepare(call)
        time.sleep(self.args.ahead)
        leg = ring(self, call)
        leg.wait_active()
        since = max(leg.active_at, leg.subscribed_at)
        out["greeting"] = (leg.wait_speech(since) - since) * 1000
        leg.wait_quiet()
        out["greeted"].set()
        out["ready"].wait()
        for _ in range(self.args.turns):
            leg.say(self.speech)
            said = leg.last_voiced_sent_at
            out["response"].append((leg.wait_speech(said) - said) * 1000)
            leg.wait_quiet()
        out["done"].set()
        out["end"].wait()
        leg.hang_up()

    def stop(self, out: dict) -> None:
        """One call on its own whose caller speaks into long replies."""
        self.control("openai", reply=LONG)
        call = uuid7()
        self.agent.prepare(call)
        time.sleep(self.args.ahead)
        leg = ring(self, call)
        leg.wait_active()
        leg.wait_speech(leg.active_at)
        leg.wait_quiet()
        leg.say(self.speech)
        for _ in range(self.args.interruptions):
            time.sleep(max(0.0, leg.wait_speech(leg.last_voiced_sent_at) + 3.5 - time.monotonic()))  # well inside the reply
            began = leg.start_saying(self.speech)
            last = leg.heard.silent_from(began, 0.6)
            out["stop"].append((last - began) * 1000)
        leg.hang_up()

    def run(self) -> dict:
        self.speech = voice.trim(voice.speak(QUESTION))
        idle = self.agent.used()
        ready, end = threading.Event(), threading.Event()
        outs = [{"response": [], "ready": ready, "end": end, "greeted": threading.Event(), "done": threading.Event()}
                for _ in range(self.args.calls)]
        threads = [threading.Thread(target=self.call, args=(o,), daemon=True) for o in outs]
        for t in threads:
            t.start()
            time.sleep(0.3)
        for o in outs:
            o["greeted"].wait(60)
        began, before = time.monotonic(), self.agent.used()
        ready.set()
        for o in outs:
            o["done"].wait(120)
        after, took = self.agent.used(), time.monotonic() - began
        end.set()
        for t in threads:
            t.join(20)
        stops = {"stop": []}
        if self.args.interruptions:
            self.stop(stops)
        vendors = self.args.stt + self.args.llm + self.args.tts
        response = [r for o in outs for r in o["response"]]
        turns = [e["data"]["timings"] for o in outs for e in self.watch.of("turn.agent", o["call"])
                 if e["data"]["timings"].get("own_ms") is not None]
        return {"calls": self.args.calls, "greeting_ms": spread([o["greeting"] for o in outs if "greeting" in o]),
                "response_ms": spread(response), "beyond_ms": spread([r - vendors for r in response]),
                "own_ms": spread([t["own_ms"] for t in turns]), "stop_ms": spread(stops["stop"]),
                "pss_idle_mib": round(idle[1], 1), "pss_per_call_mib": round((after[1] - idle[1]) / self.args.calls, 2),
                "cpu_ms_per_call_second": round((after[0] - before[0]) * 1000 / took / self.args.calls, 2)}


def spread(values: list[float]) -> dict | None:
    if not values:
        return None
    v = sorted(values)
    return {"n": len(v), "p50": round(statistics.median(v), 1), "p95": round(v[min(len(v) - 1, int(0.95 * len(v)))], 1),
            "max": round(v[-1], 1)}


def measure(args, contender) -> dict:
    """The run with the median CPU of args.runs."""
    results = []
    for _ in range(args.runs):
        b = Bench(args, contender)
        try:
            results.append(b.run())
        finally:
            b.close()
            if args.keep:
                print(b.folder)
    return sorted(results, key=lambda r: r["cpu_ms_per_call_second"])[len(results) // 2]


def show(results: dict[str, dict]) -> None:
    width = 44
    print(f"{'':24}" + "".join(f"{name:{width}}" for name in results))
    for key in next(iter(results.values())):
        print(f"{key:24}" + "".join(f"{json.dumps(r[key]).replace(chr(34), ''):{width}}" for r in results.values()))
    if len(results) == 2:
        ours, peer = results.values()
        for key in ("cpu_ms_per_call_second", "pss_per_call_mib", "pss_idle_mib"):
            print(f"{key}: {peer[key] / max(ours[key], 0.01):.0f} times less")
        for key in ("greeting_ms", "beyond_ms", "stop_ms"):
            if ours[key] and peer[key]:
                print(f"{key} p50: {peer[key]['p50'] - ours[key]['p50']:.0f} ms sooner")


def arguments() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", type=Path, default=ROOT / "build/release")
    p.add_argument("--doubles", type=Path, help="another build of patchbay-doubles")
    p.add_argument("--peer", action="store_true", help="livekit-agents beside ours")
    p.add_argument("--peer-turns", choices=("stt", "vad", "model"), default="stt", help="who ends a turn there (model: its own default)")
    p.add_argument("--peer-tuned", action="store_true", help="its delays as short as ours, not its defaults")
    p.add_argument("--runs", type=int, default=1)
    p.add_argument("--detection", choices=("endpointing", "flux"), default="endpointing", help="who judges ends of turns")
    p.add_argument("--calls", type=int, default=1)
    p.add_argument("--turns", type=int, default=3)
    p.add_argument("--interruptions", type=int, default=3)
    p.add_argument("--ahead", type=float, default=1.0, help="seconds between prepare and INVITE")
    p.add_argument("--stt", type=int, default=250)
    p.add_argument("--llm", type=int, default=250)
    p.add_argument("--tts", type=int, default=100)
    p.add_argument("--token", type=int, default=0, help="ms between two tokens of the model")
    p.add_argument("--responsiveness", type=float, default=1.0)
    p.add_argument("--sensitivity", type=float, default=1.0)
    p.add_argument("--database", default="postgres://nobody@127.0.0.1:9/none")
    p.add_argument("--json", type=Path)
    p.add_argument("--keep", action="store_true", help="say where the logs are")
    return p


def main():
    args = arguments().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started ends with us
    contenders = [Ours, LiveKitAgents] if args.peer else [Ours]
    results = {c.name: measure(args, c) for c in contenders}
    show(results)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
