"""Callers by the hundred, in one thread: each dials, listens, and hangs up some seconds after he first heard a voice.

    with Crowd(stack, seed) as crowd:
        crowd.begin(numbers, per_minute=200)
        ...
        crowd.end()                 # no new ones; the last has hung up
        crowd.calls                 # what each heard, and when

What a caller hears is RTP (PCMU) at a port of his own: from Retell's double, from the carrier's (what it says itself), and
from LiveKit through build/bench/phones, which takes part in real rooms of a real livekit-server in the place of LiveKit's
SIP service. Who speaks is told by the SSRC. It knows nothing of the suite but the carrier's and the SIP side's addresses.
"""

import asyncio
import json
import random
import re
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta

import aiohttp
from aiohttp import web
from livekit import api

FRAME_S = 0.02
LOUD = 300  # amplitude, in the middle of a frame: nobody hears less on a telephone
RING_MS = 20000
PATIENCE_S = 25  # without a voice one hangs up


def _amplitudes() -> bytes:
    """G.711 mu-law: each byte's amplitude, in units of 128."""
    out = []
    for code in range(256):
        c = ~code & 0xFF
        out.append(min(255, ((((c & 15) << 3) + 132 << (c >> 4 & 7)) - 132) >> 7))
    return bytes(out)


AMPLITUDES = _amplitudes()


@dataclass
class Call:
    number: str
    caller: str
    stay_s: float
    port: int = 0
    sid: str | None = None
    placed_at: float = 0.0  # time.time(), as all here
    hung_up_at: float | None = None
    ended_at: float | None = None
    why: str | None = None  # it did not come to anything on our side
    voiced: dict[int, list[float]] = field(default_factory=dict)  # SSRC -> when a frame with a voice in it came

    def heard(self) -> list[float]:
        return sorted(at for times in self.voiced.values() for at in times)

    def until(self) -> float:
        return self.hung_up_at or self.ended_at or time.time()

    def silences(self) -> list[tuple[float, float]]:
        """(from, to) of every stretch without a voice, the ringing included, longest first."""
        marks = [self.placed_at, *(t for t in self.heard() if self.placed_at <= t <= self.until()), self.until()]
        return sorted(((a, b) for a, b in zip(marks, marks[1:])), key=lambda s: s[0] - s[1])

    def doubled_s(self) -> float:
        """How long two spoke at once."""
        slots: dict[int, set[int]] = {}
        for who, times in self.voiced.items():
            for t in times:
                slots.setdefault(int(t / 0.1), set()).add(who)
        return 0.1 * sum(len(who) > 1 for who in slots.values())


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, call: Call):
        self.call = call

    def datagram_received(self, data: bytes, _addr) -> None:
        body = data[12:]
        if len(body) and sum(body.translate(AMPLITUDES)) * 128 > LOUD * len(body):
            self.call.voiced.setdefault(int.from_bytes(data[8:12], "big"), []).append(time.time())

    def error_received(self, _exc) -> None:
        pass


class Gate:
    """The carrier's way to LiveKit: each INVITE is a telephone in a room, played by build/bench/phones."""

    def __init__(self, stack, agent_name: str):
        self.stack, self.agent_name, self.port = stack, agent_name, 0
        self.ends: dict[str, asyncio.Future] = {}
        self.answers: dict[str, asyncio.Future] = {}
        self.rang: list[dict] = []  # every INVITE, with its time and room
        self.n = 0

    async def start(self) -> None:
        lk = self.stack.livekit
        self.child = await asyncio.create_subprocess_exec(
            self.stack.build_dir / "bench/phones", lk.url, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=(self.stack.folder / "phones.log").open("ab"))
        self.reader = asyncio.create_task(self._read())
        app = web.Application()
        app.add_routes([web.post("/sip/invite", self._invite), web.get("/sip/dialog/{dialog}", self._wait),
                        web.post("/sip/dialog/{dialog}/bye", self._bye)])
        self.runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]

    async def stop(self) -> int:
        self.child.stdin.close()
        code = await asyncio.wait_for(self.child.wait(), 20)
        self.reader.cancel()
        await self.runner.cleanup()
        return code

    def tell(self, line: str) -> None:
        self.child.stdin.write(line.encode() + b"\n")

    async def _read(self) -> None:
        while line := await self.child.stdout.readline():
            told = json.loads(line)
            waits = (self.answers, self.ends) if told["event"] == "ended" else (self.answers,)
            for table in waits:
                future = table.get(told["id"])
                if future and not future.done():
                    future.set_result(None if told["event"] == "answered" else told["reason"])

    def _token(self, room: str, invite: dict) -> str:
        attributes = {"sip.callStatus": "ringing", "sip.callID": f"SCL_{room[-12:]}", "sip.ruleID": "SDR_call",
                      "sip.trunkID": "ST_carrier", "sip.phoneNumber": invite.get("from", "")}
        attributes |= {f"sip.h.{k.lower()}": v for k, v in (invite.get("headers") or {}).items()}
        call = room.removeprefix("call_")
        config = api.RoomConfiguration(agents=[api.RoomAgentDispatch(agent_name=self.agent_name, metadata=call)])
        lk = self.stack.livekit
        return (api.AccessToken(lk.key, lk.secret).with_identity(f"sip_{invite.get('from', 'unknown')}").with_kind("sip")
                .with_attributes(attributes).with_ttl(timedelta(hours=1)).with_room_config(config)
                .with_grants(api.VideoGrants(room_join=True, room=room, can_update_own_metadata=True)).to_jwt())

    async def _invite(self, request: web.Request) -> web.Response:
        invite = await request.json()
        call = re.match(r"sips?:([^@;?]+)@", invite["uri"])[1]
        self.n += 1
        dialog, room, loop = f"{call}.{self.n}", f"call_{call}", asyncio.get_running_loop()
        self.rang.append({"at": time.time(), "call": call, "carrier_call": invite.get("call_id"), "from": invite.get("from")})
        answer, end = loop.create_future(), loop.create_future()
        self.answers[dialog], self.ends[dialog] = answer, end
        self.tell(f"ring {dialog} {invite.get('media') or '-'} {RING_MS} {self._token(room, invite)}")
        try:
            refused = await answer
        except asyncio.CancelledError:
            self.tell(f"bye {dialog}")  # the carrier has canceled
            raise
        return web.json_response({"status": 480} if refused else {"status": 200, "dialog": dialog})

    async def _wait(self, request: web.Request) -> web.Response:
        dialog = request.match_info["dialog"]
        return web.json_response({"reason": await asyncio.shield(self.ends[dialog])})

    async def _bye(self, request: web.Request) -> web.Response:
        self.tell(f"bye {request.match_info['dialog']}")
        return web.json_response({})


