"""The sums of usage and cost: always those of the calls, whatever is told of them, how often, in what order, by how many."""

import copy
import csv
import datetime
import io
import json
import random
import threading
import uuid

import psycopg
import pytest
from test_call_records import ADA, BOB, T0, Call, at
from test_projection_rebuild import event, fallen_over, live, never_answered, on_livekit, on_retell, usage, webhook

from harness import events, patdb
from harness.postgres import DAEMON, Postgres

ALL = "00000000-0000-0000-0000-000000000000"
ERASED = "ffffffff-ffff-ffff-ffff-ffffffffffff"
DAY = T0.date()


@pytest.fixture(scope="module")
def states():
    with Postgres() as pg:
        yield patdb.States(pg)


@pytest.fixture
def db(states):
    with states.copy("fresh") as db:
        db.state = "fresh"
        prices(db)
        yield db


def prices(db) -> None:
    """The book's figures, valid on the day of these calls: they are of later days otherwise."""
    db.owner.execute("insert into patchbay.prices (provider, component, model, valid_from, price_microusd, per, unit, minimum, step, source, read_on) "
                     "select distinct on (provider, component, model) provider, component, model, '2026-02-01', price_microusd, per, unit, minimum, "
                     "step, source, read_on from patchbay.prices where valid_from > '2026-02-01' order by 1, 2, 3, valid_from on conflict do nothing")


def work(db) -> None:
    while db.daemon.execute("select patchbay.usage_work(7)").fetchone()[0] == 7:
        pass


def report(db, by="", user=ALL, day=DAY):
    return db.one("select patchbay.usage_report(%s, %s, %s, string_to_array(%s, ','), 10000)", user, day, day, by)


def summary(db, user=ALL, day=DAY):
    return db.one("select patchbay.usage_summary(%s, %s, %s)", user, day, day)


def same_days(db) -> None:
    """The days of other zones have the same calls, each in its own: 26 hours lie between the first and the last of these."""
    first, last = db.owner.execute("select min(day) - 2, max(day) + 2 from patchbay.usage_stack_days").fetchone()
    users = [u for u, in db.owner.execute("select distinct user_id from patchbay.usage_stack_days where user_id <> %s", [ERASED])]
    one = "select patchbay.usage_report(%s, %s, %s, string_to_array(%s, ','), 10000, %s) - 'timezone'"
    gone = db.one("select coalesce(sum(calls), 0) from patchbay.usage_stack_days where user_id = %s", ERASED)
    for user in users:
        everybody = str(user) == ALL
        for zone in ("Pacific/Kiritimati", "America/Los_Angeles", "Pacific/Pago_Pago"):
            for by in ["stack", "component,account,model"] + (["user", "component,user"] if everybody else []):
                assert db.one(one, user, first, last, by, zone) == db.one(one, user, first, last, by, "UTC"), (zone, by)
            mine, kept = (db.one("select patchbay.usage_summary(%s, %s, %s, %s) - 'timezone'", user, first, last, z) for z in (zone, "UTC"))
            assert mine | {"assumptions": 0} == kept | {"assumptions": 0}
            if not gone:
                days = dict(db.owner.execute("select (c.offered_at at time zone %s)::date::text, count(*) from patchbay.call_costs k "
                                             "join patchbay.calls c on c.id = k.call_id where %s or c.user_id = %s group by 1", [zone, everybody, user]))
                money = dict(db.owner.execute("select (c.offered_at at time zone %s)::date::text, sum(k.known_microusd) from patchbay.call_costs k "
                                              "join patchbay.calls c on c.id = k.call_id where %s or c.user_id = %s group by 1", [zone, everybody, user]))
                rows = db.one(one, user, first, last, "day", zone)["rows"]
                assert {r["day"]: (r["calls"], r["cost_microusd"]) for r in rows} == {d: (days[d], money[d]) for d in days}
                for by in ("day,component", "day,stack"):
                    rows = db.one(one, user, first, last, by, zone)["rows"]
                    assert {d: sum(r["cost_microusd"] for r in rows if r["day"] == d) for d in days} == money


def cost(call):
    return call.db.one("select patchbay.call_costs_json(%s)", call.id)


