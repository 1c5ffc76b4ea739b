"""docs/events: the schemas are schemas, they refuse what is wrong, and the AsyncAPI file lists them all."""

import copy
import re

import pytest
from jsonschema import Draft202012Validator

from harness import events

CALL = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
USER = "00000000-0000-4000-8000-00000000000a"

# One example an event; the fields not shown in the table below are those of CALL_OF.
CALL_OF = {"call_id": CALL, "user_id": USER}
TIMINGS = {"eot_ms": 210, "llm_first_ms": 300.5, "llm_sentence_ms": 420, "tts_first_ms": 95, "response_ms": 640,
           "own_ms": 7}
SWITCH = {"switch_id": CALL, "user_id": USER, "agent_config_id": CALL, "from": "retell", "to": "livekit", "state": "x",
          "asked_by": USER, "why": None}
ROLLOUT = {"rollout_id": CALL, "name": None, "to": "livekit", "mode": "users", "state": "running", "phase": "moving", "step": 0,
           "steps": 3, "counts": {"total": 10, "moved": 4}, "who": "stack-switcher", "why": None}
GATES = [{"gate": "failure_rate", "verdict": "fail", "new": {"n": 40}}]
EXAMPLES = {
    "call.offered": CALL_OF | {"agent_config_id": CALL, "to": "+15550100001", "from": None, "withheld": True,
                               "carrier": "signalwire", "carrier_call_id": "11111111-2222"},
    "call.routed": CALL_OF | {"agent_config_id": CALL, "stack": "livekit", "reasons": ["user_stack"],
                              "is_fallback": False, "sip_target": "sip:x@y", "config_version": 7, "answer_us": 412},
    "call.answered": CALL_OF | {"stack": "retell", "greeting_ms": None},
    "call.taken_over": CALL_OF | {"stack": "livekit", "room": "call_" + CALL, "epoch": 2, "state": "listening",
                                  "turns": 3},
    "call.reaped": CALL_OF | {"what": "offered"},
    "call.failed_over": CALL_OF | {"from": "livekit", "to": "retell", "reason": "no_answer"},
    "call.transfer": CALL_OF | {"transfer_id": CALL, "attempt": 1, "mode": "warm", "label": "sales", "to": "+*******0142",
                                "outcome": "no_answer", "reason": None, "carrier_leg_id": None},
    "call.ended": CALL_OF | {"stack": "livekit", "reason": "caller_hangup", "owner": "caller", "duration_ms": 61000,
                             "talk_ms": 58000, "ids": {"carrier_call_id": "1", "retell_call_id": None,
                                                       "livekit_room": "call_" + CALL}},
    "call.voicemail": CALL_OF | {"recording_url": None, "duration_ms": None},
    "call.recording": CALL_OF | {"state": "stored", "object": "recordings/x.ogg"},
    "call.provider_failed": CALL_OF | {"part": "llm", "provider": "openai", "model": "gpt-4o-mini", "fault": "rate",
                                     "detail": "slow down", "next": "openai-2"},
    "call.callback": CALL_OF | {"callback_id": CALL, "number": "+15550100055", "due_at": "2026-11-24T09:00:00.000Z",
                                "time_zone": "Europe/Berlin", "local_time": "2026-11-24T10:00"},
    "call.dtmf": CALL_OF | {"direction": "in", "count": 4},
    "call.stack_ended": CALL_OF | {"stack": "retell", "reason": "provider_error", "owner": "provider", "vendor_reason": "error_asr",
                                   "vendor_call_id": "call_1", "segment": 1, "duration_ms": 61000},
    "call.limit": CALL_OF | {"limit": "cost", "used": 510000, "max": 500000},
    "call.machine": CALL_OF | {"action": "hang_up", "beep": True, "phrases": 2, "speech_ms": 6200},
    "turn.user": CALL_OF | {"turn": 1, "text": "hello", "started_ms": 1200, "ended_ms": 1900, "language": "en-US"},
    "turn.agent": CALL_OF | {"turn": 1, "text": "Hi there.", "heard": "Hi", "interrupted": True, "timings": TIMINGS},
    "turn.tool": CALL_OF | {"tool_call_id": CALL, "turn": 1, "tool": "take_message", "arguments": {"message": "hi"},
                            "outcome": "ok", "duration_ms": 3},
    "turn.interrupted": CALL_OF | {"turn": 1, "heard_ms": 240},
    "turn.partial": CALL_OF | {"turn": 2, "role": "user", "text": "what ti"},
    "usage.budget_reached": {"user_id": USER, "period": "month", "starts": "2026-11-01", "percent": 80, "cap_microusd": 5000000,
                             "spent_microusd": 4000001, "stopped": False},
    "usage.invoice_differs": {"vendor": "retell", "day": "2026-11-22", "unit": "microusd", "ours": 1200000, "theirs": 1500000,
                              "percent": -20.0},
    "usage.recorded": CALL_OF | {"leg": "livekit", "component": "stt", "unit": "second", "quantity": 61.2,
                                 "provider": "deepgram", "model": "nova-3"},
    "config.changed": {"user_id": USER, "agent_config_id": None, "version": 8, "table": "agent_configs",
                       "op": "update", "fields": ["system_prompt"]},
    "config.agent": {"user_id": USER, "agent_config_id": CALL, "stack": "retell", "state": "drifted", "agent_id": "agent_1",
                     "version": 3, "error": None},
    "voice.removal_announced": {"voice_id": "EXAV", "stack": "livekit", "reason": "its owner takes it back", "user_id": USER,
                                "agent_config_id": None},
    "voice.removal_withdrawn": {"voice_id": "EXAV", "stack": "livekit", "reason": "its owner leaves it after all", "user_id": None,
                                "agent_config_id": None},
    "voice.cloned": {"user_id": USER, "voice_id": "Zz1", "name": "Anna's Voice", "used": True},
    "voice.deleted": {"user_id": USER, "voice_id": "Zz1", "name": "Anna's Voice", "reason": "asked for", "agents_moved": 1},
    "voice.renamed": {"user_id": USER, "voice_id": "Zz1", "name": "Anna", "before": "Anna's Voice"},
    "voice.unavailable": {"voice_id": "11labs-Kate", "stack": "retell", "reason": "no longer in the vendor's list"},
    "switch.requested": SWITCH,
    "switch.validated": SWITCH | {"result": {}},
    "switch.provisioned": SWITCH | {"result": {"made": True}},
    "switch.verified": SWITCH | {"result": {"by": "router.rehearse", "answer_ms": 900}},
    "switch.cutover": SWITCH | {"result": {"version": 9, "stack": "livekit"}},
    "switch.observed": SWITCH | {"result": {"version": 9, "confirmed": {"router-1": 12}, "fenced": []}},
    "switch.drained": SWITCH | {"result": {"calls_left": 0}},
    "switch.retired": SWITCH | {"result": {"deleted": True}},
    "switch.rolled_back": SWITCH | {"result": {"version": 10}},
    "switch.failed": SWITCH | {"result": {"deleted": False}},
    "rollout.started": ROLLOUT,
    "rollout.advanced": ROLLOUT | {"target": {"percent": 25}},
    "rollout.settled": ROLLOUT,
    "rollout.judged": ROLLOUT | {"verdict": "fail", "gates": GATES},
    "rollout.held": ROLLOUT | {"state": "held", "held_for": "approval"},
    "rollout.promoted": ROLLOUT,
    "rollout.paused": ROLLOUT | {"state": "paused"},
    "rollout.resumed": ROLLOUT,
    "rollout.halted": ROLLOUT | {"state": "returning", "gates": GATES},
    "rollout.recalled": ROLLOUT | {"state": "returning", "back": "rollback"},
    "rollout.completed": ROLLOUT | {"state": "finished", "outcome": "completed"},
    "rollout.aborted": ROLLOUT | {"state": "finished", "outcome": "aborted"},
    "rollout.rolled_back": ROLLOUT | {"state": "finished", "outcome": "halted"},
    "health.latency": {"stack": "livekit", "user_id": None, "slower": True, "margin_percent": 20, "days": 30,
                       "livekit": {"answers": 90, "p50_ms": 1500, "p95_ms": 2500}, "retell": {"answers": 80, "p50_ms": 1100, "p95_ms": 2000}},
    "health.stack": {"stack": "retell", "probe": "api", "state": "down", "reasons": ["timed_out"]},
    "webhook.received": {"source": "retell", "webhook_id": CALL, "kind": "call_ended", "call_id": CALL,
                         "user_id": None},
    "webhook.delivered": {"user_id": USER, "endpoint_id": CALL, "delivery_id": CALL, "event_id": CALL,
                          "event_type": "call.ended", "attempts": 1, "status": 200, "duration_ms": 41},
    "webhook.failed": {"user_id": USER, "endpoint_id": CALL, "delivery_id": CALL, "event_id": CALL,
                       "event_type": "call.ended", "attempts": 10, "status": None, "duration_ms": 15000,
                       "fault": "receiver", "error": "timed_out"},
    "webhook.endpoint_disabled": {"user_id": USER, "endpoint_id": CALL, "url": "https://example.com/hooks",
                                  "reason": "failing", "failures": 31, "failing_since": "2026-11-22T10:00:00.123Z"},
    "webhook.parked": {"source": "retell", "webhook_id": CALL, "kind": "call_ended", "call_id": None, "user_id": None,
                       "attempts": 10, "error": "no such call"},
}


