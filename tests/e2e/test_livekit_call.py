"""A call of a user on LiveKit: a caller who really speaks is really answered."""

import asyncio
import time

import pytest
from livekit import api

from harness import events, voice
from harness.sip_leg import wait
from harness.stack import AGENT_NAME, LEO


def texts(watch, kind, call):
    return [e["data"]["text"] for e in sorted(watch.of(kind, call), key=lambda e: e["time"])]


def greeted(leg, timeout_s=20):
    """Waits out the greeting; when it began, in ms after both sides were there."""
    leg.wait_active(timeout_s)
    since = max(leg.active_at, leg.subscribed_at)
    began = (leg.wait_speech(since) - since) * 1000
    leg.wait_quiet()
    return began


def ask(stack, watch, leg, sentence, said="slt"):
    """Says it; the agent's reply as text, and the samples that came back."""
    before = len(watch.of("turn.agent", leg.call))
    leg.say(voice.trim(voice.speak(sentence, said)))
    said_at = leg.last_voiced_sent_at
    leg.wait_speech(said_at)
    leg.wait_quiet()
    reply = wait(lambda: watch.of("turn.agent", leg.call)[before:], 20, "the agent's turn is told")[-1]["data"]["text"]
    return reply, leg.heard.since(said_at)


def test_a_caller_is_heard_and_answered(stack, watch):
    sentence = voice.any_sentence()
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    greeting = voice.hear(leg.heard.since(0), ["hello this is the assistant of leo how can i help you", *voice.sentences()[:20]])
    assert greeting == "hello this is the assistant of leo how can i help you"

    reply, audio = ask(stack, watch, leg, sentence)
    assert voice.same_words(" ".join(texts(watch, "turn.user", leg.call)), sentence)
    # Heard again, against other things it might have said.
    assert voice.overlap(reply, voice.hear(audio, [reply, *voice.sentences()[:20]])) >= 0.8, reply

    stack.hang_up(sid)
    stack.wait_story(sid, "ended")
    row = stack.wait_row(sid, "ended")
    assert str(row["id"]) == leg.call and row["stack"] == "livekit" and row["livekit_room"] == f"call_{leg.call}"
    assert row["answered_at"] and row["greeting_ms"] is not None
    watch.wait_for("usage.recorded", leg.call)
    counts = watch.counts(leg.call)
    for kind in ("offered", "routed", "answered", "ended"):
        assert counts[f"pat.call.v1.{kind}.{LEO.id}.{leg.call}"] == 1, counts
    for e in watch.events:
        events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])
    record = wait(lambda: stack.row("select * from public.call_records where id = %s and status = 'completed' "
                                    "and transcript is not null", leg.call), 20, "the call's record is complete")
    assert sentence.split()[0] in record["transcript"].lower()


def test_the_transcript_is_shown_in_the_room(stack, watch):
    sentence = voice.any_sentence()
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    ask(stack, watch, leg, sentence)
    finals = [t for t in leg.transcripts if t["attributes"].get("lk.transcription_final") == "true"]
    assert any(voice.same_words(t["text"], sentence) for t in finals), leg.transcripts
    stack.hang_up(sid)
    stack.wait_row(sid, "ended")


def test_the_caller_may_break_in(stack, watch):
    stack.control("openai", reply="This is a rather long answer, which goes on and on for quite some time. It has a "
                                  "second sentence, which is long as well. And then there is a third one to listen to.")
    try:
        sid = stack.place_call(LEO.number)
        leg = stack.leg(sid)
        greeted(leg)
        leg.say(voice.trim(voice.speak("hello please tell me your opening hours")))
        began = leg.wait_speech(leg.last_voiced_sent_at)
        wait(lambda: voice.voiced(leg.heard.since(began)).sum() >= 40, 10, "0.8 s of the answer were heard")
        leg.start_saying(voice.trim(voice.speak("good morning i have a question about my invoice thank you")))
        broke_in = time.monotonic()
        watch.wait_for("turn.interrupted", leg.call)
        stopped = leg.wait_quiet(0.6)
        assert stopped - broke_in < 2.0, "the agent went on talking"
    finally:
        stack.control("openai", reply=None)
    stack.hang_up(sid)
    stack.wait_row(sid, "ended")


