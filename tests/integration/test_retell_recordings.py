"""Recordings of calls at Retell in our own store, and how many calls Retell takes."""

import os
import time
import urllib.request

import numpy
import pytest

from harness import events
from harness.process import free_port
from harness.sip_leg import wait
from harness.stack import Stack, http_json
from harness.watch import Watch
from test_retell_events import play, projected, record
from test_retell_provider import params, rpc
from test_retell_tools import Call

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
PORT = free_port()
STORE = "patchbay-it"


@pytest.fixture(scope="module")
def stack():
    settings = {"PAT_RETELL_SETTLE": "100ms", "PAT_RETELL_REQUESTS_PER_S": "200", "PAT_RETELL_TOOLS_LISTEN": f"127.0.0.1:{PORT}",
                "PAT_RETELL_TOOLS_URL": f"http://127.0.0.1:{PORT}/v1/retell/tools", "PAT_RETELL_RESULTS_AFTER": "2s",
                "PAT_RETELL_FORGET_CALLS": "true", "PAT_RETELL_QUOTA_EVERY": "300ms",
                "PAT_RECORDING_ACCESS_KEY": "AKIDOUBLE", "PAT_RECORDING_SECRET_KEY": "the-secret-of-the-double",
                "PAT_RECORDING_BUCKET": STORE, "PAT_RETELL_RECORDING_MAX": str(16 << 20)}

    class Recorded(Stack):
        def _start_daemons(self, relay_port):
            self.settings["retell-provider"]["PAT_RECORDING_URL"] = self.double("storage")
            super()._start_daemons(relay_port)

    with Recorded(BUILD, with_livekit=False, daemons={"retell-provider": settings}) as s:
        s.sql("alter table public.users add column if not exists record_calls boolean default true")
        s.control("retell", call_ms=0)
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


@pytest.fixture
def retell(stack):
    yield lambda **keys: stack.control("retell", **keys)
    stack.control("retell", fail=None, recording_bytes=100000, recording_ms=600000, no_ranges=False, concurrency=100000, scrubbed=False,
                  analyzed_ms=0)
    stack.control("storage", fail=None)


def sound(size: int) -> bytes:
    """As the double makes it."""
    return (numpy.arange(size, dtype=numpy.uint64) * numpy.uint64(2654435761) >> numpy.uint64(13)).astype(numpy.uint8).tobytes()


def ended(stack, **user) -> Call:
    call = Call(stack)
    for column, value in user.items():
        stack.sql(f"update public.users set {column} = %s where id = %s", value, call.user)
    stack.hang_up(call.sid)
    return call


def leg(stack, call, *states: str) -> dict:
    return wait(lambda: stack.row("select * from patchbay.retell_legs where call_id = %s and recording = any(%s)", call.id, list(states)),
                60, f"the recording is {states}")


def stored(stack, call) -> bytes:
    key = stack.row("select object from patchbay.recordings where call_id = %s and state = 'stored'", call.id)["object"]
    return fetch(f"{stack.double('storage')}/storage/v1/object/authenticated/{STORE}/{key}")


def fetch(url: str) -> bytes:
    auth = {"apikey": "sb_secret_1", "Authorization": "Bearer sb_secret_1"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=auth), timeout=20) as r:
        return r.read()


@pytest.mark.parametrize("size,ranges", [(100000, True), (11 << 20, True), (6 << 20, False)])
def test_a_recording_is_copied_whole(stack, watch, retell, size, ranges):
    retell(recording_bytes=size, no_ranges=not ranges)
    call = ended(stack)
    leg(stack, call, "stored")
    event = watch.wait_for("call.recording", call.id)
    events.validate({k: v for k, v in event.items() if k != "_subject"}, event["_subject"])
    assert (event["data"]["state"], event["data"]["bytes"], event["data"]["object"]) == ("stored", size, f"{call.user}/{call.id}/recording.wav")
    assert stored(stack, call) == sound(size)
    row = stack.row("select * from patchbay.recordings where call_id = %s", call.id)
    assert (row["state"], row["bytes"], str(row["user_id"])) == ("stored", size, str(call.user))
    wait(lambda: (record(call) or {}).get("recording_url") == row["url"], 30, "the record has our address")
    got = [e for e in stack.double_log("retell", "recording")]
    assert got[-1]["name"] == "stereo.wav"
    # and then Retell need not keep the call
    wait(lambda: [e for e in stack.double_log("retell", "call_deleted") if e["call_id"] == call.retell], 60, "it is deleted there")
    wait(lambda: stack.sql("select forgotten_at is not null from patchbay.retell_legs where call_id = %s", call.id) == [(True,)], 20, "and noted")


