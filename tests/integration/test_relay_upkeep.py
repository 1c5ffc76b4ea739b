"""The webhook-relay's housekeeping: what cannot be published steps aside, what is parked is told, what is old goes."""

import asyncio
import json
import os
import uuid

import psycopg
import pytest

from harness import events
from harness.postgres import DAEMON, OWNER
from harness.sip_leg import wait
from harness.stack import LEO, Stack
from harness.watch import Watch

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
SETTINGS = {"PAT_RELAY_OUTBOX_TRIES": "2", "PAT_RELAY_OUTBOX_PATIENCE": "1s", "PAT_RELAY_KEEP_EVERY": "300ms",
            "PAT_RELAY_KEEP_OUTBOX_DAYS": "2", "PAT_RELAY_KEEP_WEBHOOKS_DAYS": "30", "PAT_RELAY_KEEP_PARKED_DAYS": "90",
            "PAT_RELAY_KEEP_CALL_EVENTS_DAYS": "400"}


class Relay(Stack):
    """The relay alone, its database and NATS."""

    def _start_daemons(self, relay_port: int) -> None:
        d = self._daemon("webhook-relay", "PAT_RELAY_LISTEN", self._livekit_env() | SETTINGS | {
            "PAT_RETELL_WEBHOOK_KEY": self.retell_key})
        d.start()

    def _script_doubles(self) -> None:
        pass

    @property
    def relay(self):
        return self.daemons["webhook-relay"]

    def metric(self, name: str) -> float:
        return next((float(line.rpartition(" ")[2]) for line in self.relay.metrics().splitlines()
                     if line.startswith(name + " ")), 0.0)


@pytest.fixture(scope="module")
def stack():
    with Relay(BUILD, with_livekit=False) as s:
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


def on_nats(watch, work):
    return asyncio.run_coroutine_threadsafe(work, watch.loop).result(20)


def rpc(watch, method: str, **params) -> dict:
    async def ask():
        answer = await watch.connection.request(f"pat.rpc.v1.relay.{method}", json.dumps(params).encode(), timeout=15)
        return json.loads(answer.data)
    return on_nats(watch, ask())


def an_event(call: str, n: int = 0) -> tuple[str, str, str]:
    """id, subject and envelope of a good one."""
    event = str(uuid.uuid4())
    data = {"call_id": call, "user_id": str(LEO.id), "recording_url": f"https://files.example/{n}.wav", "duration_ms": 10}
    envelope = {"specversion": "1.0", "id": event, "source": "/patchbay/router", "type": "pat.call.v1.voicemail",
                "subject": call, "time": "2026-11-22T12:00:00.000Z", "datacontenttype": "application/json",
                "userid": str(LEO.id), "data": data}
    return event, f"pat.call.v1.voicemail.{LEO.id}.{call}", json.dumps(envelope)


def put(stack, id_: str, subject: str, payload: str, age: str = "1 minute") -> str:
    stack.sql("insert into patchbay.outbox (id, subject, payload, created_at) values (%s, %s, %s, now() - %s::interval)",
              id_, subject, payload, age)
    return id_


def state(stack, ids: list[str]) -> dict[str, str]:
    rows = stack.sql("select id, case when published_at is not null then 'published' when parked_at is not null "
                     "then 'parked' else 'waits' end from patchbay.outbox where id = any (%s::uuid[])", ids)
    return {str(k): v for k, v in rows}


# ---------------------------------------------------------------------- the outbox


def poison(stack) -> dict[str, list[str]]:
    """150 rows that NATS cannot take, an hour old: more than one batch, in front of everything else."""
    kinds = {"no subject": "'pat.call.v1.has blanks.' || gen_random_uuid()",
             "no stream": "'nobody.listens.' || gen_random_uuid()",
             "too large": "'pat.call.v1.voicemail.u.' || gen_random_uuid()"}
    ids = {}
    for kind, subject in kinds.items():
        payload = "repeat('x', 1200000)" if kind == "too large" else "'x'"
        n = 20 if kind == "too large" else 65
        ids[kind] = [str(i) for i, in stack.sql(
            f"insert into patchbay.outbox (subject, payload, created_at) select {subject}, to_jsonb({payload}::text), "
            f"now() - interval '1 hour' from generate_series(1, {n}) returning id")]
    return ids


