"""The real webhook-relay: what it takes and refuses, and that nothing it took is lost or counted twice."""

import asyncio
import base64
import hashlib
import hmac
import http.client
import itertools
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import jwt
import psycopg
import pytest

from harness import events
from harness.postgres import OWNER
from harness.sip_leg import wait
from harness.stack import LEO, RITA, Stack
from harness.watch import Watch, in_stream

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
KEY, SECRET = "devkey", "a-secret-of-livekit-with-at-least-32-characters"


@pytest.fixture(scope="module")
def stack():
    keys = {"PAT_LIVEKIT_API_KEY": KEY, "PAT_LIVEKIT_API_SECRET": SECRET}
    with Stack(BUILD, with_livekit=False, daemons={"webhook-relay": keys}) as s:
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


def post(stack, path: str, body: bytes, timeout_s: float = 15, **headers: str) -> tuple[int, dict | None]:
    request = urllib.request.Request(stack.daemons["webhook-relay"].url + path, body, {
        "Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as r:
            return r.status, None
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read() or b"null")


# ---------------------------------------------------------------------- Retell


def retell_sign(key: str, body: bytes, at_ms: int | None = None) -> str:
    at_ms = at_ms or int(time.time() * 1000)
    return f"v={at_ms},d={hmac.new(key.encode(), body + str(at_ms).encode(), hashlib.sha256).hexdigest()}"


def from_retell(stack, body: dict | bytes, signature: str | None = None, **how) -> tuple[int, dict | None]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return post(stack, "/v1/hooks/retell", data, X_Retell_Signature=signature or retell_sign(stack.retell_key, data), **how)


def a_call(stack) -> dict:
    """As Retell tells of one that nobody routed: the record is rebuilt from the webhook alone."""
    now = int(time.time() * 1000)
    return {"call_id": "call_" + uuid.uuid4().hex, "agent_id": "agent_x", "call_type": "phone_call", "direction": "inbound",
            "from_number": "+15550109999", "to_number": RITA.number, "call_status": "ended", "start_timestamp": now - 9000,
            "end_timestamp": now - 1000, "duration_ms": 8000, "disconnection_reason": "user_hangup",
            "metadata": {"call_id": str(uuid.uuid4()), "user_id": str(RITA.id)}}


def story(stack, call: dict | None = None) -> list[dict]:
    """The three webhooks of a call, each with what is known by then."""
    call = call or a_call(stack)
    begun = {k: v for k, v in call.items() if k not in ("end_timestamp", "duration_ms", "disconnection_reason")}
    ended = call | {"transcript": "Agent: Hello.\nUser: Hi.\n"}
    analysed = ended | {"call_analysis": {"call_summary": "They said hello.", "user_sentiment": "Positive", "call_successful": True}}
    return [{"event": "call_started", "call": begun | {"call_status": "ongoing"}}, {"event": "call_ended", "call": ended},
            {"event": "call_analyzed", "call": analysed}]


def ours(hook: dict) -> str:
    return hook["call"]["metadata"]["call_id"]


def inbox(stack, hook: dict) -> list[tuple]:
    return stack.sql("select state, convert_from(body, 'UTF8') from patchbay.webhook_inbox where dedupe_key like %s",
                     f"%{hook['call']['call_id']}%")


def records(stack, call: str) -> list[dict]:
    rows = stack.sql("select to_jsonb(r) from public.call_records r where id = %s or retell_call_id = "
                     "(select retell_call_id from patchbay.calls where id = %s)", call, call)
    return [r[0] for r in rows]


def projected(stack, hook: dict, n: int = 1) -> bool:
    return sum(1 for state, _ in inbox(stack, hook) if state == "projected") == n


def test_a_webhook_is_stored_before_it_is_acknowledged(stack, watch):
    hook = story(stack)[1]
    body = json.dumps(hook, indent=1).encode()
    assert from_retell(stack, body) == (200, None)
    (_, kept), = inbox(stack, hook)  # at once: 200 means that it is there, byte for byte
    assert kept.encode() == body
    news = wait(lambda: [e for e in watch.of("webhook.received") if e["data"]["call_id"] == ours(hook)], 10, "it is told")
    assert news[0]["data"] | {"webhook_id": ""} == {"source": "retell", "webhook_id": "", "kind": "call_ended",
                                                    "call_id": ours(hook), "user_id": str(RITA.id)}
    record, = wait(lambda: records(stack, ours(hook)), 10, "the call has its record")
    assert record["id"] == ours(hook) and record["retell_call_id"] == hook["call"]["call_id"]


@pytest.mark.parametrize("how", ["missing", "garbage", "another key", "another body", "another time", "six minutes old",
                                 "six minutes ahead"])
def test_a_wrong_signature_is_refused(stack, how):
    hook = story(stack)[1]
    body, now, key = json.dumps(hook).encode(), int(time.time() * 1000), stack.retell_key
    good = retell_sign(key, body, now)
    signature = {"missing": "", "garbage": "v=1,d=zz", "another key": retell_sign("key_other", body), "another body":
                 retell_sign(key, body + b" "), "another time": good.replace(f"v={now}", f"v={now + 1}"),
                 "six minutes old": retell_sign(key, body, now - 360_000),
                 "six minutes ahead": retell_sign(key, body, now + 360_000)}[how]
    status, answer = post(stack, "/v1/hooks/retell", body, **({"X_Retell_Signature": signature} if signature else {}))
    assert (status, answer["error"]["field"]) == (401, "X-Retell-Signature")
    assert not inbox(stack, hook)


@pytest.mark.parametrize("body,field", [(b"", "body"), (b"{", "body"), (b"[]", "event"), (b"{\"event\":\"x\",\"call\":{}}", "call.call_id"),
                                        (b"{\"event\":5,\"call\":{\"call_id\":\"c\"}}", "event"), (b"{\"a\":1,\"a\":2}", "a"),
                                        (b"{\"event\":\"x\",\"call\":{\"call_id\":\"" + b"c" * 400 + b"\"}}", "call.call_id")])
def test_an_authentic_but_malformed_webhook_is_refused(stack, body, field):
    status, answer = from_retell(stack, body)
    assert status in (400, 413) and answer["error"]["field"] == field


def test_news_about_no_call_is_kept_and_parked(stack, watch):
    """Retell tells the same address of chats, and will tell of what is not known today."""
    chat = "chat_" + uuid.uuid4().hex
    body = json.dumps({"event": "chat_ended", "chat": {"chat_id": chat, "chat_status": "ended"}}).encode()
    for _ in range(2):
        assert from_retell(stack, body) == (200, None)
    kept = lambda: stack.sql("select id::text, state, error from patchbay.webhook_inbox where kind = 'chat_ended' "  # noqa: E731
                             "and convert_from(body, 'UTF8') like %s", f"%{chat}%")
    (webhook, _, why), = wait(lambda: [r for r in kept() if r[1] == "parked"], 10, "it is parked") and kept()
    assert "about no call" in why
    told = wait(lambda: [e for e in watch.of("webhook.parked") if e["data"]["webhook_id"] == webhook], 10, "it is told")
    assert told[0]["data"]["kind"] == "chat_ended"


@pytest.mark.parametrize("cut", [rb"\ud83d", rb"\ude00", rb"\u0000", rb"\ud83d\ud83d", rb"\uD83D\u0041",
                                 b"\xf0\x9f\x98", b"\xff", b"\xed\xa0\xbd", b"\xfc" * 40_000])
def test_half_a_character_costs_no_call_its_record(stack, cut):
    """Escapes: valid JSON, as JavaScript writes a text it has cut in the middle of an emoji, and nothing Postgres can hold.
    Bytes: the same of who cuts bytes, and Latin-1."""
    hook = story(stack)[2]
    hook["call"]["transcript"] = "Agent: Hello HERE.\nUser: \\u0000 is no escape.\n"
    body = json.dumps(hook).encode().replace(b"HERE", cut)
    assert from_retell(stack, body) == (200, None)
    assert from_retell(stack, body) == (200, None)
    record, = wait(lambda: records(stack, ours(hook)), 20, "the call has its record")
    assert record["transcript"].startswith("Agent: Hello \ufffd") and "\\u0000 is no escape" in record["transcript"]
    assert record["call_summary"] == "They said hello."


def test_an_oversized_webhook_is_refused_and_a_long_transcript_is_not(stack):
    hook = story(stack)[1]
    hook["call"]["transcript"] = "Agent: " + "word " * 400_000  # 2 MB
    assert from_retell(stack, hook)[0] == 200
    at = urllib.parse.urlsplit(stack.daemons["webhook-relay"].url)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=10)
    connection.putrequest("POST", "/v1/hooks/retell")
    connection.putheader("Content-Length", str(5 << 20))
    connection.endheaders()
    assert connection.getresponse().status == 413  # before a byte of it was sent
    connection.close()


