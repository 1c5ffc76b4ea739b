"""public.call_records made again from what is stored: the same rows, byte for byte, whatever the calls went through."""

import copy
import json
import random
import uuid

import pytest

from harness import patdb
from harness.patdb import ADA, BOB
from harness.postgres import Postgres
from test_call_records import Call, at

EVERY = "select id::text, r::text from public.call_records r order by id"


@pytest.fixture(scope="module")
def states():
    with Postgres() as pg:
        yield patdb.States(pg)


@pytest.fixture(params=["fresh", "later"])
def db(request, states):
    """As we make it, and as it is months later at the product's: with columns and defaults we did not make."""
    with states.copy(request.param) as db:
        yield db


def event(call, kind: str, second: float, **data) -> dict:
    id_ = uuid.uuid4()
    call.db.daemon.execute(
        "insert into patchbay.call_events (id, call_id, user_id, type, subject, occurred_at, data) values (%s, %s, %s, %s, %s, %s, %s)",
        (id_, call.id, call.user, f"pat.{kind}", f"pat.{kind}.{call.user}.{call.id}", at(second),
         json.dumps({"call_id": str(call.id), "user_id": str(call.user)} | data)))
    return id_


def usage(call, component: str, provider: str, model: str | None, quantity: int, account: str | None = None, segment: int = 1) -> None:
    call.db.daemon.execute("select patchbay.put_usage(%s)", (json.dumps({
        "id": str(uuid.uuid4()), "call_id": str(call.id), "user_id": str(call.user), "leg": "livekit", "segment": segment,
        "component": component, "provider": provider, "account": account, "model": model, "unit": "unit",
        "quantity_milli": quantity, "used_at": "2026-10-20T00:00:00Z"}),))


def recording(call, state: str) -> None:
    call.db.daemon.execute("select patchbay.put_recording(%s)", (json.dumps({
        "call_id": str(call.id), "name": "recording", "user_id": str(call.user), "state": state, "began_at": at(2),
        "url": f"https://files.example/{call.id}.ogg" if state == "stored" else None, "duration_ms": 60000}),))


def on_livekit(call, rng) -> list:
    """What is said of a call on LiveKit, each as one step."""
    steps = [lambda: call.routed("livekit", fallback=rng.random() < 0.2), lambda: call.put(answered_at=at(3), greeting_ms=180)]
    for n in range(rng.randrange(6)):
        who = rng.choice(["user", "agent"])
        text = rng.choice(["Hello.", "I would like\nto book a table", "", "Ünïcode “quotes” \\ and 😀"])
        steps.append(lambda n=n, who=who, text=text: event(
            call, f"turn.v1.{who}", 4 + rng.choice([n, 2]), turn=n, **({"text": text} if who == "user" else {
                "heard": text, "interrupted": rng.random() < 0.3,
                "timings": {"llm_first_ms": rng.randrange(100, 900), "response_ms": rng.random() * 1500}})))
    if rng.random() < 0.5:
        steps.append(lambda: event(call, "turn.v1.tool", 9, name="transfer", outcome="ok"))
    steps += [lambda: usage(call, "llm_in", "openai", "gpt-4.1", 1234000), lambda: usage(call, "tts_chars", "elevenlabs", "eleven_v3", 90000)]
    for account in rng.sample(["openai", "openai-2", "openai-3"], rng.randrange(3)):  # lines that have no order of their own
        steps.append(lambda account=account: usage(call, "llm_out", "openai", "gpt-4.1", rng.randrange(1, 9) * 1000, account))
    if rng.random() < 0.3:
        steps.append(lambda: usage(call, "llm_out", "nobody", "knows-the-price", 5000))
    steps += [lambda: recording(call, "recording"), lambda: recording(call, rng.choice(["stored", "failed", "joining"]))]
    steps.append(lambda: call.put(state="ended", ended_at=at(70), ended_reason="completed", ended_owner="caller",
                                  outcome=rng.choice([None, "answered", "voicemail", "transferred"])))
    return steps


def on_retell(call, rng) -> list:
    steps = [lambda: call.routed("retell")]
    for kind in ("call_started", "call_ended", "call_analyzed"):
        extra = {} if rng.random() < 0.7 else {"disconnection_reason": rng.choice(["dial_busy", "error_llm_websocket_open", "call_transfer"])}
        steps.append(lambda kind=kind, extra=extra: webhook(call, kind, **extra))
    if rng.random() < 0.4:
        steps.append(lambda: call.put(metadata={"moved_from": call.retell_id, "moves": 1}, outcome="transferred"))
    if rng.random() < 0.7:
        steps.append(lambda: call.put(state="ended", ended_at=at(61), ended_reason="completed", ended_owner="carrier"))
    return steps


def fallen_over(call, rng) -> list:
    """Retell failed, LiveKit went on: what the first said of itself is no longer what the row shows."""
    return on_retell(call, rng)[:3] + on_livekit(call, rng)


def never_answered(call, rng) -> list:
    return [lambda: call.put(ended_at=at(9), ended_reason=rng.choice(["busy", "no-answer", "failed"]), state="ended")]


def webhook(call, kind: str, **extra) -> None:
    """As the relay stores and uses one."""
    body = call.webhook(kind, **extra)
    call.db.daemon.execute(
        "insert into patchbay.webhook_inbox (id, source, dedupe_key, order_key, kind, body, call_id) values "
        "(patchbay.uuidv7(), 'retell', %s, %s, %s, convert_to(%s, 'UTF8'), %s) on conflict do nothing",
        (f"{kind}:{call.retell_id}", f"retell:{call.retell_id}", kind, json.dumps(body), call.id))
    call.db.daemon.execute("select * from patchbay.use_webhooks(16)")


