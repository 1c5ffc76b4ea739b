"""What a voice agent does for N calls at once: how soon it greets, answers and falls silent, and what it costs.

    scripts/bench agent --calls 4 --turns 3 [--peer] [--runs 3] [--json out.json]

Real livekit-server and nats-server, the doubles as recogniser (--stt ms), model (--llm) and voice (--tts), callers by
LiveKit's official SDK. --peer lets LiveKit's Python framework do the same work, and prints the ratios. With --runs the
medians of the runs are shown, the contenders taking turns. A call that fails is made again, a few times, and counted.
Callers and doubles share the machine with the agent: with many calls their load shows up in the latencies, so the
agent's CPU time is printed beside its wall-clock figures.

greeting   from the later of "active" and our track's subscription to the first voiced frame heard
response   from the caller's last voiced frame sent to the first voiced frame of the reply heard
beyond     the response less the vendors' configured delays: end-of-turn delay, first sentence's tokens, own work, network
own        ours only: the response less what recogniser, model and voice really took, and the turn's delay (turn.agent's timings)
stop       from the caller's first voiced frame into a long reply to the last voiced frame of it heard
cpu        ms of CPU per second of a call, the agent's processes only, while caller and agent take turns
sound      the greeting as heard against what was synthesised (sound.py)
pss        MiB of proportional set size: idle, and what each call added
"""

import argparse
import copy
import json
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench import sound  # noqa: E402
from bench.contenders import GREETING, LiveKitAgents, Ours  # noqa: E402
from bench.dialogues import timed  # noqa: E402
from harness import voice  # noqa: E402
from harness.livekit import LiveKit  # noqa: E402
from harness.nats import Nats  # noqa: E402
from harness.process import Process  # noqa: E402
from harness.sip_leg import SipGate  # noqa: E402
from harness.stack import ROOT, http_json  # noqa: E402
from harness.watch import Watch  # noqa: E402

ATTEMPTS = 3
# Recogniser, model, voice: what the vendors say themselves. Deepgram: about 260 ms to the end of a turn (Flux' quickstart).
# ElevenLabs: 75 ms of inference, up to 230 ms to the first byte in Europe. OpenAI gives no figure; 700 ms is what we allow.
PUBLISHED = (260, 700, 230)
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
        self.control("openai", token_ms=args.token)
        self.synthesised(GREETING)  # the first words of a voice take the double longer
        self.failed: list[str] = []
        self.agent = contender(self)

    def double(self, vendor: str, scheme: str) -> str:
        return f"{scheme}://127.0.0.1:{self.ports[vendor]}"

    def control(self, vendor, **keys):
        http_json("POST", f"http://127.0.0.1:{self.ports['control']}/control/{vendor}", keys)

    def close(self):
        for undo in (self.agent.stop, lambda: self.gate.__exit__(None, None, None), lambda: self.watch.__exit__(None, None, None),
                     self.doubles.stop, self.livekit.stop, self.nats.stop):
            undo()

    def connect(self) -> tuple[str, object, float]:
        """A call that is answered and greeted; its id, its leg, when it could hear."""
        call = uuid7()
        self.control("deepgram", told={"keyterm": call, "words": []})
        self.agent.prepare(call, told=True)
        time.sleep(self.args.ahead)
        leg = ring(self, call)
        try:
            leg.wait_active()
            since = max(leg.active_at, leg.subscribed_at)
            leg.wait_speech(since)
            leg.wait_quiet()
            return call, leg, since
        except (AssertionError, TimeoutError):
            leg.hang_up()
            raise

    def again(self, what):
        """Its result; a call that fails is counted, and made again a few times."""
        for left in reversed(range(ATTEMPTS)):
            try:
                return what()
            except (AssertionError, TimeoutError, OSError) as e:
                self.failed.append(f"{type(e).__name__}: {e}")
                if not left:
                    raise

    def call(self, out: dict) -> None:
        try:
            out["call"], leg, since = self.again(self.connect)
            out["greeting"] = (leg.heard.first_voiced(since) - since) * 1000
            out["heard"] = leg.heard.since(since)
            out["greeted"].set()
            out["ready"].wait()
            for _ in range(self.args.turns):
                self.ask(out["call"], leg.say)
                said = leg.last_voiced_sent_at
                out["response"].append((leg.wait_speech(said) - said) * 1000)
                leg.wait_quiet()
            out["done"].set()
            out["end"].wait()
            leg.hang_up()
        except (AssertionError, TimeoutError, OSError) as e:
            out["failed"] = str(e)
        finally:
            out["greeted"].set()
            out["done"].set()

    def ask(self, call: str, say):
        """The question; its words are told to the recogniser, whose own work would be most of the machine's."""
        self.control("deepgram", told={"keyterm": call, "words": timed(QUESTION, 0, len(self.speech) * 1000 / voice.RATE)})
        return say(self.speech)

    def stop(self) -> list[float]:
        """One call on its own whose caller speaks into long replies."""
        self.control("openai", reply=LONG)
        call, leg, _ = self.connect()
        stops = []
        self.ask(call, leg.say)
        for _ in range(self.args.interruptions):
            time.sleep(max(0.0, leg.wait_speech(leg.last_voiced_sent_at) + 3.5 - time.monotonic()))  # well inside the reply
            began = self.ask(call, leg.start_saying)
            stops.append((leg.heard.silent_from(began, 0.6) - began) * 1000)
        leg.hang_up()
        return stops

    def synthesised(self, text: str) -> np.ndarray:
        """What the voice's double makes of it, 24 kHz."""
        request = urllib.request.Request(
            f"{self.double('elevenlabs', 'http')}/v1/text-to-speech/EXAVITQu4vr4xnSDxMaL?output_format=pcm_24000",
            json.dumps({"text": text, "model_id": "eleven_flash_v2_5"}).encode(),
            {"Content-Type": "application/json", "xi-api-key": "k"})
        with urllib.request.urlopen(request, timeout=20) as r:
            return voice.trim(np.frombuffer(r.read(), "<i2"), 24000)

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
            o["greeted"].wait(180)
        began, before = time.monotonic(), self.agent.used()
        ready.set()
        for o in outs:
            o["done"].wait(120)
        after, took = self.agent.used(), time.monotonic() - began
        end.set()
        for t in threads:
            t.join(20)
        broken = [o["failed"] for o in outs if "failed" in o]
        if broken:
            raise Broken(broken)
        stops = self.again(self.stop) if self.args.interruptions else []
        vendors = self.args.stt + self.args.llm + self.args.tts
        response = [r for o in outs for r in o["response"]]
        turns = [e["data"]["timings"] for o in outs for e in self.watch.of("turn.agent", o["call"])
                 if e["data"]["timings"].get("own_ms") is not None]
        sentence = self.synthesised(GREETING)
        sounds = [sound.compare(sentence, 24000, o["heard"], voice.RATE) for o in outs]
        return {"calls": self.args.calls, "greeting_ms": spread([o["greeting"] for o in outs]),
                "response_ms": spread(response), "beyond_ms": spread([r - vendors for r in response]),
                "own_ms": spread([t["own_ms"] for t in turns]), "stop_ms": spread(stops),
                "pss_idle_mib": round(idle[1], 1), "pss_per_call_mib": round((after[1] - idle[1]) / self.args.calls, 2),
                "cpu_ms_per_call_second": round((after[0] - before[0]) * 1000 / took / self.args.calls, 2),
                "sound": {k: worth(statistics.median, [s[k] for s in sounds]) for k in sounds[0]},
                "failed_calls": len(self.failed)}


