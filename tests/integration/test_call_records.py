"""One row per call in the product's own call_records, whatever arrives, however often, in whatever order."""

import copy
import datetime
import itertools
import json
import random
import threading
import uuid

import psycopg
import pytest

from harness import patdb
from harness.patdb import ADA, BOB, NAMES
from harness.postgres import DAEMON, Postgres

T0 = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=datetime.timezone.utc)
WITHHELD = "+10000000000"


@pytest.fixture(scope="module")
def states():
    with Postgres() as pg:
        yield patdb.States(pg)


@pytest.fixture(params=NAMES)
def db(request, states):
    with states.copy(request.param) as db:
        db.state = request.param
        yield db


@pytest.fixture
def fresh(states):
    with states.copy("fresh") as db:
        db.state = "fresh"
        yield db


def at(seconds):
    return (T0 + datetime.timedelta(seconds=seconds)).isoformat()


def ms(seconds):
    return int((T0.timestamp() + seconds) * 1000)


class Call:
    """A call as the router knows it, and the shortest way to say more about it."""

    def __init__(self, db, user=ADA, **facts):
        self.db = db
        self.id = db.daemon.execute("select patchbay.uuidv7()").fetchone()[0]
        self.user = user
        self.retell_id = f"call_{self.id.hex}"
        self.put(user_id=str(user), agent_config_id=str(db.config(user)), from_number="+15550199999",
                 to_number="+15550100001", carrier_call_id=f"CA{self.id.hex}", offered_at=at(0), **facts)

    def put(self, **facts):
        return self.db.daemon.execute("select patchbay.put_call(%s)", (json.dumps({"id": str(self.id)} | facts),)).fetchone()[0]

    def routed(self, stack="retell", **facts):
        where = {"retell_call_id": self.retell_id} if stack == "retell" else {"livekit_room": f"call_{self.id}"}
        self.put(stack=stack, routed_at=at(0.1), sip_target=f"sip:{self.retell_id}@sip.example", **where, **facts)
        return self

    def project(self):
        assert self.db.daemon.execute("select patchbay.project_call(%s)", (self.id,)).fetchone()[0] is True
        return self.record()

    def webhook(self, event, **extra):
        """As Retell sends them; the analysis comes with the last one only."""
        call = {"call_type": "phone_call", "call_id": self.retell_id, "agent_id": "agent_ada",
                "call_status": "ongoing", "direction": "inbound", "from_number": "+15550199999",
                "to_number": "+15550100001", "start_timestamp": ms(2),
                "metadata": {"call_id": str(self.id), "user_id": str(self.user)}}
        if event != "call_started":
            call |= {
                "call_status": "ended", "end_timestamp": ms(62), "duration_ms": 60000,
                "disconnection_reason": "user_hangup", "transcript": "Agent: Hello\nUser: Hi",
                "transcript_object": [{"role": "agent", "content": "Hello", "words": []},
                                      {"role": "user", "content": "Hi", "words": []}],
                "transcript_with_tool_calls": [{"role": "tool_call_invocation", "name": "x", "arguments": "{}"}],
                "recording_url": "https://rec.example/a.wav", "recording_multi_channel_url": "https://rec.example/b.wav",
                "latency": {"e2e": {"p50": 820, "p90": 1300, "p95": 1500, "p99": 1900},
                            "llm": {"p50": 410.5, "p90": 600, "p99": 777}},
                "call_cost": {"combined_cost": 10.8, "total_duration_seconds": 60, "product_costs": [
                    {"product": "elevenlabs_tts", "cost": 4.0, "unit_price": 0.0667},
                    {"product": "gpt_4_1", "cost": 5.5}, {"product": "us_telephony", "cost": 1.3}]}}
        if event == "call_analyzed":
            call["call_analysis"] = {"call_summary": "They said hello.", "in_voicemail": False,
                                     "user_sentiment": "Positive", "call_successful": True,
                                     "custom_analysis_data": {"topic": None}}
        return {"event": event, "call": call | extra}

    def retell(self, event, **extra):
        return self.db.daemon.execute("select patchbay.put_retell(%s)",
                                      (json.dumps(self.webhook(event, **extra)),)).fetchone()[0]

    def record(self):
        rows = self.db.owner.execute("select to_jsonb(r) from call_records r where id = %s", (self.id,)).fetchall()
        assert len(rows) <= 1
        return rows[0][0] if rows else None

    def row(self):
        return self.db.one("select to_jsonb(c) from patchbay.calls c where id = %s", self.id)


