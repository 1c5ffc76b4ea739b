"""A user's own voice, from the recording to the caller's ear: judged from the sound on the line."""

import io
import json
import os
import urllib.request
import uuid
import wave
from pathlib import Path

import numpy as np
import psycopg
import pytest

from harness import voice
from harness.postgres import OWNER
from harness.sip_leg import wait
from harness.stack import LEO, RITA, ROOT, Stack, http_json

SARAH = "EXAVITQu4vr4xnSDxMaL"
GREETING = "hello this is the assistant of leo how can i help you"


class Voices(Stack):
    """Everything, up, and the stack-switcher knows the vendor of voices."""

    def _daemon(self, name, listen, env):
        if name == "stack-switcher":
            env = env | {"PAT_ELEVENLABS_API_URL": self.double("elevenlabs"), "PAT_ELEVENLABS_API_KEY": "xi-key"}
        return super()._daemon(name, listen, env)


@pytest.fixture(scope="module")
def stack():
    with Voices(Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev")),
                daemons={"router": {"PAT_ROUTER_DIAL_TIMEOUT_S": "5"}}) as s:
        yield s


def sample(hz: float, seconds: float = 12) -> bytes:
    """Somebody with a voice as high as that."""
    t = np.arange(int(16000 * seconds)) / 16000
    sound = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 12)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)) * 6000
    out = io.BytesIO()
    with wave.open(out, "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(16000)
        w.writeframes(sound.astype("<i2").tobytes())
    return out.getvalue()


def pitch(sound: np.ndarray, rate: int = voice.RATE) -> float:
    """Hz: the median over voiced frames of the shortest strong period."""
    found, n = [], rate // 16
    for at in range(0, len(sound) - n, n // 2):
        frame = sound[at:at + n].astype(float)
        frame -= frame.mean()
        if np.abs(frame).max() < 1500:
            continue
        echo = np.correlate(frame, frame, "full")[n - 1:]
        lo, hi = rate // 400, rate // 60
        best = echo[lo:hi].max()
        if best < 0.4 * echo[0]:
            continue
        peaks = [i for i in range(lo + 1, hi - 1) if echo[i] >= 0.85 * best and echo[i] >= echo[i - 1] and echo[i] >= echo[i + 1]]
        if peaks:
            found.append(rate / peaks[0])
    assert len(found) > 5, "no voice in it"
    return float(np.median(found))


def api(stack, method: str, path: str, user, body: dict | None = None):
    return http_json(method, f"{stack.daemons['stack-switcher'].url}/v1/users/{user.id}{path}", body,
                     {"Authorization": f"Bearer {stack.token(user.id)}"}, 60)


def clone(stack, user, name: str, hz: float) -> str:
    mark = uuid.uuid4().hex
    parts = {"name": name.encode(), "consent": b"It is mine.", "use": b"true"}
    body = b"".join(f'--{mark}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n'.encode() + v + b"\r\n" for k, v in parts.items())
    body += (f'--{mark}\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'.encode() +
             sample(hz) + f"\r\n--{mark}--\r\n".encode())
    request = urllib.request.Request(f"{stack.daemons['stack-switcher'].url}/v1/users/{user.id}/voices", body, {
        "Authorization": f"Bearer {stack.token(user.id)}", "Content-Type": f"multipart/form-data; boundary={mark}"})
    with urllib.request.urlopen(request, timeout=60) as r:
        return json.loads(r.read())["voice_id"]


def greeted(stack) -> tuple[np.ndarray, str]:
    """A call: what its caller hears at first, and its id."""
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    leg.wait_active()
    leg.wait_speech(leg.active_at)
    leg.wait_quiet()
    heard = leg.heard.since(leg.active_at)
    stack.hang_up(sid)
    stack.wait_row(sid, "ended")
    return heard, leg.call


def asked(stack, since: int) -> tuple[set[str], dict]:
    """The voices the vendor was asked for, and with which settings."""
    voices = {e["voice_id"] for e in stack.double_log("elevenlabs", "connected") if e["seq"] > since}
    settings: dict = {}
    for m in stack.double_log("elevenlabs", "message"):
        if m["seq"] > since:
            settings |= m.get("voice_settings") or {}
    return voices, settings


def last(stack) -> int:
    return max((e["seq"] for e in stack.double_log("elevenlabs")), default=-1)


def test_a_clone_is_heard_in_the_next_call_as_it_was_set(stack):
    clone(stack, LEO, "Leo's Voice", 105)
    made = stack.sql("select voice_id from public.agent_configs where user_id = %s", LEO.id)[0][0]
    mine = {"stability": 0.2, "similarity_boost": 0.9, "style": 0.4, "use_speaker_boost": False, "speed": 1.1}
    api(stack, "PATCH", f"/voices/{made}", LEO, {"settings": mine})
    stack.wait_routed()
    since = last(stack)
    after, _ = greeted(stack)
    assert voice.hear(after, [GREETING, *voice.sentences()[:20]]) == GREETING
    assert abs(pitch(after) / 105 - 1) < 0.15, pitch(after)  # all presets' women are above 150 Hz, and Sarah spoke until now
    voices, settings = asked(stack, since)
    assert voices == {made} and settings == pytest.approx(mine)


def test_another_tenants_clone_is_not_spoken_with_however_it_got_there(stack):
    stack.sql("update public.agent_configs set active_voice_stack = 'livekit' where user_id = %s", RITA.id)
    theirs = clone(stack, RITA, "Rita's Voice", 300)
    with psycopg.connect(stack.pg.url(OWNER, "patchbay"), autocommit=True) as db:
        db.execute("alter table public.agent_configs disable trigger zz_patchbay_guard_voice")
        try:
            db.execute("update public.agent_configs set voice_id = %s where user_id = %s", (theirs, LEO.id))
        finally:
            db.execute("alter table public.agent_configs enable trigger zz_patchbay_guard_voice")
    stack.wait_routed()
    since = last(stack)
    heard, call = greeted(stack)
    assert voice.hear(heard, [GREETING, *voice.sentences()[:20]]) == GREETING and pitch(heard) < 240
    assert theirs not in asked(stack, since)[0]
    assert stack.daemons["livekit-agent"].logged("call.setting_unsupported", call=call, setting="voice_id")


def test_a_voice_that_is_gone_is_found_by_the_call_that_misses_it(stack):
    made = clone(stack, LEO, "Soon gone", 230)
    stack.wait_routed()
    stack.control("elevenlabs", gone=[made])
    try:
        heard, call = greeted(stack)
        assert voice.hear(heard, [GREETING, *voice.sentences()[:20]]) == GREETING  # by another voice, within the call
        wait(lambda: stack.sql("select voice_id from public.agent_configs where user_id = %s", LEO.id) == [(SARAH,)], 60, "the agent has moved")
        notices = api(stack, "GET", "/voices", LEO)["notices"]
        assert [(n["voice_name"], n["moved_to"]) for n in notices] == [("Soon gone", "Sarah")]
    finally:
        stack.control("elevenlabs", gone=[])
