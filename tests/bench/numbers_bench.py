"""How much memory a router needs for a million numbers, and how soon all routers know of a change.

    scripts/bench numbers [--numbers 1000000] [--prompt] [--routers 3] [--rate 1000] [--seconds 10] [--json out.json]

Real PostgreSQL and NATS. Each number has a user and an agent of its own with the defaults of a sign-up; --prompt gives
each agent a text of its own as well (some 700 characters that no other has). A change is what the product's pages do: an
update of agent_configs. It counts as seen when a router logs that version of that user; the slowest router counts. The
clocks are one machine's.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness.postgres import OWNER  # noqa: E402
from harness.process import http_status  # noqa: E402
from harness.stack import ROOT, Daemon, Stack  # noqa: E402

ID = "('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"
PROMPT = "(select string_agg(md5(n::text || k), ' ') from generate_series(1, 20) k)"


class Bench(Stack):
    """Only what routers need."""

    def _start_doubles(self):
        pass

    def _script_doubles(self):
        pass

    def double(self, vendor):
        return "http://127.0.0.1:9"

    def _daemon(self, name, listen, env):
        d = super()._daemon(name, listen, env)
        del self.daemons[name]
        if name == "router":
            self.router_env = d.env
        return d

    def __init__(self, build, numbers, prompt, **more):
        super().__init__(build, with_livekit=False, **more)
        self.numbers, self.prompt = numbers, prompt

    def _seed(self):
        begun = time.monotonic()
        with psycopg.connect(self.pg.url("postgres", "patchbay"), autocommit=True) as c:
            c.execute("set session_replication_role = replica")  # a million events are not the subject
            series = f"from generate_series(1, {self.numbers}) n"
            c.execute(f"insert into public.users (id, email, name) select {ID}, 'u' || n || '@example.com', 'User ' || n {series}")
            c.execute("insert into public.agent_configs (id, user_id, active_voice_stack, retell_agent_id, retell_llm_id) "
                      f"select gen_random_uuid(), {ID}, 'livekit', 'agent_' || md5(n::text), 'llm_' || md5(n::text || 'l') {series}")
            if self.prompt:
                c.execute(f"update public.agent_configs a set system_prompt = {PROMPT} {series} where a.user_id = {ID}")
            c.execute("insert into public.service_numbers (user_id, phone_number, phone_sid) "
                      f"select {ID}, '+1' || (2000000000 + n), 'PN' || n {series}")
            c.execute(f"insert into patchbay.config_versions (user_id, agent_config_id, version) select {ID}, "
                      f"'00000000-0000-0000-0000-000000000000', n {series}")
            c.execute(f"select setval('patchbay.config_version', {self.numbers + 1})")
            c.execute("vacuum analyze")
        print(f"{self.numbers} numbers stored in {time.monotonic() - begun:.0f} s", flush=True)

    def start_router(self, name: str) -> Daemon:
        env = self.router_env | {"PAT_ROUTER_SNAPSHOT_FILE": "", "PAT_ROUTER_SPOOL_FILE": "", "PAT_ROUTER_PUBLIC_URL": "http://x"}
        d = Daemon(self, "router", env, "PAT_ROUTER_LISTEN", replica=name)
        return self._push(d).start(ready=False)


def memory_mb(pid: int, what: str) -> float:
    return next(int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                if line.startswith(what)) / 1024


def ready(d: Daemon) -> float:
    begun = time.monotonic()
    d.process.wait_until(lambda: http_status(f"{d.admin_url}/readyz") == 200, 1800)
    return time.monotonic() - begun


def change(s: Bench, args) -> dict[str, float]:
    """user -> when it was committed, at the wanted rate, from eight connections."""
    done: dict[str, float] = {}
    users = [f"00000000-0000-4000-8000-{n:012x}" for n in range(1, min(s.numbers, args.rate * args.seconds) + 1)]
    begun = time.time()

    def work(k: int):
        with psycopg.connect(s.pg.url(OWNER, "patchbay"), autocommit=True) as c:
            for i in range(k, len(users), 8):
                wait = begun + i / args.rate - time.time()
                if wait > 0:
                    time.sleep(wait)
                c.execute("update public.agent_configs set language = 'fr' where user_id = %s", (users[i],))
                done[users[i]] = time.time()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(f"{len(done)} changes in {time.time() - begun:.1f} s", flush=True)
    return done


def seen(d: Daemon) -> dict[str, float]:
    """user -> when this router had it."""
    return {e["user"]: datetime.fromisoformat(e["time"].replace("Z", "+00:00")).timestamp()
            for e in d.logs() if e.get("event") == "routes.changed"}


def latencies(done: dict[str, float], routers: list[Daemon]) -> list[float]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not all(len(seen(d)) >= len(done) for d in routers):
        time.sleep(1)
    each = [seen(d) for d in routers]
    missing = sum(u not in e for e in each for u in done)
    if missing:
        raise RuntimeError(f"{missing} changes were not heard of")
    return sorted(max(0.0, max(e[u] for e in each) - t) * 1000 for u, t in done.items())


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--numbers", type=int, default=1_000_000)
    p.add_argument("--prompt", action="store_true")
    p.add_argument("--routers", type=int, default=3)
    p.add_argument("--rate", type=int, default=1000)
    p.add_argument("--seconds", type=int, default=10)
    p.add_argument("--build", type=Path, default=ROOT / "build/release")
    p.add_argument("--json", type=Path)
    args = p.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="patchbay-bench-"))
    with Bench(args.build, args.numbers, args.prompt, folder=folder) as s:
        first = s.start_router("router-1")
        empty = memory_mb(first.process.pid, "VmRSS")
        r = {"numbers": args.numbers, "load_s": round(ready(first), 1)}
        r["rss_mb"] = round(memory_mb(first.process.pid, "VmRSS"), 1)
        r["peak_mb"] = round(memory_mb(first.process.pid, "VmHWM"), 1)
        r["bytes_per_number"] = round((r["rss_mb"] - empty) * 1048576 / args.numbers)
        print(json.dumps(r), flush=True)
        if args.rate:
            routers = [first] + [s.start_router(f"router-{n}") for n in range(2, args.routers + 1)]
            for d in routers:
                ready(d)
            ms = latencies(change(s, args), routers)
            r |= {"changes": len(ms), "rate": args.rate, "routers": args.routers, "p50_ms": round(ms[len(ms) // 2], 1),
                  "p99_ms": round(ms[len(ms) * 99 // 100], 1), "max_ms": round(ms[-1], 1)}
            print(json.dumps(r), flush=True)
    if args.json:
        args.json.write_text(json.dumps(r))
    return 0


if __name__ == "__main__":
    sys.exit(main())
