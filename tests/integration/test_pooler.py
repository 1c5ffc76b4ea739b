"""All of Patchbay behind pgbouncer in transaction mode, as behind Supabase's port 6543: calls, webhooks, changes, usage.

Only what listens has a connection of its own to PostgreSQL.
"""

import os
import time

import jwt
import pytest

from harness.carrier import Carrier, Phone
from harness.pgbouncer import PgBouncer
from harness.postgres import DAEMON
from harness.process import http_status
from harness.sip_leg import wait
from harness.stack import LEO, LIVEKIT_SIP_HOST, RETELL_SIP_HOST, RITA, Stack, http_json
from harness.watch import Watch

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")


class PooledStack(Stack):
    def _start_doubles(self) -> None:
        super()._start_doubles()
        self.pool = PgBouncer(self.pg)
        self.pool.start()
        self._push(self.pool)

    def common_env(self) -> dict[str, str]:
        return super().common_env() | {"PAT_DATABASE_URL": self.pool.url(DAEMON), "PAT_DATABASE_PREPARED": "false",
                                       "PAT_DATABASE_LISTEN_URL": self.pg.url(DAEMON, "patchbay")}


@pytest.fixture(scope="module")
def stack():
    with PooledStack(BUILD, with_livekit=False) as s:
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


@pytest.fixture
def carrier(stack):
    return Carrier(stack.daemons["router"].url, stack.signing_key)


def events_of(stack, call: str) -> list[str]:
    return sorted(t.rpartition(".")[2] for t, in stack.sql("select type from patchbay.call_events where call_id = %s", call))


def test_a_call_at_retell_with_its_webhooks(stack, watch):
    sid = stack.place_call(RITA.number)
    stack.wait_story(sid, "ended")
    call = str(stack.wait_row(sid, "ended")["id"])
    wait(lambda: events_of(stack, call) == ["answered", "ended", "offered", "routed"], 20, "its events are stored, once")
    record = wait(lambda: stack.row("select * from public.call_records where id = %s and call_successful", call), 20,
                  "its record has Retell's analysis")
    assert record["user_id"] == RITA.id and record["transcript"]
    watch.wait_for("usage.recorded", call, n=2)
    wait(lambda: stack.sql("select count(*) from patchbay.outbox where published_at is null") == [(0,)], 20, "all is published")


def test_a_call_for_livekit(stack):
    """The phone of LiveKit is played here; who speaks behind it has no part in this."""
    with Phone() as phone:
        stack.control("signalwire", sip_hosts={LIVEKIT_SIP_HOST: phone.base, RETELL_SIP_HOST: stack.double("retell")})
        sid = stack.place_call(LEO.number)
        stack.wait_story(sid, "bridged")
        assert len(phone.invites) == 1
        phone.hang_up()
        row = stack.wait_row(sid, "ended")
    assert (row["stack"], row["ended_reason"]) == ("livekit", "completed")
    wait(lambda: events_of(stack, str(row["id"])) == ["ended", "offered", "routed"], 20, "its events are stored, once")


def test_a_change_arrives_through_listen(stack, carrier):
    """The notice comes over the direct connection, what it is about is read through the pool."""
    router = stack.daemons["router"]
    before = len(router.logged("routes.changed", user=str(LEO.id)))
    stack.sql("update public.service_numbers set is_active = false where user_id = %s", LEO.id)
    wait(lambda: len(router.logged("routes.changed", user=str(LEO.id))) > before, 10, "the router knows")
    assert carrier.voice(LEO.number).verbs() == ["Say", "Hangup"]
    stack.sql("update public.service_numbers set is_active = true where user_id = %s", LEO.id)
    wait(lambda: carrier.voice(LEO.number).verbs() != ["Say", "Hangup"], 10, "the number is back")


def test_the_api_reads_through_it(stack):
    url = stack.daemons["stack-switcher"].url
    claims = {"sub": str(RITA.id), "role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + 600}
    auth = {"Authorization": f"Bearer {jwt.encode(claims, stack.jwt_secret, algorithm='HS256')}"}
    assert http_json("GET", f"{url}/v1/me/stack", headers=auth)["stack"] == "retell"


def test_a_pooler_that_was_restarted_is_found_again(stack):
    stack.pool.process.kill()
    stack.pool.process.wait(10)
    sid = stack.place_call(RITA.number)  # served without Postgres
    stack.wait_story(sid, "bridged")
    stack.pool.start()
    call = str(stack.wait_row(sid, "ended", 30)["id"])
    wait(lambda: events_of(stack, call) == ["answered", "ended", "offered", "routed"], 30, "its events are stored, once")
    for d in stack.daemons.values():
        wait(lambda d=d: http_status(f"{d.admin_url}/readyz") == 200, 20, f"{d.name} is ready")


def test_nothing_went_wrong(stack):
    for d in stack.daemons.values():
        errors = [e for e in d.logs() if e.get("level") == "error"]
        assert not errors, errors
        # A statement prepared on one server connection and run on another is what transaction mode breaks.
        assert "prepared statement" not in d.process.log.read_text()