def instant(text):
    return datetime.datetime.fromisoformat(text) if text else None


# ---------------------------------------------------------------- patchbay.calls

def test_state_only_goes_forward(fresh):
    call = Call(fresh)
    call.put(state="ended", ended_at=at(30), ended_reason="caller hung up", ended_owner="caller")
    call.put(state="routed", routed_at=at(1), stack="livekit")
    call.put(state="answered", answered_at=at(3))
    row = call.row()
    assert row["state"] == "ended" and row["stack"] == "livekit"
    assert [instant(row[k]) for k in ("offered_at", "routed_at", "answered_at", "ended_at")] == [
        instant(at(s)) for s in (0, 1, 3, 30)]
    assert row["duration_ms"] == 27000


def test_any_order_and_repetition_ends_in_the_same_row(fresh):
    facts = [{"stack": "livekit", "routed_at": at(1), "sip_target": "sip:x", "livekit_room": "room"},
             {"answered_at": at(3), "greeting_ms": 180}, {"metadata": {"a": 1}}, {"metadata": {"b": 2}},
             {"ended_at": at(30), "ended_reason": "hangup", "ended_owner": "caller", "state": "ended"}]
    rows = []
    for order in itertools.islice(itertools.permutations(facts), 0, 120, 7):
        call = Call(fresh)
        for f in (*order, *random.sample(facts, 3)):
            call.put(**f)
        rows.append({k: v for k, v in call.row().items()
                     if k not in ("id", "version", "carrier_call_id", "created_at", "updated_at", "look_at")})
    assert all(r == rows[0] for r in rows)


def test_version_counts_changes_only(fresh):
    call = Call(fresh)
    assert call.put(stack="retell") == 2
    assert call.put(stack="retell", state="offered") == 2
    assert call.put(greeting_ms=100) == 3


def test_first_end_stays(fresh):
    call = Call(fresh)
    call.put(ended_at=at(10), ended_reason="caller", ended_owner="caller")
    call.put(ended_at=at(12), ended_reason="idle", ended_owner="us", state="ended")
    row = call.row()
    assert (row["ended_reason"], row["ended_owner"], instant(row["ended_at"])) == ("caller", "caller", instant(at(10)))


def test_clocks_that_disagree_do_not_break_a_call(fresh):
    call = Call(fresh)
    call.put(answered_at=at(-5), ended_at=at(-3))
    row = call.row()
    assert instant(row["ended_at"]) == instant(row["answered_at"]) == instant(row["offered_at"])
    assert row["duration_ms"] == 0


@pytest.mark.parametrize("facts", [
    {"colour": "blue"}, {"state": "talking"}, {"ended_owner": "nobody"}, {"user_id": str(BOB)}, {"stack": "vapi"}])
def test_nonsense_is_refused(fresh, facts):
    call = Call(fresh)
    before = call.row()
    with pytest.raises(psycopg.DataError if "ended_owner" not in facts else psycopg.IntegrityError):
        call.put(**facts)
    assert call.row() == before


def test_unknown_call_needs_a_user(fresh):
    for facts in ({}, {"id": str(uuid.uuid4())}, {"user_id": str(ADA)}):
        with pytest.raises(psycopg.DataError):
            fresh.daemon.execute("select patchbay.put_call(%s)", (json.dumps(facts),))


def test_concurrent_writers_lose_nothing(fresh):
    call = Call(fresh)
    keys = [f"k{n}" for n in range(24)]

    def write(mine):
        with psycopg.connect(fresh.pg.url(DAEMON, fresh.name), autocommit=True) as c:
            for k in mine:
                c.execute("select patchbay.put_call(%s)", (json.dumps({"id": str(call.id), "metadata": {k: 1}}),))
                c.execute("select patchbay.project_call(%s)", (call.id,))
    writers = [threading.Thread(target=write, args=(keys[n::4],)) for n in range(4)]
    for w in writers:
        w.start()
    for w in writers:
        w.join(60)
    assert call.row()["metadata"] == dict.fromkeys(keys, 1)
    assert call.row()["version"] == 25
    assert call.record() is not None


