"""Users who read their own events at NATS: the shipped accounts let each see his own, and nobody anything else."""

import asyncio
import json
import os
import shutil
import subprocess
import uuid
from pathlib import Path

import nats
import psycopg
import pytest
from nats.errors import NoRespondersError, TimeoutError
from nats.js.errors import NotFoundError

from harness.nats import Nats
from harness.nkeys import nkey_pair
from harness.patdb import add_user
from harness.postgres import OWNER
from harness.sip_leg import wait
from harness.stack import LEO, RITA, ROOT, Stack
from harness.watch import Watch

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
PASSWORD = "the-daemons-password"
STREAMS = ["CALL", "CONFIG", "SWITCH", "TURN", "USAGE", "VOICE", "WEBHOOK"]


class Relay(Stack):
    """The relay alone, at a NATS with the shipped accounts."""

    def _nats(self) -> Nats:
        self.conf = self.folder / "nats-conf"
        self.conf.mkdir()
        shutil.copy(ROOT / "deploy/nats/accounts.conf", self.conf)
        (self.conf / "subscribers.conf").touch()
        (self.conf / "auth.conf").write_text(f'NATS_PASSWORD: "{PASSWORD}"\n')
        return Nats(self.folder / "nats", "-c", self.conf / "accounts.conf")

    def common_env(self) -> dict[str, str]:
        return super().common_env() | {"PAT_NATS_USER": "patchbay", "PAT_NATS_PASSWORD": PASSWORD}

    def _start_daemons(self, relay_port: int) -> None:
        self._daemon("webhook-relay", "PAT_RELAY_LISTEN", self._livekit_env() | {
            "PAT_RETELL_WEBHOOK_KEY": self.retell_key}).start()

    def _script_doubles(self) -> None:
        pass

    def reload_accounts(self) -> None:
        subprocess.run([ROOT / "deploy/nats/subscribers.sh", self.conf / "subscribers.conf",
                        "nats-server", "--signal", f"reload={self.nats.process.pid}"], check=True, timeout=30,
                       env=os.environ | {"PAT_DATABASE_URL": self.pg.url(OWNER, "patchbay")})


class Reader:
    """A user's own program: PyPI nats-py with his seed, and nothing else."""

    def __init__(self, watch: Watch, url: str, seed: str):
        self.loop, self.live = watch.loop, []
        self.nc = self.run(self._connect(url, seed))

    async def _connect(self, url, seed):
        async def quiet(_error):
            pass

        nc = await nats.connect(url, nkeys_seed_str=seed, connect_timeout=5, allow_reconnect=False, error_cb=quiet)
        await nc.subscribe("pat.>", cb=self._heard)
        await nc.subscribe("$KV.>", cb=self._heard)
        await nc.flush()
        return nc

    async def _heard(self, m):
        self.live.append(m.subject)

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def history(self, stream: str, user: uuid.UUID, n: int = 10) -> list[str]:
        async def read():
            sub = await self.nc.jetstream().pull_subscribe_bind(f"user_{user}", stream)
            got = await sub.fetch(n, timeout=3)
            for m in got:
                await m.ack()
            await self.nc.flush()
            return [m.subject for m in got]
        return self.run(read())

    def ask(self, subject: str, body: bytes = b"{}") -> dict | None:
        """None: nobody there to answer."""
        async def request():
            inbox = self.nc.new_inbox()
            sub = await self.nc.subscribe(inbox)
            await self.nc.publish(subject, body, reply=inbox)
            try:
                m = await sub.next_msg(timeout=1)
            except (TimeoutError, NoRespondersError):
                return None
            finally:
                await sub.unsubscribe()
            return json.loads(m.data) if m.data else None
        return self.run(request())

    def close(self):
        self.run(self.nc.close())


@pytest.fixture(scope="module")
def stack():
    with Relay(BUILD, with_livekit=False) as s:
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url, user="patchbay", password=PASSWORD) as w:
        yield w


def run(watch, work):
    return asyncio.run_coroutine_threadsafe(work, watch.loop).result(30)


