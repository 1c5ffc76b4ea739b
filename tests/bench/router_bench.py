"""What one signed voice webhook costs the router, and how long the carrier waits for the answer.

    scripts/bench router [--rate 2000] [--seconds 10] [--connections 32] [--runs 5] [--against BUILD] [--json out.json]

The user is on LiveKit, so no outside request is needed; events, the record's write-behind, its spool file and the
agent's preparation are on: real PostgreSQL, real NATS with JetStream, tests/bench/router_load as carrier and agents.
CPU is the router process's own, all threads, until the last record is stored: it hardly depends on what else the
machine does. Latency does, so the least and the middle of several runs are shown. --against names another build folder:
both routers take turns with the same servers, and the ratio of their middles is shown. That hardly depends on the machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness.stack import LEO, ROOT, Stack  # noqa: E402


def cpu_us(pid: int, thread: int | None = None) -> float:
    tasks = [Path(f"/proc/{pid}/task/{thread}")] if thread else Path(f"/proc/{pid}/task").iterdir()
    return sum(int((t / "schedstat").read_text().split()[0]) for t in tasks) / 1e3


class Bench(Stack):
    """Only what a call to the router touches."""

    def _start_doubles(self):
        pass

    def _script_doubles(self):
        pass

    def double(self, vendor):
        return "http://127.0.0.1:9"

    def _seed(self):
        from harness.patdb import add_user
        import psycopg
        from harness.postgres import OWNER
        with psycopg.connect(self.pg.url(OWNER, "patchbay"), autocommit=True) as c:
            add_user(c, LEO.id, "leo@example.com", "Leo", LEO.number)
            c.execute("update public.agent_configs set active_voice_stack = 'livekit', retell_agent_id = null, "
                      "retell_llm_id = null, greeting_template = 'Hello, this is {name}.', system_prompt = %s",
                      ("You answer the phone of a small shop. " * 20,))

    def _daemon(self, name, listen, env):
        d = super()._daemon(name, listen, env)
        if name != "router":
            del self.daemons[name]
        return d


def one_run(s: Stack, load: Path, args) -> dict:
    router = s.daemons["router"]
    pid = router.process.pid
    begun, loop_begun = cpu_us(pid), cpu_us(pid, pid)
    before = s.sql("select count(*) from patchbay.calls")[0][0]
    done = subprocess.run([load, str(router.port), router.url, LEO.number, str(args.rate), str(args.seconds),
                           str(args.connections), str(pid), s.nats.url], capture_output=True, text=True,
                          env=os.environ | {"PAT_SIGNALWIRE_SIGNING_KEY": s.signing_key}, timeout=args.seconds * 10 + 30)
    if done.returncode not in (0, 1) or not done.stdout:
        raise RuntimeError(f"{done.stdout}{done.stderr}\n{router.process.tail()}")
    r = json.loads(done.stdout)
    answered = time.monotonic()
    while (stored := s.sql("select count(*) from patchbay.calls")[0][0] - before) < r["requests"]:
        if time.monotonic() - answered > 60:
            raise RuntimeError(f"{r['requests']} calls were answered, {stored} are stored")
        time.sleep(0.05)
    r["stored_after_s"] = round(time.monotonic() - answered, 2)
    r["cpu_all_us"] = round((cpu_us(pid) - begun) / r["requests"], 1)
    r["cpu_loop_us"] = round((cpu_us(pid, pid) - loop_begun) / r["requests"], 1)
    return r


def change_router(s: Stack, build: Path) -> None:
    """The router of another build, warm."""
    s.daemons["router"].stop()
    s.build_dir = build
    s.daemons["router"].start()


SHOW = [("cpu_all_us", "CPU of the router per webhook, all of it", "us"), ("cpu_loop_us", "of that, the loop's thread", "us"),
        ("p50_us", "answer, half of them within", "us"), ("p90_us", "answer, 90 % within", "us"),
        ("p99_us", "answer, 99 % within", "us"), ("max_us", "slowest answer", "us"),
        ("stored_after_s", "last record stored after", "s")]


def middle(runs: list[dict], key: str) -> float:
    return sorted(r[key] for r in runs)[len(runs) // 2]


def show(runs: list[dict], others: list[dict]) -> None:
    print(f"{'':44}{'least':>10}{'middle':>10}{'most':>10}" + (f"{'against':>10}{'ratio':>8}" if others else ""))
    for key, text, unit in SHOW:
        v = sorted(r[key] for r in runs)
        line = f"{text + ' (' + unit + ')':44}{v[0]:>10}{middle(runs, key):>10}{v[-1]:>10}"
        if others:
            was = middle(others, key)
            line += f"{was:>10}{middle(runs, key) / was if was else 0:>8.2f}"
        print(line)


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rate", type=int, default=2000)
    p.add_argument("--seconds", type=int, default=10)
    p.add_argument("--connections", type=int, default=32)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--build", type=Path, default=ROOT / "build/release")
    p.add_argument("--against", type=Path, help="another build folder, measured in turn with this one")
    p.add_argument("--log", help="keep the router's log here")
    p.add_argument("--json", type=Path)
    args = p.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="patchbay-bench-"))
    quiet = {"PAT_LOG_FORMAT": "json"}
    load = args.build / "bench/router_load"
    warm = argparse.Namespace(**vars(args) | {"seconds": 2})
    runs: list[dict] = []
    others: list[dict] = []
    with Bench(args.build, folder, with_livekit=False, daemons={"router": quiet}) as s:
        one_run(s, load, warm)
        for _ in range(args.runs):
            if args.against:
                change_router(s, args.against)
                one_run(s, load, warm)
                others.append(one_run(s, load, args))
                change_router(s, args.build)
                one_run(s, load, warm)
            runs.append(one_run(s, load, args))
        if args.log:
            Path(args.log).write_text(s.daemons["router"].process.log.read_text())
    print(f"{args.rate} webhooks a second for {args.seconds} s over {args.connections} connections, {args.runs} runs; "
          f"answered without a Dial: {sum(r['not_dialled'] for r in runs)}")
    show(runs, others)
    if args.json:
        args.json.write_text(json.dumps(runs, indent=1))
    return 1 if any(r["not_dialled"] for r in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
