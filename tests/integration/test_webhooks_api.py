"""Webhooks to customers by the API: who may do what, does every answer look as /openapi.json says, and whose fault is it."""

import json
import os
import time
import urllib.error
import urllib.request
import uuid

import jwt
import pytest

from harness.openapi import Description
from harness.sink import Sink
from harness.sip_leg import wait
from harness.watch import Watch
from harness.webhooks_out import Relay, a_user, an_event, tell, verified

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")


@pytest.fixture(scope="module")
def stack():
    with Relay(BUILD, with_livekit=False) as s:
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


@pytest.fixture
def sink():
    with Sink() as s:
        yield s


def token(stack, user: str | None, **claims) -> str:
    body = {"exp": int(time.time()) + 600, "role": "authenticated", "aud": "authenticated"} | claims
    return jwt.encode(body | ({"sub": user} if user else {}), stack.jwt_secret, algorithm="HS256")


def call(stack, method: str, path: str, user: str | None, body=None, bearer: str | None = None) -> tuple[int, dict]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(stack.daemons["stack-switcher"].url + path, data, method=method, headers={
        "Authorization": f"Bearer {bearer or token(stack, user)}", "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as r:
            status, type_, answer = r.status, r.headers["Content-Type"], json.loads(r.read())
    except urllib.error.HTTPError as e:
        status, type_, answer = e.code, e.headers["Content-Type"], json.loads(e.read())
    if not hasattr(stack, "api"):
        stack.api = Description(stack.daemons["stack-switcher"].url)
    stack.api.check(method, path, status, type_, answer)
    return status, answer


def test_a_user_makes_an_endpoint_and_hears_of_his_calls(stack, watch, sink):
    user = a_user()
    status, made = call(stack, "POST", "/v1/webhooks/endpoints", user, {"url": sink.plan("/a", 200), "events": ["call.*"]})
    assert status == 201 and made["endpoint"]["user_id"] == user and made["endpoint"]["events"] == ["call.*"]
    secret, id_ = made["secrets"][0]["secret"], made["endpoint"]["id"]
    event, = tell(watch, an_event(user))
    verified(wait(lambda: sink.of("/a"), 30, "it arrives")[0], secret)

    assert call(stack, "GET", f"/v1/webhooks/endpoints/{id_}", user)[1]["keys"][0]["scheme"] == "v1"
    listed = call(stack, "GET", "/v1/webhooks/endpoints", user)[1]["endpoints"]
    assert [e["id"] for e in listed] == [id_] and secret not in json.dumps(listed)
    page = wait(lambda: (p := call(stack, "GET", f"/v1/webhooks/deliveries?endpoint_id={id_}&state=delivered&limit=1", user)[1])[
        "deliveries"] and p, 30, "it is noted")
    one, = page["deliveries"]
    assert one["event_id"] == event and page["next"] == one["id"]
    assert call(stack, "GET", f"/v1/webhooks/deliveries?before={one['id']}", user)[1] == {"deliveries": [], "next": None}
    assert json.loads(call(stack, "GET", f"/v1/webhooks/deliveries/{one['id']}", user)[1]["payload"])["type"] == "call.ended"
    assert call(stack, "POST", f"/v1/webhooks/deliveries/{one['id']}/replay", user)[1] == {"replayed": 1, "more": False}
    wait(lambda: sink.ids("/a") == [event, event], 30, "it comes again")
    assert call(stack, "POST", f"/v1/webhooks/endpoints/{id_}/replay", user, {"since": "2020-01-01T00:00:00Z"})[1]["replayed"] == 0

    rotated = call(stack, "POST", f"/v1/webhooks/endpoints/{id_}/rotate", user, {"overlap_s": 0})[1]["secrets"][0]["secret"]
    assert call(stack, "POST", f"/v1/webhooks/endpoints/{id_}/test", user)[0] == 200
    verified(wait(lambda: sink.of("/a")[2:], 30, "the test arrives")[0], rotated)
    assert call(stack, "PATCH", f"/v1/webhooks/endpoints/{id_}", user, {"state": "disabled"})[1]["endpoint"]["state_reason"] == "user"
    assert call(stack, "DELETE", f"/v1/webhooks/endpoints/{id_}", user) == (200, {"deleted": True})
    assert call(stack, "GET", f"/v1/webhooks/endpoints/{id_}", user)[0] == 404


def test_the_audit_has_an_endpoint_as_it_was_and_as_it_is(stack, sink):
    user = a_user()
    id_ = call(stack, "POST", "/v1/webhooks/endpoints", user, {"url": sink.url("/a"), "events": ["call.*"], "api_key": "k-1"})[1]["endpoint"]["id"]
    path = f"/v1/webhooks/endpoints/{id_}"
    assert "was" not in call(stack, "PATCH", path, user, {"state": "disabled", "events": ["turn.*"], "description": "mine"})[1]
    assert call(stack, "PATCH", path, user, {"api_key": None})[1]["endpoint"]["has_api_key"] is False
    assert call(stack, "PATCH", path, user, {"colour": "red"})[0] == 400
    assert call(stack, "DELETE", path, user) == (200, {"deleted": True})
    rows = wait(lambda: len(found := stack.sql("select action, before, after from patchbay.audit where user_id = %s order by at, id", user)) == 4
                and found, 30, "all are written down")
    assert rows == [
        ("webhook.create", None, {"url": sink.url("/a"), "events": ["call.*"], "has_api_key": True}),
        ("webhook.change", {"state": "enabled", "events": ["call.*"], "description": None},
         {"state": "disabled", "events": ["turn.*"], "description": "mine"}),
        ("webhook.change", {"has_api_key": True}, {"has_api_key": False}),
        ("webhook.delete", {"url": sink.url("/a"), "description": "mine", "kind": "standard", "events": ["turn.*"], "state": "disabled"}, None)]


def test_what_is_wrong_is_named(stack, sink):
    user, id_ = a_user(), str(uuid.uuid4())
    for method, path, body, status, field in (
            ("POST", "/v1/webhooks/endpoints", {}, 400, "url"),
            ("POST", "/v1/webhooks/endpoints", {"url": "gopher://x"}, 400, "url"),
            ("POST", "/v1/webhooks/endpoints", {"url": sink.url("/a"), "events": ["call."]}, 400, "events"),
            ("POST", "/v1/webhooks/endpoints", {"url": sink.url("/a"), "colour": "red"}, 400, "colour"),
            ("POST", "/v1/webhooks/endpoints", [1], 400, "body"),
            ("POST", "/v1/webhooks/endpoints", b"{", 400, "body"),
            ("PATCH", f"/v1/webhooks/endpoints/{id_}", {"state": "enabled"}, 404, "id"),
            ("GET", "/v1/webhooks/endpoints/nobody", None, 400, "id"),
            ("GET", "/v1/webhooks/deliveries?limit=many", None, 400, "limit"),
            ("GET", "/v1/webhooks/deliveries?limit=1000", None, 400, "limit"),
            ("GET", "/v1/webhooks/deliveries?state=lost", None, 400, "state"),
            ("GET", "/v1/webhooks/deliveries?before=x", None, 400, "before"),
            ("POST", f"/v1/webhooks/deliveries/{id_}/replay", None, 404, "id"),
            ("POST", f"/v1/webhooks/endpoints/{id_}/rotate", {"overlap_s": -1}, 400, "overlap_s")):
        got, answer = call(stack, method, path, user, body)
        assert (got, answer["error"].get("field")) == (status, field), (method, path, answer)


def test_everybody_sees_his_own_and_an_admin_everybodys(stack, sink):
    user, stranger, admin = a_user(), a_user(), a_user()
    id_ = call(stack, "POST", "/v1/webhooks/endpoints", user, {"url": sink.url("/a")})[1]["endpoint"]["id"]
    path = f"/v1/webhooks/endpoints/{id_}"
    assert call(stack, "GET", path, stranger)[0] == 404
    assert call(stack, "GET", f"{path}?user_id={user}", stranger)[0] == 404
    assert call(stack, "DELETE", f"{path}?user_id={user}", stranger)[0] == 404
    assert call(stack, "POST", f"/v1/webhooks/endpoints?user_id={user}", stranger, {"url": sink.url("/b")})[0] == 404
    # A body that claims to be somebody else's counts for nothing.
    assert call(stack, "PATCH", path, stranger, {"user_id": user, "state": "disabled"})[0] == 404
    assert call(stack, "GET", path, user)[1]["state"] == "enabled"
    assert call(stack, "GET", path, user, bearer="nonsense")[0] == 401

    by_token = token(stack, admin, app_metadata={"role": "admin"})
    assert call(stack, "GET", f"{path}?user_id={user}", admin, bearer=by_token)[1]["id"] == id_
    assert call(stack, "GET", f"{path}?user_id={user}", admin)[0] == 404
    stack.sql("insert into patchbay.admins (user_id) values (%s)", admin)
    assert call(stack, "GET", f"{path}?user_id={user}", admin)[1]["id"] == id_
    service = token(stack, None, role="service_role", aud=None)
    assert call(stack, "GET", f"{path}?user_id={user}", None, bearer=service)[1]["id"] == id_
    assert call(stack, "GET", path, None, bearer=service)[1]["error"]["field"] == "user_id"


def test_without_a_relay_it_says_so(stack, sink):
    user = a_user()
    stack.relay.stop()
    try:
        assert call(stack, "GET", "/v1/webhooks/endpoints", user)[0] == 503
    finally:
        stack.relay.start()
    assert call(stack, "GET", "/v1/webhooks/endpoints", user) == (200, {"endpoints": []})
