"""Between the agent and the world: relays that misbehave when a test asks them to.

Each vendor's double keeps its good manners; what a vendor does on a bad day is said here, byte by byte.

    with Between() as b:                       # b.env: where the agent finds the vendors
        b.aim(stack.ports)                     # where the doubles are
        b.deepgram.serve = handler             # async (web.WebSocketResponse): the whole socket, nothing is relayed
        b.elevenlabs.mangle = fn               # (message of the vendor, a dict) -> list of dict, str or bytes instead
        b.openai.answer = handler              # async (web.Request) -> web.StreamResponse, instead of the double's
        b.calm()                               # everything as it was
"""

import asyncio
import json
import threading

import aiohttp
from aiohttp import web

from harness.tcp_gate import TcpGate


class Vendor:
    def __init__(self, name: str, loop):
        self.name, self.loop, self.to_port, self.port = name, loop, 0, 0
        self.calm()

    def calm(self) -> None:
        self.serve = None  # of a WebSocket
        self.mangle = None
        self.answer = None  # of a plain request
        self.opened = 0

    async def start(self) -> None:
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        self._session = aiohttp.ClientSession(auto_decompress=False)

    async def stop(self) -> None:
        await self._session.close()
        await asyncio.wait_for(self._runner.cleanup(), 5)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.opened += 1
        if request.headers.get("Upgrade", "").lower() == "websocket":
            if self.answer:
                return await self.answer(request)  # refuses the upgrade
            return await self._socket(request)
        if self.answer:
            return await self.answer(request)
        return await self._pass_on(request)

    def _headers(self, request) -> dict:
        drop = ("host", "connection", "upgrade", "content-length", "transfer-encoding", "te", "http2-settings", "expect")
        return {k: v for k, v in request.headers.items() if k.lower() not in drop and not k.lower().startswith("sec-websocket")}

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        url = f"http://127.0.0.1:{self.to_port}{request.path_qs}"
        async with self._session.request(request.method, url, headers=self._headers(request), data=await request.read()) as up:
            headers = {k: v for k, v in up.headers.items() if k.lower() in ("content-type", "x-request-id", "retry-after")}
            out = web.StreamResponse(status=up.status, headers=headers)
            await out.prepare(request)
            async for chunk in up.content.iter_any():
                await out.write(chunk)
            await out.write_eof()
            return out

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(max_msg_size=0, heartbeat=None)
        await ws.prepare(request)
        if self.serve:
            await self.serve(ws)
            return ws
        try:
            async with self._session.ws_connect(f"http://127.0.0.1:{self.to_port}{request.path_qs}", max_msg_size=0,
                                                headers=self._headers(request)) as up:
                down_task = asyncio.ensure_future(self._pump_up(ws, up))
                await self._pump_down(up, ws)
                down_task.cancel()
        except aiohttp.WSServerHandshakeError as e:
            await ws.close(code=1011, message=str(e.status).encode())
        return ws

    async def _pump_up(self, ws, up) -> None:
        async for m in ws:
            if m.type == aiohttp.WSMsgType.TEXT:
                await up.send_str(m.data)
            elif m.type == aiohttp.WSMsgType.BINARY:
                await up.send_bytes(m.data)
        await up.close(code=ws.close_code or 1000)

    async def _pump_down(self, up, ws) -> None:
        async for m in up:
            for part in self._mangled(m.data):
                if isinstance(part, bytes):
                    await ws.send_bytes(part)
                else:
                    await ws.send_str(part if isinstance(part, str) else json.dumps(part))
        await ws.close(code=up.close_code if up.close_code and up.close_code < 5000 and up.close_code != 1006 else 1011)

    def _mangled(self, data) -> list:
        if not self.mangle or isinstance(data, bytes):
            return [data]
        return self.mangle(json.loads(data))


class Between:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="between", daemon=True)
        self.deepgram, self.openai, self.elevenlabs = self.all = [Vendor(n, self.loop) for n in ("deepgram", "openai", "elevenlabs")]
        self.livekit: TcpGate | None = None

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def __enter__(self) -> "Between":
        self._thread.start()
        for v in self.all:
            self.run(v.start())
        return self

    def __exit__(self, *_):
        for v in self.all:
            self.run(v.stop())
        if self.livekit:
            self.run(self.livekit.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    @property
    def env(self) -> dict[str, str]:
        return {"PAT_DEEPGRAM_URL": f"ws://127.0.0.1:{self.deepgram.port}",
                "PAT_OPENAI_URL": f"http://127.0.0.1:{self.openai.port}/v1",
                "PAT_ELEVENLABS_URL": f"ws://127.0.0.1:{self.elevenlabs.port}"}

    def aim(self, ports: dict[str, int]) -> None:
        for v in self.all:
            v.to_port = ports[v.name]

    def gate_livekit(self, port: int) -> str:
        """The agent's way to LiveKit's signalling, which can be cut; media goes its own way."""
        self.livekit = TcpGate(port)
        self.run(self.livekit.start())
        return f"ws://127.0.0.1:{self.livekit.port}"

    def cut_livekit(self) -> None:
        self.loop.call_soon_threadsafe(self.livekit.cut)

    def calm(self) -> None:
        for v in self.all:
            v.calm()