class Broken(Exception):
    """Calls that ended while they were measured: the run says nothing."""


def worth(of, values: list):
    found = [v for v in values if v is not None]
    return round(of(found), 2) if found else None


def spread(values: list[float]) -> dict | None:
    if not values:
        return None
    v = sorted(values)
    return {"n": len(v), "p50": round(statistics.median(v), 1), "p95": round(v[min(len(v) - 1, int(0.95 * len(v)))], 1),
            "max": round(v[-1], 1)}


def once(args, contender) -> dict:
    """One run; one that broke is made again, and what failed in it counts."""
    failed = 0
    for left in reversed(range(ATTEMPTS)):
        b = Bench(args, contender)
        try:
            result = b.run()
            return result | {"failed_calls": result["failed_calls"] + failed}
        except (Broken, AssertionError, TimeoutError, OSError) as e:
            print(f"{contender.name}: {e}; logs in {b.folder}", file=sys.stderr)
            failed += max(1, len(b.failed), len(e.args[0]) if isinstance(e, Broken) else 0)
            if not left:
                raise
        finally:
            b.close()
            if args.keep:
                print(b.folder, file=sys.stderr)


def middle(results: list[dict]) -> dict:
    """Of each figure the median of the runs; failed calls of all of them."""
    def of(values):
        if isinstance(values[0], dict):
            return {k: of([v[k] for v in values]) for k in values[0]}
        found = [v for v in values if v is not None]
        return round(statistics.median(found), 2) if found else None
    return {k: of([r[k] for r in results if r[k] is not None] or [None]) for k in results[0]} | {
        "failed_calls": sum(r["failed_calls"] for r in results)}


def measure(args, chosen: list) -> dict[str, dict]:
    """Run by run in turn, so that all see the same neighbours."""
    runs = {c.name: [] for c in chosen}
    for _ in range(args.runs):
        for c in chosen:
            try:
                found = once(args, c)
            except (Broken, AssertionError, TimeoutError, OSError) as e:
                print(f"{c.name}: no run came through: {e}", file=sys.stderr)
                continue
            runs[c.name].append(found)
            print(f"{c.name}: {json.dumps(found)}", file=sys.stderr)
    return {name: middle(found) for name, found in runs.items() if found}


def published(args, chosen: list) -> dict[str, dict]:
    """The responses alone, with vendors as slow as they say they may be."""
    slow = copy.copy(args)
    slow.runs, slow.interruptions = 1, 0
    slow.stt, slow.llm, slow.tts = PUBLISHED
    return {name: r["response_ms"] for name, r in measure(slow, chosen).items()}


def show(results: dict[str, dict]) -> None:
    width = 44
    print(f"{'':24}" + "".join(f"{name:{width}}" for name in results))
    for key in next(iter(results.values())):
        print(f"{key:24}" + "".join(f"{json.dumps(r[key]).replace(chr(34), ''):{width}}" for r in results.values()))
    if len(results) == 2:
        ours, peer = results.values()
        for key in ("cpu_ms_per_call_second", "pss_per_call_mib", "pss_idle_mib"):
            print(f"{key}: {peer[key] / max(ours[key], 0.01):.1f} times less")
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
    p.add_argument("--published", action="store_true", help=f"also with vendors' delays of {PUBLISHED} ms")
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
    chosen = [Ours, LiveKitAgents] if args.peer else [Ours]
    load = os.getloadavg()[0]
    results = measure(args, chosen)
    if args.published:
        for name, response in published(args, chosen).items():
            results[name]["published_response"] = response
    show(results)
    print(f"load of the machine: {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    if args.json:
        args.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
