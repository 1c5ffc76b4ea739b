"""What a call cost, to the millionth of a dollar: from what was metered and the price of that day, or not at all."""

import datetime
import json
import uuid
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from test_call_records import ADA, BOB, Call, at

from harness import patdb
from harness.postgres import Postgres

CASES = json.loads((Path(__file__).parent / "fixtures/costs.json").read_text())
DAY = datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc)


@pytest.fixture(scope="module")
def states():
    with Postgres() as pg:
        yield patdb.States(pg)


@pytest.fixture
def db(states):
    with states.copy("fresh") as db:
        db.state = "fresh"
        yield db


def price(db, provider, component, model, microusd, per, since=DAY, **more):
    row = dict(provider=provider, component=component, model=model, valid_from=since, price_microusd=microusd, per=per,
               unit="x", source="a contract", read_on=since.date(), **more)
    db.owner.execute(f"insert into patchbay.prices ({', '.join(row)}) values ({', '.join(['%s'] * len(row))})", [*row.values()])


def used(db, call, component, provider, model, quantity, segment=1, used_at=None, **more):
    fact = {"id": str(uuid.uuid4()), "call_id": str(call.id), "user_id": str(call.user), "leg": "livekit", "segment": segment,
            "component": component, "provider": provider, "account": provider, "model": model, "unit": "x",
            "quantity_milli": round(quantity * 1000), "used_at": used_at or at(5)} | more
    for _ in range(2):  # told again: one row
        db.daemon.execute("select patchbay.put_usage(%s)", [json.dumps(fact)])


def livekit(db, **facts):
    return Call(db, stack="livekit", **facts)


def record(db, call):
    db.daemon.execute("select patchbay.project_call(%s)", [call.id])
    cur = db.owner.cursor(row_factory=psycopg.rows.dict_row)
    return cur.execute("select * from public.call_records where id = %s", [call.id]).fetchone()


COLUMNS = ["call_cost_total", "call_cost_llm", "call_cost_tts", "call_cost_stt", "call_cost_telephony"]


def columns(row):
    return [row[c] for c in COLUMNS]


def test_the_database_counts_as_the_agents_do(db):
    wrong = {c["why"]: cost for c in CASES
             if (cost := db.one("select patchbay.cost_microusd(%s, %s, %s, %s, %s)", c["milli"], c["price_microusd"],
                                c["per"], c.get("minimum", 0), c.get("step", 0))) != c["microusd"]}
    assert not wrong and len(CASES) > 10


def test_each_part_of_a_call_is_in_its_column(db):
    for args in [("deepgram", "stt", "nova-3", 4800, 60), ("openai", "llm_in", "m", 150000, 10**6),
                 ("openai", "llm_cached", "m", 75000, 10**6), ("openai", "llm_out", "m", 600000, 10**6),
                 ("elevenlabs", "tts_chars", "flash", 40000, 1000), ("livekit", "agent", "", 10000, 60),
                 ("livekit", "sip", "", 4000, 60)]:
        price(db, *args)
    call = livekit(db)
    used(db, call, "stt", "deepgram", "nova-3", 61.234)               # 4898.72 -> 4899
    used(db, call, "llm_in", "openai", "m", 12345)                    # 1851.75 -> 1852
    used(db, call, "llm_cached", "openai", "m", 1000)                 # 75
    used(db, call, "llm_out", "openai", "m", 321)                     # 192.6 -> 193
    used(db, call, "tts_chars", "elevenlabs", "flash", 1451)          # 58040
    used(db, call, "tts_cached_chars", "patchbay", None, 5000)        # nobody bills it
    used(db, call, "agent", "livekit", None, 90)                      # 15000
    used(db, call, "sip", "livekit", None, 90)                        # 6000
    row = record(db, call)
    assert columns(row) == [Decimal("0.0861"), Decimal("0.0021"), Decimal("0.0580"), Decimal("0.0049"), Decimal("0.0060")]
    cost = row["metadata"]["patchbay"]["cost"]
    assert cost["missing"] == [] and cost["currency"] == "USD"
    assert cost["microusd"] == {"stt": 4899, "llm": 1852 + 75 + 193, "tts": 58040, "telephony": 6000, "platform": 15000,
                                "total": 4899 + 2120 + 58040 + 6000 + 15000}
    assert {line["component"]: line["microusd"] for line in cost["lines"]}["llm_out"] == 193
    assert all("price_id" in line for line in cost["lines"])
    again = record(db, call)
    assert columns(again) == columns(row)

    # The carrier's minutes are known when the call is over.
    call.put(answered_at=at(0), state="ended", ended_at=at(60), ended_reason="hangup", ended_owner="caller")
    row = record(db, call)
    assert row["metadata"]["patchbay"]["cost"]["microusd"]["telephony"] == 6000 + 6600 + 3000
    assert row["call_cost_telephony"] == Decimal("0.0156")


