"""What answers of the API cost: rows the database reads for them, and bytes on the wire."""

import gzip
import json
import urllib.error
import urllib.request

import pytest

from harness.sip_leg import wait
from harness.stack import ADMIN, LEO
from test_stack_switcher import get, token
from test_usage_api import BUILD, Switcher

OTHERS = 400


@pytest.fixture(scope="module")
def stack():
    with Switcher(BUILD, with_livekit=False) as s, s.pg.admin("patchbay") as c:
        c.execute("set session_replication_role = replica")
        c.execute("create temp table who as select i, gen_random_uuid() as u from generate_series(1, %s) i", [OTHERS])
        c.execute("insert into auth.users (id, email) select u, 'user' || i || '@example.com' from who")
        c.execute("insert into public.users (id, email, name) select u, 'user' || i || '@example.com', 'User ' || i from who")
        c.execute("insert into public.agent_configs (user_id, active_voice_stack, agent_name) select u, 'livekit', 'Agent ' || i from who")
        c.execute("insert into public.service_numbers (user_id, phone_number, phone_sid) select u, '+1557' || lpad(i::text, 7, '0'), 'PN9' || i from who")
        c.execute("insert into patchbay.usage_stack_days select u, current_date, 'livekit', 1, 1, 60000, 1000 * i, 0, 0, 0, 0, 0, 0, 0, 0 from who")
        c.execute("analyze")
        yield s


@pytest.fixture
def admin(stack):
    return token(stack, ADMIN, app_metadata={"role": "admin"})


def read(stack) -> int:
    """How often agents were looked for, as those who looked have told: a moment later."""
    return stack.sql("select idx_scan + seq_scan * %s from pg_stat_user_tables where relid = 'public.agent_configs'::regclass", OTHERS)[0][0]


@pytest.mark.parametrize("question", ["agent", "stack", "plan"])
def test_a_users_agent_is_found_without_looking_at_everybodys(stack, admin, question):
    before = read(stack)
    if question == "plan":
        facts, = stack.sql("select patchbay.switch_facts(%s, null, 'retell')", LEO.id)[0]
        assert facts["numbers"] == [LEO.number]
    else:
        assert LEO.number in json.dumps(get(stack, f"/v1/users/{LEO.id}/{question}", admin))
    wait(lambda: read(stack) > before, 30, "it is told")
    assert read(stack) - before < 50


# ---------------------------------------------------------------------- bytes


def fetch(stack, path: str, bearer: str | None = None, method: str = "GET", body: dict | None = None, **headers) -> tuple[int, dict, bytes]:
    headers = {k.replace("_", "-"): v for k, v in headers.items()} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    request = urllib.request.Request(stack.url + path, None if body is None else json.dumps(body).encode(),
                                     headers | {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as r:
            return r.status, {k.lower(): ", ".join(r.headers.get_all(k)) for k in r.headers}, r.read()
    except urllib.error.HTTPError as e:
        return e.code, {k.lower(): ", ".join(e.headers.get_all(k)) for k in e.headers}, e.read()


LISTS = ["/v1/users?limit=200", "/v1/usage?group_by=user", "/v1/usage?group_by=user&format=csv", "/openapi.json"]


@pytest.mark.parametrize("path", LISTS)
def test_lists_are_compressed_for_who_takes_that(stack, admin, path):
    _, whole, text = fetch(stack, path, admin)
    assert "content-encoding" not in whole and "Accept-Encoding" in whole["vary"]
    for refused in ("gzip;q=0", "br, identity", "*;q=0"):
        _, headers, same = fetch(stack, path, admin, Accept_Encoding=refused)
        assert "content-encoding" not in headers and len(same) == len(text)
    status, headers, small = fetch(stack, path, admin, Accept_Encoding="gzip, deflate, br")
    assert (status, headers["content-encoding"], int(headers["content-length"])) == (200, "gzip", len(small))
    assert headers["content-type"] == whole["content-type"] and "Accept-Encoding" in headers["vary"]
    assert len(gzip.decompress(small)) == len(text) and len(small) < len(text) / 2
    status, head, nothing = fetch(stack, path, admin, "HEAD", Accept_Encoding="gzip")
    assert (status, head["content-encoding"], head["content-length"], nothing) == (200, "gzip", headers["content-length"], b"")


def test_usage_comes_by_fifty_rows_and_as_a_file_whole(stack, admin):
    page = json.loads(fetch(stack, "/v1/usage?group_by=user", admin)[2])
    assert (len(page["rows"]), page["next"], page["count"]) == (50, "50", OTHERS)
    assert len(json.loads(fetch(stack, "/v1/usage?group_by=user&limit=1000", admin)[2])["rows"]) == OTHERS
    lines = fetch(stack, "/v1/usage?group_by=user&format=csv", admin)[2].decode().splitlines()
    assert len(lines) == 1 + OTHERS
    assert len(fetch(stack, "/v1/usage?group_by=user&format=csv&limit=7&after=3", admin)[2].decode().splitlines()) == 1 + 7


def test_a_short_answer_goes_as_it_is(stack, admin):
    _, headers, text = fetch(stack, "/v1/me", admin, Accept_Encoding="gzip")
    assert "content-encoding" not in headers and json.loads(text)["admin"]


@pytest.mark.parametrize("path", ["/v1/calls?all=true", "/"])
def test_what_is_known_is_not_sent_again_in_either_form(stack, admin, path):
    _, whole, _ = fetch(stack, path, admin)
    _, packed, _ = fetch(stack, path, admin, Accept_Encoding="gzip")
    assert whole["etag"] == packed["etag"] and whole["etag"].startswith('W/"')
    for tag in (whole["etag"], whole["etag"][2:], f'"other", {whole["etag"]}'):
        for accept in ("gzip", "identity"):
            status, headers, body = fetch(stack, path, admin, If_None_Match=tag, Accept_Encoding=accept)
            assert (status, headers["etag"], body) == (304, whole["etag"], b"")
            assert "Accept-Encoding" in headers["vary"] and "content-encoding" not in headers
    assert fetch(stack, path, admin, If_None_Match='W/"other"')[0] == 200


def test_answers_that_no_handler_allowed_are_not_compressed(stack, admin):
    """A plan is long, and could be; the answer of a change might hold a secret."""
    status, headers, text = fetch(stack, f"/v1/users/{LEO.id}/switch?dry_run=1", admin, "POST", {"stack": "retell"}, Accept_Encoding="gzip")
    assert status == 200 and len(text) > 1024 and json.loads(text)["fields"]
    assert "content-encoding" not in headers and "Accept-Encoding" not in headers.get("vary", "")


def test_files_come_compressed_as_they_were_built(stack):
    _, plain, text = fetch(stack, "/")
    for accept, packed in (("gzip", True), ("x-gzip;q=0.5", True), ("*", True), ("gzip;q=0", False), ("br", False), ("gzip;q=0.0, *;q=1", False)):
        for method in ("GET", "HEAD"):
            status, headers, body = fetch(stack, "/", method=method, Accept_Encoding=accept)
            assert (status, headers.get("content-encoding")) == (200, "gzip" if packed else None), accept
            assert headers["vary"] == "Accept-Encoding" and headers["etag"] == plain["etag"]
            assert body == b"" if method == "HEAD" else (gzip.decompress(body) if packed else body) == text
