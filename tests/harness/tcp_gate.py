"""A TCP relay on loopback that a test can cut: what a network does to a WebSocket, media left alone.

    gate = TcpGate(port); ... gate.cut(); gate.refuse = True
"""

import asyncio


class TcpGate:
    def __init__(self, to_port: int):
        self.to_port = to_port
        self.refuse = False
        self.mute = False  # takes bytes, passes none on: a dead peer that nobody told us about
        self.accepted = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> "TcpGate":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for w in list(self._open):
            w.transport.abort()

    async def _serve(self, reader, writer):
        self.accepted += 1
        if self.refuse:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:  # the server is away
            writer.transport.abort()
            return
        self._open |= {writer, up_writer}
        await asyncio.gather(self._pump(reader, up_writer), self._pump(up_reader, writer))
        self._open -= {writer, up_writer}

    async def _pump(self, reader, writer):
        try:
            while data := await reader.read(65536):
                if not self.mute:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()