def sound(db) -> None:
    """The sums are those of the calls, counted again from nothing."""
    work(db)
    assert db.one("select count(*) from patchbay.usage_dirty") == 0
    assert db.one("select (patchbay.usage_rebuild(null, null, null, null, 10000, false)).different") == 0, "calls stand as they are"
    days = [d for d, in db.owner.execute("select distinct day from patchbay.usage_stack_days")]
    assert {d: n for d in days if (n := db.one("select patchbay.usage_recount(%s, false)", d))} == {}
    same_days(db)
    for by in ["stack", "component", "user", "day,stack,component,account,model"]:
        assert sum(r["cost_microusd"] for r in report(db, by)["rows"]) == report(db)["total"]["cost_microusd"]


def ended(call, seconds=60.0, **facts) -> None:
    call.put(**{"answered_at": at(0), "state": "ended", "ended_at": at(seconds), "ended_reason": "hangup", "ended_owner": "caller"} | facts)


def leg(call, kind, begin, end, answered=True, stack=None) -> None:
    name = f"CA{uuid.uuid4().hex}"
    facts = {"leg": name, "call_id": str(call.id), "user_id": str(call.user), "kind": kind} | ({"stack": stack} if stack else {})
    for state, second in [("initiated", begin), *([("talking", begin)] if answered else []), ("ended", end)]:
        call.db.daemon.execute("select patchbay.put_leg(%s)", [json.dumps(facts | {"state": state, "at": at(second)})])


def used(call, component, provider, model, quantity, leg="livekit", segment=1, unit="x", id_=None, account=None):
    call.db.daemon.execute("select patchbay.put_usage(%s)", [json.dumps({
        "id": str(id_ or uuid.uuid4()), "call_id": str(call.id), "user_id": str(call.user), "leg": leg, "segment": segment,
        "component": component, "provider": provider, "account": account or provider, "model": model, "unit": unit,
        "quantity_milli": round(quantity * 1000), "used_at": at(5)})])


def livekit_minute(call, segment=1):
    """A minute as the issue's comparison supposes it."""
    for what in [("agent", "livekit", None, 60), ("sip", "livekit", None, 60), ("stt", "deepgram", "nova-3", 60),
                 ("llm_in", "openai", "gpt-4o-mini", 4000), ("llm_cached", "openai", "gpt-4o-mini", 4000),
                 ("llm_out", "openai", "gpt-4o-mini", 150), ("tts_chars", "elevenlabs", "eleven_flash_v2_5", 450),
                 ("tts_cached_chars", "patchbay", None, 120)]:
        used(call, *what, segment=segment)


# ---------------------------------------------------------------------- sums


def test_the_sums_are_those_of_the_calls_whatever_happens(db):
    rng = random.Random(11)
    makers = [on_livekit, on_retell, fallen_over, never_answered]
    for n in range(40):
        call = Call(db, user=[ADA, BOB][n % 2])
        live(call, makers[n % 4](call, rng), rng)
        if rng.random() < 0.5:
            work(db)
    sound(db)
    total = report(db)["total"]
    assert total["calls"] == db.one("select count(*) from patchbay.calls where state = 'ended'") > 20
    assert total["cost_microusd"] == sum(report(db, user=str(u))["total"]["cost_microusd"] for u in (ADA, BOB)) > 0


def test_told_twice_counted_again_and_rebuilt_it_counts_once(db):
    call = Call(db, stack="livekit")
    ids = [uuid.uuid4() for _ in range(3)]
    ended(call)
    for _ in range(3):
        for i, id_ in enumerate(ids):
            used(call, "stt", "deepgram", "nova-3", 60, id_=id_, segment=i + 1)
        work(db)
    before = report(db, "component")
    assert [r["cost_microusd"] for r in before["rows"] if r["component"] == "stt"] == [3 * 4800]
    db.daemon.execute("select patchbay.usage_touch_between(%s, %s)", [at(-60), at(60)])
    work(db)
    db.daemon.execute("select patchbay.usage_rebuild(null, null, null, null, 100, true)")
    db.daemon.execute("select patchbay.usage_recount(%s, true)", [DAY])
    assert report(db, "component") == before
    sound(db)