def test_projection_holds_the_call_until_it_is_written(fresh):
    """Else a slow projection could overwrite the record of what came meanwhile."""
    call = Call(fresh)
    slow = psycopg.connect(fresh.pg.url(DAEMON, fresh.name))
    slow.execute("select patchbay.project_call(%s)", (call.id,))
    put = threading.Thread(target=call.put, kwargs={"state": "ended", "ended_at": at(9)})
    put.start()
    fresh.wait_for_lock()
    slow.commit()
    slow.close()
    put.join(20)
    assert call.project()["ended_at"]


# ---------------------------------------------------------------- from the start to the end

def test_call_in_progress_looks_as_the_inbox_expects(db):
    call = Call(db).routed()
    r = call.project()
    assert r["user_id"] == str(ADA)
    assert (r["caller_number"], r["contact_phone"], r["service_number"]) == ("+15550199999",) * 2 + ("+15550100001",)
    assert (r["direction"], r["status"], r["disposition"]) == ("inbound", "in-progress", "answered_by_pat")
    assert (r["call_sid"], r["retell_call_id"]) == (call.row()["carrier_call_id"], call.retell_id)
    assert instant(r["started_at"]) == instant(at(0)) and r["ended_at"] is None and r["duration_seconds"] is None
    assert r["metadata"]["patchbay"]["call_id"] == str(call.id)


@pytest.mark.parametrize("facts, status, disposition, seconds", [
    ({"answered_at": at(2), "ended_at": at(32)}, "completed", "answered_by_pat", 30),
    ({"ended_at": at(9), "ended_reason": "caller hung up"}, "failed", "failed", 0),
    ({"ended_at": at(9), "ended_reason": "busy"}, "busy", "failed", 0),
    ({"ended_at": at(9), "ended_reason": "no-answer"}, "no-answer", "failed", 0),
    ({"ended_at": at(40), "outcome": "voicemail"}, "completed", "voicemail", 0),
    ({"answered_at": at(2), "ended_at": at(40), "outcome": "transferred"}, "completed", "transferred_to_user", 38),
    ({"answered_at": at(2), "ended_at": at(5), "outcome": "screened"}, "completed", "screened_out", 3),
    ({"answered_at": at(2), "ended_at": at(5), "outcome": "failed"}, "completed", "failed", 3),
])
def test_ended_calls(db, facts, status, disposition, seconds):
    call = Call(db).routed("livekit")
    call.put(**facts)
    r = call.project()
    assert (r["status"], r["disposition"], r["duration_seconds"]) == (status, disposition, seconds)
    assert instant(r["ended_at"]) == instant(facts["ended_at"])
    assert r["agent_id"] == str(db.config())


@pytest.mark.parametrize("stack", ["retell", "livekit"])
def test_vendor_columns_are_filled_where_they_exist(db, stack):
    call = Call(db).routed(stack)
    r = call.project()
    there = set(r)
    assert ("voice_platform" in there) == (db.state in ("at_062", "later"))
    assert ("livekit_room_id" in there) == (db.state == "later")
    want = {"voice_platform": stack, "telephony_vendor": "signalwire", "vendor_call_id": call.row()["carrier_call_id"],
            "voice_platform_call_id": call.retell_id if stack == "retell" else f"call_{call.id}",
            "livekit_call_id": None if stack == "retell" else f"call_{call.id}",
            "livekit_room_id": None if stack == "retell" else f"call_{call.id}"}
    assert {k: r[k] for k in want if k in there} == {k: v for k, v in want.items() if k in there}


@pytest.mark.parametrize("caller, withheld", [(None, True), ("+15550199999", True), (None, False), ("anonymous", False),
                                              ("2424", False), ("sip:ada@example.com", False)])
def test_withheld_and_odd_callers_have_a_record(db, caller, withheld):
    call = Call(db)
    db.owner.execute("update patchbay.calls set from_number = %s, caller_withheld = %s where id = %s",
                     (caller, withheld, call.id))
    r = call.project()
    assert (r["caller_number"], r["contact_phone"]) == (WITHHELD, WITHHELD)
    assert r["metadata"]["patchbay"]["caller_withheld"] is (withheld or caller is None)
    assert r["metadata"]["patchbay"].get("caller") == (caller if not withheld else None)


