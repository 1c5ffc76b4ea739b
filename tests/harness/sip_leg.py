"""LiveKit's SIP service as a call sees it, played with LiveKit's official SDK.

The carrier double sends its INVITE here (HTTP, see tests/doubles/sip.h). For sip:<call id>@host the gate does what
LiveKit's SIP service does behind a callee rule with prefix "call": it joins room call_<call id> as a participant of kind
SIP with the attributes of a SIP leg (X- headers included), its token naming the agent to dispatch when the room is new;
the phone rings until an agent's audio track is subscribed; then the leg is active, and a person can speak and listen.

    with SipGate(livekit.url, livekit.key, livekit.secret, agent_name="pat") as gate:
        leg = gate.wait_for_leg(call_id)
        leg.wait_active(); leg.wait_quiet_after_speech(); leg.say(samples); ...
"""

import asyncio
import bisect
import re
import threading
import time
from datetime import timedelta

import numpy as np
from aiohttp import web
from livekit import api, rtc

from harness import voice
from harness.process import PATIENCE_S

FRAME = voice.RATE // 50  # 20 ms
RING_TIMEOUT_S = 20


class Heard:
    """Samples of one remote track, each frame with the time it arrived."""

    def __init__(self, rate: int = voice.RATE):
        self.rate = rate
        self.frames: list[tuple[float, np.ndarray]] = []
        self.loud: list[tuple[float, bool]] = []  # is there a voice in the frame? Asked often, so found out once

    def add(self, samples: np.ndarray, at: float | None = None) -> None:
        now = time.monotonic() if at is None else at
        self.frames.append((now, samples))
        self.loud.append((now, bool(voice.voiced(samples, self.rate).any())))

    def loud_since(self, at: float) -> list[tuple[float, bool]]:
        return self.loud[bisect.bisect_left(self.loud, (at, False)):]

    def since(self, at: float) -> np.ndarray:
        parts = [s for t, s in list(self.frames) if t >= at]
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    def first_voiced(self, since: float) -> float | None:
        """Arrival of the first of two voiced frames in a row: a click is not speech."""
        before = False
        for at, loud in self.loud_since(since):
            if loud and before:
                return was
            before, was = loud, at
        return None

    def silent_from(self, since: float, quiet_s: float, timeout_s: float = 20) -> float:
        """Waits for the first stretch of silence this long; when the voice before it was last heard."""
        def last():
            at = since
            for t, loud in self.loud_since(since):
                if t - at > quiet_s:
                    return at
                if loud:
                    at = t
            return None
        return wait(last, timeout_s, "silence")

    def last_voiced(self) -> float | None:
        return next((at for at, loud in reversed(self.loud) if loud), None)


class Person:
    """Who holds a phone, and can wait for what happens there."""

    heard: Heard
    active_at: float | None = None
    reason: str | None = None

    def wait_active(self, timeout_s: float = 20) -> None:
        wait(lambda: self.active_at or self.reason, timeout_s, "the call is answered")
        if not self.active_at:
            raise AssertionError(f"the leg ended before it was answered: {self.reason}")

    def wait_speech(self, since: float, timeout_s: float = 20) -> float:
        """When a voice was first heard since then."""
        wait(lambda: self.heard.first_voiced(since) or self.reason, timeout_s, "the agent speaks")
        at = self.heard.first_voiced(since)
        if at is None:
            raise AssertionError(f"nothing was heard before the end: {self.reason}")
        return at

    def wait_quiet(self, quiet_s: float = 0.9, timeout_s: float = 30) -> float:
        """Until the agent has been silent for a while; when it spoke last."""
        def quiet():
            last = self.heard.last_voiced()
            return last is not None and time.monotonic() - last > quiet_s
        wait(lambda: quiet() or self.reason, timeout_s, "the agent has finished")
        return self.heard.last_voiced()

    def wait_end(self, timeout_s: float = 20) -> str:
        wait(lambda: self.reason, timeout_s, "the leg has ended")
        return self.reason


