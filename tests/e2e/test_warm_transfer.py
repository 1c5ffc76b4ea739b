"""A colleague is asked before the caller is put through: the whole way, with the router, the carrier and real rooms.

What each side hears is what counts: until he has said yes, no sound of one is in the other's room.
"""

import json
import os
import time
from pathlib import Path

import pytest

from harness import events, voice
from harness.sip_leg import wait
from harness.stack import LEO, ROOT, Stack, http_json

SALES, TRANSFER = "+15550142000", "please transfer me to sales"
SPOKEN, OTHER = "hello please tell me your opening hours", "hello i have a question about my invoice"


@pytest.fixture(scope="module")
def stack():
    with Stack(Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev")),
               daemons={"livekit-agent": {"PAT_AGENT_HOLD_SOUND": "none"}}) as s:
        s.sql("insert into public.transfer_numbers (user_id, label, phone_number) values (%s, 'sales', %s)", LEO.id, SALES)
        s.sql("update public.agent_configs set transfer_preferences = transfer_preferences || '{\"mode\": \"warm\"}' "
              "where user_id = %s", LEO.id)
        s.control("deepgram", grammar=[TRANSFER, "yes please", "no thank you", *voice.sentences()])
        s.control("signalwire", phones={SALES: {"status": 200}})
        s.wait_routed()
        yield s
        ended_badly = [d.name for d in s.daemons.values() if not d.process.alive()]
        assert not ended_badly, "\n".join(s.daemons[n].process.tail() for n in ended_badly)


def begin(stack):
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    leg.wait_active()
    leg.wait_speech(leg.active_at)
    leg.wait_quiet()
    stack.control("openai", tool_calls=None)
    leg.say(voice.trim(voice.speak(TRANSFER)))
    asked = time.monotonic()
    colleague = wait(lambda: stack.gate.legs.get(f"{leg.call}/consult"), 30, "the colleague's phone is answered")
    colleague.wait_active()
    return sid, leg, colleague, asked


def briefed(colleague) -> None:
    colleague.wait_speech(colleague.active_at)
    colleague.wait_quiet()


def outcomes(watch, call):
    return [e["data"]["outcome"] for e in watch.of("call.transfer", call)]


def wait_outcome(watch, call, outcome):
    wait(lambda: outcome in outcomes(watch, call), 30, f"the transfer is {outcome}")


def silent(leg, since: float) -> bool:
    return not any(voice.voiced(s).any() for at, s in list(leg.heard.frames) if at >= since)


def heard(leg, who: str, since: float) -> bool:
    own = leg.voices.get(who)
    return own is not None and own.first_voiced(since) is not None


def test_a_colleague_is_asked_apart_and_takes_the_call(stack, watch):
    sid, caller, colleague, _asked = begin(stack)
    call = caller.call
    assert colleague.room.name != caller.room.name
    briefed(colleague)
    caller.wait_quiet()  # the caller was told to wait
    # What he says is for the agent alone.
    quiet = time.monotonic()
    colleague.say(voice.trim(voice.speak(OTHER)))
    assert silent(caller, quiet)
    # Nor does he hear the caller, who is answered apart.
    colleague.wait_quiet()
    spoke = time.monotonic()
    caller.say(voice.trim(voice.speak(SPOKEN)))
    caller.wait_speech(caller.last_voiced_sent_at)
    assert not heard(colleague, f"sip_{caller.invite['from']}", spoke)
    assert all(who.startswith("consult-") for who in colleague.voices), colleague.voices.keys()
    assert all(who.startswith("agent-") for who in caller.voices)
    colleague.press("1")
    joined = wait(lambda: stack.gate.legs.get(f"{call}/joined"), 30, "his leg comes to the caller's room")
    joined.wait_active()
    wait_outcome(watch, call, "bridged")
    assert outcomes(watch, call) == ["started", "ringing", "answered", "accepted", "bridged"]
    agent = stack.daemons["livekit-agent"]
    wait(lambda: agent.logged("call.ended", call=call, reason="transferred"), 30, "the agent leaves the two alone")
    # They hear each other, and nobody else is there.
    assert joined.room.name == caller.room.name
    at = time.monotonic()
    caller.say(voice.trim(voice.speak(SPOKEN)))
    wait(lambda: heard(joined, f"sip_{caller.invite['from']}", at), 20, "he hears the caller")
    joined.say(voice.trim(voice.speak(OTHER)))
    wait(lambda: heard(caller, f"sip_{SALES}", at), 20, "and the caller him")
    assert len(caller.room.remote_participants) == 1 and not caller.reason and not joined.reason
    assert not watch.of("call.ended", call)
    said = [e["data"]["heard"] for e in watch.of("turn.agent", call)]
    assert any("connected with sales" in s for s in said), said
    # Either may hang up.
    stack.hang_up(sid)
    wait(lambda: stack.wait_row(sid, "ended", 30)["outcome"] == "transferred", 30, "the outcome is known")
    joined.wait_end(30)
    for e in [*watch.of("call.transfer", call), *watch.of("turn.tool", call)]:
        events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])
    assert watch.of("turn.tool", call)[0]["data"]["outcome"] == "ok"


def test_who_says_no_leaves_the_caller_with_the_agent(stack, watch):
    sid, caller, colleague, _ = begin(stack)
    briefed(colleague)
    colleague.say(voice.trim(voice.speak("no thank you")))
    wait_outcome(watch, caller.call, "refused")
    colleague.wait_end(30)
    wait(lambda: any("sales could not be reached" in e["data"]["heard"] for e in watch.of("turn.agent", caller.call)), 30,
         "the caller is told")
    assert outcomes(watch, caller.call) == ["started", "ringing", "answered", "refused"]
    caller.wait_quiet()
    at = time.monotonic()
    caller.say(voice.trim(voice.speak(SPOKEN)))
    caller.wait_speech(at)
    assert "could not be reached" in json.dumps(stack.double_log("openai", "chat")[-1]["body"]["messages"])
    stack.hang_up(sid)
    stack.wait_row(sid, "ended", 30)