def test_outbound_call_shows_the_other_party(fresh):
    call = Call(fresh, direction="outbound")
    r = call.project()
    assert (r["direction"], r["caller_number"], r["service_number"]) == ("outbound", "+15550100001", "+15550199999")


def test_call_of_a_deleted_user_is_left_alone(fresh):
    call = Call(fresh).routed()
    fresh.owner.execute("delete from auth.users where id = %s", (ADA,))
    assert fresh.daemon.execute("select patchbay.project_call(%s)", (call.id,)).fetchone()[0] is False
    assert fresh.daemon.execute("select patchbay.project_call(%s)", (uuid.uuid4(),)).fetchone()[0] is False


def test_projecting_again_writes_nothing(db):
    call = Call(db).routed()
    call.retell("call_analyzed")
    call.project()
    where = "select xmin::text, ctid::text from call_records where id = %s"
    before = db.owner.execute(where, (call.id,)).fetchone()
    call.project()
    assert db.owner.execute(where, (call.id,)).fetchone() == before


def test_columns_that_others_fill_are_kept(fresh):
    call = Call(fresh).routed()
    call.project()
    fresh.owner.execute("update call_records set screening_notes = 'theirs', recording_url = 'https://x' where id = %s",
                        (call.id,))
    call.put(ended_at=at(9))
    r = call.project()
    assert (r["screening_notes"], r["recording_url"], r["status"]) == ("theirs", "https://x", "failed")


# ---------------------------------------------------------------- LiveKit

def test_transcript_of_our_own_agent_comes_from_its_turns(db):
    call = Call(db).routed("livekit")
    for n, (kind, data) in enumerate([
            ("agent", {"text": "Hello, how can I help?", "heard": "Hello, how can"}), ("user", {"text": "What is new?"}),
            ("tool", {"name": "x"}), ("user", {"text": ""}), ("agent", {"text": "Nothing."})]):
        db.daemon.execute("""insert into patchbay.call_events (id, call_id, user_id, type, subject, occurred_at, data)
                             values (patchbay.uuidv7(), %s, %s, %s, 's', %s, %s)""",
                          (call.id, ADA, f"pat.turn.v1.{kind}", at(n), json.dumps(data)))
    r = call.project()
    assert r["transcript"] == "Agent: Hello, how can\nUser: What is new?\nAgent: Nothing."
    assert [t["role"] for t in r["transcript_object"]] == ["agent", "user", "agent"]
    db.daemon.execute("select patchbay.put_result(%s, 'livekit', 'call_analyzed', %s)", (call.id, json.dumps(
        {"transcript": "Agent: final", "recording_url": "https://rec.example/o.ogg", "call_analysis": {"call_summary": "s"}})))
    r = call.project()
    assert (r["transcript"], r["recording_url"], r["call_summary"]) == ("Agent: final", "https://rec.example/o.ogg", "s")
    assert "call" not in r["metadata"]


# ---------------------------------------------------------------- Retell

def retell_record(call, db):
    """What a whole Retell call must leave behind."""
    r = call.project()
    assert r["retell_call_id"] == call.retell_id
    assert (r["status"], r["disposition"], r["event_type"]) == ("completed", "answered_by_pat", "call_analyzed")
    assert (r["call_type"], r["disconnection_reason"], r["agent_id"]) == ("phone_call", "user_hangup", "agent_ada")
    assert (instant(r["ended_at"]), r["duration_seconds"]) == (instant(at(62)), 60)
    assert r["transcript"] == "Agent: Hello\nUser: Hi" and len(r["transcript_object"]) == 2
    assert r["transcript_with_tool_calls"][0]["role"] == "tool_call_invocation"
    assert (r["recording_url"], r["recording_url_multichannel"]) == ("https://rec.example/a.wav",
                                                                     "https://rec.example/b.wav")
    assert (r["call_successful"], r["in_voicemail"]) == (True, False)
    assert (r["user_sentiment"], r["call_summary"]) == ("Positive", "They said hello.")
    assert r["call_analysis_full"]["custom_analysis_data"] == {"topic": None}
    assert (r["e2e_latency_p50"], r["e2e_latency_p90"], r["e2e_latency_p99"]) == (820, 1300, 1900)
    assert (r["llm_latency_p50"], r["llm_latency_p90"], r["llm_latency_p99"]) == (410.5, 600, 777)
    assert (r["call_cost_total"], r["call_cost_tts"], r["call_cost_llm"], r["call_cost_telephony"]) == (
        0.108, 0.04, 0.055, 0.013)
    assert r["call_cost_stt"] is None
    assert r["metadata"]["event"] == "call_analyzed"
    assert (r["metadata"]["call"]["call_id"], r["metadata"]["call"]["call_status"]) == (call.retell_id, "ended")
    assert db.one("select count(*) from call_records") == 1
    return r


