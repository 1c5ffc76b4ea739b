"""Many calls on one livekit-agent: what each costs, whether frames keep their time, whether memory stays flat.

    scripts/bench agent_load --calls 100 --seconds 30

LiveKit's server and LiveKit's SDK would need more of the machine than the agent: tests/bench/sfu plays both in one
program, with real ICE, DTLS and SRTP and recorded packets. Every caller asks once in --period seconds, so that the agent
speaks about half of the time. The recogniser answers from a script (what is measured is the agent), model and voice
are the doubles.

cpu        ms of CPU per second of a call, the agent's process only; 1000 / cpu calls would fill a core
sent       by the agent's own clock: the share of its packets that left within 5 ms of their time; where 99.9 % lie
late       how much longer than 20 ms after its predecessor a packet of the agent's came (its share of packets in the name)
response   from the caller's last voiced packet to the agent's first, the vendors' delays included
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.agent_bench import QUESTION, uuid7  # noqa: E402
from bench.contenders import Ours  # noqa: E402
from harness import voice  # noqa: E402
from harness.nats import Nats  # noqa: E402
from harness.process import Process, free_port  # noqa: E402
from harness.stack import ROOT, http_json  # noqa: E402

TOLD = "We are open from nine in the morning to six in the evening, from Monday to Friday, and on Saturday until noon."


class Load:
    """The calls: tests/bench/sfu/agent_load.c, told what to do by lines."""

    def __init__(self, args, port: int, pcm: Path):
        self.child = subprocess.Popen([args.build / "bench/agent_load", str(port), str(args.calls), pcm, str(args.noise),
                                       str(int(args.period * 1000))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, command: str) -> dict:
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def stop(self) -> None:
        self.child.stdin.close()
        self.child.wait(10)


class Bench:
    def __init__(self, args):
        self.args = args
        self.folder = Path(tempfile.mkdtemp(prefix="patchbay-bench-"))
        self.nats = Nats(self.folder / "nats").start()
        self.doubles = Process("doubles", [args.build / "bin/patchbay-doubles"], self.folder / "doubles.log",
                               {"PAT_PORT_FILE": str(self.folder / "ports.json")}).start()
        self.doubles.wait_until((self.folder / "ports.json").exists, 30)
        self.ports = json.loads((self.folder / "ports.json").read_text())
        self.control("deepgram", latency_ms=args.stt, script=[QUESTION] * 100)
        self.control("openai", latency_ms=args.llm, reply=TOLD)
        self.control("elevenlabs", latency_ms=args.tts)
        pcm = self.folder / "question.pcm"
        voice.trim(voice.speak(QUESTION)).astype("<i2").tofile(pcm)
        port = free_port()
        self.livekit = SimpleNamespace(url=f"ws://127.0.0.1:{port}", key="key", secret="secret" * 6)
        self.load = Load(args, port, pcm)
        self.agent = Ours(self)

    def double(self, vendor: str, scheme: str) -> str:
        return f"{scheme}://127.0.0.1:{self.ports[vendor]}"

    def control(self, vendor, **keys):
        http_json("POST", f"http://127.0.0.1:{self.ports['control']}/control/{vendor}", keys)

    def close(self):
        for undo in (self.agent.stop, self.load.stop, self.doubles.stop, self.nats.stop):
            undo()

    def run(self) -> dict:
        calls = self.args.calls
        idle = self.agent.used()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.agent.prepare, [uuid7() for _ in range(calls)]))
        self.load.tell("wait")
        time.sleep(self.args.period)  # every caller has begun
        frames = self.agent.frames_by_lateness()
        before, began = self.agent.used(), time.monotonic()
        figures = self.load.tell(f"measure {self.args.seconds}")
        after, took = self.agent.used(), time.monotonic() - began
        sent = {le: n - frames[le] for le, n in self.agent.frames_by_lateness().items()}
        cpu = (after[0] - before[0]) * 1000 / took / calls
        return figures | {"cpu_ms_per_call_second": round(cpu, 2), "calls_per_core": round(1000 / cpu),
                          "agent_core_share": round((after[0] - before[0]) / took, 2),
                          "sent_within_5ms": round(sent[0.005] / max(1, sent[float("inf")]), 5),
                          "sent_late_999_ms": next(le for le, n in sorted(sent.items()) if n >= 0.999 * sent[float("inf")]) * 1000,
                          "pss_idle_mib": round(idle[1], 1), "pss_per_call_mib": round((after[1] - idle[1]) / calls, 2)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", type=Path, default=ROOT / "build/release")
    p.add_argument("--calls", type=int, default=100)
    p.add_argument("--seconds", type=int, default=30)
    p.add_argument("--period", type=float, default=16, help="seconds from one question of a caller to its next")
    p.add_argument("--noise", type=int, default=8, help="peak of the quiet line's noise; 0: digital silence")
    p.add_argument("--stt", type=int, default=250)
    p.add_argument("--llm", type=int, default=250)
    p.add_argument("--tts", type=int, default=100)
    p.add_argument("--detection", choices=("endpointing", "flux"), default="endpointing", help="who says that a turn is over")
    p.add_argument("--responsiveness", type=float, default=1.0)
    p.add_argument("--sensitivity", type=float, default=1.0)
    p.add_argument("--realtime", type=int, default=0, help="PAT_AGENT_REALTIME")
    p.add_argument("--database", default="postgres://nobody@127.0.0.1:9/none")
    p.add_argument("--keep", action="store_true", help="say where the logs are")
    p.add_argument("--json", type=Path)
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