def test_a_repeated_webhook_changes_nothing(stack, watch):
    hook = story(stack)[2]
    for _ in range(5):
        assert from_retell(stack, hook) == (200, None)
    wait(lambda: projected(stack, hook), 20, "it is projected")
    assert len(inbox(stack, hook)) == 1 and len(records(stack, ours(hook))) == 1
    told = lambda: [e for e in watch.of("webhook.received") if e["data"]["call_id"] == ours(hook)]  # noqa: E731
    wait(told, 20, "it is told")
    assert len(told()) == 1


ODD = [{"start_timestamp": "soon"}, {"start_timestamp": None, "end_timestamp": 9e15}, {"end_timestamp": 1e300}, {"duration_ms": -1},
       {"duration_ms": "8000"}, {"call_analysis": {"call_summary": "They said hello.", "call_successful": "maybe", "in_voicemail": 1}},
       {"latency": {"e2e": {"p50": "fast", "p90": 1e300, "p99": 900}, "llm": 7, "tts": None}}, {"latency": []},
       {"call_cost": []}, {"call_cost": "free"}, {"call_cost": {"combined_cost": "free"}}, {"call_cost": {"combined_cost": 1e300, "product_costs": {}}},
       {"call_cost": {"combined_cost": 10.8, "product_costs": [5, None, {"product": "elevenlabs_tts", "cost": "4"},
                                                               {"product": "elevenlabs_tts", "cost": 4.0}]}},
       {"transcript_object": "none", "transcript_with_tool_calls": 5}, {"metadata_of_tomorrow": {"a": [[[1]]]}, "call_type": 5}]


