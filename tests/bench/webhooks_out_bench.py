"""What one signed webhook to a customer costs the relay, and whether its memory knows how long the queue is.

    scripts/bench webhooks_out [--deliveries 20000] [--queued 100000] [--endpoints 8] [--runs 3] [--json out.json]

Real PostgreSQL and NATS; tests/bench/webhook_sink answers 204 on loopback. Three things are measured, with the relay's own CPU (all
threads, /proc): deliveries that lie in the queue already; events published to the streams that have to be fanned out first; and
the relay's memory while it works beside a queue of --queued deliveries (for 1,000,000 have four minutes and 2 GB of disk).
CPU hardly depends on what else the machine does; the rate does.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

import nats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness.process import Process, free_port, http_status  # noqa: E402
from harness.stack import ROOT  # noqa: E402
from harness.webhooks_out import Relay, an_event  # noqa: E402


def cpu_us(pid: int) -> float:
    return sum(int((t / "schedstat").read_text().split()[0]) for t in Path(f"/proc/{pid}/task").iterdir()) / 1e3


def memory_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Bench:
    def __init__(self, stack: Relay, sink: str, args):
        self.s, self.sink, self.args = stack, sink, args
        self.users: list[str] = []
        self.nc = None

    @property
    def pid(self) -> int:
        return self.s.relay.process.pid

    async def endpoints(self) -> None:
        """One for each of so many users."""
        for n in range(self.args.endpoints):
            user = str(uuid.uuid4())
            await self.create(user, f"{self.sink}/{n}", max_concurrency=self.args.concurrency)
            self.users.append(user)

    async def create(self, user: str, url: str, **settings) -> None:
        answer = await self.nc.request("pat.rpc.v1.relay.endpoint_create",
                                       json.dumps({"user_id": user, "url": url} | settings).encode(), timeout=10)
        assert "result" in json.loads(answer.data), answer.data

    def queue(self, n: int, users: list[str], due: str) -> None:
        """As if fanned out: n deliveries of a call's end each."""
        body = json.dumps({"type": "call.ended", "timestamp": "2026-11-22T10:00:00.123Z", "data": an_event(
            users[0], reason="completed", owner="caller", duration_ms=61000, talk_ms=58000,
            ids={"carrier_call_id": str(uuid.uuid4()), "retell_call_id": None, "livekit_room": "call_x"})["data"]})
        for at in range(0, n, 50000):
            self.s.sql("with e as (select array_agg(id order by id) as ids, array_agg(user_id order by id) as users from "
                       "patchbay.webhook_endpoints where user_id = any (%s::uuid[])), m as (insert into "
                       "patchbay.webhook_messages (id, user_id, type, key, occurred_at, body, thin) select gen_random_uuid(), "
                       "e.users[1 + i %% cardinality(e.ids)], 'call.ended', 'k', now(), %s, '{}' from e, generate_series(1, %s) i "
                       "returning id, user_id) insert into patchbay.webhook_deliveries (endpoint_id, event_id, user_id, type, "
                       "occurred_at, next_attempt_at) select x.id, m.id, m.user_id, 'call.ended', now(), now() + %s::interval "
                       "from m join patchbay.webhook_endpoints x on x.user_id = m.user_id",
                       users, body, min(50000, n - at), due)
        self.s.sql("vacuum analyze patchbay.webhook_deliveries")
        self.s.sql("vacuum analyze patchbay.webhook_messages")

    def taken(self) -> int:
        with urllib.request.urlopen(self.sink + "/count", timeout=10) as r:
            counts = json.loads(r.read())
        assert not counts["broken"], "a webhook without its headers"
        return counts["taken"]

    async def until(self, taken: int, users: list[str]) -> None:
        deadline = time.monotonic() + 600
        while self.taken() < taken or self.s.sql(
                "select from patchbay.webhook_deliveries where state = 'pending' and user_id = any (%s::uuid[]) limit 1", users):
            assert time.monotonic() < deadline, f"{self.taken()} of {taken} arrived"
            await asyncio.sleep(0.05)

    async def run(self, n: int, begin) -> dict:
        await asyncio.sleep(1)
        before, cpu, at, peak = self.taken(), cpu_us(self.pid), time.monotonic(), 0.0
        work = asyncio.ensure_future(begin())
        arrived = asyncio.ensure_future(self.until(before + n, self.users))
        while not arrived.done():
            peak = max(peak, memory_mib(self.pid))
            await asyncio.sleep(0.2)
        await work
        await arrived
        return {"cpu_us": round((cpu_us(self.pid) - cpu) / n, 1), "rate": round(n / (time.monotonic() - at)),
                "memory_mib": round(peak, 1)}

    async def queued(self, n: int) -> dict:
        """Put there while the endpoints are switched off."""
        self.s.sql("update patchbay.webhook_endpoints set state = 'disabled' where user_id = any (%s::uuid[])", self.users)
        self.queue(n, self.users, "0")

        async def begin():
            self.s.sql("update patchbay.webhook_endpoints set state = 'enabled' where user_id = any (%s::uuid[])", self.users)

        return await self.run(n, begin)

    async def published(self, n: int) -> dict:
        js = self.nc.jetstream()
        told = [an_event(self.users[i % len(self.users)], reason="completed", owner="caller", duration_ms=61000) for i in range(n)]

        async def begin():
            for at in range(0, n, 200):
                await asyncio.gather(*[js.publish(f"{e['type']}.{e['userid']}.{e['subject']}", json.dumps(e).encode(),
                                                  headers={"Nats-Msg-Id": e["id"]}) for e in told[at:at + 200]])

        return await self.run(n, begin)