def live(call, steps, rng) -> None:
    """As it happens: in some order, some of it twice, with the record looked at in between."""
    steps = copy.copy(steps)
    if rng.random() < 0.5:
        tail = steps[1:]
        rng.shuffle(tail)
        steps[1:] = tail
    for step in steps:
        for _ in range(1 + (rng.random() < 0.15)):
            step()
        if rng.random() < 0.6:
            call.project()
    call.project()


def many_calls(db, seed: int, n: int = 48) -> list[Call]:
    rng = random.Random(seed)
    calls = []
    for i in range(n):
        numbers = rng.choice([{}, {"from_number": None, "caller_withheld": True}, {"from_number": "anonymous"}, {"direction": "outbound"}])
        call = Call(db, user=rng.choice([ADA, BOB]), carrier=rng.choice(["signalwire", "twilio", "another"]))
        call.put(**numbers)
        live(call, [on_livekit, on_retell, fallen_over, never_answered][i % 4](call, rng), rng)
        calls.append(call)
    return calls


def rebuild(db, write: bool = True, user=None, since=None, until=None) -> tuple[int, int, list]:
    looked = different = 0
    after, examples = None, []
    while True:
        row = db.daemon.execute("select looked, different, last, examples from patchbay.rebuild_calls(%s, %s, %s, %s, 7, %s)",
                                (user, since, until, after, write)).fetchone()
        looked, different, after = looked + row[0], different + row[1], row[2]
        examples += row[3]
        if after is None:
            return looked, different, examples


def same(before: list, after: list) -> None:
    """With the column's name where they are not."""
    a, b = dict(before), dict(after)
    assert a.keys() == b.keys()
    assert {k: (a[k], b[k]) for k in a if a[k] != b[k]} == {}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_empty_table_gets_the_same_rows_byte_for_byte(db, seed):
    calls = many_calls(db, seed)
    before = db.owner.execute(EVERY).fetchall()
    assert len(before) == len(calls)
    assert rebuild(db, write=False)[:2] == (len(calls), 0)  # the rows are what they would be now
    db.owner.execute("delete from public.call_records")
    assert rebuild(db)[:2] == (len(calls), len(calls))
    same(before, db.owner.execute(EVERY).fetchall())


def test_a_row_that_is_not_as_it_should_be_is_found_and_mended(db):
    calls = many_calls(db, 4, 12)
    before = db.owner.execute(EVERY).fetchall()
    wrong = calls[1]
    db.owner.execute("update public.call_records set transcript = 'lies', duration_seconds = 7 where id = %s", (wrong.id,))
    assert rebuild(db, write=False) == (12, 1, [wrong.id])
    assert rebuild(db, write=False) == (12, 1, [wrong.id])  # looking changed nothing
    assert rebuild(db)[1] == 1 and rebuild(db)[1] == 0
    same(before, db.owner.execute(EVERY).fetchall())


def test_only_those_that_were_asked_for_are_made(db):
    calls = many_calls(db, 5, 16)
    mine = {c.id for c in calls if c.user == BOB}
    assert mine and len(mine) < 16
    db.owner.execute("delete from public.call_records")
    assert rebuild(db, user=BOB)[0] == len(mine)
    assert {r[0] for r in db.owner.execute("select id from public.call_records").fetchall()} == mine
    assert rebuild(db, since="2030-01-01")[0] == 0 and rebuild(db, until="2020-01-01")[0] == 0


def test_replaying_every_webhook_changes_no_row(db):
    many_calls(db, 6, 24)
    before = db.owner.execute(EVERY).fetchall()
    replayed = db.daemon.execute("select patchbay.replay_webhooks(null, 'retell', '2000-01-01', null, false, null, 1000)").fetchone()[0]
    assert replayed >= 12
    while db.daemon.execute("select * from patchbay.use_webhooks(16)").fetchall():
        pass
    same(before, db.owner.execute(EVERY).fetchall())


def test_events_that_are_pruned_leave_the_row_as_it_was(db):
    """Days after the last event has gone, a row can still be made again."""
    many_calls(db, 7, 24)
    before = db.owner.execute(EVERY).fetchall()
    db.owner.execute("update patchbay.call_events set stored_at = now() - interval '500 days' where id in "
                     "(select id from patchbay.call_events order by random() limit 40)")
    while db.daemon.execute("select patchbay.prune('call_events', 400, 3)").fetchone()[0] > 0:
        pass
    rebuild(db)
    same(before, db.owner.execute(EVERY).fetchall())
    db.owner.execute("update patchbay.call_events set stored_at = now() - interval '500 days'")
    while db.daemon.execute("select patchbay.prune('call_events', 400, 5)").fetchone()[0] > 0:
        pass
    assert db.one("select count(*) from patchbay.call_events") == 0
    db.owner.execute("delete from public.call_records")
    rebuild(db)
    same(before, db.owner.execute(EVERY).fetchall())


def test_what_others_put_into_a_row_stays(db):
    """A column we have nothing to say about is not ours, and a rebuild in place leaves it alone."""
    call = Call(db)
    call.routed("livekit")
    call.project()
    db.owner.execute("update public.call_records set screening_notes = 'by the product', recording_url = 'https://theirs' where id = %s",
                     (call.id,))
    call.put(answered_at=at(3), ended_at=at(30), state="ended")
    row = call.project()
    assert (row["screening_notes"], row["recording_url"]) == ("by the product", "https://theirs")
    rebuild(db)
    assert call.record() == row