def test_when_the_caller_leaves_nothing_is_left(stack, watch):
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    leg.wait_active()
    stack.wait_story(sid, "bridged")  # a caller who cancels an INVITE is another story
    stack.hang_up(sid)
    ended = watch.wait_for("call.ended", leg.call)
    assert ended["data"]["owner"] == "caller"
    agent = stack.daemons["livekit-agent"]
    wait(lambda: "pat_agent_calls 0" in agent.metrics(), 15, "the agent has let the call go")


def test_a_job_that_comes_after_the_caller_left_is_refused(stack, watch):
    """A second dispatch of the same call, offered when the call is over, must not sit in an empty room."""
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    stack.hang_up(sid)
    agent = stack.daemons["livekit-agent"]
    wait(lambda: agent.logged("call.ended", call=leg.call), 15, "the agent has let the call go")

    async def dispatch():
        async with api.LiveKitAPI(stack.livekit.http_url, stack.livekit.key, stack.livekit.secret) as lk:
            await lk.agent_dispatch.create_dispatch(
                api.CreateAgentDispatchRequest(agent_name=AGENT_NAME, room=f"call_{leg.call}", metadata=leg.call))
    asyncio.run(dispatch())
    wait(lambda: agent.logged("agent.job_refused", room=f"call_{leg.call}"), 15, "the job is refused")
    assert len(agent.logged("call.joining", call=leg.call)) == 1


def test_several_calls_at_once(stack, watch):
    sids = [stack.place_call(LEO.number, f"+1555012{n:04d}") for n in range(3)]
    legs = [stack.leg(sid) for sid in sids]
    for leg in legs:
        greeted(leg)
    for leg in legs:
        leg.start_saying(voice.trim(voice.speak("hello please tell me your opening hours")))
    for leg in legs:
        user = watch.wait_for("turn.user", leg.call)
        assert voice.overlap("hello please tell me your opening hours", user["data"]["text"]) > 0.8
        watch.wait_for("turn.agent", leg.call, n=1)
    for sid in sids:
        stack.hang_up(sid)
    for sid in sids:
        assert stack.wait_row(sid, "ended")["stack"] == "livekit"


@pytest.mark.parametrize("voice_id", ["11labs-Kate", "11labs-EXAVITQu4vr4xnSDxMaL", "openai-nova", "kate", "no such voice"])
def test_every_stored_voice_id_speaks(stack, watch, voice_id):
    stack.sql("update public.agent_configs set voice_id = %s where user_id = %s", voice_id, LEO.id)
    try:
        stack.wait_routed()
        sid = stack.place_call(LEO.number)
        leg = stack.leg(sid)
        leg.wait_active()
        leg.wait_speech(leg.active_at)
        leg.wait_quiet()
        assert voice.hear(leg.heard.since(0), ["hello this is the assistant of leo how can i help you",
                                               *voice.sentences()[:20]]).startswith("hello this is the assistant")
        stack.hang_up(sid)
        stack.wait_row(sid, "ended")
    finally:
        stack.sql("update public.agent_configs set voice_id = 'EXAVITQu4vr4xnSDxMaL' where user_id = %s", LEO.id)


def test_a_call_whose_end_the_carrier_could_not_tell_is_over_soon(stack, watch):
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    stack.control("signalwire", mute="status")
    router = stack.daemons["router"]
    router.kill()
    try:
        stack.hang_up(sid)
        stack.wait_story(sid, "ended")
        watch.wait_for("usage.recorded", leg.call)
        assert stack.wait_row(sid)["state"] == "answered"
    finally:
        router.start()
        stack.control("signalwire", mute="")
    row = stack.wait_row(sid, "ended", 60)  # two minutes, were it not for the agent's word
    assert row["ended_owner"] == "caller" and row["outcome"] == "answered"
    watch.wait_for("call.ended", leg.call)