def test_an_address_that_has_expired_is_asked_for_anew(stack, watch, retell):
    retell(recording_ms=1)
    call = Call(stack)
    stack.hang_up(call.sid)
    projected(call, 3)
    expired = stack.row("select urls from patchbay.retell_legs where call_id = %s", call.id)["urls"]
    retell(recording_ms=600000)
    row = leg(stack, call, "stored")
    assert stored(stack, call) == sound(100000)
    assert row["urls"].keys() == expired.keys() and not set(row["urls"].values()) & set(expired.values()), "and kept, for who listens"


def redacted(stack) -> Call:
    """A call of a user who keeps no personal data, judged before there is a recording without any."""
    call = Call(stack)
    stack.sql("alter table public.agent_configs add column if not exists pii_storage text")
    stack.sql("update public.agent_configs set pii_storage = 'redacted' where user_id = %s", call.user)
    stack.hang_up(call.sid)
    wait(lambda: stack.row("select * from patchbay.retell_legs where call_id = %s and error is not null", call.id), 30, "it is judged")
    assert leg(stack, call, "offered")["error"] == "there is none without personal data"
    return call


def look_again(stack, call, attempts: int) -> None:
    stack.sql("update patchbay.retell_legs set attempts = %s, next_at = now() where call_id = %s", attempts, call.id)


def test_one_without_personal_data_comes_late(stack, retell):
    """Retell scrubs it when the call is over: call_ended has the address of the other one only."""
    retell(scrubbed=True, analyzed_ms=4000)
    call = redacted(stack)
    assert leg(stack, call, "stored")["urls"].keys() > {"scrubbed_recording_url"}
    assert stored(stack, call) == sound(100000)
    assert {e["name"] for e in stack.double_log("retell", "recording")[-1:]} == {"scrubbed-stereo.wav"}


def test_one_without_personal_data_is_asked_for_when_nobody_tells_of_it(stack, retell):
    call = redacted(stack)
    retell(scrubbed=True)  # and its webhook has been lost
    look_again(stack, call, 6)
    leg(stack, call, "stored")
    assert stack.double_log("retell", "recording")[-1]["name"] == "scrubbed-stereo.wav"


def test_one_without_personal_data_is_given_up_in_the_end(stack, retell):
    before = len(stack.double_log("retell", "recording"))
    call = redacted(stack)
    look_again(stack, call, 6)
    wait(lambda: stack.row("select 1 as a from patchbay.retell_legs where call_id = %s and attempts = 7 and claimed_by is null", call.id), 30,
         "Retell was asked, and has none")
    look_again(stack, call, 7)
    assert leg(stack, call, "unwanted")["error"] == "there is none without personal data"
    assert len(stack.double_log("retell", "recording")) == before and not stack.sql(
        "select 1 from patchbay.recordings where call_id = %s", call.id)


@pytest.mark.parametrize("vendor", ["retell", "storage"])
def test_what_fails_is_tried_again(stack, watch, retell, vendor):
    stack.control(vendor, fail={"status": 503, "times": 2, "path": "/recordings/" if vendor == "retell" else STORE})
    call = ended(stack)
    assert leg(stack, call, "stored")["attempts"] == 3
    assert stored(stack, call) == sound(100000)
    assert len(watch.of("call.recording", call.id)) == 1