class Leg(Person):
    def __init__(self, gate: "SipGate", call: str, invite: dict):
        self.gate, self.call, self.invite = gate, call, invite
        self.room = rtc.Room(loop=gate.loop)
        self.source = rtc.AudioSource(voice.RATE, 1, queue_size_ms=60, loop=gate.loop)
        self.heard = Heard()
        self.voices: dict[str, Heard] = {}  # the same by who said it: identity in the room
        self.transcripts: list[dict] = []
        self.subscribed_at: float | None = None
        self.active_at: float | None = None
        self.last_voiced_sent_at: float | None = None
        self.invited_at = time.monotonic()
        self.reason: str | None = None
        self._speech: list[np.ndarray] = []
        self._said = threading.Event()
        self._subscribed = asyncio.Event()
        self._ended = asyncio.Event()
        self._tasks: list[asyncio.Task] = []
        self._ears: dict[str, asyncio.Task] = {}

    # -------------------------------------------------------------- the person at the phone (any thread)

    def say(self, samples: np.ndarray, timeout_s: float = 60) -> None:
        """Speaks, and returns when the last sample was sent."""
        said = threading.Event()
        self.gate.loop.call_soon_threadsafe(self._queue, samples, said)
        if not said.wait(timeout_s):
            raise TimeoutError("could not speak")

    def press(self, digit: str) -> None:
        """A key of the phone's."""
        code = "0123456789*#".index(digit)
        what = self.room.local_participant.publish_dtmf(code=code, digit=digit)
        asyncio.run_coroutine_threadsafe(what, self.gate.loop).result(10)

    def start_saying(self, samples: np.ndarray) -> float:
        """When the first sample leaves, what is queued before it counted."""
        self.gate.loop.call_soon_threadsafe(self._queue, samples, threading.Event())
        return time.monotonic() + self.source.queued_duration

    def voiced_by(self) -> list[tuple[float, str]]:
        """(time, identity) of every frame with a voice in it, in order."""
        return sorted((at, who) for who, heard in list(self.voices.items())
                      for at, loud in list(heard.loud) if loud)

    def hang_up(self) -> None:
        asyncio.run_coroutine_threadsafe(self.leave("caller_hangup"), self.gate.loop).result(10)

    # -------------------------------------------------------------- inside (the gate's loop)

    def _queue(self, samples: np.ndarray, said: threading.Event) -> None:
        self._said = said  # set on this thread only once these samples are gone
        pad = (-len(samples)) % FRAME
        self._speech = list(np.pad(samples, (0, pad)).reshape(-1, FRAME))

    async def _send(self) -> None:
        """A phone never stops sending: silence when nobody speaks."""
        silence = np.zeros(FRAME, np.int16)
        while True:
            samples = self._speech.pop(0) if self._speech else silence
            frame = rtc.AudioFrame(samples.tobytes(), voice.RATE, 1, FRAME)
            await self.source.capture_frame(frame)
            if voice.voiced(samples).any():
                # What is queued before it plays first; its own 20 ms end then.
                self.last_voiced_sent_at = time.monotonic() + self.source.queued_duration
            if not self._speech:
                self._said.set()

    async def _listen(self, track: rtc.RemoteAudioTrack, identity: str) -> None:
        own = self.voices.setdefault(identity, Heard())
        async for event in rtc.AudioStream(track, sample_rate=voice.RATE, num_channels=1, frame_size_ms=20):
            samples = np.frombuffer(event.frame.data, dtype=np.int16).copy()
            self.heard.add(samples)
            own.add(samples)

    def _on_track(self, track, _publication, participant) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self.subscribed_at = self.subscribed_at or time.monotonic()
            self._subscribed.set()
            self._ears[track.sid] = self.gate.loop.create_task(self._listen(track, participant.identity))

    def _on_track_gone(self, track, _publication, _participant) -> None:
        """Its place in the connection is given to the next one: the old stream would hear that one, too."""
        ear = self._ears.pop(track.sid, None)
        if ear:
            ear.cancel()

    def _on_transcript(self, reader, identity: str) -> None:
        async def read():
            entry = {"identity": identity, "text": await reader.read_all(), "attributes": dict(reader.info.attributes or {})}
            self.transcripts.append(entry)
        self._tasks.append(self.gate.loop.create_task(read()))

    def _on_disconnected(self, *_args) -> None:
        if self.reason is None:
            self.reason = "callee_hangup"
        self._ended.set()

    def _token(self) -> str:
        attributes = {"sip.callStatus": "ringing", "sip.callID": f"SCL_{self.call[-12:]}", "sip.ruleID": "SDR_call",
                      "sip.trunkID": "ST_carrier", "sip.phoneNumber": self.invite.get("from", "")}
        for name, value in (self.invite.get("headers") or {}).items():
            attributes[f"sip.h.{name.lower()}"] = value
        config = api.RoomConfiguration(agents=[api.RoomAgentDispatch(agent_name=self.gate.agent_name, metadata=self.call)])
        return (api.AccessToken(self.gate.key, self.gate.secret).with_identity(f"sip_{self.invite.get('from', 'unknown')}")
                .with_name(f"Phone {self.invite.get('from', '')}").with_kind("sip").with_attributes(attributes)
                .with_ttl(timedelta(hours=1)).with_room_config(config)
                .with_grants(api.VideoGrants(room_join=True, room=f"call_{self.call}", can_update_own_metadata=True))
                .to_jwt())

    async def join(self) -> bool:
        """True when the phone was answered."""
        self.room.on("track_subscribed", self._on_track)
        self.room.on("track_unsubscribed", self._on_track_gone)
        self.room.on("disconnected", self._on_disconnected)
        self.room.register_text_stream_handler("lk.transcription", self._on_transcript)
        await self.room.connect(self.gate.url, self._token())
        track = rtc.LocalAudioTrack.create_audio_track("phone", self.source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False)
        await self.room.local_participant.publish_track(track, options)
        self._tasks.append(self.gate.loop.create_task(self._send()))
        # Rings until it is answered, or the caller or the gate is gone.
        ends = [self.gate.loop.create_task(e.wait()) for e in (self._subscribed, self._ended)]
        await asyncio.wait(ends, timeout=RING_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        if self._ended.is_set() or not self._subscribed.is_set():
            await self.leave("no_answer")
            return False
        self.active_at = time.monotonic()
        await self.room.local_participant.set_attributes({"sip.callStatus": "active"})
        return True

    async def leave(self, reason: str) -> None:
        if self.reason is None:
            self.reason = reason
        for task in [*self._tasks, *self._ears.values()]:
            task.cancel()
        await self.room.disconnect()
        self._ended.set()


def wait(condition, timeout_s: float, what: str):
    """The condition's first true value."""
    timeout_s = max(timeout_s, PATIENCE_S)
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s} s until {what}")
        time.sleep(0.01)


