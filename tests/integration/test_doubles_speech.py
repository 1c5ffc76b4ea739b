"""The vendors' own SDKs, unchanged, against the doubles of Deepgram, OpenAI and ElevenLabs."""

import io
import json
import os
import subprocess
import threading
import time
import urllib.request
import wave
from pathlib import Path

import numpy as np
import pytest
from deepgram import DeepgramClient
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from elevenlabs import VoiceSettings
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError as ElevenLabsError
from openai import AuthenticationError, BadRequestError, NotFoundError, OpenAI, RateLimitError
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from harness.process import Process

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev"))
SARAH, RACHEL = "EXAVITQu4vr4xnSDxMaL", "21m00Tcm4TlvDq8ikWAM"


class Doubles:
    def __init__(self, folder: Path):
        ports = folder / "ports"
        self.process = Process("doubles", [BUILD / "bin/patchbay-doubles"], folder / "log", {"PAT_PORT_FILE": str(ports)})
        self.process.start().wait_until(ports.exists, 10)
        self.ports = json.loads(ports.read_text())

    def url(self, vendor: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.ports[vendor]}"

    def ask(self, method: str, path: str, body=None):
        request = urllib.request.Request(self.url("control") + path, method=method,
                                         data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=5) as r:
            return json.load(r)

    def control(self, vendor: str, **keys):
        self.ask("POST", f"/control/{vendor}", keys)

    def log(self, vendor: str, kind: str) -> list:
        return [e for e in self.ask("GET", f"/control/{vendor}/log")["entries"] if e["kind"] == kind]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    d = Doubles(tmp_path_factory.mktemp("doubles"))
    yield d
    d.process.stop()
    assert d.process.child.returncode == 0, d.process.tail()


@pytest.fixture
def doubles(running):
    for vendor in ("deepgram", "openai", "elevenlabs"):
        running.control(vendor, reset=True)
    return running


# ---- OpenAI


@pytest.fixture
def openai(doubles):
    return OpenAI(api_key="sk-double", base_url=doubles.url("openai") + "/v1", max_retries=0)


def ask(openai, text, **more):
    return openai.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": text}], **more)


def test_openai_answers_what_was_said(openai):
    assert "red bicycles" in ask(openai, "I like red bicycles.").choices[0].message.content
    assert "nine to five" in ask(openai, "What are your opening hours?").choices[0].message.content


@pytest.mark.parametrize("split", [False, True])
def test_openai_streams_with_usage(doubles, openai, split):
    doubles.control("openai", split=split)
    chunks = list(ask(openai, "I like Käse and 🚲.", stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert "I like Käse and 🚲" in text
    assert chunks[-1].usage.total_tokens > 0 and chunks[-2].choices[0].finish_reason == "stop"
    assert len({c.id for c in chunks}) == 1


TOOL = {"type": "function", "function": {"name": "transfer_call", "parameters": {
    "type": "object", "properties": {"department": {"type": "string", "enum": ["sales", "support"]}}}}}


def test_openai_calls_a_tool_and_wants_its_answer(openai):
    messages = [{"role": "user", "content": "Please transfer me to support."}]
    first = openai.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[TOOL])
    call = first.choices[0].message.tool_calls[0]
    assert first.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "transfer_call" and json.loads(call.function.arguments) == {"department": "support"}
    messages.append(first.choices[0].message)
    with pytest.raises(BadRequestError):
        openai.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[TOOL])
    messages.append({"role": "tool", "tool_call_id": call.id, "content": '{"message": "Ringing now."}'})
    last = openai.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[TOOL])
    assert "Ringing now." in last.choices[0].message.content


