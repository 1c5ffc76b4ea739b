"""The real retell-provider: registering calls by RPC and over its inside port, Retell's faults, what webhooks become."""

import asyncio
import json
import os
import signal
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import ANY

import nats
import pytest

from harness import events
from harness.process import free_port, http_status
from harness.sip_leg import wait
from harness.stack import RITA, Daemon, Stack
from harness.watch import Watch

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
SUBJECT = "pat.rpc.v1.retell.register_call"


@pytest.fixture(scope="module")
def stack():
    with Stack(BUILD, with_livekit=False) as s:
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


@pytest.fixture(scope="module")
def agent(stack) -> str:
    return stack.sql("select retell_agent_id from public.agent_configs where user_id = %s", RITA.id)[0][0]


@pytest.fixture
def retell(stack, agent):
    """Retell as a test scripts it; good again afterwards, and trusted."""
    yield lambda **keys: stack.control("retell", **keys)
    stack.control("retell", fail=None, latency_ms=0, repeat_webhooks=False, shuffle_webhooks=False)
    wait(lambda: "result" in rpc(stack, params(agent)) or time.sleep(0.2), 30, "Retell is trusted again")


def params(agent: str, **change) -> dict:
    p = {"call_id": str(uuid.uuid4()), "user_id": str(RITA.id), "agent_id": agent, "agent_version": None,
         "from": "+15550109999", "to": RITA.number} | change
    return {k: v for k, v in p.items() if v != "absent"}


def rpc(stack, body, patience_ms: int = 3000, timeout_s: float = 10) -> dict:
    return rpc_to(stack, SUBJECT, body, patience_ms, timeout_s)


def rpc_to(stack, subject: str, body, patience_ms: int = 3000, timeout_s: float = 10) -> dict:
    async def ask():
        nc = await nats.connect(stack.nats.url)
        try:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            m = await nc.request(subject, data, timeout=timeout_s, headers={"Pat-Deadline-Ms": str(patience_ms)})
            return json.loads(m.data)
        finally:
            await nc.close()

    return asyncio.run(ask())


def inside(stack, body, token: str | None = None, url: str | None = None) -> tuple[int, dict]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request((url or stack.daemons["retell-provider"].url) + "/v1/inside/register-call", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as r:
            return r.status, json.loads(r.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


def registered(stack, call: str) -> list[dict]:
    return [e for e in stack.double_log("retell", "registered") if e["request"]["metadata"]["call_id"] == call]


def test_a_call_is_registered_by_rpc(stack, agent):
    p = params(agent)
    id_ = rpc(stack, p)["result"]["retell_call_id"]
    entry, = registered(stack, p["call_id"])
    assert entry["call_id"] == id_
    assert entry["request"] == {"agent_id": agent, "from_number": "+15550109999", "to_number": RITA.number,
                                "direction": "inbound", "metadata": {"call_id": p["call_id"], "user_id": str(RITA.id)},
                                "retell_llm_dynamic_variables": {"caller_number": "+15550109999", "call_began": ANY, "said_before": ""}}


def test_a_withheld_caller_and_a_version(stack, agent):
    p = params(agent, **{"from": None, "agent_version": 0})
    assert "result" in rpc(stack, p)
    entry, = registered(stack, p["call_id"])
    assert "from_number" not in entry["request"] and entry["request"]["agent_version"] == 0


def test_a_call_is_registered_over_the_inside_port(stack, agent):
    p = params(agent)
    status, body = inside(stack, p, stack.inside_token)
    assert status == 200 and registered(stack, p["call_id"])[0]["call_id"] == body["result"]["retell_call_id"]


@pytest.mark.parametrize("token", [None, "", "wrong", "x" * 5000])
def test_the_inside_port_asks_for_its_token(stack, agent, token):
    p = params(agent)
    status, body = inside(stack, p, token)
    assert (status, body["error"]["code"]) == (401, "unauthenticated")
    assert not registered(stack, p["call_id"])


BAD = [({"call_id": "absent"}, "call_id"), ({"call_id": "1"}, "call_id"), ({"user_id": "x"}, "user_id"),
       ({"agent_id": "absent"}, "agent_id"), ({"agent_id": 5}, "agent_id"), ({"to": None}, "to")]


@pytest.mark.parametrize("change,field", BAD)
def test_a_wrong_field_is_named(stack, agent, change, field):
    error = rpc(stack, params(agent, **change))["error"]
    assert (error["code"], error["field"], error["retryable"]) == ("invalid", field, False)
    status, body = inside(stack, params(agent, **change), stack.inside_token)
    assert (status, body["error"]["field"]) == (400, field)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"{\"call_id\":\"x\"} trailing"])
