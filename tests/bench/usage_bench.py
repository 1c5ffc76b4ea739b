#!/usr/bin/env python3
"""Pages over ten million metered quantities, and what counting costs whoever writes them.

    tests/bench/usage_bench.py [--rows 10000000]

A PostgreSQL of its own; everything is made by the server (generate_series). Users have calls on both stacks through a year. A
part of the calls is counted by usage_rebuild, as ever, which is what "counting" says; the others' rows of call_costs are like
those, and the sums of all days are made by usage_add, which counts them. Then each question of a page is asked, five times, cold one first, and
the plans it ran are looked at: none may read the metered rows, nor a whole table of sums of days.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests")]

from harness.patdb import States  # noqa: E402
from harness.postgres import DAEMON, Postgres  # noqa: E402

GOAL_MS = 200
USERS, DAYS, LINES, SAMPLE = 1000, 365, 8, 20_000
ALL = "00000000-0000-0000-0000-000000000000"
USER = "(lpad(to_hex(1 + n % 1000), 8, '0') || '-0000-4000-8000-000000000000')::uuid"
CALL = "(lpad(to_hex(n / 65536), 8, '0') || '-' || lpad(to_hex(n % 65536), 4, '0') || '-7000-8000-000000000001')::uuid"
AT = "(date_trunc('day', now()) - ((n / 1000) % 365) * interval '1 day' + (n % 86000) * interval '1 second' - interval '1 day')"
STACK = "case when (n + ((n / 1000) % 365) / 90) % 2 = 0 then 'livekit' else 'retell' end"
QUANTITIES = """(values (0, 'agent', 'livekit', null, 'second', 90000), (1, 'sip', 'livekit', null, 'second', 90000),
    (2, 'stt', 'deepgram', 'nova-3', 'second', 90000), (3, 'llm_in', 'openai', 'gpt-4o-mini', 'token', 6000000),
    (4, 'llm_cached', 'openai', 'gpt-4o-mini', 'token', 6000000), (5, 'llm_out', 'openai', 'gpt-4o-mini', 'token', 225000),
    (6, 'tts_chars', 'elevenlabs', 'eleven_flash_v2_5', 'character', 675000), (7, 'tts_cached_chars', 'patchbay', null, 'character', 90000))
    q (i, component, provider, model, unit, milli)"""


def timed(what: str, work):
    began = time.monotonic()
    out = work()
    print(f"{what:<58} {time.monotonic() - began:9.1f} s", flush=True)
    return out


def make(su: psycopg.Connection, calls: int) -> None:
    """As a superuser, without triggers: what they cost is measured apart."""
    su.execute("set session_replication_role = replica")
    su.execute(f"insert into public.users (id, email, name) select {USER}, 'u' || n || '@example.com', 'User ' || n from generate_series(0, {USERS - 1}) n")
    timed(f"{calls:,} calls", lambda: su.execute(
        f"insert into patchbay.calls (id, user_id, stack, state, offered_at, answered_at, ended_at, duration_ms, from_number, to_number, outcome) "
        f"select {CALL}, {USER}, ({STACK})::public.voice_ai_stack, 'ended', {AT}, {AT}, {AT} + interval '90 seconds', 90000, '+1555', '+1556', 'answered' "
        f"from generate_series(0, {calls - 1}) n"))
    timed(f"{calls * LINES:,} metered quantities", lambda: su.execute(
        f"insert into patchbay.usage (id, call_id, user_id, leg, component, provider, account, model, unit, quantity_milli, used_at) "
        f"select (lpad(to_hex(n / 65536), 8, '0') || '-' || lpad(to_hex(n % 65536), 4, '0') || '-4000-8000-' || lpad(to_hex(q.i), 12, '0'))::uuid, {CALL}, {USER}, "
        f"({STACK}), case when {STACK} = 'retell' then 'product_' || q.i else q.component end, case when {STACK} = 'retell' then 'retell' else q.provider end, "
        f"case when {STACK} = 'retell' then null else q.provider end, case when {STACK} = 'retell' then null else q.model end, "
        f"case when {STACK} = 'retell' then 'usd_cent' else q.unit end, case when {STACK} = 'retell' then 2000 + n % 500 else q.milli + n % 1000 end, {AT} "
        f"from generate_series(0, {calls - 1}) n cross join {QUANTITIES}"))
    su.execute("set session_replication_role = origin")
    timed("analyze", lambda: su.execute("analyze patchbay.usage; analyze patchbay.calls"))


def count(su: psycopg.Connection, calls: int) -> None:
    sample = min(SAMPLE, calls)
    began, after, done = time.monotonic(), None, 0
    while done < sample:
        looked, _, after = su.execute("select * from patchbay.usage_rebuild(null, null, null, %s, 500, true)", [after]).fetchone()
        done += looked
        if after is None:
            break
    took = time.monotonic() - began
    print(f"{'counting, by calls':<58} {done / took:9.0f} calls/s ({done * LINES / took:,.0f} quantities/s)")
    timed("the other calls' costs, like those", lambda: su.execute(
        f"insert into patchbay.call_costs select {CALL}, {USER}, (({AT}) at time zone 'UTC')::date, {STACK}, true, 90000, k.microusd, k.known_microusd, "
        f"k.unpriced, k.other_microusd, 'standard', k.retail_microusd, k.lines, "
        f"jsonb_build_object((140 + n % 17)::text, 5, (146 + n % 13)::text, 2), false, now() "
        f"from generate_series(0, {calls - 1}) n join (select distinct on (stack) * from patchbay.call_costs) k on k.stack = {STACK} on conflict do nothing"))
    su.execute("analyze patchbay.call_costs")
    days = [d for d, in su.execute("select distinct day from patchbay.call_costs order by 1")]
    su.execute("truncate patchbay.usage_days, patchbay.usage_stack_days, patchbay.answer_days")
    timed(f"the sums of {len(days)} days (usage_add)", lambda: [su.execute(
        "select patchbay.usage_add(array_agg(call_id), 1) from patchbay.call_costs where day = %s", [d]) for d in days])
    day = days[len(days) // 2]
    n = su.execute("select count(*) from patchbay.call_costs where day = %s", [day]).fetchone()[0]
    su.execute("analyze patchbay.usage_days; analyze patchbay.usage_stack_days; analyze patchbay.answer_days")
    timed(f"a day of {n:,} calls counted again", lambda: su.execute("select patchbay.usage_recount(%s, true)", [day]))
    su.execute("vacuum analyze patchbay.usage_days")
    su.execute("vacuum analyze patchbay.usage_stack_days")
    su.execute("vacuum analyze patchbay.answer_days")


def plans(c: psycopg.Connection, sql: str, params: list) -> list[dict]:
    """Every plan that ran inside, functions' too."""
    seen: list[str] = []
    c.add_notice_handler(h := lambda d: seen.append(d.message_primary))
    for setting in ["log_min_duration = 0", "log_nested_statements = on", "log_analyze = on", "log_timing = off", "log_format = json", "log_level = notice"]:
        c.execute(f"set auto_explain.{setting}")
    c.execute(sql, params)
    c.execute("set auto_explain.log_min_duration = -1")
    c.remove_notice_handler(h)
    return [json.loads(s[s.index("{"):]) for s in seen if "plan:" in s and "{" in s]