@pytest.mark.parametrize("odd", ODD, ids=lambda o: "-".join(o))
def test_a_value_that_is_none_costs_the_call_nothing_else(stack, odd):
    hook = story(stack)[2]
    hook["call"] |= odd
    assert from_retell(stack, hook) == (200, None)
    record, = wait(lambda: records(stack, ours(hook)), 20, "the call has its record")
    assert record["call_summary"] == "They said hello." and "Hi." in record["transcript"]
    if "latency" in odd and odd["latency"]:
        assert record["e2e_latency_p99"] == 900 and record["e2e_latency_p50"] is None
    if "product_costs" in str(odd) and isinstance(odd["call_cost"]["product_costs"], list):
        assert record["call_cost_tts"] == 0.04 and record["call_cost_total"] == 0.108


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_order_gives_the_same_record(stack, order):
    hooks = story(stack)
    for i in order:
        assert from_retell(stack, hooks[i]) == (200, None)
    wait(lambda: projected(stack, hooks[0], 3), 20, "all three are projected")
    record, = records(stack, ours(hooks[0]))
    assert record["call_summary"] == "They said hello." and "Hi." in record["transcript"]
    row = stack.row("select state, ended_reason from patchbay.calls where id = %s", ours(hooks[0]))
    assert (row["state"], row["ended_reason"]) == ("ended", "caller_hangup")


