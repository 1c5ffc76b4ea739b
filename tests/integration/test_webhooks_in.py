"""Webhooks on their way in: each vendor's proof, what they mean, many in one commit, in order, and once more on demand."""

import asyncio
import hashlib
import hmac
import json
import os
import statistics
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid

import elevenlabs.client
import nats
import psycopg
import pytest

from harness import events
from harness.postgres import OWNER
from harness.sip_leg import wait
from harness.stack import LEO, RITA, Stack
from harness.watch import Watch

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
ELEVEN, SUPABASE = "wsec_elevenlabs_test", "a-secret-of-the-database-webhooks"


class Relay(Stack):
    """The relay alone, its database and NATS."""

    def _start_daemons(self, relay_port: int) -> None:
        self._daemon("webhook-relay", "PAT_RELAY_LISTEN", self._livekit_env() | {
            "PAT_RETELL_WEBHOOK_KEY": self.retell_key, "PAT_ELEVENLABS_WEBHOOK_SECRET": ELEVEN + ",wsec_the_next_one",
            "PAT_SUPABASE_WEBHOOK_SECRET": SUPABASE}).start()

    def _script_doubles(self) -> None:
        pass

    @property
    def relay(self):
        return self.daemons["webhook-relay"]


@pytest.fixture(scope="module")
def stack():
    with Relay(BUILD, with_livekit=False) as s:
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


