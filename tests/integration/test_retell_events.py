"""What Retell tells of a call, as events and rows: turns, the end and whose it was, costs, latencies; and what it does not tell."""

import itertools
import json
import os
import time
import typing
import uuid

import psycopg
import pytest
from retell.lib.webhook_auth import symmetric
from retell.types.phone_call_response import PhoneCallResponse

from harness import events
from harness.postgres import OWNER
from harness.process import free_port
from harness.sip_leg import wait
from harness.stack import RITA, Stack, http_json
from harness.watch import Watch, in_stream
from test_retell_tools import CODE, Call

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
PORT = free_port()
REASONS = typing.get_args(typing.get_args(PhoneCallResponse.model_fields["disconnection_reason"].annotation)[0])


@pytest.fixture(scope="module")
def stack():
    settings = {"PAT_RETELL_SETTLE": "100ms", "PAT_RETELL_REQUESTS_PER_S": "200", "PAT_RETELL_TOOLS_LISTEN": f"127.0.0.1:{PORT}",
                "PAT_RETELL_TOOLS_URL": f"http://127.0.0.1:{PORT}/v1/retell/tools", "PAT_RETELL_RESULTS_AFTER": "2s",
                "PAT_RETELL_LIVE_TEXT": "true"}
    with Stack(BUILD, with_livekit=False, daemons={"retell-provider": settings}) as s:
        s.control("retell", call_ms=0)
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


@pytest.fixture
def call(stack):
    c = Call(stack)
    yield c
    stack.hang_up(c.sid)
    stack.control("retell", mute_webhooks=False)


def play(call, what: str, **body) -> None:
    http_json("POST", f"{call.stack.double('retell')}/play/{call.retell}/{what}", body)


def say(call, *lines: str) -> None:
    """"agent: Hello", "user: Hi", "dtmf: 4"."""
    for line in lines:
        role, _, content = line.partition(": ")
        play(call, "say", role=role, content=content)


def record(call) -> dict:
    return call.stack.row("select * from public.call_records where id = %s", call.id)


def projected(call, n: int) -> None:
    wait(lambda: call.stack.sql("select count(*) from patchbay.webhook_inbox where call_id = %s and state = 'projected'",
                                call.id)[0][0] >= n, 30, f"{n} webhooks are projected")


def test_a_whole_call(stack, watch, call):
    say(call, "agent: Good morning.", "user: Is Ada in?", "agent: One moment.")
    assert call.use("take_message", message="Call me.")["status"] == "stored"
    say(call, "agent: I told her.", "user: Thank you. Bye.")
    stack.hang_up(call.sid)
    projected(call, 3)
    end = watch.wait_for("call.stack_ended", call.id)
    assert (end["data"]["reason"], end["data"]["owner"], end["data"]["vendor_reason"]) == ("caller_hangup", "caller", "user_hangup")
    watch.wait_for("usage.recorded", call.id, n=2)
    watch.wait_for("call.ended", call.id)
    said = sorted(watch.of("turn.user", call.id) + watch.of("turn.agent", call.id), key=lambda e: e["data"]["started_ms"])
    assert [(e["type"].split(".")[-1], e["data"]["text"], e["data"]["turn"]) for e in said] == [
        ("agent", "Good morning.", 0), ("user", "Is Ada in?", 1), ("agent", "One moment.", 1), ("agent", "I told her.", 1),
        ("user", "Thank you. Bye.", 2)]
    assert [(e["data"]["started_ms"], e["data"]["ended_ms"]) for e in said[:2]] == [(0, 600), (1400, 2300)]
    assert [e["time"] for e in said] == sorted(e["time"] for e in said)
    assert [e["data"]["timings"]["response_ms"] for e in said if "timings" in e["data"]] == [None, 800, None]
    tool, = watch.of("turn.tool", call.id)  # as it ran; the transcript tells it again, and it is not told again
    assert tool["data"]["tool"] == "take_message"
    row = wait(lambda: (lambda r: r if r and r["call_summary"] and r["call_cost_total"] else None)(record(call)), 30, "the record is whole")
    assert row["transcript"].startswith("Agent: Good morning.\nUser: Is Ada in?")
    assert (row["call_successful"], row["in_voicemail"], row["user_sentiment"]) == (True, False, "Neutral")
    assert row["call_cost_tts"] > 0 and row["call_cost_llm"] > 0
    assert stack.sql("select stage, p50 from patchbay.call_latencies where call_id = %s order by 1", call.id) \
        == [("e2e", 800.0), ("llm", 400.0)]
    usage = stack.sql("select component, unit, segment, quantity_milli from patchbay.usage where call_id = %s order by 1", call.id)
    assert [u[:3] for u in usage] == [("elevenlabs_tts", "usd_cent", 1), ("gpt_4_1", "usd_cent", 1)] and all(u[3] > 0 for u in usage)
    for e in watch.of("usage.recorded", call.id) + said + [end, tool]:
        events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])
    assert not watch.repeated(call.id)