def rpc(watch, method: str, **params) -> dict:
    async def ask():
        m = await watch.connection.request(f"pat.rpc.v1.relay.{method}", json.dumps(params).encode(), timeout=15)
        return json.loads(m.data)
    return run(watch, ask())


def say(watch, area: str, user: uuid.UUID) -> str:
    subject = f"pat.{area}.v1.ended.{user}.{uuid.uuid4()}"
    run(watch, watch.connection.jetstream().publish(subject, b"{}"))
    return subject


@pytest.fixture(scope="module")
def readers(stack, watch):
    keys = {u: nkey_pair() for u in (RITA, LEO)}
    for user, (public, _) in keys.items():
        assert rpc(watch, "subscriber_add", user_id=str(user.id), nkey=public, name="crm") == {"result": {}}
    stack.reload_accounts()
    made = {u: connected(watch, stack, seed) for u, (_, seed) in keys.items()}
    yield made
    for r in made.values():
        r.close()


def connected(watch, stack, seed) -> Reader:
    """A reload takes the server a moment."""
    got = []

    def attempt():
        try:
            got.append(Reader(watch, stack.nats.url, seed))
        except Exception:  # nats-py raises many kinds for a refused login
            return False
        return True
    wait(attempt, 20, "the key lets in")
    return got[0]


def test_each_reads_his_own_live_and_from_the_streams(readers, watch):
    rita, leo = readers[RITA], readers[LEO]
    rita.live.clear(), leo.live.clear()
    said = {u: [say(watch, area, u.id) for area in ("call", "usage", "webhook")] for u in (RITA, LEO)}
    wait(lambda: sorted(rita.live) == sorted(said[RITA]) and sorted(leo.live) == sorted(said[LEO]), 20, "live events")
    for i, stream in enumerate(("CALL", "USAGE", "WEBHOOK")):
        assert rita.history(stream, RITA.id)[-1] == said[RITA][i]
        assert leo.history(stream, LEO.id)[-1] == said[LEO][i]


def test_what_was_acknowledged_does_not_come_again(readers, watch):
    subject = say(watch, "voice", LEO.id)
    assert readers[LEO].history("VOICE", LEO.id) == [subject]
    with pytest.raises(TimeoutError):
        readers[LEO].history("VOICE", LEO.id)


def test_nothing_else_can_be_reached(readers, watch):
    """By subscribing, by making a consumer, by direct get, by a bucket, by RPC, by another's consumer."""
    leo = readers[LEO]
    run(watch, watch.connection.jetstream().create_key_value(bucket="pat_probe"))
    say(watch, "call", RITA.id)
    leo.live.clear()
    refused = {
        "consumer create": ("$JS.API.CONSUMER.DURABLE.CREATE.CALL.mine", json.dumps({
            "stream_name": "CALL", "config": {"durable_name": "mine", "ack_policy": "explicit"}}).encode()),
        "filtered create": (f"$JS.API.CONSUMER.CREATE.CALL.mine.pat.call.v1.*.{RITA.id}.>", b"{}"),
        "direct get": ("$JS.API.DIRECT.GET.CALL", json.dumps({"last_by_subj": f"pat.call.v1.ended.{RITA.id}.>"}).encode()),
        "get": ("$JS.API.STREAM.MSG.GET.CALL", json.dumps({"seq": 1}).encode()),
        "stream": ("$JS.API.STREAM.INFO.CALL", b""),
        "bucket": ("$JS.API.DIRECT.GET.KV_pat_probe.$KV.pat_probe.x", b""),
        "another's consumer": (f"$JS.API.CONSUMER.MSG.NEXT.CALL.user_{RITA.id}", b"1"),
        "rpc": ("pat.rpc.v1.relay.subscribers", json.dumps({"user_id": str(RITA.id)}).encode()),
        "router rpc": ("pat.rpc.v1.router.explain", json.dumps({"number": RITA.number}).encode()),
    }
    for what, (subject, body) in refused.items():
        answer = leo.ask(subject, body)
        assert answer is None or "JetStream not enabled for account" in json.dumps(answer), what
    run(watch, _refuse_bucket(leo))
    # What he says himself stays in his own account.
    leo.run(leo.nc.publish(f"pat.call.v1.ended.{RITA.id}.forged", b"{}"))
    leo.run(leo.nc.flush())
    assert not any(e["_subject"].endswith(".forged") for e in watch.events)
    assert not any(str(RITA.id) in s and not s.endswith("forged") for s in leo.live)
    seen = [m for m in readers[RITA].live if m.endswith("forged")]
    assert not seen