def post(stack, source: str, body: bytes, **headers: str) -> tuple[int, dict | None]:
    request = urllib.request.Request(f"{stack.relay.url}/v1/hooks/{source}", body, {
        "Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=30) as r:
            return r.status, None
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read() or b"null")


def rpc(watch, method: str, **params) -> dict:
    async def ask():
        answer = await watch.connection.request(f"pat.rpc.v1.relay.{method}", json.dumps(params).encode(), timeout=15)
        return json.loads(answer.data)
    return asyncio.run_coroutine_threadsafe(ask(), watch.loop).result(20)


def rows(stack, source: str, like: str = "%") -> list[dict]:
    return [r for r, in stack.sql("select to_jsonb(i) - 'body' from patchbay.webhook_inbox i where source = %s and "
                                  "convert_from(body, 'UTF8') like %s order by received_at, id", source, like)]


def settled(stack, source: str, like: str, n: int = 1) -> list[dict]:
    return wait(lambda: [r for r in rows(stack, source, like) if r["state"] != "received"][n - 1:] and rows(stack, source, like),
                30, f"{source}'s webhook is used")


# ---------------------------------------------------------------------- ElevenLabs


def eleven_sign(body: bytes, secret: str = ELEVEN, at: int | None = None) -> str:
    at = int(time.time()) if at is None else at
    return f"t={at},v0=" + hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def from_eleven(stack, body: dict, signature: str | None = None) -> tuple[int, dict | None]:
    data = json.dumps(body).encode()
    return post(stack, "elevenlabs", data, ElevenLabs_Signature=eleven_sign(data) if signature is None else signature)


def notice(kind: str, voice: str, **data) -> dict:
    return {"type": kind, "event_timestamp": int(time.time()), "data": {"voice_id": voice} | data}


def test_elevenlabs_own_verifier_agrees(stack):
    """The signature we take is one their SDK takes, and what it refuses we refuse."""
    sdk = elevenlabs.client.ElevenLabs(api_key="x").webhooks
    body = json.dumps(notice("voice_removed", "voice_" + uuid.uuid4().hex)).encode()
    now = int(time.time())
    for secret, at, good in ((ELEVEN, now, True), (ELEVEN, now - 1700, True), (ELEVEN, now - 1900, False), ("other", now, False)):
        signature = eleven_sign(body, secret, at)
        try:
            assert sdk.construct_event(body.decode(), signature, ELEVEN)["type"] == "voice_removed"
            theirs = True
        except elevenlabs.errors.BadRequestError:
            theirs = False
        assert theirs is good
        assert post(stack, "elevenlabs", body, ElevenLabs_Signature=signature)[0] == (200 if good else 401)


@pytest.mark.parametrize("kind,event", [("voice_removed", "voice.unavailable"), ("voice_removal_notice", "voice.removal_announced"),
                                        ("voice_removal_notice_withdrawn", "voice.removal_withdrawn")])
def test_a_voice_that_goes_is_told_to_who_uses_it(stack, watch, kind, event):
    voice = "voice_" + uuid.uuid4().hex
    stack.sql("update public.agent_configs set voice_id = %s where user_id = %s", voice, LEO.id)
    config = stack.row("select id from public.agent_configs where user_id = %s", LEO.id)["id"]
    assert from_eleven(stack, notice(kind, voice)) == (200, None)
    told = watch.wait_for(event, voice, 30)
    assert told["_subject"] == f"pat.{event.replace('.', '.v1.')}.{LEO.id}.{voice}"
    assert told["data"]["voice_id"] == voice and told["data"]["stack"] == "livekit"
    assert (told["data"]["user_id"], told["data"]["agent_config_id"]) == (str(LEO.id), str(config))
    assert [r["state"] for r in settled(stack, "elevenlabs", f"%{voice}%")] == ["projected"]


def test_a_voice_nobody_uses_is_told_to_the_operator(stack, watch):
    first, second = ("voice_" + uuid.uuid4().hex for _ in range(2))
    assert from_eleven(stack, {"type": "voice_removed", "event_timestamp": 1, "data": {"voice_ids": [first, second]}})[0] == 200
    for voice in (first, second):
        told = watch.wait_for("voice.unavailable", voice, 30)
        assert told["_subject"] == f"pat.voice.v1.unavailable.-.{voice}" and told["data"]["user_id"] is None


@pytest.mark.parametrize("body,why", [({"type": "post_call_transcription", "data": {"agent_id": "a"}}, 'uses a "post_call_transcription"'),
                                      ({"type": "voice_removed", "data": {}}, "names no voice")])
def test_what_elevenlabs_sends_in_vain_is_parked_with_a_reason(stack, watch, body, why):
    mark = uuid.uuid4().hex
    assert from_eleven(stack, body | {"mark": mark})[0] == 200
    row, = settled(stack, "elevenlabs", f"%{mark}%")
    assert row["state"] == "parked" and why in row["error"] and row["kind"] == body["type"]
    told = watch.wait_for("webhook.parked", row["id"], 30)
    assert told["data"]["error"] == row["error"] and told["data"]["kind"] == body["type"]
    mine, = [p for p in rpc(watch, "webhooks_parked", source="elevenlabs", limit=500)["result"]["parked"]
             if p["webhook_id"] == row["id"]]
    assert mine["error"] == row["error"] and mine["kind"] == body["type"]


@pytest.mark.parametrize("how", ["missing", "garbage", "another key", "another body", "another time", "31 minutes old",
                                 "31 minutes ahead", "another version"])
def test_elevenlabs_wrong_signature_is_refused(stack, how):
    voice = "voice_" + uuid.uuid4().hex
    body, now = json.dumps(notice("voice_removed", voice)).encode(), int(time.time())
    good = eleven_sign(body, at=now)
    signature = {"missing": None, "garbage": "t=1,v0=zz", "another key": eleven_sign(body, "other"),
                 "another body": eleven_sign(body + b" "), "another time": good.replace(f"t={now}", f"t={now + 1}"),
                 "31 minutes old": eleven_sign(body, at=now - 1860), "31 minutes ahead": eleven_sign(body, at=now + 1860),
                 "another version": good.replace("v0=", "v1=")}[how]
    status, answer = post(stack, "elevenlabs", body, **({"ElevenLabs_Signature": signature} if signature else {}))
    assert (status, answer["error"]["field"]) == (401, "ElevenLabs-Signature")
    assert not rows(stack, "elevenlabs", f"%{voice}%")


def test_a_secret_is_rotated_without_losing_any(stack):
    body = json.dumps(notice("voice_removed", "voice_" + uuid.uuid4().hex)).encode()
    assert post(stack, "elevenlabs", body, ElevenLabs_Signature=eleven_sign(body, "wsec_the_next_one")) == (200, None)
    assert post(stack, "elevenlabs", body, ElevenLabs_Signature=eleven_sign(body, f"{ELEVEN},wsec_the_next_one"))[0] == 401


# ---------------------------------------------------------------------- Supabase


def change(table: str, op: str = "UPDATE", record: dict | None = None, old: dict | None = None, schema: str = "public") -> dict:
    return {"type": op, "table": table, "schema": schema, "record": record, "old_record": old}


def from_supabase(stack, body: dict, secret: str | None = SUPABASE) -> tuple[int, dict | None]:
    return post(stack, "supabase", json.dumps(body).encode(), **({"X_Patchbay_Secret": secret} if secret else {}))


def hints(watch, config: str) -> list[dict]:
    return [e for e in watch.of("config.changed", config) if e["data"].get("hint")]


def test_a_change_supabase_tells_of_is_a_hint_with_the_known_version(stack, watch):
    config = str(stack.row("select id from public.agent_configs where user_id = %s", RITA.id)["id"])
    stack.sql("update public.agent_configs set system_prompt = %s where id = %s", uuid.uuid4().hex, config)
    version = stack.row("select version from patchbay.config_versions where agent_config_id = %s", config)["version"]
    mark, before = uuid.uuid4().hex, len(hints(watch, config))
    record = {"id": config, "user_id": str(RITA.id), "system_prompt": mark, "updated_at": "2026-11-23T01:00:00Z", "voice_id": "a"}
    body = change("agent_configs", "UPDATE", record, record | {"system_prompt": "", "updated_at": "2026-11-22T01:00:00Z"})
    assert from_supabase(stack, body) == (200, None)
    assert from_supabase(stack, body) == (200, None)  # it is not repeated by Supabase; by somebody else it may be
    wait(lambda: len(hints(watch, config)) > before, 30, "the hint is told")
    assert hints(watch, config)[-1]["data"] == {"user_id": str(RITA.id), "agent_config_id": config, "version": version, "hint": True,
                                                "table": "agent_configs", "op": "update", "fields": ["system_prompt"]}
    assert {r["state"] for r in settled(stack, "supabase", f"%{mark}%")} == {"projected"}


def test_where_our_trigger_is_missing_the_hint_makes_the_version(stack, watch):
    config = str(stack.row("select id from public.agent_configs where user_id = %s", RITA.id)["id"])
    before = stack.row("select version from patchbay.config_versions where agent_config_id = %s", config)["version"]
    stack.sql("alter table public.transfer_numbers disable trigger patchbay_config")
    try:
        old = {"id": str(uuid.uuid4()), "user_id": str(RITA.id), "label": "sales"}
        assert from_supabase(stack, change("transfer_numbers", "DELETE", None, old)) == (200, None)
        told = wait(lambda: [e for e in watch.of("config.changed", config) if e["data"]["version"] > before], 30, "a new version")[0]
    finally:
        stack.sql("alter table public.transfer_numbers enable trigger patchbay_config")
    assert told["data"]["table"] == "transfer_numbers" and told["data"]["op"] == "delete" and "hint" not in told["data"]
    assert told["data"]["fields"] == ["id", "label", "user_id"]


@pytest.mark.parametrize("body,why", [
    (change("call_records", "INSERT", {"id": "x", "user_id": str(LEO.id)}), "no call depends on public.call_records"),
    (change("agent_configs", "INSERT", {"user_id": str(LEO.id)}, schema="other"), "no call depends on other.agent_configs"),
    (change("agent_configs", "INSERT", {"id": "1"}), "it names no user"), (change("users", "TRUNCATE"), "not a change of a row")])
def test_what_supabase_tells_in_vain_is_parked_with_a_reason(stack, body, why):
    mark = uuid.uuid4().hex
    assert from_supabase(stack, body | {"mark": mark})[0] == 200
    row, = settled(stack, "supabase", f"%{mark}%")
    assert row["state"] == "parked" and why in row["error"]


@pytest.mark.parametrize("secret", [None, "", "wrong", SUPABASE[:-1], SUPABASE + "x"])
def test_without_the_secret_nothing_is_taken(stack, secret):
    mark = uuid.uuid4().hex
    status, answer = from_supabase(stack, change("agent_configs") | {"mark": mark}, secret)
    assert (status, answer["error"]["field"]) == (401, "X-Patchbay-Secret")
    assert not rows(stack, "supabase", f"%{mark}%")


@pytest.mark.parametrize("source,body,field", [("elevenlabs", {}, "type"), ("elevenlabs", {"type": 5}, "type"),
                                               ("elevenlabs", {"type": "x" * 300, "data": {}}, "body"),
                                               ("supabase", {"type": "INSERT"}, "schema"),
                                               ("supabase", {"type": "INSERT", "schema": "s" * 99, "table": "t" * 99}, "table")])
def test_an_authentic_but_malformed_webhook_is_refused(stack, source, body, field):
    status, answer = (from_eleven if source == "elevenlabs" else from_supabase)(stack, body)
    assert (status, answer["error"]["field"]) == (400, field)


# ---------------------------------------------------------------------- many at once, in order


def retell_hook(call: str, event: str, user=RITA, **more) -> bytes:
    now = int(time.time() * 1000)
    return json.dumps({"event": event, "call": {
        "call_id": "call_" + call.replace("-", ""), "agent_id": "agent_x", "call_type": "phone_call", "direction": "inbound",
        "from_number": "+15550109999", "to_number": user.number, "start_timestamp": now - 9000, "call_status": "ongoing",
        "metadata": {"call_id": call, "user_id": str(user.id)}} | more}).encode()


def from_retell(stack, body: bytes) -> tuple[int, dict | None]:
    at = int(time.time() * 1000)
    digest = hmac.new(stack.retell_key.encode(), body + str(at).encode(), hashlib.sha256).hexdigest()
    return post(stack, "retell", body, X_Retell_Signature=f"v={at},d={digest}")


def connections(stack) -> int:
    """Established ones to the relay's port, as the kernel lists them."""
    port = f":{stack.relay.port:04X}"
    lines = [line.split() for line in open("/proc/net/tcp").read().splitlines()[1:]]
    return sum(1 for f in lines if f[1].endswith(port) and f[3] == "01")


def test_many_are_stored_in_one_commit(stack):
    """While one batch cannot be committed, the others gather, and are then one."""
    calls = [str(uuid.uuid4()) for _ in range(24)]
    answers: list[int] = []
    senders = [threading.Thread(target=lambda c=c: answers.append(from_retell(stack, retell_hook(c, "call_started"))[0])) for c in calls]
    with psycopg.connect(stack.pg.url(OWNER, "patchbay")) as c:
        c.execute("lock table patchbay.webhook_inbox in share mode")
        for s in senders:
            s.start()
        # One batch waits for the lock. That the rest gathers meanwhile shows in the commits.
        with stack.pg.admin("patchbay") as admin:
            wait(lambda: admin.execute("select count(*) from pg_locks where not granted and relation = "
                                       "(select oid from pg_class where relname = 'webhook_inbox')").fetchone()[0], 30, "a batch waits")
        wait(lambda: connections(stack) >= 24, 30, "all have connected")
        assert not answers  # nobody is told before it is stored
        c.rollback()
    for s in senders:
        s.join(30)
    assert answers == [200] * 24
    (commits,), = stack.sql("select count(distinct xmin::text) from patchbay.webhook_inbox where call_id = any (%s::uuid[])", calls)
    assert commits < 24


def in_order(url: str, subject: str) -> list[dict]:
    """What stream WEBHOOK has, as it was stored; with the time the server gave it."""
    async def look():
        nc = await nats.connect(url)
        js = nc.jetstream()
        out = []
        sub = await js.subscribe(subject, ordered_consumer=True)
        while not out or m.metadata.num_pending:
            m = await sub.next_msg(timeout=20)
            out.append(json.loads(m.data) | {"_at": m.metadata.timestamp.timestamp()})
        await nc.close()
        return out
    return asyncio.run(look())


def test_webhooks_of_one_call_are_told_in_the_order_they_were_taken(stack, watch):
    """Each is sent as soon as the one before is acknowledged: its news may still be on its way."""
    kinds = ["call_started"] + [f"transcript_updated_{n}" for n in range(8)] + ["call_ended", "call_analyzed"]
    calls = [str(uuid.uuid4()) for _ in range(6)]

    def send(call):
        for kind in kinds:
            assert from_retell(stack, retell_hook(call, kind)) == (200, None)
    senders = [threading.Thread(target=send, args=(c,)) for c in calls]
    for s in senders:
        s.start()
    for s in senders:
        s.join(60)
    for call in calls:
        wait(lambda: len([e for e in watch.of("webhook.received") if e["data"]["call_id"] == call]) == len(kinds), 30, "all are told")
    stored = in_order(stack.nats.url, "pat.webhook.v1.received.retell.>")
    for call in calls:
        assert [e["data"]["kind"] for e in stored if e["data"]["call_id"] == call] == kinds


def test_a_backlog_of_webhooks_does_not_delay_changes(stack):
    """No relay ran for long: what calls and webhooks have to say waits in thousands, and one change of configuration."""
    n = 6000
    stack.relay.stop()
    try:
        stack.sql("insert into patchbay.outbox (id, subject, key, payload, created_at) select i, 'pat.webhook.v1.received.retell.' || i, "
                  "'test:' || i, jsonb_build_object('specversion', '1.0', 'id', i, 'source', '/test', 'type', 'pat.webhook.v1.received', "
                  "'subject', i, 'userid', 'retell', 'time', '2026-11-23T00:00:00.000Z', 'datacontenttype', 'application/json', "
                  "'data', jsonb_build_object('source', 'retell', 'webhook_id', i, 'kind', 'backlog', 'call_id', null, 'user_id', null)), "
                  "now() - interval '5 minutes' from (select gen_random_uuid() as i from generate_series(1, %s)) x", n)
        stack.sql("update public.agent_configs set system_prompt = 'after the backlog' where user_id = %s", LEO.id)
        event = stack.row("select id from patchbay.outbox where subject like 'pat.config.v1.changed.%%' order by created_at desc limit 1")["id"]
    finally:
        stack.relay.start()
    left = "select count(*) from patchbay.outbox where published_at is null and payload #>> '{data,kind}' = 'backlog'"
    wait(lambda: stack.sql(left) == [(0,)], 90, "all of it is told")
    wait(lambda: stack.sql("select published_at from patchbay.outbox where id = %s", event)[0][0], 30, "so is the change")
    told = [e["_at"] for e in in_order(stack.nats.url, "pat.webhook.v1.received.retell.>") if e["data"]["kind"] == "backlog"]
    change_at, = [e["_at"] for e in in_order(stack.nats.url, "pat.config.v1.changed.>") if e["id"] == str(event)]
    assert len(told) == n
    assert change_at < statistics.median(told)  # by the server's own clock, however slow we are to look


# ---------------------------------------------------------------------- once more


def received(watch, webhook: str) -> list[dict]:
    return [e for e in watch.of("webhook.received") if e["data"]["webhook_id"] == webhook]


def test_one_webhook_is_replayed(stack, watch):
    call = str(uuid.uuid4())
    assert from_retell(stack, retell_hook(call, "call_started"))[0] == 200
    row, = settled(stack, "retell", f"%{call}%")
    wait(lambda: received(watch, row["id"]), 30, "it is told")
    before = stack.sql("select to_jsonb(r) from public.call_records r where id = %s", call)
    assert rpc(watch, "replay", webhook_id=row["id"])["result"] == {"replayed": 1, "more": False}
    again = wait(lambda: received(watch, row["id"])[1:], 30, "it is told again")[0]
    assert again["data"]["replayed"] is True and again["data"]["kind"] == "call_started" and again["data"]["call_id"] == call
    row, = settled(stack, "retell", f"%{call}%")
    assert row["state"] == "projected" and row["replayed_at"]
    assert stack.sql("select to_jsonb(r) from public.call_records r where id = %s", call) == before
    assert rpc(watch, "replay", webhook_id=str(uuid.uuid4()))["error"]["code"] == "not_found"


def test_those_of_a_sender_since_a_time_are_replayed(stack, watch):
    calls = [str(uuid.uuid4()) for _ in range(5)]
    since = stack.row("select clock_timestamp()::text as t")["t"]
    for call in calls:
        assert from_retell(stack, retell_hook(call, "call_started"))[0] == 200
    assert from_supabase(stack, change("users", "UPDATE", {"id": str(LEO.id), "name": uuid.uuid4().hex}))[0] == 200
    wait(lambda: stack.sql("select count(*) from patchbay.webhook_inbox where state = 'received'") == [(0,)], 30, "all are used")
    assert rpc(watch, "replay", source="retell", since=since, limit=2)["result"] == {"replayed": 2, "more": True}
    assert rpc(watch, "replay", source="retell", since=since)["result"]["replayed"] >= 3
    for call in calls:
        row, = settled(stack, "retell", f"%{call}%")
        assert row["replayed_at"] and row["state"] == "projected"
    assert not [r for r in rows(stack, "supabase") if r["replayed_at"]]
    assert rpc(watch, "replay", source="retell", since="2099-01-01")["result"] == {"replayed": 0, "more": False}


def test_what_is_parked_is_replayed_when_its_reason_is_gone(stack, watch):
    call = str(uuid.uuid4())
    room = json.dumps({"event": "room_finished", "id": "EV_" + uuid.uuid4().hex[:12], "room": {"name": f"call_{call}"}})
    stack.sql("insert into patchbay.webhook_inbox (id, source, dedupe_key, order_key, kind, body, call_id, attempts) "
              "values (%s, 'livekit', %s, 'livekit:x', 'room_finished', convert_to(%s, 'UTF8'), %s, 9)", uuid.uuid4(), call, room, call)
    row, = settled(stack, "livekit", f"%{call}%")
    assert (row["state"], row["error"]) == ("parked", "its call is not known")
    stack.sql("select patchbay.put_call(%s)", json.dumps({"id": call, "user_id": str(LEO.id), "stack": "livekit", "state": "routed"}))
    assert rpc(watch, "replay", parked=True, source="livekit")["result"]["replayed"] == 1
    row = wait(lambda: [r for r in rows(stack, "livekit", f"%{call}%") if r["state"] == "projected"], 30, "it is used")[0]
    assert row["error"] is None and stack.sql("select 1 from public.call_records where id = %s", call)


@pytest.mark.parametrize("params,field", [({}, "webhook_id"), ({"source": "retell"}, "webhook_id"), ({"webhook_id": "7"}, "webhook_id"),
                                          ({"webhook_id": str(uuid.uuid4()), "parked": True}, "webhook_id"),
                                          ({"since": "yesterday noonish"}, "since"), ({"parked": True, "limit": 0}, "limit"),
                                          ({"parked": True, "source": "s" * 40}, "source")])
def test_a_replay_of_nothing_in_particular_is_refused(watch, params, field):
    error = rpc(watch, "replay", **params)["error"]
    assert (error["code"], error["field"]) == ("invalid", field)


def program(stack, *args: str) -> subprocess.CompletedProcess:
    return subprocess.run([f"{BUILD}/bin/patchbay-webhook-relay", *args], capture_output=True, text=True, timeout=60,
                          env=os.environ | stack.relay.env)


def test_the_command_line_replays_with_and_without_a_relay(stack, watch):
    call = str(uuid.uuid4())
    since = stack.row("select clock_timestamp()::text as t")["t"]
    assert from_retell(stack, retell_hook(call, "call_started"))[0] == 200
    row, = settled(stack, "retell", f"%{call}%")
    done = program(stack, "--replay", row["id"])
    assert (done.returncode, done.stdout) == (0, "1 replayed\n"), done.stderr
    wait(lambda: [e for e in received(watch, row["id"]) if e["data"].get("replayed")], 30, "it is told again")
    settled(stack, "retell", f"%{call}%")
    stack.relay.stop()
    try:
        assert program(stack, "--replay", "--source", "retell", "--since", since).stdout == "1 replayed\n"
        assert rows(stack, "retell", f"%{call}%")[0]["state"] == "received"
        assert program(stack, "--replay", "--parked").returncode == 0
        gone = program(stack, "--replay", str(uuid.uuid4()))
        assert (gone.returncode, gone.stdout, gone.stderr) == (1, "0 replayed\n", "no such webhook\n")
        assert program(stack, "--replay", "--since", "noonish").returncode == 1
    finally:
        stack.relay.start()
    assert settled(stack, "retell", f"%{call}%")[0]["state"] == "projected"


@pytest.mark.parametrize("args", [(), ("7",), ("--source", "retell"), ("--parked", str(uuid.uuid4())), ("--since",), ("--user", "x")])
def test_the_command_line_says_how_it_is_used(stack, args):
    done = program(stack, "--replay", *args)
    assert done.returncode == 2 and "--since TIME" in done.stderr and not done.stdout


def test_the_command_line_rebuilds_the_records(stack):
    calls = [str(uuid.uuid4()) for _ in range(3)]
    for call in calls:
        assert from_retell(stack, retell_hook(call, "call_started"))[0] == 200
    wait(lambda: stack.sql("select count(*) from public.call_records where id = any (%s::uuid[])", calls) == [(3,)], 30, "they have records")
    wait(lambda: stack.sql("select count(*) from patchbay.webhook_inbox where state = 'received'") == [(0,)], 30, "all are used")
    before = stack.sql("select id, r::text from public.call_records r order by id")
    assert program(stack, "--rebuild", "--check").returncode == 0
    stack.sql("delete from public.call_records where id = any (%s::uuid[])", calls)
    check = program(stack, "--rebuild", "--check", "--user", str(RITA.id))
    assert check.returncode == 1 and "3 would come out otherwise" in check.stdout and calls[0] in check.stdout
    assert "0 came out otherwise" in program(stack, "--rebuild", "--user", str(LEO.id)).stdout
    done = program(stack, "--rebuild", "--from", "2020-01-01")
    assert done.returncode == 0 and "3 came out otherwise" in done.stdout, done.stderr
    assert stack.sql("select id, r::text from public.call_records r order by id") == before


# ---------------------------------------------------------------------- at the end


def test_every_event_keeps_to_its_schema(watch):
    assert len(watch.events) > 20
    for event in watch.events:
        events.validate({k: v for k, v in event.items() if k != "_subject"}, event["_subject"])


def test_the_log_keeps_secrets_out(stack):
    text = stack.relay.process.log.read_text()
    assert all(secret not in text for secret in (stack.retell_key, ELEVEN, "wsec_the_next_one", SUPABASE, "+15550109999"))


def test_a_door_whose_secret_is_not_set_refuses_and_says_why(stack):
    """The last of this file: the relay is started again without two of its secrets, and with them."""
    env, taken = dict(stack.relay.env), ("PAT_RETELL_WEBHOOK_KEY", "PAT_SUPABASE_WEBHOOK_SECRET")
    try:
        for name in taken:
            del stack.relay.env[name]
        stack.relay.restart()
        for source, name in zip(("retell", "supabase"), taken):
            status, answer = post(stack, source, b'{"event":"call_ended"}', X_Retell_Signature="v=1,d=00")
            assert status == 503 and name in json.dumps(answer), answer
            wait(lambda: any('"webhook.refused"' in line and name in line for line in stack.relay.process.log.read_text().splitlines()),
                 30, "the log says it")
        assert post(stack, "livekit", b"{}")[0] == 401
    finally:
        stack.relay.env.update(env)
        stack.relay.restart()