def test_a_price_that_comes_late_is_put_in_once(db):
    call = Call(db, stack="livekit")
    ended(call)
    used(call, "llm_in", "homemade", "tiny", 1000, unit="token")
    work(db)
    was = report(db)
    assert not was["total"]["complete"]
    assert was["missing"] == [{"provider": "homemade", "component": "llm_in", "model": "tiny", "unit": "token", "lines": 1,
                               "quantity": 1000.0, "reason": "no price of it at that time"}]
    assert cost(call)["cost_microusd"] is None and cost(call)["known_microusd"] == was["total"]["cost_microusd"]
    db.owner.execute("insert into patchbay.prices (provider, component, model, valid_from, price_microusd, per, unit, source, read_on) "
                     "values ('homemade', 'llm_in', '', '2026-01-01', 7, 1, 'token', 'a bill', '2026-03-01')")
    for _ in range(2):
        db.daemon.execute("select patchbay.usage_touch(%s)", [[call.id]])
        work(db)
    now = report(db)["total"]
    assert now["complete"] and now["cost_microusd"] == was["total"]["cost_microusd"] + 7000
    sound(db)


def test_many_writers_and_counters_at_once_lose_nothing(db):
    calls = [Call(db, stack="livekit", user=[ADA, BOB][n % 2]) for n in range(12)]
    stop = threading.Event()
    faults = []

    def counter():
        try:
            with psycopg.connect(db.pg.url(DAEMON, db.name), autocommit=True) as c:
                while not stop.is_set():
                    c.execute("select patchbay.usage_work(5)")
        except Exception as e:  # told below
            faults.append(e)

    def writer(mine):
        try:
            with psycopg.connect(db.pg.url(DAEMON, db.name), autocommit=True) as c:
                for n in range(15):
                    for call in mine:
                        with c.transaction():
                            c.execute("select patchbay.put_usage(%s)", [json.dumps({
                                "id": str(uuid.uuid4()), "call_id": str(call.id), "user_id": str(call.user), "leg": "livekit",
                                "component": "stt", "provider": "deepgram", "model": "nova-3", "unit": "second",
                                "quantity_milli": 60000, "used_at": at(5), "segment": n + 1})])
                            if n == 7:
                                c.execute("select patchbay.put_call(%s)", [json.dumps({
                                    "id": str(call.id), "state": "ended", "answered_at": at(0), "ended_at": at(60)})])
        except Exception as e:
            faults.append(e)

    counters = [threading.Thread(target=counter) for _ in range(2)]
    writers = [threading.Thread(target=writer, args=(calls[n::3],)) for n in range(3)]
    for t in counters + writers:
        t.start()
    for t in writers:
        t.join(60)
    stop.set()
    for t in counters:
        t.join(60)
    assert not faults
    sound(db)
    assert [r["cost_microusd"] for r in report(db, "component")["rows"] if r["component"] == "stt"] == [12 * 15 * 4800]


def test_a_call_whose_end_is_taken_back_is_not_counted_until_it_ends(db):
    call = Call(db, stack="livekit")
    used(call, "stt", "deepgram", "nova-3", 60)
    work(db)
    assert report(db)["total"]["calls"] == 0
    ended(call)
    work(db)
    assert report(db)["total"]["calls"] == 1
    db.owner.execute("update patchbay.calls set state = 'answered' where id = %s", [call.id])
    work(db)
    assert report(db)["total"]["calls"] == 0 == report(db)["total"]["cost_microusd"]
    sound(db)


# ---------------------------------------------------------------------- one call, all of it


