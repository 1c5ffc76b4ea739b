"""Each vendor has two regions, the first one fails, and the caller hears a short pause at most; without any model, a
message is taken."""

import os
from pathlib import Path

import pytest
from test_livekit_call import ask, greeted, texts

from harness import voice
from harness.sip_leg import wait
from harness.stack import LEO, ROOT, Stack

VENDORS = ("deepgram", "elevenlabs", "openai")


class TwoRegions(Stack):
    def _start_daemons(self, relay_port: int) -> None:
        self.settings = {"livekit-agent": {
            "PAT_DEEPGRAM_2_URL": f"ws://127.0.0.1:{self.ports['deepgram2']}",
            "PAT_ELEVENLABS_2_URL": f"ws://127.0.0.1:{self.ports['elevenlabs2']}",
            "PAT_OPENAI_2_URL": f"{self.double('openai2')}/v1",
            "PAT_OPENAI_MODELS": "gpt-4o-mini"}}
        super()._start_daemons(relay_port)

    def _script_doubles(self) -> None:
        super()._script_doubles()
        self.calm()

    def calm(self) -> None:
        for vendor in VENDORS:
            for desk in (vendor, vendor + "2"):
                self.control(desk, reset=True)
                if vendor == "deepgram":
                    self.control(desk, grammar=voice.sentences())


@pytest.fixture(scope="module")
def stack():
    with TwoRegions(Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev"))) as s:
        yield s


@pytest.fixture(autouse=True)
def whole_again(stack):
    """The vendors behave, and the agent has forgotten what they did."""
    yield
    stack.calm()
    stack.daemons["livekit-agent"].restart()


def begin(stack):
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    return sid, leg


def failed(watch, leg, part):
    return [e["data"] for e in watch.of("call.provider_failed", leg.call) if e["data"]["part"] == part]


def test_the_answer_breaks_off_and_the_other_region_goes_on(stack, watch):
    sid, leg = begin(stack)
    stack.control("openai", cut={"times": -1, "after": 6})
    sentence = "hi there i have a question about my invoice"
    reply, _ = ask(stack, watch, leg, sentence)
    told = wait(lambda: failed(watch, leg, "llm"), 20, "the failure is told")
    assert told[0]["provider"] == "openai" and told[0]["next"] == "openai-2"
    # Said once, whoever wrote which half of it.
    assert reply and len(set(reply.split(". "))) == len(reply.split(". "))
    turn = watch.of("turn.agent", leg.call)[-1]["data"]
    assert turn["model_provider"] == "openai-2"
    stack.hang_up(sid)
    stack.wait_row(sid, "ended")


def test_the_recogniser_s_region_goes_down_and_no_word_is_lost(stack, watch):
    sid, leg = begin(stack)
    stack.control("deepgram", fail={"status": 503, "times": -1}, cut={"times": -1, "after": 0, "code": 1011, "reason": "NET-0000"})
    sentence = "good afternoon how much does the annual plan cost"
    reply, _ = ask(stack, watch, leg, sentence)
    assert reply and voice.same_words(" ".join(texts(watch, "turn.user", leg.call)), sentence)
    assert wait(lambda: failed(watch, leg, "stt"), 20, "the failure is told")[0]["next"] == "deepgram-2"
    stack.hang_up(sid)
    stack.wait_row(sid, "ended")


def test_the_voice_s_region_goes_down_and_the_same_voice_goes_on(stack, watch):
    sid, leg = begin(stack)
    stack.control("elevenlabs", fail={"status": 503, "times": -1}, cut={"times": -1, "after": 0, "code": 1011})
    reply, audio = ask(stack, watch, leg, "hello please call me back tomorrow morning")
    assert reply and voice.voiced(audio).sum() > 10
    turn = watch.of("turn.agent", leg.call)[-1]["data"]
    assert turn["voice_provider"] == "elevenlabs-2" and turn["voice"] == "EXAVITQu4vr4xnSDxMaL"
    stack.hang_up(sid)
    stack.wait_row(sid, "ended")


def test_without_any_model_a_message_is_taken(stack, watch):
    sid, leg = begin(stack)
    for desk in ("openai", "openai2"):
        stack.control(desk, fail={"status": 500, "times": -1, "path": "/chat/completions"})
    said = "hello please tell me your opening hours"
    for _ in range(4):
        reply, _ = ask(stack, watch, leg, said)
        if "leave a message" in reply:
            break
    assert "leave a message" in reply
    message = "hello please call me back tomorrow morning"
    leg.say(voice.trim(voice.speak(message, "slt")))
    assert voice.same_words(watch.wait_for("call.voicemail", leg.call, 30)["data"]["transcript"], message)
    assert leg.wait_end(30)
    stack.wait_row(sid, "ended", 30)
    health = [e["data"] for e in watch.events if e["type"] == "pat.health.v1.stack"]
    assert any(h["probe"] == "llm" and h["state"] == "down" for h in health)