def test_a_call_of_somebody_else_makes_no_record(stack):
    """The agent may be dialled in other ways, and an id in the metadata proves nothing."""
    strange = story(stack)[1]
    del strange["call"]["metadata"]
    assert from_retell(stack, strange) == (200, None)
    foreign = story(stack)[1]
    first = story(stack, a_call(stack))[1]
    assert from_retell(stack, first) == (200, None)
    wait(lambda: projected(stack, first), 20, "the first is projected")
    foreign["call"]["metadata"] = {"call_id": ours(first), "user_id": str(LEO.id)}
    assert from_retell(stack, foreign) == (200, None)
    wait(lambda: stack.sql("select attempts from patchbay.webhook_inbox where dedupe_key like %s",
                           f"%{foreign['call']['call_id']}")[0][0] > 0, 20, "it was looked at")
    assert not records(stack, ours(foreign)) or records(stack, ours(first))[0]["user_id"] == str(RITA.id)
    assert not projected(stack, foreign) and not projected(stack, strange)


# ---------------------------------------------------------------------- LiveKit


def livekit_token(body: bytes, secret: str = SECRET, key: str = KEY, **claims) -> str:
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    now = int(time.time())
    return jwt.encode({"iss": key, "nbf": now - 1, "exp": now + 300, "sha256": digest} | claims, secret, algorithm="HS256")


def from_livekit(stack, body: dict, token: str | None = None) -> tuple[int, dict | None]:
    data = json.dumps(body).encode()
    return post(stack, "/v1/hooks/livekit", data, Authorization=token or livekit_token(data))


def room_event(call: str, event: str = "room_finished") -> dict:
    return {"event": event, "id": "EV_" + uuid.uuid4().hex[:12], "createdAt": str(int(time.time())),
            "room": {"sid": "RM_x", "name": f"call_{call}"}}


def livekit_state(stack, hook: dict) -> str | None:
    row = stack.row("select state from patchbay.webhook_inbox where source = 'livekit' and dedupe_key = %s", hook["id"])
    return row and row["state"]


def test_livekits_webhook_finds_its_call_by_the_room(stack):
    call = str(uuid.uuid4())
    stack.sql("select patchbay.put_call(%s)", json.dumps({"id": call, "user_id": str(LEO.id), "stack": "livekit", "state": "routed"}))
    hook = room_event(call)
    assert from_livekit(stack, hook) == (200, None)
    assert from_livekit(stack, hook) == (200, None)
    wait(lambda: livekit_state(stack, hook) == "projected", 20, "it is projected")
    assert len(records(stack, call)) == 1


def test_livekits_own_verifier_agrees(stack):
    """The token we take is the one LiveKit's SDK takes, and the other way round."""
    from livekit.api import TokenVerifier, WebhookReceiver
    body = json.dumps(room_event(str(uuid.uuid4())))
    token = livekit_token(body.encode())
    assert WebhookReceiver(TokenVerifier(KEY, SECRET)).receive(body, token).event == "room_finished"
    assert post(stack, "/v1/hooks/livekit", body.encode(), Authorization=token)[0] == 200


def test_a_room_that_is_no_call_of_ours_is_parked(stack):
    hook = room_event("x") | {"room": {"name": "somebody elses room"}}
    assert from_livekit(stack, hook) == (200, None)
    wait(lambda: livekit_state(stack, hook) == "parked", 20, "it is parked")


