"""GET, PUT and PATCH /v1/users/{id}/policies: who may, what is refused and named, lost updates, and that routers hear of it."""

import asyncio
import json
import os
import time
import urllib.error
import urllib.request
import uuid

import jwt
import nats
import pytest

from harness.openapi import Description
from harness.sip_leg import wait
from harness.stack import LEO, RITA, Stack

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
ADMIN = uuid.UUID("00000000-0000-4000-8000-0000000000cc")


@pytest.fixture(scope="module")
def stack():
    with Stack(BUILD, with_livekit=False) as s:
        yield s


@pytest.fixture(autouse=True)
def blank(stack):
    stack.sql("delete from patchbay.user_policies")


def token(stack, user=None, **claims) -> str:
    body = {"exp": int(time.time()) + 600, "role": "authenticated", "aud": "authenticated"} | ({"sub": str(user)} if user else {})
    return jwt.encode(body | claims, stack.jwt_secret, algorithm="HS256")


@pytest.fixture(scope="module")
def api(stack):
    """Every answer is held against /openapi.json."""
    described = Description(stack.daemons["stack-switcher"].url)

    def ask(method: str, body=None, user=LEO.id, bearer: str | None = None, match: str | None = None):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {bearer or token(stack, LEO.id)}"}
        if match is not None:
            headers["If-Match"] = match
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        url = f"{stack.daemons['stack-switcher'].url}/v1/users/{user}/policies"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=10) as r:
                status, told, answer = r.status, r.headers, json.loads(r.read())
        except urllib.error.HTTPError as e:
            status, told, answer = e.code, e.headers, json.loads(e.read())
        described.check(method, f"/v1/users/{user}/policies", status, told["Content-Type"], answer)
        return status, told["ETag"], answer

    return ask


def test_without_a_row_there_are_the_defaults(stack, api):
    status, etag, told = api("GET")
    assert (status, etag, told["version"]) == (200, '"0"', 0)
    stack.sql("insert into patchbay.user_policies (user_id) values (%s)", LEO.id)
    _, _, stored = api("GET")
    changing = {"version", "updated_at"}
    assert {k: v for k, v in told.items() if k not in changing} == {k: v for k, v in stored.items() if k not in changing}


def test_put_replaces_and_patch_changes(api):
    first = {"block_list": ["+19005550100", "+1900*"], "withheld": "voicemail", "max_concurrent": 3,
             "business_hours": {"mon": [["09:00", "17:00"]]}, "fallback": ["forward"], "allowed_countries": ["US"]}
    status, etag, told = api("PUT", first, match='"0"')
    assert (status, etag) == (200, '"1"') and {k: told[k] for k in first} == first and told["unknown"] == "preferences"
    status, etag, told = api("PATCH", {"withheld": "reject", "max_concurrent": None})
    assert (status, etag) == (200, '"2"') and {k: told[k] for k in first} == first | {"withheld": "reject", "max_concurrent": None}
    status, etag, told = api("PUT", {"unknown": "voicemail"}, match='"2"')
    assert (status, etag) == (200, '"3"') and (told["unknown"], told["block_list"], told["fallback"][0]) == (
        "voicemail", [], "other_stack")
    assert api("GET")[2] == told
    # What was read may be sent back.
    assert api("PUT", told, match='"3"')[2]["unknown"] == "voicemail"


def test_a_lost_update_is_refused(api):
    assert api("PUT", {})[0] == 428
    assert api("PUT", {}, match='"4"')[0] == 412
    assert api("PUT", {"withheld": "reject"}, match="*")[1] == '"1"'
    assert api("PUT", {}, match='"0"')[0] == 412
    status, _, told = api("PATCH", {"withheld": "busy"}, match='"7"')
    assert (status, told["error"]["field"]) == (412, "If-Match")
    assert api("PUT", {}, match="seven")[0] == 400
    assert api("GET")[2]["withheld"] == "reject"


def test_of_many_at_once_one_wins(stack, api):
    from concurrent.futures import ThreadPoolExecutor
    for version in (0, 1):  # the row is made, then changed: to something else each time, for what changes nothing is no version
        with ThreadPoolExecutor(8) as pool:
            got = [s for s, _, _ in pool.map(
                lambda n: api("PUT", {"max_concurrent": n}, match=f'"{version}"'), range(10 * version + 1, 10 * version + 9))]
        assert sorted(got) == [200] + [412] * 7


@pytest.mark.parametrize("body,field", [
    ({"withheld": "sometimes"}, "withheld"), ({"colour": 1}, "colour"), ({"forward_number": "555"}, "forward_number"),
    ({"business_hours": {"mon": [["09:00", "17:00"], ["x", "y"]]}}, "business_hours.mon[1]"),
    ({"holidays": [{"date": "soon"}]}, "holidays[0]"), ({"time_zone": "Mars/Olympus"}, "time_zone"),
    ({"block_list": ["+1" + "0" * 20]}, "block_list[0]"), (b"{", "body"), (b"[]", "body"), (b"", "body")])
def test_what_is_wrong_is_named(api, body, field):
    status, _, told = api("PATCH", body)
    assert (status, told["error"]["field"]) == (400, field) and told["error"]["message"]
    assert api("GET")[2]["version"] == 0


def test_a_whole_number_may_be_written_with_a_point(api):
    assert api("PATCH", b'{"max_concurrent": 5.0}')[2]["max_concurrent"] == 5


def test_only_the_owner_and_admins_may(stack, api):
    for method, body, match in (("GET", None, None), ("PATCH", {"withheld": "busy"}, None), ("PUT", {}, "*")):
        assert api(method, body, bearer=token(stack, RITA.id), match=match)[0] == 404
        assert api(method, body, bearer="nonsense", match=match)[0] == 401
        assert api(method, body, bearer=token(stack, ADMIN, app_metadata={"role": "admin"}), match=match)[0] == 200
        assert api(method, body, user=uuid.uuid4(), bearer=token(stack, ADMIN, app_metadata={"role": "admin"}), match=match)[0] == 404
    assert api("PATCH", {"withheld": "busy"}, user="me")[0] == 400
    by, = stack.sql("select updated_by from patchbay.user_policies where user_id = %s", LEO.id)[0]
    assert by == ADMIN
    stack.sql("insert into patchbay.admins (user_id) values (%s)", RITA.id)
    try:
        assert api("GET", bearer=token(stack, RITA.id))[0] == 200
    finally:
        stack.sql("delete from patchbay.admins")
    # A user cannot go around the API.
    with pytest.raises(Exception, match="permission denied"):
        stack.sql("set role authenticated; update patchbay.user_policies set withheld = 'serve'")


def test_routers_hear_of_it(stack, api):
    def decided() -> str:
        async def ask():
            nc = await nats.connect(stack.nats.url)
            m = await nc.request("pat.rpc.v1.router.explain", json.dumps({"number": LEO.number, "from": "anonymous"}).encode(), timeout=5)
            await nc.close()
            return json.loads(m.data)["result"]["serves"]

        return asyncio.run(ask())

    assert api("PATCH", {"withheld": "reject"})[0] == 200
    wait(lambda: decided() == "refuse", 30, "the router knows")
