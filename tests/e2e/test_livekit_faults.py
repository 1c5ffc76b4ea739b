"""What may fail around a call on LiveKit, and what the caller notices: nothing, or a pause, or a message service; never silence."""

import asyncio
import json
import time

from test_livekit_call import ask, greeted, texts

from harness import events, voice
from harness.sip_leg import wait
from harness.stack import LEO


def test_a_call_whose_preparation_was_lost_is_served_by_its_sip_headers(stack):
    """NATS away: the router cannot tell an agent, LiveKit's dispatch rule and the signed headers can."""
    stack.nats.stop()
    try:
        wait(lambda: stack.daemons["router"].logged("bus.down"), 15, "the router has noticed")
        sid = stack.place_call(LEO.number)
        leg = stack.leg(sid)
        assert greeted(leg) < 8000
        stack.hang_up(sid)
        stack.wait_story(sid, "ended")
    finally:
        stack.nats.start()
    row = stack.wait_row(sid, "ended", 30)
    assert row["stack"] == "livekit" and row["answered_at"]


def test_headers_that_are_not_ours_get_an_apology(stack):
    """Somebody dials the SIP address without the router: no signature, no agent of any user."""
    from harness.stack import http_json
    call = "019ab000-0000-7000-8000-00000000dead"
    answer = http_json("POST", f"{stack.gate.base}/sip/invite", {
        "uri": f"sip:{call}@pat.sip.livekit.example", "from": "+15550108888",
        "headers": {"X-Pat-Call": call, "X-Pat-User": str(LEO.id), "X-Pat-Agent": str(LEO.id), "X-Pat-Version": "1",
                    "X-Pat-Sig": "AAAAAAAAAAAAAAAAAAAAAA"}}, timeout_s=30)
    leg = stack.gate.legs[call]
    assert answer["status"] == 200
    leg.wait_speech(leg.active_at)
    assert leg.wait_end(30) == "callee_hangup"


def test_without_any_agent_the_caller_gets_the_message_service(stack, watch):
    stack.daemons["livekit-agent"].stop()
    try:
        sid = stack.place_call(LEO.number)
        stack.wait_story(sid, "recorded", 40)
        stack.wait_story(sid, "ended", 20)
        call = str(stack.wait_row(sid, "ended")["id"])
        watch.wait_for("call.voicemail", call)
        assert watch.wait_for("call.ended", call)["data"]["reason"] == "voicemail"
    finally:
        stack.daemons["livekit-agent"].start()
        stack.forget_health()  # the routers know that nobody was there


def test_a_conversation_outlives_postgres_and_nats(stack, watch):
    """Ten seconds without either, in the middle of a call; afterwards everything said is stored."""
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    stack.pg.stop(keep=True)
    stack.nats.pause()
    away = time.monotonic()
    try:
        leg.say(voice.trim(voice.speak("hello please tell me your opening hours")))
        leg.wait_speech(leg.last_voiced_sent_at)
        leg.wait_quiet()
        wait(lambda: time.monotonic() - away > 10, 15, "ten seconds are over")
    finally:
        stack.nats.resume()
        stack.pg.start()
    watch.wait_for("turn.user", leg.call, 30)
    reply, _ = ask(stack, watch, leg, "hi there do you have a free room on friday please")
    assert reply
    stack.hang_up(sid)
    stack.wait_row(sid, "ended", 30)
    wait(lambda: stack.row("select count(*) as n from patchbay.call_events where call_id = %s and type = 'pat.turn.v1.user'",
                           leg.call)["n"] >= 2, 30, "both turns are stored")


def test_the_recogniser_hangs_up_in_mid_call(stack, watch):
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    stack.control("deepgram", cut={"times": 1, "after": 0, "code": 1011, "reason": "NET-0000"})
    reply, _ = ask(stack, watch, leg, "good afternoon how much does the annual plan cost")
    assert reply and "annual plan" in " ".join(texts(watch, "turn.user", leg.call))
    stack.hang_up(sid)
    stack.wait_row(sid, "ended")


def test_the_model_fails_and_its_successor_answers(stack, watch):
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    stack.control("openai", fail={"status": 500, "times": 1, "path": "/chat/completions"})
    reply, _ = ask(stack, watch, leg, "hi there i have a question about my invoice")
    assert reply
    stack.hang_up(sid)
    stack.wait_row(sid, "ended")


def test_the_voice_fails_and_another_speaks(stack, watch):
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    stack.control("elevenlabs", fail={"status": 500, "times": -1})
    stack.control("elevenlabs", cut={"times": -1, "after": 0, "code": 1011})
    try:
        reply, audio = ask(stack, watch, leg, "hello please call me back tomorrow morning")
        assert reply and voice.voiced(audio).sum() > 10
    finally:
        stack.control("elevenlabs", reset=True)
    stack.hang_up(sid)
    stack.wait_row(sid, "ended")


def test_a_call_outlives_livekit_server(stack, watch):
    """Killed in the middle of a call and started again: the SIP service loses its room and hangs the carrier's leg up, the
    router dials the same room again, and the caller goes on. Nothing of the call is lost."""
    before, after = "hello please tell me your opening hours", "good morning i have a question about my invoice thank you"
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    ask(stack, watch, leg, before)
    wait(lambda: stack.sql("select 1 from patchbay.call_events where call_id = %s and type = 'pat.turn.v1.user'", leg.call), 20,
         "what was said is stored")

    stack.livekit.process.kill()
    stack.livekit.start()
    asyncio.run_coroutine_threadsafe(leg.leave("server_gone"), stack.gate.loop).result(20)

    again = wait(lambda: stack.gate.legs[leg.call] is not leg and stack.gate.legs[leg.call], 30, "the room is dialled again")
    assert again.invite["headers"]["X-Pat-Returned"] == "redial"
    again.wait_active(30)
    # Apologised to, by one that had let the call go as by one that was in the new room before the caller.
    again.wait_speech(again.active_at, 30)
    again.wait_quiet()
    ask(stack, watch, again, after)
    asked = [json.dumps(e["body"]["messages"]) for e in stack.double_log("openai", "chat")]
    assert before in asked[-1].lower() and after in asked[-1].lower(), "the model knows what was said before"

    stack.hang_up(sid)
    stack.wait_story(sid, "ended")
    assert watch.wait_for("call.ended", leg.call)["data"]["owner"] == "caller"
    step, = [e["data"] for e in watch.of("call.failed_over", leg.call)]
    assert (step["from"], step["to"], step["redial"]) == ("livekit", "livekit", True)
    counts = watch.counts(leg.call)
    for kind in ("offered", "answered", "ended"):
        assert counts[f"pat.call.v1.{kind}.{LEO.id}.{leg.call}"] == 1, counts
    record = wait(lambda: stack.row("select * from public.call_records where id = %s and status = 'completed' "
                                    "and transcript is not null", leg.call), 20, "the call's record is complete")
    assert "opening" in record["transcript"].lower() and "invoice" in record["transcript"].lower()
    assert len(stack.sql("select 1 from patchbay.calls where carrier_call_id = %s", sid)) == 1
    for e in watch.events:
        events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])