@pytest.mark.parametrize("how", ["missing", "other secret", "other key", "other body", "expired", "no digest", "none"])
def test_livekits_wrong_token_is_refused(stack, how):
    hook = room_event(str(uuid.uuid4()))
    body = json.dumps(hook).encode()
    token = {"missing": "", "other secret": livekit_token(body, secret="another-secret-with-at-least-32-characters"), "other key": livekit_token(body, key="other"),
             "other body": livekit_token(body + b" "), "expired": livekit_token(body, exp=int(time.time()) - 300),
             "no digest": livekit_token(body, sha256=""), "none": jwt.encode({"iss": KEY, "exp": 9999999999}, None, algorithm="none")}[how]
    status, answer = post(stack, "/v1/hooks/livekit", body, **({"Authorization": token} if token else {}))
    assert (status, answer["error"]["field"]) == (401, "Authorization")
    assert livekit_state(stack, hook) is None


# ---------------------------------------------------------------------- killed, and others away


def test_killed_between_storing_and_projecting(stack):
    relay, hook = stack.daemons["webhook-relay"], story(stack)[1]
    with psycopg.connect(stack.pg.url(OWNER, "patchbay")) as c:
        c.execute("lock table patchbay.call_results in access exclusive mode")  # what projecting writes first
        assert from_retell(stack, hook) == (200, None)
        relay.kill()
        with stack.pg.admin() as admin:  # a backend that waits for a lock has not noticed
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%webhook-relay%'")
            wait(lambda: not admin.execute("select 1 from pg_stat_activity where application_name like '%webhook-relay%'"
                                           ).fetchall(), 10, "its backends are gone")
        assert inbox(stack, hook)[0][0] == "received"
        c.rollback()
    assert not records(stack, ours(hook))
    relay.start()
    wait(lambda: projected(stack, hook), 30, "the next relay projects it")
    assert len(records(stack, ours(hook))) == 1


def test_with_postgres_away_retell_is_asked_to_come_again(stack):
    """Refused with 503 rather than lost; the double repeats it as Retell does, and the call has one record."""
    stack.control("retell", call_ms=800)
    sid = stack.place_call(RITA.number)
    stack.wait_story(sid, "bridged")
    stack.pg.stop(keep=True)
    try:
        wait(lambda: [e for e in stack.double_log("retell", "webhook_answered") if e["status"] == 503], 25, "503 is answered")
    finally:
        stack.pg.start()
        stack.control("retell", call_ms=1500)
    row = stack.wait_row(sid, "ended", 30)
    wait(lambda: len(stack.sql("select 1 from patchbay.webhook_inbox where call_id = %s and state = 'projected'", row["id"])) == 3,
         30, "all three webhooks came after all")
    record, = records(stack, str(row["id"]))
    assert record["retell_call_id"] == row["retell_call_id"]


def test_with_nats_away_webhooks_are_taken_and_told_later(stack, watch):
    hooks = story(stack)
    stack.nats.stop()
    try:
        for hook in hooks:
            assert from_retell(stack, hook) == (200, None)
        wait(lambda: projected(stack, hooks[0], 3), 20, "they are projected without NATS")
    finally:
        stack.nats.start()
    for id_, in stack.sql("select id from patchbay.webhook_inbox where call_id = %s", ours(hooks[0])):
        subject = f"pat.webhook.v1.received.retell.{id_}"
        assert wait(lambda: in_stream(stack.nats.url, "WEBHOOK", subject), 40, "it is told when NATS is back")["data"]["webhook_id"] == str(id_)
    wait(lambda: stack.sql("select count(*) from patchbay.outbox where published_at is null") == [(0,)], 20, "and marked")


def test_the_outbox_of_a_dead_writer_is_published(stack, watch):
    """A daemon that stored its event and died before it published."""
    call, event = str(uuid.uuid4()), str(uuid.uuid4())
    envelope = {"specversion": "1.0", "id": event, "source": "/patchbay/router", "type": "pat.call.v1.voicemail", "subject": call,
                "time": "2026-11-22T12:00:00.000Z", "datacontenttype": "application/json", "userid": str(LEO.id),
                "data": {"call_id": call, "user_id": str(LEO.id), "recording_url": "https://files.example/1.wav", "duration_ms": 10}}
    stack.sql("insert into patchbay.outbox (id, subject, payload, created_at) values (%s, %s, %s, now() - interval '1 minute')",
              event, f"pat.call.v1.voicemail.{LEO.id}.{call}", json.dumps(envelope))
    assert watch.wait_for("call.voicemail", call)["id"] == event
    wait(lambda: stack.sql("select published_at is not null from patchbay.outbox where id = %s", event) == [(True,)], 20, "it is marked")