async def _refuse_bucket(leo):
    with pytest.raises((NotFoundError, NoRespondersError, nats.js.errors.Error, TimeoutError)):
        kv = await leo.nc.jetstream().key_value("pat_probe")
        await kv.get("x")


def test_a_key_that_is_none_is_refused_and_changes_nothing(stack, watch):
    public, _ = nkey_pair()
    before = stack.sql("select count(*) from patchbay.subscribers")
    for nkey in ("", "U", public[:-1], public[:-1] + ("A" if public[-1] != "A" else "B"), "A" + public[1:], public.lower()):
        assert rpc(watch, "subscriber_add", user_id=str(LEO.id), nkey=nkey)["error"]["field"] == "nkey"
    assert rpc(watch, "subscriber_add", user_id="me", nkey=public)["error"]["field"] == "user_id"
    assert stack.sql("select count(*) from patchbay.subscribers") == before


def test_a_key_is_one_users_only(readers, stack, watch):
    taken = stack.sql("select nkey from patchbay.subscribers where user_id = %s", RITA.id)[0][0]
    assert rpc(watch, "subscriber_add", user_id=str(LEO.id), nkey=taken)["error"]["code"] == "conflict"
    assert rpc(watch, "subscriber_remove", user_id=str(LEO.id), nkey=taken)["error"]["code"] == "not_found"
    assert [r["nkey"] for r in rpc(watch, "subscribers", user_id=str(RITA.id))["result"]["subscribers"]] == [taken]


def consumers(watch, user) -> set[str]:
    async def look():
        js, found = watch.connection.jetstream(), set()
        for stream in STREAMS:
            try:
                await js.consumer_info(stream, f"user_{user.id}")
                found.add(stream)
            except NotFoundError:
                pass
        return found
    return run(watch, look())


def test_consumers_lost_by_nats_are_made_again(readers, stack, watch):
    async def lose():
        for stream in STREAMS:
            await watch.connection.jetstream().delete_consumer(stream, f"user_{RITA.id}")
    run(watch, lose())
    assert not consumers(watch, RITA)
    stack.daemons["webhook-relay"].restart()
    wait(lambda: consumers(watch, RITA) == set(STREAMS), 30, "the consumers are there again")


def test_the_last_key_takes_the_consumers_along_and_locks_out(stack, watch, readers):
    first, second = nkey_pair(), nkey_pair()
    user = uuid.uuid4()
    with psycopg.connect(stack.pg.url(OWNER, "patchbay"), autocommit=True) as db:
        add_user(db, user, f"{user}@example.test", "Third")
    who = type("User", (), {"id": user})
    for public, _ in (first, second):
        rpc(watch, "subscriber_add", user_id=str(user), nkey=public)
    stack.reload_accounts()
    connected(watch, stack, first[1]).close()
    rpc(watch, "subscriber_remove", user_id=str(user), nkey=first[0])
    assert consumers(watch, who) == set(STREAMS)
    rpc(watch, "subscriber_remove", user_id=str(user), nkey=second[0])
    assert not consumers(watch, who)
    stack.reload_accounts()

    def locked_out():
        try:
            Reader(watch, stack.nats.url, first[1]).close()
        except Exception:  # nats-py raises many kinds for a refused login
            return True
        return False
    wait(locked_out, 20, "the key is locked out")


def test_the_shipped_configuration_is_one(tmp_path):
    """deploy/nats/nats.conf as compose mounts it."""
    for f in ("nats.conf", "accounts.conf"):
        shutil.copy(ROOT / "deploy/nats" / f, tmp_path)
    (tmp_path / "subscribers.conf").touch()
    (tmp_path / "auth.conf").write_text('NATS_PASSWORD: "x"\n')
    done = subprocess.run(["nats-server", "-t", "-c", tmp_path / "nats.conf"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