def test_one_that_is_too_long_is_given_up(stack, watch, retell):
    retell(recording_bytes=(16 << 20) + 1)
    call = ended(stack)
    assert leg(stack, call, "failed")["error"].startswith("read: ")
    assert watch.wait_for("call.recording", call.id)["data"]["state"] == "failed"
    assert stack.row("select state, url from patchbay.recordings where call_id = %s", call.id) == {"state": "failed", "url": None}


def test_a_users_no_counts(stack, watch):
    call = Call(stack)
    stack.sql("update public.users set record_calls = false where id = %s", call.user)
    stack.hang_up(call.sid)
    projected(call, 3)
    watch.wait_for("call.stack_ended", call.id, 30)
    assert leg(stack, call, "none", "unwanted")["urls"] is None
    assert not stack.sql("select 1 from patchbay.recordings where call_id = %s", call.id)
    assert "/recordings/" not in str(stack.sql("select t::text from patchbay.call_results t where call_id = %s", call.id))
    wait(lambda: (record(call) or {}).get("call_summary"), 30, "the record is whole")
    assert record(call)["recording_url"] is None


def test_a_copy_survives_its_copier(stack, watch, retell):
    """kill -9 while it copies: another one begins anew when the claim has ended."""
    stack.control("retell", fail={"status": 503, "times": -1, "path": "/recordings/"})
    call = ended(stack)
    wait(lambda: stack.row("select * from patchbay.retell_legs where call_id = %s and attempts > 0", call.id), 30, "it is being copied")
    provider = stack.daemons["retell-provider"]
    provider.kill()
    stack.control("retell", fail=None)
    stack.sql("update patchbay.retell_legs set claimed_by = 'dead', claimed_until = now() + interval '1 second', next_at = now() "
              "where call_id = %s", call.id)
    provider.start()
    leg(stack, call, "stored")
    assert stored(stack, call) == sound(100000) and len(watch.of("call.recording", call.id)) == 1


# ---------------------------------------------------------------------- how many calls Retell takes


def gauge(stack, name: str) -> float:
    text = fetch(stack.daemons["retell-provider"].admin_url + "/metrics").decode()
    return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(name + " ")))


def test_a_full_workspace_is_busy_at_once(stack, retell):
    agent = stack.sql("select retell_agent_id from public.agent_configs where retell_agent_id is not null limit 1")[0][0]
    now = http_json("GET", stack.double("retell") + "/get-concurrency", None, {"Authorization": f"Bearer {stack.retell_key}"})
    retell(concurrency=now["current_concurrency"] + 2)
    wait(lambda: gauge(stack, "pat_retell_calls_limit") == now["current_concurrency"] + 2, 20, "the limit is known")
    retell(concurrency=now["current_concurrency"])
    wait(lambda: gauge(stack, "pat_retell_calls_free") == 0, 20, "none is free")
    p = params(agent)
    error = rpc(stack, p)["error"]
    assert (error["code"], error["retryable"]) == ("busy", True)
    assert p["call_id"] not in str(stack.double_log("retell", "registered"))
    assert gauge(stack, "pat_retell_busy_total") >= 1
    retell(concurrency=100000)
    wait(lambda: "result" in rpc(stack, params(agent)) or time.sleep(0.2), 30, "there is room again")


def test_429_means_busy_for_as_long_as_it_says(stack, retell):
    agent = stack.sql("select retell_agent_id from public.agent_configs where retell_agent_id is not null limit 1")[0][0]
    wait(lambda: "result" in rpc(stack, params(agent)) or time.sleep(0.2), 30, "there is room")
    retell(fail={"status": 429, "times": 1, "path": "/v2/register", "message": "slow down", "retry_after_ms": 3000})
    assert rpc(stack, params(agent))["error"]["message"] == "slow down"
    for _ in range(5):  # the breaker is not opened by it
        error = rpc(stack, params(agent))
        assert "result" in error or error["error"]["code"] == "busy"
    wait(lambda: "result" in rpc(stack, params(agent)) or time.sleep(0.2), 30, "there is room again")
