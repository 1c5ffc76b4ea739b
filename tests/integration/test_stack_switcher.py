"""The stack-switcher's read API: who may see what, and does every answer look as /openapi.json says."""

import json
import os
import re
import time
import urllib.error
import urllib.request
import uuid
from email.message import Message
from pathlib import Path

import jwt
import pytest

from harness.openapi import Description
from harness.process import http_status
from harness.stack import ADMIN, LEO, RITA, Daemon, Stack

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
    status, _, body = send(s, "GET", path, bearer)
    return status, body


def send(s: Stack, method: str, path: str, bearer: str | None = None, body: bytes | None = None,
         url: str | None = None, **headers) -> tuple[int, Message, dict]:
    headers = ({"Authorization": f"Bearer {bearer}"} if bearer else {}) | {k.replace("_", "-"): v for k, v in headers.items()}
    request = urllib.request.Request((url or s.daemons["stack-switcher"].url) + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as r:
            status, told, answer = r.status, r.headers, json.loads(r.read())
    except urllib.error.HTTPError as e:
        status, told, answer = e.code, e.headers, json.loads(e.read())
    check_form(s, path, status, answer, method, told["Content-Type"])
    return status, told, answer


def check_form(s: Stack, path: str, status: int, body: dict, method: str = "get", media_type: str | None = None) -> None:
    """As /openapi.json promises for this path and status."""
    if not hasattr(s, "api"):
        s.api = Description(s.daemons["stack-switcher"].url)
    s.api.check(method, path, status, media_type, body)


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


def test_an_id_is_read_in_either_case_and_written_in_lower(stack):
    """RFC 9562, section 4."""
    mine, leo = token(stack, LEO.id), str(LEO.id)
    for path in (f"/v1/calls/{call_id(1)}", f"/v1/calls/{call_id(1)}/events", f"/v1/users/{leo}/stack", f"/v1/users/{leo}/agent",
                 f"/v1/calls?user_id={leo}", f"/v1/calls?before={call_id(3)}"):
        before, name, value = path.partition("=") if "=" in path else (path, "", "")
        upper = before + name + value.upper() if name else "/".join(p.upper() if p.count("-") == 4 else p for p in path.split("/"))
        assert upper != path
        status, body = get(stack, upper, mine)
        assert (status, body) == get(stack, path, mine) and status == 200, upper
    assert get(stack, f"/v1/calls/{call_id(1)}", token(stack, leo.upper()))[0] == 200
    admin = token(stack, ADMIN, app_metadata={"role": "admin"})
    config = get(stack, f"/v1/users/{leo}/agent", mine)[1]["agent_config_id"]
    status, _, plan = send(stack, "POST", f"/v1/users/{leo.upper()}/switch?dry_run=1", admin,
                           json.dumps({"stack": "retell", "agent_config_id": config.upper()}).encode(), Content_Type="application/json")
    assert (status, plan["user_id"], plan["agent_config_id"]) == (200, leo, config)
    status, _, wrong = send(stack, "POST", "/v1/switch-voice-stack", admin, json.dumps({"userId": leo.upper(), "newStack": "x"}).encode(),
                            Content_Type="application/json")
    assert (status, wrong["field"]) == (400, "newStack")


def test_other_peoples_calls_are_not_listed(stack):
    assert get(stack, f"/v1/calls?user_id={RITA.id}", token(stack, LEO.id))[1] == {"calls": [], "next": None}
    # Nor does somebody else's call work as a place to start from.
    assert get(stack, f"/v1/calls?before={call_id(6)}", token(stack, LEO.id))[1]["field"] == "before"


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


@pytest.mark.parametrize("path", ["/v1/calls?limit=1&number=%zz", "/v1/calls?number=1%", "/v1/users?search=%ff", "/v1/audit?actor=%00", "/v1/me?x=%c0%af"])
def test_a_query_that_cannot_be_read_is_refused(stack, path):
    status, body = get(stack, path, token(stack, LEO.id, app_metadata={"role": "admin"}))
    assert (status, body["field"]) == (400, "query")


def test_a_path_that_is_not_utf_8_is_refused(stack):
    status, _, body = send(stack, "DELETE", f"/v1/users/{LEO.id}/voices/%ff", token(stack, LEO.id))
    assert (status, body["field"]) == (400, "path")


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
    status, headers, problem = send(stack, "POST", "/v1/calls", body=b"{}")
    assert (status, headers["Allow"], problem["title"]) == (405, "GET, HEAD", "Method Not Allowed")
    assert get(stack, "/v1/nothing", token(stack, LEO.id))[0] == 404


def test_a_problem_says_all_there_is_to_say(stack):
    status, headers, problem = send(stack, "GET", "/v1/calls?limit=0", token(stack, LEO.id))
    assert problem == {"type": "about:blank", "title": "Bad Request", "status": 400, "code": "invalid", "field": "limit",
                       "detail": "must be a number from 1 to 200",
                       "error": {"code": "invalid", "message": "must be a number from 1 to 200", "field": "limit"}}
    assert headers["Cache-Control"] == "no-store"


LISTS = [("/v1/audit", "before"), ("/v1/calls", "before"), ("/v1/rates", "after"), ("/v1/rates/rerate", "before"),
         ("/v1/rollouts", "before"), ("/v1/switches", "before"), ("/v1/usage", "after"), ("/v1/users", "after"), ("/v1/webhooks/deliveries", "before")]


def test_every_list_takes_a_limit_and_a_cursor_and_tells_the_next(stack):
    api = Description(stack.daemons["stack-switcher"].url).api
    lists = {}
    for path, methods in api["paths"].items():
        names = [p.get("name") for p in methods.get("get", {}).get("parameters", [])]
        if "limit" in names and "{" not in path:
            lists[path] = next(n for n in names if n in ("before", "after"))
            answer = methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            if "$ref" in answer:
                answer = api["components"]["schemas"][answer["$ref"].rpartition("/")[2]]
            assert "next" in answer["required"], path
    assert lists == dict(LISTS)


@pytest.mark.parametrize("path,cursor", LISTS)
def test_a_cursor_that_names_nothing_is_wrong(stack, path, cursor):
    admin = token(stack, LEO.id, app_metadata={"role": "admin"})
    for value in (NOBODY, "yesterday", ""):
        status, problem = get(stack, f"{path}?{cursor}={value}", admin)
        assert (status, problem["field"]) == (400, cursor), value


def test_data_is_not_stored_by_anybody(stack):
    assert send(stack, "GET", "/v1/calls", token(stack, LEO.id))[1]["Cache-Control"] == "no-store"
    assert "max-age" in send(stack, "GET", "/openapi.json")[1]["Cache-Control"]


def test_bodies_of_another_type_or_size_are_refused(stack):
    switch, mine = f"/v1/users/{LEO.id}/switch", token(stack, LEO.id)
    status, _, problem = send(stack, "POST", switch, mine, b"stack=retell", Content_Type="application/x-www-form-urlencoded")
    assert (status, problem["field"]) == (415, "Content-Type")
    status, _, problem = send(stack, "POST", f"/v1/users/{LEO.id}/voices", mine, b"{}", Content_Type="application/json")
    assert (status, problem["field"]) == (415, "Content-Type")
    for type_ in ("application/json; charset=utf-8", "application/merge-patch+json"):
        assert send(stack, "POST", switch, mine, b"{}", Content_Type=type_)[2]["field"] == "stack"
    assert send(stack, "POST", switch, mine, b" " * 20000, Content_Type="application/json")[0] == 413


@pytest.fixture
def slow(stack):
    """Another replica, one that lets little through."""
    d = Daemon(stack, "stack-switcher", stack.daemons["stack-switcher"].env | {
        "PAT_SWITCHER_READS_PER_MIN": "2", "PAT_SWITCHER_WRITES_PER_MIN": "1"}, "PAT_SWITCHER_LISTEN", "slow-switcher")
    d.env["PAT_ADMIN_LISTEN"] = f"127.0.0.1:{d.admin}"
    try:
        yield d.start()
    finally:
        d.stop()


def test_who_asks_too_often_is_told_to_wait(stack, slow):
    mine, other = token(stack, LEO.id), token(stack, RITA.id)

    def ask(method, path, bearer):
        return send(stack, method, path, bearer, url=slow.url)

    _, headers, _ = ask("GET", "/v1/me", mine)
    assert (headers["RateLimit-Policy"], headers["RateLimit"]) == ('"reads";q=2;w=60', '"reads";r=1;t=31')
    assert [ask("GET", "/v1/me", mine)[0] for _ in range(2)] == [200, 429]
    status, headers, problem = ask("GET", "/v1/me", mine)
    assert 1 <= int(headers["Retry-After"]) <= 31 and headers["RateLimit"].startswith('"reads";r=0;')
    assert problem["type"].endswith("#quota-exceeded") and problem["violated-policies"] == ["reads"]
    # Changes are counted apart, other people too, and whoever has no good token by his address.
    assert [ask("POST", f"/v1/switches/{NOBODY}/abort", mine)[0] for _ in range(2)] == [403, 429]
    assert ask("GET", "/v1/me", other)[0] == 200
    assert [ask("GET", "/v1/me", "x.y.z")[0] for _ in range(3)] == [401, 401, 429]
    assert ask("GET", "/v1/me", other)[0] == 200
    # Files are not counted.
    assert all(ask("GET", "/v1/console", None)[0] == 200 for _ in range(5))


def ask_why(stack, bearer, **question):
    return send(stack, "POST", "/v1/explain", bearer, json.dumps(question).encode(), Content_Type="application/json")


def test_an_admin_is_told_what_would_happen_to_a_call(stack):
    admin = token(stack, LEO.id, app_metadata={"role": "admin"})
    status, _, told = ask_why(stack, admin, to=LEO.number)
    assert (status, told["user_id"], told["own_stack"]) == (200, str(LEO.id), "livekit") and told["rules"]
    assert ask_why(stack, admin, to=LEO.number, **{"from": "anonymous"})[2]["from"] is None
    assert ask_why(stack, admin, to="+15550199999")[2]["serves"] == "not_in_service"
    for question, field in (({}, "to"), ({"to": "me"}, "to"), ({"to": 5}, "to"), ({"to": LEO.number, "at": "noon"}, "at")):
        status, _, problem = ask_why(stack, admin, **question)
        assert (status, problem["field"]) == (400, field)
    assert ask_why(stack, token(stack, LEO.id), to=LEO.number)[0] == 403
    assert send(stack, "GET", "/v1/version")[2]["version"]


def paths_in_sources() -> set[str]:
    folder = Path(__file__).parents[2] / "services/stack-switcher"
    return {"/openapi.json"} | {p for c in folder.glob("*.c") for p in re.findall(r'"(/v1/[^"\s?]+)"', c.read_text())}


def methods_served(stack, path: str) -> set[str]:
    """What the daemon itself says it takes; empty where it serves nothing (a vendor's path, in the sources). HEAD goes
    with every GET and is described nowhere."""
    request = urllib.request.Request(stack.daemons["stack-switcher"].url + re.sub("[{}]", "", path), method="TRACE")
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(request, timeout=10)
    return set(e.value.headers.get("Allow", "").lower().split(", ")) - {"head", "options", ""}


def test_every_route_is_described_and_every_description_has_its_route(stack):
    described = {path: set(methods) for path, methods in Description(stack.daemons["stack-switcher"].url).api["paths"].items()}
    served = {path: methods for path in paths_in_sources() | set(described) if (methods := methods_served(stack, path))}
    assert served == described


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