async def measure(args) -> dict:
    out = {"queued": [], "published": []}
    folder = Path(tempfile.mkdtemp(prefix="patchbay-bench-"))
    with Relay(args.build, folder, with_livekit=False) as s:
        port = free_port()
        sink = Process("sink", [args.build / "bench/webhook_sink", port], folder / "sink.log").start()
        try:
            sink.wait_until(lambda: http_status(f"http://127.0.0.1:{port}/count") == 200, 10)
            b = Bench(s, f"http://127.0.0.1:{port}", args)
            b.nc = await nats.connect(s.nats.url)
            await b.endpoints()
            await b.queued(2000)  # warm
            for _ in range(args.runs):
                out["queued"].append(await b.queued(args.deliveries))
                out["published"].append(await b.published(args.deliveries))
            out["memory_before_mib"] = round(memory_mib(b.pid), 1)
            others = [str(uuid.uuid4()) for _ in range(100)]
            for n, user in enumerate(others):  # receivers that are away: what is queued for them stays
                await b.create(user, f"{b.sink}/away{n}", max_concurrency=1)
            s.sql("update patchbay.webhook_endpoints set hold_until = now() + interval '1 day', failures = 9, "
                  "failing_since = now() where user_id = any (%s::uuid[])", others)
            began = time.monotonic()
            b.queue(args.queued, others, "0")
            out["queueing_s"] = round(time.monotonic() - began, 1)
            out["beside"] = await b.queued(args.deliveries)
            out["memory_after_mib"] = round(memory_mib(b.pid), 1)
            await b.nc.close()
        finally:
            sink.stop()
    return out


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--deliveries", type=int, default=20000)
    p.add_argument("--queued", type=int, default=100000)
    p.add_argument("--endpoints", type=int, default=8)
    p.add_argument("--concurrency", type=int, default=20)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--build", type=Path, default=ROOT / "build/release")
    p.add_argument("--json", type=Path)
    args = p.parse_args()
    r = asyncio.run(measure(args))
    middle = {k: sorted(x["cpu_us"] for x in r[k])[len(r[k]) // 2] for k in ("queued", "published")}
    print(f"{args.deliveries} deliveries to {args.endpoints} endpoints, {args.runs} runs")
    for k, text in (("queued", "signed and delivered from the queue"), ("published", "fanned out, signed and delivered")):
        print(f"{text + ', CPU of the relay (us)':66}{middle[k]:>8}   all: {[x['cpu_us'] for x in r[k]]}, "
              f"{[x['rate'] for x in r[k]]} a second")
    print(f"{f'the same beside {args.queued} queued deliveries (us)':66}{r['beside']['cpu_us']:>8}   {r['beside']['rate']} a second")
    print(f"memory of the relay, MiB: {r['memory_before_mib']} before, {r['beside']['memory_mib']} at most beside that queue")
    if args.json:
        args.json.write_text(json.dumps(r, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