def nodes(plan):
    yield plan
    for p in plan.get("Plans", []):
        yield from nodes(p)


def ask(c: psycopg.Connection) -> bool:
    one = c.execute(f"select {USER} from generate_series(41, 41) n").fetchone()[0]
    call = c.execute(f"select {CALL} from generate_series(777, 777) n").fetchone()[0]
    spans = {"30 days": 30, "a year": 365}
    report = "select patchbay.usage_report(%s, current_date - {0} + 1, current_date, string_to_array(%s, ','), 20000)"
    questions = [("one call", "select patchbay.call_costs_json(%s)", [call], 0)]
    for span, days in spans.items():
        for who, name in [(ALL, "everybody"), (one, "a user")]:
            questions.append((f"summary, {name}, {span}", f"select patchbay.usage_summary(%s, current_date - {days} + 1, current_date)", [who], days))
            for by in ["day,stack", "stack,component", "component,account,model", "day,component"]:
                questions.append((f"by {by}, {name}, {span}", report.format(days), [who, by], days))
        questions.append((f"by user, everybody, {span}", report.format(days), [ALL, "user"], days))
        if days == 30:  # for days of another zone the calls of some hours are looked at
            at = "select patchbay.usage_report(%s, current_date - 29, current_date, array['day', 'stack'], 20000, 'Europe/Berlin')"
            questions += [(f"by day,stack of a zone, {name}, {span}", at, [who], 0) for who, name in [(one, "a user"), (ALL, "everybody")]]
        if days == 30:  # of a year it is what a file is made of: no page asks for it
            questions.append((f"by stack,user, everybody, {span}", report.format(days), [ALL, "stack,user"], days))
    questions.append(("latency_look, 30 days", "select patchbay.latency_look(30, 20, 20)", [], 30))
    good = True
    print(f"\n{'question':<58} {'first':>8} {'median':>8} ms")
    for what, sql, params, _ in questions:
        ms = []
        for _ in range(5):
            began = time.perf_counter()
            c.execute(sql, params)
            ms.append(1000 * (time.perf_counter() - began))
        read = [n for p in plans(c, sql, params) for n in nodes(p["Plan"]) if n["Node Type"] in ("Seq Scan", "Parallel Seq Scan")
                and n.get("Relation Name") in ("usage", "usage_days", "call_costs", "calls", "answer_days")]
        background = what.startswith("latency")
        fine = not read and (background or statistics.median(ms) < GOAL_MS)
        good = good and fine
        print(f"{what:<58} {ms[0]:8.1f} {statistics.median(ms):8.1f}{'' if fine else '   <- ' + ', '.join(n['Relation Name'] for n in read)}", flush=True)
    return good