def test_what_is_not_an_object_is_refused(stack, body):
    assert rpc(stack, body)["error"]["code"] == "invalid"
    assert inside(stack, body, stack.inside_token)[0] == 400
    assert stack.daemons["retell-provider"].process.alive()


FAULTS = [(400, "invalid", False), (401, "unauthenticated", False), (402, "forbidden", False), (403, "forbidden", False),
          (404, "not_found", False), (422, "not_found", False), (429, "busy", True), (500, "upstream", True),
          (503, "upstream", True)]


@pytest.mark.parametrize("status,code,retryable", FAULTS)
def test_retells_errors_are_typed(stack, agent, retell, status, code, retryable):
    retell(fail={"status": status, "times": 1, "message": "so says Retell"})
    error = rpc(stack, params(agent))["error"]
    assert (error["code"], error["retryable"], error["message"]) == (code, retryable, "so says Retell")


def test_an_unknown_agent_is_told_so(stack):
    assert rpc(stack, params("agent_nobody_made"))["error"]["code"] == "not_found"


def test_a_lost_connection_is_tried_once_more(stack, agent, retell):
    retell(fail={"status": -1, "times": 1})
    p = params(agent)
    assert "result" in rpc(stack, p)
    retell(fail={"status": -1, "times": -1})
    assert rpc(stack, params(agent))["error"]["code"] == "no_connection"


def test_slow_retell_ends_with_the_deadline(stack, agent, retell):
    retell(latency_ms=6000)
    begun = time.monotonic()
    assert rpc(stack, params(agent))["error"]["code"] == "timed_out"
    assert 2.5 < time.monotonic() - begun < 3.5
    begun = time.monotonic()
    assert rpc(stack, params(agent), patience_ms=400)["error"]["code"] == "timed_out"
    assert time.monotonic() - begun < 1.5


def test_the_breaker_opens_and_closes(stack, agent, retell):
    retell(fail={"status": 500, "times": -1})
    for _ in range(5):
        assert rpc(stack, params(agent))["error"]["code"] == "upstream"
    retell(fail=None)
    begun, p = time.monotonic(), params(agent)
    error = rpc(stack, p)["error"]
    assert (error["code"], error["retryable"]) == ("unavailable", True)
    assert time.monotonic() - begun < 0.5 and not registered(stack, p["call_id"])
    wait(lambda: "result" in rpc(stack, params(agent)) or time.sleep(0.2), 15, "the breaker lets a request through")
    assert time.monotonic() - begun > 8
    assert all("result" in rpc(stack, params(agent)) for _ in range(3))


def test_a_wrong_agent_does_not_open_the_breaker(stack, agent, retell):
    for _ in range(8):
        assert rpc(stack, params("agent_nobody_made"))["error"]["code"] == "not_found"
    assert "result" in rpc(stack, params(agent))


