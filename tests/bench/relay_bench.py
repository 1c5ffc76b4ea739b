"""What one of Retell's webhooks costs the relay: verified, stored for good, acknowledged, and told on NATS.

    scripts/bench relay [--rate 1000] [--seconds 10] [--connections 32] [--runs 3] [--project] [--json out.json]

Real PostgreSQL with fsync, synchronous_commit and full_page_writes on, real NATS with JetStream, tests/bench/relay_load as Retell
(an open loop over raw sockets). A run ends when NATS has the news of the last webhook. CPU is the relay process's own, all threads,
until then: it hardly depends on what else the machine does; latency does. What is made of webhooks afterwards (rows of calls,
almost all of it Postgres' work) is kept away until the run is over, unless --project lets it run beside.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness.patdb import add_user  # noqa: E402
from harness.postgres import OWNER, Postgres  # noqa: E402
from harness.stack import RITA, ROOT, Stack  # noqa: E402


def cpu_us(pid: int, thread: int | None = None) -> float:
    tasks = [Path(f"/proc/{pid}/task/{thread}")] if thread else Path(f"/proc/{pid}/task").iterdir()
    return sum(int((t / "schedstat").read_text().split()[0]) for t in tasks) / 1e3


class Bench(Stack):
    """Only what a webhook touches."""

    def _postgres(self):
        return Postgres({"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"})

    def _start_doubles(self):
        pass

    def _script_doubles(self):
        pass

    def _seed(self):
        with psycopg.connect(self.pg.url(OWNER, "patchbay"), autocommit=True) as c:
            add_user(c, RITA.id, "rita@example.com", "Rita", RITA.number)

    def _start_daemons(self, relay_port):
        self._daemon("webhook-relay", "PAT_RELAY_LISTEN", self._livekit_env() | {"PAT_RETELL_WEBHOOK_KEY": self.retell_key}).start()


def one_run(s: Stack, load: Path, args, seconds: int) -> dict:
    relay = s.daemons["webhook-relay"]
    pid = relay.process.pid
    before = s.sql("select count(*) from patchbay.webhook_inbox")[0][0]
    begun, loop_begun = cpu_us(pid), cpu_us(pid, pid)
    done = subprocess.run([load, str(relay.port), str(RITA.id), str(args.rate), str(seconds), str(args.connections)],
                          capture_output=True, text=True, timeout=seconds * 10 + 60, env=os.environ | {"PAT_RETELL_WEBHOOK_KEY": s.retell_key})
    if done.returncode not in (0, 1) or not done.stdout:
        raise RuntimeError(f"{done.stdout}{done.stderr}\n{relay.process.tail()}")
    r = json.loads(done.stdout)
    answered = time.monotonic()
    while s.sql("select exists (select from patchbay.outbox where published_at is null)")[0][0]:
        if time.monotonic() - answered > 60:
            raise RuntimeError("not all is told")
        time.sleep(0.05)
    r["told_after_s"] = round(time.monotonic() - answered, 2)
    r["cpu_all_us"] = round((cpu_us(pid) - begun) / r["requests"], 1)
    r["cpu_loop_us"] = round((cpu_us(pid, pid) - loop_begun) / r["requests"], 1)
    stored, commits = s.sql("select count(*), count(distinct xmin::text) from (select xmin from patchbay.webhook_inbox "
                            "order by received_at desc limit %s) x", r["requests"])[0]
    total = s.sql("select count(*) from patchbay.webhook_inbox")[0][0] - before
    if total != r["requests"] - r["refused"]:
        raise RuntimeError(f"{r['requests'] - r['refused']} were acknowledged, {total} are stored")
    r["per_commit"] = round(stored / commits, 2)
    return r


def hold_projection(s: Stack, hold: bool) -> None:
    """The relay asks, and there is nothing for it to do."""
    if not hold:
        s.sql("drop function patchbay.use_webhooks(integer)")
        s.sql("alter function patchbay.use_webhooks_held(integer) rename to use_webhooks")
        return
    s.sql("alter function patchbay.use_webhooks(integer) rename to use_webhooks_held")
    s.sql("create function patchbay.use_webhooks(p_max integer) returns table (webhook uuid, sender text, became text, why text) "
          "language sql as 'select null::uuid, null::text, null::text, null::text where false'")


SHOW = [("cpu_all_us", "CPU of the relay per webhook, all of it", "us"), ("cpu_loop_us", "of that, the loop's thread", "us"),
        ("p50_us", "acknowledged, half of them within", "us"), ("p90_us", "acknowledged, 90 % within", "us"),
        ("p99_us", "acknowledged, 99 % within", "us"), ("max_us", "slowest", "us"), ("told_after_s", "last news told after", "s"),
        ("per_commit", "webhooks a commit", "")]


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rate", type=int, default=1000)
    p.add_argument("--seconds", type=int, default=10)
    p.add_argument("--connections", type=int, default=32)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--project", action="store_true")
    p.add_argument("--build", type=Path, default=ROOT / "build/release")
    p.add_argument("--json", type=Path)
    args = p.parse_args()
    with Bench(args.build, Path(tempfile.mkdtemp(prefix="patchbay-bench-")), with_livekit=False) as s:
        if not args.project:
            hold_projection(s, True)
        one_run(s, args.build / "bench/relay_load", args, 2)
        runs = [one_run(s, args.build / "bench/relay_load", args, args.seconds) for _ in range(args.runs)]
        if not args.project:
            hold_projection(s, False)
    print(f"{args.rate} webhooks a second for {args.seconds} s over {args.connections} connections, {args.runs} runs; "
          f"refused: {sum(r['refused'] for r in runs)}")
    print(f"{'':44}{'least':>10}{'middle':>10}{'most':>10}")
    for key, text, unit in SHOW:
        v = sorted(r[key] for r in runs)
        print(f"{text + (f' ({unit})' if unit else ''):44}{v[0]:>10}{v[len(v) // 2]:>10}{v[-1]:>10}")
    if args.json:
        args.json.write_text(json.dumps(runs, indent=1))
    return 1 if any(r["refused"] for r in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
