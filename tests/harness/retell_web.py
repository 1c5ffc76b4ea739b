"""The agent of Retell's web calls, played: who speaks in the room that the Retell double's access token leads to.

Retell's web calls are LiveKit rooms (retell-client-js-sdk, src/index.ts): the agent is participant "server", its track is
named "agent_audio", and what is said comes beside it as JSON in data packets: update, agent_start_talking,
agent_stop_talking. The double makes the calls and sends their webhooks (tests/doubles/retell_web.c); here is the voice:
the model's begin_message, then an answer by the OpenAI double to each thing heard.

    with RetellWeb(stack) as web: ...
"""

import asyncio
import json
import threading

import aiohttp
import numpy as np
from livekit import api, rtc

from harness import voice

FRAME = voice.RATE // 50  # 20 ms
TOLD = 5  # utterances an update has
PAUSE_S = 0.7  # ends what somebody says
VOICE = "slt"
LOUD = 200.0


class WebCall:
    """One call, from its making to its end."""

    def __init__(self, web: "RetellWeb", made: dict):
        self.web, self.id, self.room_name = web, made["call_id"], made["room"]
        self.agent, self.version = made["request"]["agent_id"], made["request"].get("agent_version")
        self.room = rtc.Room(loop=web.loop)
        self.source = rtc.AudioSource(voice.RATE, 1, queue_size_ms=200, loop=web.loop)
        self.said: list[dict] = []
        self.over = asyncio.Event()
        self._here, self._voice = asyncio.Event(), asyncio.Event()
        self._heard: list[np.ndarray] = []
        self._talking = 0.0  # when the caller last made a sound; 0: silent since we listened

    async def run(self) -> None:
        self.room.on("participant_connected", lambda _p: self._here.set())
        self.room.on("participant_disconnected", lambda _p: self.over.set())
        self.room.on("disconnected", lambda *_: self.over.set())
        self.room.on("track_subscribed", self._on_track)
        token = (api.AccessToken(self.web.key, self.web.secret).with_identity("server")
                 .with_grants(api.VideoGrants(room_join=True, room=self.room_name)).to_jwt())
        await self.room.connect(self.web.url, token)
        try:
            await self._talk()
        finally:
            for task in self._ears:
                task.cancel()
            await asyncio.gather(*self._ears, return_exceptions=True)
            await self.room.disconnect()
            await self.source.aclose()

    _ears: list = []

    async def _talk(self) -> None:
        track = rtc.LocalAudioTrack.create_audio_track("agent_audio", self.source)
        await self.room.local_participant.publish_track(
            track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False))
        if self.room.remote_participants:
            self._here.set()
        if not await self._before_end(self._voice.wait()):
            return
        await self.web.post(f"/play/{self.id}/begin", {})
        await self._say((await self._greeting()) or "Hello, how can I help you?")
        while not self.over.is_set():
            words = await self._listen()
            if words:
                await self._tell("user", words)
                await self._say(await self._answer())
        await self.web.post(f"/play/{self.id}/end", {"reason": "user_hangup"})

    async def _before_end(self, what) -> bool:
        """False: the call was over first."""
        tasks = [asyncio.ensure_future(what), asyncio.ensure_future(self.over.wait())]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        return tasks[0] in done

    # -------------------------------------------------------------- what it says

    async def _greeting(self) -> str | None:
        agent = await self.web.ask(f"/get-agent/{self.agent}")
        model = await self.web.ask(f"/get-retell-llm/{agent['response_engine']['llm_id']}")
        return model.get("begin_message")

    async def _answer(self) -> str:
        roles = {"agent": "assistant", "user": "user"}
        body = {"model": "gpt-4o-mini", "messages": [{"role": "system", "content": "You are on the telephone."}] + [
            {"role": roles[s["role"]], "content": s["content"]} for s in self.said]}
        async with self.web.http.post(f"{self.web.openai}/v1/chat/completions", json=body,
                                      headers={"Authorization": "Bearer sk-key"}) as r:
            return (await r.json())["choices"][0]["message"]["content"]

    async def _say(self, text: str) -> None:
        samples = await asyncio.to_thread(voice.speak, text, VOICE)
        samples = np.pad(samples, (0, -len(samples) % FRAME))
        await self._send({"event_type": "agent_start_talking"})
        await self._tell("agent", text)
        for frame in samples.reshape(-1, FRAME):
            if self.over.is_set():
                return
            await self.source.capture_frame(rtc.AudioFrame(frame.tobytes(), voice.RATE, 1, FRAME))
        await self.source.wait_for_playout()
        await self._send({"event_type": "agent_stop_talking"})

    async def _tell(self, role: str, text: str) -> None:
        self.said.append({"role": role, "content": text})
        await self.web.post(f"/play/{self.id}/say", {"role": role, "content": text})
        await self._send({"event_type": "update", "transcript": self.said[-TOLD:],
                          "turntaking": "agent_turn" if role == "user" else "user_turn"})

    async def _send(self, event: dict) -> None:
        if not self.over.is_set():
            await self.room.local_participant.publish_data(json.dumps(event), reliable=True)

    # -------------------------------------------------------------- what it hears

    def _on_track(self, track, _publication, _participant) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._ears = [*self._ears, self.web.loop.create_task(self._ear(track))]
            self._voice.set()

    async def _ear(self, track) -> None:
        stream = rtc.AudioStream(track, sample_rate=voice.RATE, num_channels=1, frame_size_ms=20)
        try:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, dtype=np.int16).copy()
                if np.sqrt((samples.astype(np.float64) ** 2).mean()) > LOUD:
                    self._talking = self.web.loop.time()
                if self._talking:
                    self._heard.append(samples)
        finally:
            await stream.aclose()  # else its own thread speaks to an interpreter that has gone

    async def _listen(self) -> str:
        while not self.over.is_set():
            await asyncio.sleep(0.02)
            if self._talking and self.web.loop.time() - self._talking > PAUSE_S:
                heard, self._heard, self._talking = np.concatenate(self._heard), [], 0.0
                return await asyncio.to_thread(voice.hear, heard, self.web.candidates)
        return ""


