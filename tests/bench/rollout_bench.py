"""How long it takes to switch 1,000 users by one rollout: no vendor is asked, no test call placed.

    . scripts/env && python tests/bench/rollout_bench.py [--users 1000] [--routers 2] [--switchers 1] [--build build/release]

Real PostgreSQL, NATS and daemons on loopback. Times are Postgres' own: from the rollout's row to its end, which is when every
router has confirmed the last of its users. Then the same way back, and, by calls: everybody prepared, and a share of the
calls changed for all of them.
"""

import argparse
import json
import sys
import time
import urllib.request
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jwt
import psycopg

from harness.patdb import add_user
from harness.responder import Responder
from harness.stack import OWNER, Daemon, Stack


def users_of(stack: Stack, n: int) -> list[str]:
    out = [str(uuid.uuid4()) for _ in range(n)]
    with psycopg.connect(stack.pg.url(OWNER, "patchbay")) as c:
        for i, user in enumerate(out):
            add_user(c, user, f"{user}@example.com", f"U{i}", f"+15560{i:06d}")
    with stack.pg.admin("patchbay") as c:
        # Users do not come within a second elsewhere. Not the tables that are empty yet: their plans would be for empty ones.
        c.execute("analyze public.users, public.agent_configs, public.service_numbers, patchbay.config_versions")
    return out


class Api:
    def __init__(self, stack: Stack):
        self.stack = stack
        self.bearer = jwt.encode({"exp": int(time.time()) + 3600, "role": "service_role"}, stack.jwt_secret, algorithm="HS256")

    def post(self, path: str, body: dict) -> dict:
        request = urllib.request.Request(self.stack.daemons["stack-switcher"].url + path, json.dumps(body).encode(),
                                         {"Authorization": f"Bearer {self.bearer}", "Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=120) as r:
            return json.loads(r.read())

    def until(self, r: dict, condition: str, timeout_s: float = 600) -> dict:
        deadline = time.monotonic() + timeout_s
        while True:
            row = self.stack.sql(f"select patchbay.rollout_json(r) from patchbay.rollouts r where id = %s and {condition}", r["id"])
            if row:
                return row[0][0]
            if time.monotonic() > deadline:
                raise TimeoutError(condition)
            time.sleep(0.05)


def took(stack: Stack, r: dict, since: str, until: str) -> float:
    """Seconds between two entries of its log, the last of their kind."""
    return float(stack.sql("select extract(epoch from (select max(at) from patchbay.rollout_log where rollout_id = %s and event = %s) - "
                           "(select max(at) from patchbay.rollout_log where rollout_id = %s and event = %s))",
                           r["id"], until, r["id"], since)[0][0])


def cpu_of(pid: int) -> float:
    """Seconds so far, those of children that have ended among them."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:  # ended meanwhile: its parent has it
        return 0.0
    return sum(int(f) for f in fields[11:15]) / 100


def processes(stack: Stack) -> dict[str, float]:
    server = int((Path(stack.pg.folder) / "data/postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return {name: cpu_of(d.process.pid) for name, d in stack.daemons.items()} | {"PostgreSQL": sum(map(cpu_of, map(int, children)), cpu_of(server))}


def measure(stack: Stack, cohort: list[str], at_a_time: int) -> None:
    api = Api(stack)
    ask = {"cohort": {"user_ids": cohort}, "gates": None, "verify": {"first": 0, "every": 0}, "at_a_time": at_a_time}
    began = time.monotonic()
    plan = api.post("/v1/rollouts?dry_run=1", ask | {"to_stack": "livekit", "steps": [{"percent": 100}]})
    print(f"  the plan of {plan['movable']} users                    {time.monotonic() - began:7.1f} s")

    before = processes(stack)
    r = api.post("/v1/rollouts", ask | {"to_stack": "livekit", "steps": [{"percent": 100}]})
    r = api.until(r, "finished_at is not null")
    assert r["outcome"] == "completed" and r["counts"]["moved"] == len(cohort), r["counts"]
    s = took(stack, r, "started", "finished")
    after = processes(stack)
    print(f"  by users: all switched, all routers confirmed   {s:7.1f} s   {len(cohort) / s:6.0f} users/s")
    print("  CPU of it: " + ", ".join(f"{n} {after[n] - before[n]:.1f} s" for n in after if after[n] - before[n] > 0.05))

    api.post(f"/v1/rollouts/{r['id']}/rollback", {})
    r = api.until(r, "finished_at is not null and outcome = 'rolled_back'")
    assert r["counts"]["returned"] == len(cohort), r["counts"]
    s = took(stack, r, "rollback", "finished")
    print(f"  and all of them back                            {s:7.1f} s   {len(cohort) / s:6.0f} users/s")

    r = api.post("/v1/rollouts", ask | {"to_stack": "livekit", "mode": "calls", "steps": [{"percent": 10}, {"percent": 50}], "hold": True})
    api.until(r, "held_for = 'approval' and step = 0")
    print(f"  by calls: all prepared                          {took(stack, r, 'started', 'sharing'):7.1f} s")
    print(f"            their calls shared                    {took(stack, r, 'sharing', 'settled'):7.1f} s")
    api.post(f"/v1/rollouts/{r['id']}/promote", {})
    api.until(r, "held_for = 'approval' and step = 1")
    print(f"            another share                         {took(stack, r, 'step', 'settled'):7.1f} s")
    api.post(f"/v1/rollouts/{r['id']}/promote", {})
    r = api.until(r, "finished_at is not null")
    assert r["counts"]["moved"] == len(cohort), r["counts"]
    print(f"            all cut over                          {took(stack, r, 'step', 'finished'):7.1f} s")


def main() -> None:
    args = argparse.ArgumentParser()
    args.add_argument("--users", type=int, default=1000)
    args.add_argument("--routers", type=int, default=2)
    args.add_argument("--switchers", type=int, default=1)
    args.add_argument("--at-a-time", type=int, default=20)
    args.add_argument("--build", default="build/release")
    a = args.parse_args()
    with Stack(a.build, with_livekit=False, daemons={"stack-switcher": {"PAT_SWITCHER_WRITES_PER_MIN": "100000"}}) as stack, \
            Responder(stack.nats.url) as responder:
        responder.on("agent", "verify", lambda p: {"registered": True, "calls": 0, "max_calls": 100, "voice_substituted": False})
        more = []
        try:
            for name, listen, n in (("router", "PAT_ROUTER_LISTEN", a.routers), ("stack-switcher", "PAT_SWITCHER_LISTEN", a.switchers)):
                env = {k: v for k, v in stack.daemons[name].env.items() if k not in
                       ("PAT_ADMIN_LISTEN", listen, "PAT_ROUTER_SNAPSHOT_FILE", "PAT_ROUTER_SPOOL_FILE")}
                for i in range(2, n + 1):
                    stack.daemons[f"{name}-{i}"] = d = Daemon(stack, name, env, listen, replica=f"{name}-{i}").start()
                    more.append(d)
            print(f"{a.users} users, {a.at_a_time} at a time; {a.routers} routers, {a.switchers} stack-switchers")
            measure(stack, users_of(stack, a.users), a.at_a_time)
        finally:
            for d in more:
                d.stop()


if __name__ == "__main__":
    main()