def test_rows_that_cannot_be_published_block_nothing_and_are_parked(stack, watch):
    bad = poison(stack)
    good = []
    for n in range(20):
        event, subject, payload = an_event(str(uuid.uuid4()), n)
        good.append(put(stack, event, subject, payload))
    wait(lambda: set(state(stack, good).values()) == {"published"}, 30, "the good ones are published")
    for event in good:
        wait(lambda: [e for e in watch.events if e.get("id") == event], 20, "and heard")

    for kind, ids in bad.items():
        wait(lambda: set(state(stack, ids).values()) == {"parked"}, 60, f"{kind}: parked")
    why = dict(stack.sql("select last_error, count(*)::integer from patchbay.outbox where parked_at is not null group by 1"))
    assert why == {"no subject or message for NATS": 65, "no stream takes this subject": 65, "larger than NATS takes": 20}
    assert stack.sql("select distinct attempts from patchbay.outbox where parked_at is not null") == [(2,)]
    wait(lambda: stack.metric("pat_outbox_parked_rows") == 150, 30, "the metric says so")
    assert len(stack.relay.logged("outbox.parked")) == 150

    parked = rpc(watch, "outbox_parked", limit=500)["result"]["parked"]
    assert {p["event_id"] for p in parked} == {i for ids in bad.values() for i in ids}
    one = next(p for p in parked if p["event_id"] in bad["too large"])
    assert one["bytes"] > 1_200_000 and one["error"] == "larger than NATS takes" and one["attempts"] == 2
    assert len(rpc(watch, "outbox_parked", limit=3)["result"]["parked"]) == 3
    assert rpc(watch, "outbox_parked", limit=0)["error"]["field"] == "limit"

    # What was missing is there now: they are put back, one alone, then the others.
    on_nats(watch, watch.connection.jetstream().add_stream(name="LATE", subjects=["nobody.listens.*"]))
    first = bad["no stream"][0]
    assert rpc(watch, "outbox_put_back", event_id=first)["result"] == {"put_back": 1}
    wait(lambda: state(stack, [first]) == {first: "published"}, 20, "the one is published")
    assert rpc(watch, "outbox_put_back", event_id=first)["error"]["code"] == "not_found"
    assert rpc(watch, "outbox_put_back")["error"]["field"] == "event_id"
    assert rpc(watch, "outbox_put_back", all=True)["result"] == {"put_back": 149}
    wait(lambda: set(state(stack, bad["no stream"]).values()) == {"published"}, 30, "so are the others")
    info = on_nats(watch, watch.connection.jetstream().stream_info("LATE"))
    assert info.state.messages == 65
    for kind in ("no subject", "too large"):
        wait(lambda: set(state(stack, bad[kind]).values()) == {"parked"}, 60, f"{kind}: parked again")


def test_what_is_told_of_one_call_stays_in_order(stack, watch):
    call = str(uuid.uuid4())
    told = [put(stack, *an_event(call, n), age=f"{60 - n} seconds") for n in range(12)]
    wait(lambda: set(state(stack, told).values()) == {"published"}, 30, "all are published")
    wait(lambda: len([e for e in watch.events if e.get("id") in told]) >= 12, 20, "and heard")
    assert [e["id"] for e in watch.events if e.get("id") in told] == told


def test_a_row_waits_for_an_earlier_one_of_its_call(stack, watch):
    """The first has no stream yet: what comes after it of the same call does not overtake it, others do."""
    call, other = str(uuid.uuid4()), str(uuid.uuid4())
    event, _, payload = an_event(call)
    stack.sql("update patchbay.outbox set parked_at = now() where published_at is null")  # of the tests before
    first = put(stack, event, f"pat.later.v1.voicemail.{LEO.id}.{call}", payload, "50 seconds")
    second = put(stack, *an_event(call), age="40 seconds")
    third = put(stack, *an_event(other), age="30 seconds")
    wait(lambda: state(stack, [third])[third] == "published", 30, "another call's is published")
    wait(lambda: state(stack, [first])[first] == "parked", 30, "the first is parked")
    wait(lambda: state(stack, [second])[second] == "published", 30, "then the second is published")
    (parked, published), = stack.sql("select f.parked_at, s.published_at from patchbay.outbox f, patchbay.outbox s "
                                     "where f.id = %s and s.id = %s", first, second)
    assert parked <= published