class Crowd:
    def __init__(self, stack, seed: int, agent_name: str = "pat"):
        self.stack, self.rng = stack, random.Random(seed)
        self.carrier = stack.double("signalwire")
        self.gate = Gate(stack, agent_name)
        self.calls: list[Call] = []
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="crowd", daemon=True)
        self._going: set[asyncio.Task] = set()
        self._placing: asyncio.Task | None = None

    def _run(self, what, timeout_s: float = 60):
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(timeout_s)

    def __enter__(self):
        self._thread.start()
        self._run(self._open())
        return self

    def __exit__(self, *_):
        self._run(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    def stop(self) -> None:
        self.__exit__()

    async def _open(self) -> None:
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        await self.gate.start()

    async def _close(self) -> None:
        for task in [self._placing, *self._going]:
            if task:
                task.cancel()
        await self.http.close()
        code = await self.gate.stop()
        assert code == 0, f"phones ended with {code}"

    # ------------------------------------------------------------------ any thread

    def begin(self, numbers: list[str], per_minute: float) -> None:
        """Calls to these in turn, evenly but for a little chance, until end()."""
        async def start():
            self._placing = asyncio.create_task(self._place(numbers, 60 / per_minute))
        self._run(start())

    def some(self, numbers: list[str], stay_s: float) -> list[Call]:
        """A call to each, a few at a time, and what came of it."""
        async def several():
            few = asyncio.Semaphore(3)

            async def one(number: str) -> Call:
                async with few:
                    return await self._call(self._new(number, stay_s))
            return await asyncio.gather(*(one(n) for n in numbers))
        return self._run(several(), 120)

    def end(self) -> None:
        async def last():
            self._placing.cancel()
            await asyncio.gather(*list(self._going))
        self._run(last(), PATIENCE_S + 40)

    # ------------------------------------------------------------------ the crowd's own loop

    def _new(self, number: str, stay_s: float) -> Call:
        call = Call(number, f"+1555{2000000 + len(self.calls):07d}", stay_s)
        self.calls.append(call)
        return call

    async def _place(self, numbers: list[str], every_s: float) -> None:
        due, n = self.loop.time(), 0
        while True:
            task = asyncio.create_task(self._call(self._new(numbers[n % len(numbers)], self.rng.uniform(4, 6))))
            self._going.add(task)
            task.add_done_callback(self._going.discard)
            n, due = n + 1, due + every_s * self.rng.uniform(0.7, 1.3)
            await asyncio.sleep(max(0, due - self.loop.time()))

    async def _call(self, call: Call) -> Call:
        transport, _ = await self.loop.create_datagram_endpoint(lambda: _Ear(call), ("127.0.0.1", 0))
        call.port = transport.get_extra_info("sockname")[1]
        call.placed_at = time.time()
        try:
            async with self.http.post(f"{self.carrier}/calls", json={
                    "from": call.caller, "to": call.number, "media": f"127.0.0.1:{call.port}"}) as r:
                call.sid = (await r.json())["sid"]
            await self._listen(call)
        except (aiohttp.ClientError, OSError, TimeoutError) as e:
            call.why = repr(e)
        finally:
            transport.close()
        return call

    async def _listen(self, call: Call) -> None:
        first, look = None, 0.0
        while True:
            await asyncio.sleep(0.05)
            now = time.time()
            first = first or next((times[0] for times in call.voiced.values() if times), None)
            if first and now - first > call.stay_s or now - call.placed_at > PATIENCE_S + call.stay_s:
                break
            if now - look > 1:  # has he been hung up on?
                look = now
                async with self.http.get(f"{self.carrier}/calls/{call.sid}") as r:
                    if (await r.json())["state"] == "ended":
                        call.ended_at = now
                        return
        call.hung_up_at = time.time()
        async with self.http.post(f"{self.carrier}/calls/{call.sid}/hangup", json={}):
            pass