def test_openai_streams_tool_calls_in_parts(doubles, openai):
    doubles.control("openai", tool_calls=[{"name": "a", "arguments": {"x": 1}}, {"name": "b", "arguments": {}}])
    calls = {}
    for chunk in ask(openai, "anything", tools=[TOOL], stream=True):
        for part in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            call = calls.setdefault(part.index, {"name": "", "arguments": ""})
            call["name"] += part.function.name or ""
            call["arguments"] += part.function.arguments or ""
    assert [(c["name"], json.loads(c["arguments"])) for c in calls.values()] == [("a", {"x": 1}), ("b", {})]


def test_openai_refuses_as_the_vendor_does(doubles, openai):
    with pytest.raises(NotFoundError) as gone:
        openai.chat.completions.create(model="gpt-4.1-nano", messages=[{"role": "user", "content": "x"}])
    assert gone.value.code == "model_not_found"
    with pytest.raises(BadRequestError):  # its reasoning and tools exclude each other
        openai.chat.completions.create(model="gpt-6-luna", messages=[{"role": "user", "content": "x"}], tools=[TOOL])
    doubles.control("openai", fail={"status": 429, "code": "insufficient_quota", "type": "insufficient_quota"})
    with pytest.raises(RateLimitError) as spent:
        ask(openai, "x")
    assert spent.value.code == "insufficient_quota"
    assert ask(openai, "x").choices  # it was scripted for one request
    with pytest.raises(AuthenticationError):
        ask(openai.with_options(api_key="bad-key"), "x")


def test_openai_lists_models_with_their_end(openai):
    models = {m.id: m for m in openai.models.list()}
    assert models["gpt-4o-mini"].shutdown_date == "2027-01-14" and models["gpt-6-luna"].shutdown_date is None


def test_openai_speaks(openai):
    answer = openai.audio.speech.create(model="gpt-4o-mini-tts", voice="nova", input="Good morning.", response_format="pcm")
    assert 0.4 < len(answer.read()) / 48000 < 3
    assert is_mp3(openai.audio.speech.create(model="gpt-4o-mini-tts", voice="nova", input="Good morning.").read())
    with pytest.raises(BadRequestError) as no_flac:
        openai.audio.speech.create(model="gpt-4o-mini-tts", voice="nova", input="Good morning.", response_format="flac")
    assert no_flac.value.param == "response_format"


# ---- ElevenLabs


@pytest.fixture
def elevenlabs(doubles):
    client = ElevenLabs(api_key="xi-double", base_url=doubles.url("elevenlabs"))
    client.text_to_speech._ws_base_url = doubles.url("elevenlabs", "ws")
    return client


def pcm(data) -> np.ndarray:
    return np.frombuffer(b"".join(data), dtype="<i2").astype(float)


def is_mp3(data: bytes) -> bool:
    """ISO 11172-3, 2.4.1.3: frames of layer III begin with eleven ones."""
    return len(data) > 1000 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2


def pitch(sound: np.ndarray) -> float:
    """Hz at 16 kHz: the median of the voiced frames' strongest period."""
    found = []
    for at in range(0, len(sound) - 1024, 512):
        frame = sound[at:at + 1024] - sound[at:at + 1024].mean()
        if np.abs(frame).max() < 2000:
            continue
        echo = np.correlate(frame, frame, "full")[1023:]
        lag = 40 + int(echo[40:230].argmax())
        if echo[lag] > 0.5 * echo[0]:
            found.append(16000 / lag)
    return float(np.median(found))


def test_elevenlabs_speaks_in_each_raw_format(elevenlabs):
    seconds = {}
    for name, bytes_per_second in (("pcm_16000", 32000), ("pcm_24000", 48000), ("pcm_44100", 88200), ("ulaw_8000", 8000)):
        data = b"".join(elevenlabs.text_to_speech.convert(SARAH, text="Good morning to you.", output_format=name))
        seconds[name] = len(data) / bytes_per_second
    assert all(0.6 < s < 3 and abs(s - seconds["pcm_16000"]) < 0.05 for s in seconds.values()), seconds
    assert is_mp3(b"".join(elevenlabs.text_to_speech.convert(SARAH, text="Hello.")))
    with pytest.raises(ElevenLabsError) as no_opus:
        b"".join(elevenlabs.text_to_speech.convert(SARAH, text="Hello.", output_format="opus_48000_32"))
    assert no_opus.value.body["detail"]["param"] == "output_format"


