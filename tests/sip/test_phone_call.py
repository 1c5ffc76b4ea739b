"""A telephone (baresip), LiveKit's own SIP service, and our agent: what each hears, and how a call ends.

The carrier's double fetches the document as for any call; the phone dials exactly what it says, headers and login included.
"""

import time

import pytest

from harness import events, voice
from harness.sip_leg import wait
from harness.sound import distance, holes, level_db, spoken
from harness.stack import LEO

GREETING_TEXT = "Hello, this is the assistant of Leo. How can I help you?"
GREETING = "hello this is the assistant of leo how can i help you"
QUESTION = "hello please tell me your opening hours"
LONG = ("We are open from nine to five on every working day. On Saturday we open at ten in the morning. "
        "On Sunday the office is closed all day. You can also call us again tomorrow. Is there anything else you need?")
# A machine that does other work: what is promised is printed, what is asserted leaves room.
SILENCE_S = 15


def greeted(stack, watch, sid):
    """The phone, once it has heard the greeting out."""
    phone = stack.phone(sid)
    phone.wait_active()
    watch.wait_for("turn.agent", phone.call, timeout_s=40)
    phone.wait_quiet()
    return phone


def ask(watch, phone, sentence=QUESTION):
    """Says it. (the reply's text, seconds from the last word to the first sound)"""
    before = len(watch.of("turn.agent", phone.call))
    phone.say(voice.trim(voice.speak(sentence)))
    said_at = phone.said_until
    began = phone.wait_speech(said_at, 40)
    reply = wait(lambda: watch.of("turn.agent", phone.call)[before:], 40, "the agent's turn is told")[-1]["data"]["text"]
    phone.wait_quiet()
    return reply, began - said_at


def heard_as(phone, since, said):
    """Against other things it might have said."""
    return voice.hear(phone.heard.since(since), [said, *voice.sentences()[:20]], phone.rate)


def over(stack, watch, sid, phone):
    """Everybody has let go, and it is told once."""
    row = stack.wait_row(sid, "ended")
    phone.wait_end()
    wait(stack.all_idle, 40, "the agents have let the call go")
    wait(lambda: phone.call in {e["data"]["call_id"] for e in watch.of("call.ended")}, 20, "the end is told")
    counts = watch.counts(phone.call)
    for kind in ("offered", "routed", "answered", "ended"):
        assert counts[f"pat.call.v1.{kind}.{LEO.id}.{phone.call}"] == 1, counts
    for e in watch.events:
        events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])
    return row


def agent_ended(stack, call):
    """Why, as the agent that had it says."""
    return wait(lambda: [e for a in stack.agents for e in a.logged("call.ended", call=call)], 20, "an agent says why")[0]["reason"]


def test_a_telephone_is_greeted_heard_and_answered(stack, watch):
    sid = stack.place_call(LEO.number)
    phone = greeted(stack, watch, sid)
    first, ok = phone.trunk.seen("INVITE", "phone")[0][0], phone.trunk.seen("SIP/2.0 200", "service")[0][0]
    greeting = phone.heard.first_voiced(0)
    assert heard_as(phone, 0, GREETING) == GREETING
    # The invitation as the document has it: the call's number as user, our headers, a login after the challenge.
    invites = [text for _, text in phone.trunk.seen("INVITE", "phone")]
    assert len(invites) == 2 and invites[0].startswith(f"INVITE sip:{phone.call}@{stack.sip.address};transport=udp SIP/2.0")
    for name, value in phone.invite["headers"].items():
        assert all(f"\r\n{name}: {value}\r\n" in text for text in invites)
    assert set(phone.invite["headers"]) == {"X-Pat-Call", "X-Pat-User", "X-Pat-Agent", "X-Pat-Version", "X-Pat-Sig"}
    assert "Proxy-Authorization: Digest" in invites[1] and phone.trunk.seen("SIP/2.0 407", "service")

    asked_at = time.monotonic()
    reply, after_s = ask(watch, phone)
    user = " ".join(e["data"]["text"] for e in watch.of("turn.user", phone.call))
    assert voice.overlap(QUESTION, user) >= 0.8, user
    assert voice.same_words(reply, "We are open from nine to five, Monday to Friday."), reply  # to what was said
    assert voice.overlap(reply, heard_as(phone, asked_at, reply)) >= 0.8, reply
    print(f"\nINVITE to 200: {(ok - first) * 1000:.0f} ms; answer to greeting: {(greeting - ok) * 1000:.0f} ms; "
          f"last word to reply: {after_s * 1000:.0f} ms")

    stack.hang_up(sid)
    row = over(stack, watch, sid, phone)
    assert str(row["id"]) == phone.call and row["outcome"] == "answered" and row["stack"] == "livekit"
    assert watch.of("call.ended", phone.call)[0]["data"]["owner"] == "caller"
    assert agent_ended(stack, phone.call) == "caller_hangup"