EVENTS = ("call_started", "call_ended", "call_analyzed")


@pytest.mark.parametrize("order", list(itertools.permutations(EVENTS)) + [EVENTS * 2, EVENTS[::-1] * 2])
def test_retell_webhooks_in_any_order(fresh, order):
    call = Call(fresh).routed()
    for event in order:
        assert call.retell(event) == call.id
        call.project()
    retell_record(call, fresh)
    row = call.row()
    assert (row["state"], row["ended_owner"], row["ended_reason"]) == ("ended", "caller", "caller_hangup")
    assert (instant(row["answered_at"]), row["duration_ms"]) == (instant(at(2)), 60000)


def test_retell_call_on_every_schema(db):
    call = Call(db).routed()
    call.project()
    for event in EVENTS:
        call.retell(event)
        call.project()
    retell_record(call, db)


def test_call_ended_alone_has_no_analysis(fresh):
    call = Call(fresh).routed()
    call.retell("call_ended")
    r = call.project()
    assert r["status"] == "completed" and r["event_type"] == "call_ended"
    assert all(r[k] is None for k in ("call_successful", "in_voicemail", "user_sentiment", "call_analysis_full"))


def test_transcript_is_built_when_retell_sends_only_the_turns(fresh):
    call = Call(fresh).routed()
    call.retell("call_ended", transcript="")
    assert call.project()["transcript"] == "Agent: Hello\nUser: Hi"


@pytest.mark.parametrize("reason, status, disposition, state", [
    ("dial_busy", "busy", "failed", "routed"),
    ("dial_no_answer", "no-answer", "failed", "routed"),
    ("error_retell", "completed", "answered_by_pat", "answered"),
    ("call_transfer", "completed", "transferred_to_user", "ended"),
    ("agent_hangup", "completed", "answered_by_pat", "ended"),
])
def test_reasons_of_retell(fresh, reason, status, disposition, state):
    call = Call(fresh).routed()
    extra = {"start_timestamp": None} if reason.startswith("dial") else {}
    call.retell("call_ended", disconnection_reason=reason, **extra)
    r = call.project()
    assert (r["status"], r["disposition"], r["disconnection_reason"]) == (status, disposition, reason)
    assert call.row()["state"] == state


@pytest.mark.parametrize("reason, owner", [
    ("user_hangup", "caller"), ("agent_hangup", "us"), ("inactivity", "us"), ("dial_failed", "carrier"),
    ("telephony_provider_unavailable", "carrier"), ("sip_routing_error", "carrier"), ("error_asr", "provider"),
    ("concurrency_limit_reached", "provider"), ("a_reason_of_tomorrow", "provider"), (None, None)])
def test_who_ended_a_retell_call(fresh, reason, owner):
    assert fresh.daemon.execute("select patchbay.retell_owner(%s)", (reason,)).fetchone()[0] == owner


def test_fault_of_retell_leaves_the_call_to_the_router(fresh):
    """It dials the other stack into the same call: the row must show who really talked."""
    call = Call(fresh).routed()
    call.retell("call_ended", disconnection_reason="error_retell")
    assert call.row()["state"] == "answered"
    call.routed("livekit", fallback=True)
    call.put(answered_at=at(70), ended_at=at(90), ended_reason="hangup", ended_owner="caller")
    call.retell("call_analyzed", disconnection_reason="error_retell")
    r = call.project()
    assert (r["transcript"], r["disconnection_reason"], r["agent_id"]) == (None, "hangup", str(fresh.config()))
    assert r["retell_call_id"] == call.retell_id
    assert instant(r["ended_at"]) == instant(at(90))
    assert r["metadata"]["patchbay"]["fallback"] is True