def test_a_tool_of_retells_own_is_told_from_the_transcript(stack, watch, call):
    say(call, "agent: Bye.")
    body = http_json("GET", f"{stack.double('retell')}/v2/get-call/{call.retell}", None, {"Authorization": f"Bearer {stack.retell_key}"})
    turns = body["transcript_with_tool_calls"] + [
        {"role": "tool_call_invocation", "tool_call_id": "t1", "name": "press_digit", "arguments": json.dumps({"digits": "4217"})},
        {"role": "tool_call_result", "tool_call_id": "t1", "content": "done", "successful": False},
        {"role": "tool_call_invocation", "tool_call_id": "t2", "name": "end_call", "arguments": "not json"}]
    deliver(stack, {"event": "call_ended", "call": body | {"transcript_with_tool_calls": turns, "end_timestamp": int(time.time() * 1000),
                                                           "disconnection_reason": "agent_hangup", "call_status": "ended"}})
    watch.wait_for("turn.tool", call.id, n=2)
    tools = {e["data"]["tool"]: e["data"] for e in watch.of("turn.tool", call.id)}
    assert (tools["press_digit"]["outcome"], tools["press_digit"]["arguments"]) == ("failed", {"digits": "[4 digits]"})
    assert tools["end_call"]["outcome"] == "canceled"
    assert wait(lambda: len(call.rows("tool_calls")) == 2, 20, "they have rows")


def deliver(stack, payload: dict) -> None:
    """A webhook, signed as Retell does."""
    body = json.dumps(payload)
    http_json("POST", stack.daemons["webhook-relay"].url + "/v1/hooks/retell", payload,
              {"X-Retell-Signature": symmetric["sign"](body, stack.retell_key)})


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_the_sdk_has_a_row(stack, reason):
    row = stack.row("select * from patchbay.end_reasons where stack = 'retell' and vendor_reason = %s", reason)
    assert row and row["owner"] in ("caller", "us", "provider", "carrier")


def test_there_are_no_rows_of_reasons_nobody_has(stack):
    assert {r[0] for r in stack.sql("select vendor_reason from patchbay.end_reasons where stack = 'retell'")} == set(REASONS)


@pytest.mark.parametrize("first", ["carrier", "retell"])
def test_retells_reason_is_more_than_the_carriers(stack, watch, first):
    """Whoever comes first: the carrier only knows that the leg was over."""
    call = Call(stack)
    stack.control("retell", mute_webhooks=first == "carrier")
    play(call, "end", reason="inactivity")
    stack.wait_row(call.sid, "ended", 30)
    if first == "carrier":
        stack.control("retell", mute_webhooks=False)
        play(call, "event", event="call_ended")
    end = watch.wait_for("call.stack_ended", call.id, 30)
    assert (end["data"]["reason"], end["data"]["owner"], end["data"]["vendor_reason"]) == ("idle", "us", "inactivity")
    wait(lambda: stack.sql("select ended_reason, ended_owner from patchbay.calls where id = %s", call.id)
         == [("idle", "us")], 30, "the row says whose will it was")


ORDERS = list(itertools.permutations(["call_started", "call_ended", "call_analyzed"]))


@pytest.mark.parametrize("order", [ORDERS[1], ORDERS[5]])
def test_any_order_and_repetition_tells_the_same(stack, watch, order):
    call = Call(stack)
    stack.control("retell", mute_webhooks=True)
    say(call, "agent: Hello.", "user: Hello.")
    stack.hang_up(call.sid)
    stack.control("retell", mute_webhooks=False)
    for event in order + order:
        play(call, "event", event=event)
    watch.wait_for("call.stack_ended", call.id, 30)
    projected(call, 3)
    watch.wait_for("usage.recorded", call.id, n=2)
    wait(lambda: stack.sql("select told_at is not null and billed_at is not null from patchbay.retell_legs where call_id = %s",
                           call.id) == [(True,)], 30, "it is noted as told")
    counts = {kind: len(watch.of(kind, call.id)) for kind in
              ("call.answered", "call.stack_ended", "turn.user", "turn.agent", "usage.recorded")}
    assert counts == {"call.answered": 1, "call.stack_ended": 1, "turn.user": 1, "turn.agent": 1, "usage.recorded": 2}
    assert len(stack.sql("select 1 from public.call_records where id = %s", call.id)) == 1
    assert stack.sql("select count(*) from patchbay.call_events where call_id = %s and type like 'pat.turn.%%'", call.id) == [(2,)]