@pytest.mark.parametrize("codec", ["PCMU/8000/1", "PCMA/8000/1", "G722/16000/1"])
def test_a_telephone_hears_what_was_spoken(stack, watch, codec):
    stack.gate.codec = codec
    try:
        sid = stack.place_call(LEO.number)
        phone = greeted(stack, watch, sid)
    finally:
        stack.gate.codec = "PCMU/8000/1"
    heard = voice.resample(phone.heard.since(0), phone.rate, voice.RATE)
    said = spoken(stack, GREETING_TEXT)
    far, level, missing = distance(heard, said), level_db(heard, said), holes(heard, said)
    print(f"\n{codec}: distance {far:.2f} dB, level {level:+.2f} dB, {missing} frames of 20 ms missing")
    assert far < 8
    assert distance(heard, spoken(stack, "Something else is said here than anybody heard.")) > 8  # it can tell
    assert abs(level) < 2
    assert missing < 25, "half a second was missing"
    stack.hang_up(sid)
    over(stack, watch, sid, phone)


def test_keys_are_heard_both_ways(stack, watch):
    sid = stack.place_call(LEO.number)
    phone = greeted(stack, watch, sid)
    phone.press("12#")
    turn = watch.wait_for("turn.user", phone.call)
    assert turn["data"]["text"] == "(pressed on the phone's keypad: 12)"
    assert watch.wait_for("call.dtmf", phone.call)["data"]["direction"] == "in"
    watch.wait_for("turn.agent", phone.call, n=2)
    phone.wait_quiet()
    stack.control("openai", tool_calls=[{"name": "send_dtmf", "arguments": {"digits": "4*2"}}])
    try:
        ask(watch, phone)
        wait(lambda: len(phone.pressed_by_them) >= 3, 20, "the phone hears keys")
    finally:
        stack.control("openai", tool_calls=None)
    assert phone.pressed_by_them == "4*2"
    stack.hang_up(sid)
    over(stack, watch, sid, phone)


def test_the_caller_breaks_in(stack, watch):
    stack.control("openai", reply=LONG)
    try:
        sid = stack.place_call(LEO.number)
        phone = greeted(stack, watch, sid)
        phone.say(voice.trim(voice.speak(QUESTION)))
        began = phone.wait_speech(phone.said_until, 40)
        wait(lambda: time.monotonic() - began > 1, 10, "a second of it was heard")
        at = phone.start_saying(voice.trim(voice.speak("good morning i have a question about my invoice thank you")))
        watch.wait_for("turn.interrupted", phone.call)
        stopped = phone.heard.silent_from(at, 0.4)
        print(f"\nsilent {(stopped - at) * 1000:.0f} ms after the caller broke in")
        assert stopped - at < 4
    finally:
        stack.control("openai", reply=None)
    stack.hang_up(sid)
    over(stack, watch, sid, phone)


def test_the_agent_hangs_up(stack, watch):
    stack.control("openai", tool_calls=[{"name": "end_call", "arguments": {}}])
    try:
        sid = stack.place_call(LEO.number)
        phone = greeted(stack, watch, sid)
        phone.say(voice.trim(voice.speak(QUESTION)))
        goodbye = phone.wait_speech(phone.said_until, 40)
        phone.wait_end(40)
    finally:
        stack.control("openai", tool_calls=None)
    row = over(stack, watch, sid, phone)
    assert phone.reason == "Connection reset by peer" and not phone.trunk.seen("BYE", "phone")
    assert row["outcome"] == "answered"
    assert agent_ended(stack, phone.call) == "agent_hangup"
    # Nothing of the goodbye is cut off.
    said = watch.of("turn.agent", phone.call)[-1]["data"]["heard"]
    heard = voice.resample(phone.heard.since(goodbye - 0.3), phone.rate, voice.RATE)
    assert distance(heard, voice.trim(spoken(stack, said))) < 8, said


def test_an_agent_that_is_killed_is_replaced_in_the_call(stack, watch):
    stack.control("openai", reply=LONG)
    try:
        sid = stack.place_call(LEO.number)
        phone = greeted(stack, watch, sid)
        phone.say(voice.trim(voice.speak(QUESTION)))
        began = phone.wait_speech(phone.said_until, 40)
        wait(lambda: time.monotonic() - began > 4, 10, "it is in its second sentence")
        agent = stack.serving(phone.call)
        agent.kill()
        at = time.monotonic()
        assert stack.resumed(phone.call, 2)["how"] == "say"
        again = phone.wait_speech(at + 0.5, 40)
        print(f"\nsilent for {again - at:.2f} s")
        assert again - at < SILENCE_S
        told = watch.wait_for("turn.agent", phone.call, timeout_s=60, n=2)["data"]
        assert voice.same_words(told["heard"], LONG), told
        phone.wait_quiet()
        assert not phone.trunk.seen("BYE") and not phone.trunk.seen("INVITE", "service")  # the phone noticed nothing
    finally:
        stack.control("openai", reply=None)
        agent.start()
    reply, _ = ask(watch, phone)
    assert reply
    stack.hang_up(sid)
    assert over(stack, watch, sid, phone)["outcome"] == "answered"