def test_the_age_of_the_oldest_is_a_metric(stack, watch):
    """With NATS away what is told waits, uncounted, and the metric says since when."""
    stack.nats.stop()
    try:
        wait(lambda: stack.relay.logged("bus.down"), 30, "the relay has noticed")
        event = put(stack, *an_event(str(uuid.uuid4())), age="1000 seconds")
        wait(lambda: stack.metric("pat_outbox_oldest_seconds") >= 1000, 30, "its age is shown")
        assert stack.metric("pat_outbox_waiting_rows") >= 1
    finally:
        stack.nats.start()
    wait(lambda: state(stack, [event])[event] == "published", 40, "it is published when NATS is back")
    wait(lambda: stack.metric("pat_outbox_oldest_seconds") == 0, 30, "nothing waits")


# ---------------------------------------------------------------------- webhook.parked


@pytest.mark.parametrize("source,call,body", [
    ("livekit", None, b'{"event": "room_finished", "room": {"name": "somebody elses"}}'),
    ("retell", "01936f0e-0000-7000-8000-00000000dead", b'{"event": "call_ended", "call": {"call_id": "call_of_nobody"}}'),
    ("retell", None, b'{"event": "call_ended", "call": 7}'), ("retell", None, b"\xff not even text")])
def test_a_parked_webhook_is_told(stack, watch, source, call, body):
    hook = str(uuid.uuid4())
    stack.sql("insert into patchbay.webhook_inbox (id, source, dedupe_key, body, call_id, attempts, received_at) "
              "values (%s, %s, %s, %s, %s, 9, now() - interval '1 minute')", hook, source, hook, body, call)
    event = watch.wait_for("webhook.parked", hook, 30)
    events.validate({k: v for k, v in event.items() if k != "_subject"}, event["_subject"])
    assert event["_subject"] == f"pat.webhook.v1.parked.{source}.{hook}"
    data = event["data"]
    assert (data["source"], data["webhook_id"], data["attempts"], data["call_id"]) == (source, hook, 10, call)
    assert data["kind"] == {True: "", False: json.loads(body.decode(errors="replace"))["event"] if body[:1] == b"{" else ""}[
        body[:1] != b"{"]
    assert data["error"] and stack.row("select state from patchbay.webhook_inbox where id = %s", hook)["state"] == "parked"
    wait(lambda: stack.metric("pat_inbox_parked_rows") >= 1, 30, "and counted")


# ---------------------------------------------------------------------- retention


OLD_AND_NEW = {
    "outbox": ("insert into patchbay.outbox (subject, payload, published_at, created_at) select 'pat.test.' || g, '1', "
               "case when %(done)s then now() - %(age)s::interval end, now() - %(age)s::interval "
               "from generate_series(1, %(n)s) g returning id", "2 days 1 hour", "1 day 23 hours"),
    "webhook_inbox": ("insert into patchbay.webhook_inbox (id, source, dedupe_key, body, state, received_at) select "
                      "gen_random_uuid(), 'test', gen_random_uuid()::text, 'x', case when %(done)s then 'projected' "
                      "else 'received' end, now() - %(age)s::interval from generate_series(1, %(n)s) returning id",
                      "31 days", "29 days"),
    "webhook_inbox_parked": ("insert into patchbay.webhook_inbox (id, source, dedupe_key, body, state, received_at) select "
                             "gen_random_uuid(), 'test', gen_random_uuid()::text, 'x', 'parked', now() - %(age)s::interval "
                             "from generate_series(1, %(n)s) where %(done)s returning id", "91 days", "89 days"),
    "outbox_parked": ("insert into patchbay.outbox (subject, payload, parked_at, created_at) select 'pat.test.' || g, '1', "
                      "now() - %(age)s::interval, now() - %(age)s::interval from generate_series(1, %(n)s) g "
                      "where %(done)s returning id", "91 days", "89 days"),
    "call_events": ("insert into patchbay.call_events (id, call_id, type, subject, occurred_at, stored_at) select "
                    "gen_random_uuid(), gen_random_uuid(), 'pat.call.v1.offered', 's', now(), now() - %(age)s::interval "
                    "from generate_series(1, %(n)s) where %(done)s returning id", "401 days", "399 days"),
}


def removed(stack, kind: str) -> float:
    return stack.metric(f'pat_relay_removed_rows_total{{kind="{kind}"}}')


