"""What is heard is what was spoken, whole and undistorted; and what was said before is not paid for again."""

import os
from pathlib import Path

import pytest

from harness import voice
from harness.sip_leg import wait
from harness.sound import distance, spoken
from harness.stack import LEO, ROOT, Stack
from harness.watch import Watch

GREETING = "Hello, this is the assistant of Leo. How can I help you?"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    phrases = tmp_path_factory.mktemp("phrases")
    with Stack(Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev")),
               daemons={"livekit-agent": {"PAT_AGENT_PHRASE_DIR": str(phrases)}}) as s:
        s.phrases = phrases
        yield s


@pytest.fixture
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


def ask(stack, watch, leg, sentence: str):
    before = len(watch.of("turn.agent", leg.call))
    leg.say(voice.trim(voice.speak(sentence)))
    said_at = leg.last_voiced_sent_at
    wait(lambda: len(watch.of("turn.agent", leg.call)) > before, 40, "the answer was given")
    leg.wait_quiet()
    return leg.heard.since(said_at)


def greeted(stack, watch):
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    leg.wait_active()
    watch.wait_for("turn.agent", leg.call, timeout_s=40)  # the last packet has left; it is not heard yet
    leg.wait_quiet()
    return sid, leg


def hang_up(stack, sid, leg) -> dict:
    stack.hang_up(sid)
    agent = stack.daemons["livekit-agent"]
    return wait(lambda: agent.logged("call.sound", call=leg.call), 30, "the agent tells how it sounded")[0]


def lines_spoken(stack) -> list[str]:
    return [e["text"].strip() for e in stack.double_log("elevenlabs", "speech")]


@pytest.mark.parametrize(("opus", "way"), [("clean", "passed"), ("refused", "encoded")])
def test_what_is_heard_is_what_was_spoken(stack, watch, opus, way):
    text = f"The quick brown fox of number {len(opus)} jumps over a rather lazy dog."
    stack.control("openai", reply=text)
    stack.control("elevenlabs", opus=opus)
    sid, leg = greeted(stack, watch)
    heard = ask(stack, watch, leg, "hello please tell me your opening hours")
    told = hang_up(stack, sid, leg)
    stack.control("openai", reply=None)
    said = spoken(stack, text)
    print(f"distance {distance(heard, said):.2f} dB")
    assert distance(heard, said) < 5
    assert distance(heard, spoken(stack, "Something else is said here than anybody heard.")) > 8  # it can tell
    assert told[way] * 20 > len(said) / 48 * 0.6, told
    assert told["encoded"] == 0 or way == "encoded"
    assert told["underruns"] < 10, "a fifth of a second was missing"


def usage(watch, call: str) -> dict:
    watch.wait_for("usage.recorded", call)
    return {e["data"]["component"]: e["data"]["quantity"] for e in watch.of("usage.recorded", call)}


def test_a_greeting_is_paid_for_once(stack, watch):
    stack.control("elevenlabs", opus="clean")
    sid, leg = greeted(stack, watch)
    hang_up(stack, sid, leg)
    assert lines_spoken(stack).count(GREETING) <= 1  # perhaps in a call before
    wait(lambda: list(stack.phrases.glob("*.phrase")), 20, "it is on disk")
    stack.daemons["livekit-agent"].restart()
    before = lines_spoken(stack).count(GREETING)
    sid, leg = greeted(stack, watch)
    assert voice.hear(leg.heard.since(leg.active_at), [voice_words(GREETING), *voice.sentences()[:20]]) == voice_words(GREETING)
    hang_up(stack, sid, leg)
    assert lines_spoken(stack).count(GREETING) == before, "it was paid for again"
    told = wait(lambda: (u := usage(watch, leg.call)).get("tts_cached_chars") and u, 20, "usage is told")
    assert told["tts_cached_chars"] >= len(GREETING) and "tts_chars" not in told
    assert 'pat_agent_phrase_hits_total{from="' in stack.daemons["livekit-agent"].metrics()


def test_damaged_phrases_are_spoken_anew(stack, watch):
    files = list(stack.phrases.glob("*.phrase"))
    assert files
    for f in files:
        f.write_bytes(f.read_bytes()[:-10])
    stack.daemons["livekit-agent"].restart()
    before = lines_spoken(stack).count(GREETING)
    sid, leg = greeted(stack, watch)
    assert voice.hear(leg.heard.since(leg.active_at), [voice_words(GREETING), *voice.sentences()[:20]]) == voice_words(GREETING)
    hang_up(stack, sid, leg)
    assert lines_spoken(stack).count(GREETING) == before + 1


def test_what_is_said_again_and_again_is_paid_for_twice(stack, watch):
    text = "We are open from nine to five on every day of the week."
    stack.control("openai", reply=text)
    sid, leg = greeted(stack, watch)
    for sentence in ("hello please tell me your opening hours", "good morning please tell me your opening hours",
                     "good afternoon please tell me your opening hours"):
        ask(stack, watch, leg, sentence)
    hang_up(stack, sid, leg)
    stack.control("openai", reply=None)
    heard = [e["data"]["heard"] for e in watch.of("turn.agent", leg.call)]
    assert heard.count(text) >= 3
    assert lines_spoken(stack).count(text) <= 2


def voice_words(text: str) -> str:
    return " ".join(voice.words(text))