async def given_again(watch) -> int:
    """How many turns the relay has handed back, to be asked about once more."""
    return (await watch.connection.jetstream().consumer_info("TURN", "webhook-relay")).num_redelivered


def test_news_that_comes_before_its_row_is_in_the_record_all_the_same(stack, watch):
    """The last turn of a call is on NATS at once; Postgres may take it a second later, after the call has ended."""
    call, event = str(uuid.uuid4()), str(uuid.uuid4())
    stack.sql("select patchbay.put_call(%s::jsonb)", json.dumps({
        "id": call, "user_id": str(LEO.id), "stack": "livekit", "state": "ended", "from_number": "+15550107777",
        "to_number": LEO.number, "carrier_call_id": "CA" + call}))
    data = {"call_id": call, "user_id": str(LEO.id), "turn": 1, "text": "the last word", "started_ms": 0, "ended_ms": 1,
            "language": "en"}
    envelope = {"specversion": "1.0", "id": event, "source": "/patchbay/livekit-agent", "type": "pat.turn.v1.user",
                "subject": call, "time": "2026-11-22T12:00:00.000Z", "datacontenttype": "application/json",
                "userid": str(LEO.id), "data": data}
    subject = f"pat.turn.v1.user.{LEO.id}.{call}"
    asyncio.run_coroutine_threadsafe(watch.connection.publish(subject, json.dumps(envelope).encode()), watch.loop).result(5)
    wait(lambda: asyncio.run_coroutine_threadsafe(given_again(watch), watch.loop).result(5), 30, "the relay has looked in vain")
    stack.sql("insert into patchbay.call_events (id, call_id, user_id, type, subject, occurred_at, data) "
              "values (%s, %s, %s, 'pat.turn.v1.user', %s, now(), %s)", event, call, LEO.id, subject, json.dumps(data))
    wait(lambda: "the last word" in str(stack.row("select transcript from public.call_records where id = %s", call)), 30, "the record has it")


def test_a_change_of_config_is_told_at_once(stack, watch):
    begun, before = time.monotonic(), len(watch.of("config.changed"))
    stack.sql("update public.agent_configs set system_prompt = 'be kind' where user_id = %s", LEO.id)
    wait(lambda: len(watch.of("config.changed")) > before, 10, "the change is told")
    assert time.monotonic() - begun < 1


def test_a_whole_call_has_one_record(stack, watch):
    stack.control("retell", repeat_webhooks=True)
    sid = stack.place_call(RITA.number)
    stack.wait_story(sid, "ended")
    stack.control("retell", repeat_webhooks=False)
    call = str(stack.wait_row(sid, "ended")["id"])
    wait(lambda: len(stack.sql("select 1 from patchbay.webhook_inbox where call_id = %s and state = 'projected'", call)) == 3, 20,
         "three webhooks, each kept once")
    record, = records(stack, call)
    assert record["id"] == call and record["user_id"] == str(RITA.id) and record["call_summary"]
    watch.wait_for("call.ended", call)


# ---------------------------------------------------------------------- at the end


def test_every_event_keeps_to_its_schema(watch):
    assert len(watch.events) > 20
    for event in watch.events:
        events.validate({k: v for k, v in event.items() if k != "_subject"}, event["_subject"])


def test_the_log_keeps_secrets_and_people_out(stack):
    text = stack.daemons["webhook-relay"].process.log.read_text()
    assert stack.retell_key not in text and "They said hello" not in text and "+15550109999" not in text
