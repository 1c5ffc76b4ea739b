"""A router that has just been started: whom it believes before Postgres has told it who is served where.

Its snapshot is from before a switch, as it is when the router was killed within seconds of one.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from harness.carrier import Carrier
from harness.postgres import OWNER
from harness.process import free_port, http_status
from harness.sip_leg import wait
from harness.stack import LIVEKIT_SIP_HOST, RETELL_SIP_HOST, RITA, Daemon, Stack, http_json

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
PATIENCE_S = 1.5  # then the snapshot has to do


@pytest.fixture
def stack():
    with Stack(BUILD, with_livekit=False) as s:
        yield s


def carrier_of(stack, router: str = "router") -> Carrier:
    return Carrier(stack.daemons[router].url, stack.signing_key)


def call_as_soon_as_it_listens(carrier: Carrier, number: str):
    def rung():
        try:
            return carrier.voice(number)
        except ConnectionRefusedError:
            return time.sleep(0.01)
    return wait(rung, 20, "the router listens")


@contextmanager
def numbers_locked(stack):
    """Postgres is there and says nothing of numbers."""
    with psycopg.connect(stack.pg.url(OWNER, "patchbay")) as c:
        c.execute("lock table public.agent_configs in access exclusive mode")
        yield
        c.rollback()


def asked_and_waiting(stack) -> bool:
    with stack.pg.admin("patchbay") as c:  # others' queries are seen by a superuser alone
        return c.execute("select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like %s",
                         ("select jsonb_build_object('number', r.number%",)).fetchone() is not None


def kill_with_an_old_snapshot(stack) -> None:
    """Rita was on Retell when the snapshot was written, and is on LiveKit now."""
    file = stack.folder / "routes.snapshot"
    wait(lambda: file.exists() and RITA.number in file.read_text(), 20, "a snapshot is written")
    old = file.read_text()
    assert f'"{RITA.number}","user_id":"{RITA.id}","stack":"retell"' in old
    stack.sql("update public.agent_configs set active_voice_stack = 'livekit' where user_id = %s", RITA.id)
    wait(lambda: carrier_of(stack).voice(RITA.number).dial().host == LIVEKIT_SIP_HOST, 10, "the router knows of it")
    stack.daemons["router"].kill()
    file.write_text(old)


def test_a_call_that_comes_before_postgres_has_answered_waits_for_it(stack):
    kill_with_an_old_snapshot(stack)
    with ThreadPoolExecutor(1) as pool:
        with numbers_locked(stack):
            stack.daemons["router"].start(ready=False)
            call = pool.submit(call_as_soon_as_it_listens, carrier_of(stack), RITA.number)
            wait(lambda: asked_and_waiting(stack) or call.done(), 20, "the router asks for its numbers")
        assert call.result(10).dial().host == LIVEKIT_SIP_HOST
    assert not stack.daemons["router"].logged("routes.serving_snapshot")


def test_postgres_is_not_waited_for_for_long(stack):
    kill_with_an_old_snapshot(stack)
    with numbers_locked(stack):
        stack.daemons["router"].start(ready=False)
        reply = call_as_soon_as_it_listens(carrier_of(stack), RITA.number)
        assert reply.dial().host == RETELL_SIP_HOST
        assert reply.ms < 1000 * (PATIENCE_S + 1.5)
    assert stack.daemons["router"].logged("routes.serving_snapshot")


def test_an_agent_the_snapshot_names_may_be_gone(stack):
    """With a lease as well: that Postgres has the router's name says nothing of the router's numbers."""
    agent = stack.sql("select retell_agent_id from public.agent_configs where user_id = %s", RITA.id)[0][0]
    kill_with_an_old_snapshot(stack)
    http_json("DELETE", f"{stack.double('retell')}/delete-agent/{agent}", headers={"Authorization": f"Bearer {stack.retell_key}"})
    leases = stack.sql("select count(*) from patchbay.router_leases")[0][0]
    with numbers_locked(stack):
        stack.daemons["router"].start()
        wait(lambda: stack.sql("select count(*) from patchbay.router_leases")[0][0] > leases, 10, "it has a lease")
        assert carrier_of(stack).voice(RITA.number).dial().host == LIVEKIT_SIP_HOST


def test_a_router_that_knows_no_number_calls_none_unknown(stack):
    """Cold, without Postgres and snapshot: not ready, and a carrier that asks all the same is sent to the fallback address."""
    env = {k: v for k, v in stack.daemons["router"].env.items() if k not in ("PAT_ROUTER_SNAPSHOT_FILE", "PAT_ROUTER_SPOOL_FILE")}
    cold = stack.daemons["cold"] = Daemon(stack, "router", env | {"PAT_DATABASE_URL": f"postgres://u:p@127.0.0.1:{free_port()}/x"},
                                          "PAT_ROUTER_LISTEN", replica="cold")
    cold.env["PAT_ROUTER_PUBLIC_URL"] = cold.url
    cold.start(ready=False)
    try:
        reply = call_as_soon_as_it_listens(carrier_of(stack, "cold"), RITA.number)
        assert reply.status == 503 and reply.ms < 1000 * (PATIENCE_S + 1.5), reply.text
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            assert http_status(f"{cold.admin_url}/readyz") == 503
            time.sleep(0.1)
    finally:
        assert cold.stop() == 0