def writing(pg: Postgres, name: str) -> None:
    """What a row costs who writes it: with the note and without. As an agent's journal does it, 500 in a transaction."""
    def run(c, n, offset):
        began = time.perf_counter()
        with c.transaction():
            for i in range(n):
                c.execute(f"insert into patchbay.usage (id, call_id, user_id, leg, component, provider, unit, quantity_milli, used_at) "
                          f"values (gen_random_uuid(), '{offset:08x}-0000-7000-8000-000000000001', '{ALL}', 'livekit', 'agent', 'livekit', 'second', 1, now())", prepare=True)
        return 1e6 * (time.perf_counter() - began) / n

    with psycopg.connect(pg.url(DAEMON, name), autocommit=True) as c, pg.admin(name) as su:
        with_note, without = [], []
        for i in range(6):
            su.execute(f"alter table patchbay.usage {'disable' if i % 2 else 'enable'} trigger patchbay_usage_new")
            (without if i % 2 else with_note).append(run(c, 500, 1 << 30 | i))
        su.execute("alter table patchbay.usage enable trigger patchbay_usage_new")
        a, b = statistics.median(with_note), statistics.median(without)
        print(f"\na metered row written: {b:.0f} us, with the note {a:.0f} us (round trip included): {a - b:+.0f} us")


def main() -> int:
    args = argparse.ArgumentParser()
    args.add_argument("--rows", type=int, default=10_000_000)
    calls = args.parse_args().rows // LINES
    with Postgres() as pg:
        states = States(pg)
        with states.copy("fresh") as db, pg.admin(db.name) as su:
            su.execute("load 'auto_explain'")
            su.execute("set synchronous_commit = off")
            make(su, calls)
            count(su, calls)
            for t in ["usage", "call_costs", "usage_days", "usage_stack_days", "answer_days"]:
                n, size = su.execute(f"select count(*), pg_size_pretty(pg_total_relation_size('patchbay.{t}')) from patchbay.{t}").fetchone()
                print(f"{t:<58} {n:>12,} rows {size:>10}")
            good = ask(su)
            writing(pg, db.name)
    print("\nevery question of a page within" if good else "\nNOT every question within", GOAL_MS, "ms")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