def test_foreign_calls_are_kept_and_never_told(stack, watch):
    id_ = "call_" + uuid.uuid4().hex
    deliver(stack, {"event": "call_ended", "call": {"call_id": id_, "call_status": "ended", "start_timestamp": 1764000001000,
                                                    "to_number": RITA.number, "from_number": "+15550109999"}})
    row = wait(lambda: stack.row("select * from patchbay.webhook_inbox where dedupe_key = %s and attempts > 0", f"call_ended:{id_}"),
               30, "it was looked at")
    assert row["state"] in ("received", "parked") and row["call_id"] is None
    assert not stack.sql("select 1 from patchbay.retell_legs where retell_call_id = %s", id_)
    assert not [e for e in watch.events if id_ in json.dumps(e) and "webhook" not in e.get("type", "")]


def test_transfers_of_retells_own(stack, watch, call):
    for event in ("transfer_started", "transfer_bridged", "transfer_ended"):
        play(call, "event", event=event, transfer_destination={"type": "predefined", "number": "+15550177701"},
             transfer_option={"type": "warm_transfer"})
    watch.wait_for("call.transfer", call.id, n=3)
    got = watch.of("call.transfer", call.id)
    assert {e["data"]["outcome"] for e in got} == {"started", "bridged", "ended"}
    assert {(e["data"]["to"], e["data"]["mode"]) for e in got} == {("+*******7701", "warm")} and len({e["data"]["transfer_id"] for e in got}) == 1
    for e in got:
        events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])


def test_live_text_is_told_and_kept_by_no_stream(stack, watch, call):
    agent = http_json("GET", f"{stack.double('retell')}/get-agent/{call.agent}", None, {"Authorization": f"Bearer {stack.retell_key}"})
    assert "transcript_updated" in agent["webhook_events"]
    say(call, "agent: Hello.", "user: I would")
    play(call, "event", event="transcript_updated")
    got = watch.wait_for("turn.partial", call.id)
    assert (got["data"]["role"], got["data"]["text"], got["data"]["turn"]) == ("user", "I would", 1)
    events.validate({k: v for k, v in got.items() if k != "_subject"}, got["_subject"])
    assert in_stream(stack.nats.url, "TURN", got["_subject"]) is None


def test_results_that_never_came_are_asked_for(stack, watch):
    call = Call(stack)
    stack.control("retell", mute_webhooks=True)
    say(call, "agent: Hello.", "user: Bye.")
    stack.hang_up(call.sid)
    end = watch.wait_for("call.stack_ended", call.id, 60)
    assert end["data"]["reason"] == "caller_hangup"
    watch.wait_for("turn.user", call.id, 30)
    wait(lambda: (record(call) or {}).get("call_summary"), 30, "the record is whole")
    stack.control("retell", mute_webhooks=False)
    play(call, "event", event="call_analyzed")  # late: nothing happens again
    assert stack.sql("select outcome from patchbay.retell_fetches where call_id = %s", call.id) == [("fetched",)]
    assert len(watch.of("call.stack_ended", call.id)) == 1


def test_an_answer_is_told_before_the_call_is_worked_on(stack, watch, call):
    """A backlog at the relay does not keep it back: here the call's row cannot be had."""
    fresh, retell_id = str(uuid.uuid4()), f"call_{uuid.uuid4().hex}"
    stack.sql("insert into patchbay.calls (id, user_id, agent_config_id, stack, state, retell_call_id, offered_at) "
              "select %s, c.user_id, c.agent_config_id, 'retell', 'routed', %s, now() from patchbay.calls c where c.id = %s",
              fresh, retell_id, call.id)
    owner = str(stack.sql("select user_id from patchbay.calls where id = %s", fresh)[0][0])
    with psycopg.connect(stack.pg.url(OWNER, "patchbay")) as c:
        c.execute("select from patchbay.calls where id = %s for update", [fresh])
        deliver(stack, {"event": "call_started", "call": {"call_id": retell_id, "start_timestamp": int(time.time() * 1000),
                                                          "metadata": {"call_id": fresh, "user_id": owner}}})
        watch.wait_for("call.answered", fresh, 30)
        assert stack.sql("select state from patchbay.webhook_inbox where convert_from(body, 'UTF8') like %s", f"%{retell_id}%") \
            == [("received",)]
    wait(lambda: stack.sql("select state from patchbay.calls where id = %s", fresh) == [("answered",)], 30, "the row follows")
    stack.sql("update patchbay.calls set state = 'ended', ended_at = now() where id = %s", fresh)


def test_an_end_the_carrier_did_not_tell_is_told_but_not_of_a_test_call(stack, watch, call):
    """Both are due in the same round, the test call first."""
    test, real = str(uuid.uuid4()), str(uuid.uuid4())
    stack.sql("insert into patchbay.calls (id, user_id, agent_config_id, stack, state, retell_call_id, offered_at, ended_at, rehearsal) "
              "select x.id, c.user_id, c.agent_config_id, 'retell', 'ended', 'call_' || x.id, now() - x.age, now() - x.age, x.test "
              "from patchbay.calls c, (values (%s::uuid, interval '2 minutes', true), (%s::uuid, interval '1 minute', false)) x (id, age, test) "
              "where c.id = %s", test, real, call.id)
    watch.wait_for("call.ended", real, 30)
    assert watch.of("call.ended", test) == []
    stack.hang_up(call.sid)


