"""Many short calls one after the other on one livekit-agent: whether its memory stays flat.

    scripts/bench agent_flat --calls 400 --at-once 8

Real livekit-server, nats-server and PostgreSQL (without it events wait in memory), the doubles as vendors, callers by LiveKit's SDK. Each call is prepared, greeted, asks
--turns questions, hears the beginning of each reply and hangs up. After every --step calls, when none is open any more, a
line: MiB of proportional set size (pss) and of pages that are the process's alone (private: other processes that share our
libraries do not move it), descriptors, threads. The first step is what a process needs once.
"""

import argparse
import json
import signal
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.agent_bench import QUESTION, Bench, ring, uuid7  # noqa: E402
from bench.contenders import USER, Ours  # noqa: E402
from harness import voice  # noqa: E402
from harness.patdb import add_user, migrate  # noqa: E402
from harness.postgres import DAEMON, OWNER, Postgres  # noqa: E402
from harness.stack import ROOT  # noqa: E402


class Flat(Bench):
    def one(self, _) -> bool:
        """A short call; whether it went as it should."""
        call = uuid7()
        try:
            self.control("deepgram", told={"keyterm": call, "words": []})
            self.agent.prepare(call, told=True)
            leg = ring(self, call)
            try:
                self.talk(call, leg)
            finally:
                leg.hang_up()
            return True
        except (AssertionError, TimeoutError, OSError):  # a caller's SDK that cannot leave in time counts as well
            return False

    def talk(self, call: str, leg) -> None:
        leg.wait_active()
        leg.wait_speech(leg.active_at)
        leg.wait_quiet()
        for _ in range(self.args.turns):
            self.ask(call, leg.say)
            leg.wait_speech(leg.last_voiced_sent_at)

    def open_calls(self) -> int:
        text = urllib.request.urlopen(f"http://{self.agent.admin}/metrics", timeout=5).read().decode()
        return int(float(next(line.split()[1] for line in text.splitlines() if line.startswith("pat_agent_calls "))))

    def wait_idle(self) -> None:
        until = time.monotonic() + 60
        while self.open_calls():
            if time.monotonic() > until:
                raise TimeoutError("calls stayed open after their callers had gone")
            time.sleep(0.2)

    def figures(self, calls: int, failed: int) -> dict:
        proc = Path(f"/proc/{self.agent.process.pid}")
        rollup = (proc / "smaps_rollup").read_text().splitlines()
        private = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
        found = {"calls": calls, "failed": failed, "pss_mib": round(self.agent.used()[1], 2), "private_mib": round(private / 1024, 2),
                 "descriptors": len(list((proc / "fd").iterdir())), "threads": len(list((proc / "task").iterdir()))}
        print(json.dumps(found), flush=True)
        return found

    def run(self) -> list[dict]:
        self.speech = voice.trim(voice.speak(QUESTION))
        failed, rows = 0, [self.figures(0, 0)]
        with ThreadPoolExecutor(self.args.at_once) as pool:
            for done in range(self.args.step, self.args.calls + 1, self.args.step):
                failed += sum(not went for went in pool.map(self.one, range(self.args.step)))
                self.wait_idle()
                rows.append(self.figures(done, failed))
        return rows


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", type=Path, default=ROOT / "build/release")
    p.add_argument("--doubles", type=Path, help="another build of patchbay-doubles")
    p.add_argument("--calls", type=int, default=1000)
    p.add_argument("--at-once", type=int, default=8)
    p.add_argument("--step", type=int, default=100)
    p.add_argument("--turns", type=int, default=1)
    p.add_argument("--json", type=Path)
    p.set_defaults(detection="endpointing", stt=250, llm=250, tts=100, token=0, responsiveness=1.0, sensitivity=1.0, realtime=0)
    args = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started ends with us
    with Postgres() as pg:
        pg.create_database("patchbay")
        migrate(pg.url(OWNER))
        with psycopg.connect(pg.url(OWNER), autocommit=True) as c:
            add_user(c, USER, "leo@example.com", "Leo", "+15550100002")
        args.database = pg.url(DAEMON)
        b = Flat(args, Ours)
        try:
            rows = b.run()
        finally:
            b.close()
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