class SipGate:
    def __init__(self, url: str, key: str, secret: str, agent_name: str, host: str = "127.0.0.1"):
        self.url, self.key, self.secret, self.agent_name, self.host = url, key, secret, agent_name, host
        self.legs: dict[str, Leg] = {}  # by call id; "<call id>/<role>" for one called in
        self.dialogs: dict[str, Leg] = {}
        self.port = 0
        self.refuse_with: int | None = None  # SIP status of the next INVITEs
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="sip-gate", daemon=True)

    def __enter__(self):
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self.loop).result(10)
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(20)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    @property
    def base(self) -> str:
        return f"http://{self.host}:{self.port}"

    def wait_for_leg(self, call: str | None = None, timeout_s: float = 20) -> Leg:
        """The leg of this call; any one when no call is named."""
        return wait(lambda: self.legs.get(call) if call else next(iter(self.legs.values()), None), timeout_s,
                    "the carrier's INVITE arrives")

    async def _serve(self) -> None:
        app = web.Application()
        app.add_routes([web.post("/sip/invite", self._invite), web.get("/sip/dialog/{dialog}", self._wait),
                        web.post("/sip/dialog/{dialog}/bye", self._bye)])
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        for leg in list(self.dialogs.values()):
            await leg.leave("gate_closed")
        await self._runner.cleanup()

    async def _invite(self, request: web.Request) -> web.Response:
        invite = await request.json()
        found = re.match(r"sips?:([^@;?]+)@", invite["uri"])
        if self.refuse_with or not found:
            return web.json_response({"status": self.refuse_with or 404})
        leg = Leg(self, found[1], invite)
        # Somebody who is called in is not the call's own leg, whichever room it is.
        headers = invite.get("headers") or {}
        role = headers.get("X-Pat-Role")
        self.legs[f"{headers.get('X-Pat-Call', leg.call)}/{role}" if role else leg.call] = leg
        dialog = f"{leg.call}-{len(self.dialogs)}"
        self.dialogs[dialog] = leg
        answered = await leg.join()
        return web.json_response({"status": 200, "dialog": dialog} if answered else {"status": 480})

    async def _wait(self, request: web.Request) -> web.Response:
        leg = self.dialogs[request.match_info["dialog"]]
        await leg._ended.wait()
        return web.json_response({"reason": leg.reason})

    async def _bye(self, request: web.Request) -> web.Response:
        await self.dialogs[request.match_info["dialog"]].leave("caller_hangup")
        return web.json_response({})