def test_nobody_listens_at_retells_address(stack, agent):
    """Another provider, off the bus: only its inside port is asked."""
    other = Daemon(stack, "retell-provider", stack.daemons["retell-provider"].env | {
        "PAT_RETELL_API_URL": f"http://127.0.0.1:{free_port()}", "PAT_NATS_URL": f"nats://127.0.0.1:{free_port()}"},
        "PAT_RETELL_PROVIDER_LISTEN")
    other.start(ready=False)
    try:
        other.process.wait_until(lambda: http_status(f"{other.admin_url}/healthz") == 200, 20)
        status, body = inside(stack, params(agent), stack.inside_token, other.url)
        assert (status, body["error"]["code"]) == (502, "no_connection")
    finally:
        assert other.stop() == 0


def test_many_at_once(stack, agent):
    calls = [params(agent) for _ in range(40)]
    with ThreadPoolExecutor(20) as pool:
        ids = {r["result"]["retell_call_id"] for r in pool.map(lambda p: rpc(stack, p), calls)}
    assert len(ids) == 40


# ---------------------------------------------------------------------- webhooks become events


@pytest.mark.parametrize("how", [{}, {"repeat_webhooks": True}, {"shuffle_webhooks": True}])
def test_a_calls_webhooks_are_told_once(stack, watch, retell, how):
    retell(**how)
    sid = stack.place_call(RITA.number)
    stack.wait_story(sid, "ended")
    call = str(stack.wait_row(sid, "ended")["id"])
    answered = watch.wait_for("call.answered", call)
    assert answered["data"]["stack"] == "retell" and answered["userid"] == str(RITA.id)
    watch.wait_for("usage.recorded", call, n=2)
    wait(lambda: len(stack.sql("select 1 from patchbay.webhook_inbox where call_id = %s and state = 'projected'", call)) == 3,
         20, "all three webhooks are projected")
    pending = "select count(*) from patchbay.outbox where published_at is null"
    wait(lambda: stack.sql(pending) == [(0,)], 20, "everything is published")
    usage = {e["data"]["component"]: e["data"] for e in watch.of("usage.recorded", call)}
    assert sorted(usage) == ["elevenlabs_tts", "gpt_4_1"] and len(watch.of("usage.recorded", call)) == 2
    assert all(u["unit"] == "usd_cent" and u["quantity"] > 0 for u in usage.values())
    assert len(watch.of("call.answered", call)) == 1 and not watch.repeated(call)
    assert stack.row("select answered_at from patchbay.calls where id = %s", call)["answered_at"]


def test_webhooks_wait_for_a_provider_that_is_away(stack, watch, agent):
    provider = stack.daemons["retell-provider"]
    sid = stack.place_call(RITA.number)
    stack.wait_story(sid, "dial")
    provider.kill()
    stack.wait_story(sid, "ended")
    call = str(stack.wait_row(sid, "ended")["id"])
    provider.start()
    # What was with it when it died comes again after the consumer's 30 s.
    watch.wait_for("call.answered", call, timeout_s=60)
    watch.wait_for("usage.recorded", call, n=2, timeout_s=60)


def test_sigterm_finishes_what_was_asked(stack, agent, retell):
    provider = stack.daemons["retell-provider"]
    retell(latency_ms=1200)
    p = params(agent)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(inside, stack, p, stack.inside_token)
        time.sleep(0.4)  # it is with Retell, which logs a registration only when it is done
        provider.process.send(signal.SIGTERM)
        assert pending.result(10)[0] == 200
    assert provider.process.wait(15) == 0
    provider.start()


# ---------------------------------------------------------------------- at the end


def test_every_event_keeps_to_its_schema(watch):
    assert watch.of("usage.recorded") and watch.of("call.answered")
    for event in watch.events:
        events.validate({k: v for k, v in event.items() if k != "_subject"}, event["_subject"])


def test_the_log_keeps_secrets_and_people_out(stack):
    text = stack.daemons["retell-provider"].process.log.read_text()
    assert stack.retell_key not in text and stack.inside_token not in text and "+15550109999" not in text
    assert not [e for e in stack.daemons["retell-provider"].logs() if e.get("level") == "error"]
