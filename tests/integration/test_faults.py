"""The real router while what it stands on is damaged: Postgres killed, forbidden, read-only; streams deleted; kill -9.

One thing must hold after each: a call that was answered is in Postgres, with its events, each once.
"""

import asyncio
import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import nats
import pytest

from harness.carrier import Carrier
from harness.sip_leg import wait
from harness.stack import LEO, Stack

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")


@pytest.fixture(scope="module")
def stack():
    with Stack(BUILD, with_livekit=False) as s:
        yield s


@pytest.fixture(scope="module")
def carrier(stack):
    return Carrier(stack.daemons["router"].url, stack.signing_key)


class Load:
    """Calls in the background; sids: those the router has answered."""

    def __init__(self, carrier: Carrier, per_s: float = 50, threads: int = 4):
        self.carrier, self.pause_s, self.threads = carrier, threads / per_s, threads
        self.sids: list[str] = []
        self.slow, self.failed = 0, 0
        self._end = Event()

    def __enter__(self):
        self._pool = ThreadPoolExecutor(self.threads)
        self._runs = [self._pool.submit(self._call_on) for _ in range(self.threads)]
        return self

    def __exit__(self, *_):
        self._end.set()
        self._pool.shutdown()
        for r in self._runs:
            r.result()

    def _call_on(self) -> None:
        due = time.monotonic()
        while not self._end.is_set():
            form = self.carrier.form(LEO.number)
            try:
                reply = self.carrier.post("/v1/signalwire/voice", form, timeout_s=5)
            except OSError:
                self.failed += 1  # the router is down: the carrier would go to the other replica
            else:
                assert reply.status == 200, reply.text
                self.slow += reply.ms > 1000
                self.sids.append(form["CallSid"])
            due += self.pause_s
            self._end.wait(max(0, due - time.monotonic()))

    def reach(self, n: int, timeout_s: float = 30) -> None:
        """Until n more calls were answered."""
        target = len(self.sids) + n
        wait(lambda: len(self.sids) >= target or time.sleep(0.02), timeout_s, f"{n} more calls are answered")


def all_arrive(stack, load: Load, timeout_s: float = 60) -> None:
    sids = list(load.sids)
    assert len(sids) > 20 and len(set(sids)) == len(sids)
    rows = "select count(*), count(distinct carrier_call_id) from patchbay.calls where carrier_call_id = any(%s)"
    wait(lambda: stack.sql(rows, sids) == [(len(sids), len(sids))] or time.sleep(0.1), timeout_s, f"{len(sids)} calls have one row each")
    told = ("select e.type, count(*), count(distinct c.id) from patchbay.calls c join patchbay.call_events e on e.call_id = c.id "
            "where c.carrier_call_id = any(%s) and e.type in ('pat.call.v1.offered', 'pat.call.v1.routed') group by 1 order by 1")
    wait(lambda: stack.sql(told, sids) == [(f"pat.call.v1.{k}", len(sids), len(sids)) for k in ("offered", "routed")]
         or time.sleep(0.1), timeout_s, "both events of each are stored, once")
    wait(lambda: stack.sql("select count(*) from patchbay.outbox where published_at is null") == [(0,)] or time.sleep(0.1),
         timeout_s, "all is published")


def test_sessions_ended_under_load(stack, carrier):
    with Load(carrier) as load:
        for _ in range(15):
            load.reach(8)
            with stack.pg.admin() as c:
                c.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'patchbay_daemon'")
    assert not load.failed and not load.slow
    all_arrive(stack, load)


def test_postgres_that_only_reads(stack, carrier):
    with Load(carrier) as load:
        load.reach(10)
        read_only(stack, "on")
        try:
            load.reach(100)
        finally:
            read_only(stack, "off")
    assert not load.failed and not load.slow
    all_arrive(stack, load)


def read_only(stack, value: str) -> None:
    with stack.pg.admin() as c:
        c.execute(f"alter role patchbay_daemon set default_transaction_read_only = {value}")
        c.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'patchbay_daemon'")


@contextlib.contextmanager
def without_right(stack, on: str):
    with stack.pg.admin("patchbay") as c:
        c.execute(f"revoke insert on {on} from patchbay_service")
    try:
        yield
    finally:
        with stack.pg.admin("patchbay") as c:
            c.execute(f"grant insert on {on} to patchbay_service")


def test_a_right_revoked_and_given_back(stack, carrier):
    with Load(carrier) as load:
        load.reach(10)
        with without_right(stack, "patchbay.outbox"):
            load.reach(100)
            assert stack.daemons["router"].logged("journal.store", sqlstate="42501")
    assert not load.failed and not load.slow
    all_arrive(stack, load)


def test_streams_deleted_under_us(stack, carrier):
    async def delete():
        nc = await nats.connect(stack.nats.url)
        js = nc.jetstream()
        for name in ("CALL", "TURN"):
            await js.delete_stream(name)
        await nc.close()

    async def messages() -> int:
        nc = await nats.connect(stack.nats.url)
        try:
            return (await nc.jetstream().stream_info("CALL")).state.messages
        except nats.js.errors.NotFoundError:
            return 0
        finally:
            await nc.close()

    with Load(carrier) as load:
        load.reach(10)
        asyncio.run(delete())
        load.reach(50)
    assert not load.failed and not load.slow
    all_arrive(stack, load, 100)
    assert asyncio.run(messages()) > 0, "the stream is there again"


def test_killed_under_load_again_and_again(stack, carrier):
    """What was answered was spooled first: the next process stores it."""
    router = stack.daemons["router"]
    with Load(carrier) as load:
        for _ in range(3):
            load.reach(20)
            router.kill()
            router.start()
    assert not [e for e in router.logs() if e.get("event") == "journal.replay" and e["broken"]]
    all_arrive(stack, load)


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_a_minute_without_postgres_at_300_calls_a_second(stack, carrier):
    with Load(carrier, per_s=300, threads=12) as load:
        load.reach(300)
        stack.pg.stop(keep=True)
        try:
            time.sleep(60)  # the outage is what is measured
        finally:
            stack.pg.start()
        load.reach(300)
    print(f"{len(load.sids)} calls, {load.slow} slow, {load.failed} failed")
    assert len(load.sids) > 6000 and not load.failed
    all_arrive(stack, load, 150)


def test_nothing_was_lost_on_the_way(stack):
    lost = [e for d in stack.daemons.values() for e in d.logs() if e.get("event") in ("record.lost", "journal.refused", "webhook.not_stored")]
    assert not lost, lost[:3]
    for d in stack.daemons.values():
        assert d.process.alive(), d.process.tail()
