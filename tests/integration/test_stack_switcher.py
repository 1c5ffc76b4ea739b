"""The stack-switcher's read API: who may see what, and does every answer look as /openapi.json says."""

import json
import os
import time
import urllib.error
import urllib.request
import uuid

import jwt
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from harness.process import http_status
from harness.stack import ADMIN, LEO, RITA, Stack

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
NOBODY = uuid.UUID("00000000-0000-4000-8000-0000000000dd")


@pytest.fixture(scope="module")
def stack():
    with Stack(BUILD, with_livekit=False) as s:
        seed_calls(s)
        yield s


def call_id(n: int) -> str:
    return f"0199a7d2-0000-7000-8000-{n:012d}"


def seed_calls(s: Stack) -> None:
    """Leo: five calls, of different minutes; Rita: one. Call 1 failed over once."""
    for n in range(1, 7):
        user = RITA if n == 6 else LEO
        s.sql("insert into patchbay.calls (id, user_id, from_number, to_number, stack, state, outcome, carrier_call_id, "
              "sip_target, offered_at, answered_at, ended_at) values (%s, %s, '+15550109999', %s, %s, %s, %s, %s, %s, "
              "now() - %s * interval '1 minute', now() - %s * interval '1 minute', %s)",
              call_id(n), user.id, user.number, user.stack, "answered" if n == 5 else "ended",
              None if n == 5 else "answered", f"CA{n}", "sip:x@y;transport=tls?X-Pat-Sig=s", 10 + n, 9 + n,
              None if n == 5 else "2026-01-01T00:00:00Z")
    for i, name in enumerate(["offered", "routed", "failed_over"]):
        s.sql("insert into patchbay.call_events (id, call_id, user_id, type, subject, occurred_at, data) values "
              "(%s, %s, %s, %s, 'x', now() - interval '11 minutes' + %s * interval '1 second', %s)",
              str(uuid.uuid4()), call_id(1), LEO.id, f"pat.call.v1.{name}", i,
              json.dumps({"call_id": call_id(1), "user_id": str(LEO.id)} |
                         ({"from": "livekit", "to": "retell", "reason": "busy"} if name == "failed_over" else {})))


def token(s: Stack, user=None, secret=None, **claims) -> str:
    body = {"exp": int(time.time()) + 600, "role": "authenticated", "aud": "authenticated"}
    if user:
        body["sub"] = str(user)
    body |= claims
    return jwt.encode({k: v for k, v in body.items() if v is not None}, secret or s.jwt_secret, algorithm="HS256")