def test_elevenlabs_tells_when_each_letter_sounds(elevenlabs):
    answer = elevenlabs.text_to_speech.convert_with_timestamps(SARAH, text="Hello there.", output_format="pcm_16000")
    assert "".join(answer.alignment.characters) == "Hello there."
    assert answer.alignment.character_end_times_seconds[-1] > 0.4


def test_elevenlabs_speaks_over_the_single_socket(elevenlabs):
    chunks = elevenlabs.text_to_speech.convert_realtime(
        SARAH, text=iter(["Hello, how are you? ", "I am fine, thank you. "]), model_id="eleven_flash_v2_5",
        output_format="pcm_16000", voice_settings=VoiceSettings(stability=0.5, similarity_boost=0.75))
    sound = pcm(chunks)
    assert len(sound) > 16000 and np.abs(sound).max() > 3000


def test_elevenlabs_voices_can_be_cloned_and_sound_different(elevenlabs):
    def spoken(voice):
        return pcm(elevenlabs.text_to_speech.convert(voice, text="This is my voice.", output_format="pcm_16000"))

    clone = elevenlabs.voices.ivc.create(name="Ann", files=[("a.wav", b"RIFF" + bytes(1000), "audio/wav")])
    assert clone.voice_id in [v.voice_id for v in elevenlabs.voices.get_all().voices]
    assert elevenlabs.voices.get(clone.voice_id).name == "Ann"
    assert abs(pitch(spoken(SARAH)) - pitch(spoken(SARAH))) < 5 < abs(pitch(spoken(SARAH)) - pitch(spoken(clone.voice_id)))
    assert elevenlabs.user.subscription.get().voice_slots_used == 1
    elevenlabs.voices.delete(clone.voice_id)
    with pytest.raises(ElevenLabsError):
        spoken(clone.voice_id)