class RetellWeb:
    """candidates: what it can hear; None: any English, nearly right."""

    def __init__(self, stack, candidates: list[str] | None = None):
        self.url, self.key, self.secret = stack.livekit.url, stack.livekit.key, stack.livekit.secret
        self.base, self.openai, self.control = stack.double("retell"), stack.double("openai"), stack.double("control")
        self.auth = {"Authorization": f"Bearer {stack.retell_key}"}
        self.candidates = candidates
        self.calls: dict[str, WebCall] = {}
        self.failed: list[BaseException] = []
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="retell-web", daemon=True)
        stack.control("retell", web_key=self.key, web_secret=self.secret)

    def __enter__(self):
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self.loop).result(10)
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result(20)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    async def _start(self) -> None:
        self.http = aiohttp.ClientSession()
        self._tasks = [self.loop.create_task(self._follow())]

    async def _stop(self) -> None:
        for call in self.calls.values():
            call.over.set()
        self._tasks[0].cancel()
        await asyncio.wait(self._tasks, timeout=10)
        await self.http.close()

    async def ask(self, path: str) -> dict:
        async with self.http.get(self.base + path, headers=self.auth) as r:
            return await r.json()

    async def post(self, path: str, body: dict) -> None:
        async with self.http.post(self.base + path, json=body) as r:
            await r.read()

    async def _follow(self) -> None:
        """The double's log says what is made, and what is over."""
        since = 0
        while True:
            async with self.http.get(f"{self.control}/control/retell/log", params={"since": since}) as r:
                log = await r.json()
            for entry in log["entries"]:
                since = max(since, entry["seq"] + 1)
                self._take(entry)
            await asyncio.sleep(0.1)

    def _take(self, entry: dict) -> None:
        call = self.calls.get(entry.get("call_id"))
        if entry["kind"] == "web_call" and not call:
            call = self.calls[entry["call_id"]] = WebCall(self, entry)
            self._tasks.append(self.loop.create_task(self._run(call)))
        elif entry["kind"] == "webhook" and entry["event"] == "call_ended" and call:
            call.over.set()

    async def _run(self, call: WebCall) -> None:
        try:
            await call.run()
        except Exception as e:  # shown by whoever looks
            self.failed.append(e)