def test_call_is_found_by_metadata_before_its_retell_id_is_stored(fresh):
    call = Call(fresh, stack="retell")
    assert call.retell("call_started") == call.id
    assert call.row()["retell_call_id"] == call.retell_id


def test_lost_row_is_made_again_from_the_webhook(fresh):
    call = Call(fresh).routed()
    fresh.owner.execute("delete from patchbay.calls where id = %s", (call.id,))
    for event in EVENTS:
        assert call.retell(event) == call.id
    assert call.row()["user_id"] == str(ADA)
    retell_record(call, fresh)


@pytest.mark.parametrize("metadata", [None, {}, {"call_id": "x' or 1=1"}, {"call_id": str(uuid.uuid4())},
                                      {"call_id": str(uuid.uuid4()), "user_id": str(uuid.uuid4())}])
def test_webhook_that_is_not_ours_is_parked(fresh, metadata):
    call = Call(fresh)
    assert call.retell("call_ended", metadata=metadata) is None
    assert fresh.one("select count(*) from patchbay.call_results") == 0


def test_webhook_cannot_write_into_another_tenants_call(fresh):
    call = Call(fresh).routed()
    assert call.retell("call_ended", metadata={"call_id": str(call.id), "user_id": str(BOB)}) is None
    assert call.row()["state"] == "routed"


@pytest.mark.parametrize("retell_id, reason", [("call_other", "user_hangup"), (None, "registered_call_timeout")])
def test_registration_that_was_never_dialled_changes_nothing(fresh, retell_id, reason):
    call = Call(fresh).routed()
    before = call.row()
    assert call.retell("call_ended", call_id=retell_id or call.retell_id, disconnection_reason=reason) == call.id
    assert call.row() == before
    assert fresh.one("select count(*) from patchbay.call_results") == 0


@pytest.mark.parametrize("payload", [{}, {"event": "call_ended"}, {"call": {"call_id": "x"}}, {"event": "x", "call": []}])
def test_what_is_no_webhook_is_refused(fresh, payload):
    with pytest.raises(psycopg.DataError):
        fresh.daemon.execute("select patchbay.put_retell(%s)", (json.dumps(payload),))


def test_row_that_somebody_else_made_for_the_same_retell_call_is_left_alone(fresh):
    call = Call(fresh).routed()
    fresh.owner.execute("""insert into call_records (user_id, caller_number, disposition, started_at, retell_call_id)
                           values (%s, '+15550199999', 'failed', now(), %s)""", (ADA, call.retell_id))
    call.retell("call_analyzed")
    r = call.project()
    assert r["retell_call_id"] is None and r["status"] == "completed"
    assert fresh.one("select count(*) from call_records where retell_call_id = %s", call.retell_id) == 1


def test_odd_shapes_of_a_payload_do_not_stop_the_projection(fresh):
    call = Call(fresh).routed()
    call.retell("call_analyzed", latency={}, call_cost={"combined_cost": None, "product_costs": "none"},
                transcript_object="gone", call_analysis=None, transcript=None)
    r = call.project()
    assert r["status"] == "completed"
    assert all(r[k] is None for k in ("call_cost_total", "call_cost_llm", "e2e_latency_p50", "transcript"))


def test_two_calls_of_one_user_at_the_same_time_stay_apart(fresh):
    one, two = Call(fresh).routed(), Call(fresh).routed()
    two.retell("call_analyzed", transcript="Agent: two")
    one.retell("call_ended", transcript="Agent: one")
    assert (one.project()["transcript"], two.project()["transcript"]) == ("Agent: one", "Agent: two")


def test_users_see_the_projection_of_their_own_calls(db):
    for user in (ADA, BOB):
        Call(db, user).routed().project()
    with db.session("authenticated", ADA) as c:
        assert c.execute("select array_agg(distinct user_id) from call_records").fetchone()[0] == [ADA]


def test_webhook_is_not_changed_by_reading_it(fresh):
    """put_retell stores what came: the merged report has every field of the payload."""
    call = Call(fresh).routed()
    sent = copy.deepcopy(call.webhook("call_analyzed")["call"])
    call.retell("call_analyzed")
    assert fresh.one("select data from patchbay.call_results where call_id = %s", call.id) == sent