def test_a_passcode_is_nowhere_to_be_found(stack, watch, call):
    say(call, "agent: Hello.", "user: Put me through to the boss.")
    assert call.use("transfer_call", to="Boss")["ask"] == "passcode"
    say(call, "agent: The passcode, please?", "user: it is four two one two")
    assert call.use("transfer_call", to="Boss")["ask"] == "passcode"
    say(call, "agent: No. Again?", "dtmf: 4", "dtmf: 2", "dtmf: 1", "dtmf: 1")
    assert call.use("transfer_call", to="Boss")["status"] == "connecting"
    watch.wait_for("call.transfer", call.id)
    watch.wait_for("call.stack_ended", call.id, 30)
    stack.hang_up(call.sid)  # he may have come back to Retell: that is a second leg
    projected(call, 3)
    spoken = "four two one"
    everything = [e for e in watch.events if call.id in json.dumps(e)]
    assert spoken not in json.dumps(everything)
    words = [e["data"]["text"] for e in watch.of("turn.user", call.id)]
    assert words[:2] == ["Put me through to the boss.", "[passcode]"]
    wait(lambda: "[passcode]" in ((record(call) or {}).get("transcript") or ""), 30, "the record is whole")
    for table, key in (("patchbay.call_results", "call_id"), ("patchbay.retell_legs", "call_id"), ("patchbay.tool_calls", "call_id"),
                       ("patchbay.call_events", "call_id"), ("public.call_records", "id")):
        text = str(stack.sql(f"select t::text from {table} t where {key} = %s", call.id))
        assert spoken not in text and '"digit": "4"' not in text, table
    bodies = [r[0] for r in stack.sql("select convert_from(body, 'UTF8') from patchbay.webhook_inbox where call_id = %s", call.id)]
    assert len(bodies) >= 3 and not any(spoken in b or '"digit": "4"' in b for b in bodies)


def test_a_model_cannot_guess_a_passcode(stack, watch, call):
    for _ in range(2):
        assert call.use("transfer_call", to="Boss", passcode=CODE)["status"] == "refused"
        say(call, "user: Do it.")
    assert call.use("transfer_call", to="Boss")["ask"] == "passcode"
    say(call, "agent: " + CODE)
    assert call.use("transfer_call", to="Boss")["ask"] == "passcode"
    assert not watch.of("call.transfer", call.id)


def test_the_legs_of_a_call_are_one_conversation(stack, watch, call):
    """The caller comes back from a transfer: another call at Retell, the same call here."""
    say(call, "agent: First.", "user: One.")
    first = call.retell
    body = http_json("GET", f"{stack.double('retell')}/v2/get-call/{first}", None, {"Authorization": f"Bearer {stack.retell_key}"})
    over = {"call_status": "ended", "disconnection_reason": "user_hangup", "end_timestamp": int(time.time() * 1000)}
    cost = {"call_cost": {"combined_cost": 3, "product_costs": [{"product": "gpt_4_1", "cost": 3}]}}
    stack.sql("select patchbay.put_call(%s)", json.dumps({"id": call.id, "metadata": {"moved_from": first, "moves": 1}}))
    deliver(stack, {"event": "call_ended", "call": body | over | cost})
    watch.wait_for("call.stack_ended", call.id, 30)
    second = "call_" + uuid.uuid4().hex
    stack.sql("select patchbay.put_call(%s)", json.dumps({"id": call.id, "retell_call_id": second}))
    turns = [{"role": "agent", "content": "Second.", "words": []}, {"role": "user", "content": "Two.", "words": []}]
    deliver(stack, {"event": "call_analyzed", "call": body | over | cost | {
        "call_id": second, "transcript": "Agent: Second.\nUser: Two.", "transcript_object": turns, "transcript_with_tool_calls": turns}})
    watch.wait_for("call.stack_ended", call.id, 30, n=2)
    watch.wait_for("usage.recorded", call.id, 30, n=2)
    wait(lambda: (record(call) or {}).get("transcript") == "Agent: First.\nUser: One.\nAgent: Second.\nUser: Two.", 30,
         "the record has both")
    wait(lambda: stack.sql("select segment, quantity_milli from patchbay.usage where call_id = %s order by 1", call.id)
         == [(1, 3000), (2, 3000)], 30, "both are billed")
    assert {e["data"]["segment"] for e in watch.of("call.stack_ended", call.id)} == {1, 2}