def test_every_leg_and_segment_of_a_call_is_in_its_cost(db):
    """LiveKit fell over to Retell; the caller came back to LiveKit from somebody who was asked first, and ended with a colleague."""
    call = Call(db).routed("retell")
    livekit_minute(call)
    call.retell("call_started")
    call.retell("call_analyzed", disconnection_reason="error_retell")
    used(call, "gpt_4_1", "retell", None, 5.5, leg="retell", unit="usd_cent")
    call.put(stack="livekit")
    livekit_minute(call, segment=2)
    leg(call, "stack", 0, 60, stack="livekit")
    leg(call, "stack", 60, 62, answered=False, stack="retell")
    leg(call, "stack", 62, 122, stack="retell")
    leg(call, "consult", 100, 130)
    leg(call, "transfer", 200, 320)
    ended(call, 320)
    c = cost(call)
    assert c["complete"], c["missing"]
    lines = {(x["leg"], x["segment"], x["component"]): x.get("cost_microusd") for x in c["lines"]}
    assert lines[("caller", 1, "phone")] == 35200                      # 320 s at 0.0066 a minute
    assert [lines[("stack", n, "phone_sip")] for n in (1, 3)] == [3000, 3000] and ("stack", 2, "phone_sip") not in lines
    assert lines[("consult", 1, "phone")] == 4000 and lines[("transfer", 1, "phone")] == 16000  # outbound: 0.008 a minute
    assert lines[("retell", 1, "gpt_4_1")] == 55000
    for segment in (1, 2):
        assert lines[("livekit", segment, "agent")] == 10000 and lines[("livekit", segment, "tts_chars")] == 22500
        assert lines[("livekit", segment, "tts_cached_chars")] == 0
    assert [x["quantity"] for x in c["lines"] if x["component"] == "tts_cached_chars"] == [120, 120]
    assert c["cost_microusd"] == sum(x["cost_microusd"] for x in c["lines"]) == sum(c["parts"].values())
    work(db)
    assert report(db)["total"]["cost_microusd"] == c["cost_microusd"]
    by = {r["stack"]: r["cost_microusd"] for r in report(db, "stack")["rows"]}
    assert by["retell"] == 55000 + 3000 and by["retell"] + by["livekit"] == c["cost_microusd"]
    sound(db)


def test_a_leg_at_retell_without_a_bill_is_named(db):
    call = Call(db).routed("retell")
    call.retell("call_started")
    call.retell("call_ended", call_cost=None)
    ended(call)
    c = cost(call)
    assert c["cost_microusd"] is None and not c["complete"]
    assert c["missing"] == [{"provider": "retell", "component": "call", "model": None, "reason": "Retell has not told what it cost"}]
    call.retell("call_analyzed")  # 10.8 cents
    assert cost(call)["cost_microusd"] == 108000 + 6600 + 3000
    used(call, "elevenlabs_tts", "retell", None, 4.0, leg="retell", unit="usd_cent")
    used(call, "gpt_4_1", "retell", None, 6.8, leg="retell", unit="usd_cent")
    c = cost(call)
    assert c["cost_microusd"] == 108000 + 6600 + 3000 and c["parts"]["llm"] == 68000
    work(db)
    assert report(db)["total"]["cost_microusd"] == c["cost_microusd"]


def test_the_other_stack_is_reckoned_from_what_was_measured_and_says_what_was_not(db):
    call = Call(db, stack="livekit")
    livekit_minute(call)
    ended(call)
    c = cost(call)
    assert c["cost_microusd"] == 10000 + 4000 + 4800 + 600 + 300 + 90 + 22500 + 6600 + 3000
    other = c["other"]
    assert (other["stack"], other["cost_microusd"], other["estimate"]) == ("retell", 55000 + 40000 + 12800 + 9600, True)
    assert other["measured"] == ["seconds"] and other["missing"] == []
    assert c["saving_share"] == round(1 - c["cost_microusd"] / 117400, 4) == 0.558
    assert {"name", "value", "unit", "words"} == set(c["assumptions"][0]) and any("LiveKit's plan" in a["words"] for a in c["assumptions"])

    back = Call(db).routed("retell")
    back.retell("call_started")
    back.retell("call_analyzed", transcript_object=[{"role": "agent", "content": "x" * 900}, {"role": "user", "content": "y" * 5000}],
                llm_token_usage={"average": 1000, "num_requests": 4, "values": []})
    ended(back)
    other = cost(back)["other"]
    assert other["measured"] == ["seconds", "characters", "tokens_in"]
    assert other["assumed"] == ["tokens_cached_share", "tokens_out_per_minute"]
    assert other["cost_microusd"] == 10000 + 4000 + 4800 + 300 + 150 + 90 + 45000 + 9600
    db.owner.execute("update patchbay.estimate_parts set model = 'unheard-of' where component = 'stt'")
    other = cost(back)["other"]
    assert other["cost_microusd"] is None and [m["component"] for m in other["missing"]] == ["stt"]
    db.owner.execute("update patchbay.estimate_parts set model = 'nova-3' where component = 'stt'")

    work(db)
    s = summary(db)
    k = s["comparison"]
    assert (k["calls"], k["measured_on_livekit"], k["measured_on_retell"]) == (2, 1, 1)
    assert k["all_on_livekit_microusd"] == 51890 + 73940 and k["all_on_retell_microusd"] == 117400 + 117600
    assert k["saving_share"] == round(1 - (51890 + 73940) / 235000, 4)
    assert k["saving_share_with_plan"] < 0, "two minutes a day do not pay a plan"
    assert k["break_even_minutes_per_month"] == round(50_000_000 / ((235000 - 125830) / 2))
    assert s["stacks"]["livekit"]["cost_per_minute_microusd"] == 51890
    assert summary(db, str(ADA))["comparison"]["plan_microusd"] is None


