"""Calls by HTTP: lists with filters, recordings out of the object store in parts, how loud they are, hanging up; and the audit."""

import json
import os
import socket
import struct
import urllib.error
import urllib.request
import uuid

import boto3
import pytest
from botocore.config import Config

from harness import voice
from harness.responder import Responder, RpcError
from harness.sip_leg import wait
from harness.stack import ADMIN, LEO, RITA, Stack
from test_stack_switcher import NOBODY, call_id, check_form, get, seed_calls, token

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
KEY = {"aws_access_key_id": "AKIDOUBLE", "aws_secret_access_key": "the-secret-of-the-double", "region_name": "us-east-1"}
RATE = 16000


class Switcher(Stack):
    """The stack-switcher, its database and an object store."""

    store: dict[str, str] = {}

    def _start_daemons(self, relay_port: int) -> None:
        self._daemon("stack-switcher", "PAT_SWITCHER_LISTEN", {
            "PAT_SUPABASE_JWT_SECRET": self.jwt_secret, "PAT_RECORDING_URL": self.double("storage"),
            "PAT_RECORDING_ACCESS_KEY": KEY["aws_access_key_id"], "PAT_RECORDING_SECRET_KEY": KEY["aws_secret_access_key"],
            # What is freed counts as freed: the sanitizer keeps 256 MB of it otherwise.
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=16"} | self.store).start()

    def _script_doubles(self) -> None:
        pass

    @property
    def url(self) -> str:
        return self.daemons["stack-switcher"].url


def wav(*sides: list[tuple[int, int]], seconds: int) -> bytes:
    """Sides of (from second, level): a second of a square wave each."""
    frames = bytearray()
    for at in range(seconds * RATE):
        for side in sides:
            level = next((v for s, v in side if s * RATE <= at < (s + 1) * RATE), 0)
            frames += struct.pack("<h", level if at // 20 % 2 else -level)
    n = len(sides)
    return (b"RIFF" + struct.pack("<I", 36 + len(frames)) + b"WAVEfmt " +
            struct.pack("<IHHIIHH", 16, 1, n, RATE, RATE * 2 * n, 2 * n, 16) + b"data" + struct.pack("<I", len(frames)) + frames)


@pytest.fixture(scope="module")
def stack():
    with Switcher(BUILD, with_livekit=False) as s:
        seed_calls(s)
        yield s


@pytest.fixture(scope="module")
def s3(stack):
    client = boto3.client("s3", endpoint_url=stack.double("storage"), config=Config(retries={"max_attempts": 0}), **KEY)
    client.create_bucket(Bucket="recordings")
    return client


@pytest.fixture(scope="module")
def admin(stack):
    return token(stack, ADMIN, app_metadata={"role": "admin"})


def put(stack, s3, n: int, data: bytes, ending: str = "wav", user=LEO) -> str:
    key = f"{user.id}/{call_id(n)}/recording.{ending}"
    s3.put_object(Bucket="recordings", Key=key, Body=data)
    stack.sql("insert into patchbay.recordings (call_id, name, user_id, state, began_at, object, bytes) values "
              "(%s, 'recording', %s, 'stored', now(), %s, %s) on conflict (call_id, name) do update set object = excluded.object, "
              "bytes = excluded.bytes, state = 'stored', peaks = null", call_id(n), user.id, key, len(data))
    return key


def fetch(stack, path: str, bearer: str | None = None, method: str = "GET", body=None, **headers) -> tuple[int, dict, bytes]:
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(stack.url + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as r:
            return r.status, {k.lower(): v for k, v in r.headers.items()}, r.read()
    except urllib.error.HTTPError as e:
        return e.code, {k.lower(): v for k, v in e.headers.items()}, e.read()


# ---------------------------------------------------------------------- lists


def ids(stack, query: str, bearer: str) -> list[int]:
    status, body = get(stack, f"/v1/calls?{query}", bearer)
    assert status == 200, body
    return [int(c["id"][-4:]) for c in body["calls"]]


def test_an_admin_lists_everybodys_calls(stack, admin):
    assert ids(stack, "all=true", admin) == [1, 2, 3, 4, 5, 6]
    _, first = get(stack, "/v1/calls?all=true&limit=4", admin)
    assert ids(stack, f"all=true&limit=4&before={first['next']}", admin) == [5, 6]
    assert {c["user_name"] for c in first["calls"]} == {"Leo"}
    assert get(stack, "/v1/calls?all=true", token(stack, LEO.id))[0] == 403


@pytest.mark.parametrize("query, found", [
    ("stack=retell", [6]), ("state=live", [5]), ("state=ended&stack=livekit", [1, 2, 3, 4]), ("outcome=answered", [1, 2, 3, 4, 6]),
    ("outcome=failed", []), (f"number={LEO.number[-4:]}", [1, 2, 3, 4, 5]), ("number=9999", [1, 2, 3, 4, 5, 6]),
    ("number=%2B15550109999", [1, 2, 3, 4, 5, 6]), ("number=0000", []), ("since=2020-01-01", [1, 2, 3, 4, 5, 6]),
    ("until=2020-01-01T00:00:00Z", []), ("since=2020-01-01T00:00:00%2B02:00&until=2999-12-31", [1, 2, 3, 4, 5, 6])])
def test_filters(stack, admin, query, found):
    assert ids(stack, f"all=true&{query}", admin) == found
    assert ids(stack, query, token(stack, LEO.id)) == [n for n in found if n < 6]


@pytest.mark.parametrize("query, field", [
    ("stack=vapi", "stack"), ("state=over", "state"), ("outcome=ok", "outcome"), ("number=123", "number"),
    ("number=12a4", "number"), ("since=yesterday", "since"), ("until=2026-02-30", "until"), ("all=maybe", "all"),
    (f"all=true&user_id={LEO.id}", "all")])
def test_what_cannot_be_asked_is_named(stack, admin, query, field):
    status, body = get(stack, f"/v1/calls?{query}", admin)
    assert (status, body["error"]["field"]) == (400, field)


def test_an_answer_that_is_known_is_not_sent_again(stack, admin):
    for path in ("/v1/calls?all=true&state=live", f"/v1/calls/{call_id(1)}", f"/v1/calls/{call_id(1)}/events"):
        _, headers, _ = fetch(stack, path, admin)
        assert fetch(stack, path, admin, **{"If-None-Match": headers["etag"]})[::2] == (304, b"")
        assert fetch(stack, path, admin, **{"If-None-Match": '"another"'})[0] == 200


def test_a_call_says_why_it_is_over_and_whether_it_was_recorded(stack, admin, s3):
    put(stack, s3, 2, b"x" * 100)
    stack.sql("update patchbay.calls set ended_reason = 'no_audio', ended_owner = 'provider' where id = %s", call_id(2))
    status, body = get(stack, f"/v1/calls/{call_id(2)}", admin)
    assert status == 200 and body["ended_means"] == "no sound ever came through"
    assert body["recording"]["state"] == "stored" and body["user_name"] == "Leo"
    listed = {c["id"]: c["recorded"] for c in get(stack, "/v1/calls?all=true", admin)[1]["calls"]}
    assert listed[call_id(2)] is True and listed[call_id(3)] is False


# ---------------------------------------------------------------------- recordings


@pytest.fixture(scope="module", params=["s3", "supabase"])
def recorded(request, stack, s3):
    """Call 1 has a recording of 900 kB, in either kind of store."""
    stack.store = {} if request.param == "s3" else {"PAT_RECORDING_STORE": "supabase", "PAT_RECORDING_SECRET_KEY": "sb_secret_1"}
    stack.daemons["stack-switcher"].env |= {"PAT_RECORDING_STORE": "s3", "PAT_RECORDING_SECRET_KEY": KEY["aws_secret_access_key"]} | stack.store
    stack.daemons["stack-switcher"].restart()
    data = bytes(i * 31 % 251 for i in range(900_000))
    put(stack, s3, 1, data, "ogg")
    return data


@pytest.mark.parametrize("asked, from_, to", [("bytes=0-", 0, 899_999), ("bytes=100-199", 100, 199), ("bytes=-5", 899_995, 899_999),
                                              ("bytes=300000-899998", 300_000, 899_998), ("bytes=899999-2000000", 899_999, 899_999)])
def test_a_part_of_a_recording(stack, recorded, asked, from_, to):
    status, headers, body = fetch(stack, f"/v1/calls/{call_id(1)}/recording", token(stack, LEO.id), Range=asked)
    assert status == 206 and body == recorded[from_:to + 1]
    assert headers["content-range"] == f"bytes {from_}-{to}/900000" and headers["content-length"] == str(to - from_ + 1)
    assert headers["content-type"] == "audio/ogg" and headers["cache-control"] == "no-store"


def test_the_whole_recording(stack, recorded):
    mine = token(stack, LEO.id)
    status, headers, body = fetch(stack, f"/v1/calls/{call_id(1)}/recording", mine)
    assert status == 200 and body == recorded and headers["accept-ranges"] == "bytes"
    status, headers, body = fetch(stack, f"/v1/calls/{call_id(1)}/recording?download=1", mine, "HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", "900000") and "attachment" in headers["content-disposition"]
    status, headers, _ = fetch(stack, f"/v1/calls/{call_id(1)}/recording", mine, Range="bytes=900000-")
    assert status == 416 and headers["content-range"] == "bytes */900000"


def test_a_player_has_its_token_in_a_cookie_and_nothing_else_takes_it(stack, recorded, admin):
    for cookie in (f"pb_listen={token(stack, LEO.id)}", f"a=b; pb_listen={admin}; c=d"):
        assert fetch(stack, f"/v1/calls/{call_id(1)}/recording", Cookie=cookie)[0] == 200
        assert fetch(stack, f"/v1/calls/{call_id(1)}", Cookie=cookie)[0] == 401
    assert fetch(stack, f"/v1/calls/{call_id(1)}/recording", Cookie=f"pb_listen={token(stack, RITA.id)}")[0] == 404
    assert fetch(stack, f"/v1/calls/{call_id(1)}/recording", Cookie="pb_listen=x.y.z; not_pb_listen=1")[0] == 401


def test_what_is_not_there_or_not_yours(stack, recorded, s3):
    mine = token(stack, LEO.id)
    for path in (f"/v1/calls/{call_id(3)}/recording", f"/v1/calls/{NOBODY}/recording", f"/v1/calls/{call_id(3)}/waveform"):
        assert fetch(stack, path, mine)[0] == 404
    for what in ("recording", "waveform"):
        assert fetch(stack, f"/v1/calls/{call_id(1)}/{what}", token(stack, RITA.id))[0] == 404
    key = put(stack, s3, 4, b"gone")
    s3.delete_object(Bucket="recordings", Key=key)
    assert fetch(stack, f"/v1/calls/{call_id(4)}/recording", mine)[0] == 404


def memory(stack) -> int:
    with open(f"/proc/{stack.daemons['stack-switcher'].process.child.pid}/statm") as f:
        return int(f.read().split()[1]) * 4096


def test_who_does_not_read_costs_nothing_and_disturbs_nobody(stack, recorded, s3):
    put(stack, s3, 1, b"z" * 8_000_000, "ogg")
    lazy, before = [], memory(stack)
    for _ in range(20):
        c = socket.create_connection(("127.0.0.1", stack.daemons["stack-switcher"].port))
        c.sendall(f"GET /v1/calls/{call_id(1)}/recording HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token(stack, LEO.id)}\r\n\r\n".encode())
        lazy.append(c)
    for c in lazy:
        assert c.recv(12) == b"HTTP/1.1 200"
    assert fetch(stack, f"/v1/calls/{call_id(1)}/recording", token(stack, LEO.id), Range="bytes=7999999-")[2] == b"z"
    assert memory(stack) - before < 60_000_000, "not 160 MB of recordings in memory"
    for c in lazy:
        c.close()
    wait(lambda: fetch(stack, "/v1/me", token(stack, LEO.id))[0] == 200, 10, "it answers")
    put(stack, s3, 1, recorded, "ogg")


# ---------------------------------------------------------------------- how loud


def test_a_waveform_is_reckoned_once(stack, s3):
    mine = token(stack, LEO.id)
    put(stack, s3, 2, wav([(0, 20000)], [(2, 10000)], seconds=3))
    status, body = get(stack, f"/v1/calls/{call_id(2)}/waveform", mine)
    caller, agent = body["peaks"]
    assert status == 200 and body["duration_ms"] == 3000 and len(caller) == len(agent) == 150
    assert caller[25] == 156 and caller[75] == caller[125] == 0 and agent[125] == 78 and agent[25] == 0
    wait(lambda: stack.sql("select peaks from patchbay.recordings where call_id = %s", call_id(2))[0][0], 10, "it is kept")
    reads = len(stack.double_log("storage", "get"))
    assert get(stack, f"/v1/calls/{call_id(2)}/waveform", mine)[1] == body
    assert len(stack.double_log("storage", "get")) == reads
    stack.sql("update patchbay.recordings set state = 'deleted' where call_id = %s", call_id(2))
    assert stack.sql("select peaks from patchbay.recordings where call_id = %s", call_id(2)) == [(None,)]


def test_a_format_that_is_not_read_has_no_peaks(stack, s3):
    put(stack, s3, 3, b"ID3\x04" + bytes(2000), "mp3")
    assert get(stack, f"/v1/calls/{call_id(3)}/waveform", token(stack, LEO.id))[1] == {"duration_ms": None, "peaks": []}


# ---------------------------------------------------------------------- hanging up


def test_an_admin_ends_a_call(stack, admin):
    with Responder(stack.nats.url) as router:
        router.on("router", "hangup", lambda p: {"state": "ended"})
        status, body = post(stack, f"/v1/calls/{call_id(5)}/hangup", admin, {"why": "abuse"})
        assert (status, body) == (202, {"state": "ending"})
        assert router.asked("router", "hangup") == [{"call_id": call_id(5), "user_id": str(LEO.id), "epoch": 0, "operator": True,
                                                     "reason": "operator_hangup"}]
        assert post(stack, f"/v1/calls/{call_id(5)}/hangup", token(stack, LEO.id), {})[0] == 403
        assert post(stack, f"/v1/calls/{call_id(1)}/hangup", admin, {})[0] == 409
        assert post(stack, f"/v1/calls/{NOBODY}/hangup", admin, {})[0] == 404
        assert len(router.asked("router", "hangup")) == 1

        def refuses(_):
            raise RpcError("unavailable", "not_configured")
        router.on("router", "hangup", refuses)
        assert post(stack, f"/v1/calls/{call_id(5)}/hangup", admin, {})[0] == 503
    rows = stack.sql("select allowed, why, user_id from patchbay.audit where action = 'call.hangup' order by at")
    assert rows == [(True, "abuse", LEO.id), (False, None, LEO.id), (True, None, LEO.id)]


def post(stack, path: str, bearer: str, body, method: str = "POST", **headers) -> tuple[int, dict]:
    status, _, answer = fetch(stack, path, bearer, method, body, **({"Content-Type": "application/json"} | headers))
    answer = json.loads(answer) if answer else {}
    check_form(stack, path, status, answer, method.lower())
    return status, answer


# ---------------------------------------------------------------------- the audit


def entries(stack, admin, query: str = "") -> list[dict]:
    status, body = get(stack, f"/v1/audit?{query}", admin)
    assert status == 200
    return body["entries"]


def test_what_is_changed_is_written_down(stack, admin):
    mine = token(stack, LEO.id)
    assert post(stack, f"/v1/users/{LEO.id}/agent", mine, {"temperature": 0.2, "agent_name": "Ann"}, "PATCH")[0] == 200
    entry = entries(stack, admin, f"action=agent&user_id={LEO.id}")[0]
    assert (entry["action"], entry["actor"], entry["actor_name"], entry["allowed"]) == ("agent.change", str(LEO.id), "Leo", True)
    assert entry["after"] == {"temperature": 0.2, "agent_name": "Ann"} and set(entry["before"]) == {"temperature", "agent_name"}
    n = len(entries(stack, admin))
    assert post(stack, f"/v1/users/{LEO.id}/agent", mine, {"temperature": 0.2}, "PATCH")[0] == 200
    assert len(entries(stack, admin)) == n  # nothing has changed
    assert post(stack, f"/v1/users/{LEO.id}/policies", admin, {"block_list": ["+15550100099"]}, "PATCH")[0] == 200
    entry = entries(stack, admin, "action=policies")[0]
    assert (entry["actor"], entry["user_name"]) == (str(ADMIN), "Leo")
    assert (entry["before"], entry["after"]) == ({"block_list": []}, {"block_list": ["+15550100099"]})


def test_webhooks_are_written_down_without_their_secrets(stack, admin):
    endpoint = str(uuid.uuid4())
    with Responder(stack.nats.url) as relay:
        relay.on("relay", "endpoint_create", lambda p: {"endpoint": {"id": endpoint}, "secrets": [{"scheme": "v1", "secret": "whsec_new"}]})
        relay.on("relay", "endpoint_delete", lambda p: {"deleted": True})
        fetch(stack, "/v1/webhooks/endpoints", token(stack, LEO.id), "POST", {"url": "https://example.com/h", "secret": "whsec_x"},
              **{"Content-Type": "application/json"})
        fetch(stack, f"/v1/webhooks/endpoints/{endpoint}?user_id={LEO.id}", admin, "DELETE")
    def written():
        found = [e for e in entries(stack, admin, "action=webhook") if e["subject"] == endpoint]
        return len(found) == 2 and found
    rows = wait(written, 30, "both are written down")
    assert [(r["action"], r["actor"], r["subject"]) for r in rows] == [
        ("webhook.delete", str(ADMIN), endpoint), ("webhook.create", str(LEO.id), endpoint)]
    assert rows[1]["after"] == {"url": "https://example.com/h"} and "whsec" not in json.dumps(rows)


def test_the_audit_is_for_admins_and_page_by_page(stack, admin):
    assert get(stack, "/v1/audit", token(stack, LEO.id))[0] == 403
    all_of_it = [e["id"] for e in entries(stack, admin)]
    seen, path = [], "/v1/audit?limit=2"
    while path:
        _, body = get(stack, path, admin)
        seen += [e["id"] for e in body["entries"]]
        path = body["next"] and f"/v1/audit?limit=2&before={body['next']}"
    assert seen == all_of_it and len(seen) > 3
    assert {e["allowed"] for e in entries(stack, admin, "allowed=false")} == {False}
    assert {e["actor"] for e in entries(stack, admin, f"actor={ADMIN}")} == {str(ADMIN)}
    assert entries(stack, admin, "until=2020-01-01") == [] and entries(stack, admin, "action=agen") == []
    for query, field in (("actor='", "actor"), ("action=A", "action"), ("user_id=1", "user_id"), ("since=x", "since"), ("allowed=1", "allowed")):
        status, body = get(stack, f"/v1/audit?{query}", admin)
        assert (status, body["error"]["field"]) == (400, field)