@pytest.mark.parametrize("hz", [95, 150, 240])
def test_an_elevenlabs_clone_is_as_high_as_its_sample(elevenlabs, hz):
    t = np.arange(16000 * 12) / 16000
    sample = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 12)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)) * 6000
    out = io.BytesIO()
    with wave.open(out, "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(16000)
        w.writeframes(sample.astype("<i2").tobytes())
    clone = elevenlabs.voices.ivc.create(name=f"At {hz}", files=[("a.wav", out.getvalue(), "audio/wav")])
    said = pcm(elevenlabs.text_to_speech.convert(clone.voice_id, text="Good morning, who is calling please?", output_format="pcm_16000"))
    assert abs(pitch(said) / hz - 1) < 0.15, pitch(said)
    elevenlabs.voices.delete(clone.voice_id)


def test_elevenlabs_pages_its_voices(elevenlabs):
    seen, token = [], None
    while True:
        page = elevenlabs.voices.search(page_size=10, next_page_token=token)
        seen += [v.voice_id for v in page.voices]
        token = page.next_page_token
        if not page.has_more:
            break
    assert len(seen) == len(set(seen)) == page.total_count > 20


def test_elevenlabs_models_and_refusals(doubles, elevenlabs):
    assert "eleven_flash_v2_5" in [m.model_id for m in elevenlabs.models.list()]
    with pytest.raises(ElevenLabsError) as gone:
        b"".join(elevenlabs.text_to_speech.convert(RACHEL, text="Hello.", output_format="pcm_16000"))
    assert gone.value.status_code == 404
    doubles.control("elevenlabs", fail={"status": 401, "code": "quota_exceeded"})
    with pytest.raises(ElevenLabsError) as spent:
        elevenlabs.models.list()
    assert spent.value.body["detail"]["status"] == "quota_exceeded"


def multi(doubles, voice=SARAH):
    return connect(f"{doubles.url('elevenlabs', 'ws')}/v1/text-to-speech/{voice}/multi-stream-input"
                   "?output_format=pcm_16000&auto_mode=true", additional_headers={"xi-api-key": "k"})


def test_elevenlabs_multi_context_session(doubles):
    with multi(doubles) as ws:
        for context in ("a", "b"):
            ws.send(json.dumps({"text": " ", "context_id": context}))
            ws.send(json.dumps({"text": "Good morning. ", "context_id": context, "flush": True}))
            ws.send(json.dumps({"context_id": context, "close_context": True}))
        finals, letters = set(), {"a": "", "b": ""}
        while finals != {"a", "b"}:
            m = json.loads(ws.recv(timeout=10))
            if m.get("isFinal"):
                finals.add(m["contextId"])
            elif m.get("alignment"):
                letters[m["contextId"]] += "".join(m["alignment"]["chars"])
        assert {w.strip() for w in letters.values()} == {"Good morning."}


@pytest.mark.parametrize("case", ["six contexts", "late settings", "unknown voice"])
def test_elevenlabs_multi_context_refusals(doubles, case):
    with multi(doubles, RACHEL if case == "unknown voice" else SARAH) as ws:
        for i in range({"six contexts": 6, "late settings": 1, "unknown voice": 0}[case]):
            ws.send(json.dumps({"text": " ", "context_id": f"c{i}"}))
        if case == "late settings":
            ws.send(json.dumps({"text": "x", "context_id": "c0", "voice_settings": {"stability": 1}}))
        assert json.loads(ws.recv(timeout=5))["code"] == 1008
        with pytest.raises(Exception):
            ws.recv(timeout=5)
        assert ws.close_code == 1008


# ---- Deepgram


def say(text: str, voice: str = "slt") -> bytes:
    """16 kHz linear samples of a sentence, a second of silence behind it."""
    wav = subprocess.run(["flite", "-voice", voice, "-t", text, "-o", "/dev/stdout"], capture_output=True, check=True).stdout
    return wav[44:] + bytes(32000)


def deepgram_client(doubles, key="dg-double") -> DeepgramClient:
    return DeepgramClient(api_key=key, environment=DeepgramClientEnvironment(
        base=doubles.url("deepgram"), production=doubles.url("deepgram", "ws"),
        agent=doubles.url("deepgram", "ws"), agent_rest=doubles.url("deepgram")))


def listen(doubles, sound: bytes, **more) -> list:
    """Every message of one stream, to its end."""
    messages = []
    options = {"model": "nova-3", "encoding": "linear16", "sample_rate": 16000, "interim_results": "true",
               "endpointing": 300, "vad_events": "true", "punctuate": "true", "utterance_end_ms": "1000"} | more
    with deepgram_client(doubles).listen.v1.connect(**options) as connection:
        connection.on(EventType.MESSAGE, messages.append)
        reader = threading.Thread(target=connection.start_listening, daemon=True)
        reader.start()
        for at in range(0, len(sound), 3200):
            connection.send_media(sound[at:at + 3200])
        connection.send_close_stream()
        reader.join(20)
        assert not reader.is_alive()
    return messages


def finals(messages) -> list[str]:
    results = [m for m in messages if m.type == "Results" and m.is_final]
    return [r.channel.alternatives[0].transcript for r in results if r.channel.alternatives[0].transcript]


CANDIDATES = ["Please transfer me to sales.", "Please transfer me to support.", "What time do you open on Saturday?",
              "What time do you close on Saturday?", "I would like to book a table for 4 people.",
              "I would like to book a table for 5 people.", "My name is Siobhan Krzyzewski, and I need help.",
              "The parcel number is 90210.", "Please call me back tomorrow.", "Can you tell me the price of 2 windows?"]


@pytest.mark.parametrize("voice", ["slt", "rms"])
@pytest.mark.parametrize("sentence", CANDIDATES)
def test_deepgram_hears_which_sentence_was_said(doubles, sentence, voice):
    doubles.control("deepgram", grammar=CANDIDATES)
    heard = finals(listen(doubles, say(sentence, voice)))
    assert " ".join(heard) == sentence


def test_deepgram_hears_without_a_grammar(doubles):
    heard = " ".join(finals(listen(doubles, say("My favorite animal is a small green turtle.", "rms"))))
    assert heard == "My favorite animal is a small green turtle."


def test_deepgram_speaks_the_protocol(doubles):
    doubles.control("deepgram", grammar=["Good morning to you."])
    messages = listen(doubles, say("Good morning to you.") + bytes(64000))
    kinds = [m.type for m in messages]
    assert kinds[-1] == "Metadata" and {"Results", "SpeechStarted", "UtteranceEnd"} <= set(kinds)
    assert kinds.index("SpeechStarted") < kinds.index("UtteranceEnd")
    final = next(m for m in messages if m.type == "Results" and m.is_final and m.channel.alternatives[0].transcript)
    assert final.speech_final and [w.word for w in final.channel.alternatives[0].words] == ["good", "morning", "to", "you"]
    ends = [m.start + m.duration for m in messages if m.type == "Results" and m.is_final]
    assert ends == sorted(ends) and abs(ends[-1] - messages[-1].duration) < 0.1


def test_deepgram_script_replaces_the_ear(doubles):
    doubles.control("deepgram", script=["first thing", "second thing"])
    sound = say("One two three.") + say("Four five six.")
    assert finals(listen(doubles, sound)) == ["first thing", "second thing"]
    doubles.control("deepgram", script=[{"text": "at its time", "at_ms": 500, "duration_ms": 400}])
    assert finals(listen(doubles, bytes(64000))) == ["at its time"]


def test_deepgram_is_told_what_is_said_word_by_word(doubles):
    """Two breaths of any sound, a pause between them: the words of each, in their time, and of no other connection."""
    sound = say("One two three four five six.")
    half = len(sound) // 32  # ms
    told = [{"word": w, "start_ms": at, "end_ms": at + half // 4} for w, at in
            [("Ich", 0), ("möchte", half // 2), ("zwei", half + 1200), ("Tische.", half + 1200 + half // 2)]]
    doubles.control("deepgram", told={"keyterm": "call-1", "words": told})
    sound = bytes(16000) + sound + bytes(2 * 16 * 1200) + sound
    messages = listen(doubles, sound, keyterm="call-1", language="de")
    assert finals(messages) == ["Ich möchte", "zwei Tische."]
    assert "Ich" in [m.channel.alternatives[0].transcript for m in messages if m.type == "Results" and not m.is_final]
    doubles.control("deepgram", grammar=["One two three four five six."])
    assert finals(listen(doubles, sound))[0] == "One two three four five six."


def test_deepgram_final_waits_for_its_latency(doubles):
    doubles.control("deepgram", grammar=["Good morning to you."], latency_ms=700)
    with deepgram_client(doubles).listen.v1.connect(model="nova-3", encoding="linear16", sample_rate=16000,
                                                    endpointing=300) as connection:
        connection.send_media(say("Good morning to you."))
        while not connection.recv().channel.alternatives[0].transcript:
            pass
    entry = doubles.log("deepgram", "final")[0]
    assert 700 <= entry["sent_ms"] - entry["speech_end_ms"] < 1500


# ---- Deepgram Flux


class Turns:
    """One Flux stream, its messages in order."""

    def __init__(self, doubles, **more):
        options = {"model": "flux-general-en", "encoding": "linear16", "sample_rate": "16000"} | more
        self.context = deepgram_client(doubles).listen.v2.connect(**options)
        self.connection = self.context.__enter__()
        self.messages, self.errors = [], []
        self.connection.on(EventType.MESSAGE, self.messages.append)
        self.connection.on(EventType.ERROR, self.errors.append)
        self.reader = threading.Thread(target=self.connection.start_listening, daemon=True)
        self.reader.start()

    def hear(self, sound: bytes, as_spoken: bool = False) -> None:
        for at in range(0, len(sound), 2560):
            self.connection.send_media(sound[at:at + 2560])
            time.sleep(0.08 if as_spoken else 0)

    def wait(self, event: str, n: int = 1):
        deadline = time.monotonic() + 30
        while len(found := self.of(event)) < n:
            assert time.monotonic() < deadline and self.reader.is_alive(), [getattr(m, "event", m.type) for m in self.messages]
            time.sleep(0.01)
        return found[n - 1]

    def of(self, event: str) -> list:
        return [m for m in self.messages if event in (m.type, getattr(m, "event", ""))]

    def close(self) -> list:
        self.connection.send_close_stream()
        self.reader.join(20)
        assert not self.reader.is_alive() and [m.sequence_id for m in self.messages] == list(range(len(self.messages)))
        return self.messages


def test_flux_is_told_what_is_said_too(doubles):
    sound = say("One two three four five six.")
    ms = len(sound) // 32
    doubles.control("deepgram", told={"keyterm": "call-2", "words": [
        {"word": "Hold", "start_ms": 0, "end_ms": ms // 3}, {"word": "the", "start_ms": ms // 3, "end_ms": ms // 2},
        {"word": "line.", "start_ms": ms + 400, "end_ms": 2 * ms + 200}]})
    turns = Turns(doubles, keyterm="call-2", eager_eot_threshold="0.5")
    turns.hear(bytes(16000) + sound + bytes(2 * 16 * 300) + sound + bytes(2 * 16 * 800), as_spoken=True)
    assert turns.wait("EndOfTurn").transcript == "Hold the line."
    turns.close()


def test_flux_judges_what_was_said_as_turns(doubles):
    doubles.control("deepgram", grammar=CANDIDATES)
    turns = Turns(doubles, eager_eot_threshold="0.4")
    for n, sentence in enumerate(CANDIDATES[:2]):
        turns.hear(say(sentence), as_spoken=n > 0)
        end = turns.wait("EndOfTurn", n + 1)
        assert end.transcript == sentence and end.turn_index == n and end.trigger == "model"
        assert end.end_of_turn_confidence >= 0.65 and [w.word for w in end.words] == words_of(sentence)
    messages = turns.close()
    assert messages[0].type == "Connected"
    events = [m.event for m in messages if m.type == "TurnInfo" and m.turn_index == 0 and m.event != "Update"]
    assert events == ["StartOfTurn", "EagerEndOfTurn", "EndOfTurn"]
    assert turns.wait("EagerEndOfTurn").transcript == CANDIDATES[0]
    assert {m.turn_index for m in turns.of("Update")} == {1}  # a turn heard at once has none


def words_of(sentence: str) -> list[str]:
    return [w.strip(".,?").lower() for w in sentence.split()]


def test_flux_resumes_a_turn_that_was_not_over(doubles):
    doubles.control("deepgram", script=["i would like a table", "i would like a table for two"], latency_ms=5000)
    turns = Turns(doubles, eager_eot_threshold="0.3", eot_timeout_ms="60000")
    sound = say("One two three.")
    turns.hear(sound)
    turns.wait("EagerEndOfTurn")
    turns.hear(sound)
    turns.wait("TurnResumed")
    turns.wait("EagerEndOfTurn", 2)
    turns.connection.send_force_end_turn()
    end = turns.wait("EndOfTurn")
    assert end.trigger == "manual" and end.turn_index == 0
    turns.close()
    order = [m.event for m in turns.messages if m.type == "TurnInfo" and m.event != "Update"]
    assert order == ["StartOfTurn", "EagerEndOfTurn", "TurnResumed", "EagerEndOfTurn", "EndOfTurn"]


def test_flux_waits_for_the_rest_of_an_open_sentence(doubles):
    doubles.control("deepgram", script=["i would like to"])
    turns = Turns(doubles, eager_eot_threshold="0.4", eot_timeout_ms="900")
    turns.hear(say("One two three."))
    assert turns.wait("EndOfTurn").trigger == "timeout" and not turns.of("EagerEndOfTurn")
    turns.close()


def test_flux_can_be_configured_while_it_listens(doubles):
    turns = Turns(doubles)
    turns.connection.send_configure({"type": "Configure", "thresholds": {"eot_threshold": 0.8}, "keyterms": ["Patchbay"]})
    done = turns.wait("ConfigureSuccess")
    assert done.thresholds.eot_threshold == 0.8 and done.keyterms == ["Patchbay"]
    turns.connection.send_configure({"type": "Configure", "thresholds": {"eager_eot_threshold": 0.9}})
    assert "eager_eot_threshold" in turns.wait("ConfigureFailure").description
    turns.close()


def test_flux_knows_no_keepalive(doubles):
    url = f"{doubles.url('deepgram', 'ws')}/v2/listen?model=flux-general-en&encoding=linear16&sample_rate=16000"
    with connect(url, additional_headers={"Authorization": "Token k"}) as ws:
        assert json.loads(ws.recv(timeout=5))["type"] == "Connected"
        ws.send(json.dumps({"type": "KeepAlive"}))
        assert json.loads(ws.recv(timeout=5))["type"] == "Error"
        with pytest.raises(Exception):
            ws.recv(timeout=5)


@pytest.mark.parametrize("options", [{"model": "nova-3"}, {"eot_threshold": "0.2"}, {"eager_eot_threshold": "0.8"},
                                     {"eot_timeout_ms": "100"}, {"language_hint": "de"}])
def test_flux_refuses_what_it_does_not_know(doubles, options):
    asked = {"model": "flux-general-en", "encoding": "linear16", "sample_rate": "16000"} | options
    with pytest.raises(InvalidStatus) as refused:
        with deepgram_client(doubles).listen.v2.connect(**asked):
            pass
    assert refused.value.response.status_code == 400


@pytest.mark.parametrize("key, options, status", [("bad", {}, 401), ("k", {"model": "gpt"}, 400), ("k", {"language": "xx-YY"}, 400),
                                                  ("k", {"encoding": "flac"}, 400), ("k", {"utterance_end_ms": "100"}, 400)])
def test_deepgram_refuses_the_upgrade(doubles, key, options, status):
    asked = {"model": "nova-3", "encoding": "linear16", "sample_rate": 16000} | options
    with pytest.raises(InvalidStatus) as refused:
        with deepgram_client(doubles, key).listen.v1.connect(**asked):
            pass
    response = refused.value.response
    assert response.status_code == status and json.loads(response.body)["err_msg"] == response.headers["dg-error"]


def test_deepgram_empty_frame_ends_the_stream(doubles):
    url = f"{doubles.url('deepgram', 'ws')}/v1/listen?model=nova-3&encoding=linear16&sample_rate=16000"
    with connect(url, additional_headers={"Authorization": "Token k"}) as ws:
        ws.send(bytes(3200))
        ws.send(b"")
        with pytest.raises(Exception):
            while True:
                ws.recv(timeout=5)
        assert ws.close_code == 1000


def test_deepgram_closes_what_falls_silent(doubles):
    url = f"{doubles.url('deepgram', 'ws')}/v1/listen?model=nova-3&encoding=linear16&sample_rate=16000"
    with connect(url, additional_headers={"Authorization": "Token k"}) as ws:
        with pytest.raises(Exception):
            ws.recv(timeout=15)
        assert (ws.close_code, ws.close_reason) == (1011, "NET-0001")
