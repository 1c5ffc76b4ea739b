"""How long a switch takes by itself: no vendor is asked, no test call placed.

    . scripts/env && python tests/bench/switch_bench.py [--switches 50] [--routers 2] [--build build/release]

Real PostgreSQL, NATS and daemons on loopback. Times are Postgres' own: from the request's row to the moment the last router
had confirmed, and of the step that cuts over, both in milliseconds.
"""

import argparse
import json
import statistics
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
    with psycopg.connect(stack.pg.url(OWNER, "patchbay"), autocommit=True) as c:
        for i, user in enumerate(out):
            add_user(c, user, f"{user}@example.com", f"U{i}", f"+1555040{i:04d}")
    return out


def start(stack: Stack, user: str, bearer: str) -> str:
    request = urllib.request.Request(f"{stack.daemons['stack-switcher'].url}/v1/users/{user}/switch",
                                     json.dumps({"stack": "livekit", "verify": False}).encode(),
                                     {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=10) as r:
        return json.loads(r.read())["id"]


def observed(stack: Stack, ids: list[str], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while stack.sql("select count(*) from patchbay.switches where id = any(%s::uuid[]) and 'observe' = any (done)", ids)[0][0] < len(ids):
        if time.monotonic() > deadline:
            raise TimeoutError("switches are not observed")
        time.sleep(0.01)


FIGURES = """
select extract(epoch from o.ended_at - w.created_at) * 1000, extract(epoch from c.ended_at - c.started_at) * 1000,
       extract(epoch from o.ended_at - c.started_at) * 1000
from patchbay.switches w
join patchbay.switch_steps c on c.switch_id = w.id and c.step = 'cutover'
join patchbay.switch_steps o on o.switch_id = w.id and o.step = 'observe'
where w.id = any(%s::uuid[])"""


def show(stack: Stack, what: str, ids: list[str]) -> None:
    rows = stack.sql(FIGURES, ids)
    print(what)
    for name, values in zip(("requested to all routers confirmed", "the cut-over itself", "cut-over to all routers confirmed"), zip(*rows)):
        values = sorted(float(v) for v in values)
        print(f"  {name:36} median {statistics.median(values):7.1f} ms   p95 {values[int(len(values) * 0.95)]:7.1f} ms   most {values[-1]:7.1f} ms")


def main() -> None:
    args = argparse.ArgumentParser()
    args.add_argument("--switches", type=int, default=50)
    args.add_argument("--routers", type=int, default=2)
    args.add_argument("--build", default="build/release")
    a = args.parse_args()
    with Stack(a.build, with_livekit=False, daemons={"stack-switcher": {"PAT_SWITCHER_WRITES_PER_MIN": "100000"}}) as stack, \
            Responder(stack.nats.url) as responder:
        responder.on("agent", "verify", lambda p: {"registered": True, "calls": 0, "max_calls": 100, "voice_substituted": False})
        env = {k: v for k, v in stack.daemons["router"].env.items() if k not in
               ("PAT_ADMIN_LISTEN", "PAT_ROUTER_LISTEN", "PAT_ROUTER_SNAPSHOT_FILE", "PAT_ROUTER_SPOOL_FILE")}
        more = [Daemon(stack, "router", env, "PAT_ROUTER_LISTEN", replica=f"router-{i}").start() for i in range(2, a.routers + 1)]
        try:
            bearer = jwt.encode({"exp": int(time.time()) + 3600, "role": "service_role"}, stack.jwt_secret, algorithm="HS256")
            ids = []
            for user in users_of(stack, a.switches):
                ids.append(start(stack, user, bearer))
                observed(stack, ids[-1:])
            show(stack, f"{a.switches} switches, one after the other, {a.routers} routers", ids)
        finally:
            for d in more:
                d.stop()


if __name__ == "__main__":
    main()