def test_a_dearer_livekit_is_said_to_be_dearer(db):
    call = Call(db, stack="livekit")
    livekit_minute(call)
    used(call, "tts_chars", "elevenlabs", "eleven_multilingual_v2", 1500)
    ended(call)
    assert cost(call)["saving_share"] < 0


def test_the_retail_price_is_one_for_both_stacks_and_by_tier(db):
    db.owner.execute("insert into patchbay.retail_prices (tier, valid_from, microusd_per_minute) values "
                     "('standard', '2026-01-01', 120000), ('premium', '2026-01-01', 200000), ('standard', '2026-03-02', 130000)")
    db.owner.execute("insert into patchbay.user_tiers (user_id, tier) values (%s, 'premium')", [BOB])
    for user, stack in [(ADA, "livekit"), (ADA, "retell"), (BOB, "livekit")]:
        ended(Call(db, user=user, stack=stack), 90)
    work(db)
    assert summary(db, str(ADA))["retail"] == {"tier": "standard", "microusd": 2 * 180000, "unpriced_calls": 0}
    assert summary(db, str(BOB))["retail"] == {"tier": "premium", "microusd": 300000, "unpriced_calls": 0}
    db.owner.execute("delete from patchbay.user_tiers")
    db.daemon.execute("select patchbay.usage_touch_between(%s, %s)", [at(-60), at(60)])
    work(db)
    assert summary(db, str(BOB))["retail"]["microusd"] == 300000, "the tier at the time of the call counts"
    sound(db)


# ---------------------------------------------------------------------- leaving


def test_an_erased_user_is_gone_and_the_whole_still_adds_up(db):
    for user in (ADA, BOB):
        call = Call(db, user=user, stack="livekit")
        livekit_minute(call)
        ended(call)
    work(db)
    before = {by: report(db, by)["rows"] for by in ["", "component", "stack"]}
    usage(Call(db, user=BOB, stack="livekit"), "stt", "deepgram", "nova-3", 60000)  # noted, not counted yet
    db.daemon.execute("select patchbay.erase_user(%s)", [BOB])
    db.owner.execute("update patchbay.calls set state = 'ended' where user_id = %s", [BOB])
    db.daemon.execute("select patchbay.erase_user(%s)", [BOB])
    db.daemon.execute("select patchbay.erase_rows(%s)", [BOB])
    db.owner.execute("update patchbay.erasures set state = 'done', user_id = null where user_id = %s", [BOB])
    for t, in db.owner.execute("select relname from pg_class where relnamespace = 'patchbay'::regnamespace and relkind = 'r' "
                               "and relname <> 'erasures'").fetchall():
        assert db.one(f"select count(*) from patchbay.{t} x where position(%s in x::text) > 0", str(BOB)) == 0, t
    work(db)
    assert {by: report(db, by)["rows"] for by in before} == before, "what was spent has been spent"
    people = report(db, "user")["rows"]
    assert sorted(str(r["user_id"]) for r in people) == sorted([str(ADA), "None"])
    sound(db)