@pytest.mark.parametrize("kind", OLD_AND_NEW)
def test_what_is_old_and_done_goes_and_nothing_else(stack, kind):
    query, old, new = OLD_AND_NEW[kind]
    table = kind.removesuffix("_parked")
    before = removed(stack, kind)

    def fill(c, n: int, age: str, done: bool) -> list:
        return [i for i, in c.execute(query, {"n": n, "age": age, "done": done})]

    with psycopg.connect(stack.pg.url(OWNER, "patchbay")) as c, c.transaction():
        gone = fill(c, 1200, old, True)  # three batches
        stay = fill(c, 5, new, True)
        # Not done, and young enough that the sweeps of other tests do not touch it before this one ends.
        waits = fill(c, 1, old, False)
        if kind == "outbox":
            c.execute("update patchbay.outbox set attempts = 1, next_attempt_at = now() + interval '1 day' where id = any (%s)",
                      (waits,))
        elif kind == "webhook_inbox":
            c.execute("update patchbay.webhook_inbox set next_attempt_at = now() + interval '1 day' where id = any (%s)", (waits,))

    def left(ids) -> int:
        return stack.sql(f"select count(*) from patchbay.{table} where id = any (%s)", ids)[0][0]

    wait(lambda: left(gone) == 0, 30, "the old ones are gone")
    assert left(stay) == len(stay) == 5 and left(waits) == len(waits)
    wait(lambda: removed(stack, kind) == before + 1200, 20, "they are counted")
    assert sum(e["rows"] for e in stack.relay.logged("retention.removed", kind=kind)) >= 1200
    stack.sql(f"delete from patchbay.{table} where id = any (%s)", stay + waits)


def as_daemon(stack):
    return psycopg.connect(stack.pg.url(DAEMON, "patchbay"), autocommit=True)


def test_one_at_a_time_prunes_and_waits_for_nobody(stack):
    stack.relay.stop()
    try:
        query, old, _ = OLD_AND_NEW["outbox"]
        with as_daemon(stack) as mine, psycopg.connect(stack.pg.url(OWNER, "patchbay")) as theirs:
            with theirs.transaction():
                ids = [i for i, in theirs.execute(query, {"n": 3, "age": old, "done": True})]
            mine.execute("set statement_timeout = '5s'")  # a lock that is waited for ends in an error
            with theirs.transaction():
                theirs.execute("select patchbay.prune('call_events', 400, 1)")
                assert mine.execute("select patchbay.prune('outbox', 2, 100)").fetchone() == (-1,)
            with theirs.transaction():
                theirs.execute("select from patchbay.outbox where id = %s for update", (ids[0],))
                assert mine.execute("select patchbay.prune('outbox', 2, 2)").fetchone() == (2,)
                assert mine.execute("select patchbay.prune('outbox', 2, 2)").fetchone() == (0,)
            assert mine.execute("select patchbay.prune('outbox', 2, 2)").fetchone() == (1,)
    finally:
        stack.relay.start()


@pytest.mark.parametrize("args", ["'outbox', 0, 10", "'outbox', 2, 0", "'calls', 2, 10", "null, 2, 10", "'outbox', null, 10"])
def test_nonsense_prunes_nothing(stack, args):
    with as_daemon(stack) as c, pytest.raises(psycopg.errors.InvalidParameterValue):
        wait(lambda: c.execute(f"select patchbay.prune({args})").fetchone() != (-1,), 20, "the relay is not at it")


def test_who_may_prune(stack):
    with as_daemon(stack) as c, pytest.raises(psycopg.errors.InsufficientPrivilege):
        c.execute("delete from patchbay.call_events")  # old ones only, and only by the function
    with stack.pg.admin("patchbay") as c, pytest.raises(psycopg.errors.InsufficientPrivilege):
        c.execute("set role authenticated")
        c.execute("select patchbay.prune('outbox', 1, 1)")


@pytest.mark.parametrize("subject,key", [("pat.call.v1.ended.u1.c1", "u1.c1"), ("pat.config.v1.changed.u1.-", "u1.-"),
                                         ("pat.call.v2.ended.u1.c1", "u1.c1"), ("other.subject", "other.subject"),
                                         ("pat.call.v1.x.a.b.c", "a.b.c"), ("pat.call.ended.u1.c1", "pat.call.ended.u1.c1"), ("", "")])
def test_keys_of_subjects(stack, subject, key):
    assert stack.sql("select patchbay.outbox_key(%s)", subject) == [(key,)]