def event_of(name: str) -> dict:
    area, word = name.split(".")
    return {"specversion": "1.0", "id": CALL, "source": "/patchbay/test", "type": f"pat.{area}.v1.{word}",
            "subject": CALL, "time": "2026-11-22T10:00:00.123Z", "datacontenttype": "application/json",
            "userid": USER, "data": copy.deepcopy(EXAMPLES[name])}


def named_schemas() -> list[str]:
    return [name.removesuffix(events.SUFFIX) for name in events.schemas() if name not in
            ("common.schema.json", "envelope.schema.json")]


def test_schemas__are_json_schemas():
    for schema in events.schemas().values():
        Draft202012Validator.check_schema(schema)


def test_schemas__each_has_an_example_here():
    assert sorted(named_schemas()) == sorted(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_schemas__take_the_example_and_fields_added_later(name):
    event = event_of(name)
    event["data"]["added_later"] = 1
    event["traceparent"] = "00-1-2-01"
    assert events.validate(event, f"{event['type']}.{USER}.{CALL}") is event


@pytest.mark.parametrize("name", EXAMPLES)
def test_schemas__miss_each_field_that_is_taken_away(name):
    for field in EXAMPLES[name]:
        event = event_of(name)
        del event["data"][field]
        if field in ("attempts", "duration_ms") and name in ("webhook.parked", "call.recording"):
            continue
        with pytest.raises(events.Invalid, match=field):
            events.validate(event)


@pytest.mark.parametrize("name", EXAMPLES)
def test_schemas__refuse_a_field_of_another_kind(name):
    for field in EXAMPLES[name]:
        event = event_of(name)
        event["data"][field] = [[1]]
        with pytest.raises(events.Invalid, match=field):
            events.validate(event)


@pytest.mark.parametrize("field, value", [
    ("specversion", "0.3"), ("id", "1"), ("id", CALL.upper()), ("source", ""), ("time", "2026-11-22 10:00:00"),
    ("datacontenttype", "text/plain"), ("data", []), ("type", "pat.call.v2.routed"), ("type", "pat.call.v1.nothing"),
    ("type", None)])
def test_envelope__refuses(field, value):
    with pytest.raises(events.Invalid, match=field):
        events.validate(event_of("call.routed") | {field: value})


@pytest.mark.parametrize("subject", [
    f"pat.call.v1.ended.{USER}.{CALL}", f"pat.call.v1.routed.{USER}.other", f"pat.call.v1.routed.{CALL}", ""])
def test_envelope__refuses_another_events_subject(subject):
    with pytest.raises(events.Invalid):
        events.validate(event_of("call.routed"), subject)


def test_asyncapi__lists_every_event_with_its_subject():
    text = (events.DOCS / "asyncapi.yaml").read_text()
    files = re.findall(r"\$ref: \./(\S+)\.schema\.json$", text, re.M)
    subjects = re.findall(r"address: pat\.(\w+)\.v1\.(\w+)\.\{\w+\}\.\{\w+\}$", text, re.M)
    assert sorted(files) == sorted(named_schemas())
    assert sorted(".".join(parts) for parts in subjects) == sorted(named_schemas())


def test_readme__lists_every_event():
    text = (events.DOCS / "README.md").read_text()
    for name in named_schemas():
        assert f"`{name}`" in text, name
