"""A bad network between a participant and livekit-server: packets are lost, late or out of order.

    net = await LossyNet(lk).start(); join with net.url; net.loss, net.delay_ms, net.jitter_ms = 0.05, 30, 20; net.stats

Signalling passes through it too, so that the server's candidates can be replaced by the relay's own port: all media takes
that way. TCP candidates are left out. `down = True` loses every datagram; `move()` loses for ever what takes the ways there
are: only a socket that was never heard of before gets through, as behind a NAT that has forgotten us.
"""

import asyncio
import json
import random
import re

import aiohttp
from aiohttp import web
from livekit.protocol import rtc as proto


class Upstream(asyncio.DatagramProtocol):
    """One participant's way to the server and back."""

    def __init__(self, net: "LossyNet", client):
        self.net, self.client = net, client

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, _addr):
        if self.client not in self.net._gone:
            self.net.pass_on(data, "down", lambda: self.net.transport.sendto(data, self.client))


class LossyNet(asyncio.DatagramProtocol):
    def __init__(self, lk, seed: int = 1):
        self.lk = lk
        self.random = random.Random(seed)
        self.loss = 0.0
        self.delay_ms = self.jitter_ms = 0
        self.down = False
        self.stats = {"up": 0, "down": 0, "up_lost": 0, "down_lost": 0, "up_voice": 0, "down_voice": 0,
                      "up_voice_lost": 0, "down_voice_lost": 0}
        self._clients: dict = {}
        self._waiting: dict = {}
        self._gone: set = set()
        self._sockets: set = set()

    async def start(self) -> "LossyNet":
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.udp_port = self.transport.get_extra_info("sockname")[1]
        app = web.Application()
        app.add_routes([web.get("/{path:.*}", self._signal), web.post("/{path:.*}", self._post)])
        self._session = aiohttp.ClientSession()
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"ws://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        return self

    async def cut_signalling(self) -> None:
        for socket in list(self._sockets):
            await socket.close()

    async def stop(self) -> None:
        await self._session.close()
        await self._runner.cleanup()
        self.transport.close()
        for up in self._clients.values():
            up.transport.close()

    def move(self) -> None:
        self._gone |= set(self._clients)

    # -------------------------------------------------------------- media

    def datagram_received(self, data, client):
        if client in self._gone:
            return
        if client in self._clients:
            up = self._clients[client]
            self.pass_on(data, "up", lambda: up.transport.sendto(data))
        elif client not in self._waiting:
            self._waiting[client] = asyncio.get_running_loop().create_task(self._open(client))

    async def _open(self, client):
        """ICE asks again for what comes before the way is there."""
        _, self._clients[client] = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Upstream(self, client), remote_addr=("127.0.0.1", self.lk.udp_port))

    def pass_on(self, data, way, send):
        self.stats[way] += 1
        media = data[0] >= 128  # handshakes would only make the test slow
        voice = media and not 192 <= data[1] <= 223  # RFC 5761: those are RTCP
        self.stats[way + "_voice"] += voice
        if self.down or (media and self.random.random() < self.loss):
            self.stats[way + "_lost"] += 1
            self.stats[way + "_voice_lost"] += voice
            return
        late = self.delay_ms + self.random.random() * self.jitter_ms
        if late:
            asyncio.get_running_loop().call_later(late / 1000, send)
        else:
            send()

    # -------------------------------------------------------------- signalling

    async def _post(self, request):
        """The server's API, as it is."""
        headers = {k: v for k, v in request.headers.items() if k.lower() in ("authorization", "content-type")}
        url = self.lk.url.replace("ws", "http", 1)
        async with self._session.post(f"{url}{request.rel_url}", headers=headers, data=await request.read()) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

    async def _signal(self, request):
        client = web.WebSocketResponse(max_msg_size=0)
        headers = {k: v for k, v in request.headers.items() if k.lower() == "authorization"}
        async with self._session.ws_connect(f"{self.lk.url}{request.rel_url}", headers=headers, max_msg_size=0) as server:
            await client.prepare(request)
            self._sockets.add(server)
            up = asyncio.create_task(self._up(client, server))
            async for m in server:
                if m.type == aiohttp.WSMsgType.BINARY:
                    await client.send_bytes(self._rewrite(m.data) if request.path.startswith("/rtc") else m.data)
            self._sockets.discard(server)
            up.cancel()
        await client.close()
        return client

    async def _up(self, client, server):
        async for m in client:
            if m.type == aiohttp.WSMsgType.BINARY:
                await server.send_bytes(m.data)
        await server.close()

    def _rewrite(self, data: bytes) -> bytes:
        m = proto.SignalResponse.FromString(data)
        if m.HasField("answer"):
            lines = [self._candidate(line) for line in m.answer.sdp.split("\r\n")]
            m.answer.sdp = "\r\n".join(line for line in lines if line is not None)
        elif m.HasField("trickle"):
            init = json.loads(m.trickle.candidateInit)
            init["candidate"] = self._candidate("a=" + init["candidate"]) or ""
            init["candidate"] = init["candidate"].removeprefix("a=")
            m.trickle.candidateInit = json.dumps(init)
        return m.SerializeToString()

    def _candidate(self, line: str) -> str | None:
        """The relay's port instead of the server's; None: leave it out."""
        if not line.startswith("a=candidate:"):
            return line
        return re.sub(r"( udp \d+) \S+ \d+ ", rf"\1 127.0.0.1 {self.udp_port} ", line) if " udp " in line else None