def test_what_was_metered_may_go_and_the_cost_stays(db):
    call = Call(db, stack="livekit")
    livekit_minute(call)
    ended(call)
    call.project()
    work(db)
    db.owner.execute("update patchbay.call_costs set counted_at = now() - interval '2 days'")
    before = report(db, "component"), cost(call), call.record()
    assert db.daemon.execute("select patchbay.prune('usage', 100, 500)").fetchone()[0] == 1
    assert db.one("select count(*) from patchbay.usage") == 0
    usage(call, "stt", "deepgram", "nova-3", 60000)  # told again, long after
    db.daemon.execute("select patchbay.usage_touch(%s)", [[call.id]])
    call.project()
    assert (report(db, "component"), cost(call), call.record()) == before
    sound(db)
    assert db.daemon.execute("select patchbay.prune('usage', 100, 500)").fetchone()[0] == 0


# ---------------------------------------------------------------------- how fast


def answered(db, stack, ms, user=ADA, n=8):
    call = Call(db, user=user, stack=stack)
    if stack == "livekit":
        for i in range(n):
            event(call, "turn.v1.agent", i, timings={"response_ms": ms * (2 if i == n - 1 else 1)})
        used(call, "stt", "deepgram", "nova-3", 60)
    else:
        db.daemon.execute("select patchbay.put_result(%s, 'retell', 'call_analyzed', %s)", [call.id, json.dumps({
            "latency": {"e2e": {"p50": ms, "p90": ms, "p95": ms * 2, "p99": ms * 2, "num": n, "values": [ms] * (n - 1) + [ms * 2]}}})])
    ended(call)
    return call


def test_response_times_stand_beside_each_other(db):
    for _ in range(4):
        answered(db, "livekit", 800)
        answered(db, "retell", 1200)
    work(db)
    s = summary(db, str(ADA))["stacks"]
    for stack, ms in [("livekit", 800), ("retell", 1200)]:
        assert s[stack]["latency"]["answers"] == 32 and s[stack]["latency"]["calls"] == 4
        assert abs(s[stack]["latency"]["p50_ms"] - ms) <= ms * 0.03 and abs(s[stack]["latency"]["p95_ms"] - 2 * ms) <= 2 * ms * 0.03
    assert summary(db, str(BOB))["stacks"]["livekit"]["latency"] is None
    sound(db)


def test_percentiles_alone_keep_what_they_were_told_to_be(db):
    call = Call(db, stack="retell")
    db.daemon.execute("select patchbay.put_result(%s, 'retell', 'call_analyzed', %s)", [call.id, json.dumps({
        "latency": {"e2e": {"p50": 900, "p90": 1500, "p95": 2000, "p99": 3000, "num": 40}}})])
    ended(call)
    work(db)
    told = summary(db)["stacks"]["retell"]["latency"]
    assert told["answers"] == 40 and abs(told["p50_ms"] - 900) < 27 and abs(told["p95_ms"] - 2000) < 60


def look(db, days=36500, percent=20, calls=3):
    return db.daemon.execute("select patchbay.latency_look(%s, %s, %s)", [days, percent, calls]).fetchone()[0]


def told_latency(db):
    return [p for p, in db.owner.execute("select payload from patchbay.outbox where subject like 'pat.health.v1.latency.%' order by id")]


def test_it_is_told_once_when_livekit_becomes_slower_and_once_when_it_is_not(db):
    for _ in range(3):
        answered(db, "retell", 800)
        answered(db, "livekit", 900)
    answered(db, "livekit", 900, user=BOB)
    work(db)
    assert look(db)["told"] == 0, "12 % is within the margin, and one call of Bob's says nothing"
    for _ in range(5):
        answered(db, "livekit", 2000)
    work(db)
    found = look(db)
    assert found["told"] == 2 and found["everybody"] and found["slower"] == 1
    assert look(db)["told"] == 0
    told = told_latency(db)
    assert sorted(str(e["data"]["user_id"]) for e in told) == sorted([str(ADA), "None"]) and all(e["data"]["slower"] for e in told)
    for e in told:
        events.validate(e, f"pat.health.v1.latency.livekit.{e['data']['user_id'] or '-'}")
    assert summary(db, str(ADA))["slower"]["margin_percent"] == 20
    for _ in range(6):
        answered(db, "livekit", 700, n=200)
    work(db)
    assert look(db)["told"] == 2 and not told_latency(db)[-1]["data"]["slower"]
    assert summary(db, str(ADA))["slower"] is None