def test_what_has_no_price_makes_no_figure_up(db):
    price(db, "deepgram", "stt", "nova-3", 4800, 60)
    call = livekit(db)
    used(db, call, "stt", "deepgram", "nova-3", 60)
    assert columns(record(db, call)) == [Decimal("0.0048"), 0, 0, Decimal("0.0048"), 0]
    used(db, call, "llm_in", "openai-like", "homemade", 1000)
    row = record(db, call)
    assert columns(row) == [None, None, 0, Decimal("0.0048"), 0], "a sum that is not known any more is null again"
    assert row["metadata"]["patchbay"]["cost"]["missing"] == [
        {"provider": "openai-like", "component": "llm_in", "model": "homemade", "reason": "no price of it at that time"}]
    price(db, "openai-like", "llm_in", "", 1000, 1000)
    assert columns(record(db, call))[:2] == [Decimal("0.0058"), Decimal("0.0010")]


def test_the_price_of_the_day_counts_and_the_models_own_goes_first(db):
    price(db, "v", "tts_chars", "", 1000, 1)
    price(db, "v", "tts_chars", "fine", 2000, 1)
    price(db, "v", "tts_chars", "fine", 3000, 1, since=DAY + datetime.timedelta(days=1))
    call = livekit(db)
    used(db, call, "tts_chars", "v", "fine", 1, used_at="2026-03-01T23:59:59Z")
    used(db, call, "tts_chars", "v", "fine", 1, used_at="2026-03-02T00:00:00Z", segment=2)
    used(db, call, "tts_chars", "v", "other", 1)
    assert record(db, call)["metadata"]["patchbay"]["cost"]["microusd"]["tts"] == 2000 + 3000 + 1000
    early = livekit(db)
    used(db, early, "tts_chars", "v", "fine", 1, used_at="2026-02-28T23:59:59Z")
    assert record(db, early)["call_cost_total"] is None


def test_a_call_that_was_on_both_stacks_costs_both(db):
    price(db, "deepgram", "stt", "nova-3", 4800, 60)
    call = livekit(db)
    used(db, call, "stt", "deepgram", "nova-3", 60)
    db.daemon.execute("select patchbay.put_result(%s, 'retell', 'call_ended', '{}')", [call.id])
    row = record(db, call)
    assert row["call_cost_total"] is None
    assert [m["provider"] for m in row["metadata"]["patchbay"]["cost"]["missing"]] == ["retell"]
    db.daemon.execute("select patchbay.put_result(%s, 'retell', 'call_analyzed', %s)",
                      [call.id, json.dumps({"call_cost": {"combined_cost": 7.25, "product_costs": []}})])
    assert record(db, call)["call_cost_total"] == Decimal("0.0773")


def test_users_see_their_own_usage_and_no_prices(db):
    call = livekit(db)
    used(db, call, "stt", "deepgram", "nova-3", 60)
    with db.session("authenticated", ADA) as s:
        assert s.execute("select count(*) from patchbay.usage").fetchone() == (1,)
    with db.session("authenticated", BOB) as s:
        assert s.execute("select count(*) from patchbay.usage").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            s.execute("select * from patchbay.prices")


def test_the_book_names_where_each_figure_was_read(db):
    book = db.one("select patchbay.price_book()")
    assert {"provider", "component", "model", "valid_from_ms", "price_microusd", "per", "minimum", "step"} == set(book[0])
    assert db.one("select count(*) from patchbay.prices where source = '' or read_on is null") == 0
    flash = [(b["valid_from_ms"], b["price_microusd"]) for b in book if b["model"] == "eleven_flash_v2_5"]
    assert len(flash) == 2 and flash[0] < flash[1]
