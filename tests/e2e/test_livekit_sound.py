"""What is heard is what was spoken, whole and undistorted; and what was said before is not paid for again."""

import json
import os
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from harness import voice
from harness.sip_leg import wait
from harness.stack import LEO, ROOT, Stack
from harness.watch import Watch

SARAH = "EXAVITQu4vr4xnSDxMaL"
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


def spoken(stack, text: str) -> np.ndarray:
    """The voice's own samples of a text, past our agent."""
    url = f"{stack.double('elevenlabs')}/v1/text-to-speech/{SARAH}?output_format=pcm_48000"
    request = urllib.request.Request(url, json.dumps({"text": text}).encode(),
                                     {"xi-api-key": "k", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as r:
        return np.frombuffer(r.read(), dtype=np.int16)


def bands(samples: np.ndarray, top_hz: int = 3400) -> np.ndarray:
    """dB per 20 ms and third of an octave, as a telephone carries them."""
    size = 1920
    n = (len(samples) - size) // 960
    frames = np.stack([samples[i * 960:i * 960 + size] for i in range(n)]).astype(np.float64) * np.hanning(size)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = 200 * 2 ** (np.arange(0, 14) / 3)
    edges = edges[edges <= top_hz * 1.26]
    hz = np.fft.rfftfreq(size, 1 / 48000)
    return 10 * np.log10(np.stack([power[:, (hz >= a) & (hz < b)].sum(axis=1) for a, b in zip(edges, edges[1:])]) + 1e7)


def distance(heard: np.ndarray, said: np.ndarray) -> float:
    """Mean difference in dB where there is sound, after sliding one over the other. inf: not all of it is there."""
    size = 1 << (len(heard) + len(said)).bit_length()
    fit = np.fft.irfft(np.fft.rfft(heard.astype(np.float64), size) * np.conj(np.fft.rfft(said.astype(np.float64), size)))
    at = int(np.argmax(fit[:len(heard)]))
    part = heard[at:at + len(said)]
    if len(part) < 0.95 * len(said):
        return float("inf")
    a, b = bands(said[:len(part)]), bands(part)
    audible = a > a.max() - 45
    return float(np.abs(a - b)[audible].mean())


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