def get(s: Stack, path: str, bearer: str | None = None) -> tuple[int, dict]:
    request = urllib.request.Request(s.daemons["stack-switcher"].url + path,
                                     headers={"Authorization": f"Bearer {bearer}"} if bearer else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as r:
            status, body = r.status, json.loads(r.read())
    except urllib.error.HTTPError as e:
        status, body = e.code, json.loads(e.read())
    check_form(s, path, status, body)
    return status, body


def check_form(s: Stack, path: str, status: int, body: dict, method: str = "get") -> None:
    """As /openapi.json promises for this path and status."""
    if not hasattr(s, "api"):
        with urllib.request.urlopen(s.daemons["stack-switcher"].url + "/openapi.json", timeout=10) as r:
            s.api = json.loads(r.read())
    parts = path.split("?")[0].split("/")
    for pattern, methods in s.api["paths"].items():
        wanted = pattern.split("/")
        if len(wanted) == len(parts) and all(w == p or w.startswith("{") for w, p in zip(wanted, parts)):
            answer = methods[method]["responses"].get(str(status))
            assert answer, f"{pattern} does not promise {status}"
            if "$ref" in answer:
                answer = s.api["components"]["responses"][answer["$ref"].rpartition("/")[2]]
            registry = Registry().with_resource("urn:api", Resource(contents=s.api, specification=DRAFT202012))
            schema = json.loads(json.dumps(answer["content"]["application/json"]["schema"])
                                .replace("#/components", "urn:api#/components"))
            faults = list(Draft202012Validator(schema, registry=registry).iter_errors(body))
            assert not faults, f"{path}: {faults[0].json_path}: {faults[0].message}"
            return
    assert status == 404, f"{path} is not in the description"


def test_my_stack(stack):
    status, body = get(stack, "/v1/me/stack", token(stack, LEO.id))
    assert (status, body["user_id"], body["stack"]) == (200, str(LEO.id), "livekit")
    agent, = body["agents"]
    assert agent["numbers"] == [LEO.number] and agent["on_livekit"] and not agent["on_retell"]
    assert "live_transcript" in agent["capabilities"] and "failover" not in agent["capabilities"]
    status, body = get(stack, "/v1/me/stack", token(stack, RITA.id))
    assert (status, body["stack"]) == (200, "retell")
    assert "post_call_analysis" in body["agents"][0]["capabilities"]


def test_a_change_of_stack_shows_at_once(stack):
    stack.sql("update public.agent_configs set stack_config = '{\"livekit\": {}}' where user_id = %s", RITA.id)
    _, body = get(stack, "/v1/me/stack", token(stack, RITA.id))
    assert body["agents"][0]["on_livekit"] and "failover" in body["agents"][0]["capabilities"]
    stack.sql("update public.agent_configs set stack_config = '{}' where user_id = %s", RITA.id)


def test_calls_page_by_page(stack):
    mine, seen, path = token(stack, LEO.id), [], "/v1/calls?limit=2"
    while path:
        status, body = get(stack, path, mine)
        assert status == 200
        seen += [c["id"] for c in body["calls"]]
        path = body["next"] and f"/v1/calls?limit=2&before={body['next']}"
    assert seen == [call_id(n) for n in (1, 2, 3, 4, 5)]  # newest first, each once


def test_one_call_and_its_events(stack):
    mine = token(stack, LEO.id)
    status, body = get(stack, f"/v1/calls/{call_id(1)}", mine)
    assert status == 200 and body["carrier_call_id"] == "CA1" and body["from"] == "+15550109999"
    assert body["sip_target"] == "sip:x@y;transport=tls"  # without the signed headers
    status, body = get(stack, f"/v1/calls/{call_id(1)}/events", mine)
    assert [e["type"].split(".")[-1] for e in body["events"]] == ["offered", "routed", "failed_over"]
    assert body["events"][2]["data"] == {"from": "livekit", "to": "retell", "reason": "busy"}


@pytest.mark.parametrize("path", [f"/v1/calls/{call_id(6)}", f"/v1/calls/{call_id(6)}/events", f"/v1/calls/{NOBODY}",
                                  f"/v1/users/{RITA.id}/stack", f"/v1/users/{NOBODY}/stack"])
def test_other_peoples_data_is_not_there(stack, path):
    status, body = get(stack, path, token(stack, LEO.id))
    assert (status, body["error"]["code"]) == (404, "not_found")


def test_other_peoples_calls_are_not_listed(stack):
    assert get(stack, f"/v1/calls?user_id={RITA.id}", token(stack, LEO.id))[1] == {"calls": [], "next": None}
    # Nor does somebody else's call work as a place to start from.
    assert get(stack, f"/v1/calls?before={call_id(6)}", token(stack, LEO.id))[1]["calls"] == []


def test_an_admin_sees_everybody(stack):
    by_token = token(stack, ADMIN, app_metadata={"role": "admin"})
    by_table = token(stack, ADMIN)
    service = token(stack, None, role="service_role", aud=None)
    assert get(stack, f"/v1/calls/{call_id(6)}", by_table)[0] == 404
    stack.sql("insert into patchbay.admins (user_id) values (%s)", ADMIN)
    for admin in (by_token, by_table, service):
        assert get(stack, f"/v1/calls/{call_id(6)}", admin)[0] == 200
        assert get(stack, f"/v1/users/{LEO.id}/stack", admin)[1]["stack"] == "livekit"
        assert len(get(stack, f"/v1/calls?user_id={LEO.id}", admin)[1]["calls"]) == 5
        assert get(stack, "/v1/health/stacks", admin)[1]["scope"] == "all"
    stack.sql("delete from patchbay.admins")
    assert get(stack, f"/v1/calls/{call_id(6)}", by_table)[0] == 404


def test_a_service_is_nobody(stack):
    service = token(stack, None, role="service_role", aud=None)
    assert get(stack, "/v1/me/stack", service)[0] == 404
    status, body = get(stack, "/v1/calls", service)
    assert (status, body["error"]["field"]) == (400, "user_id")


def test_health_of_the_last_hour(stack):
    _, body = get(stack, "/v1/health/stacks", token(stack, LEO.id))
    assert body["scope"] == "own"
    assert body["stacks"]["livekit"].items() >= {"routed": 5, "answered": 5, "live": 1, "failed_over": 1}.items()
    assert body["stacks"]["livekit"]["last_error"]["reason"] == "busy"
    assert body["stacks"]["retell"].items() >= {"routed": 0, "answered": 0, "live": 0, "failed_over": 0, "last_error": None}.items()


@pytest.mark.parametrize("path,field", [
    ("/v1/calls?limit=0", "limit"), ("/v1/calls?limit=201", "limit"), ("/v1/calls?limit=x", "limit"),
    ("/v1/calls?limit=", "limit"), ("/v1/calls?before=yesterday", "before"), ("/v1/calls?user_id='%20or%20true", "user_id"),
    ("/v1/calls/not-a-call", "id"), ("/v1/calls/not-a-call/events", "id"), ("/v1/users/1/stack", "id")])
def test_bad_input_is_named(stack, path, field):
    status, body = get(stack, path, token(stack, LEO.id))
    assert (status, body["error"]["field"]) == (400, field)


def bad_tokens(s: Stack) -> dict[str, str | None]:
    return {"none": None, "garbage": "x.y.z", "other secret": token(s, LEO.id, secret="another-secret-with-32-characters!!"),
            "expired": token(s, LEO.id, exp=int(time.time()) - 120), "no end": token(s, LEO.id, exp=None),
            "anon": token(s, LEO.id, role="anon"), "other aud": token(s, LEO.id, aud="x"), "no user": token(s),
            "no algorithm": jwt.encode({"sub": str(LEO.id), "role": "service_role", "exp": 9999999999}, None, algorithm="none")}


@pytest.mark.parametrize("path", ["/v1/me/stack", "/v1/calls", f"/v1/calls/{call_id(1)}", f"/v1/calls/{call_id(1)}/events",
                                  "/v1/health/stacks", f"/v1/users/{LEO.id}/stack"])
def test_without_a_good_token_nothing_is_said(stack, path):
    for name, bad in bad_tokens(stack).items():
        status, body = get(stack, path, bad)
        assert (status, body["error"]["code"]) == (401, "unauthenticated"), name


def test_other_methods_and_paths(stack):
    request = urllib.request.Request(stack.daemons["stack-switcher"].url + "/v1/calls", data=b"{}", method="POST")
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(request, timeout=10)
    assert (e.value.code, e.value.headers["Allow"]) == (405, "GET")
    assert get(stack, "/v1/nothing", token(stack, LEO.id))[0] == 404


def test_postgres_away_is_said_and_passes(stack):
    switcher = stack.daemons["stack-switcher"]
    stack.pg.stop(keep=True)
    try:
        status, body = get(stack, "/v1/calls", token(stack, LEO.id))
        assert (status, body["error"]["code"]) == (503, "unavailable")
        assert switcher.process.alive()
    finally:
        stack.pg.start()
    deadline = time.monotonic() + 20
    while http_status(f"{switcher.admin_url}/readyz") != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert get(stack, "/v1/calls", token(stack, LEO.id))[0] == 200


def test_no_token_in_the_log(stack):
    text = stack.daemons["stack-switcher"].process.log.read_text()
    assert "api.refused" in text and "eyJ" not in text and stack.jwt_secret not in text