def test_too_few_calls_say_nothing_any_more(db):
    for _ in range(3):
        answered(db, "retell", 800)
        answered(db, "livekit", 2000)
    work(db)
    assert look(db)["slower"] == 1
    assert {k: v for k, v in look(db, calls=4).items() if k != "answers"} == {"told": 2, "slower": 0, "everybody": False}


# ---------------------------------------------------------------------- as a file


def test_a_call_belongs_to_the_day_of_the_zone_when_it_was_offered(db):
    """On the night the clocks of Berlin go back, and around it: a day of 25 hours, of which UTC knows nothing."""
    utc = datetime.timezone.utc
    days = {}
    for when, day in [((2025, 10, 25, 21, 59), 25), ((2025, 10, 25, 22, 1), 26), ((2025, 10, 26, 0, 30), 26), ((2025, 10, 26, 1, 30), 26),
                      ((2025, 10, 26, 22, 59), 26), ((2025, 10, 26, 23, 1), 27)]:
        call = Call(db, stack="livekit")
        used(call, "agent", "livekit", "", 60, unit="second")
        ended(call)
        db.owner.execute("update patchbay.calls set offered_at = %s where id = %s", [datetime.datetime(*when, tzinfo=utc), call.id])
        days[day] = days.get(day, 0) + 1
    work(db)
    rows = db.one("select patchbay.usage_report(%s, '2025-10-20', '2025-10-31', array['day'], 100, 'Europe/Berlin')", ALL)["rows"]
    assert {int(r["day"][-2:]): r["calls"] for r in rows} == days == {25: 1, 26: 4, 27: 1}
    assert db.one("select patchbay.usage_report(%s, '2025-10-26', '2025-10-26', array['component'], 100, 'Europe/Berlin')", ALL)["total"]["calls"] == 4
    assert db.one("select patchbay.usage_report(%s, '2025-10-26', '2025-10-26', array['day'], 100, 'Mars')", ALL) == {"error": "tz"}


def test_a_spreadsheet_takes_no_cell_for_a_formula(db):
    db.owner.execute("update public.users set name = '=HYPERLINK(\"http://evil.example\",\"a, b\")' where id = %s", [ADA])
    db.owner.execute("update public.users set name = E'two\\r\\nlines and \"quotes\"' where id = %s", [BOB])
    for user, model in [(ADA, "+1+1"), (BOB, "@sum"), (BOB, "\t-2")]:
        call = Call(db, user=user, stack="livekit")
        used(call, "llm_in", "v", model, 5)
        ended(call)
    work(db)
    text = db.one("select patchbay.usage_csv(patchbay.usage_report(%s, %s, %s, array['user', 'component', 'model'], 100))", ALL, DAY, DAY)
    assert text.endswith("\r\n")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(rows[0]) == ["user_id", "user_name", "user_email", "component", "provider", "model", "unit", "quantity", "cost_usd", "complete"]
    assert {r["user_name"] for r in rows} == {"'=HYPERLINK(\"http://evil.example\",\"a, b\")", "two\r\nlines and \"quotes\""}
    assert {r["model"] for r in rows if r["component"] == "llm_in"} == {"'+1+1", "'@sum", "'\t-2"}
    assert {r["complete"] for r in rows if r["component"] == "llm_in"} == {"no"}
    assert sum(float(r["cost_usd"]) for r in rows) == pytest.approx(report(db)["total"]["cost_microusd"] / 1e6)
    days = db.one("select patchbay.usage_csv(patchbay.usage_report(%s, %s, %s, array['day', 'stack'], 100))", ALL, DAY, DAY)
    assert days.splitlines()[0] == "day,stack,calls,answered,minutes,cost_usd,complete" and days.splitlines()[1].startswith(f"{DAY},livekit,3,3,3.00,")
